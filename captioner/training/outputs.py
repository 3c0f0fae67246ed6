"""The folders that a training run writes to, all checked before it begins, since it takes hours.

Nothing of a run may be inside the bundle's folder, which must not change until the finished bundle
replaces it; and nothing is written among the photos.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import UsageError
from captioner.model import destination
from captioner.training.download import check as check_download

OPTIONS = "options.json"
"""How a run was begun; it marks a folder as one of checkpoints."""
_KEYS = frozenset({"command", "options", "data"})
_EARLIER_KEYS = frozenset({"encoder", "preset", "decoders", "decoder_epochs", "seed"})
"""Keys of `OPTIONS` in early development versions."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The folders that a training run writes to."""

    out: Path
    """For the bundle."""
    work: Path
    """Checkpoints and curves."""
    download: Path | None = None
    """For the data set."""
    force: bool = False
    """Replace an earlier bundle in `out`, and begin again if `work` holds another run."""
    resume: bool = False
    """Continue from the checkpoints in `work`."""

    @classmethod
    def of(
        cls,
        out: Path,
        work: Path | None,
        download: Path | None = None,
        *,
        force: bool = False,
        resume: bool = False,
    ) -> Outputs:
        """With `NAME-training` next to the bundle's folder unless `work` names another."""
        if work is None:
            # `.` and `..` have no name of their own.
            real = Path(os.path.abspath(out))  # noqa: PTH100 (resolve() would follow links)
            work = out if out.name and out.name != ".." else real
            work = work.with_name(f"{work.name}-training") if real.name else real
        return cls(out, work, download, force=force, resume=resume)

    def check(self, inputs: Mapping[str, Path | None], *, cache: Path | None) -> None:
        """Check that everything can be written, and that nothing is lost by it.

        Parameters
        ----------
        inputs
            Files and folders that are read, by the option that names them; none if None.
        cache
            The folder of cached features, if there is one.

        Raises
        ------
        UsageError
            If the bundle's folder or the folder of checkpoints is used for something else, cannot
            be written, or is inside another folder of the run.
        """
        destination.check(self.out, force=self.force)
        self._check_nesting(inputs, cache)
        check_work(self.work, resume=self.resume, force=self.force)
        if self.download is not None:
            check_download(self.download)

    def _check_nesting(self, inputs: Mapping[str, Path | None], cache: Path | None) -> None:
        out, work = _real(self.out), _real(self.work)
        read = {option: _real(path) for option, path in inputs.items() if path is not None}
        for option, path in read.items():
            for ours, folder in (("--out", out), ("--work", work)):
                if path == folder:
                    raise UsageError(
                        f"{option} and {ours} are both {path}.",
                        f"Name another folder with {ours}.",
                    )
        inside = {"--work": work} | ({"the cache": _real(cache)} if cache else {}) | read
        if self.download is not None:
            inside["--download"] = _real(self.download)
        for option, path in inside.items():
            if path == out or path.is_relative_to(out):
                raise UsageError(
                    f"{option}, {path}, is inside {self.out}, the folder for the bundle.",
                    "Name a separate folder with --out.",
                )
        written = {"--out": out} | {k: inside[k] for k in inside if k == "--download"}
        for option, path in written.items():
            if path.is_relative_to(work):
                raise UsageError(
                    f"{option}, {path}, is inside {self.work}, the folder for checkpoints.",
                    f"Name another folder with {option} or --work.",
                )

    def check_photos(self, folders: Iterable[Path]) -> None:
        """Check that nothing is written into folders of photos.

        Raises
        ------
        UsageError
            If something would be.
        """
        for photos in {_real(folder) for folder in folders}:
            for option, path in (("--out", self.out), ("--work", self.work)):
                if _real(path).is_relative_to(photos):
                    raise UsageError(
                        f"{path} is among the photos of {photos}.",
                        f"Name another folder with {option}.",
                    )


def check_work(folder: Path, *, resume: bool, force: bool) -> dict[str, Any] | None:
    """Check that a folder can hold a run's checkpoints; return how the run in it was begun, if any.

    Raises
    ------
    UsageError
        If it holds other files, or an earlier run that is neither resumed nor replaced.
    """
    try:
        real = folder.resolve()
        if destination.exists(real) and not real.is_dir():
            raise UsageError(f"{folder} is not a folder.", "Name another with --work.")
        destination.check_writable(destination.nearest(real))
        if not real.is_dir() or not any(real.iterdir()):
            return None
        before = _options(real / OPTIONS)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the checkpoints cannot be stored in {folder}: {reason}.",
            "Name another folder with --work.",
        ) from None
    if before is None:
        raise UsageError(
            f"{folder} contains files that do not belong to a training run.",
            "Name a new or empty folder with --work.",
        )
    if not resume and not force:
        raise UsageError(
            f"{folder} contains the checkpoints of an earlier training run.",
            "Continue that run with --resume, start again with --force, or name another folder "
            "with --work.",
        )
    return before


def _options(file: Path) -> dict[str, Any] | None:
    if file.is_symlink() or not file.is_file():
        return None
    try:
        found = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return found if found.keys() >= _KEYS or found.keys() >= _EARLIER_KEYS else None


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return Path(os.path.abspath(path))  # noqa: PTH100
