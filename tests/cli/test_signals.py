"""Ctrl-C, SIGTERM and SIGHUP: what is in hand is finished and stored, no half file is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import colour_describer
import numpy as np
import pytest
from processes import ROOT

from captioner.cli import interrupt
from captioner.index import Index
from captioner.photos import sandbox
from captioner.photos.decode import DecodedImage

pytestmark = pytest.mark.process

if sys.platform == "win32":
    pytest.skip("signals are sent to processes as POSIX does", allow_module_level=True)

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
EACH_SIGNAL = [
    pytest.param(*each, marks=pytest.mark.posix if each[0] is signal.SIGHUP else ())
    for each in SIGNALS
]

SCRIPT = """
import os, select, sys, threading
import captioner.model
import captioner.index.index as indexes
import captioner.metadata.writer as writers
from colour_describer import ColourDescriber
from captioner.cli import main

def wait():
    # In short waits, for handlers run between them: a signal that arrives after Python last looked
    # and before the system call would be seen only after it.
    while not select.select([GATE], [], [], 0.05)[0]:
        pass
    return os.read(GATE, 1)

def pause(name):
    print(name, flush=True)
    wait()

def pausing(owner, method):
    plain = getattr(owner, method)
    def pauses(*words, **options):
        pause(method)
        return plain(*words, **options)
    setattr(owner, method, pauses)

def load(*_, **__):
    if PLACE == "load":
        print("load", flush=True)
        threading.Event().wait()  # as in a library's own code, which looks at no signal
    return ColourDescriber()

GATE, PLACE, *words = int(sys.argv[1]), *sys.argv[2:]
captioner.model.load = load
match PLACE:
    case "describe":
        pausing(ColourDescriber, "describe")
    case "write" | "undo":
        pausing(writers.CaptionWriter, PLACE)
    case "records":
        plain = indexes.Index.records
        def records(*_):
            for number, record in enumerate(plain(*_)):
                if number == 1:
                    pause("records")
                yield record
        indexes.Index.records = records
    case "stdin":
        from captioner.cli import streams
        class Stdin:
            def read1(self, size):
                print("stdin", flush=True)
                return wait()
        streams.stdin = Stdin
main(words)
"""


class Child:
    """A command that stops at a place in it until it is let go on."""

    def __init__(self, process: subprocess.Popen[str], gate: int, pid: int | None = None) -> None:
        self.process, self._gate = process, gate
        self.pid = pid or process.pid

    def reach(self, place: str) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if line == f"{place}\n":
                return
        raise AssertionError(self.process.communicate()[1])

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def heard(self) -> None:
        """Wait until the signal's handler has run."""
        assert self.process.stderr
        for line in self.process.stderr:
            if "the current photos" in line:
                return
        raise AssertionError("the signal was not handled")

    def go_on(self) -> None:
        os.write(self._gate, b"." * 100)

    def end(self) -> tuple[int, str, str]:
        out, said = self.process.communicate(timeout=60)
        assert "Traceback" not in said
        return self.process.returncode, out, said


