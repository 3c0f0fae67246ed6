"""An index kept in step with folders: what is described, what is kept, what is gone."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest
from colour_describer import COLOURS, photo
from recording_describer import RecordingDescriber

from captioner.index import Index, database, mounts
from captioner.indexing import Result, UpdateOptions, UpdateSummary, update
from captioner.photos import formats
from captioner.photos.walk import Selection, listings, walk
from captioner.types import BundleIds, DecodedPhoto, Failure, Listing, RecognisedPhoto


def make(folder: Path, number: int, broken: frozenset[int] = frozenset()) -> list[Path]:
    """Write photos, some of them cut short."""
    made = []
    for at in range(number):
        made.append(photo(folder / f"{at:03}.jpg", COLOURS[at % len(COLOURS)]))
        if at in broken:
            made[at].write_bytes(made[at].read_bytes()[:100])
    return made


def unloadable() -> RecordingDescriber:
    raise AssertionError("the model was loaded though there is nothing for it")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "captioner.db", write=True) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "photos"


def again(
    index: Index, *roots: Path, load: object = unloadable, **options: object
) -> UpdateSummary:
    """Update an index from folders, without a model unless told."""
    return update(index, listings(roots), load, roots=roots, **options)  # type: ignore[arg-type]


def rows(index: Index, sql: str, *values: object) -> list[tuple[object, ...]]:
    with sqlite3.connect(index.path) as connection:
        return connection.execute(sql, values).fetchall()


def numbers(index: Index) -> dict[str, object]:
    """Ids by the names of the photos."""
    return {
        Path(os.fsdecode(path)).name: number  # type: ignore[arg-type]
        for number, path in rows(index, "SELECT id, path FROM photos")
    }


def person_says(index: Index, path: Path, text: str) -> None:
    with sqlite3.connect(index.path) as connection:
        connection.execute(
            "INSERT INTO captions (photo, source, rank, text) "
            "SELECT id, 'person', 0, ? FROM photos WHERE path = ?",
            [text, database.path_key(path)],
        )
    connection.close()


def words(index: Index, path: Path) -> set[object]:
    """All captions of a photo."""
    found = rows(
        index,
        "SELECT text FROM captions JOIN photos ON photo = photos.id WHERE path = ?",
        database.path_key(path),
    )
    return {text for (text,) in found}


def missing(index: Index) -> list[str]:
    return [one.path.name for one in index.missing_photos()]


# What is new or changed


def test_only_what_is_new_or_changed(tmp_path: Path, index: Index) -> None:
    folder = tmp_path / "photos"
    make(folder, 10)
    assert update(index, listings([folder]), RecordingDescriber) == UpdateSummary(10, 0, 0)
    assert update(index, listings([folder]), unloadable) == UpdateSummary(0, 0, 10)
    photo(folder / "new.jpg", "red")
    photo(folder / "003.jpg", "blue")
    os.utime(folder / "003.jpg", ns=(1, 1))
    describer = RecordingDescriber()
    assert update(index, listings([folder]), lambda: describer) == UpdateSummary(2, 0, 9)
    assert describer.described == 2
    assert index.counts().described == 11


def test_failures_are_kept_and_not_tried_again(tmp_path: Path, index: Index) -> None:
    folder = tmp_path / "photos"
    make(folder, 10, frozenset({4, 5}))
    given = [folder, tmp_path / "missing.jpg"]
    assert update(index, listings(given), RecordingDescriber) == UpdateSummary(8, 3, 0)
    assert (index.counts().described, index.counts().failed) == (8, 2)
    assert update(index, listings(given), unloadable) == UpdateSummary(0, 1, 10)


def test_failures_outside_the_file_are_tried_again(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    for _ in range(2):
        assert update(index, listings([tmp_path]), unloadable) == UpdateSummary(0, 1, 0)
    assert index.counts().photos == 0


def test_a_photo_that_is_found_twice_is_described_once(tmp_path: Path, index: Index) -> None:
    folder = tmp_path / "photos"
    make(folder, 3)
    describer = RecordingDescriber()
    summary = update(index, listings([folder, folder / "001.jpg"]), lambda: describer)
    assert summary == UpdateSummary(3, 0, 0)
    assert describer.described == 3


def test_progress_is_told_how_much_there_will_be(tmp_path: Path, index: Index) -> None:
    make(tmp_path / "photos", 7, frozenset({1}))
    heard: list[object] = []
    given = [tmp_path / "missing.jpg", tmp_path / "photos"]
    update(
        *(index, listings(given), RecordingDescriber),
        planned=heard.append,
        progress=heard.append,
    )
    assert heard[0] == 8
    assert len(heard) == 9


def test_stored_a_batch_at_a_time(tmp_path: Path, index: Index) -> None:
    folder = tmp_path / "photos"
    make(folder, 10)
    counts: list[int] = []
    describer = RecordingDescriber(
        batch_size=3, before_describing=lambda _: counts.append(index.counts().photos)
    )
    update(index, listings([folder]), lambda: describer)
    assert counts == [0, 3, 6, 9]
    assert index.counts().photos == 10


def test_whatever_fails_a_batch_is_stored_before_the_next_is_described(
    tmp_path: Path, index: Index
) -> None:
    folder = tmp_path / "photos"
    make(folder, 20, frozenset({1, 4, 5, 9, 16}))
    stored: list[tuple[int, int]] = []
    describer = RecordingDescriber(
        batch_size=4,
        before_describing=lambda described: stored.append((described, index.counts().described)),
    )
    update(index, listings([folder]), lambda: describer)
    assert stored == [(0, 0), (4, 4), (8, 8), (12, 12)]
    assert index.counts().failed == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_keeps_what_is_finished(
    tmp_path: Path, index: Index, error: type[BaseException]
) -> None:
    folder = tmp_path / "photos"
    make(folder, 20)
    done = count(1)

    def interrupt(result: Result) -> None:
        if next(done) == 11:
            raise error

    with pytest.raises(error):
        update(index, listings([folder]), RecordingDescriber, progress=interrupt)
    assert index.counts().described == 12  # the batch that the eleventh is in
    assert update(index, listings([folder]), RecordingDescriber) == UpdateSummary(8, 0, 12)


def test_what_is_told_is_stored(folder: Path, index: Index) -> None:
    make(folder, 10, frozenset({3}))
    told = 0

    def progress(result: Result) -> None:
        nonlocal told
        told += 1
        with Index.open(index.path) as reader:
            assert reader.counts().photos >= told

    again(index, folder, load=RecordingDescriber, progress=progress)
    assert told == 10


def test_photos_that_nobody_can_read_load_no_model(folder: Path, index: Index) -> None:
    make(folder, 5, frozenset(range(5)))
    assert again(index, folder) == UpdateSummary(failed=5)
    assert again(index, folder) == UpdateSummary(unchanged=5)


def test_failures_are_tried_again_when_asked_for(folder: Path, index: Index) -> None:
    make(folder, 4, frozenset({1}))
    again(index, folder, load=RecordingDescriber)
    retry = UpdateOptions(retry_failed=True)
    assert again(index, folder, options=retry) == UpdateSummary(failed=1, unchanged=3)


@pytest.mark.parametrize("after", [1, 2, 6, 11])
def test_a_wish_to_stop_is_followed_and_what_is_in_hand_is_finished(
    folder: Path, index: Index, after: int
) -> None:
    make(folder, 12)
    asked = count()
    summary = again(index, folder, load=RecordingDescriber, stop=lambda: next(asked) >= after)
    assert summary.stopped
    assert summary.described == index.counts().described < 12
    assert index.roots() == []
    assert again(index, folder, load=RecordingDescriber).described == 12 - summary.described


# What moved


def test_a_moved_photo_keeps_everything_and_needs_no_model(folder: Path, index: Index) -> None:
    old, other = make(folder, 2)
    again(index, folder, load=RecordingDescriber)
    before = numbers(index)
    person_says(index, old, "Rex.")
    new = folder / "deeper/renamed.jpg"
    new.parent.mkdir()
    old.rename(new)
    told: list[Result] = []
    assert again(index, folder, progress=told.append) == UpdateSummary(moved=1, unchanged=1)
    assert [
        (kept.photo.path, kept.change, kept.source)
        for kept in told
        if isinstance(kept, RecognisedPhoto)
    ] == [(new, "moved", old)]
    assert numbers(index) == {"renamed.jpg": before["000.jpg"], "001.jpg": before["001.jpg"]}
    assert words(index, new) == {"Rex.", "A red photo."}
    assert words(index, other) == {"A green photo."}
    assert missing(index) == []
    assert again(index, folder) == UpdateSummary(unchanged=2)


def test_a_photo_moved_after_it_was_found_missing_is_kept(folder: Path, index: Index) -> None:
    old, _ = make(folder, 2)
    again(index, folder, load=RecordingDescriber)
    old.rename(folder.parent / "away.jpg")
    assert again(index, folder) == UpdateSummary(unchanged=1, missing=1)
    assert missing(index) == ["000.jpg"]
    (folder.parent / "away.jpg").rename(folder / "new.jpg")
    assert again(index, folder) == UpdateSummary(moved=1, unchanged=1)
    assert missing(index) == []


def test_a_touched_photo_is_not_described_again(folder: Path, index: Index) -> None:
    (path,) = make(folder, 1)
    again(index, folder, load=RecordingDescriber)
    os.utime(path, ns=(1, 1))
    assert again(index, folder) == UpdateSummary(unchanged=1)
    assert rows(index, "SELECT mtime_ns FROM photos") == [(1,)]


@pytest.mark.parametrize("order", [[1, 2, 0], [1, 0, 2], [2, 0, 1]], ids=str)
def test_names_that_were_exchanged_follow_their_photos(
    folder: Path, index: Index, order: Sequence[int]
) -> None:
    paths = make(folder, 3)
    again(index, folder, load=RecordingDescriber)
    for path in paths:
        person_says(index, path, f"Once {path.name}.")
        path.rename(path.with_suffix(".old"))
    for at, path in enumerate(paths):
        paths[order[at]].with_suffix(".old").rename(path)
        os.utime(path, ns=(at + 5, at + 5))  # as files with dates of their own would have
    assert again(index, folder).missing == 0
    for at, path in enumerate(paths):
        assert f"Once {paths[order[at]].name}." in words(index, path)
        assert f"A {COLOURS[order[at]]} photo." in words(index, path)


def test_names_that_were_passed_on_follow_their_photos(folder: Path, index: Index) -> None:
    first, second, third = make(folder, 3)
    again(index, folder, load=RecordingDescriber)
    for path in (first, second, third):
        person_says(index, path, f"Once {path.name}.")
    first.unlink()
    second.rename(first)
    third.rename(second)
    assert again(index, folder).moved == 2
    assert "Once 001.jpg." in words(index, first)
    assert "Once 002.jpg." in words(index, second)
    assert missing(index) == ["002.jpg"]
    assert words(index, third) == {"Once 000.jpg.", "A red photo."}


def test_an_edited_photo_keeps_its_words_and_so_does_its_original(
    folder: Path, index: Index
) -> None:
    (path,) = make(folder, 1)
    again(index, folder, load=RecordingDescriber)
    person_says(index, path, "Rex.")
    original = path.with_stem("original")
    path.rename(original)
    photo(path, "blue")
    assert again(index, folder, load=RecordingDescriber) == UpdateSummary(described=1, copied=1)
    assert words(index, path) == {"Rex.", "A blue photo."}
    assert words(index, original) == {"Rex.", "A red photo."}


# Copies


def test_copies_are_described_once(folder: Path, index: Index) -> None:
    path, _ = make(folder, 2)
    for at in range(3):
        (folder / f"copy {at}.jpg").write_bytes(path.read_bytes())
    describer = RecordingDescriber()
    summary = again(index, folder, load=lambda: describer)
    assert summary == UpdateSummary(described=2, copied=3)
    assert describer.described == 2
    person_says(index, path, "Rex.")
    (folder / "late.jpg").write_bytes(path.read_bytes())
    assert again(index, folder) == UpdateSummary(copied=1, unchanged=5)
    assert words(index, folder / "copy 0.jpg") == {"A red photo."}
    assert words(index, folder / "late.jpg") == {"A red photo.", "Rex."}
    [hit] = index.search("red")
    assert len(hit.copies) == 4
    for table in ("features", "vectors", "facts", "keywords"):
        sql = f"SELECT count(DISTINCT photo) FROM {table}"
        assert rows(index, sql) == [(6,)], table


def test_copies_of_a_broken_photo_fail_each(folder: Path, index: Index) -> None:
    (path,) = make(folder, 1, frozenset({0}))
    for at in range(3):
        (folder / f"copy {at}.jpg").write_bytes(path.read_bytes())
    assert again(index, folder) == UpdateSummary(failed=4)


def test_files_of_one_size_are_not_taken_for_copies(folder: Path, index: Index) -> None:
    paths = [photo(folder / f"{name}.jpg", "red") for name in "abc"]
    assert len({path.stat().st_size for path in paths}) == 1
    assert again(index, folder, load=RecordingDescriber) == UpdateSummary(described=3)


# What is gone


def test_what_is_gone_is_marked_and_what_is_back_is_taken_up(folder: Path, index: Index) -> None:
    path, _, _ = make(folder, 3)
    again(index, folder, load=RecordingDescriber)
    content, found = path.read_bytes(), path.stat()
    path.unlink()
    assert again(index, folder) == UpdateSummary(unchanged=2, missing=1)
    assert index.counts().missing == 1
    assert index.search("red", exact=True) == []
    assert again(index, folder) == UpdateSummary(unchanged=2)
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert again(index, folder) == UpdateSummary(unchanged=3, back=1)
    assert len(index.search("red", exact=True)) == 1


def test_an_empty_root_marks_nothing(folder: Path, index: Index) -> None:
    make(folder, 3)
    again(index, folder, load=RecordingDescriber)
    for path in folder.iterdir():
        path.unlink()
    assert again(index, folder) == UpdateSummary()
    assert index.counts().missing == 0
    assert index.empty_roots() == [(folder, 3)]


def test_a_folder_that_holds_other_things_is_not_an_empty_drive(folder: Path, index: Index) -> None:
    make(folder, 3)
    again(index, folder, load=RecordingDescriber)
    (folder / "notes.txt").touch()
    for path in folder.glob("*.jpg"):
        path.unlink()
    assert again(index, folder) == UpdateSummary(missing=3)
    assert index.empty_roots() == []


def everywhere(index: Index, *roots: Path, **options: object) -> UpdateSummary:
    """Update an index as `captioner index` without arguments does."""
    return again(index, *roots, everywhere=True, **options)


def test_a_folder_that_was_deleted(folder: Path, index: Index) -> None:
    keep, old = folder / "keep", folder / "old"
    make(keep, 1)
    make(old / "deeper", 2)
    again(index, keep, old, load=RecordingDescriber)
    shutil.rmtree(old)
    assert again(index, keep) == UpdateSummary(unchanged=1)
    assert everywhere(index, keep) == UpdateSummary(unchanged=1, missing=2)
    assert {one.reason for one in index.missing_photos()} == {"gone"}
    assert index.search("green", exact=True) == []
    assert everywhere(index, keep) == UpdateSummary(unchanged=1)
    make(old / "deeper", 2)
    assert again(index, old) == UpdateSummary(unchanged=2)  # by their content
    assert index.counts().missing == 0


def test_a_folder_that_was_deleted_and_is_named_all_the_same(folder: Path, index: Index) -> None:
    make(folder / "deeper", 2)
    again(index, folder, load=RecordingDescriber)
    shutil.rmtree(folder / "deeper")
    summary = again(index, folder / "deeper")
    assert (summary.failed, summary.missing) == (1, 2)


def test_a_deleted_folder_is_forgotten_with_its_last_photo(folder: Path, index: Index) -> None:
    (path,) = make(folder / "old", 1)
    make(folder / "keep", 1)
    again(index, folder / "old", folder / "keep", load=RecordingDescriber)
    path.rename(folder / "keep/moved.jpg")
    (folder / "old").rmdir()
    assert everywhere(index, folder / "keep") == UpdateSummary(moved=1, unchanged=1)
    assert index.roots() == [folder / "keep"]


@pytest.mark.parametrize("left", ["nothing", "an empty mount point", "a broken link"])
def test_a_folder_behind_a_link_to_a_drive_that_is_away(
    folder: Path, index: Index, left: str
) -> None:
    drive, link = folder / "drive", folder / "link"
    make(drive / "photos", 2)
    link.symlink_to(drive)
    again(index, link / "photos", load=RecordingDescriber)
    shutil.rmtree(drive)
    if left == "an empty mount point":
        drive.mkdir()
    elif left == "nothing":
        link.unlink()
    gone = 2 if left == "nothing" else 0
    assert everywhere(index) == UpdateSummary(missing=gone)
    (folder.parent / "x.txt").touch()
    assert everywhere(index) == UpdateSummary()
    assert index.roots() == [link / "photos"]


def test_a_deleted_folder_whose_drive_is_away(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, drive = folder.parent / "mounts", folder / "drive"
    make(drive / "photos", 2)
    mounted(monkeypatch, table, f"/dev/sdb1 {drive} vfat")
    again(index, drive / "photos", load=RecordingDescriber)
    shutil.rmtree(drive / "photos")
    mounted(monkeypatch, table)
    assert everywhere(index) == UpdateSummary()
    assert index.unmarked_missing() == []
    mounted(monkeypatch, table, f"/dev/sdb1 {drive} vfat")
    assert [one.path.name for one in index.unmarked_missing()] == ["000.jpg", "001.jpg"]
    assert everywhere(index) == UpdateSummary(missing=2)


def test_a_file_that_cannot_be_looked_at_is_not_gone(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(folder, 2)
    again(index, folder, load=RecordingDescriber)
    stat = os.stat

    def stale(path: object, **options: object) -> os.stat_result:
        if os.fsencode(path).endswith(b"000.jpg"):  # type: ignore[arg-type]
            raise OSError(errno.ESTALE, "Stale file handle")
        return stat(path, **options)  # type: ignore[call-overload,no-any-return]

    (folder / "000.jpg").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stale)
        assert again(index, folder) == UpdateSummary(unchanged=1)
    assert again(index, folder) == UpdateSummary(unchanged=1, missing=1)


# Files that were named


def test_a_named_file_that_was_deleted(folder: Path, index: Index) -> None:
    here = make(folder / "here", 3)
    there = make(folder / "there", 2)
    again(index, *here, *there, load=RecordingDescriber)
    here[1].unlink()
    there[1].unlink()
    assert again(index, here[0]) == UpdateSummary(unchanged=1, missing=1)
    assert [one.path for one in index.missing_photos()] == [here[1]]
    assert [one.path for one in index.unmarked_missing()] == [there[1]]
    assert everywhere(index) == UpdateSummary(missing=1)


def test_a_named_file_that_was_deleted_and_is_named_again(folder: Path, index: Index) -> None:
    path, _ = make(folder, 2)
    again(index, path, load=RecordingDescriber)
    path.unlink()
    summary = again(index, path)
    assert (summary.failed, summary.missing) == (1, 1)


def test_named_files_on_a_drive_that_is_away(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, drive = folder.parent / "mounts", folder / "drive"
    paths = make(drive, 2)
    mounted(monkeypatch, table, f"/dev/sdb1 {drive} vfat")
    again(index, *paths, load=RecordingDescriber)
    for path in paths:
        path.unlink()
    mounted(monkeypatch, table)
    assert everywhere(index) == UpdateSummary()
    mounted(monkeypatch, table, f"/dev/sdb1 {drive} vfat")
    assert everywhere(index) == UpdateSummary(missing=2)


def test_a_photo_whose_link_leads_to_nothing(folder: Path, index: Index) -> None:
    (target,) = make(folder.parent / "elsewhere", 1)
    make(folder, 1)
    (folder / "link.jpg").symlink_to(target)
    again(index, folder, load=RecordingDescriber)
    target.unlink()
    assert again(index, folder) == UpdateSummary(unchanged=1)  # the drive may be away
    photo(target.with_name("other.jpg"), "blue")
    assert again(index, folder) == UpdateSummary(unchanged=1, missing=1)


# What is ignored


def test_what_an_ignore_file_names_now_is_ignored_until_it_no_longer_does(
    folder: Path, index: Index
) -> None:
    make(folder, 2)
    make(folder / "private", 2)
    make(folder / "covers/deeper", 2)
    again(index, folder, load=RecordingDescriber)
    (folder / ".captionerignore").write_text("private/\n/001.jpg\n")
    (folder / "covers/.nomedia").touch()
    assert again(index, folder) == UpdateSummary(unchanged=1, ignored=5)
    assert (index.counts().missing, index.counts().ignored) == (0, 5)
    assert len(index.search("red")) == 1
    assert {one.reason for one in index.missing_photos()} == {"ignored"}
    assert again(index, folder) == UpdateSummary(unchanged=1)
    (folder / ".captionerignore").unlink()
    (folder / "covers/.nomedia").unlink()
    assert again(index, folder) == UpdateSummary(unchanged=6, back=5)
    assert index.counts().ignored == 0


def test_a_folder_that_an_ignore_file_leaves_out_whole(folder: Path, index: Index) -> None:
    make(folder, 2)
    again(index, folder, load=RecordingDescriber)
    (folder / ".captionerignore").write_text("*\n")
    assert again(index, folder) == UpdateSummary(ignored=2)


def test_what_one_run_leaves_out_is_not_ignored(folder: Path, index: Index) -> None:
    make(folder, 2)
    make(folder / ".hidden", 1)
    again(index, folder, folder / ".hidden", load=RecordingDescriber)
    excluding = Selection(exclude=("000.jpg",))
    summary = update(index, listings([folder], excluding), unloadable, roots=[folder])
    assert summary == UpdateSummary(unchanged=1)


def test_a_folder_that_is_ignored_and_was_named_itself(folder: Path, index: Index) -> None:
    make(folder, 1)
    make(folder / "private", 1)
    (folder / ".captionerignore").write_text("private/\n")
    again(index, folder, folder / "private", load=RecordingDescriber)
    assert again(index, folder) == UpdateSummary(unchanged=1)
    assert index.counts().ignored == 0


def test_an_ignore_file_that_makes_no_sense_ignores_nothing(folder: Path, index: Index) -> None:
    make(folder, 1)
    again(index, folder, load=RecordingDescriber)
    (folder / ".captionerignore").write_text("!\n*.jpg\n")
    assert again(index, folder) == UpdateSummary(failed=1)


@pytest.mark.parametrize("seconds", [-1_000_000_000, 15_032_385_535])
def test_files_of_the_far_past_and_future(folder: Path, index: Index, seconds: int) -> None:
    path, other, _ = make(folder, 3)
    try:
        os.utime(path, (seconds, seconds))
        os.utime(other, (seconds, seconds))
    except OSError:
        pytest.skip("this file system cannot hold it")
    assert again(index, folder, load=RecordingDescriber) == UpdateSummary(described=3)
    assert again(index, folder) == UpdateSummary(unchanged=3)


def test_only_what_was_walked_is_judged(folder: Path, index: Index) -> None:
    here, there = folder / "here", folder / "there"
    make(here, 2)
    make(there, 2)
    again(index, folder, load=RecordingDescriber)
    (here / "000.jpg").unlink()
    (there / "000.jpg").unlink()
    assert again(index, here) == UpdateSummary(unchanged=1, missing=1)
    assert [one.path.parent.name for one in index.missing_photos()] == ["here"]
    assert index.missing_photos([there]) == []


def test_what_was_passed_over_is_not_gone(folder: Path, index: Index) -> None:
    make(folder, 3)
    hidden = photo(folder / ".hidden.jpg", "red")
    again(index, folder, hidden, load=RecordingDescriber)
    assert again(index, folder) == UpdateSummary(unchanged=3)


def test_what_cannot_be_looked_at_is_not_gone(folder: Path, index: Index) -> None:
    make(folder, 2)
    make(folder / "locked", 2)
    again(index, folder, load=RecordingDescriber)
    found = [
        Failure(folder / "locked", "you have no permission to read it.")
        if "locked" in one.path.parts
        else Listing.of(one)
        for one in walk([folder])
    ]
    (folder / "locked/000.jpg").unlink()
    assert update(index, found, unloadable, roots=[folder]).missing == 0


def mounted(monkeypatch: pytest.MonkeyPatch, table: Path, *lines: str) -> None:
    """Let these lines, and the file system below all, be what is mounted."""
    text = "".join(f"{line} rw 0 0\n" for line in ("/dev/sda1 / ext4", *lines))
    table.write_text(text)
    monkeypatch.setattr(mounts, "TABLE", table)


def test_a_drive_that_is_away_is_not_gone(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, drive = folder.parent / "mounts", folder / "my drive"
    make(folder, 2)
    make(drive, 2)
    mounted(monkeypatch, table, f"//nas/x {str(drive).replace(' ', chr(92) + '040')} cifs")
    again(index, folder, load=RecordingDescriber)
    for path in drive.iterdir():
        path.unlink()
    mounted(monkeypatch, table)
    assert again(index, folder) == UpdateSummary(unchanged=2)
    drive.rmdir()
    assert again(index, folder) == UpdateSummary(unchanged=2)
    mounted(monkeypatch, table, f"//nas/x {str(drive).replace(' ', chr(92) + '040')} cifs")
    assert again(index, folder) == UpdateSummary(unchanged=2, missing=2)


def test_a_copy_of_a_photo_on_a_drive_that_is_away_is_a_copy(
    folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, drive = folder.parent / "mounts", folder / "drive"
    path = photo(drive / "a.jpg", "red")
    mounted(monkeypatch, table, f"/dev/sdb1 {drive} vfat")
    again(index, drive, load=RecordingDescriber)
    path.rename(folder / "b.jpg")
    mounted(monkeypatch, table)
    assert again(index, folder) == UpdateSummary(copied=1)


# Another model


class Renamed(RecordingDescriber):
    """A model of the same encoder that says other things."""

    model_id = "another"

    def describe(self, pixels: Sequence[DecodedPhoto], features: object) -> list[object]:  # type: ignore
        from dataclasses import replace

        said = super().describe(pixels, features)  # type: ignore[arg-type]
        new = [replace(one.captions[0], text=one.captions[0].text.upper()) for one in said]
        return [replace(one, captions=(text,)) for one, text in zip(said, new, strict=True)]


def recaption(describer: RecordingDescriber | type[RecordingDescriber]) -> UpdateOptions:
    return UpdateOptions(recaption=BundleIds(describer.model_id, describer.encoder_id))


def test_another_model_describes_from_features(folder: Path, index: Index) -> None:
    paths = make(folder, 6)
    again(index, folder, load=RecordingDescriber)
    person_says(index, paths[0], "Rex.")
    before = numbers(index)
    for path in paths[1:]:
        path.unlink()  # as a drive that is away
    describer = Renamed()
    summary = again(index, folder, load=lambda: describer, options=recaption(Renamed))
    assert (summary.recaptioned, summary.described) == (6, 0)
    assert describer.encoded == []
    assert numbers(index) == before
    assert words(index, paths[0]) == {"Rex.", "A RED PHOTO."}
    assert index.model_ids() == ["another"]
    assert again(index, folder, options=recaption(Renamed)).recaptioned == 0


def test_another_encoder_reads_the_photos_again(folder: Path, index: Index) -> None:
    class Other(Renamed):
        encoder_id = "sees more"

    paths = make(folder, 6, frozenset({5}))
    again(index, folder, load=RecordingDescriber)
    person_says(index, paths[0], "Rex.")
    describer = Other()
    summary = again(index, folder, load=lambda: describer, options=recaption(Other))
    assert summary == UpdateSummary(described=5, unchanged=1)
    assert sum(describer.encoded) == 5
    assert words(index, paths[0]) == {"Rex.", "A RED PHOTO."}
    assert again(index, folder, options=recaption(Other)) == UpdateSummary(unchanged=6)


def test_only_photos_below_the_folders_named_are_described_again(
    folder: Path, index: Index
) -> None:
    make(folder / "here", 2)
    make(folder / "there", 2)
    again(index, folder, load=RecordingDescriber)
    summary = again(index, folder / "here", load=Renamed, options=recaption(Renamed))
    assert (summary.recaptioned, summary.unchanged) == (2, 2)
    assert index.model_ids() == ["another", RecordingDescriber.model_id]
