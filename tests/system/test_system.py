"""Differences between operating systems: Windows paths by `ntpath`, macOS by replaced parts."""

from __future__ import annotations

import errno
import ntpath
import os
import sqlite3
import stat
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PureWindowsPath
from types import ModuleType, SimpleNamespace
from typing import Any

import colour_describer
import pytest
from pictures import WORDS, Memory, picture

from captioner import system
from captioner.cli.paths import InputPaths, relative_to_roots
from captioner.errors import DatabaseUnavailableError, UsageError
from captioner.index import database, mounts
from captioner.metadata.errors import RefusalReason
from captioner.metadata.outcome import WriteOptions, WriteStatus
from captioner.metadata.replace import OutputFolderLock, resolve_replaceable
from captioner.metadata.writer import CaptionWriter
from captioner.photos import walk as walking
from captioner.photos.walk import Selection, walk
from captioner.system import attributes, files, locks, paths, windows
from captioner.types import Failure, Listing, Photo


def forget_listings() -> None:
    paths._listed_folder.cache_clear()
    paths._names.cache_clear()


@pytest.fixture
def ntpaths(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Windows' path rules, on a case-insensitive disk that holds what the set names."""
    there: set[str] = set()
    folded = SimpleNamespace(
        **{name: getattr(ntpath, name) for name in ("split", "join", "basename", "dirname", "sep")},
        abspath=lambda path: ntpath.normpath(ntpath.join("C:\\Users\\Mia", path)),
        lexists=lambda path: path.casefold() in {one.casefold() for one in there},
    )

    def listdir(folder: str) -> list[str]:
        return [
            ntpath.basename(one)
            for one in there
            if ntpath.dirname(one).casefold() == folder.casefold()
        ]

    monkeypatch.setattr(system, "WINDOWS", True)
    monkeypatch.setattr(paths, "_path", folded)
    monkeypatch.setattr(paths, "_MAX_LENGTH", 247)
    monkeypatch.setattr(paths.os, "listdir", listdir)
    forget_listings()
    yield there
    forget_listings()


class TestWindowsPaths:
    @pytest.mark.parametrize(
        "spelling",
        [
            r"C:\Photos\A.JPG", r"c:\photos\a.jpg", "c:/PHOTOS/A.jpg", r"..\..\photos\a.JPG",
            "\\\\?\\C:\\photos\\A.jpg",
        ],
    )  # fmt: skip
    def test_one_photo_has_one_key(self, ntpaths: set[str], spelling: str) -> None:
        ntpaths |= {r"C:\Photos", r"C:\Photos\a.JPG", r"C:\Photos\b.jpg"}
        assert database.path_key(spelling) == rb"C:\Photos\a.JPG"

    def test_a_new_photo_is_known_by_its_listed_name(self, ntpaths: set[str]) -> None:
        ntpaths |= {r"C:\Photos"}
        assert database.path_key(r"c:\photos\New.jpg") == rb"C:\Photos\New.jpg"
        ntpaths |= {r"C:\Photos\new.JPG"}
        assert database.path_key(r"c:\photos\New.jpg") == rb"C:\Photos\new.JPG"

    @pytest.mark.parametrize(
        ("spelling", "key"),
        [
            ("e:\\", b"E:\\"),
            (r"\\nas\photos", b"\\\\nas\\photos\\"),
            (r"\\nas\photos\a.jpg", rb"\\nas\photos\a.jpg"),
            (r"\\?\UNC\nas\photos\a.jpg", rb"\\nas\photos\a.jpg"),
            (r"C:\Trip.", rb"C:\Trip."),
            (r"C:\nul.jpg", rb"C:\nul.jpg"),
        ],
    )
    def test_drives_shares_and_unusual_names(
        self, ntpaths: set[str], spelling: str, key: bytes
    ) -> None:
        assert database.path_key(spelling) == key

    @pytest.mark.parametrize(
        ("path", "uri"),
        [
            (r"C:\Users\Mia\captioner.db", "file:///C:/Users/Mia/captioner.db?mode=ro"),
            (r"D:\100% é?#.db", "file:///D:/100%25%20%C3%A9%3F%23.db?mode=ro"),
            (r"\\nas\home\captioner.db", "file:////nas/home/captioner.db?mode=ro"),
        ],
    )
    def test_uris_of_databases(self, ntpaths: set[str], path: str, uri: str) -> None:
        assert paths.sqlite_uri(path, "mode=ro") == uri

    @pytest.mark.parametrize(
        ("path", "opened"),
        [
            (r"C:\a.jpg", r"C:\a.jpg"),
            ("..", ".."),
            (f"C:\\{'d' * 250}\\a.jpg.xmp", f"\\\\?\\C:\\{'d' * 250}\\a.jpg.xmp"),
            (f"\\\\nas\\{'d' * 250}\\a.jpg", f"\\\\?\\UNC\\nas\\{'d' * 250}\\a.jpg"),
            (f"{'d' * 250}\\a.jpg", f"\\\\?\\C:\\Users\\Mia\\{'d' * 250}\\a.jpg"),
            (r"C:\aux.jpg", "\\\\?\\C:\\aux.jpg"),
            (r"C:\Trip. ", "\\\\?\\C:\\Trip. "),
            ("\\\\?\\C:\\x", "\\\\?\\C:\\x"),
        ],
    )
    def test_long_and_reserved_names_become_verbatim(
        self, ntpaths: set[str], path: str, opened: str
    ) -> None:
        assert str(paths.verbatim(PureWindowsPath(path))) == opened  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("con", "device"), ("NUL.db", "device"), ("com¹.jsonl", "device"), ("aux .x", "device"),
            ("photos:2024.csv", ": in its name"), ('a"b?', '" and \\?'), ("x.", "full stop"),
            ("x ", "space"),
        ],
    )  # fmt: skip
    def test_forbidden_names(self, ntpaths: set[str], name: str, reason: str) -> None:
        import re

        found = paths.forbidden(PureWindowsPath("C:\\") / name)  # type: ignore[arg-type]
        assert found and re.search(reason, found)

    @pytest.mark.parametrize("name", ["captioner.db", "console.csv", "com10.x", ".x", "a b.c"])
    def test_allowed_names(self, ntpaths: set[str], name: str) -> None:
        assert paths.forbidden(PureWindowsPath("C:\\") / name) is None  # type: ignore[arg-type]

    def test_a_database_of_a_forbidden_name_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(system, "WINDOWS", True)
        refused = pytest.raises(UsageError, match="the name of a Windows device")
        with refused, database.writer_lock(tmp_path / "nul.db"):
            pass
        assert not list(tmp_path.iterdir())

    def test_lists_of_paths(self, monkeypatch: pytest.MonkeyPatch, ntpaths: set[str]) -> None:
        import codecs
        import io

        def find(name: str) -> codecs.CodecInfo | None:
            return codecs.lookup("cp850") if name == "oem" else None

        codecs.register(find)
        text = "\ufeffC:\\é.jpg\r\nC:\\ü.jpg\r\n\r\n".encode() + b"C:\\\x84.jpg"  # ä in cp850
        stdin = SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(text)), closed=False)  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdin", stdin)
        found = [str(path) for path in InputPaths(["-"])]
        codecs.unregister(find)
        assert found == ["C:\\é.jpg", "C:\\ü.jpg", "C:\\ä.jpg"]

    @pytest.mark.parametrize(
        ("folder", "inside", "outside"),
        [
            (b"C:\\Photos", b"C:\\Photos\\a.jpg", b"C:\\Photos 2\\a.jpg"),
            (b"E:\\", b"E:\\a.jpg", b"F:\\a.jpg"),
            (b"\\\\nas\\p\\", b"\\\\nas\\p\\a.jpg", b"\\\\nas\\pp\\a.jpg"),
        ],
    )
    def test_the_range_of_paths_below_a_folder(
        self, monkeypatch: pytest.MonkeyPatch, folder: bytes, inside: bytes, outside: bytes
    ) -> None:
        monkeypatch.setattr(database, "os", SimpleNamespace(path=ntpath))
        first, last = database.range_below(folder)
        assert first <= inside < last
        assert not first <= outside < last

    def test_quoting_for_the_shell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "WINDOWS", True)
        assert paths.quoted(r"C:\My Photos\a.jpg") == r'"C:\My Photos\a.jpg"'
        assert paths.quoted(r"C:\a.jpg") == r"C:\a.jpg"
        monkeypatch.setattr(system, "WINDOWS", False)
        assert paths.quoted("/My Photos/a's.jpg") == """'/My Photos/a'"'"'s.jpg'"""

    def test_a_photo_given_relative_to_a_drive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("captioner.types.os", SimpleNamespace(path=ntpath, fspath=os.fspath))
        listing = Listing.of(Photo(r"C:a.jpg", 1, 2))
        assert (listing.prefix, listing.names) == ("C:", ["a.jpg"])
        listing = Listing.of(Photo("C:/x\\a.jpg", 1, 2))
        assert (listing.prefix, listing.names) == ("C:/x\\", ["a.jpg"])


