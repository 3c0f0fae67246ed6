"""Training runs on disk: finding their folders, and what each has come to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from captioner.training import curve_files
from captioner.training.experiment import RECORD, Experiment, Session, State, is_running


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, for a list."""

    folder: Path
    subcommand: str
    state: State
    reason: str
    """Why it stopped or failed; empty for a finished run, or one that goes on."""
    started_at: str
    """ISO 8601, in UTC."""
    seconds: float
    """In all sessions, without the time between them."""
    best_cider: float | None
    """CIDEr × 100 of its best epoch on dev, over all decoders; None before the first."""
    cider: float | None
    """CIDEr × 100 of the finished bundle on dev."""
    epochs: int
    """Of all decoders, so far."""
    seed: int | None
    out: str
    command: str


def find_runs(folder: Path) -> list[RunSummary]:
    """All runs in a folder and below it, newest first; links to folders are not followed."""
    found = [
        summarise(place, experiment)
        for place in _folders(folder)
        if (experiment := Experiment.read(place))
    ]
    return sorted(found, key=lambda run: (run.started_at, str(run.folder)), reverse=True)


def summarise(folder: Path, experiment: Experiment) -> RunSummary:
    """What a run has come to, by its record and its curves."""
    state, reason = experiment.state, experiment.reason
    if state == "running" and not is_running(folder):
        state, reason = "stopped", "killed"
    curves = curve_files.read(folder)
    ciders = [row["cider"] for rows in curves.values() for row in rows if "cider" in row]
    sessions = experiment.sessions
    last = _last_write(folder) if state != "running" else datetime.now(UTC)
    return RunSummary(
        folder=folder,
        subcommand=experiment.subcommand,
        state=state,
        reason=reason,
        started_at=sessions[0].started_at if sessions else "",
        seconds=sum(_seconds(one, last) for one in sessions),
        best_cider=max(ciders, default=None),
        cider=experiment.cider,
        epochs=len(ciders),
        seed=experiment.seed,
        out=experiment.out,
        command=sessions[-1].command if sessions else "",
    )


def _folders(folder: Path) -> Iterator[Path]:
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if RECORD in files:
            yield Path(place)
            inner.clear()  # checkpoints and curves


def _seconds(session: Session, last: datetime) -> float:
    """How long a session was; one that was killed, until it last wrote something."""
    with suppress(ValueError):
        start = datetime.fromisoformat(session.started_at)
        end = datetime.fromisoformat(session.ended_at) if session.ended_at else last
        return max(0.0, (end - start).total_seconds())
    return 0.0


def _last_write(folder: Path) -> datetime:
    latest = 0.0
    for file in (folder, *folder.glob("*"), *folder.glob("*/*")):
        with suppress(OSError):
            latest = max(latest, file.stat().st_mtime)
    return datetime.fromtimestamp(latest, UTC)
