"""The paths of a command line: read from its words or stdin, and printed as they were given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path

from captioner.app_paths import home_folder
from captioner.cli import interrupt, streams
from captioner.errors import UsageError
from captioner.system.paths import absolute, decoded

_HERE = Path()


def seen_from(path: Path, roots: Iterable[Path]) -> Path | None:
    """An absolute path as a walk of some roots would name it; None where it is below none."""
    for root in roots:
        above = absolute(root)
        if path.is_relative_to(above):
            return root / path.relative_to(above)
    return None


def beside(photo: str, name: str) -> str:
    """Spell the path of a file in the folder of a photo in the manner of the photo's."""
    return os.path.join(os.path.dirname(photo), name)  # noqa: PTH118, PTH120 (a Path loses the ./)


def _read_more(stdin: BufferedReader) -> bytes:
    """What there is to read; nothing at the end, and after a signal, which ends the list."""
    try:
        with interrupt.waiting():
            return stdin.read1(65536)
    except interrupt.Interrupted:
        if interrupt.asked():
            return b""
        raise
    except OSError as error:
        raise streams.unreadable(error) from error


def _at_home(word: str) -> str:
    """A word of the command line with the home folder for `~/`, which not every shell expands."""
    home = home_folder() if word == "~" or word.startswith(("~/", f"~{os.sep}")) else None
    return os.path.join(home, word[2:]) if home and not os.path.lexists(word) else word  # noqa: PTH118


class Given:
    """Paths in the order given, each with the spelling it was given in.

    `Path("./a.jpg")` forgets its `./`; who joins the output with their own list needs it back.

    Parameters
    ----------
    words
        The command's arguments; `-` stands for paths on stdin.
    nul
        Paths on stdin end with NUL, as `find -print0` writes them, not with a line's end.

    Raises
    ------
    UsageError
        Where a word is empty, `nul` is set and no word is `-`, or stdin is not as `nul` says.
    """

    def __init__(self, words: Sequence[str], *, nul: bool = False) -> None:
        if "" in words:
            raise UsageError("an empty path was given.", "Is a variable of the shell unset?")
        if nul and "-" not in words:
            raise UsageError("-0 is about paths on standard input.", "Give - as the path.")
        self.words = [_at_home(word) for word in words]
        """The command's arguments."""
        self._end = b"\0" if nul else b"\n"
        self._spellings: dict[Path, str] = {}

    def __iter__(self) -> Iterator[Path]:
        for word in self.words:
            for spelling in self._read_stdin() if word == "-" else [word]:
                path = Path(spelling)
                # What is below the current folder, too, loses its dot, and must not get one that
                # it never had. A list on stdin may be too long to be kept without need.
                if word != "-" or str(path) != spelling or _HERE in self._spellings:
                    self._spellings[path] = spelling
                yield path

    def _read_stdin(self) -> Iterator[str]:
        # By hand, since files know lines alone; a path is passed on as soon as it is complete.
        rest = b""
        stdin = streams.stdin()
        while piece := _read_more(stdin):
            if b"\0" in piece and self._end != b"\0":
                raise UsageError("the paths on standard input end with NUL.", "Add -0.")
            *complete, rest = (rest + piece).split(self._end)
            yield from filter(None, map(decoded, complete))
        if rest:
            yield decoded(rest)

    @property
    def one_file(self) -> bool:
        """Whether a single photo was asked for, by name."""
        return len(self.words) == 1 and self.words[0] != "-" and not Path(self.words[0]).is_dir()

    def spelled(self, path: Path) -> str:
        """Spell a path, or one below a folder that was given, as the person did."""
        if not self._spellings:
            return str(path)
        for above in (path, *path.parents):
            if spelling := self._spellings.get(above):
                below = path.relative_to(above)
                # Joined as text, since a Path would lose the spelling again.
                return os.path.join(spelling, below) if below.parts else spelling  # noqa: PTH118
        return str(path)

    def spelled_beside(self, file: Path, photo: Path) -> str:
        """Spell the path of a photo, or of a file beside it, as the person did the photo's."""
        if file.parent != photo.parent:
            return self.spelled(file)
        return beside(self.spelled(photo), file.name)
