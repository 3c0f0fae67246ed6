"""Where a training run writes: checked as a whole before it begins, since it takes hours.

Nothing of a run may lie in the bundle's folder, which has to stay as it is until the bundle comes;
and nothing is written among the photos.
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
"""What a run was asked for: it marks the folder that holds the run's checkpoints."""
_ALWAYS = frozenset({"encoder", "preset", "decoders", "decoder_epochs", "seed"})
"""Keys of `OPTIONS` in every captioner."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The folders that `captioner train` writes to."""

    out: Path
    """Gets the bundle."""
    work: Path
    """Checkpoints and curves."""
    download: Path | None = None
    """Gets the data set."""
    force: bool = False
    """Replace an earlier bundle in `out`, and begin again where `work` holds another run."""
    resume: bool = False
    """Go on from the checkpoints in `work`."""

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
        """With `NAME-training` beside the bundle's folder where no other folder is given."""
        if work is None:
            # `.` and `..` have no name of their own.
            real = Path(os.path.abspath(out))  # noqa: PTH100 (resolve() would follow links)
            work = out if out.name and out.name != ".." else real
            work = work.with_name(f"{work.name}-training") if real.name else real
        return cls(out, work, download, force=force, resume=resume)

    def check(self, inputs: Mapping[str, Path | None], *, cache: Path | None) -> None:
        """See that everything can be written, and that nothing is lost by it.

        Parameters
        ----------
        inputs
            Files and folders that are read, by the option that names them.
        cache
            Where features are kept; None if nowhere.

        Raises
        ------
        UsageError
            Where the bundle's folder or the folder of checkpoints is in use for something else,
            cannot be written, or lies inside another folder of the run.
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
                    f"{option}, {path}, lies in {self.out}, where the bundle is to be.",
                    "Name a folder of its own with --out.",
                )
        written = {"--out": out} | {k: inside[k] for k in inside if k == "--download"}
        for option, path in written.items():
            if path.is_relative_to(work):
                raise UsageError(
                    f"{option}, {path}, lies in {self.work}, which is for checkpoints.",
                    f"Name another folder with {option} or --work.",
                )

    def check_photos(self, folders: Iterable[Path]) -> None:
        """See that nothing is written into folders of photos.

        Raises
        ------
        UsageError
            Where it would be.
        """
        for photos in {_real(folder) for folder in folders}:
            for option, path in (("--out", self.out), ("--work", self.work)):
                if _real(path).is_relative_to(photos):
                    raise UsageError(
                        f"{path} lies among the photos of {photos}.",
                        f"Name a folder elsewhere with {option}.",
                    )


def check_work(folder: Path, *, resume: bool, force: bool) -> dict[str, Any] | None:
    """See that a folder can hold a run's checkpoints; the options of the run that is there.

    Raises
    ------
    UsageError
        Where it holds other files, or another run that is neither resumed nor given up.
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
            f"{folder} cannot hold the checkpoints: {reason}.",
            "Name another folder with --work.",
        ) from None
    if before is None:
        raise UsageError(
            f"{folder} holds other files than a training's.",
            "Name a new or an empty folder with --work.",
        )
    if not resume and not force:
        raise UsageError(
            f"{folder} holds the checkpoints of an earlier training.",
            "Go on with it by --resume, begin again with --force, or name another with --work.",
        )
    return before


def _options(file: Path) -> dict[str, Any] | None:
    if file.is_symlink() or not file.is_file():
        return None
    try:
        found = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.keys() >= _ALWAYS else None


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return Path(os.path.abspath(path))  # noqa: PTH100
