"""From what a person names to photos: files as they are, folders searched."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from captioner import system
from captioner.errors import CaptionerError
from captioner.photos.formats import may_be_photo
from captioner.photos.ignore_rules import IGNORE_FILE, NO_MEDIA, Rules, is_hidden, patterns
from captioner.photos.path_errors import NEITHER, explain, explain_link
from captioner.photos.sidecars import SidecarNames
from captioner.system.paths import absolute, is_marked_hidden, verbatim
from captioner.types import Failure, Listing, Photo, Sidecar


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the photos below a folder are taken. What is named itself always is."""

    exclude: tuple[str, ...] = ()
    """What to leave out: patterns in gitignore's syntax, as seen from each folder named."""
    include_hidden: bool = False
    """Take hidden files and folders too, and folders with a `.nomedia` in them."""


Skipped = Callable[[Path, str], None]
"""Called with what is not taken although its name may be a photo's, and the reason."""


def _ignore(path: Path, reason: str) -> None:
    pass


def walk(
    paths: Iterable[Path], selection: Selection = Selection(), skipped: Skipped = _ignore
) -> Iterator[Photo | Failure]:
    """Find the photos under each path, in the order given.

    A file that is named is taken, whatever it is called. Inside a folder, files whose names may
    be photos' are taken, in order of their names, the subfolders among them; passed over is what
    is hidden, has a `.nomedia` in it, or is left out by `selection` or by a `.captionerignore`
    file in the folder or above it. Links are followed. No folder is entered twice, so that links
    in a circle end, and a file that is reached in several ways, by links or because paths overlap,
    comes once. (Hard links are files of their own.)

    What is found in a folder and can never be a photo as it is, a link that leads to nothing or a
    pipe, is no failure, or each run over the folder would fail: it is skipped.

    Yields
    ------
    A `Photo`, or a `Failure` where a path does not exist or may not be looked at: one with the
    path of a folder means that photos in it may not have come. No photo is opened.

    Raises
    ------
    UsageError
        Where a pattern of `selection` makes no sense.
    """
    for found in listings(paths, selection, skipped):
        if isinstance(found, Listing):
            yield from found
        else:
            yield found


def listings(
    paths: Iterable[Path], selection: Selection = Selection(), skipped: Skipped = _ignore
) -> Iterator[Listing | Failure]:
    """As `walk`, but those photos of a folder together that follow each other."""
    finding = _Walk(selection, skipped)
    for path in paths:
        yield from finding.under(path)


_HERE = Path()
_TOGETHER = 500
"""Photos in a listing, at most."""
_Identity = tuple[int, int] | str
"""Device and inode; the real path on a drive that numbers no files, as some network drives."""


@dataclass(slots=True)
class _Folder:
    """What is known of a folder, whatever the way to it."""

    rules: Rules | None = None
    """None until it is entered."""
    taken: set[str] = field(default_factory=set)
    """Files in it that came, or will come, in another way than by entering it."""


@dataclass(slots=True)
class _Open:
    """A folder that the walk is in."""

    inside: str
    """The beginning of all paths in it, as text: to make a `Path` takes longer than to find it."""
    rules: Rules
    taken: set[str]
    entries: dict[str, os.DirEntry[str]]
    """All that is in it and was not come to yet, by name."""
    names: Iterator[str]
    """Those that may concern the walk, in order."""
    sidecars: SidecarNames | None
    """None where there are none."""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


