"""Schema migrations: from blank, from every release, and refused if newer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fake_descriptions import description, photo

from captioner.errors import CaptionerError, UsageError
from captioner.index import Counts, Filters, Index, migrations
from captioner.types import Photo

SCHEMAS = Path(__file__).parent / "schemas"
RELEASED = [path.stem for path in sorted(SCHEMAS.glob("*.sql"))]
NAMES = [step.__name__ for step in migrations.STEPS]


def release(path: Path, name: str) -> None:
    """Build the database as the release whose last migration is `name` left it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SCHEMAS / f"{name}.sql").read_text())


def schema(path: Path) -> dict[str, str]:
    """Every table, index and trigger with its SQL, without spaces and quotes."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: "".join(sql.replace('"', "").split()) for name, sql in found}


def test_every_migration_has_its_released_schema() -> None:
    assert RELEASED == NAMES


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_migration_is_never_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    release(tmp_path / "released.db", name)
    monkeypatch.setattr(migrations, "STEPS", migrations.STEPS[: NAMES.index(name) + 1])
    Index.open(tmp_path / "blank.db", write=True).close()
    assert schema(tmp_path / "blank.db") == schema(tmp_path / "released.db")


@pytest.mark.parametrize("name", RELEASED)
def test_every_release_is_migrated_with_nothing_lost(tmp_path: Path, name: str) -> None:
    path = tmp_path / "captioner.db"
    release(path, name)
    Index.open(tmp_path / "blank.db", write=True).close()
    with Index.open(path, write=True) as index:
        assert schema(path) == schema(tmp_path / "blank.db")
        assert index.counts() == Counts(photos=3, described=2, failed=1, missing=0)
        assert [hit.path for hit in index.search("running dogs")] == ["/photos/dog.jpg"]
        assert [hit.caption for hit in index.search("cat on a sofa")] == ["Rex, our beagle."]
        known = [Photo(Path(f"/photos/{name}.jpg"), 1000, 1) for name in ("dog", "broken", "rex")]
        assert list(index.pending(known)) == []
        assert [hit.path for hit in index.search("dog", filters=Filters(keywords=("dog",)))]
        index.store([description(photo("rex.jpg"), "A dog.")], "new")
        assert [hit.path for hit in index.search("beagle")] == ["/photos/rex.jpg"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        done = connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
    assert [name for (name,) in done] == NAMES


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"
    Index.open(path, write=True).close()
    before = path.read_bytes()
    Index.open(path, write=True).close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("write", [False, True])
def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "captioner.db"
    release(path, RELEASED[-1])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('captioner', 'm999_wonders', '2036-01-01')"
        )
    before = path.read_bytes()
    with pytest.raises(CaptionerError, match=r"newer version of captioner.*Upgrade"):
        Index.open(path, write=write)
    assert path.read_bytes() == before


def test_an_older_schema_is_read_only_after_an_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def m999_wonders(db: object) -> None: ...

    path = tmp_path / "captioner.db"
    release(path, RELEASED[-1])
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, m999_wonders))
    with pytest.raises(CaptionerError, match=r"older version of captioner.*captioner index"):
        Index.open(path)
    Index.open(path, write=True).close()
    Index.open(path).close()


@pytest.mark.parametrize("write", [False, True])
def test_another_programs_database_is_left_alone(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (address TEXT)")
    before = path.read_bytes()
    with pytest.raises(CaptionerError, match="another program"):
        Index.open(path, write=write)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_schema_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def m999_half(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE photos ADD COLUMN wonders TEXT")
        raise RuntimeError("power cut")

    path = tmp_path / "captioner.db"
    release(path, RELEASED[-1])
    before = schema(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", (*migrations.STEPS, m999_half))
        with pytest.raises(RuntimeError):
            Index.open(path, write=True)
    assert schema(path) == before
    Index.open(path, write=True).close()


def test_a_blank_file_is_not_yet_an_index(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"
    path.touch()
    with pytest.raises(UsageError, match="no index"):
        Index.open(path)
    Index.open(path, write=True).close()
    Index.open(path).close()
