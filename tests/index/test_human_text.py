"""Human-authored text: found first, in every field, however it is spelled."""

from __future__ import annotations

import os
import random
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fake_descriptions import description, failure, query_plan
from hypothesis import given
from hypothesis import strategies as st

from captioner.index import Filters, Index
from captioner.index.normalisation import normalise, path_words, tokenise
from captioner.types import Description, Facts, Photo, QueryPlan

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "vo", "xe", "zu")
SOURCES = ("caption", "title", "keyword", "edit", "name", "folder")
PHOTOS = 1000


def planner(query: str) -> QueryPlan | None:
    """A model that knows every word and measures every photo differently."""
    return query_plan((0, 0), (1, 0))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        yield index


def paths(index: Index, query: str, **options: bool) -> list[str]:
    return [hit.path for hit in index.search(query, planner=planner, model_id="m", **options)]


def own(name: str, *captions: str, **facts: object) -> Description:
    return replace(description(name, *captions), facts=Facts(**facts))  # type: ignore[arg-type]


def invented_word(number: int) -> str:
    """A different word for each number, whose stem is itself."""
    digits = []
    for _ in range(4):
        number, digit = divmod(number, len(SYLLABLES))
        digits.append(SYLLABLES[digit])
    return "q" + "".join(digits) + "k"


def test_each_of_a_thousand_photos_is_found_first_by_its_own_text(index: Index) -> None:
    dice = random.Random(1)
    common = ["dog", "beach", "snow", "children", "red", "ball", "running", "water"]
    word_of = {number: invented_word(number) for number in range(PHOTOS)}
    described, edits = [], {}
    for number, word in word_of.items():
        source, name, facts = SOURCES[number % len(SOURCES)], f"{number}.jpg", Facts()
        text = f"{dice.choice(common)} {word} {dice.choice(common)}"
        # Each word is also in the model's caption of another photo.
        rival = word_of[(number + 7) % PHOTOS]
        match source:
            case "caption":
                facts = Facts(caption=text)
            case "title":
                facts = Facts(title=text)
            case "keyword":
                facts = Facts(keywords=("holidays", f"Places|Europe|{word}"))
            case "edit":
                edits[f"/photos/{name}"] = text
            case "name":
                name = f"IMG_{number}-{word.title()}Beach.jpg"
            case "folder":
                name = f"2019 {word}/{name}"
        original = description(
            name,
            f"A {dice.choice(common)} and a {rival}.",
            keywords=[rival],
            words=[dice.gauss(0, 1), 0],
        )
        described.append(replace(original, facts=facts))
    index.store(described, "m")
    for path, text in edits.items():
        index.set_caption(Path(path), text)
    for number, word in word_of.items():
        hit = index.search(word, planner=planner, model_id="m", limit=2)[0]
        assert hit.path == str(described[number].photo.path), SOURCES[number % len(SOURCES)]
        assert hit.matched
        assert hit.score is not None
        assert hit.score > 0.9


def test_hits_have_the_source_and_the_matching_fields(index: Index) -> None:
    index.store(
        [
            own("a.jpg", "A dog.", caption="Rex at Sils", title="Summer", keywords=("Family",)),
            own("b.jpg", "A cat."),
            own("Rex 2.jpg", "A man."),
        ],
        "m",
    )
    both = {hit.path: hit for hit in index.search("rex summer family")}
    first, named = both["/photos/a.jpg"], both["/photos/Rex 2.jpg"]
    assert (first.caption, first.source, first.confidence) == ("Rex at Sils", "person", None)
    assert first.matched == ("caption", "title", "keyword")
    assert (first.title, first.file_keywords) == ("Summer", ("Family",))
    assert (named.caption, named.source, named.matched) == ("A man.", "model", ("name",))
    [cat] = index.search("cat")
    assert (cat.source, cat.confidence, cat.matched) == ("model", 0.5, ())


def test_an_edited_caption_is_shown_before_the_files_own(index: Index) -> None:
    index.store([own("a.jpg", "A dog.", caption="DSC from Anna")], "m")
    index.set_caption(Path("/photos/a.jpg"), "Rex")
    [hit] = index.search("anna")
    assert (hit.caption, hit.source) == ("Rex", "person")
    index.set_caption(Path("/photos/a.jpg"), "")
    assert [hit.caption for hit in index.search("anna")] == ["DSC from Anna"]
    known = index.stored_caption(Path("/photos/a.jpg"))  # what `write` would write
    assert known is not None
    assert known.text == "A dog."


