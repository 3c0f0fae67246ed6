"""XMP packets: read in every form, changed by position, refused if unusual."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import HARD, RDF, packet, written

from captioner.metadata import splice, xmp
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.xmp import Entry, PacketChanges, XmpPacket

DC = "dc:description"
LANGUAGES = (
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">a dog</rdf:li>'
    '<rdf:li xml:lang="de">ein Hund</rdf:li></rdf:Alt></dc:description>'
)


def changed(made: bytes | None, **changes: Any) -> bytes:
    """A packet with the changes applied."""
    return written(made or b"", xmp.edit_packet(made, PacketChanges(**changes)))


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
    assert XmpPacket(made).texts(DC) == [Entry(*entry) for entry in entries]


@pytest.mark.parametrize("made", [
    packet(LANGUAGES),
    packet("<dc:description>a dog</dc:description>"),
    packet("", 'dc:description="a dog"'),
    packet("", "dc:description = 'a \"dog\" > cat'"),
    packet("<dc:description/>"),
    packet(),
    None,
])  # fmt: skip
def test_a_text_replaces_the_old_one(made: bytes | None) -> None:
    new = changed(made, texts={DC: HARD})
    assert XmpPacket(new).texts(DC) == [Entry("x-default", HARD)]
    if made:
        assert XmpPacket(new).other_properties(DC) == XmpPacket(made).other_properties(DC)
        assert XmpPacket(new).other_properties() != XmpPacket(made).other_properties()


def test_growth_is_taken_from_the_padding() -> None:
    made = packet()
    assert len(changed(made, values={"captioner:CaptionDigest": "1"})) == len(made)
    much = changed(made, texts={DC: HARD})
    assert b">\n<?xpacket end" in much


def test_items_are_added_to_a_list_and_removed() -> None:
    made = packet("<dc:subject><rdf:Bag><rdf:li>Rex</rdf:li></rdf:Bag></dc:subject>")
    more = changed(made, add_items={"dc:subject": ("dog", "<&>")})
    assert XmpPacket(more).items("dc:subject") == ["Rex", "dog", "<&>"]
    less = changed(more, remove_items={"dc:subject": ("dog", "<&>")})
    assert XmpPacket(less).items("dc:subject") == ["Rex"]
    none = changed(less, remove_items={"dc:subject": ("Rex",)})
    assert b"dc:subject" not in none
    other = PacketChanges(remove_items={"dc:subject": ("Rex",)}, add_items={"dc:subject": ("dog",)})
    assert XmpPacket(written(less, xmp.edit_packet(less, other))).items("dc:subject") == ["dog"]


@pytest.mark.parametrize("empty", ["<rdf:Bag/>", "<rdf:Seq />", "<rdf:Bag></rdf:Bag>"])
def test_an_empty_list_is_filled(empty: str) -> None:
    made = packet(f"<dc:subject>{empty}</dc:subject>")
    assert XmpPacket(changed(made, add_items={"dc:subject": ("dog",)})).items("dc:subject") == [
        "dog"
    ]


def test_a_line_is_appended_to_a_text() -> None:
    made = packet(LANGUAGES)
    new = XmpPacket(changed(made, append={DC: "\nnot <cat>"}))
    assert new.texts(DC) == [Entry("x-default", "a dog\nnot <cat>"), Entry("de", "ein Hund")]
    with pytest.raises(RefusedError) as refused:
        xmp.edit_packet(packet("", 'dc:description="a"'), PacketChanges(append={DC: "\nb"}))
    assert refused.value.reason is RefusalReason.NO_APPEND


def test_a_namespace_keeps_its_prefix_in_the_packet() -> None:
    made = packet("<dc:title>a</dc:title>").replace(b"dc:", b"dd:").replace(b":dc=", b":dd=")
    made = made.replace(b"rdf:", b"r:").replace(b":rdf=", b":r=")
    new = changed(made, texts={DC: "a cat"}, add_items={"dc:subject": ("cat",)})
    assert XmpPacket(new).texts(DC) == [Entry("x-default", "a cat")]
    assert b"dc:" not in new and b"rdf:" not in new


def test_added_properties_can_be_removed() -> None:
    for made in (packet(), packet(LANGUAGES.replace("description", "title"))):
        changes = PacketChanges(texts={DC: "a cat"}, values={"captioner:CaptionDigest": "1"})
        new = written(made, xmp.edit_packet(made, changes))
        removal = PacketChanges(remove=(DC, "captioner:CaptionDigest"))
        assert b"".join(written(new, xmp.edit_packet(new, removal)).split()) == b"".join(
            made.split()
        )


def nested(depth: int) -> bytes:
    return packet("<dc:title>" + "<rdf:Bag><rdf:li>" * depth + "</rdf:li></rdf:Bag>" * depth
                  + "</dc:title>")  # fmt: skip


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (b"<a", RefusalReason.XMP_MALFORMED),
        (b"", RefusalReason.XMP_MALFORMED),
        (b"<a/>", RefusalReason.XMP_FORM),
        (f'<rdf:RDF xmlns:rdf="{RDF}"/>'.encode(), RefusalReason.XMP_FORM),
        (f'<x><rdf:RDF xmlns:rdf="{RDF}"> </rdf:RDF><rdf:RDF xmlns:rdf="{RDF}"> </rdf:RDF></x>'
         .encode(), RefusalReason.XMP_FORM),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', RefusalReason.XMP_ENTITIES),
        (b'<?xml version="1.0" encoding="latin-1"?><a/>', RefusalReason.XMP_ENCODING),
        (packet().decode().encode("utf-16"), RefusalReason.XMP_ENCODING),
        (packet()[:-300] + b"\xff", RefusalReason.XMP_MALFORMED),
        (nested(100), RefusalReason.XMP_DEEP),
    ],
)  # fmt: skip
def test_unusual_packets_are_refused(made: bytes, reason: RefusalReason) -> None:
    with pytest.raises(RefusedError) as refused:
        XmpPacket(made)
    assert refused.value.reason is reason


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=50))
def test_any_text_is_read_back(text: str) -> None:
    text = text.strip().replace("\ufffe", "").replace("\uffff", "")
    made = packet(LANGUAGES)
    assert XmpPacket(changed(made, texts={DC: text})).texts(DC) == [Entry("x-default", text)]


@given(st.binary(max_size=30), st.integers(0, 700), st.integers(0, 60))
def test_any_bytes_are_parsed_or_refused(noise: bytes, at: int, length: int) -> None:
    whole = packet(LANGUAGES)
    made = whole[:at] + noise + whole[at + length :]
    try:
        splices = xmp.edit_packet(
            made, PacketChanges(texts={DC: "a cat"}, add_items={"dc:subject": ("cat",)})
        )
    except RefusedError:
        return
    assert XmpPacket(splice.apply(made, splices)).texts(DC) == [Entry("x-default", "a cat")]
