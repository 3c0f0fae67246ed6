"""The index as a store: detecting changes, transactions, locks, failing disks."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fake_descriptions import description, failure, photo
from processes import SUPPORT

from captioner.errors import CaptionerError, UsageError
from captioner.index import Change, Counts, Index, database
from captioner.types import Failure, Listing, Photo


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "captioner.db"


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def integrity(path: Path) -> None:
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO texts_fts (texts_fts) VALUES ('integrity-check')")
    connection.close()


def insert_human_caption(path: Path, name: str, text: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "INSERT INTO captions (photo, source, rank, text) "
            "SELECT id, 'person', 0, ? FROM photos WHERE path = ?",
            [text, database.path_key(photo(name).path)],
        )
    connection.close()


# Detecting changes


def test_only_new_and_changed_photos_are_pending(path: Path) -> None:
    same, larger, touched, new = (photo(name) for name in ("same", "larger", "touched", "new"))
    with Index.open(path, write=True) as index:
        index.store([description(each) for each in (same, larger, touched)], "m")
        larger, touched = photo("larger", size=1001), photo("touched", mtime_ns=2)
        assert list(index.pending([new, same, touched, larger])) == [new, touched, larger]
        index.store([description(each) for each in (new, touched, larger)], "m")
        assert list(index.pending([new, same, touched, larger])) == []


def test_only_new_and_changed_photos_of_a_listing_are_reported(path: Path) -> None:
    names = ["a.jpg", "b.jpg", "b.jpg/under a folder.jpg", "c\udce9.jpg", "d.jpg"]
    with Index.open(path, write=True) as index:
        index.store([description(photo(f"/photos/{name}")) for name in names], "m")
        names.remove("b.jpg/under a folder.jpg")  # sorts between the others, in another folder
        size, mtime_ns = photo("any").size, photo("any").mtime_ns
        listing = Listing("/photos/", names, [size] * 4, [mtime_ns] * 4)
        scan = index.scan()
        assert list(scan.changes([listing, listing])) == []
        assert scan.unchanged == 4
        listing.names[1], listing.sizes[2] = "bb.jpg", size + 1
        assert [(each.path_str, change) for each, change in index.scan().changes([listing])] == [
            ("/photos/bb.jpg", Change.NEW),
            ("/photos/c\udce9.jpg", Change.CHANGED),
        ]


def test_no_pending_photo_is_opened(path: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "a pipe that nobody writes to, which would block whoever opens it"
    os.mkfifo(fifo)
    with Index.open(path, write=True) as index:
        assert [each.path for each in index.pending([photo(str(fifo))])] == [fifo]


def test_failed_photos_are_tried_again_only_when_they_changed(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([failure("broken.jpg")], "m")
        assert list(index.pending([photo("broken.jpg")])) == []
        repaired = photo("broken.jpg", size=2000)
        assert list(index.pending([repaired])) == [repaired]
        index.store([description(repaired)], "m")
        assert index.counts() == Counts(photos=1, described=1, failed=0, missing=0)
    assert rows(path, "SELECT status, reason FROM photos") == [("described", None)]


def test_relative_and_absolute_paths_are_one_photo(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    relative = Photo(Path("photos/../photos/a.jpg"), 1000, 1)
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg")], "m")
        assert list(index.pending([relative])) == []


def test_pending_may_be_consumed_by_a_loader_thread(path: Path) -> None:
    found: list[object] = []
    with Index.open(path, write=True) as index:
        pending = index.pending(photo(f"{number}.jpg") for number in range(100))
        thread = threading.Thread(target=lambda: found.extend(pending))
        thread.start()
        for number in range(100):
            index.store([description(f"other {number}.jpg")], "m")
        thread.join()
    assert len(found) == 100


# Storing


def test_all_of_a_description_is_stored(path: Path) -> None:
    original = description(
        "a.jpg", "A dog runs.", "A dog.", keywords=["dog", "grass"], words=[1, 2]
    )
    with Index.open(path, write=True) as index:
        index.store([original], "m")
        stored = index.vectors(Path("/photos/a.jpg"), "m")
        assert index.vectors(Path("/photos/a.jpg"), "another") is None
        assert index.vectors(Path("/photos/b.jpg"), "m") is None
    assert stored is not None
    assert np.array_equal(stored.embedding, original.vectors.embedding)
    assert np.array_equal(stored.word_hidden, original.vectors.word_hidden)
    assert rows(path, "SELECT path, size, mtime_ns, content_hash, width, height FROM photos") == [
        (b"/photos/a.jpg", 1000, 1, original.content_hash, 640, 480)
    ]
    assert rows(path, "SELECT text, rank, score, log_probability FROM captions") == [
        ("A dog runs.", 0, 0.5, -10.0),
        ("A dog.", 1, 0.5, -10.0),
    ]
    assert rows(path, "SELECT word, probability FROM keywords") == [("dog", 0.9), ("grass", 0.9)]
    assert rows(path, "SELECT feature FROM features") == [(original.feature.tobytes(),)]


def test_a_new_description_replaces_the_models_old_one(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg", "A dog.", "One dog.", keywords=["dog"])], "old")
        index.store([description("a.jpg", "A cat.", keywords=["cat"])], "new")
        assert index.model_ids() == ["new"]
        assert index.search("dog") == []
        assert [hit.caption for hit in index.search("cat")] == ["A cat."]
    assert rows(path, "SELECT text, model_id FROM captions") == [("A cat.", "new")]
    assert rows(path, "SELECT word FROM keywords") == [("cat",)]
    integrity(path)


def test_a_photo_that_fails_loses_its_description(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg", "A dog.")], "m")
        index.store([failure(photo("a.jpg", size=3), "it is truncated.")], "m")
        assert index.search("dog") == []
        assert index.counts() == Counts(photos=1, described=0, failed=1, missing=0)
    assert rows(path, "SELECT reason, width FROM photos") == [("it is truncated.", None)]
    assert rows(path, "SELECT * FROM vectors") == []


@pytest.mark.parametrize("then", [description("a.jpg", "A cat."), failure("a.jpg")])
def test_a_human_caption_outlives_new_descriptions(path: Path, then: Failure) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg", "A dog.")], "m")
        insert_human_caption(path, "a.jpg", "Rex, our beagle.")
        index.store([then], "new")
        assert [hit.caption for hit in index.search("beagle")] == ["Rex, our beagle."]
    assert ("Rex, our beagle.",) in rows(path, "SELECT text FROM captions WHERE source = 'person'")


def test_failures_without_a_photo_and_transient_ones_are_not_stored(path: Path) -> None:
    away = photo("away.jpg")
    with Index.open(path, write=True) as index:
        index.store([description(away, "A dog.")], "m")
        absent = Failure(Path("/nowhere"), "it does not exist.")
        unreachable = Failure(away.path, "its drive does not answer.", away, transient=True)
        index.store([absent, unreachable])
        assert index.counts() == Counts(photos=1, described=1, failed=0, missing=0)
        assert [hit.caption for hit in index.search("dog")] == ["A dog."]


def test_a_photo_given_twice_is_stored_once(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg", "A dog."), description("a.jpg", "A cat.")], "m")
        assert [hit.caption for hit in index.search("cat dog")] == ["A cat."]


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"new\nline", "🐕.jpg".encode(), b"\xff%20?#&"])
def test_any_name_survives(path: Path, name: bytes) -> None:
    odd = photo(os.fsdecode(name))
    with Index.open(path, write=True) as index:
        index.store([description(odd, "A dog.")], "m")
        assert list(index.pending([odd])) == []
        (hit,) = index.search("dog")
    assert os.fsencode(hit.path) == b"/photos/" + name


def test_the_database_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 100%?#&mode=rw") / "my photos.db"
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg")], "m")
    with Index.open(path) as index:
        assert index.counts().photos == 1


def test_a_failing_store_stores_nothing_of_its_batch(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg")], "m")
        twice = description("b.jpg", keywords=["dog", "dog"])
        with pytest.raises(sqlite3.IntegrityError):
            index.store([description("a.jpg", "A cat."), description("c.jpg"), twice], "m")
        assert index.counts().photos == 1
        assert index.search("cat") == []


# Readers and writers


def test_reading_needs_an_index(path: Path) -> None:
    with pytest.raises(UsageError, match=r"no index at .*captioner index"):
        Index.open(path)
    assert not path.parent.exists()


def test_a_reader_cannot_write(path: Path) -> None:
    Index.open(path, write=True).close()
    with Index.open(path) as index, pytest.raises(CaptionerError, match="cannot be written"):
        index.store([description("a.jpg")], "m")


def test_a_reader_works_while_another_writes(path: Path) -> None:
    with Index.open(path, write=True) as writer, Index.open(path) as reader:
        writer.store([description("a.jpg", "A dog.")], "m")
        assert [hit.caption for hit in reader.search("dog")] == ["A dog."]
        with writer._connection:  # in the middle of a transaction
            writer._connection.execute("DELETE FROM texts")
            assert [hit.caption for hit in reader.search("dog")] == ["A dog."]
            with Index.open(path) as another:
                assert another.counts().photos == 1
        assert reader.search("dog") == []


SETTING = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(SUPPORT)!r})
from fake_descriptions import description
from captioner.index import Index
path = Path(sys.argv[1])
"""


