"""What other programs get: every record whole, in each format; and a copy of the database."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_descriptions import description, failure, photo
from PIL import Image
from processes import ROOT, SUPPORT
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.errors import CaptionerError, UsageError
from captioner.index import Index, Record, mounts
from captioner.index.backup import backup
from captioner.training.corpora import read_corpus
from captioner.types import Facts, Photo

NO_TEXT = b'/photos/caf\xe9, "1"\n.jpg'
FACTS = Facts(
    "2024-05-06T07:08:09", "+02:00", "Canon EOS R6", "50 mm", 54.9, 8.3, "Süd", ("a", "b")
)
Run = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "captioner.db"
    dog = description("dog.jpg", "A dog runs.", "A dog.", keywords=["dog", "run"])
    with Index.open(path, write=True) as index:
        index.store([replace(dog, facts=FACTS)], "model")
        index.store([description(photo(os.fsdecode(NO_TEXT)))], "model")
        index.store([failure("broken.jpg", "it is empty.")], "model")
        index.set_caption(Path("/photos/dog.jpg"), "Rex läuft")
    return path


@pytest.fixture
def run(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CAPTIONER_DB", str(database))
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["export", *words])


def jsonl(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.split("\n")[:-1]]


class TestRecords:
    def test_hold_all_that_is_known(self, database: Path) -> None:
        with Index.open(database) as index:
            broken, no_text, dog = index.records()
        assert dog == Record(
            path="/photos/dog.jpg", path_bytes=None, status="described", reason=None,
            caption="Rex läuft", source="person", confidence=None,
            alternatives=[
                {"caption": "A dog runs.", "source": "model", "confidence": 0.5},
                {"caption": "A dog.", "source": "model", "confidence": 0.5},
            ],
            keywords=[
                {"word": "dog", "probability": 0.9}, {"word": "run", "probability": 0.9},
            ],
            model="model", format="JPEG", width=640, height=480, size=1000, mtime_ns=1,
            content_hash=dog["content_hash"], recorded_at=dog["recorded_at"], missing_since=None,
            missing_reason=None, taken_at="2024-05-06T07:08:09", taken_offset="+02:00",
            camera="Canon EOS R6", lens="50 mm", latitude=54.9, longitude=8.3, file_title=None,
            file_caption="Süd",
            file_keywords=["a", "b"], kind="sentence", edited_keywords=[], rejected_keywords=[],
        )  # fmt: skip
        assert (broken["status"], broken["reason"]) == ("failed", "it is empty.")
        assert (broken["caption"], broken["content_hash"], broken["keywords"]) == (None, None, [])
        assert no_text["path"] == '/photos/caf\\xe9, "1"\n.jpg'
        assert base64.b64decode(no_text["path_bytes"] or "") == NO_TEXT

    def test_are_documented(self) -> None:
        page = (ROOT / "docs/export.md").read_text("utf-8")
        cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
        assert re.findall("`(.*?)`", "".join(cells)) == list(Record.__annotations__)

    def test_are_those_of_one_moment(self, database: Path) -> None:
        with Index.open(database, write=True) as writing, Index.open(database) as index:
            records = index.records()
            first = next(records)
            writing.store([description("zebra.jpg")], "model")
            assert [first["path"], *(record["path"] for record in records)][-1] == "/photos/dog.jpg"


class TestFormats:
    def test_json_lines(self, run: Run, database: Path) -> None:
        result = run()
        with Index.open(database) as index:
            expected = [
                {name: value for name, value in record.items() if name != "path_bytes" or value}
                for record in index.records()
            ]
        assert jsonl(result.stdout) == expected
        assert "läuft" in result.stdout

    def test_csv(self, run: Run, database: Path) -> None:
        rows = list(csv.DictReader(io.StringIO(run("--format", "csv").stdout, newline="")))
        with Index.open(database) as index:
            for row, record in zip(rows, index.records(), strict=True):
                for name, value in record.items():
                    cell = json.loads(row[name]) if isinstance(value, list) else row[name]
                    assert cell == ("" if value is None else value) or cell == str(value)

    def test_parquet(self, run: Run, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [export] is missing")
        monkeypatch.setattr("captioner.cli.export._ROW_GROUP", 2)
        assert run("--output", "photos.parquet").exit_code == 0
        with Index.open(database) as index:
            assert parquet.read_table("photos.parquet").to_pylist() == list(index.records())

    def test_parquet_without_its_library(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        result = run("--output", "photos.parquet")
        assert result.exit_code == 1
        assert "pip install 'captioner[export]'" in result.stderr
        assert not list(Path().glob("*photos.parquet*"))

    def test_the_file_says_which(self, run: Run) -> None:
        for name, start in (("a.csv", "path,"), ("a.jsonl", "{"), ("a.NDJSON", "{"), ("a", "{")):
            result = run("--output", name)
            assert (result.stdout, result.stderr) == ("", f"3 photos written to {name}.\n")
            assert Path(name).read_text("utf-8").startswith(start)
        run("--output", "b.txt", "--format", "csv")
        assert Path("b.txt").read_text("utf-8").startswith("path,")

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
    def test_stdout_is_utf_8(self, database: Path, encoding: str) -> None:
        command = [sys.executable, "-m", "captioner", "export", "--db", str(database)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, check=True, env=environment)
        assert jsonl(done.stdout.decode("utf-8"))[2]["caption"] == "Rex läuft"

    def test_a_reader_that_has_seen_enough(self, database: Path) -> None:
        with Index.open(database, write=True) as index:
            index.store([description(f"{number}.jpg") for number in range(2000)], "model")
        command = [sys.executable, "-m", "captioner", "export", "--db", str(database)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as export:  # fmt: skip
            assert export.stdout
            assert export.stderr
            export.stdout.readline()
            export.stdout.close()
            assert (export.stderr.read(), export.wait()) == (b"", 0)


class TestFiles:
    @pytest.mark.parametrize("words", [["--output", "out.csv"], ["--backup", "out.csv"]])
    def test_none_is_replaced_unless_told_so(self, run: Run, words: list[str]) -> None:
        Path("out.csv").write_text("mine")
        result = run(*words)
        assert result.exit_code == 2
        assert "--force" in result.stderr
        assert Path("out.csv").read_text() == "mine"
        assert run(*words, "--force").exit_code == 0
        assert Path("out.csv").read_bytes() != b"mine"
        assert sorted(path.name for path in Path().glob("*out.csv*")) == ["out.csv"]

    def test_the_database_is_not_replaced_by_its_export(self, run: Run, database: Path) -> None:
        Path("link.db").symlink_to(database)
        before = database.read_bytes()
        for option in ("--output", "--backup"):
            for name in (str(database), "link.db"):
                assert run(option, name, "--force").exit_code == 2
        assert database.read_bytes() == before

    def test_nor_is_a_database_in_use(self, run: Run) -> None:
        other = Path("other.db")
        with Index.open(other, write=True):
            result = run("--backup", str(other), "--force")
            assert (result.exit_code, result.stdout) == (2, "")
            assert "a database that is in use" in result.stderr
        assert run("--backup", str(other), "--force").exit_code == 0
        assert sorted(path.name for path in Path().glob("other.db?*")) == ["other.db.lock"]

    @pytest.mark.parametrize(
        ("words", "status"),
        [
            (["--output", "."], 2),
            (["--output", "/dev/null", "--force"], 2),
            (["--output", "nowhere/out.csv"], 1),
            (["--backup", "nowhere/out.db"], 1),
            (["--backup", "out.db", "--output", "out.csv"], 2),
            (["--format", "parquet"], 2),
            (["--format", "xml"], 2),
            (["--db", "nowhere.db"], 2),
            (["--db", "nowhere.db", "--output", "out.csv"], 2),
            (["--db", "nowhere.db", "--backup", "out.db"], 2),
        ],
    )
    def test_what_cannot_be(self, run: Run, words: list[str], status: int) -> None:
        before = sorted(Path().iterdir())
        result = run(*words)
        assert (result.exit_code, result.stdout) == (status, "")
        assert result.stderr
        assert sorted(Path().iterdir()) == before

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk(self, database: Path) -> None:
        command = f"{sys.executable} -m captioner export --db {database} > /dev/full"
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert "Exception ignored" not in done.stderr


class TestBackup:
    def test_is_an_index_like_the_one_it_was_made_from(self, run: Run, database: Path) -> None:
        result = run("--backup", "copy.db")
        assert (result.exit_code, result.stdout) == (0, "")
        with Index.open(Path("copy.db")) as copy, Index.open(database) as index:
            assert list(copy.records()) == list(index.records())
            assert [hit.caption for hit in copy.search("rex")] == ["Rex läuft"]
        with closing(sqlite3.connect("copy.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def test_is_of_one_moment_while_another_process_writes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "captioner.db"
        batches = 20
        Index.open(path, write=True).close()
        script = (
            "import sys; from pathlib import Path; from fake_descriptions import description\n"
            "from captioner.index import Index\n"
            f"with Index.open(Path({str(path)!r}), write=True) as index:\n"
            f"    for batch in range({batches}):\n"
            "        index.store([description(f'{batch}-{i}.jpg') for i in range(8)], 'model')\n"
            "        print(batch, flush=True); sys.stdin.readline()\n"
        )
        monkeypatch.setattr("captioner.index.backup._PAGES", 1)
        with subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONPATH": f"{ROOT}:{SUPPORT}"},
        ) as writer:  # fmt: skip
            assert writer.stdin
            assert writer.stdout
            for batch in range(batches):
                assert writer.stdout.readline() == f"{batch}\n"
                writer.stdin.write("\n")
                writer.stdin.flush()  # the next batch is written while this is copied
                copy = tmp_path / f"{batch}.db"
                backup(path, copy)
                with closing(sqlite3.connect(copy)) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                with Index.open(copy) as index:
                    photos = index.counts().photos
                    assert photos % 8 == 0
                    assert photos >= 8 * (batch + 1)
                    assert len(index.search("dog", exact=True, limit=photos + 1)) == photos
        assert writer.returncode == 0

    def test_of_a_database_without_wal_waits_for_no_writer(
        self, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mounts, "network_filesystem", lambda path: "nfs4")
        Index.open(database, write=True).close()
        backup(database, tmp_path / "copy.db")
        with Index.open(tmp_path / "copy.db") as copy:
            assert copy.counts().photos == 3
        with (
            Index.open(database, write=True),
            pytest.raises(CaptionerError, match="is being written"),
        ):
            backup(database, tmp_path / "other.db")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_from_a_folder_that_cannot_be_written(self, database: Path, tmp_path: Path) -> None:
        away = tmp_path / "away"
        away.mkdir()
        backup(database, away / "captioner.db")
        away.chmod(0o500)
        backup(away / "captioner.db", tmp_path / "copy.db")
        with Index.open(tmp_path / "copy.db") as copy:
            assert copy.counts().photos == 3

    def test_of_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no index"):
            backup(tmp_path / "nowhere.db", tmp_path / "copy.db")
        assert not list(tmp_path.iterdir())


class TestCorrections:
    def test_are_a_data_set_for_training(self, tmp_path: Path) -> None:
        photo = tmp_path / "dog.jpg"
        Image.new("RGB", (8, 8)).save(photo)
        database = tmp_path / "captioner.db"
        found = Photo.of(photo, photo.stat())
        with Index.open(database, write=True) as index:
            index.store([description(found), description("gone.jpg")], "model")
            index.set_caption(photo, "Rex")
            index.set_caption(Path("/photos/gone.jpg"), "Minka")
        folder = tmp_path / "corpus"
        result = CliRunner().invoke(
            app, ["export", "--corrections", str(folder), "--copy", "--db", str(database)]
        )
        assert (result.exit_code, result.stdout) == (0, "")
        assert "skipped /photos/gone.jpg: it is not there" in result.stderr
        assert "1 photo with 1 caption written to" in result.stderr
        [example] = read_corpus(folder).photos
        assert (example.captions, example.path.read_bytes()) == (("Rex",), photo.read_bytes())

    @pytest.mark.parametrize(
        "words", [["--copy"], ["--corrections", "x", "--format", "csv"], ["--corrections", "."]]
    )
    def test_wrong_use(self, database: Path, words: list[str]) -> None:
        result = CliRunner().invoke(app, ["export", *words, "--db", str(database)])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr
