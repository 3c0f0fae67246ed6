"""Merging indexes and parts: idempotent, nothing that people wrote is lost, one model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fake_descriptions
import numpy as np
import pytest
from typer.testing import CliRunner

from captioner import parts
from captioner.cli.app import app
from captioner.errors import CaptionerError, UsageError
from captioner.index import Index, MergeSummary, OtherPicture
from captioner.index.missing import ScannedPaths
from captioner.merging import merge
from captioner.types import BundleIds, Description, Facts, Failure, Photo, Sidecar

pytest.importorskip("pyarrow")

MODEL = BundleIds("model", "encoder")


def described(
    name: str,
    text: str = "A dog runs.",
    *,
    mtime_ns: int = 1,
    content: bytes = b"",
    **facts: object,
) -> Description:
    photo = fake_descriptions.photo(name, mtime_ns=mtime_ns)
    one = fake_descriptions.description(
        photo, text, keywords=["dog"], content_hash=(content or name.encode()).ljust(20)
    )
    object.__setattr__(one, "facts", Facts(**facts))  # type: ignore[arg-type]
    return one


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes an index of results, with captions by people."""

    def make(
        name: str, *results: Description | Failure, model: str = "model", **captions: str
    ) -> Path:
        path = tmp_path / f"{name}.db"
        with Index.open(path, write=True) as index:
            index.store(results, model, "encoder")
            for photo, caption in captions.items():
                index.set_caption(Path(f"/photos/{photo}.jpg"), caption)
        return path

    return make


def rows(path: Path) -> list[dict[str, object]]:
    """All records, without the time at which each was recorded."""
    with Index.open(path) as index:
        return [{**record, "recorded_at": None} for record in index.records()]


def merged(into: Path, *sources: Path) -> MergeSummary:
    with Index.open(into, write=True) as index:
        return merge(index, sources)


def captions(path: Path, photo: str) -> list[str]:
    [record] = [row for row in rows(path) if str(row["path"]).endswith(f"/{photo}")]
    others = [one["caption"] for one in record["alternatives"]]  # type: ignore[attr-defined]
    return [str(record["caption"]), *others]


def test_two_indexes_become_one(make: Make, tmp_path: Path) -> None:
    laptop = make("laptop", described("a.jpg", caption="Grandma", keywords=("family",)))
    nas = make("nas", described("b.jpg"), fake_descriptions.failure("c.jpg"), b="Our dog")
    both = make(
        "both", described("a.jpg", caption="Grandma", keywords=("family",)), described("b.jpg"),
        fake_descriptions.failure("c.jpg"), b="Our dog",
    )  # fmt: skip
    summary = merged(tmp_path / "all.db", laptop, nas)
    assert (summary.added, summary.updated, summary.unchanged) == (3, 0, 0)
    assert rows(tmp_path / "all.db") == rows(both)


def test_merging_again_changes_nothing(make: Make, tmp_path: Path) -> None:
    nas = make("nas", described("a.jpg", keywords=("family",)), described("b.jpg"), a="Grandma")
    merged(tmp_path / "all.db", nas)
    before = rows(tmp_path / "all.db")
    summary = merged(tmp_path / "all.db", nas, nas)
    assert (summary.added, summary.updated, summary.unchanged) == (0, 0, 4)
    assert rows(tmp_path / "all.db") == before


def test_a_merged_index_finds_what_either_found(make: Make, tmp_path: Path) -> None:
    nas = make("nas", described("a.jpg", "A cat sleeps."), b="")
    merged(tmp_path / "all.db", nas, make("laptop", described("b.jpg"), b="Snowman"))
    with Index.open(tmp_path / "all.db") as index:
        assert [hit.path for hit in index.search("snowman")] == ["/photos/b.jpg"]
        assert [hit.path for hit in index.search("cat")] == ["/photos/a.jpg"]
        vectors = index.vectors(Path("/photos/a.jpg"), "model")
        assert vectors is not None
        assert vectors.embedding.tolist() == [1, 0]


