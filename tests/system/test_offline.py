"""No command connects to the network, or leaves files outside the folders that `info` names.

Each command runs once in a process whose sockets refuse connections and record them, and under
strace if installed, which also sees native code and child processes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import ROOT

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
    ),
]

REFUSING = """
import os, sys

EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
          "socket.gethostbyname", "socket.gethostbyaddr"}

def refuse(event, values):
    if event not in EVENTS:
        return
    address = values[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else ""
    if isinstance(address, (str, bytes)) and event == "socket.connect":
        return  # a Unix domain socket
    record = os.open(os.environ["REFUSED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(record, f"{event} {values}\\n".encode())
    os.close(record)
    raise PermissionError(f"no network here: {event}")

sys.addaudithook(refuse)
"""
CALLS = "connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"
CALLS += ",link,linkat,symlink,symlinkat,mknod,mknodat"


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of one command."""

    status: int
    stdout: str
    stderr: str
    refused: str
    """Attempts to connect that Python code made."""
    calls: list[str] | None
    """System calls; None without strace."""
    named: tuple[Path, ...]
    """Output files and folders that the command line names."""


def traceable() -> bool:
    if not shutil.which("strace"):
        return False
    tried = ["strace", "-f", "-qq", "-e", "trace=connect", sys.executable, "-c", ""]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


class Machine:
    """A temporary home folder with photos and training data, in which commands run."""

    def __init__(self, root: Path) -> None:
        self.home, self.here = root / "home", root / "here"
        self.temporary, self._records = root / "tmp", root / "records"
        for folder in (self.home, self.here / "photos", self.temporary, self._records):
            folder.mkdir(parents=True)
        (self._records / "sitecustomize.py").write_text(REFUSING)
        self._traceable = traceable()
        self._count = 0
        shutil.copy(ROOT / "example.jpg", self.here / "photos/a.jpg")
        picture = Image.open(ROOT / "example.jpg")
        picture.save(self.here / "photos/b.png")
        picture.save(self.here / "photos/c.tif")  # decoded in the sandbox
        picture.transpose(Image.Transpose.ROTATE_90).save(self.here / "other.webp")
        self._data(self.here / "data")

    def _data(self, folder: Path) -> None:
        """A training set of eight photos with captions."""
        (folder / "Images").mkdir(parents=True)
        rows, colours = ["image,caption"], ("red", "green", "blue", "grey")
        random = np.random.default_rng(1)
        for number in range(8):
            pixels = random.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"Images/{number}.jpg")
            rows += [f"{number}.jpg,a {colours[number % 4]} dog is running"] * 10
        (folder / "captions.txt").write_text("\n".join(rows) + "\n")
        names = [f"{number}.jpg\n" for number in range(8)]
        (folder / "Flickr_8k.trainImages.txt").write_text("".join(names[:6]))
        (folder / "Flickr_8k.devImages.txt").write_text("".join(names[6:]))

    def run(
        self,
        *words: object,
        named: tuple[str, ...] = (),
        until: Callable[[subprocess.Popen[str]], None] | None = None,
    ) -> Ran:
        """Run Python with these arguments, to its end or until `until` ends it."""
        self._count += 1
        refused = self._records / f"{self._count}.refused"
        trace = self._records / f"{self._count}.trace"
        command = [sys.executable, *map(str, words)]
        if self._traceable:
            command = ["strace", "-f", "-qq", "-y", "-e", f"trace={CALLS}", "-o", str(trace)] + (
                ["--seccomp-bpf"] if _knows_seccomp() else []
            ) + command  # fmt: skip
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_", "CAPTIONER_", "KERAS_", "HF_", "MPL"))
        }
        process = subprocess.Popen(
            command, cwd=self.here, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True, start_new_session=True,
            env={
                **kept, "HOME": str(self.home), "TMPDIR": str(self.temporary),
                "PYTHONPATH": os.pathsep.join((str(self._records), str(ROOT))),
                "REFUSED": str(refused), "PYTHONUNBUFFERED": "1",
            },
        )  # fmt: skip
        try:
            if until:
                until(process)
            stdout, stderr = process.communicate(timeout=300)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return Ran(
            process.returncode, stdout, stderr,
            refused.read_text() if refused.exists() else "",
            trace.read_text(errors="replace").splitlines() if self._traceable else None,
            tuple(self.here / name for name in named),
        )  # fmt: skip

    @cached_property
    def app_paths(self) -> tuple[Path, ...]:
        """The folders that `captioner info` names."""
        ran = self.run("-m", "captioner", "info", "--json")
        facts = json.loads(ran.stdout)
        return (*map(Path, facts["folders"].values()), Path(facts["database"]["file"]).parent)


def _knows_seccomp() -> bool:
    help_ = subprocess.run(["strace", "--help"], capture_output=True, text=True, check=False)
    return "seccomp-bpf" in help_.stdout


def interrupt(process: subprocess.Popen[str]) -> None:
    """Interrupt a command after its first line of output."""
    assert process.stderr
    assert process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)


