CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
INSERT INTO "_sqlite_migrations" VALUES (1, 'captioner', 'm001_photos', '2026-11-21 08:13:29+00:00');
INSERT INTO "_sqlite_migrations" VALUES (2, 'captioner', 'm002_writes', '2026-11-21 09:20:00+00:00');
INSERT INTO "_sqlite_migrations" VALUES (3, 'captioner', 'm003_facts', '2026-11-21 11:00:00+00:00');
INSERT INTO "_sqlite_migrations" VALUES (4, 'captioner', 'm004_library', '2026-11-21 11:30:00+00:00');
INSERT INTO "_sqlite_migrations" VALUES (5, 'captioner', 'm005_sketches', '2026-11-21 12:00:00+00:00');
INSERT INTO "_sqlite_migrations" VALUES (6, 'captioner', 'm006_planes', '2026-11-21 18:00:00+00:00');

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
, encoder TEXT);

CREATE TABLE vectors (
    photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
    model_id TEXT NOT NULL,
    joint BLOB NOT NULL,            -- float16, little-endian, of unit length
    words BLOB NOT NULL             -- float16, little-endian
);

CREATE TABLE texts (
    photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
    caption TEXT NOT NULL,          -- the one shown: a person's, else the model's best
    others TEXT NOT NULL,           -- all further captions
    keywords TEXT NOT NULL
);
CREATE VIRTUAL TABLE "texts_fts" USING FTS5 (
    "caption", "others", "keywords",
    tokenize='porter unicode61',
    content="texts"
);
CREATE TRIGGER "texts_ai" AFTER INSERT ON "texts" BEGIN
  INSERT INTO "texts_fts" (rowid, "caption", "others", "keywords") VALUES (new.rowid, new."caption", new."others", new."keywords");
END;
CREATE TRIGGER "texts_ad" AFTER DELETE ON "texts" BEGIN
  INSERT INTO "texts_fts" ("texts_fts", rowid, "caption", "others", "keywords") VALUES('delete', old.rowid, old."caption", old."others", old."keywords");
END;
CREATE TRIGGER "texts_au" AFTER UPDATE ON "texts" BEGIN
  INSERT INTO "texts_fts" ("texts_fts", rowid, "caption", "others", "keywords") VALUES('delete', old.rowid, old."caption", old."others", old."keywords");
  INSERT INTO "texts_fts" (rowid, "caption", "others", "keywords") VALUES (new.rowid, new."caption", new."others", new."keywords");
