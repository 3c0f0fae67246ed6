"""What the walk leaves out of a folder: hidden things, and what people ask it to leave out."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from captioner.errors import UsageError
from captioner.photos.files import open_regular

if TYPE_CHECKING:  # imported only where there is a pattern
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".captionerignore"
NO_MEDIA = ".nomedia"
"""Android's sign that a folder's pictures are no photos: covers of albums, stickers."""

# What systems and NAS boxes keep beside people's photos without a dot before its name.
_SYSTEM = frozenset(
    {"@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "recycler"}
    | {"system volume information", "lost+found", "__macosx"}
)
_LARGEST = 1 << 20


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not there for people to see: `._a.jpg`, `.Trashes`, `@eaDir`."""
    return name[0] == "." or (name[0] in "@#$RrSsLl_" and name.lower() in _SYSTEM)


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns that hold inside one folder, in gitignore's syntax.

    Each comes with the folder's path as seen from where the patterns were written: empty, or with
    a slash at its end.
    """

    levels: tuple[tuple[GitIgnoreSpec, str], ...] = ()
    """The strongest first: from the command line, then from the deepest ignore file upwards."""
    fixed: int = 0
    """Levels from the command line, which stay the strongest."""

    @classmethod
    def at(cls, root: Path, exclude: GitIgnoreSpec | None) -> Self:
        """The rules for a folder that was named: what to exclude, and the ignore files above it.

        Such a file holds for the folder's content as it does when the walk comes from above, but
        for one that leaves out the folder itself: naming it overrules that.

        Raises
        ------
        UsageError, OSError
            Where a file above cannot be understood or read.
        """
        levels = [(exclude, "")] if exclude else []
        fixed = len(levels)
        real = Path(os.path.realpath(root))
        for above in real.parents:
            if spec := _read(above):
                prefix = f"{real.relative_to(above).as_posix()}/"
                if not spec.check_file(prefix).include:
                    levels.append((spec, prefix))
        return cls(tuple(levels), fixed)

    def inside(self, folder: Path, names: Container[str]) -> Self:
        """These rules and those of the folder's own ignore file, if it is among `names`.

        Raises
        ------
        UsageError, OSError
            Where the file cannot be understood or read.
        """
        spec = _read(folder) if IGNORE_FILE in names else None
        if not spec:
            return self
        levels = (*self.levels[: self.fixed], (spec, ""), *self.levels[self.fixed :])
        return replace(self, levels=levels)

    def below(self, name: str) -> Self:
        """The rules for a subfolder."""
        if not self.levels:
            return self
        levels = tuple((spec, f"{prefix}{name}/") for spec, prefix in self.levels)
        return replace(self, levels=levels)

    def leave_out(self, name: str, is_folder: bool) -> bool:
        """Whether to pass over something; the strongest patterns that speak of it decide."""
        for spec, prefix in self.levels:
            seen = f"{prefix}{name}/" if is_folder else f"{prefix}{name}"
            verdict = spec.check_file(seen.replace("\n", "\v")).include  # `*` stops at a line's end
            if verdict is not None:
                return verdict
        return False


def _read(folder: Path) -> GitIgnoreSpec | None:
    """The patterns of a folder's ignore file; None where there is none.

    Raises
    ------
    UsageError, OSError
        Where it cannot be understood or read: better nothing of the folder than too much.
    """
    path = folder / IGNORE_FILE
    try:
        with open_regular(path) as file:
            lines = os.fsdecode(file.read(_LARGEST)).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return patterns(lines)
    except UsageError as error:
        raise UsageError(f"in {path}, {error.reason}", error.remedy) from error


def patterns(lines: Iterable[str]) -> GitIgnoreSpec:
    """Read patterns in gitignore's syntax.

    Raises
    ------
    UsageError
        Where one makes no sense.
    """
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    try:
        return GitIgnoreSpec.from_lines(lines)
    except GitIgnorePatternError as error:
        raise UsageError(
            f"a pattern makes no sense: {error}.", "Patterns are written as in .gitignore."
        ) from error
