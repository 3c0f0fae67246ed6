"""What the walk leaves out of a folder: hidden things, and what people ask it to leave out."""

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
from captioner.photos.path_errors import open_regular

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
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


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
    def at(cls, root: Path, exclude: Sequence[str]) -> Self:
        """The rules for a folder that was named: what to exclude, and the ignore files above it.

        Such a file holds for the folder's content as it does when the walk comes from above, but
        for one that leaves out the folder itself: naming it overrules that.

        Raises
        ------
        UsageError, OSError
            Where a file above cannot be understood or read.
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
            content = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return patterns(_lines(content), folder, path)
    except UsageError as error:
        raise UsageError(f"in {path}, {error.reason}", error.remedy) from error


def _lines(content: bytes) -> list[str]:
    """The lines of an ignore file as any editor writes it: with a byte-order mark, in UTF-16.

    What is neither is read as UTF-8; a line that is not, as Latin-1 as well.

    Raises
    ------
    UsageError
        Where it is UTF-16 and damaged.
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
    found = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        found.append(line)
        try:
            line.encode()
        except UnicodeEncodeError:
            found.append(os.fsencode(line).decode("cp1252", "replace"))
    return found


def _utf_16(content: bytes) -> str | None:
    """Which UTF-16 a text is in, by its byte-order mark or its zeros; None where it is in none."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content.count(0) * 4 < len(content) or not content:
        return None
    return "utf-16-be" if content[::2].count(0) > content[1::2].count(0) else "utf-16-le"


def patterns(
    lines: Iterable[str], folder: Path | None, source: Path | None = None
) -> GitIgnoreSpec:
    """Read patterns in gitignore's syntax, and paths in it: `./x`, `/home/me/Photos/x`, `C:\\x`.

    Parameters
    ----------
    folder
        Where the patterns hold. A path below it means that path; one elsewhere means nothing here,
        which is worth a `CaptionerWarning`. None only checks their syntax.
    source
        The file that the lines are from; None for the command line.

    Raises
    ------
    UsageError
        Where one makes no sense.
    """
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    try:
        if folder is not None:
            lines = [_anchored(line, folder, source) for line in lines]
        return GitIgnoreSpec.from_lines(form for line in lines for form in _normal_forms(line))
    except GitIgnorePatternError as error:
        raise UsageError(
            f"a pattern makes no sense: {error}.", "Patterns are written as in .gitignore."
        ) from error


def _normal_forms(line: str) -> Iterable[str]:
    """A pattern as given, and with its letters composed and decomposed, as names on disk may be."""
    if line.isascii():
        return (line,)
    return dict.fromkeys((line, *(unicodedata.normalize(form, line) for form in ("NFC", "NFD"))))


def _anchored(line: str, folder: Path, source: Path | None) -> str:
    """A pattern as gitignore has it: a path that begins with a slash starts at the folder."""
    negation, pattern = ("!", line[1:]) if line.startswith("!") else ("", line)
    drive = _DRIVE.match(pattern)
    if pattern.startswith(("./", ".\\")):
        return f"{negation}/{pattern[2:].lstrip('/')}"
    if not (drive or pattern.startswith(("/", "~/"))):
        return line
    whole = pattern.replace("\\", "/") if drive else pattern
    if pattern.startswith("~/"):
        whole = f"{Path.home().as_posix()}{pattern[1:]}"
    for start in _spellings(folder):
        same = whole.casefold().startswith(start.casefold()) if drive else whole.startswith(start)
        if same and len(start) > 1:
            return f"{negation}/{whole[len(start) :] or '*'}"
        if f"{whole.rstrip('/')}/" == start:
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
    """A folder's absolute path as given and without links, with a slash at its end."""
    found = dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder)))  # noqa: PTH100
    return [path.replace(os.sep, "/").rstrip("/") + "/" for path in found]


def _is_elsewhere(pattern: str, folder: Path) -> bool:
    """Whether a pattern that begins with a slash is a path of this system, not of the folder."""
    parts = pattern.strip().strip("/").split("/")
    literal = list(takewhile(lambda part: not set(part) & set("*?[\\"), parts))
    if len(parts) < 2 or not literal:
        return False
    try:
        here = (folder / literal[0]).exists()
        return not here and Path("/", *literal[:2]).exists()
    except (OSError, ValueError):
        return False
