"""Schema migrations, in order (`sqlite_utils.Migrations`).

A step that was released is never edited: a new one is added below it. The names of the steps that
were applied to a database are in its table `_sqlite_migrations`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import CaptionerError

# sqlite-utils takes a tenth of a second to import, which a search does not need.
if TYPE_CHECKING:
    from sqlite_utils import Database

_SET = "captioner"


def m001_photos(db: Database) -> None:
    """Photos, their captions, keywords, features and vectors, and the full-text index."""
    db.executescript("""
        CREATE TABLE photos (
            id INTEGER PRIMARY KEY,
            path BLOB NOT NULL UNIQUE,      -- absolute, in the file system's own bytes
            size INTEGER NOT NULL,          -- bytes
            mtime_ns INTEGER NOT NULL,
            content_hash BLOB,              -- BLAKE2b-160 of the file; NULL where it failed
            width INTEGER,                  -- pixels, upright
            height INTEGER,
            format TEXT,
            status TEXT NOT NULL CHECK (status IN ('described', 'failed')),
            reason TEXT,                    -- why it failed
            recorded_at TEXT NOT NULL,      -- UTC, ISO 8601
            missing_since TEXT              -- UTC, ISO 8601; NULL while the file is there
        );
        CREATE INDEX photos_missing ON photos (id) WHERE missing_since IS NOT NULL;

        CREATE TABLE captions (
            id INTEGER PRIMARY KEY,
            photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            source TEXT NOT NULL CHECK (source IN ('model', 'person')),
            model_id TEXT,                  -- NULL for a person
            rank INTEGER NOT NULL,          -- 0 is the best of its source
            text TEXT NOT NULL,
            score REAL,
            log_probability REAL,
            UNIQUE (photo, source, rank)
        );

        CREATE TABLE keywords (
            photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            word TEXT NOT NULL,
            probability REAL NOT NULL,
            PRIMARY KEY (photo, word)
        ) WITHOUT ROWID;

        CREATE TABLE features (
            photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            model_id TEXT NOT NULL,
            feature BLOB NOT NULL           -- float16, little-endian
        );

        -- Apart from the features, so that a search reads past nothing that it has no use for.
        CREATE TABLE vectors (
            photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            model_id TEXT NOT NULL,
            joint BLOB NOT NULL,            -- float16, little-endian, of unit length
            words BLOB NOT NULL             -- float16, little-endian
        );

        -- What the full-text index covers: drawn from captions and keywords whenever they change.
        CREATE TABLE texts (
            photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            caption TEXT NOT NULL,          -- the one shown: a person's, else the model's best
            others TEXT NOT NULL,           -- all further captions
            keywords TEXT NOT NULL
        );
    """)
    # The triggers keep it in step with its table inside whatever transaction touches that.
    db.table("texts").enable_fts(
        ["caption", "others", "keywords"], create_triggers=True, tokenize="porter unicode61"
    )


def m002_writes(db: Database) -> None:
    """Writes into files, with the patches that undo them."""
    db.executescript("""
        CREATE TABLE writes (
            id INTEGER PRIMARY KEY,
            photo BLOB NOT NULL,            -- the path of the photo it is about, as in photos
            content BLOB NOT NULL,          -- that photo's hash after the write, as in photos
            path BLOB NOT NULL,             -- of the file written, the photo or its sidecar
            before BLOB,                    -- SHA-256; NULL where there was no file
            after BLOB NOT NULL,            -- SHA-256: finds the record again after a move
            way_back BLOB NOT NULL,         -- packed splices, from after to before
            written_at TEXT NOT NULL,       -- UTC, ISO 8601
            UNIQUE (path, after)
        );
        CREATE INDEX writes_after ON writes (after);
    """)


def m003_facts(db: Database) -> None:
    """Facts: what cameras and people wrote into the photos."""
    db.executescript("""
        CREATE TABLE facts (
            photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            taken_at TEXT,                  -- local, ISO 8601 without offset
            taken_offset TEXT,              -- "+02:00"
            camera TEXT,
            lens TEXT,
            latitude REAL,                  -- degrees, north positive
            longitude REAL,                 -- degrees, east positive
            caption TEXT,                   -- a person's, as it stands in the file
            keywords TEXT NOT NULL          -- a person's: JSON list
        );
        CREATE INDEX facts_taken ON facts (taken_at) WHERE taken_at IS NOT NULL;
        CREATE INDEX facts_place ON facts (latitude, longitude) WHERE latitude IS NOT NULL;
        CREATE INDEX photos_content ON photos (content_hash) WHERE content_hash IS NOT NULL;
    """)


def m004_library(db: Database) -> None:
    """Encoders of features, an index of file sizes, roots and mount points."""
    db.executescript("""
        -- Digest of what made the feature; NULL where it was made before that was kept.
        ALTER TABLE features ADD COLUMN encoder TEXT;
        CREATE INDEX photos_size ON photos (size) WHERE content_hash IS NOT NULL;

        -- Folders as `captioner index` was given them: absolute, in the file system's own bytes.
        CREATE TABLE roots (path BLOB PRIMARY KEY) WITHOUT ROWID;
        -- Where drives were mounted above or below them. One that is away is not one that is empty.
        CREATE TABLE mounts (path BLOB PRIMARY KEY) WITHOUT ROWID;
    """)


def m005_sketches(db: Database) -> None:
    """Quantised chunks of vectors (`sketches`), and an index of keywords to filter by."""
    db.executescript("""
        -- Of 4096 photos each. Made from vectors, and rubbed out with the first that changes.
        CREATE TABLE sketches (
            id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
            run INTEGER NOT NULL,           -- of photos: id / 4096
            model_id TEXT NOT NULL,
            photos BLOB NOT NULL,           -- ids, int64, ascending
            joint BLOB NOT NULL,            -- int8, a row a photo
            joint_scales BLOB NOT NULL,     -- float32, one a photo: what its int8 are multiples of
            words BLOB NOT NULL,            -- the same of the word head's hidden layer
            words_scales BLOB NOT NULL,
            UNIQUE (run, model_id)
        );
        CREATE TRIGGER vectors_added AFTER INSERT ON vectors BEGIN
            DELETE FROM sketches WHERE run = NEW.photo / 4096;
        END;
        CREATE TRIGGER vectors_changed AFTER UPDATE ON vectors BEGIN
            DELETE FROM sketches WHERE run IN (OLD.photo / 4096, NEW.photo / 4096);
        END;
        CREATE TRIGGER vectors_removed AFTER DELETE ON vectors BEGIN
            DELETE FROM sketches WHERE run = OLD.photo / 4096;
        END;
        CREATE INDEX keywords_word ON keywords (word COLLATE NOCASE);
    """)


def m006_planes(db: Database) -> None:
    """Larger chunks of fewer components each; covering indexes for filters."""
    db.executescript("""
        DROP TRIGGER vectors_added;
        DROP TRIGGER vectors_changed;
        DROP TRIGGER vectors_removed;
        DROP TABLE sketches;
        -- Of 8192 photos each. Made from vectors, and rubbed out with the first that changes.
        CREATE TABLE sketches (
            id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
            run INTEGER NOT NULL,           -- of photos: id / 8192
            model_id TEXT NOT NULL,
            photos BLOB NOT NULL,           -- ids, int64, ascending
            joint BLOB NOT NULL,            -- int8, a row a photo: its places along the axes
            joint_frame BLOB NOT NULL,      -- float32: the mean, and a step along each axis
            words BLOB NOT NULL,            -- the same of the word head's hidden layer
            words_frame BLOB NOT NULL,
            UNIQUE (run, model_id)
        );
        CREATE TRIGGER vectors_added AFTER INSERT ON vectors BEGIN
            DELETE FROM sketches WHERE run = NEW.photo / 8192;
        END;
        CREATE TRIGGER vectors_changed AFTER UPDATE ON vectors BEGIN
            DELETE FROM sketches WHERE run IN (OLD.photo / 8192, NEW.photo / 8192);
        END;
        CREATE TRIGGER vectors_removed AFTER DELETE ON vectors BEGIN
            DELETE FROM sketches WHERE run = OLD.photo / 8192;
        END;
        CREATE INDEX facts_camera ON facts (camera) WHERE camera IS NOT NULL;
        CREATE INDEX facts_keywords ON facts (photo, keywords) WHERE keywords != '[]';
    """)


def m007_sidecars(db: Database) -> None:
    """Titles, and the facts in sidecar files."""
    db.executescript("""
        ALTER TABLE facts ADD COLUMN title TEXT;      -- a person's
        -- A person's further captions and titles, for search: JSON list.
        ALTER TABLE facts ADD COLUMN others TEXT NOT NULL DEFAULT '[]';
        -- Of the rules by which they were read; NULL before titles were.
        ALTER TABLE facts ADD COLUMN version INTEGER;
        -- Of a photo with sidecars: its facts are those of its own file and of them together.
        CREATE TABLE sidecars (
            photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            files TEXT NOT NULL,            -- name, size and mtime_ns of each: JSON
            embedded TEXT NOT NULL          -- the facts in the photo's own file: JSON
        ) WITHOUT ROWID;
    """)


def m008_words(db: Database) -> None:
    """A separate full-text index of human-authored text and of file and folder names."""
    db.executescript("""
        DROP TRIGGER texts_ai;
        DROP TRIGGER texts_ad;
        DROP TRIGGER texts_au;
        DROP TABLE texts_fts;
        DROP TABLE texts;
        -- Both tables are filled from the others by `index.texts`, and hold folded words: they are
        -- searched, never shown. A photo that nothing is known of has no row.
        CREATE TABLE texts (
            photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            caption TEXT NOT NULL,          -- the one shown, and all that a person wrote
            others TEXT NOT NULL,           -- a model's captions that are not shown
            keywords TEXT NOT NULL          -- a model's
        );
        CREATE TABLE person_texts (
            photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            caption TEXT NOT NULL,          -- edited, in the file and in its sidecars
            title TEXT NOT NULL,
            keywords TEXT NOT NULL,
            name TEXT NOT NULL              -- of the file and of its folders
        );
        -- What --keyword compares: each keyword of a person, folded, and its parts.
        CREATE TABLE person_keywords (
            folded TEXT NOT NULL,
            photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            PRIMARY KEY (folded, photo)
        ) WITHOUT ROWID;
        CREATE INDEX person_keywords_photo ON person_keywords (photo);
        DROP INDEX facts_keywords;
    """)
    for table, columns in (
        ("texts", ["caption", "others", "keywords"]),
        ("person_texts", ["caption", "title", "keywords", "name"]),
    ):
        db.table(table).enable_fts(
            columns,
            create_triggers=True,
            # Marks are parts of words: in Thai and in the scripts of India they are vowels.
            tokenize="porter unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'",
        )


def m009_missing(db: Database) -> None:
    """Why a photo is missing."""
    db.executescript("""
        -- 'gone': the file was deleted; 'ignored': an ignore file names it now. NULL while the
        -- photo is found.
        ALTER TABLE photos ADD COLUMN missing_reason TEXT;
        UPDATE photos SET missing_reason = 'gone' WHERE missing_since IS NOT NULL;
    """)


def m010_keyword_edits(db: Database) -> None:
    """Keywords that a person added or rejected; an index of captions by confidence."""
    db.executescript("""
        -- Kept when a model describes the photo again, as a person's captions are.
        CREATE TABLE keyword_edits (
            id INTEGER PRIMARY KEY,
            photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            word TEXT NOT NULL COLLATE NOCASE,
            rejected INTEGER NOT NULL,      -- 0: added; 1: a model's, which is wrong
            UNIQUE (photo, word)
        );
        -- A model's keywords without those that a person rejected.
        CREATE VIEW model_keywords AS
            SELECT photo, word, probability FROM keywords WHERE NOT EXISTS (
                SELECT 1 FROM keyword_edits WHERE keyword_edits.photo = keywords.photo
                AND keyword_edits.word = keywords.word AND rejected
            );
        CREATE INDEX captions_score ON captions (score) WHERE source = 'model' AND rank = 0;
    """)


STEPS: tuple[Callable[[Database], None], ...] = (
    m001_photos,
    m002_writes,
    m003_facts,
    m004_library,
    m005_sketches,
    m006_planes,
    m007_sidecars,
    m008_words,
    m009_missing,
    m010_keyword_edits,
)


def pending(connection: sqlite3.Connection, path: Path) -> list[str]:
    """The names of the steps that are not yet applied to the database at `path`.

    Raises
    ------
    CaptionerError
        If a newer version of captioner wrote it, or another program.
    """
    tables = {
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
    }
    done = set()
    if "_sqlite_migrations" in tables:
        done = {
            name
            for (name,) in connection.execute(
                "SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [_SET]
            )
        }
    if not done and tables - {"_sqlite_migrations"}:
        raise CaptionerError(
            f"{path} belongs to another program.",
            "Name another database with --db or CAPTIONER_DB.",
        )
    names = [step.__name__ for step in STEPS]
    if done - set(names):
        raise CaptionerError(
            f"{path} was written by a newer version of captioner.",
            "Upgrade with `pip install --upgrade captioner`, or name another database with --db.",
        )
    return [name for name in names if name not in done]


def apply(connection: sqlite3.Connection) -> None:
    """Apply the pending steps, each in a transaction of its own."""
    from sqlite_utils import Database, Migrations

    db = Database(connection, execute_plugins=False)
    migrations = Migrations(_SET)
    for step in STEPS:
        migrations()(step)
    migrations.apply(db)
