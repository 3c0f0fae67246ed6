"""Homes that are not there, streams that are closed or in other encodings, odd terminals."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import colour_describer
import fake_descriptions
import pytest
from processes import ROOT

from captioner import app_paths
from captioner.cli import streams
from captioner.errors import UsageError
from captioner.index import Index
from captioner.photos.walk import walk

pytestmark = pytest.mark.process

POSIX = os.name == "posix"
VARIABLES = (
    "CAPTIONER_HOME", "CAPTIONER_DB", "CAPTIONER_MODEL", "CAPTIONER_DATA", "CAPTIONER_DEBUG",
    "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME", "COLUMNS", "LINES", "PYTHONIOENCODING", "TERM",
    "NO_COLOR", "FORCE_COLOR",
)  # fmt: skip

SCRIPT = """
import sys
import captioner.model
from colour_describer import ColourDescriber
from captioner.cli import main

captioner.model.load = lambda *_, **__: ColourDescriber()
main(sys.argv[1:])
"""
NAME = "日本 é.jpg"
NOWHERE = "there is no home folder"


def environment(**variables: str) -> dict[str, str]:
    """Without what would decide where things are, and with what is given."""
    ours = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    path = os.pathsep.join([str(ROOT), *sys.path])
    return {**ours, "PYTHONPATH": path, **variables}


def command(*words: str, redirect: str = "", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command with a describer of colours, by a shell where streams are redirected."""
    options.setdefault("env", environment())
    line = [sys.executable, "-c", SCRIPT, *words]
    if redirect:
        line = ["sh", "-c", f'exec "$@" {redirect}', "sh", *line]
    return subprocess.run(line, capture_output=True, check=False, timeout=120, **options)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    colour_describer.photo(Path("red.jpg"), "red")
    return tmp_path / "here"


@pytest.fixture
def database(folder: Path) -> Path:
    """An index of a photo whose name and caption are beyond ASCII and Latin-1."""
    path = folder.parent / "captioner.db"
    [photo] = walk([colour_describer.photo(folder.parent / "photos" / NAME, "green")])
    with Index.open(path, write=True) as index:
        described = fake_descriptions.description(photo, "A café, 😀.", keywords=["café"])
        index.store([described], "model")
    return path


