"""How far a run has come: live in a terminal of changing width, in lines elsewhere, and logged."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import colour_describer
import pytest
from processes import ROOT, SUPPORT
from typer.testing import CliRunner, Result

from captioner import pace
from captioner.cli import console, progress
from captioner.cli.app import app

pty = pytest.importorskip("pty", reason="terminals are tested where there is pty")

RUN = """
import sys
from captioner import pace
from captioner.cli import console, progress

pace._MIN_SECONDS = 0
with progress.progress() as bar:
    for line in sys.stdin:
        exec(line)
print("end", file=sys.stderr)
"""

CAPTION = """
import captioner.model, colour_describer
from captioner.cli import main

captioner.model.load = lambda _: colour_describer.ColourDescriber()
main(["caption", {path!r}])
"""

_PIECE = re.compile(r"\x1b\[[\d;]*[A-Za-z]|[^\x1b]")


class Terminal:
    """A terminal that wraps its last line anew when it is resized, as most of today's do."""

    def __init__(self, width: int, code: str = RUN, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self.width = 0
        self.resize(width)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE, stderr=theirs, text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{SUPPORT}", "TERM": "xterm", **environment},
        )  # fmt: skip
        os.close(theirs)
        self.lines: list[str] = []
        """Above the one with the cursor."""
        self.line = ""
        self._column = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._rest = ""
        self.drawn = ""
        """All since the last command."""

    def resize(self, width: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.width = width

    def do(self, command: str, until: str) -> None:
        """Let the process run a line of Python, and read until the line matches."""
        assert self.process.stdin
        self.drawn = ""
        print(command, file=self.process.stdin, flush=True)
        self.see(until)

    def see(self, pattern: str) -> None:
        """Read until the line matches."""
        late = time.monotonic() + 60
        while not re.search(pattern, self.line):
            assert time.monotonic() < late, f"{self.line!r} never became {pattern}"
            self._read()

    def end(self, exit_code: int = 0) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        while self._read():
            pass
        assert self.process.wait() == exit_code
        os.close(self._ours)

    def _read(self) -> bool:
        assert select.select([self._ours], [], [], 60)[0], f"nothing comes after {self.line!r}"
        try:
            read = os.read(self._ours, 4096)
        except OSError:  # the other end is closed
            return False
        text = self._decoder.decode(read)
        self.drawn += text
        pieces = _PIECE.findall(self._rest + text)
        self._rest = (self._rest + text)[sum(map(len, pieces)) :]
        for piece in pieces:
            self._take(piece)
        return bool(read)

    def _take(self, piece: str) -> None:
        if piece == "\r":
            self._column = 0
        elif piece == "\n":
            self.lines.append(self.line)
            self.line, self._column = "", 0
        elif piece in {"\x1b[K", "\x1b[J"}:
            self.line = self.line[: self._column]
        elif not piece.startswith("\x1b"):
            self.line = self.line[: self._column] + piece + self.line[self._column + 1 :]
            self._column += 1


class TestStatus:
    @pytest.mark.parametrize("setting", ["TERM=dumb", "quiet", "pipe"])
    def test_is_only_for_terminals(
        self, setting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: setting != "pipe", raising=False)
        monkeypatch.setenv("TERM", "dumb" if setting == "TERM=dumb" else "xterm")
        console.configure_output(quiet=setting == "quiet")
        console.status("Loading the model...")
        assert capsys.readouterr().err == ""
        console.configure_output()
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        console.status("Loading the model...")
        assert capsys.readouterr().err == "Loading the model...\r"
        console.streams.clear_status()
        assert capsys.readouterr().err == f"{' ' * 20}\r"
        console.streams.clear_status()
        assert capsys.readouterr().err == ""

    def test_one_photo_in_a_terminal(self, tmp_path: Path) -> None:
        photo = colour_describer.photo(tmp_path / "red.jpg", "red")
        terminal = Terminal(60, CAPTION.format(path=str(photo)))
        terminal.see(r"^Loading the model\.\.\.$")
        terminal.see(r"^ *$")
        terminal.end()
        assert terminal.lines == []

    def test_gives_way_to_a_message(self, tmp_path: Path) -> None:
        terminal = Terminal(90, CAPTION.format(path=str(tmp_path / "none.jpg")))
        terminal.see(r"^Loading the model\.\.\.$")
        terminal.end(exit_code=1)
        [line] = terminal.lines
        assert line.startswith("captioner: cannot read ")
        assert "Loading" not in line + terminal.line


class TestLiveLine:
    def test_tells_how_far_it_is(self) -> None:
        terminal = Terminal(100)
        terminal.do("", until=r"^0 photos  looking for photos$")
        terminal.do("bar.planned(2000)", until=r"^─{16}  0 of 2,000 photos$")
        terminal.do("loading = bar.preparing('loading'); loading.__enter__()", until=" loading$")
        terminal.do("loading.__exit__(None, None, None)", until="photos$")
        terminal.do(
            "[bar.done(f'album/{n}.jpg') for n in range(500)]",
            until=r"^━{4}─{12}  500 of 2,000 photos  [\d,]+ photos/s  \d+ s left  album/499.jpg$",
        )
        terminal.end()
        assert (terminal.lines, terminal.line) == (["end"], "")

    def test_warnings_stand_above_it(self) -> None:
        terminal = Terminal(100)
        terminal.do("bar.planned(9); bar.done('a.jpg')", until="a.jpg$")
        terminal.do("console.warning('look out'); bar.done('b.jpg')", until="b.jpg$")
        terminal.do("sys.stderr.write('half a'); bar.done('c.jpg')", until="c.jpg$")
        terminal.do("sys.stderr.write(' line\\n\\nanother'); bar.done('d.jpg')", until="d.jpg$")
        terminal.end()
        assert terminal.lines == ["captioner: look out", "half a line", "", "anotherend"]

    def test_survives_resizing(self) -> None:
        terminal = Terminal(120)
        terminal.do("bar.planned(300); bar.done('x' * 300 + '/a.jpg')", until="a.jpg$")
        assert len(terminal.line) == 119
        for width in (60, 30, 12, 80, 79):
            terminal.resize(width)
            # Whatever became of the line, all below its first character is wiped away.
            terminal.do("bar.done('y' * 300 + '/b.jpg')", until=f"^.{{1,{width - 1}}}$")
            while "\x1b[J" not in terminal.drawn:
                terminal._read()
        terminal.see(r"^─{16}  6 of 300 photos  .*…y+/b.jpg$")
        assert len(terminal.line) == 78
        terminal.do("console.note('still here'); bar.done('c.jpg')", until="c.jpg$")
        terminal.end()
        assert terminal.lines == ["still here", "end"]

    def test_wide_characters_and_those_that_are_not_safe(self) -> None:
        terminal = Terminal(60)
        name = "日本" * 30 + "\\x1b[2J犬.jpg"
        terminal.do(f"bar.planned(3); bar.done('{name}')", until="jpg$")
        assert "\x1b[2J" not in terminal.drawn
        assert terminal.line.endswith("\\x1b[2J犬.jpg")
        wide = sum(2 if ord(character) > 0x2FFF else 1 for character in terminal.line)
        assert 57 <= wide <= 59
        terminal.end()

    def test_no_more_than_the_terminal_can_show(self) -> None:
        terminal = Terminal(60, PYTHONIOENCODING="ascii", NO_COLOR="1")
        terminal.do("bar.planned(4); bar.done('x' * 90)", until=r"^####-{12}  .*  \.\.\.x+$")
        assert "\x1b[3" not in terminal.drawn
        terminal.end()
        plain = Terminal(60, TERM="dumb")
        plain.do("bar.done('a.jpg'); print('ready', end='', file=sys.stderr)", until="ready")
        assert "\x1b" not in plain.drawn
        plain.end()


class TestLines:
    def test_are_plain_and_have_the_time(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pace, "_MIN_SECONDS", 0)
        with progress._Lines(every=0) as lines:
            lines.done("none\nyet.jpg")
            lines.planned(2000)
            lines.done("a.jpg")
        first, second = capsys.readouterr().err.splitlines()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 1 photo, none\\nyet.jpg", first)
        assert re.fullmatch(
            r".* 2 of 2,000 photos, [\d,.]+ photos/s, [\dhmins ]+ left, a.jpg", second
        )

    def test_of_the_pace_leave_out_what_came_before(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter(range(0, 1000, 10))
        monkeypatch.setattr(time, "monotonic", lambda: next(clock))
        with progress._Lines(every=0) as lines:
            lines.planned(21)
            with lines.preparing("loading the model"):
                for _ in range(20):
                    next(clock)
            lines.done("a.jpg")  # reads the clock five times, of which the first is of the photo
        assert capsys.readouterr().err.endswith(
            " 1 of 21 photos, 0.1 photos/s, 2 min 50 s left, a.jpg\n"
        )

    def test_come_every_few_seconds(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress._Lines(every=3600) as lines:
            for number in range(100):
                lines.done(f"{number}.jpg")
        assert capsys.readouterr().err == ""


class TestQuietAndLogged:
    @pytest.fixture
    def run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
        monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("CAPTIONER_DB", raising=False)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(
            "captioner.model.load", lambda *_, **__: colour_describer.ColourDescriber()
        )
        colour_describer.photo(Path("album/red.jpg"), "red")
        Path("album/broken\n.jpg").touch()
        return lambda *words: CliRunner().invoke(app, list(words))

    @pytest.mark.parametrize("command", ["index", "caption"])
    def test_quiet_tells_of_failures_alone(self, run: Callable[..., Result], command: str) -> None:
        result = run(command, "album", "-q")
        assert result.exit_code == 1
        [line] = result.stderr.splitlines()
        assert line.startswith("captioner: cannot read album/broken\\n.jpg: it is empty.")
        assert run("index", "album").stderr != ""  # the next command says all again

    def test_a_log_holds_what_was_said(self, run: Callable[..., Result]) -> None:
        said = run("index", "album", "--log-file", "run.log").stderr
        first = Path("run.log").read_text("utf-8").splitlines()
        assert [line.split(" ", 2)[1] for line in first] == ["warning", "info", "info"]
        for line, words in zip(first, said.splitlines(), strict=True):
            time, _, text = line.split(" ", 2)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", time)
            assert text == words.removeprefix("captioner: ")

    def test_a_log_goes_on_and_holds_what_quiet_hides(self, run: Callable[..., Result]) -> None:
        Path("run.log").write_text("before\n")
        run("index", "album/red.jpg", "--log-file", "run.log", "--quiet")
        assert run("index", "album/red.jpg", "--log-file", "run.log", "-q").stderr == ""
        lines = Path("run.log").read_text("utf-8").splitlines()
        assert lines[0] == "before"
        assert len(lines) == 5
        assert "Nothing new" in lines[3]
        run("search", "--exact", "red")
        assert len(Path("run.log").read_text("utf-8").splitlines()) == 5

    def test_a_log_says_why_a_run_ended(self, run: Callable[..., Result]) -> None:
        Path("home").mkdir()
        Path("home/captioner.db").write_text("This is no database, and was never meant to be one.")
        assert run("index", "album", "--log-file", "run.log").exit_code == 1
        [line] = Path("run.log").read_text("utf-8").splitlines()
        assert " error " in line
        assert "is not a database." in line

    def test_a_log_that_cannot_be_written(self, run: Callable[..., Result]) -> None:
        result = run("index", "album", "--log-file", "nowhere/run.log")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "nowhere/run.log cannot be written" in result.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk_behind_the_log_ends_no_run(self, run: Callable[..., Result]) -> None:
        result = run("index", "album", "--log-file", "/dev/full")
        assert result.exit_code == 1
        assert result.stderr.count("the log file can no longer be written") == 1
        assert "1 photo indexed" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert progress.spell_time(seconds) == words