@contextmanager
def process(path: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `code`, once it is ready."""
    command = [sys.executable, "-c", SETTING + code, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
        child.kill()


HOLDING = "index = Index.open(path, write=True); print('ready', flush=True); sys.stdin.read()"


def test_a_second_writer_learns_who_holds_the_lock(path: Path) -> None:
    with process(path, HOLDING) as child:
        with pytest.raises(CaptionerError) as caught:
            Index.open(path, write=True)
        assert f"process {child.pid} on {os.uname().nodename} since 20" in caught.value.reason
        Index.open(path).close()


def test_the_lock_of_a_dead_process_is_taken_over(path: Path) -> None:
    with process(path, HOLDING) as child:
        child.kill()
        child.wait()
        with Index.open(path, write=True) as index:
            index.store([description("a.jpg")], "m")


def test_the_lock_ends_with_the_index(path: Path) -> None:
    with (
        Index.open(path, write=True),
        pytest.raises(CaptionerError, match="is being written to by"),
    ):
        Index.open(path, write=True)
    Index.open(path, write=True).close()


# Crashes and failing disks

IN_TRANSACTION = """
index = Index.open(path, write=True)
index.store([description("done.jpg", "A dog.")], "m")
def batch():
    for number in range(2000):
        yield description(f"{number}.jpg", "A cat.")
    print("ready", flush=True)
    sys.stdin.read()
index._connection.execute("PRAGMA cache_size = 10")  # it reaches the file before the commit
index.store(batch(), "m")
"""


def test_a_kill_in_a_transaction_loses_only_that_batch(path: Path) -> None:
    with process(path, IN_TRANSACTION) as child:
        assert path.with_name(path.name + "-wal").stat().st_size > 500_000
        child.send_signal(signal.SIGKILL)
        child.wait()
    with Index.open(path) as index:
        assert [hit.caption for hit in index.search("dog cat")] == ["A dog."]
    integrity(path)
    with Index.open(path, write=True) as index:
        assert list(index.pending([photo("done.jpg"), photo("1.jpg")])) == [photo("1.jpg")]


def test_a_full_disk_is_reported_and_harms_nothing(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg", "A dog.")], "m")
        (pages,) = index._connection.execute("PRAGMA page_count").fetchone()
        index._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(CaptionerError, match="disk is full"):
            index.store([description(f"{number}.jpg") for number in range(1000)], "m")
        assert index.counts().photos == 1
    integrity(path)


def test_a_failing_disk_is_reported_and_harms_nothing(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg", "A dog.")], "m")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
        try:
            with pytest.raises(CaptionerError, match="its disk reports an error"):
                index.store([description(f"{number}.jpg") for number in range(1000)], "m")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert index.counts().photos == 1
    integrity(path)


def test_a_lock_of_another_program_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "TIMEOUT", 0.01)
    Index.open(path, write=True).close()
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CaptionerError, match="is locked by another program"):
        Index.open(path, write=True)
    other.close()
    Index.open(path, write=True).close()


@pytest.mark.parametrize("write", [False, True])
def test_a_file_that_is_not_a_database_is_left_alone(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1000)
    with pytest.raises(CaptionerError, match=r"notes\.txt is not a database"):
        Index.open(path, write=write)
    assert path.read_text() == "Dear diary, " * 1000


def test_a_damaged_database_is_reported(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description(f"{number}.jpg") for number in range(100)], "m")
    content = bytearray(path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(CaptionerError, match="is damaged"), Index.open(path) as index:
        index.search("dog")


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    for write in (True, False):
        with pytest.raises(UsageError, match="is a folder, not a database"):
            Index.open(tmp_path, write=write)


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CaptionerError, match=r"cannot be written: (Not a directory|File exists)"):
        Index.open(tmp_path / "file" / "captioner.db", write=True)


def test_a_read_only_folder_can_be_searched_but_not_written(path: Path) -> None:
    with Index.open(path, write=True) as index:
        index.store([description("a.jpg", "A dog.")], "m")
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("root may write anywhere")
    with pytest.raises(CaptionerError, match="cannot be written"):
        Index.open(path, write=True)
    path.with_name(path.name + ".lock").unlink()
    path.parent.chmod(0o555)
    try:
        with pytest.raises(CaptionerError, match="cannot be written: Permission denied"):
            Index.open(path, write=True)
        with Index.open(path) as index:
            assert [hit.caption for hit in index.search("dog")] == ["A dog."]
    finally:
        path.parent.chmod(0o755)