def test_all_of_the_query_comes_before_a_part_of_it(index: Index) -> None:
    index.store(
        [
            own("a.jpg", "A dog.", caption="Anna"),
            own("b.jpg", "A dog.", caption="Anna and Ben at the lake"),
            own("c.jpg", "A dog.", keywords=("Ben",)),
        ],
        "m",
    )
    assert paths(index, "anna ben")[0] == "/photos/b.jpg"


def test_exact_and_quoted_words_match_human_text(index: Index) -> None:
    index.store(
        [
            own("a.jpg", "A dog.", caption="Grandma at Lake Sils", keywords=("red ball",)),
            own("b.jpg", "A red ball.", title="The lake"),
            own("red ball.jpg", "A cat."),
            replace(description("c.jpg", "A horse.", keywords=["lake"])),
        ],
        "m",
    )
    assert paths(index, "sils", exact=True) == ["/photos/a.jpg"]
    assert paths(index, "lake", exact=True) == ["/photos/b.jpg", "/photos/a.jpg"]
    assert set(paths(index, '"red ball"')) == {"/photos/a.jpg", "/photos/b.jpg"}
    # No phrase goes from one text into the next: "Sils | red ball".
    assert paths(index, '"sils red"') == []
    assert paths(index, "dog", exact=True) == []


@pytest.mark.parametrize(
    ("query", "exact"),
    [
        ("東京タワー", False), ("夜景", False), ("夜景", True), ("タワーの夜", True),
        ("ﾀﾜｰ", True), ("서울", True), ("서울에서", True), ("ภูเขา", True), ("iPhone", True),
        (unicodedata.normalize("NFD", "が見え"), True),
    ],
)  # fmt: skip
def test_scripts_without_spaces_are_found_by_parts(index: Index, query: str, exact: bool) -> None:
    index.store(
        [own("a.jpg", caption="東京タワーの夜景が見える"), own("b.jpg", caption="夜の景色")], "m"
    )
    index.store(
        [own("c.jpg", caption="가을에 서울에서 찍은"), own("d.jpg", caption="iPhoneで撮影した山")],
        "m",
    )
    index.store([own("e.jpg", caption="ไปเที่ยวภูเขาสูง"), own("f.jpg", caption="ภาพ")], "m")
    hits = index.search(query, exact=exact)
    assert len(hits) == 1 or (not exact and hits[0].score and hits[0].score > 0.9)
    assert normalise(query) in normalise(hits[0].caption)
    assert "  " not in hits[0].caption  # what is indexed is not what is shown


def test_what_was_removed_or_changed_is_found_no_more(index: Index) -> None:
    index.store([own("a.jpg", "A dog.", caption="Rex", keywords=("Sils",))], "m")
    index.store([own("a.jpg", "A dog.", caption="Bello")], "m")
    assert index.search("rex") == index.search("sils") == []
    assert index.newest(filters=Filters.parse(keywords=["sils"])) == []
    index.store([failure("a.jpg")], "m")
    assert index.search("bello") == []
    with closing(sqlite3.connect(index.path)) as connection:
        for table in ("texts", "person_texts"):
            connection.execute(f"INSERT INTO {table}_fts ({table}_fts) VALUES ('integrity-check')")