END;

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
CREATE INDEX photos_size ON photos (size) WHERE content_hash IS NOT NULL;
CREATE TABLE roots (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE mounts (path BLOB PRIMARY KEY) WITHOUT ROWID;

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
CREATE INDEX keywords_word ON keywords (word COLLATE NOCASE);

INSERT INTO photos VALUES
    (1, CAST('/photos/dog.jpg' AS BLOB), 1000, 1, zeroblob(20), 640, 480, 'JPEG', 'described', NULL,
     '2026-11-21T08:13:29+00:00', NULL),
    (2, CAST('/photos/broken.jpg' AS BLOB), 1000, 1, NULL, NULL, NULL, NULL, 'failed',
     'it is truncated.', '2026-11-21T08:13:29+00:00', NULL),
    (3, CAST('/photos/rex.jpg' AS BLOB), 1000, 1, zeroblob(20), 640, 480, 'PNG', 'described', NULL,
     '2026-11-21T08:13:29+00:00', NULL);
INSERT INTO captions (photo, source, model_id, rank, text, score, log_probability) VALUES
    (1, 'model', 'm', 0, 'A black dog runs.', 0.5, -10.0),
    (1, 'model', 'm', 1, 'A dog on grass.', 0.4, -11.0),
    (3, 'model', 'm', 0, 'A white cat sleeps.', 0.5, -10.0),
    (3, 'person', NULL, 0, 'Rex, our beagle.', NULL, NULL);
INSERT INTO keywords VALUES (1, 'dog', 0.9), (1, 'grass', 0.5), (3, 'sofa', 0.4);
INSERT INTO features VALUES (1, 'm', zeroblob(16), 'e'), (3, 'm', zeroblob(16), NULL);
INSERT INTO vectors VALUES (1, 'm', x'003c0000', x'0000'), (3, 'm', x'0000003c', x'0000');
INSERT INTO texts VALUES
    (1, 'A black dog runs.', 'A dog on grass.', 'dog grass'),
    (3, 'Rex, our beagle.', 'A white cat sleeps.', 'sofa');
INSERT INTO facts VALUES
    (1, '2024-05-06T07:08:09', '+02:00', 'Canon EOS R6', 'RF 50mm', 47.5, 8.25, NULL, '[]'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, 'Rex at home', '["dog"]');
INSERT INTO roots VALUES (CAST('/photos' AS BLOB));
INSERT INTO mounts VALUES (CAST('/' AS BLOB));
INSERT INTO writes VALUES
    (1, CAST('/photos/dog.jpg' AS BLOB), zeroblob(20), CAST('/photos/dog.jpg' AS BLOB),
     zeroblob(32), x'01', x'02', '2026-11-21T09:20:00+00:00');
PRAGMA journal_mode = wal;

-- m007_sidecars
ALTER TABLE facts ADD COLUMN title TEXT;      -- a person's
ALTER TABLE facts ADD COLUMN others TEXT NOT NULL DEFAULT '[]';
ALTER TABLE facts ADD COLUMN version INTEGER;
CREATE TABLE sidecars (
    photo INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
    files TEXT NOT NULL,            -- name, size and mtime_ns of each: JSON
    embedded TEXT NOT NULL          -- the facts in the photo's own file: JSON
) WITHOUT ROWID;
INSERT INTO "_sqlite_migrations" VALUES (7, 'captioner', 'm007_sidecars', '2026-11-28 00:15:00+00:00');

-- m008_words
DROP TRIGGER texts_ai;
DROP TRIGGER texts_ad;
DROP TRIGGER texts_au;
DROP TABLE texts_fts;
DROP TABLE texts;
DROP INDEX facts_keywords;
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
CREATE TABLE person_keywords (
            folded TEXT NOT NULL,
            photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            PRIMARY KEY (folded, photo)
        ) WITHOUT ROWID;
CREATE INDEX person_keywords_photo ON person_keywords (photo);
CREATE VIRTUAL TABLE "texts_fts" USING FTS5 (
    "caption", "others", "keywords",
    tokenize='porter unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''',
    content="texts"
);
CREATE TRIGGER "texts_ai" AFTER INSERT ON "texts" BEGIN
  INSERT INTO "texts_fts" (rowid, "caption", "others", "keywords") VALUES (new.rowid, new."caption", new."others", new."keywords");
END;
CREATE TRIGGER "texts_ad" AFTER DELETE ON "texts" BEGIN
  INSERT INTO "texts_fts" ("texts_fts", rowid, "caption", "others", "keywords") VALUES('delete', old.rowid, old."caption", old."others", old."keywords");
END;
CREATE TRIGGER "texts_au" AFTER UPDATE ON "texts" BEGIN
  INSERT INTO "texts_fts" ("texts_fts", rowid, "caption", "others", "keywords") VALUES('delete', old.rowid, old."caption", old."others", old."keywords");
  INSERT INTO "texts_fts" (rowid, "caption", "others", "keywords") VALUES (new.rowid, new."caption", new."others", new."keywords");
END;
CREATE VIRTUAL TABLE "person_texts_fts" USING FTS5 (
    "caption", "title", "keywords", "name",
    tokenize='porter unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''',
    content="person_texts"
);
CREATE TRIGGER "person_texts_ai" AFTER INSERT ON "person_texts" BEGIN
  INSERT INTO "person_texts_fts" (rowid, "caption", "title", "keywords", "name") VALUES (new.rowid, new."caption", new."title", new."keywords", new."name");
END;
CREATE TRIGGER "person_texts_ad" AFTER DELETE ON "person_texts" BEGIN
  INSERT INTO "person_texts_fts" ("person_texts_fts", rowid, "caption", "title", "keywords", "name") VALUES('delete', old.rowid, old."caption", old."title", old."keywords", old."name");
END;
CREATE TRIGGER "person_texts_au" AFTER UPDATE ON "person_texts" BEGIN
  INSERT INTO "person_texts_fts" ("person_texts_fts", rowid, "caption", "title", "keywords", "name") VALUES('delete', old.rowid, old."caption", old."title", old."keywords", old."name");
  INSERT INTO "person_texts_fts" (rowid, "caption", "title", "keywords", "name") VALUES (new.rowid, new."caption", new."title", new."keywords", new."name");
END;
INSERT INTO "_sqlite_migrations" VALUES (8, 'captioner', 'm008_words', '2026-11-28 00:30:00+00:00');

-- m009_missing
-- 'gone': the file was deleted; 'ignored': an ignore file names it now. NULL while the
-- photo is found.
ALTER TABLE photos ADD COLUMN missing_reason TEXT;
UPDATE photos SET missing_reason = 'gone' WHERE missing_since IS NOT NULL;
INSERT INTO "_sqlite_migrations" VALUES (9, 'captioner', 'm009_missing', '2026-11-28 00:40:00+00:00');

-- m010_keyword_edits
CREATE TABLE keyword_edits (
            id INTEGER PRIMARY KEY,
            photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            word TEXT NOT NULL COLLATE NOCASE,
            rejected INTEGER NOT NULL,      -- 0: added; 1: a model's, which is wrong
            UNIQUE (photo, word)
        );
CREATE VIEW model_keywords AS
            SELECT photo, word, probability FROM keywords WHERE NOT EXISTS (
                SELECT 1 FROM keyword_edits WHERE keyword_edits.photo = keywords.photo
                AND keyword_edits.word = keywords.word AND rejected
            );
CREATE INDEX captions_score ON captions (score) WHERE source = 'model' AND rank = 0;
INSERT INTO keyword_edits (photo, word, rejected) VALUES (1, 'Rex', 0), (1, 'grass', 1);
INSERT INTO "_sqlite_migrations" VALUES (10, 'captioner', 'm010_keyword_edits', '2026-11-28 17:00:00+00:00');
