"""A person's keywords: kept, found, written, and never brought back by a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_descriptions import description, failure

from captioner.index import Filters, Index, MergeSummary
from captioner.index.display import DisplayCaption

DOG, CAT = Path("/photos/dog.jpg"), Path("/photos/cat.jpg")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A dog and a cat, both with keywords of the model."""
    opened = Index.open(tmp_path / "captioner.db", write=True)
    opened.store(
        [
            description("dog.jpg", "A dog runs.", keywords=["dog", "boat"]),
            description("cat.jpg", "A cat sits.", keywords=["cat", "boat"]),
        ],
        "model",
    )
    return opened


def with_keyword(index: Index, word: str) -> list[str]:
    hits = index.newest(filters=Filters(keywords=(word,)))
    return sorted(Path(hit.path).name for hit in hits)


def words(index: Index, photo: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    stored = index.stored_caption(photo)
    assert stored
    return stored.edited_keywords, stored.keywords


def test_added_ones_are_found_and_shown(index: Index) -> None:
    index.edit_keywords(DOG, add=["Sylt", " black  dog ", "", "\x07"])
    assert words(index, DOG) == (("Sylt", "black dog"), ("boat", "dog"))
    assert with_keyword(index, "sylt") == ["dog.jpg"]
    [hit] = index.search("sylt")
    assert (hit.edited_keywords, hit.matched) == (("Sylt", "black dog"), ("keyword",))


def test_rejected_ones_are_left_out_everywhere(index: Index) -> None:
    index.edit_keywords(DOG, remove=["BOAT"])
    assert words(index, DOG) == ((), ("dog",))
    assert with_keyword(index, "boat") == ["cat.jpg"]
    assert [hit.path for hit in index.search("boat")] == [str(CAT)]
    assert index.statistics().keywords == {"boat": 1, "cat": 1, "dog": 1}
    [cat, dog] = index.records()
    assert [word["word"] for word in dog["keywords"]] == ["dog"]
    assert (dog["edited_keywords"], dog["rejected_keywords"]) == ([], ["boat"])
    assert cat["rejected_keywords"] == []


def test_both_survive_another_model_and_a_failure(index: Index) -> None:
    index.edit_keywords(DOG, add=["Rex"], remove=["boat"])
    index.store([description("dog.jpg", "A dog.", keywords=["boat", "grass"])], "another")
    assert words(index, DOG) == (("Rex",), ("grass",))
    index.store([failure("dog.jpg")], "another")
    assert with_keyword(index, "rex") == ["dog.jpg"]


def test_removing_ones_own_is_no_rejection(index: Index) -> None:
    index.edit_keywords(DOG, add=["grass"])
    index.edit_keywords(DOG, remove=["Grass", "never there"])
    index.store([description("dog.jpg", "A dog.", keywords=["grass"])], "another")
    assert words(index, DOG) == ((), ("grass",))


def test_a_rejected_one_can_be_added_again(index: Index) -> None:
    index.edit_keywords(DOG, remove=["boat"])
    index.edit_keywords(DOG, add=["Boat"])
    assert words(index, DOG) == (("Boat",), ("boat", "dog"))
    assert with_keyword(index, "boat") == ["cat.jpg", "dog.jpg"]


def test_they_are_shown_where_there_is_no_sentence(index: Index, tmp_path: Path) -> None:
    [entry] = index.photos_at(DOG)
    index.edit_keywords(DOG, add=["Rex", "Sylt"])
    assert index.display_captions([entry.id])[entry.id].text == "A dog runs."
    index.store([failure("dog.jpg")], "model")
    shown = index.display_captions([entry.id])[entry.id]
    assert shown == DisplayCaption("Rex, Sylt", "keywords", "person", None)


def test_copies_and_merged_indexes_get_them(index: Index, tmp_path: Path) -> None:
    copy = description("dog.jpg").photo
    index.edit_keywords(DOG, add=["Rex"], remove=["boat"])
    with Index.open(tmp_path / "other.db", write=True) as other:
        other.store([description("dog.jpg", "A dog.", keywords=["boat"])], "model")
        other.edit_keywords(DOG, add=["Sylt"])
        summary = MergeSummary()
        other.merge(index.path, summary)
        assert (summary.updated, summary.added) == (1, 1)
        assert words(other, DOG) == (("Sylt", "Rex"), ())
        other.merge(index.path, summary)
        assert summary.unchanged == 2
    content = description("dog.jpg").content_hash
    moved = type(copy)(Path("/elsewhere/dog.jpg"), 1000, 1)
    [found] = index.store_recognised([(moved, content)])
    assert found.change in {"moved", "copied"}
    assert words(index, Path("/elsewhere/dog.jpg")) == (("Rex",), ("dog",))


def test_unknown_photos_are_ignored(index: Index) -> None:
    index.edit_keywords(Path("/photos/unknown.jpg"), add=["Rex"])
    assert with_keyword(index, "rex") == []