@pytest.mark.parametrize(
    "asked",
    [
        "österreich", "Österreich", "OSTERREICH", "osterreich",
        unicodedata.normalize("NFD", "Österreich"), "Orte|Österreich", "orte / österreich",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_keywords_are_compared_without_case_and_accents(
    index: Index, asked: str, form: str
) -> None:
    tag = unicodedata.normalize(form, "Orte|Österreich|Wien")
    index.store([own("a.jpg", keywords=(tag,)), own("b.jpg", keywords=("Österreicher",))], "m")
    index.store([description("c.jpg", keywords=[unicodedata.normalize(form, "Österreich")])], "m")
    found = {hit.path for hit in index.newest(filters=Filters.parse(keywords=[asked]))}
    assert found == {"/photos/a.jpg"} | ({"/photos/c.jpg"} if "rte" not in asked else set())


@pytest.mark.parametrize(
    ("asked", "count"),
    [("people/anna", 1), ("ANNA", 1), ("people", 1), ("ann", 0), ("people/", 1), ("a|b", 0)],
)
def test_parts_of_hierarchical_keywords(index: Index, asked: str, count: int) -> None:
    index.store([own("a.jpg", keywords=("People/Anna", "a", "b")), own("b.jpg")], "m")
    assert len(index.newest(filters=Filters.parse(keywords=[asked]))) == count


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/home/anna/Photos/2019 Norway/IMG_1234-grandma'sBirthday.jpg",
         "photos 2019 norway img 1234 grandma birthday jpg"),
        ("/Volumes/Backup/Sommer_Urlaub/DSC01234.JPG", "sommer urlaub dsc01234 01234"),
        ("/media/anna/disk/ÉtéÀParis.png", "ete a paris"),
        ("/x/XMLFile2Go.jpg", "xml file 2 go"),
    ],
)  # fmt: skip
def test_names_are_words(path: str, words: str) -> None:
    found = path_words(path.encode()).replace("'", " ").replace("_", " ").replace("-", " ")
    assert set(words.split()) <= set(found.replace(".", " ").split())
    assert not {"home", "anna", "volumes", "media"} & set(found.split())


def test_a_photo_that_was_moved_is_found_by_its_new_name(index: Index, tmp_path: Path) -> None:
    content = b"c" * 20
    before, after = tmp_path / "Oslo.jpg", tmp_path / "Norway" / "Bergen.jpg"
    index.store([description(Photo(before, 3, 1), content_hash=content)], "m")
    after.parent.mkdir()
    after.write_bytes(b"...")
    [recognised] = index.store_recognised([(Photo(after, 3, 2), content)])
    assert recognised.change == "moved"
    assert index.search("oslo") == []
    assert [hit.path for hit in index.search("norway bergen")] == [str(after)]


def test_names_that_are_not_utf_8_are_searched(index: Index) -> None:
    index.store([own("caf\udce9 Rome.jpg")], "m")
    assert paths(index, "rome") == ["/photos/caf\udce9 Rome.jpg"]


def test_latin_1_bytes_in_names_are_letters(index: Index) -> None:
    index.store([own(os.fsdecode("Käthe".encode("latin-1") + b".jpg")), own("b.jpg")], "m")
    for query in ("käthe", "kathe", "KÄTHE"):
        assert paths(index, query)[:1] == ["/photos/K\udce4the.jpg"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Grandma bakes", "grandma's"),
        ("Grandma's kitchen", "grandma"),
        ("Grandma\u2019s kitchen", "grandma's kitchen"),
        ("Grandma\u2019s kitchen", '"grandma kitchen"'),
        ("Zwiebel\u00adturm", "zwiebelturm"),
        ("Quillby", "quill\u200bby"),
        ("Quillby", "\u202equillby\u202c"),
        ("می\u200cروم", "میروم"),
        ("unfold\ufeffed", "unfolded"),
    ],
)
def test_possessives_and_invisible_characters_do_not_matter(
    index: Index, text: str, query: str
) -> None:
    index.store([own("a.jpg", caption=text), own("b.jpg", caption="Another")], "m")
    assert paths(index, query)[:1] == ["/photos/a.jpg"]
    assert paths(index, query, exact=True) == ["/photos/a.jpg"]


def test_normalisation_is_the_same_for_all_forms_and_never_fails() -> None:
    @given(st.text())
    def check(text: str) -> None:
        once = normalise(text)
        assert normalise(once) == once
        assert tokenise(unicodedata.normalize("NFD", text)) == tokenise(
            unicodedata.normalize("NFC", text)
        )

    check()


def test_names_and_human_text_are_not_respelled(index: Index) -> None:
    index.store(
        [own("a.jpg", "A beach.", caption="Baech"), own("Beech.jpg", "A beach."), own("c.jpg")], "m"
    )
    for query in ("baech", "beech", "-beahc beach", '"beahc" beach'):
        assert index.respell(query, lambda word: False) == (query, {})
    assert index.respell("beahc -beahc", lambda word: False)[0] == "beach -beahc"


