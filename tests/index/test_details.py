"""Everything about one photo by its row number, and which photos are uncertain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_descriptions import description, failure

from captioner.index import Described, HeldCaption, Index, KeywordEdits, Unreviewed
from captioner.index.display import DisplayCaption
from captioner.types import Caption, Description, Facts, Keyword


def sure(name: str, confidence: float, text: str = "A dog.", **facts: str) -> Description:
    one = description(name)
    captions = (Caption(text, confidence, -1.0),) if confidence else ()
    return replace(one, captions=captions, facts=Facts(**facts))  # type: ignore[arg-type]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    opened = Index.open(tmp_path / "captioner.db", write=True)
    copy = replace(sure("copy.jpg", 0.1), content_hash=sure("b.jpg", 0.1).content_hash)
    opened.store(
        [
            sure("a.jpg", 0.9),
            sure("b.jpg", 0.1),
            sure("c.jpg", 0.5),
            sure("wordless.jpg", 0),
            sure("described.jpg", 0.1, caption="Rex at home"),
            copy,
            failure("broken.jpg"),
        ],
        "model",
        "encoder",
    )
    return opened


def number(index: Index, name: str) -> int:
    [entry] = index.photos_at(Path("/photos") / name)
    return entry.id


def names(index: Index, photos: list[int]) -> list[str]:
    found = [index.details(photo) for photo in photos]
    return [one.path.name for one in found if one]


def test_all_that_is_known_of_a_photo(index: Index) -> None:
    path = Path("/photos/b.jpg")
    index.set_caption(path, "Rex")
    index.edit_keywords(path, add=["Sylt"])
    found = index.details(number(index, "b.jpg"))
    assert found
    assert (found.path, found.described, found.size, found.mtime_ns) == (path, True, 1000, 1)
    assert (found.width, found.height, found.format) == (640, 480, "JPEG")
    assert (found.model_id, found.encoder_id, found.missing_since) == ("model", "encoder", None)
    assert found.caption == DisplayCaption("Rex", "sentence", "person", None)
    assert found.captions == (
        HeldCaption("Rex", "person", None, None, None),
        HeldCaption("A dog.", "model", "model", 0.1, -1.0),
    )
    assert found.keyword_edits == KeywordEdits(("Sylt",))
    assert found.copies == ((number(index, "copy.jpg"), Path("/photos/copy.jpg")),)


def test_facts_keywords_and_failures(index: Index) -> None:
    index.store([description("k.jpg", "A dog.", keywords=["dog"])], "model", "encoder")
    described = index.details(number(index, "described.jpg"))
    keywords = index.details(number(index, "k.jpg"))
    broken = index.details(number(index, "broken.jpg"))
    assert described
    assert keywords
    assert broken
    assert described.facts.caption == described.caption.text == "Rex at home"
    assert keywords.keywords == (Keyword("dog", 0.9),)
    assert (broken.described, broken.reason, broken.encoder_id, broken.copies) == (
        False, "it is truncated.", None, (),
    )  # fmt: skip
    assert index.details(9999) is None


def test_the_least_certain_ones_come_first(index: Index) -> None:
    assert names(index, index.least_certain(10)) == ["b.jpg", "c.jpg", "a.jpg"]
    assert names(index, index.least_certain(1, [number(index, "b.jpg")])) == ["c.jpg"]
    assert names(index, index.wordless(10)) == ["wordless.jpg"]
    assert index.wordless(10, index.wordless(10)) == []
    assert index.unreviewed() == Unreviewed(3, 1)


def test_what_a_person_captioned_is_not_uncertain(index: Index) -> None:
    index.set_caption(Path("/photos/b.jpg"), "Rex")
    index.set_caption(Path("/photos/wordless.jpg"), "Sylt")
    assert names(index, index.least_certain(10)) == ["c.jpg", "a.jpg"]
    assert index.wordless(10) == []
    assert index.unreviewed() == Unreviewed(2, 0)


def test_photos_with_features_come_in_order(index: Index) -> None:
    found = index.described("encoder", 0, 2)
    assert found == [
        Described(number(index, "a.jpg"), "A dog.", "model"),
        Described(number(index, "b.jpg"), "A dog.", "model"),
    ]
    rest = index.described("encoder", found[-1].id, 10)
    assert names(index, [one.id for one in rest]) == ["c.jpg", "wordless.jpg"]
    assert rest[-1].caption is None
    assert index.described("another", 0, 10) == []
