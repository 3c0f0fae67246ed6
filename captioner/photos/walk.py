"""The walk: finds photos under the paths that a user names, searching folders recursively."""

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
from captioner.photos.ignore_rules import IGNORE_FILE, NO_MEDIA, IgnoreRules, is_hidden, patterns
from captioner.photos.path_errors import explain, explain_link
from captioner.photos.sidecars import SidecarFinder
from captioner.regular_files import NEITHER
from captioner.system.paths import absolute, is_marked_hidden, remote_uri, verbatim
from captioner.types import Failure, Listing, Photo, Sidecar


@dataclass(frozen=True, slots=True)
class Selection:
    """Which photos below a folder to take. A file named by the user is always taken."""

    exclude: tuple[str, ...] = ()
    """Patterns in gitignore's syntax of what to ignore, relative to each folder named."""
    include_hidden: bool = False
    """Take hidden files and folders too, and folders with a `.nomedia` file."""


Skipped = Callable[[Path, str], None]
"""Called with the path and the reason of what is skipped although it is named like a photo."""


def _ignore(path: Path, reason: str) -> None:
    pass


def walk(
    paths: Iterable[Path], selection: Selection = Selection(), skipped: Skipped = _ignore
) -> Iterator[Photo | Failure]:
    """Find the photos under each path, in the order given.

    A file named by the user is taken whatever its name. Inside a folder, files with the extension
    of a photo format are taken, sorted by name together with subfolders. Hidden entries, folders
    with a `.nomedia` file, and what `selection` or a `.captionerignore` file in the folder or above
    ignores are left out. Symbolic links are followed. No folder is entered twice, so that cyclic
    links end, and a file that is reached in several ways, by links or because paths overlap, comes
    once. (Hard links are files of their own.)

    What is found in a folder and can never be a photo, such as a broken link or a named pipe, is
    skipped: as a failure, it would fail every run over the folder.

    Yields
    ------
    A `Photo`, or a `Failure` if a path does not exist or cannot be read: one with the path of a
    folder means that photos in it may be missing. Photos are not opened.

    Raises
    ------
    UsageError
        If a pattern of `selection` is invalid.
    """
    for found in listings(paths, selection, skipped):
        if isinstance(found, Listing):
            yield from found
        else:
            yield found


def listings(
    paths: Iterable[Path], selection: Selection = Selection(), skipped: Skipped = _ignore
) -> Iterator[Listing | Failure]:
    """As `walk`, with consecutive photos of one folder grouped in a `Listing`."""
    walker = _Walker(selection, skipped)
    for path in paths:
        yield from walker.under(path)


_HERE = Path()
_LISTING_SIZE = 500
"""Photos in a listing, at most."""
_Identity = tuple[int, int] | str
"""Device and inode; the real path on a file system without inodes, as some network drives."""


@dataclass(slots=True)
class _KnownFolder:
    """What is known about a folder, by whichever path it is reached."""

    rules: IgnoreRules | None = None
    """None until it is entered."""
    taken: set[str] = field(default_factory=set)
    """Names of files in it that are yielded in another way than by entering it."""


@dataclass(slots=True)
class _OpenFolder:
    """A folder on the stack of the walk."""

    prefix: str
    """The beginning of all paths in it, as text: creating a `Path` takes longer than the walk."""
    rules: IgnoreRules
    taken: set[str]
    entries: dict[str, os.DirEntry[str]]
    """Its remaining entries, by name."""
    names: Iterator[str]
    """Those of the entries that may be relevant, in order."""
    sidecars: SidecarFinder | None
    """None if there are none."""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


class _Walker:
    def __init__(self, selection: Selection, skipped: Skipped) -> None:
        self._skipped = skipped
        self._include_hidden = selection.include_hidden
        self._exclude = selection.exclude
        if self._exclude:
            patterns(self._exclude, None)  # an invalid one is an error, not the failure of a folder
        # Other systems have no attribute for hidden files, and asking each entry takes time.
        self._check_attribute = (system.WINDOWS or system.MAC) and not self._include_hidden
        self._folders: dict[_Identity, _KnownFolder] = {}
        self._sidecars: dict[Path, SidecarFinder | None] = {}
        """Of the folders of photos that were named one by one."""

    def under(self, start: Path) -> Iterator[Listing | Failure]:
        if uri := remote_uri(start):
            from captioner.photos import remote

            rules = IgnoreRules.without_files(self._exclude)
            yield from remote.listings(uri, rules, include_hidden=self._include_hidden)
            return
        try:
            status = verbatim(start).stat()
            if stat.S_ISREG(status.st_mode):
                if self._is_new(start):
                    yield Listing.of(Photo.of(start, status, self._sidecars_of(start)))
            elif stat.S_ISDIR(status.st_mode):
                yield from self._search(start, IgnoreRules.at(start, self._exclude))
            else:
                yield Failure(start, NEITHER)
        except (OSError, ValueError) as error:
            yield Failure(start, explain_link(start) or explain(error))
        except CaptionerError as error:
            yield Failure(start, str(error))

    def _search(self, start: Path, rules: IgnoreRules) -> Iterator[Listing | Failure]:
        stack: list[_OpenFolder] = []
        yield from self._enter(start, rules, stack, named=True)
        while stack:
            folder = stack[-1]
            listing = Listing(folder.prefix)
            ended = self._list(folder, listing)
            if listing.names:
                yield listing
            if isinstance(ended, Failure):
                yield ended
            elif ended is not None:
                yield from self._enter(
                    Path(folder.prefix + ended), folder.rules.below(ended), stack
                )
            elif len(listing) < _LISTING_SIZE:
                stack.pop()

    def _list(self, folder: _OpenFolder, listing: Listing) -> str | Failure | None:
        """Add a folder's next photos to a listing.

        Returns
        -------
        What ended it: the name of a subfolder or a failure; None if the listing is full or the
        folder has no more entries.
        """
        rules = folder.rules if folder.rules.levels else None
        taken, prefix = folder.taken, folder.prefix
        for name in folder.names:
            entry = folder.entries.pop(name)
            is_folder = _is_folder(entry)
            if not (is_folder or may_be_photo(name)):
                if entry.is_symlink() and "." not in name:  # perhaps to a folder that is gone
                    self._skip(Path(prefix + name))
                continue
            if rules and rules.ignores(name, is_folder):
                continue
            if (self._check_attribute and _is_marked(entry)) or (name in taken and not is_folder):
                continue
            if is_folder:
                return name
            try:
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):  # opening it may block for ever
                    self._skip(Path(prefix + name), NEITHER)
                elif not entry.is_symlink() or self._is_new(Path(prefix + name)):
                    listing.add(name, status, folder.sidecars.of(name) if folder.sidecars else ())
                    if len(listing.names) == _LISTING_SIZE:
                        return None
            except OSError as error:
                if failure := self._failure(entry, Path(prefix + name), error):
                    return failure
        return None

    def _failure(self, entry: os.DirEntry[str], path: Path, error: OSError) -> Failure | None:
        """A failure, unless the file is a broken link or was deleted since its folder was read."""
        if entry.is_symlink() and self._skip(path):
            return None
        return None if isinstance(error, FileNotFoundError) else Failure(path, explain(error))

    def _skip(self, path: Path, reason: str | None = None) -> bool:
        """Report a skipped path, with the reason given or because it is a broken link."""
        reason = reason or explain_link(path)
        if reason:
            self._skipped(path, reason)
        return bool(reason)

    def _enter(
        self, path: Path, rules: IgnoreRules, stack: list[_OpenFolder], *, named: bool = False
    ) -> Iterator[Failure]:
        """Push a folder onto the stack, unless it was entered before."""
        entries: dict[str, os.DirEntry[str]] = {}
        try:
            known = self._known(path)
            if known.rules is not None:
                return
            with os.scandir(verbatim(path)) as found:
                for entry in found:  # keeps the entries before an error
                    entries[entry.name] = entry
        except OSError as error:
            yield Failure(path, explain(error))
            if not entries:
                return
        if NO_MEDIA in entries and not (named or self._include_hidden):
            return
        try:
            known.rules = rules.inside(path, entries)
        except OSError as error:
            yield Failure(path / IGNORE_FILE, explain(error))
        except CaptionerError as error:
            yield Failure(path, str(error))
        else:
            names = sorted(
                entries
                if self._include_hidden
                else [name for name in entries if not is_hidden(name)]
            )
            prefix = "" if path == _HERE else os.path.join(path, "")  # noqa: PTH118 (text)
            sidecars = SidecarFinder.from_entries(entries, known.rules)
            stack.append(
                _OpenFolder(prefix, known.rules, known.taken, entries, iter(names), sidecars)
            )

    def _ignores_file(self, rules: IgnoreRules | None, name: str) -> bool:
        if is_hidden(name) and not self._include_hidden:
            return True
        return rules is not None and rules.ignores(name, False)

    def _is_new(self, path: Path) -> bool:
        """Whether a file that was named or linked to is not yielded in another way."""
        real = Path(absolute(os.path.realpath(path)))
        folder = self._known(real.parent)
        if real.name in folder.taken:
            return False
        entered = folder.rules is not None and may_be_photo(real.name)
        if entered and not self._ignores_file(folder.rules, real.name):
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
            self._sidecars[folder] = SidecarFinder.from_entries(entries)
        sidecars = self._sidecars[folder]
        return sidecars.of(photo.name) if sidecars else ()

    def _known(self, folder: Path) -> _KnownFolder:
        status = verbatim(folder).stat()
        inode = (status.st_dev, status.st_ino)
        identity = inode if status.st_ino else os.path.realpath(folder)
        return self._folders.setdefault(identity, _KnownFolder())


def _is_marked(entry: os.DirEntry[str]) -> bool:
    try:
        return is_marked_hidden(entry.stat(follow_symlinks=False))
    except OSError:
        return False  # the error is reported where the entry is used