COMMANDS: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "index": (("index", "photos"), ()),
    "caption": (("caption", "--json", "photos"), ()),
    "main.py": (("-i", "photos/a.jpg"), ()),
    "search": (("search", "man"), ()),
    "similar": (("similar", "other.webp"), ()),
    "show": (("show", "photos/a.jpg"), ()),
    "edit": (("edit", "photos/a.jpg", "My own words"), ()),
    "write": (("write", "photos"), ("photos",)),
    "undo": (("undo", "photos"), ("photos",)),
    "stats": (("stats",), ()),
    "export": (("export", "--output", "photos.csv"), ("photos.csv",)),
    "backup": (("export", "--backup", "copy.db"), ("copy.db",)),
    "merge": (("merge", "copy.db", "--db", "merged/all.db"), ("merged",)),
    "watch": (("watch", "photos"), ()),
    "prune": (("prune", "--yes", "--log-file", "prune.log"), ("prune.log",)),
    "info": (("info",), ()),
    "evaluate": (("evaluate", "--data", "data", "--html", "sheet.html"), ("sheet.html",)),
    "train": (
        ("train", "--data", "data", "--out", "model", "--size", 96, "--epochs", 1,
         "--head-epochs", 1, "--fine-tune", 1, "--fine-tune-epochs", 1),
        ("model", "model-training"),
    ),
    "tune": (
        ("tune", "--data", "data", "--out", "study", "--vary", "epochs=1..2", "--trials", 1,
         "--set", "head-epochs=1"),
        ("study",),
    ),
    "runs": (("runs", "study"), ()),
}  # fmt: skip


BEFORE = {"merge": ["backup"], "runs": ["tune"]}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def ran(machine: Machine) -> Iterator[Callable[[str], Ran]]:
    """Each command, run once, after `index` and what else it needs."""
    done: dict[str, Ran] = {}

    def once(name: str) -> Ran:
        for one in dict.fromkeys(["index", *BEFORE.get(name, ()), name]):
            if one not in done:
                words, named = COMMANDS[one]
                program = [ROOT / "main.py"] if one == "main.py" else ["-m", "captioner"]
                until = interrupt if one == "watch" else None
                done[one] = machine.run(*program, *words, named=named, until=until)
        return done[name]

    yield once


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_connects_to_the_network(name: str, ran: Callable[[str], Ran]) -> None:
    one = ran(name)
    assert one.status == 0, one.stderr
    assert one.refused == ""
    network = [call for call in one.calls or () if "AF_INET" in call or "sin_addr" in call]
    assert network == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_file_is_written_elsewhere(
    name: str, ran: Callable[[str], Ran], machine: Machine
) -> None:
    one = ran(name)
    if one.calls is None:
        pytest.skip("strace is missing, or may not trace here")
    allowed = (*machine.app_paths, *one.named, machine.temporary, Path("/dev"), Path("/proc"))
    elsewhere = sorted(
        str(path)
        for path in written(one.calls, machine.here)
        if not any(path.is_relative_to(place) for place in allowed)
        and not any(place.is_relative_to(path) for place in allowed)  # the folders above them
        and not is_scratch(path, machine.here)
    )
    assert elsewhere == []


