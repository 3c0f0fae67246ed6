"""What the index lists about a whole library: duplicates and failures, in groups."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fake_descriptions import description, failure, photo

from captioner.index import Index


def mark_missing(index: Index, name: str) -> None:
    with sqlite3.connect(index.path) as connection:
        changed = connection.execute(
            "UPDATE photos SET missing_since = '2026-01-01', missing_reason = 'gone' "
            "WHERE path = ?",
            [f"/photos/{name}".encode()],
        )
        assert changed.rowcount == 1
    connection.close()


def test_duplicates_come_in_groups_the_largest_waste_first(tmp_path: Path) -> None:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        index.store(
            [
                description(photo("a.jpg", size=10, mtime_ns=3), content_hash=b"small"),
                description(photo("b.jpg", size=10, mtime_ns=1), content_hash=b"small"),
                description(photo("c.jpg", size=10, mtime_ns=2), content_hash=b"small"),
                description(photo("d.jpg", size=500), content_hash=b"large"),
                description(photo("e.jpg", size=500), content_hash=b"large"),
                description(photo("f.jpg", size=900), content_hash=b"half gone"),
                description(photo("g.jpg", size=900), content_hash=b"half gone"),
                description("alone.jpg"),
            ],
            "m",
        )
        index.store([failure("broken.jpg"), failure("broken too.jpg")])
        mark_missing(index, "g.jpg")
        large, small = index.duplicates()
    assert [Path(one.path).name for one in large.photos] == ["d.jpg", "e.jpg"]
    assert [Path(one.path).name for one in small.photos] == ["b.jpg", "c.jpg", "a.jpg"]
    assert (large.extra_bytes, small.extra_bytes) == (500, 20)
    assert (large.width, large.height) == (640, 480)
    assert len({one.id for one in (*large.photos, *small.photos)}) == 5


def test_failures_come_by_reason_whatever_numbers_it_holds(tmp_path: Path) -> None:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        index.store([description("fine.jpg")], "m")
        index.store(
            [
                failure("c.jpg", "it ends after 1,200 bytes."),
                failure("a.jpg", "it ends after 7 bytes."),
                failure("b.jpg", "it ends after 1.5 bytes."),
                failure("d.jpg", "it is empty."),
                failure("gone.jpg", "it is empty."),
            ]
        )
        mark_missing(index, "gone.jpg")
        often, once = index.failures(examples=2)
    assert (often.photos, once.photos) == (3, 1)
    assert [one.path for one in often.examples] == ["/photos/a.jpg", "/photos/b.jpg"]
    assert often.reason == "it ends after 7 bytes."
    assert [one.reason for one in once.examples] == ["it is empty."]