@pytest.mark.skipif(not POSIX, reason="homes of POSIX")
@pytest.mark.posix  # by the list of users and by XDG variables
class TestHomes:
    @pytest.fixture(autouse=True)
    def _account(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import pwd

        class Account:
            pw_dir = str(folder.parent / "account")

        (folder.parent / "account").mkdir()
        monkeypatch.setattr(pwd, "getpwuid", lambda number: Account)

    @pytest.fixture
    def no_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import pwd

        def unknown(number: int) -> None:
            raise KeyError(number)

        monkeypatch.setattr(pwd, "getpwuid", unknown)

    @pytest.mark.parametrize("home", [None, "", "relative", "./here"])
    def test_without_home_the_account_says_where(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
    ) -> None:
        if home is not None:
            monkeypatch.setenv("HOME", home)
        assert app_paths.home_folder() == folder.parent / "account"
        for found in (app_paths.database_path(), app_paths.cache_folder()):
            assert found
            assert found.is_relative_to(folder.parent / "account")

    @pytest.mark.usefixtures("no_account")
    @pytest.mark.parametrize("home", [None, "", "relative"])
    def test_a_user_without_account_and_home(
        self, monkeypatch: pytest.MonkeyPatch, home: str | None
    ) -> None:
        """As with `docker run --user 12345`."""
        if home is not None:
            monkeypatch.setenv("HOME", home)
        assert app_paths.cache_folder() is None
        assert app_paths.usable_cache("openvino") is None
        with pytest.raises(UsageError, match=f"{NOWHERE}.*CAPTIONER_HOME.*--db"):
            app_paths.database_path()
        monkeypatch.setenv("CAPTIONER_DB", "~/photos.db")
        with pytest.raises(UsageError, match=r"CAPTIONER_DB=~/photos.db: the home folder"):
            app_paths.database_path()
        monkeypatch.setenv("CAPTIONER_DB", "/data/photos.db")
        assert app_paths.database_path() == Path("/data/photos.db")
        assert not Path("~").exists()

    @pytest.mark.skipif(sys.platform == "darwin", reason="macOS has folders of its own")
    @pytest.mark.parametrize("chosen", ["", " ", "relative", "./a", "~"])
    def test_odd_xdg_variables(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
    ) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", chosen)
        monkeypatch.setenv("XDG_CACHE_HOME", chosen)
        account = folder.parent / "account"
        below = ("", "") if chosen == "~" else (".local/share", ".cache")
        assert app_paths.data_folder() == account / below[0] / "captioner"
        assert app_paths.cache_folder() == account / below[1] / "captioner"
        monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
        assert app_paths.data_folder() == Path("/xdg/captioner")

    def test_no_home_folder_is_made(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        missing = folder.parent / "nonexistent"
        monkeypatch.setenv("HOME", str(missing))
        assert app_paths.usable_cache("openvino") is None
        with pytest.raises(UsageError, match=r"does not exist.*CAPTIONER_HOME"):
            app_paths.database_path()
        assert not missing.exists()

    @pytest.mark.parametrize("name", ["CAPTIONER_DB", "CAPTIONER_HOME", "CAPTIONER_MODEL"])
    def test_home_in_variables(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        account = folder.parent / "account"
        monkeypatch.setenv(name, "~/x")
        assert app_paths.from_environment(name) == account / "x"
        monkeypatch.setenv(name, "~")
        assert app_paths.from_environment(name) == account
        monkeypatch.setenv(name, "")
        assert app_paths.from_environment(name) is None
        monkeypatch.setenv(name, "~nobody-of-this-name/x")
        with pytest.raises(UsageError, match=f"{name}=~nobody-of-this-name/x: the home folder"):
            app_paths.from_environment(name)
        monkeypatch.setenv(name, "a~/x")
        assert app_paths.from_environment(name) == Path("a~/x")

    def test_a_cache_that_cannot_be(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAPTIONER_HOME", str(folder / "red.jpg"))
        assert app_paths.usable_cache("openvino") is None
        monkeypatch.setenv("CAPTIONER_HOME", str(folder))
        assert app_paths.usable_cache("openvino") == folder / "cache/openvino"
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # a read-only mount
        assert app_paths.usable_cache("openvino") is None
        monkeypatch.undo()

    def test_a_cache_on_a_full_disk(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAPTIONER_HOME", str(folder))
        left = shutil.disk_usage(folder)._replace(free=app_paths.MIN_FREE_BYTES - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: left)
        assert app_paths.usable_cache("openvino") is None

    def test_options_and_paths_know_home(self, folder: Path) -> None:
        home = folder.parent / "home of mine"
        home.mkdir()
        colour_describer.photo(home / "blue.jpg", "blue")
        env = environment(HOME=str(home))
        done = command("index", "~/blue.jpg", "--db", "~/photos.db", "--log-file", "~/log", env=env)
        assert done.returncode == 0, done.stderr
        done = command("export", "--db", "~/photos.db", "-o", "~/photos.csv", env=env)
        assert done.returncode == 0, done.stderr
        assert {"photos.db", "log", "photos.csv"} <= {path.name for path in home.iterdir()}
        assert not Path("~").exists()
        Path("~").mkdir()
        colour_describer.photo(Path("~/red.jpg"), "red")  # a folder of this name is what it says
        assert b"red" in command("caption", "~/red.jpg", env=env).stdout

    @pytest.mark.parametrize("words", [["index", "."], ["stats"], ["search", "dog"]])
    def test_a_database_that_is_a_folder(self, folder: Path, words: list[str]) -> None:
        done = command(*words, env=environment(CAPTIONER_DB=str(folder)))
        assert (done.returncode, done.stdout) == (2, b"")
        assert f"{folder} is a folder, not a database." in done.stderr.decode()
        assert [path.name for path in folder.iterdir()] == ["red.jpg"]

    def test_index_says_where_it_cannot_write(self, folder: Path) -> None:
        done = command("index", ".", env=environment(CAPTIONER_HOME=str(folder / "red.jpg")))
        assert done.returncode == 1
        said = done.stderr.decode()
        assert f"{folder}/red.jpg/captioner.db cannot be written" in said
        for name in ("--db", "CAPTIONER_DB", "CAPTIONER_HOME"):
            assert name in said


def test_a_broken_cache_is_gone_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from captioner.model import engines
    from captioner.model.engines import openvino

    caches = []

    class Engine:
        def __init__(self, trained: object, *, cache: Path | None = None, **_: object) -> None:
            caches.append(cache)
            if cache:
                raise RuntimeError("cannot write the blob")

    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path))
    monkeypatch.setattr(openvino, "OpenVINOEngine", Engine)
    bundle: Any = None
    assert isinstance(engines.start_engine(bundle, "cpu", "int8", None), Engine)
    assert caches == [tmp_path / "cache/openvino", None]


@pytest.mark.skipif(not POSIX, reason="a shell that closes streams")
class TestClosedStreams:
    @pytest.mark.parametrize(
        "words",
        [
            ["caption", "-"],
            ["index", "-"],
            ["write", "-"],
            ["undo", "-"],
            ["edit", f"../photos/{NAME}", "-"],
        ],
    )
    def test_no_paths_from_closed_input(self, database: Path, words: list[str]) -> None:
        env = environment(CAPTIONER_DB=str(database))
        done = command(*words, redirect="<&-", env=env)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"captioner: standard input is closed.\n" in done.stderr

    def test_nobody_to_ask(self, database: Path, folder: Path) -> None:
        env = environment(CAPTIONER_DB=str(database))
        assert command("index", ".", env=env).returncode == 0
        (folder / "red.jpg").unlink()
        colour_describer.photo(folder / "blue.jpg", "blue")
        assert command("index", ".", env=env).returncode == 0
        done = command("prune", "--force", redirect="<&-", env=env)
        assert done.returncode == 2
        assert b"Add --yes." in done.stderr
        done = command("edit", "blue.jpg", redirect="<&-", env=env)
        assert done.returncode == 2
        assert b"no terminal" in done.stderr

    @pytest.mark.parametrize(
        "redirect", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]
    )
    def test_all_combinations(self, database: Path, redirect: str) -> None:
        env = environment(CAPTIONER_DB=str(database))
        done = command("index", ".", redirect=redirect, env=env)
        assert (done.returncode, done.stdout) == (0, b"")
        assert (b"1 photo indexed" in done.stderr) == ("2>" not in redirect)
        done = command("caption", "red.jpg", redirect=redirect, env=env)
        assert done.returncode == 0
        assert done.stdout == (b"" if " >" in f" {redirect}" else b"A red photo.\n")
        with Index.open(database) as index:
            assert index.counts().photos == 2

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    @pytest.mark.parametrize(
        "words", [["--help"], ["--version"], ["stats", "--help"], ["stats"], ["caption", "red.jpg"]]
    )
    def test_a_full_disk(self, database: Path, words: list[str]) -> None:
        env = environment(CAPTIONER_DB=str(database))
        done = command(*words, redirect=">/dev/full", env=env)
        assert done.returncode == 1
        assert done.stderr.decode() == (
            "captioner: cannot write to standard output: No space left on device.\n"
            "Free some space on the disk, or redirect the output to another disk.\n"
        )

    @pytest.mark.parametrize("words", [["index", "."], ["train", "--data", "a", "--out", "b"]])
    def test_a_current_folder_that_was_deleted(self, database: Path, words: list[str]) -> None:
        env = environment(CAPTIONER_DB=str(database))
        line = ["sh", "-c", 'mkdir no; cd no; rmdir ../no; exec "$@"', "sh"]
        done = subprocess.run(
            [*line, sys.executable, "-c", SCRIPT, *words], env=env, capture_output=True, check=False
        )
        assert done.returncode == 1
        assert b"the current folder no longer exists" in done.stderr
        assert b"fault" not in done.stderr

    def test_no_file_gets_the_number_of_a_closed_stream(self, folder: Path) -> None:
        """What a library prints would end up in it."""
        script = "import os\n" + SCRIPT.replace(
            "lambda *_, **__:",
            "lambda *_, **__: os.write(2, b'noise') and os.write(0, b'noise') and",
        )
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&- <&-', "sh",
             sys.executable, "-c", script, "index", ".", "--log-file", "log"],
            env=environment(CAPTIONER_DB="captioner.db"), check=False,
        )  # fmt: skip
        assert done.returncode == 0
        for file in folder.iterdir():
            assert b"noise" not in file.read_bytes()

    def test_readers_of_stderr_may_leave(self, database: Path) -> None:
        env = environment(CAPTIONER_DB=str(database))
        theirs, ours = os.pipe()
        os.close(theirs)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "caption", "none.jpg", "red.jpg"],
            env=env, stdout=subprocess.PIPE, stderr=ours, check=False,
        )  # fmt: skip
        os.close(ours)
        assert (done.returncode, done.stdout) == (1, b"red.jpg\tA red photo.\n")

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"caf\xc3\xa9", "café"),
            (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
            ("café".encode("utf-16"), "café"),
            (b"caf\xe9", None),
        ],
    )
    def test_words_from_standard_input(
        self, monkeypatch: pytest.MonkeyPatch, content: bytes, text: str | None
    ) -> None:
        stdin = io.TextIOWrapper(io.BytesIO(content), encoding="ascii")
        monkeypatch.setattr(sys, "stdin", stdin)
        if text:
            assert streams.stdin_text() == text
        else:
            with pytest.raises(UsageError, match="UTF-8"):
                streams.stdin_text()

    def test_input_that_cannot_be_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise OSError(5, "Input/output error")

            read1 = read

        from captioner.cli.paths import InputPaths

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Broken()))
        with pytest.raises(UsageError, match="cannot be read: Input/output error"):
            list(InputPaths(["-"]))
        with pytest.raises(UsageError, match="cannot be read: Input/output error"):
            streams.stdin_text()


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
    @pytest.mark.parametrize(
        "words",
        [
            ["search", "--exact", "café"],
            ["search", "--exact", "café", "--json"],
            ["search", "--exact", "café", "--print-path"],
            ["show", f"../photos/{NAME}"],
            ["stats"],
            ["export"],
        ],
        ids=str,
    )
    def test_what_an_encoding_lacks_is_spelled(
        self, database: Path, encoding: str, words: list[str]
    ) -> None:
        env = environment(CAPTIONER_DB=str(database), PYTHONIOENCODING=encoding)
        done = command(*words, env=env)
        assert (done.returncode, done.stderr) == (0, b"")
        if words[0] == "export" or words[-1] == "--print-path":
            assert NAME in done.stdout.decode()  # for programs: UTF-8, and the bytes of a name
            return
        shown = done.stdout.decode(encoding)
        if words[-1] == "--json":
            assert json.loads(shown)["path"].endswith(NAME)
        elif words[0] == "search":
            assert "\\u65e5\\u672c" in shown
        if words[0] == "show":
            assert ("café" if encoding == "cp1252" else "caf\\xe9") in shown
            assert "\\U0001f600" in shown

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp932", "gbk", "utf-8", "cp437"])
    def test_any_encoding_takes_any_text(
        self, monkeypatch: pytest.MonkeyPatch, encoding: str
    ) -> None:
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        streams.prepare()
        print("é 日本 😀 \udcff \ud800", flush=True)
        assert b" \xff \\ud800" in raw.getvalue()

    @pytest.mark.skipif(not POSIX, reason="names of any bytes")
    def test_names_of_bytes_go_through_as_they_are(self, database: Path) -> None:
        try:
            colour_describer.photo(Path(os.fsdecode(b"raw\xff.jpg")), "blue")
        except OSError:
            pytest.skip("names must be Unicode here")
        done = command("caption", ".", env=environment(PYTHONIOENCODING="ascii"))
        assert b"./raw\xff.jpg\tA blue photo.\n" in done.stdout

    @pytest.mark.parametrize("words", [["--help"], ["caption", "--help"], ["nonsense"], ["-é"]])
    def test_help(self, words: list[str]) -> None:
        done = command(*words, env=environment(PYTHONIOENCODING="ascii"))
        assert done.returncode == (0 if "--help" in words else 2)
        assert b"Traceback" not in done.stderr


class TestTerminals:
    @pytest.mark.parametrize(
        "variables",
        [
            {"COLUMNS": "0", "LINES": "0"},
            {"COLUMNS": "1"},
            {"COLUMNS": "abc", "LINES": "-5"},
            {"TERM": "dumb"},
            {"TERM": "xterm", "PYTHONIOENCODING": "ascii"},
            {"NO_COLOR": "1"},
            {"FORCE_COLOR": "1"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize(
        "words", [["search", "--exact", "café"], ["show", f"../photos/{NAME}"]]
    )
    def test_all_of_it_is_shown(
        self, database: Path, variables: dict[str, str], words: list[str]
    ) -> None:
        pty = pytest.importorskip("pty", reason="terminals are tested where there is pty")
        ours, theirs = pty.openpty()
        env = environment(CAPTIONER_DB=str(database), **variables)
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *words],
            env=env, stdin=theirs, stdout=theirs, stderr=theirs,
        ) as child:  # fmt: skip
            os.close(theirs)
            shown = b""
            try:
                while piece := os.read(ours, 65536):
                    shown += piece
            except OSError:  # the end, on Linux
                pass
        os.close(ours)
        assert child.returncode == 0
        assert "café" in shown.decode() or b"caf\\xe9" in shown
