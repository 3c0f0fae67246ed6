"""`Library` from Python: index, search, similar photos and advice. The model is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from colour_describer import photo
from recording_describer import RecordingDescriber

from captioner import Filters, Library
from captioner.errors import CaptionerError, PhotoError, UsageError
from captioner.search import Advice
from captioner.types import Description


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for colour in ("red", "green", "blue"):
        photo(tmp_path / "photos" / f"{colour}.jpg", colour)
    return tmp_path / "photos"


@pytest.fixture
def library(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Library, RecordingDescriber]]:
    """A library of three photos, and the describer that filled it."""
    describer = RecordingDescriber()
    monkeypatch.setattr(
        "captioner.model.query.load_planner",
        lambda bundle=None: (describer.model_id, lambda query: None),
    )
    with Library.open(tmp_path / "a.db", write=True, load=lambda: describer) as opened:
        assert opened.index(folder).described == 3
        yield opened, describer


def names(results: object) -> list[str]:
    return [Path(hit.path).name for hit in results.hits]  # type: ignore[attr-defined]


def test_indexing_again_loads_no_model_and_reports_each_photo(tmp_path: Path, folder: Path) -> None:
    stored: list[object] = []
    with Library.open(tmp_path / "a.db", write=True, load=RecordingDescriber) as library:
        library.index([folder], exclude=["blue*"], progress=stored.append)
    assert [type(one) for one in stored] == [Description, Description]

    def unloadable() -> RecordingDescriber:
        raise AssertionError("nothing is new, so no model is needed")

    with Library.open(tmp_path / "a.db", write=True, load=unloadable) as library:
        assert library.index(folder, exclude=["blue*"]).unchanged == 2
        assert library.stats().photos == 2


def test_opened_for_reading_it_cannot_index(tmp_path: Path, folder: Path) -> None:
    with Library.open(tmp_path / "a.db", write=True):
        pass
    with (
        Library.open(tmp_path / "a.db", load=RecordingDescriber) as library,
        pytest.raises(CaptionerError),
    ):
        library.index(folder)


def test_words_find_photos_and_none_finds_the_newest(
    library: tuple[Library, RecordingDescriber],
) -> None:
    opened, _ = library
    assert names(opened.search("red"))[0] == "red.jpg"
    assert sorted(names(opened.search())) == ["blue.jpg", "green.jpg", "red.jpg"]
    assert sorted(Path(hit.path).name for hit in opened.photos()) == sorted(names(opened.search()))
    opened.edit(opened.search("green").hits[0].path, "Rex")
    [hit] = opened.search("rex").hits
    assert (hit.caption, hit.matched) == ("Rex", ("caption",))


@pytest.mark.parametrize("query", ["", "  "])
def test_an_empty_query_is_refused(library: tuple[Library, RecordingDescriber], query: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        library[0].search(query)


def test_an_exact_search_requires_a_query(library: tuple[Library, RecordingDescriber]) -> None:
    with pytest.raises(UsageError, match="an exact search requires a query"):
        library[0].search(exact=True)


def test_advice_says_why_nothing_was_found(library: tuple[Library, RecordingDescriber]) -> None:
    opened, _ = library
    assert opened.search("red").advice is None
    assert opened.search("zebra").advice is Advice.UNKNOWN_WORDS
    assert opened.search('"red zebra"').advice is Advice.QUOTES
    assert opened.search("zebra", exact=True).advice is Advice.EXACT
    assert opened.search("red", filters=Filters.parse(after="2090")).advice is Advice.FILTERS
    assert opened.search("red", min_score=1.01).advice is Advice.MIN_SCORE


def test_advice_of_an_empty_index(tmp_path: Path) -> None:
    with Library.open(tmp_path / "a.db", write=True) as library:
        assert library.search().advice is Advice.EMPTY_INDEX


def test_similar_opens_no_photo_of_the_library(
    library: tuple[Library, RecordingDescriber], folder: Path, tmp_path: Path
) -> None:
    opened, describer = library
    encoded = len(describer.encoded)
    assert "red.jpg" not in names(opened.similar(folder / "red.jpg"))
    assert len(describer.encoded) == encoded
    opened.similar(photo(tmp_path / "other.jpg", "yellow"))
    assert len(describer.encoded) == encoded + 1


def test_a_search_may_name_a_photo_that_hits_look_like(
    library: tuple[Library, RecordingDescriber], folder: Path, tmp_path: Path
) -> None:
    opened, describer = library
    encoded = len(describer.encoded)
    assert names(opened.search("photo", like=folder / "red.jpg"))[0] in ("green.jpg", "blue.jpg")
    assert len(describer.encoded) == encoded
    other = photo(tmp_path / "other.jpg", "blue")
    assert names(opened.search("photo", like=other))[0] == "blue.jpg"
    assert len(describer.encoded) == encoded + 1
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(PhotoError):
        opened.search("photo", like=tmp_path / "text.jpg")
    for wrong in ({"query": None}, {"query": "photo", "exact": True}):
        with pytest.raises(UsageError):
            opened.search(**wrong, like=other)  # type: ignore[arg-type]


def test_similar_to_what_is_no_photo(
    library: tuple[Library, RecordingDescriber], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(PhotoError):
        library[0].similar(tmp_path / "text.jpg")
    with pytest.raises(UsageError, match="is a folder"):
        library[0].similar(folder)