def test_captions_by_people_are_kept_from_all_sides(make: Make) -> None:
    one = make("one", described("a.jpg"), described("b.jpg"), a="Grandma")
    merged(one, make("two", described("a.jpg"), described("b.jpg"), a="Anna, 80", b="The lake"))
    assert captions(one, "a.jpg") == ["Grandma", "Anna, 80", "A dog runs."]
    assert captions(one, "b.jpg") == ["The lake", "A dog runs."]


OLD = described("a.jpg", "A dog.", content=b"old", keywords=("Rex",), caption="Our dog")
NEW = described("a.jpg", "A cat.", content=b"new", mtime_ns=2, keywords=("Tom",))


@pytest.mark.parametrize("newer_here", [True, False])
def test_of_two_pictures_at_one_path_the_newer_one_is_kept_by_itself(
    make: Make, newer_here: bool
) -> None:
    here = make("here", NEW if newer_here else OLD)
    there = make("there", OLD if newer_here else NEW)
    summary = merged(here, there)
    assert (summary.updated, summary.others) == (0 if newer_here else 1, [])
    assert merged(here, there).unchanged == 1
    assert rows(here) == rows(make("alone", NEW))


def test_an_older_picture_keeps_its_caption_where_it_is(make: Make) -> None:
    here, there = make("here", NEW, a="Tom asleep"), make("there", OLD, a="Rex runs")
    for _ in range(2):
        summary = merged(here, there)
        assert summary.others == [
            OtherPicture("/photos/a.jpg", str(there), ("Rex runs",), here=False)
        ]
        assert captions(here, "a.jpg") == ["Tom asleep", "A cat."]
    assert captions(there, "a.jpg") == ["Rex runs", "A dog."]


def test_a_picture_that_was_captioned_here_stays_until_the_caption_is_removed(
    make: Make,
) -> None:
    here, there = make("here", OLD, a="Rex runs"), make("there", NEW, a="Tom asleep")
    before = rows(here)
    for _ in range(2):
        summary = merged(here, there)
        assert summary.others == [
            OtherPicture("/photos/a.jpg", str(there), ("Rex runs",), here=True)
        ]
        assert rows(here) == before
    with Index.open(here, write=True) as index:
        index.set_caption(Path("/photos/a.jpg"), "")
    assert merged(here, there).updated == 1
    assert captions(here, "a.jpg") == ["Tom asleep", "A cat."]


def test_a_photo_that_was_changed_elsewhere_brings_its_caption_along(make: Make) -> None:
    here, there = make("here", OLD, a="Rex runs"), make("there", NEW, a="Rex runs")
    summary = merged(here, there)
    assert (summary.updated, summary.others) == (1, [])
    assert captions(here, "a.jpg") == ["Rex runs", "A cat."]


def test_a_photo_that_could_be_read_elsewhere_replaces_a_failure(make: Make) -> None:
    here = make("here", fake_descriptions.failure("a.jpg"), described("b.jpg"))
    merged(here, make("there", described("a.jpg"), fake_descriptions.failure("b.jpg")))
    assert [row["status"] for row in rows(here)] == ["described", "described"]


def test_photos_of_another_machine_do_not_count_as_deleted(make: Make, tmp_path: Path) -> None:
    merged(tmp_path / "all.db", make("nas", described("a.jpg")))
    assert not Path("/photos").exists()
    with Index.open(tmp_path / "all.db", write=True) as index:
        scan = index.scan()
        everywhere = ScannedPaths(everywhere=True)
        assert not index.find_missing(
            scan, everywhere, new=(), unreadable=(), is_ignored=lambda root, path: False
        )
        assert not index.unmarked_missing()


def test_other_models_are_refused_before_anything_is_merged(make: Make, tmp_path: Path) -> None:
    one, other = make("one", described("a.jpg")), make("other", described("b.jpg"), model="other")
    with pytest.raises(CaptionerError, match=r"other\.db was described by the model other, and"):
        merged(tmp_path / "all.db", one, other)
    with Index.open(tmp_path / "all.db") as index:
        assert index.counts().photos == 0


