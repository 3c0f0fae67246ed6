"""XMP packets: read in every form, changed by position, refused where they are unusual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import HARD, RDF, packet, written

from captioner.metadata import splice, xmp
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.xmp import Changes, Entry, Xmp

DC = "dc:description"
LANGUAGES = (
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">a dog</rdf:li>'
    '<rdf:li xml:lang="de">ein Hund</rdf:li></rdf:Alt></dc:description>'
)


@pytest.mark.parametrize(
    ("made", "entries"),
    [
        (packet(LANGUAGES), [("x-default", "a dog"), ("de", "ein Hund")]),
        (packet("<dc:description>a dog</dc:description>"), [("x-default", "a dog")]),
        (packet("", 'dc:description="a dog"'), [("x-default", "a dog")]),
        (packet("<dc:description/>"), [("x-default", "")]),
        (packet(), []),
    ],
)
def test_a_text_is_read_in_every_form(made: bytes, entries: list[tuple[str, str]]) -> None:
    assert Xmp(made).texts(DC) == [Entry(*entry) for entry in entries]


@pytest.mark.parametrize("made", [
    packet(LANGUAGES),
    packet("<dc:description>a dog</dc:description>"),
    packet("", 'dc:description="a dog"'),
    packet("", "dc:description = 'a \"dog\" > cat'"),
    packet("<dc:description/>"),
    packet(),
    None,
])  # fmt: skip
def test_a_text_takes_the_place_of_the_old_one(made: bytes | None) -> None:
    new = written(made or b"", xmp.edit(made, Changes(texts={DC: HARD})))
    assert Xmp(new).texts(DC) == [Entry("x-default", HARD)]
    if made:
        assert Xmp(new).others(DC) == Xmp(made).others(DC)
        assert Xmp(new).others() != Xmp(made).others()


def test_growth_comes_out_of_the_padding() -> None:
    made = packet()
    assert len(written(made, xmp.edit(made, Changes(values={"captioner:CaptionDigest": "1"})))) == (
        len(made)
    )
    much = written(made, xmp.edit(made, Changes(texts={DC: HARD})))
    assert b">\n<?xpacket end" in much


def test_entries_join_a_list_and_leave_it() -> None:
    made = packet("<dc:subject><rdf:Bag><rdf:li>Rex</rdf:li></rdf:Bag></dc:subject>")
    more = written(made, xmp.edit(made, Changes(items={"dc:subject": ("dog", "<&>")})))
    assert Xmp(more).items("dc:subject") == ["Rex", "dog", "<&>"]
    less = written(more, xmp.edit(more, Changes(cut_items={"dc:subject": ("dog", "<&>")})))
    assert Xmp(less).items("dc:subject") == ["Rex"]
    none = written(less, xmp.edit(less, Changes(cut_items={"dc:subject": ("Rex",)})))
    assert b"dc:subject" not in none
    other = Changes(cut_items={"dc:subject": ("Rex",)}, items={"dc:subject": ("dog",)})
    assert Xmp(written(less, xmp.edit(less, other))).items("dc:subject") == ["dog"]


@pytest.mark.parametrize("empty", ["<rdf:Bag/>", "<rdf:Seq />", "<rdf:Bag></rdf:Bag>"])
def test_an_empty_list_is_filled(empty: str) -> None:
    made = packet(f"<dc:subject>{empty}</dc:subject>")
    assert Xmp(written(made, xmp.edit(made, Changes(items={"dc:subject": ("dog",)})))).items(
        "dc:subject"
    ) == ["dog"]


def test_a_line_is_added_to_a_text() -> None:
    made = packet(LANGUAGES)
    new = Xmp(written(made, xmp.edit(made, Changes(tails={DC: "\nnot <cat>"}))))
    assert new.texts(DC) == [Entry("x-default", "a dog\nnot <cat>"), Entry("de", "ein Hund")]
    with pytest.raises(Refused) as refused:
        xmp.edit(packet("", 'dc:description="a"'), Changes(tails={DC: "\nb"}))
    assert refused.value.reason is Reason.NO_APPEND


def test_a_namespace_keeps_the_prefix_that_the_packet_gives_it() -> None:
    made = packet("<dc:title>a</dc:title>").replace(b"dc:", b"dd:").replace(b":dc=", b":dd=")
    made = made.replace(b"rdf:", b"r:").replace(b":rdf=", b":r=")
    new = written(
        made, xmp.edit(made, Changes(texts={DC: "a cat"}, items={"dc:subject": ("cat",)}))
    )
    assert Xmp(new).texts(DC) == [Entry("x-default", "a cat")]
    assert b"dc:" not in new and b"rdf:" not in new


def test_what_we_put_in_can_be_cut_out_again() -> None:
    for made in (packet(), packet(LANGUAGES.replace("description", "title"))):
        changes = Changes(texts={DC: "a cat"}, values={"captioner:CaptionDigest": "1"})
        new = written(made, xmp.edit(made, changes))
        cut = Changes(cut=(DC, "captioner:CaptionDigest"))
        assert b"".join(written(new, xmp.edit(new, cut)).split()) == b"".join(made.split())


def nested(depth: int) -> bytes:
    return packet("<dc:title>" + "<rdf:Bag><rdf:li>" * depth + "</rdf:li></rdf:Bag>" * depth
                  + "</dc:title>")  # fmt: skip


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (b"<a", Reason.XMP_MALFORMED),
        (b"", Reason.XMP_MALFORMED),
        (b"<a/>", Reason.XMP_FORM),
        (f'<rdf:RDF xmlns:rdf="{RDF}"/>'.encode(), Reason.XMP_FORM),
        (f'<x><rdf:RDF xmlns:rdf="{RDF}"> </rdf:RDF><rdf:RDF xmlns:rdf="{RDF}"> </rdf:RDF></x>'
         .encode(), Reason.XMP_FORM),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', Reason.XMP_ENTITIES),
        (b'<?xml version="1.0" encoding="latin-1"?><a/>', Reason.XMP_ENCODING),
        (packet().decode().encode("utf-16"), Reason.XMP_ENCODING),
        (packet()[:-300] + b"\xff", Reason.XMP_MALFORMED),
        (nested(100), Reason.XMP_DEEP),
    ],
)  # fmt: skip
def test_what_is_unusual_is_refused(made: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        Xmp(made)
    assert refused.value.reason is reason


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=50))
def test_any_text_comes_back(text: str) -> None:
    text = text.strip().replace("\ufffe", "").replace("\uffff", "")
    made = packet(LANGUAGES)
    assert Xmp(written(made, xmp.edit(made, Changes(texts={DC: text})))).texts(DC) == [
        Entry("x-default", text)
    ]


@given(st.binary(max_size=30), st.integers(0, 700), st.integers(0, 60))
def test_any_bytes_are_understood_or_refused(noise: bytes, at: int, length: int) -> None:
    whole = packet(LANGUAGES)
    made = whole[:at] + noise + whole[at + length :]
    try:
        splices = xmp.edit(made, Changes(texts={DC: "a cat"}, items={"dc:subject": ("cat",)}))
    except Refused:
        return
    assert Xmp(splice.apply(made, splices)).texts(DC) == [Entry("x-default", "a cat")]