class TestExclusions:
    @pytest.fixture(autouse=True)
    def photos(self, index: Index) -> None:
        index.store(
            [
                replace(description("a.jpg", "A dog runs.", words=[9, 0]), facts=Facts()),
                own("b.jpg", "A field.", keywords=("Dogs",)),
                own("c.jpg", "A field.", caption="Lake Sils"),
                own("my dog.jpg", "A car."),
                description("d.jpg", "A red ball.", keywords=["ball"]),
            ],
            "m",
        )

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("-dog", "dc"),
            ("-dogs field", "c"),
            ('-"lake sils" field', "b"),
            ('-"sils lake" field', "bc"),
            ("-ball -sils -field", "ma"),
            ("-field lake", "c"),
        ],
    )
    def test_leave_out_photos_with_the_word(self, index: Index, query: str, names: str) -> None:
        assert sorted(Path(hit.path).name[0] for hit in index.search(query)) == sorted(names)

    def test_leave_out_what_probably_shows_the_word(self, index: Index) -> None:
        def planner(query: str) -> QueryPlan | None:
            plan = query_plan((0, 0), (1, 0))
            return replace(plan, log_odds=lambda measures: measures[:, 0] - 5)

        found = index.search("-animal", planner=planner, model_id="m")
        assert "/photos/a.jpg" not in [hit.path for hit in found]
        assert len(found) == 4
        assert all(hit.score is None for hit in found)


class TestScores:
    def test_the_best_of_nothing_is_near_zero(self, index: Index) -> None:
        def planner(query: str) -> QueryPlan | None:
            plan = query_plan((0, 0), (1, 0))
            return replace(plan, log_odds=lambda measures: measures[:, 0] - 8)

        index.store([description(f"{n}.jpg", "A dog.", words=[n / 9, 0]) for n in range(9)], "m")
        hits = index.search("unicycle", planner=planner, model_id="m")
        assert len(hits) == 9
        assert all(hit.score is not None and hit.score < 0.01 for hit in hits)
        assert index.search("unicycle", planner=planner, model_id="m", min_score=0.05) == []

    def test_never_rise(self, index: Index) -> None:
        dice = random.Random(2)

        def planner(query: str) -> QueryPlan | None:
            plan = query_plan((0, 0), (1, 0))
            return replace(plan, log_odds=lambda measures: -measures[:, 0])

        index.store(
            [
                own(f"{n}.jpg", dice.choice(["A dog.", "A cat."]),
                    caption=dice.choice([None, None, "Rex the dog"]))
                for n in range(50)
            ],
            "m",
        )  # fmt: skip
        scores = [
            hit.score or 0
            for hit in index.search("dog rex", planner=planner, model_id="m", limit=50)
        ]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 1

    def test_unknown_words_lower_them(self, index: Index) -> None:
        index.store([description("a.jpg", "A dog."), description("b.jpg", "A cat.")], "m")
        [known], [partly] = index.search("dog"), index.search("dog blorptastic")
        assert known.score is not None
        assert partly.score is not None
        assert partly.score < known.score


class TestCopies:
    def test_are_found_once_and_named(self, index: Index) -> None:
        same = b"s" * 20
        index.store(
            [
                description("b.jpg", "A dog.", content_hash=same),
                description("a.jpg", "A dog.", content_hash=same),
                description("Rex.jpg", "A dog.", content_hash=same),
                description("other.jpg", "A dog."),
            ],
            "m",
        )
        for hits in (
            index.search("dog"),
            index.search("dog", exact=True),
            index.newest(),
            index.search("-cat"),
        ):
            assert len(hits) == 2
            [one] = [hit for hit in hits if hit.copies]
            assert len({one.path, *one.copies}) == 3
        assert index.search("rex")[0].path == "/photos/Rex.jpg"

    def test_of_the_photo_itself_are_not_similar(self, index: Index) -> None:
        same = b"s" * 20
        index.store([description(name, content_hash=same) for name in ("a", "b")], "m")
        index.store([description("c")], "m")
        joint = description("x").vectors.embedding
        found = index.similar(joint, "m", exclude=Path("/photos/a"))
        assert [hit.path for hit in found] == ["/photos/c"]
        found = index.similar(joint, "m", content_hash=same)
        assert [hit.path for hit in found] == ["/photos/c"]

    def test_that_are_missing_are_not_named(self, index: Index) -> None:
        same = b"s" * 20
        index.store([description(name, "A dog.", content_hash=same) for name in ("a", "b")], "m")
        with index._connection:
            index._connection.execute(
                "UPDATE photos SET missing_since = '2026' WHERE path = ?", [b"/photos/a"]
            )
        [hit] = index.search("dog")
        assert (hit.path, hit.copies) == ("/photos/b", ())
