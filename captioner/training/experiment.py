"""A training run on disk: how it was begun, what it ran on, how it went, and how far it came.

Its folder holds `run.json` with all that, `config.toml` for `captioner train --config`, and for
each part `PART/curves.csv` and TensorBoard events. `captioner runs` lists such folders.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from captioner import __version__
from captioner.errors import CaptionerError
from captioner.system.cores import cores
from captioner.system.locks import FolderLock
from captioner.training import curve_files, settings

RECORD, CONFIG = "run.json", "config.toml"
FORMAT = 1
State = Literal["running", "finished", "stopped", "failed"]
PACKAGES = (
    "keras", "tensorflow", "jax", "torch", "numpy", "openvino", "nncf", "pillow", "optuna",
)  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "KERAS_BACKEND")
"""Variables that decide how many threads compute, and on which back end."""


class StoppedEarly(Exception):  # noqa: N818 (like StopIteration, no error)
    """Ends a run on purpose before it is finished; the text says why."""


@dataclass(frozen=True, slots=True)
class Session:
    """One stretch of a run: from its start, or from where it was resumed, to its end."""

    started_at: str
    """ISO 8601, in UTC."""
    ended_at: str | None = None
    """None while it runs, and if it was killed."""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """The content of `run.json`."""

    subcommand: str
    """The command: "train"."""
    out: str
    """The bundle's folder, absolute."""
    state: State
    reason: str = ""
    """Why it stopped or failed."""
    sessions: tuple[Session, ...] = ()
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """By their names on the command line."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The whole configuration, with what no option sets."""
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    cider: float | None = None
    """CIDEr × 100 of the finished bundle on dev."""

    @classmethod
    def read(cls, folder: Path) -> Experiment | None:
        """The record of a run's folder; None if it has none that can be read."""
        file = folder / RECORD
        try:
            content = json.loads(file.read_text("utf-8"))
            if content.pop("format") != FORMAT:
                return None
            sessions = tuple(Session(**one) for one in content.pop("sessions"))
            return cls(**content, sessions=sessions)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write(self, folder: Path) -> None:
        """Write the record, in one step."""
        file = folder / RECORD
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n", "utf-8")
        partial.replace(file)


class Recording:
    """The record of a run that is going on."""

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self._experiment, self._folder = experiment, folder
        experiment.write(folder)

    def finish(self, cider: float) -> None:
        """Note that the bundle is written, and its CIDEr × 100 on dev."""
        self._end("finished", cider=cider)

    def stop(self, state: State, reason: str) -> None:
        """Note that the run ended before that."""
        self._end(state, reason=reason)

    def _end(self, state: State, *, cider: float | None = None, reason: str = "") -> None:
        *before, last = self._experiment.sessions
        self._experiment = replace(
            self._experiment,
            state=state, reason=reason, cider=cider,
            sessions=(*before, replace(last, ended_at=now())),
        )  # fmt: skip
        self._experiment.write(self._folder)


@contextmanager
def recorded(folder: Path, begun: Experiment, *, resume: bool) -> Iterator[Recording]:
    """Keep the record of a run in its folder, whatever ends it; only one process may do so.

    Parameters
    ----------
    begun
        With one session, which has begun now; those of an earlier run come before it if it is
        resumed.

    Raises
    ------
    CaptionerError
        If another process trains in this folder, or the record cannot be written.
    """
    lock = FolderLock(folder)
    try:
        if not _locked(lock):
            raise CaptionerError(
                f"another process is training in {folder}.",
                "Wait until it is done, or name another folder with --work.",
            )
        before = Experiment.read(folder) if resume else None
        if not resume:
            curve_files.remove(folder)
        sessions = (*(before.sessions if before else ()), *begun.sessions)
        try:
            (folder / CONFIG).write_text(settings.written(begun.options), "utf-8")
            recording = Recording(replace(begun, sessions=sessions), folder)
        except OSError as error:
            raise CaptionerError(
                f"the record of the run cannot be stored in {folder}: {error.strerror or error}.",
                "Free some space, or name another folder with --work.",
            ) from error
        try:
            yield recording
        except BaseException as error:
            with suppress(OSError):  # a full disk: what ended the run is what is reported
                recording.stop(*_ending(error))
            raise
    finally:
        lock.close()


def _ending(error: BaseException) -> tuple[State, str]:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "stopped", "interrupted"
    if isinstance(error, StoppedEarly):
        return "stopped", str(error)
    return "failed", str(error) or type(error).__name__


def _locked(lock: FolderLock) -> bool:
    try:
        return lock.lock()
    except OSError:  # a network drive without locks
        return True


def is_running(folder: Path) -> bool:
    """Whether a process trains in this folder now; False if it was killed."""
    try:
        lock = FolderLock(folder)
    except OSError:
        return False
    try:
        return not _locked(lock)
    finally:
        lock.close()


def begun(
    subcommand: str,
    out: Path,
    *,
    command: str,
    seed: int,
    options: Mapping[str, Any],
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    devices: Sequence[str] = (),
) -> Experiment:
    """The record of a run that begins now, with what it runs on."""
    return Experiment(
        subcommand=subcommand,
        out=str(out.resolve()),
        state="running",
        sessions=(Session(now(), None, command),),
        seed=seed,
        options=options,
        config=config,
        data=data,
        versions=versions(),
        environment=environment(devices),
    )


def versions() -> dict[str, str]:
    """Versions of captioner, Python and the packages that compute."""
    found = {"captioner": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def environment(devices: Sequence[str] = ()) -> dict[str, Any]:
    """The machine: operating system, processor, cores, threads, and the devices of the back end."""
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": cores(),
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
        "devices": list(devices),
    }


def _processor() -> str:
    if sys.platform == "linux":
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor()


def now() -> str:
    """This moment, ISO 8601, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