def test_parts_hold_all_that_an_index_stores(make: Make, tmp_path: Path) -> None:
    sidecars = (Sidecar("a.xmp", 3, 4),)
    photo = Photo("/photos/caf\udce9.jpg", 5, 6, sidecars)
    results = [
        fake_descriptions.description(photo, "A dog.", "A cat.", keywords=["dog"]),
        described("b.jpg", caption="Grandma", keywords=("family",), latitude=1.5, others=("x",)),
        fake_descriptions.failure("c.jpg"),
        Failure(Path("/photos/d.jpg"), "busy", Photo("/photos/d.jpg", 1, 1), transient=True),
    ]
    parts.write(tmp_path / "p.parquet", results, MODEL)
    part = parts.read(tmp_path / "p.parquet", "p.parquet")
    assert part.bundle == MODEL
    assert len(part.results) == 4
    for got, wanted in zip(part.results, results, strict=True):
        assert got.photo == wanted.photo
        if isinstance(wanted, Description):
            assert isinstance(got, Description)
            assert (got.captions, got.keywords, got.facts, got.content_hash) == (
                wanted.captions, wanted.keywords, wanted.facts, wanted.content_hash,
            )  # fmt: skip
            np.testing.assert_array_equal(got.feature, wanted.feature)
            np.testing.assert_array_equal(got.vectors.embedding, wanted.vectors.embedding)
            np.testing.assert_array_equal(got.vectors.word_hidden, wanted.vectors.word_hidden)
        else:
            assert got == wanted
    assert part.results[0].photo is not None
    assert part.results[0].photo.sidecars == sidecars
    summary = merged(tmp_path / "all.db", tmp_path)  # the folder, with one part
    assert (summary.added, summary.unchanged) == (3, 0)
    assert merged(tmp_path / "all.db", tmp_path).unchanged == 3
    assert rows(tmp_path / "all.db") == rows(make("direct", *results))


def test_what_is_no_part_is_refused(make: Make, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    index = make("index")
    (tmp_path / "notes.parquet").write_text("hello")
    parquet.write_table(pa.table({"path": ["a.jpg"]}), tmp_path / "export.parquet")
    with pytest.raises(CaptionerError, match=r"notes\.parquet cannot be read"):
        merged(index, tmp_path / "notes.parquet")
    with pytest.raises(CaptionerError, match=r"merge the database instead"):
        merged(index, tmp_path / "export.parquet")
    with pytest.raises(UsageError, match="nothing at"):
        merged(index, tmp_path / "no.db")
    with pytest.raises(UsageError, match="is the index to merge into"):
        merged(index, index)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="without parts"):
        merged(index, tmp_path / "empty")


def test_the_command(make: Make, tmp_path: Path) -> None:
    nas = make("nas", described("a.jpg"), described("b.jpg"))
    words = ["merge", str(nas), "--db", str(tmp_path / "all.db")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "2 photos added, 0 updated, 0 unchanged." in result.stderr
    result = CliRunner().invoke(app, [*words, str(tmp_path / "no.db")])
    assert result.exit_code == 2
    assert "there is nothing at" in result.stderr


def test_the_command_says_which_captions_are_not_taken_over(make: Make) -> None:
    here, there = make("here", NEW, a="Tom asleep"), make("there", OLD, a="Rex runs")
    result = CliRunner().invoke(app, ["merge", str(there), "--db", str(here)])
    assert result.exit_code == 0
    assert "a.jpg is another, older picture in" in result.stderr
    assert '"Rex runs" stays in' in " ".join(result.stderr.split())
    result = CliRunner().invoke(app, ["merge", str(here), "--db", str(there)])
    assert result.exit_code == 0
    assert 'is kept for your caption "Rex runs"' in " ".join(result.stderr.split())
