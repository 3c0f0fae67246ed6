"""Ignore rules of the walk: hidden files, and patterns in the syntax of `.gitignore`."""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
import warnings
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from captioner.errors import CaptionerWarning, UsageError
from captioner.regular_files import open_regular

if TYPE_CHECKING:  # imported only if there are patterns
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".captionerignore"
NO_MEDIA = ".nomedia"
"""Android's marker of folders whose pictures are not photos: album covers, stickers."""

# Folders of operating systems and NAS devices whose names do not begin with a dot.
_SYSTEM = frozenset(
    {"@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "recycler"}
    | {"system volume information", "lost+found", "__macosx"}
)
_MAX_BYTES = 1 << 20
"""Of an ignore file; the rest is not read."""
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden by its name: `._a.jpg`, `.Trashes`, `@eaDir`."""
    return name[0] == "." or (name[0] in "@#$RrSsLl_" and name.lower() in _SYSTEM)


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The patterns that apply inside one folder, in gitignore's syntax.

    Each comes with the folder's path relative to where the patterns were given: empty, or with a
    trailing slash.
    """

    levels: tuple[tuple[GitIgnoreSpec, str], ...] = ()
    """By precedence: from the command line, then from the deepest ignore file upwards."""
    fixed: int = 0
    """The number of levels from the command line, which keep the highest precedence."""

    @classmethod
    def at(cls, root: Path, exclude: Sequence[str]) -> Self:
        """The rules for a folder named by the user: `exclude`, and the ignore files above it.

        An ignore file above applies to the folder's content as in a walk from above, unless it
        ignores the folder itself: naming a folder overrides that.

        Raises
        ------
        UsageError, OSError
            If an ignore file above is invalid or cannot be read.
        """
        levels = [(patterns(exclude, root), "")] if exclude else []
        fixed = len(levels)
        real = Path(os.path.realpath(root))
        for above in real.parents:
            if spec := _read(above):
                prefix = f"{real.relative_to(above).as_posix()}/"
                if not spec.check_file(prefix).include:
                    levels.append((spec, prefix))
        return cls(tuple(levels), fixed)

    @classmethod
    def without_files(cls, exclude: Sequence[str]) -> Self:
        """The rules for a remote folder: `exclude` alone."""
        return cls(((patterns(exclude, None), ""),), 1) if exclude else cls()

    def inside(self, folder: Path, names: Container[str]) -> Self:
        """These rules with those of the folder's own ignore file, if it is among `names`.

        Raises
        ------
        UsageError, OSError
            If the file is invalid or cannot be read.
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

    def ignores(self, name: str, is_folder: bool) -> bool:
        """Whether an entry is ignored: the level of highest precedence that matches decides."""
        for spec, prefix in self.levels:
            path = f"{prefix}{name}/" if is_folder else f"{prefix}{name}"
            # pathspec's `*` matches no newline, which may be in a name.
            ignored = spec.check_file(path.replace("\n", "\v")).include
            if ignored is not None:
                return ignored
        return False


def _read(folder: Path) -> GitIgnoreSpec | None:
    """The patterns of a folder's ignore file; None if there is no such file.

    Raises
    ------
    UsageError, OSError
        If it is invalid or cannot be read: better to index nothing of the folder than too much.
    """
    path = folder / IGNORE_FILE
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return patterns(_lines(content), folder, path)
    except UsageError as error:
        raise UsageError(f"in {path}, {error.reason}", error.remedy) from error


def _lines(content: bytes) -> list[str]:
    """The lines of an ignore file in UTF-8 or UTF-16, with or without a byte-order mark.

    A line that is not valid UTF-8 is also read as Windows-1252.

    Raises
    ------
    UsageError
        If it is UTF-16, but not valid.
    """
    if encoding := _utf_16(content):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            raise UsageError(
                f"the text is not valid UTF-16: {error.reason}.", "Save it as UTF-8."
            ) from error
    else:
        text = os.fsdecode(content.removeprefix(codecs.BOM_UTF8))
    lines = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        lines.append(line)
        try:
            line.encode()
        except UnicodeEncodeError:
            lines.append(os.fsencode(line).decode("cp1252", "replace"))
    return lines


def _utf_16(content: bytes) -> str | None:
    """The UTF-16 variant of a text, from its byte-order mark or its zeros; None if it is not."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content.count(0) * 4 < len(content) or not content:
        return None
    return "utf-16-be" if content[::2].count(0) > content[1::2].count(0) else "utf-16-le"


def patterns(
    lines: Iterable[str], folder: Path | None, source: Path | None = None
) -> GitIgnoreSpec:
    """Compile patterns in gitignore's syntax, and paths: `./x`, `/home/me/Photos/x`, `C:\\x`.

    Parameters
    ----------
    folder
        The folder in which the patterns apply. An absolute path below it matches that path; one
        elsewhere matches nothing and issues a `CaptionerWarning`. None to check syntax only.
    source
        The file that the lines are from; None for the command line.

    Raises
    ------
    UsageError
        If a pattern is invalid.
    """
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    try:
        if folder is not None:
            lines = [_anchored(line, folder, source) for line in lines]
        return GitIgnoreSpec.from_lines(form for line in lines for form in _normal_forms(line))
    except GitIgnorePatternError as error:
        raise UsageError(
            f"a pattern is invalid: {error}.", "Patterns are written as in .gitignore."
        ) from error


def _normal_forms(line: str) -> Iterable[str]:
    """A pattern as given and in Unicode's forms NFC and NFD, as names on disk may be in either."""
    if line.isascii():
        return (line,)
    return dict.fromkeys((line, *(unicodedata.normalize(form, line) for form in ("NFC", "NFD"))))


def _anchored(line: str, folder: Path, source: Path | None) -> str:
    """A pattern in gitignore's syntax, in which a leading slash stands for the folder."""
    negation, pattern = ("!", line[1:]) if line.startswith("!") else ("", line)
    drive = _DRIVE.match(pattern)
    if pattern.startswith(("./", ".\\")):
        return f"{negation}/{pattern[2:].lstrip('/')}"
    if not (drive or pattern.startswith(("/", "~/"))):
        return line
    whole = pattern.replace("\\", "/") if drive else pattern
    if pattern.startswith("~/"):
        whole = f"{Path.home().as_posix()}{pattern[1:]}"
    for root in _spellings(folder):
        below = whole.casefold().startswith(root.casefold()) if drive else whole.startswith(root)
        if below and len(root) > 1:
            return f"{negation}/{whole[len(root) :] or '*'}"
        if f"{whole.rstrip('/')}/" == root:
            return f"{negation}/*"
    if drive or pattern.startswith("~/") or _is_elsewhere(whole, folder):
        where = f"in {source}" if source else "--exclude"
        warnings.warn(
            f"{where}: {pattern.strip()} is not below {folder}, so it excludes nothing there. "
            "A pattern that begins with / starts at that folder.",
            CaptionerWarning,
            stacklevel=2,
        )
        return "" if drive or pattern.startswith("~/") else line
    return line


def _spellings(folder: Path) -> list[str]:
    """A folder's absolute path, as given and with links resolved, with a trailing slash."""
    paths = dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder)))  # noqa: PTH100
    return [path.replace(os.sep, "/").rstrip("/") + "/" for path in paths]


def _is_elsewhere(pattern: str, folder: Path) -> bool:
    """Whether a pattern with a leading slash is an absolute path outside the folder."""
    parts = pattern.strip().strip("/").split("/")
    literal = list(takewhile(lambda part: not set(part) & set("*?[\\"), parts))
    if len(parts) < 2 or not literal:
        return False
    try:
        here = (folder / literal[0]).exists()
        return not here and Path("/", *literal[:2]).exists()
    except (OSError, ValueError):
        return False