def is_scratch(path: Path, here: Path) -> bool:
    """Whether a path is an incomplete output file, or a temporary file of a library.

    Python writes compiled modules; Java, which METEOR needs, performance counters in /tmp, whatever
    `TMPDIR` is.
    """
    if path.is_relative_to(here):
        return path.relative_to(here).parts[0].startswith((".captioner.", ".bundle-"))
    return "__pycache__" in path.parts or any("hsperfdata_" in part for part in path.parts)


def test_nothing_else_is_left_in_the_home_folder(
    machine: Machine, ran: Callable[[str], Ran]
) -> None:
    for name in ("index", "caption", "info"):
        ran(name)
    folders = machine.app_paths
    left = [path for path in machine.home.rglob("*") if path.is_file()]
    assert [path for path in left if not any(path.is_relative_to(one) for one in folders)] == []


def test_connections_are_recorded(machine: Machine) -> None:
    script = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    one = machine.run("-c", script)
    assert one.status == 1
    assert "192.0.2.1" in one.refused
    native = machine.run("-S", "-c", script.replace("80", "9"))
    if native.calls is not None:
        assert any("AF_INET" in call for call in native.calls)
    open_ = machine.run("-c", "open('left.txt', 'w')")
    if open_.calls is not None:
        assert machine.here / "left.txt" in written(open_.calls, machine.here)


_CALL = re.compile(
    r"\d+\s+(?P<call>\w+)\((?P<rest>.*?)(?:<unfinished \.\.\.>|\)\s+= (?P<result>-?\d+).*)$"
)
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<at>[^>]*)>, )?"(?P<path>[^"]*)"')


def written(calls: list[str], here: Path) -> set[Path]:
    """Paths that system calls created, opened for writing, or renamed to."""
    found = set()
    for line in calls:
        match = _CALL.match(line)
        if not match or match["result"] == "-1" or match["call"].startswith(("connect", "send")):
            continue
        opens = match["call"] in ("open", "openat")
        if opens and not re.search("O_WRONLY|O_RDWR|O_CREAT", match["rest"]):
            continue
        paths = list(_PATH.finditer(match["rest"]))
        if paths:
            last = paths[-1]  # of two, the new name
            found.add(Path(os.path.normpath(Path(last["at"] or here, last["path"]))))
    return found


def test_telemetry_is_off_in_this_process_and_its_children() -> None:
    script = """
import importlib.util, os, subprocess, sys
from captioner import model
try:
    import openvino_telemetry
except ModuleNotFoundError:
    print("blocked")
print(*(os.environ[name] for name in
        ("HF_HUB_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "HF_HUB_OFFLINE")))
"""
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "1"},
    )  # fmt: skip
    assert shown.stdout.split() == ["blocked", "1", "0", "1"]


def test_requested_downloads_may_connect() -> None:
    script = """
import os
from captioner import offline
offline.prepare()
import huggingface_hub.constants as constants
print(constants.HF_HUB_OFFLINE)
offline.allow_downloads()
print(constants.HF_HUB_OFFLINE, "HF_HUB_OFFLINE" in os.environ)
"""
    pytest.importorskip("huggingface_hub")
    run = [sys.executable, "-c", script]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    kept["PYTHONPATH"] = str(ROOT)
    for chosen, shown in (({}, "True False False"), ({"HF_HUB_OFFLINE": "1"}, "True True True")):
        done = subprocess.run(
            run, capture_output=True, text=True, check=True, env={**kept, **chosen}
        )
        assert done.stdout.split() == shown.split()
