"""Every command on a simulated Windows; see without_posix/simulation.py."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import colour_describer
import pytest
from processes import ROOT, SUPPORT

from captioner.cli.app import COMMANDS

pytestmark = pytest.mark.process

SIMULATION = SUPPORT / "without_posix"

WEIGHTS = pytest.mark.skipif(
    not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base"
)


def environment(home: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join(map(str, (SIMULATION, ROOT)))
    return {**os.environ, "CAPTIONER_HOME": str(home), "PYTHONPATH": path, **more}


def python(home: Path, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, check=False, env=environment(home, **more), cwd=home.parent,
    )  # fmt: skip


class Machine:
    """A simulated Windows with two photos."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.photos = folder / "photos"
        for colour in ("red", "green"):
            colour_describer.photo(self.photos / f"{colour}.jpg", colour)
        self.red = self.photos / "red.jpg"

    def run(self, *words: object, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = python(self.home, "-m", "captioner", *words, **more)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def describe(self) -> None:
        """Index the photos without the weights."""
        done = python(self.home, "-c", INDEXING, self.photos, self.home / "captioner.db")
        assert done.returncode == 0, done.stderr


INDEXING = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(SUPPORT)!r})
import colour_describer
from captioner.index import Index
from captioner.indexing import update
from captioner.photos.walk import listings
folder, database = map(Path, sys.argv[1:])
with Index.open(database, write=True) as index:
    update(index, listings([folder]), colour_describer.ColourDescriber, roots=[folder])
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_posix_functions_are_missing(machine: Machine) -> None:
    code = (
        "from captioner import system; from captioner.system import files, locks, paths\n"
        "assert system.WINDOWS and not locks.HAS_FLOCK\n"
        "assert not any(hasattr(files.os, name) for name in ('geteuid', 'chown', 'O_NOFOLLOW'))\n"
        "import captioner.photos.sandbox as sandbox\n"
        "assert not hasattr(sandbox.signal, 'setitimer') and not hasattr(sandbox.os, 'fork')\n"
        "try:\n locks.os.open('.', 0)\nexcept PermissionError:\n pass\nelse:\n assert False\n"
    )
    done = python(machine.home, "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_loads(machine: Machine, command: str) -> None:
    assert command in machine.run(command, "--help").stdout


def test_every_module_loads(machine: Machine) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "captioner").rglob("*.py")
        if not {"training", "networks.py", "backend", "engines", "__main__.py"} & set(path.parts)
    ]
    done = python(machine.home, "-c", "".join(f"import {name}\n" for name in modules))
    assert done.returncode == 0, done.stderr


@WEIGHTS
def test_every_command_works(machine: Machine) -> None:
    run, red = machine.run, machine.red
    before = red.read_bytes()
    done = python(machine.home, ROOT / "main.py", "-i", red)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert run("caption", "--json", machine.photos).stdout.count("\n") == 2
    assert run("info").stdout
    assert "2 photos indexed" in run("index", machine.photos).stderr
    assert "2 photos unchanged" in run("index", machine.photos).stderr
    run("edit", red, "A red wall in Lisbon.")
    assert run("search", "--print-path", "lisbon").stdout == f"{red}\n"
    assert str(machine.photos) in run("similar", red).stdout
    assert run("stats").stdout
    assert "A red wall in Lisbon." in run("show", red).stdout
    for output in ("out.jsonl", "out.csv", "out.parquet"):
        run("export", "-o", machine.photos.parent / output)
        assert (machine.photos.parent / output).stat().st_size
    run("export", "--backup", machine.photos.parent / "copy.db")
    with closing(sqlite3.connect(machine.photos.parent / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM photos").fetchone() == (2,)
    run("write", red)
    assert "Lisbon" in red.with_name("red.jpg.xmp").read_text()
    run("undo", red)
    assert names(machine.photos) == ["green.jpg", "red.jpg"]
    run("write", "--in-place", red)
    assert red.read_bytes() != before
    run("undo", red)
    assert red.read_bytes() == before
    (machine.photos / "green.jpg").unlink()
    assert "1 gone" in run("index", machine.photos).stderr
    run("prune", "--yes")
    assert run("search", "--print-path", "--exact", "lisbon").stdout == f"{red}\n"
    assert not list((machine.home / "locks").iterdir())


@WEIGHTS
def test_watching_starts_and_stops(machine: Machine) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "captioner", "watch", machine.photos],
        stderr=subprocess.PIPE, text=True, env=environment(machine.home),
    ) as process:  # fmt: skip
        assert process.stderr
        for line in process.stderr:
            if "2 photos indexed" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


class TestWriting:
    @pytest.fixture(autouse=True)
    def _described(self, machine: Machine) -> None:
        machine.describe()

    def test_streams_and_permissions_are_preserved(self, machine: Machine) -> None:
        try:
            os.setxattr(machine.red, "user.stream.Zone.Identifier", b"[ZoneTransfer]")
        except OSError:
            pytest.skip("this disk keeps no extended attributes")
        machine.red.chmod(0o640)
        before = machine.red.read_bytes()
        machine.run("write", "--in-place", machine.red)
        assert machine.red.read_bytes() != before
        assert os.getxattr(machine.red, "user.stream.Zone.Identifier") == b"[ZoneTransfer]"
        assert machine.red.stat().st_mode & 0o777 == 0o640

    def test_a_photo_open_elsewhere_gets_a_sidecar(self, machine: Machine) -> None:
        before = machine.red.read_bytes()
        done = machine.run("write", "--in-place", "--json", machine.red, BUSY_FILE="red.jpg")
        told = json.loads(done.stdout)
        assert (told["state"], told["not_in_place"]) == ("written", "in_use")
        assert machine.red.read_bytes() == before
        assert names(machine.photos) == ["green.jpg", "red.jpg", "red.jpg.xmp"]

    def test_an_open_sidecar_is_reported_and_unchanged(self, machine: Machine) -> None:
        machine.run("write", machine.red)
        beside = machine.red.with_name("red.jpg.xmp")
        before = beside.read_bytes()
        done = machine.run("undo", machine.red, code=1, BUSY_FILE="red.jpg.xmp")
        assert "another program has it open" in done.stderr
        assert beside.read_bytes() == before
        machine.run("undo", machine.red)
        assert not beside.exists()

    def test_a_folder_locked_by_another_process_is_not_written(self, machine: Machine) -> None:
        held = HOLDING % str(machine.photos)
        with subprocess.Popen(
            [sys.executable, "-c", held],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(machine.home),
        ) as holder:  # fmt: skip
            assert holder.stdout and holder.stdout.readline() == b"held\n"
            done = machine.run("write", machine.red, code=1)
            assert "another captioner process is writing in its folder" in done.stderr
            holder.kill()
        machine.run("write", machine.red)

    def test_the_process_that_writes_the_database_is_named(self, machine: Machine) -> None:
        code = (
            "import sys; from pathlib import Path; from captioner.index import database\n"
            f"with database.writer_lock(Path({str(machine.home / 'captioner.db')!r})):\n"
            " print('held', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(machine.home),
        ) as holder:  # fmt: skip
            assert holder.stdout and holder.stdout.readline() == b"held\n"
            done = machine.run("write", machine.red, code=1)
            assert f"is being written to by process {holder.pid} on " in done.stderr
            holder.kill()
        machine.run("write", machine.red)


HOLDING = """
import sys
from pathlib import Path
from captioner.metadata.replace import OutputFolderLock
with OutputFolderLock() as lock:
    lock.acquire(Path(%r))
    print("held", flush=True)
    sys.stdin.read()
"""