class TestMacPaths:
    @pytest.fixture(autouse=True)
    def _mac(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """A disk that is insensitive to case and to Unicode's normal forms."""
        there = os.path.lexists

        def lexists(path: str) -> bool:
            folder, name = os.path.split(path)
            return there(path) or any(
                paths._fold(one) == paths._fold(name) for one in paths._names(folder)
            )

        rules = SimpleNamespace(**{n: getattr(os.path, n) for n in os.path.__all__})
        rules.lexists = lexists
        monkeypatch.setattr(system, "WINDOWS", False)
        monkeypatch.setattr(system, "MAC", True)
        monkeypatch.setattr(paths, "_path", rules)
        forget_listings()
        yield
        forget_listings()

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_composed_and_decomposed_names_are_one_photo(self, tmp_path: Path, form: str) -> None:
        stored = unicodedata.normalize(form, "Österreich/é.jpg")
        (tmp_path / stored).parent.mkdir()
        (tmp_path / stored).touch()
        for other in ("NFC", "NFD"):
            asked = tmp_path / unicodedata.normalize(other, "ÖSTERREICH/É.jpg")
            assert database.path_key(asked) == os.fsencode(tmp_path / stored)

    def test_an_indexed_photo_is_found_below_a_folder_in_another_spelling(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "Österreich").mkdir()
        (tmp_path / "Österreich/a.jpg").touch()
        root = tmp_path / unicodedata.normalize("NFD", "österreich")
        known = Path(os.fsdecode(database.path_key(root / "A.jpg")))
        assert known == tmp_path / "Österreich/a.jpg"
        assert relative_to_roots(known, [root]) == root / "a.jpg"

    def test_two_files_whose_names_differ_in_case_stay_two(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").touch()
        (tmp_path / "A.jpg").touch()
        for name in ("a.jpg", "A.jpg"):
            assert database.path_key(tmp_path / name) == os.fsencode(tmp_path / name)

    def test_macos_metadata_files_are_ignored(self, tmp_path: Path) -> None:
        for name in (".DS_Store", "._a.jpg", ".Trashes/1.jpg", "__MACOSX/a.jpg", "a.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = list(walk([tmp_path]))
        assert [photo.path.name for photo in found if isinstance(photo, Photo)] == ["a.jpg"]
        assert len(found) == 1


@pytest.mark.posix
@pytest.mark.parametrize("name", ["plain.db", "a%20b?#.db", "é:x.db", "back\\slash.db"])
def test_databases_of_any_name_are_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE x (y)")
    uri = paths.sqlite_uri(path, "mode=ro")
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("x",)]


class TestHidden:
    @pytest.mark.parametrize("of", ["WINDOWS", "MAC"])
    def test_the_hidden_attribute_hides_like_a_dot(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
    ) -> None:
        for name in ("seen.jpg", "marked.jpg", "marked folder/a.jpg", "folder/b.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        monkeypatch.setattr(system, "MAC", False)
        monkeypatch.setattr(system, "WINDOWS", False)
        monkeypatch.setattr(system, of, True)
        marked = {(tmp_path / name).stat().st_ino for name in ("marked.jpg", "marked folder")}
        monkeypatch.setattr(walking, "is_marked_hidden", lambda found: found.st_ino in marked)
        assert self.names(Selection(), tmp_path) == ["b.jpg", "seen.jpg"]
        assert self.names(Selection(include_hidden=True), tmp_path) == [
            "b.jpg", "a.jpg", "marked.jpg", "seen.jpg",
        ]  # fmt: skip

    def names(self, selection: Selection, folder: Path) -> list[str]:
        return [p.path.name for p in walk([folder], selection) if isinstance(p, Photo)]

    @pytest.mark.parametrize(
        ("found", "hidden"),
        [
            ({"st_file_attributes": stat.FILE_ATTRIBUTE_HIDDEN | 0x20}, True),
            ({"st_file_attributes": 0x20}, False),
            ({"st_flags": stat.UF_HIDDEN}, True),
            ({"st_flags": 0}, False),
            ({}, False),
        ],
    )
    def test_hidden_attributes(self, found: dict[str, int], hidden: bool) -> None:
        assert paths.is_marked_hidden(SimpleNamespace(**found)) is hidden  # type: ignore[arg-type]


def test_a_drive_without_inodes_is_walked_completely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1.jpg", "b/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    ask = Path.stat

    def without_numbers(path: Path, **options: bool) -> os.stat_result:
        found = list(ask(path, **options))
        found[stat.ST_INO] = 0
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", without_numbers)
    found = [one for one in walk([tmp_path, tmp_path / "b"]) if not isinstance(one, Failure)]
    assert [photo.path.name for photo in found] == ["1.jpg", "2.jpg"]


class TestDrives:
    @pytest.fixture
    def drives(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[SimpleNamespace]:
        """What psutil lists."""
        there: list[SimpleNamespace] = []
        psutil = ModuleType("psutil")
        psutil.disk_partitions = lambda all: list(there)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "psutil", psutil)
        monkeypatch.setattr(mounts, "TABLE", tmp_path / "none")
        monkeypatch.setattr(mounts, "_partitions", mounts._partitions.__wrapped__)
        return there

    def drive(self, point: str, kind: str, options: str = "rw") -> SimpleNamespace:
        return SimpleNamespace(mountpoint=point, fstype=kind, opts=options)

    def test_windows_drive_letters(
        self, monkeypatch: pytest.MonkeyPatch, drives: list[SimpleNamespace], tmp_path: Path
    ) -> None:
        monkeypatch.setattr(system, "WINDOWS", True)
        nas = {b"\\\\nas\\photos\\": True}
        path = SimpleNamespace(
            **{name: getattr(ntpath, name) for name in ("dirname", "join")},
            realpath=lambda path: path,
            isdir=lambda path: nas.get(path, False),
        )
        monkeypatch.setattr(mounts, "os", SimpleNamespace(path=path, fsencode=os.fsencode))
        drives += [
            self.drive("C:\\", "NTFS", "rw,fixed"), self.drive("E:\\", "exFAT", "rw,removable"),
            self.drive("F:\\", "", "removable"), self.drive("Z:\\", "NTFS", "rw,remote"),
        ]  # fmt: skip
        assert mounts.mount_points_of(b"E:\\DCIM") == {b"E:\\"}
        assert mounts.is_mounted(b"E:\\")
        assert not mounts.is_mounted(b"F:\\")  # a card reader without a card
        assert mounts.network_filesystem(b"Z:\\captioner.db") == "smb"
        assert mounts.network_filesystem(b"\\\\nas\\photos\\captioner.db") == "smb"
        assert mounts.network_filesystem(b"C:\\captioner.db") is None
        del drives[1]
        assert not mounts.is_mounted(b"E:\\")
        assert mounts.mount_points_of(b"\\\\nas\\photos\\2024") == {b"\\\\nas\\photos\\"}
        assert mounts.is_mounted(b"\\\\nas\\photos\\")
        nas.clear()
        assert not mounts.is_mounted(b"\\\\nas\\photos\\")

    def test_macos_volumes(
        self, monkeypatch: pytest.MonkeyPatch, drives: list[SimpleNamespace]
    ) -> None:
        monkeypatch.setattr(system, "WINDOWS", False)
        monkeypatch.setattr(system, "MAC", True)
        drives += [
            self.drive("/", "apfs"), self.drive("/Volumes/Stick", "exfat"),
            self.drive("/Volumes/nas", "smbfs"), self.drive("/Volumes/old", "afpfs"),
        ]  # fmt: skip
        assert mounts.mount_points_of(b"/Volumes") == {
            b"/", b"/Volumes/Stick", b"/Volumes/nas", b"/Volumes/old",
        }  # fmt: skip
        assert mounts.mount_points_of(b"/Volumes/Stick/DCIM") == {b"/Volumes/Stick"}
        assert mounts.network_filesystem(b"/Volumes/nas/captioner.db") == "smbfs"
        assert mounts.network_filesystem(b"/Volumes/old/captioner.db") == "afpfs"
        assert mounts.network_filesystem(b"/Users/mia/captioner.db") is None
        drives.clear()
        assert not mounts.is_mounted(b"/Volumes/Stick")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos/a.jpg"
    path.parent.mkdir()
    path.write_bytes(picture("JPEG"))
    return path


@pytest.mark.posix
class TestMacAttributes:
    """Python has no `os.listxattr` on macOS; the xattr package works on Linux too."""

    @pytest.fixture(autouse=True)
    def _mac(self, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        try:
            os.setxattr(photo, "user.tags", b"Holiday")
        except OSError:
            pytest.skip("this disk keeps no extended attributes")
        monkeypatch.setattr(system, "WINDOWS", False)
        monkeypatch.setattr(system, "MAC", True)
        monkeypatch.setattr(attributes, "_copy_acl", lambda *_: True)
        # shutil copies extended attributes only if Python has those functions.
        monkeypatch.setattr(attributes.shutil, "_copyxattr", lambda *_, **__: None)
        fewer = {n: getattr(os, n) for n in dir(os) if not n.endswith("xattr")}
        monkeypatch.setattr(attributes, "os", SimpleNamespace(**fewer))

    def test_a_librarys_way_keeps_them(self, photo: Path) -> None:
        pytest.importorskip("xattr", reason="required on macOS alone")
        with CaptionWriter(Memory(), WriteOptions(in_place=True)) as writer:
            assert writer.write(photo, WORDS).is_photo
        assert os.getxattr(photo, "user.tags") == b"Holiday"

    def test_without_the_xattr_package_a_sidecar_is_written(
        self, photo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "xattr", None)
        self.expect_sidecar(photo)

    def test_an_attribute_that_cannot_be_copied_leaves_the_photo_unchanged(
        self, photo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        library = SimpleNamespace(listxattr=os.listxattr, getxattr=os.getxattr, setxattr=refuse)
        monkeypatch.setattr(attributes, "_xattr", lambda: library)
        self.expect_sidecar(photo)

    def test_an_access_list_that_cannot_be_copied(
        self, photo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("xattr", reason="required on macOS only")
        monkeypatch.setattr(attributes, "_copy_acl", lambda *_: False)
        self.expect_sidecar(photo)

    def test_attributes_that_only_macos_sets_are_left_out(
        self, photo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = {photo: {"com.apple.provenance": b"1", "com.apple.ResourceFork": b"icon"}}
        library = SimpleNamespace(
            listxattr=lambda path: list(stored.get(Path(path), {})),
            getxattr=lambda path, name: stored[Path(path)][name],
            setxattr=lambda path, name, value: stored.setdefault(Path(path), {}).update(
                {name: value}
            ),
        )
        monkeypatch.setattr(attributes, "_xattr", lambda: library)
        target = photo.with_name("new")
        target.touch()
        assert attributes.copy(photo, target)
        assert stored[target] == {"com.apple.ResourceFork": b"icon"}

    def expect_sidecar(self, photo: Path) -> None:
        before = photo.read_bytes()
        with CaptionWriter(Memory(), WriteOptions(in_place=True)) as writer:
            outcome = writer.write(photo, WORDS)
        assert outcome.status is WriteStatus.WRITTEN and not outcome.is_photo
        assert outcome.not_in_place and outcome.not_in_place.reason is RefusalReason.ATTRIBUTES
        assert photo.read_bytes() == before
        assert os.getxattr(photo, "user.tags") == b"Holiday"


class TestWindowsFiles:
    def test_a_file_that_is_briefly_open_elsewhere_is_retried(
        self, photo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(system, "WINDOWS", True)
        waited: list[float] = []
        monkeypatch.setattr(files.time, "sleep", waited.append)
        attempts = 0

        def act() -> None:
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                raise PermissionError(errno.EACCES, "in use")

        files._with_retries(act)
        assert (attempts, waited) == (3, list(files.PAUSES[:2]))
        attempts = -100
        with pytest.raises(files.InUseError):
            files._with_retries(act)

    def test_a_folder_lock_leaves_no_file(
        self, photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(system, "WINDOWS", True)
        monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
        file = locks.lock_path(photo.parent)
        with OutputFolderLock() as lock:
            lock.acquire(photo.parent)
            assert file.exists()
            assert locks.lock_path(photo.parent / "../photos") == file
            assert sorted(photo.parent.iterdir()) == [photo]
        assert not file.exists()


@pytest.mark.posix
class TestWindowsAttributes:
    class Error(Exception):
        winerror = 5

    @pytest.fixture
    def properties(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> dict[str, dict[str, Any]]:
        """Streams, permissions and attributes of two files, as pywin32 returns them."""
        both = {}
        for name in ("source", "target"):
            (tmp_path / name).touch()
            both[name] = {
                "streams": [(9, "::$DATA"), (5, ":Zone.Identifier:$DATA")],
                "rights": "O:S-1-5-21D:PAI(A;;FA;;;SY)",
                "attributes": stat.FILE_ATTRIBUTE_HIDDEN | stat.FILE_ATTRIBUTE_ARCHIVE,
            }

        def of(path: str) -> dict[str, Any]:
            return both[Path(path).name]

        def set_rights(path: str, part: int, security: str) -> None:
            if of(path).get("locked"):
                raise self.Error
            of(path)["rights"] = security

        fakes = {
            "pywintypes": {"error": self.Error},
            "win32file": {"FindStreams": lambda path: of(path)["streams"]},
            "win32security": {
                "GetFileSecurity": lambda path, parts: of(path)["rights"],
                "SetFileSecurity": set_rights,
                "ConvertSecurityDescriptorToStringSecurityDescriptor": lambda found, *_: found,
            },
        }
        for name, functions in fakes.items():
            monkeypatch.setitem(sys.modules, name, SimpleNamespace(**functions))  # type: ignore[arg-type]
        monkeypatch.setattr(windows, "_set_creation_time", lambda *_: None)
        asked = iter(["source", "source", "target"])  # in the order that copy_attributes() asks
        monkeypatch.setattr(windows, "attributes", lambda found: both[next(asked)]["attributes"])
        return both

    def copy_attributes(self, folder: Path) -> bool:
        return windows.copy_attributes(folder / "source", folder / "target")

    def test_everything_is_preserved(
        self, properties: dict[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        properties["target"]["attributes"] = stat.FILE_ATTRIBUTE_HIDDEN  # not archived yet
        properties["target"]["rights"] = "O:S-1-5-21D:P(A;;FA;;;SY)"  # the same, but inherited
        assert self.copy_attributes(tmp_path)

    def test_permissions_are_set(
        self, properties: dict[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        properties["target"]["rights"] = "O:S-1-5-21D:AI(A;ID;FA;;;WD)"
        assert self.copy_attributes(tmp_path)
        assert properties["target"]["rights"] == properties["source"]["rights"]

    @pytest.mark.parametrize(
        "lost",
        [
            {"streams": [(9, "::$DATA")]},
            {"streams": [(9, "::$DATA"), (4, ":Zone.Identifier:$DATA")]},
            {"attributes": 0},
            {"rights": "O:S-1-5-32D:P(A;;FA;;;SY)", "locked": True},
        ],
    )
    def test_anything_lost_is_noticed(
        self, properties: dict[str, dict[str, Any]], tmp_path: Path, lost: dict[str, Any]
    ) -> None:
        properties["target"].update(lost)
        assert not self.copy_attributes(tmp_path)

    def test_a_reparse_point_is_not_replaced(
        self, properties: dict[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        properties["source"]["attributes"] |= stat.FILE_ATTRIBUTE_REPARSE_POINT
        assert not self.copy_attributes(tmp_path)

    def test_a_disk_without_streams_and_permissions(
        self, properties: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise self.Error

        monkeypatch.setattr(self.Error, "winerror", 50)
        monkeypatch.setattr(sys.modules["win32file"], "FindStreams", fail)
        monkeypatch.setattr(sys.modules["win32security"], "GetFileSecurity", fail)
        assert self.copy_attributes(tmp_path)


@pytest.mark.posix
def test_without_hard_links_renaming_still_replaces_no_file(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "link")
    source = photo.with_name("new")
    source.write_bytes(b"new")
    with pytest.raises(FileExistsError):
        files.rename_new(source, photo)
    assert photo.read_bytes() == picture("JPEG")
    files.rename_new(source, photo.with_name("b.jpg"))
    assert photo.with_name("b.jpg").read_bytes() == b"new"
    assert not source.exists()


def test_the_holder_is_read_past_the_byte_that_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"
    name = tmp_path / "captioner.db.lock"
    with database.writer_lock(path):
        held = name.read_bytes()
        assert held[:1] == b"\n"
        with name.open("rb+") as file:
            file.write(b"\xff")  # as if it could not be read
        with pytest.raises(
            DatabaseUnavailableError, match=f"by process {os.getpid()} on .+ since 20"
        ):
            database.writer_lock(path).__enter__()
    with database.writer_lock(path):
        pass


def test_another_users_photo_is_refused_where_there_are_users(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if hasattr(files.os, "geteuid"):
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(Exception, match="belongs to another user"):
            resolve_replaceable(photo)
        monkeypatch.delattr(os, "geteuid")
    assert resolve_replaceable(photo) == photo.resolve()


def test_a_command_names_the_forbidden_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from captioner.cli.outputs import replacing

    colour_describer.photo(tmp_path / "red.jpg", "red")
    monkeypatch.setattr(system, "WINDOWS", True)
    refused = pytest.raises(UsageError, match="which Windows does not allow")
    with refused, replacing(tmp_path / "red.jpg:x.csv", "--output", force=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["red.jpg"]