class _Walk:
    def __init__(self, selection: Selection, skipped: Skipped) -> None:
        self._skipped = skipped
        self._hidden_too = selection.include_hidden
        self._exclude = selection.exclude
        if self._exclude:
            patterns(self._exclude, None)  # a mistake ends the command, and not only a folder
        # Asking each entry for its mark costs time on other systems, which have no such mark.
        self._marks = (system.WINDOWS or system.MAC) and not self._hidden_too
        self._folders: dict[_Identity, _Folder] = {}
        self._sidecars: dict[Path, SidecarNames | None] = {}
        """Of folders from which photos were named one by one."""

    def under(self, start: Path) -> Iterator[Listing | Failure]:
        try:
            found = verbatim(start).stat()
            if stat.S_ISREG(found.st_mode):
                if self._is_new(start):
                    yield Listing.of(Photo.of(start, found, self._sidecars_of(start)))
            elif stat.S_ISDIR(found.st_mode):
                yield from self._search(start, Rules.at(start, self._exclude))
            else:
                yield Failure(start, NEITHER)
        except (OSError, ValueError) as error:
            yield Failure(start, explain_link(start) or explain(error))
        except CaptionerError as error:
            yield Failure(start, str(error))

    def _search(self, start: Path, rules: Rules) -> Iterator[Listing | Failure]:
        stack: list[_Open] = []
        yield from self._enter(start, rules, stack, named=True)
        while stack:
            folder = stack[-1]
            listing = Listing(folder.inside)
            ended = self._list(folder, listing)
            if listing.names:
                yield listing
            if isinstance(ended, Failure):
                yield ended
            elif ended is not None:
                yield from self._enter(
                    Path(folder.inside + ended), folder.rules.below(ended), stack
                )
            elif len(listing) < _TOGETHER:
                stack.pop()

    def _list(self, folder: _Open, listing: Listing) -> str | Failure | None:
        """Add a folder's next photos to a listing; what ended it: a subfolder, or a failure."""
        rules = folder.rules if folder.rules.levels else None
        taken, inside = folder.taken, folder.inside
        for name in folder.names:
            entry = folder.entries.pop(name)
            is_folder = _is_folder(entry)
            if not (is_folder or may_be_photo(name)):
                if entry.is_symlink() and "." not in name:  # it may have led to a folder
                    self._skip(Path(inside + name))
                continue
            if rules and rules.leave_out(name, is_folder):
                continue
            if (self._marks and _is_marked(entry)) or (name in taken and not is_folder):
                continue
            if is_folder:
                return name
            try:
                found = entry.stat()
                if not stat.S_ISREG(found.st_mode):  # to open it may take for ever
                    self._skip(Path(inside + name), NEITHER)
                elif not entry.is_symlink() or self._is_new(Path(inside + name)):
                    listing.add(name, found, folder.sidecars.of(name) if folder.sidecars else ())
                    if len(listing.names) == _TOGETHER:
                        return None
            except OSError as error:
                if failure := self._judge(entry, Path(inside + name), error):
                    return failure
        return None

    def _judge(self, entry: os.DirEntry[str], path: Path, error: OSError) -> Failure | None:
        """A failure, unless the file is a broken link or was deleted since its folder was read."""
        if entry.is_symlink() and self._skip(path):
            return None
        return None if isinstance(error, FileNotFoundError) else Failure(path, explain(error))

    def _skip(self, path: Path, reason: str | None = None) -> bool:
        """Report what is not taken, for this reason or because it is a link that leads nowhere."""
        reason = reason or explain_link(path)
        if reason:
            self._skipped(path, reason)
        return bool(reason)

    def _enter(
        self, path: Path, rules: Rules, stack: list[_Open], *, named: bool = False
    ) -> Iterator[Failure]:
        """Put a folder on the stack that was not entered before."""
        entries: dict[str, os.DirEntry[str]] = {}
        try:
            known = self._known(path)
            if known.rules is not None:
                return
            with os.scandir(verbatim(path)) as found:
                for entry in found:  # keeps what came before an error
                    entries[entry.name] = entry
        except OSError as error:
            yield Failure(path, explain(error))
            if not entries:
                return
        if NO_MEDIA in entries and not (named or self._hidden_too):
            return
        try:
            known.rules = rules.inside(path, entries)
        except OSError as error:
            yield Failure(path / IGNORE_FILE, explain(error))
        except CaptionerError as error:
            yield Failure(path, str(error))
        else:
            names = sorted(
                entries if self._hidden_too else [name for name in entries if not is_hidden(name)]
            )
            inside = "" if path == _HERE else os.path.join(path, "")  # noqa: PTH118 (text)
            sidecars = SidecarNames.among(entries, known.rules)
            stack.append(_Open(inside, known.rules, known.taken, entries, iter(names), sidecars))

    def _leaves_out(self, rules: Rules | None, name: str, is_folder: bool) -> bool:
        if is_hidden(name) and not self._hidden_too:
            return True
        return rules is not None and rules.leave_out(name, is_folder)

    def _is_new(self, path: Path) -> bool:
        """Whether a file that was named or linked to has not come, and will not come otherwise."""
        real = Path(absolute(os.path.realpath(path)))
        folder = self._known(real.parent)
        if real.name in folder.taken:
            return False
        entered = folder.rules is not None and may_be_photo(real.name)
        if entered and not self._leaves_out(folder.rules, real.name, False):
            return False
        folder.taken.add(real.name)
        return True

    def _sidecars_of(self, photo: Path) -> tuple[Sidecar, ...]:
        """Those of a photo that was named itself."""
        folder = photo.parent
        if folder not in self._sidecars:
            entries: dict[str, os.DirEntry[str]] = {}
            with suppress(OSError), os.scandir(folder) as found:
                entries.update((entry.name, entry) for entry in found)
            self._sidecars[folder] = SidecarNames.among(entries)
        sidecars = self._sidecars[folder]
        return sidecars.of(photo.name) if sidecars else ()

    def _known(self, folder: Path) -> _Folder:
        found = verbatim(folder).stat()
        number = (found.st_dev, found.st_ino)
        identity = number if found.st_ino else os.path.realpath(folder)
        return self._folders.setdefault(identity, _Folder())


def _is_marked(entry: os.DirEntry[str]) -> bool:
    try:
        return is_marked_hidden(entry.stat(follow_symlinks=False))
    except OSError:
        return False  # What is wrong with it is said where it is looked at.
