"""Input paths from the arguments or from stdin, printed in the spelling they came in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path

from captioner.app_paths import home_folder
from captioner.cli import interrupt, streams
from captioner.errors import UsageError
from captioner.system.paths import absolute, decoded, remote_uri

_HERE = Path()


def relative_to_roots(path: Path, roots: Iterable[Path]) -> Path | None:
    """An absolute path as a walk from one of the roots spells it; None if it is below none."""
    for root in roots:
        above = absolute(root)
        if path.is_relative_to(above):
            return root / path.relative_to(above)
    return None


def beside(photo: str, name: str) -> str:
    """The path of a file in a photo's folder, spelled as the photo's path is."""
    return os.path.join(os.path.dirname(photo), name)  # noqa: PTH118, PTH120 (a Path loses the ./)


def _read_more(stdin: BufferedReader) -> bytes:
    """The next bytes of stdin; none at the end, or after a signal that asks to stop."""
    try:
        with interrupt.waiting():
            return stdin.read1(65536)
    except interrupt.Interrupted:
        if interrupt.stop_requested():
            return b""
        raise
    except OSError as error:
        raise streams.unreadable_error(error) from error


def _expand(argument: str) -> str:
    """An argument with a leading `~/` expanded, which not every shell does."""
    at_home = argument == "~" or argument.startswith(("~/", f"~{os.sep}"))
    home = home_folder() if at_home and not os.path.lexists(argument) else None
    return os.path.join(home, argument[2:]) if home else argument  # noqa: PTH118


class InputPaths:
    """The paths that a command works on, in order, each with its original spelling.

    `Path("./a.jpg")` drops the `./`, but users who join the output with their own list need it.

    Parameters
    ----------
    arguments
        The command's arguments; `-` reads paths from stdin.
    nul
        Paths on stdin end with NUL, as `find -print0` writes them, not with a line break.

    Raises
    ------
    UsageError
        If an argument is empty, if `nul` is set but no argument is `-`, or if stdin holds NULs
        without `nul`.
    """

    def __init__(self, arguments: Sequence[str], *, nul: bool = False) -> None:
        if "" in arguments:
            raise UsageError("one of the paths is empty.", "Is a shell variable unset?")
        if nul and "-" not in arguments:
            raise UsageError("-0 requires paths on standard input.", "Use - as the path.")
        self.arguments = [_expand(argument) for argument in arguments]
        """The command's arguments."""
        self._end = b"\0" if nul else b"\n"
        self._spellings: dict[Path, str] = {}

    def __iter__(self) -> Iterator[Path]:
        for argument in self.arguments:
            for spelling in self._read_stdin() if argument == "-" else [argument]:
                path = Path(spelling)
                # Paths below "." lose their dot as well, and must not get one that they never had.
                # A list on stdin may be long: spellings are stored only if they differ.
                if argument != "-" or str(path) != spelling or _HERE in self._spellings:
                    self._spellings[path] = spelling
                yield path

    def _read_stdin(self) -> Iterator[str]:
        # Not by line, since paths may end with NUL; each is yielded as soon as it is complete.
        rest = b""
        stdin = streams.stdin()
        while chunk := _read_more(stdin):
            if b"\0" in chunk and self._end != b"\0":
                raise UsageError("the paths on standard input end with NUL.", "Add -0.")
            *complete, rest = (rest + chunk).split(self._end)
            yield from filter(None, map(decoded, complete))
        if rest:
            yield decoded(rest)

    @property
    def one_file(self) -> bool:
        """Whether the arguments are a single file."""
        return (
            len(self.arguments) == 1
            and self.arguments[0] != "-"
            and not Path(self.arguments[0]).is_dir()
            and not (remote_uri(self.arguments[0]) and not Path(self.arguments[0]).suffix)
        )

    def spelled(self, path: Path) -> str:
        """The spelling of an input path, or of a path below an input folder."""
        if not self._spellings:
            return str(path)
        for above in (path, *path.parents):
            if spelling := self._spellings.get(above):
                below = path.relative_to(above)
                # Joined as text: a Path would drop the spelling again.
                return os.path.join(spelling, below) if below.parts else spelling  # noqa: PTH118
        return str(path)

    def spell_beside(self, file: Path, photo: Path) -> str:
        """The spelling of a photo, or of a file next to it, as in the input."""
        if file.parent != photo.parent:
            return self.spelled(file)
        return beside(self.spelled(photo), file.name)