@contextmanager
def command(place: str, *words: str, before: tuple[str, ...] = ()) -> Iterator[Child]:
    theirs, ours = os.pipe()
    with subprocess.Popen(
        [*before, sys.executable, "-c", SCRIPT, str(theirs), place, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        pass_fds=[theirs],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        try:
            yield Child(process, ours)
        finally:
            process.kill()
            os.close(ours)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CAPTIONER_DB", "CAPTIONER_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for number in range(30):
        colour_describer.photo(Path(f"{number:02}.jpg"), "red")
    return tmp_path / "here"


@pytest.fixture
def indexed(folder: Path) -> Path:
    with command("", "index", ".") as child:
        assert child.end()[0] == 0
    return folder


def described(folder: Path) -> int:
    with Index.open(folder.parent / "home/captioner.db") as index:
        return index.counts().described


@pytest.mark.parametrize(("number", "status"), EACH_SIGNAL)
def test_index_finishes_and_stores_what_is_in_hand(folder: Path, number: int, status: int) -> None:
    with command("describe", "index", ".") as child:
        child.reach("describe")
        child.send(number)
        child.heard()
        child.go_on()
        code, _, said = child.end()
    assert code == status
    assert 4 <= described(folder) < 30
    assert "Stopped: run the same command again to continue." in said


@pytest.mark.parametrize(("number", "status"), EACH_SIGNAL)
def test_the_second_signal_ends_at_once(folder: Path, number: int, status: int) -> None:
    with command("describe", "index", ".") as child:
        child.reach("describe")
        child.send(number)
        child.heard()
        child.send(number)
        assert child.end()[0] == status  # with the gate still shut
    assert described(folder) == 0


@pytest.mark.parametrize("words", [["caption", "."], ["index", "."], ["watch", "."]])
@pytest.mark.parametrize(("number", "status"), EACH_SIGNAL)
def test_loading_a_model_is_not_waited_for(
    folder: Path, words: list[str], number: int, status: int
) -> None:
    with command("load", *words) as child:
        child.reach("load")
        child.send(number)
        assert child.end()[0] == status


def test_caption_ends_after_the_batch_in_hand(folder: Path) -> None:
    with command("describe", "caption", ".") as child:
        child.reach("describe")
        child.send(signal.SIGTERM)
        child.heard()
        child.go_on()
        code, out, said = child.end()
    assert code == 143
    assert len(out.splitlines()) < 4
    assert said.endswith("Interrupted.\n")


@pytest.mark.parametrize("words", [["caption", "-"], ["index", "-"], ["write", "-"]])
def test_waiting_for_paths_ends_at_once(indexed: Path, words: list[str]) -> None:
    with command("stdin", *words) as child:
        child.reach("stdin")
        child.send(signal.SIGTERM)
        assert child.end()[0] == 143


def test_watch_stores_what_is_in_hand_and_has_done_what_it_was_asked(folder: Path) -> None:
    with command("describe", "watch", ".") as child:
        child.reach("describe")
        child.send(signal.SIGTERM)
        child.heard()
        child.go_on()
        code, _, said = child.end()
    assert code == 0
    assert 4 <= described(folder) < 30
    assert said.endswith("Stopped watching.\n")


def test_write_and_undo_end_between_two_photos(indexed: Path) -> None:
    for place, files in (("write", 1), ("undo", 0)):
        with command(place, place, "--no-sync") as child:
            child.reach(place)
            child.send(signal.SIGTERM)
            child.heard()
            child.go_on()
            code, _, said = child.end()
        assert code == 143
        assert len(list(indexed.glob("*.xmp"))) == files
        assert not list(indexed.glob(".*"))
        assert "Stopped: run the same command again to continue." in said


def test_index_write_ends_between_two_photos(folder: Path) -> None:
    with command("write", "index", ".", "--write") as child:
        child.reach("write")
        child.send(signal.SIGTERM)
        child.heard()
        child.go_on()
        assert child.end()[0] == 143
    assert described(folder) == 30
    assert len(list(folder.glob("*.xmp"))) == 1


@pytest.mark.parametrize(("number", "status"), EACH_SIGNAL)
def test_export_leaves_no_half_file(indexed: Path, number: int, status: int) -> None:
    before = sorted(indexed.iterdir())
    with command("records", "export", "--output", "photos.jsonl") as child:
        child.reach("records")
        child.send(number)
        assert child.end()[0] == status
    assert sorted(indexed.iterdir()) == before


def test_as_process_1(folder: Path) -> None:
    """`docker stop` sends SIGTERM to process 1, which has no action for it but its own."""
    alone = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no process namespaces here")
    with command("describe", "index", ".", before=alone) as child:
        child.reach("describe")
        outer = child.process.pid
        child.pid = int(Path(f"/proc/{outer}/task/{outer}/children").read_text("utf-8"))
        assert "NSpid:" in (status := Path(f"/proc/{child.pid}/status").read_text("utf-8"))
        assert status.partition("NSpid:")[2].splitlines()[0].split()[-1] == "1"
        child.send(signal.SIGTERM)
        child.heard()
        child.go_on()
        assert child.end()[0] == 143
    assert 4 <= described(folder) < 30


def test_ignored_signals_stay_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupt.install()
        with interrupt.finishing() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_handlers_are_put_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    with interrupt.finishing() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop()
        assert stop.exit_code == 130
    assert [signal.getsignal(number) for number, _ in SIGNALS] == before


def test_other_threads_have_no_handlers() -> None:
    ended = []

    def work() -> None:
        with interrupt.finishing() as stop:
            ended.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [False]


@pytest.mark.posix
def test_decoding_goes_on_whatever_a_terminal_or_systemd_sends_to_all_processes(
    tmp_path: Path,
) -> None:
    content = invented_photo(tmp_path)
    process = sandbox._Worker()
    try:
        for number, _ in SIGNALS:
            os.kill(process._process.pid, number)
        picture = process.decode([content], "TIFF", 16)
        assert isinstance(picture, DecodedImage)
        assert np.array(picture.rgb).shape == (16, 16, 3)
    finally:
        process.kill()


def invented_photo(folder: Path) -> bytes:
    from PIL import Image

    file = folder / "a.tif"
    Image.new("RGB", (20, 20), "red").save(file)
    return file.read_bytes()
