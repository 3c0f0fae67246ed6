"""Finding the sidecars of a photo, and sidecars that cannot be read or written."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pictures import WORDS, Memory, packet, picture

from captioner.metadata import sidecar
from captioner.metadata.errors import RefusalReason
from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.writer import CaptionWriter

REX = packet("<dc:description>Rex at the lake</dc:description>")
NOBODYS = packet("<dc:subject><rdf:Bag><rdf:li>lake</rdf:li></rdf:Bag></dc:subject>")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture("JPEG"))
    return path


def write(photo: Path, records: Memory | None = None, *, in_place: bool = False) -> WriteOutcome:
    with CaptionWriter(records or Memory(), WriteOptions(in_place=in_place, sync=False)) as writer:
        return writer.write(photo, WORDS)


def undo(photo: Path, records: Memory | None = None) -> list[WriteStatus]:
    with CaptionWriter(records or Memory()) as writer:
        return [outcome.status for outcome in writer.undo(photo)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", [
    "a.jpg.xmp", "a.jpg.XMP", "a.jpg.Xmp", "a.xmp", "a.XMP", "a.Xmp", "a_01.jpg.xmp",
    "a_12.jpg.XMP", "A.JPG.xmp", "A.xmp",
])  # fmt: skip
def test_sidecars_in_any_spelling_are_read(photo: Path, name: str) -> None:
    photo.with_name(name).write_bytes(REX)
    for in_place in (True, False):
        outcome = write(photo, in_place=in_place)
        assert (outcome.status, outcome.before) == (WriteStatus.SKIPPED, "Rex at the lake")
    assert names(photo.parent) == sorted([name, "a.jpg"])


@pytest.mark.parametrize("name", [
    "b.jpg.xmp", "a.jpg.xmp.bak", "a.png.xmp", "aa.xmp", "a_1.jpg.xmp", "a_01.png.xmp", "xmp",
])  # fmt: skip
def test_sidecars_of_other_photos_are_not_its_own(photo: Path, name: str) -> None:
    photo.with_name(name).write_bytes(REX)
    assert write(photo).status is WriteStatus.WRITTEN


def test_a_sidecar_with_the_name_of_another_photo_belongs_to_it(photo: Path) -> None:
    for other in ("A.JPG", "a_01.jpg"):
        photo.with_name(other).write_bytes(photo.read_bytes())
        photo.with_name(f"{other}.xmp").write_bytes(REX)
    assert write(photo).status is WriteStatus.WRITTEN
    assert write(photo.with_name("A.JPG")).status is WriteStatus.SKIPPED
    assert write(photo.with_name("a_01.jpg")).status is WriteStatus.SKIPPED


def test_composed_and_decomposed_names_are_the_same(photo: Path) -> None:
    photo = photo.rename(photo.with_name("Zu\u0308rich.jpg"))
    photo.with_name("Z\xfcrich.jpg.xmp").write_bytes(REX)
    assert write(photo).status is WriteStatus.SKIPPED


@pytest.mark.parametrize("name", ["a.jpg.XMP", "a.jpg.Xmp"])
def test_an_existing_sidecar_is_written(photo: Path, name: str) -> None:
    records = Memory()
    beside = photo.with_name(name)
    beside.write_bytes(NOBODYS)
    assert write(photo, records).target == beside
    assert set(names(photo.parent)) == {name, "a.jpg"}
    assert b"A dog runs." in beside.read_bytes()
    assert undo(photo, records) == [WriteStatus.UNDONE]
    assert beside.read_bytes() == NOBODYS


@pytest.mark.parametrize("persons", ["a.jpg.xmp", "a.jpg.XMP"])
def test_of_two_spellings_both_are_read(photo: Path, persons: str) -> None:
    for name in ("a.jpg.xmp", "a.jpg.XMP"):
        photo.with_name(name).write_bytes(REX if name == persons else NOBODYS)
    assert write(photo).status is WriteStatus.SKIPPED
    photo.with_name(persons).write_bytes(NOBODYS)
    assert write(photo).target.name == "a.jpg.xmp"


def test_the_sidecar_of_a_raw_and_a_jpeg_is_read_for_both(photo: Path) -> None:
    raw = photo.with_name("a.cr2")
    raw.write_bytes(b"II*\0 a raw photo")
    photo.with_name("a.xmp").write_bytes(REX)
    assert write(photo).status is WriteStatus.SKIPPED
    assert write(raw).status is WriteStatus.SKIPPED


def test_a_sidecar_created_in_this_run_is_found(photo: Path) -> None:
    with CaptionWriter(Memory()) as writer:
        assert writer.write(photo, WORDS).status is WriteStatus.WRITTEN
        assert writer.write(photo, WORDS).status is WriteStatus.UNCHANGED
        assert (
            writer.write(photo, replace(WORDS, description="A cat.")).status
            is WriteStatus.OWN_CAPTION_KEPT
        )


def test_a_folder_is_listed_once(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    listdir: Callable[..., list[str]] = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    finder = sidecar.SidecarFinder()
    for number in range(100):
        finder.find(photo.with_name(f"{number}.jpg"))
    assert listed == [photo.parent]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    # A socket's address is short; the folder's name may be long.
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)
    os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


NOT_FILES = [pipe, listener, device, Path.mkdir]


@pytest.mark.parametrize("make", NOT_FILES)
def test_special_files_are_not_opened_or_replaced(
    photo: Path, make: Callable[[Path], None]
) -> None:
    beside = photo.with_name("a.jpg.xmp")
    make(beside)
    kind = beside.lstat().st_mode
    outcome = write(photo)
    assert outcome.error and outcome.error.reason is RefusalReason.SIDECAR
    assert "a.jpg.xmp is not a regular file" in str(outcome.error)
    assert (
        write(photo, in_place=True).status is WriteStatus.WRITTEN
    )  # It cannot hold anybody's words.
    assert undo(photo) == [WriteStatus.REFUSED]  # The photo, of which there is no record.
    assert beside.lstat().st_mode == kind


@pytest.mark.parametrize("make", NOT_FILES)
def test_special_files_as_sidecars_of_other_programs(
    photo: Path, make: Callable[[Path], None]
) -> None:
    make(photo.with_name("a.xmp"))
    assert write(photo).status is WriteStatus.WRITTEN


@pytest.mark.parametrize("make", NOT_FILES)
def test_special_files_as_photos(photo: Path, make: Callable[[Path], None]) -> None:
    other = photo.with_name("b.jpg")
    make(other)
    outcome = write(other)
    assert outcome.error and outcome.error.reason is RefusalReason.NOT_REGULAR
    assert undo(other) in ([WriteStatus.REFUSED], [])


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
def test_a_dangling_link_is_not_written(photo: Path, name: str) -> None:
    link = photo.with_name(name)
    link.symlink_to("elsewhere.xmp")
    for in_place in (True, False):
        outcome = write(photo, in_place=in_place)
        assert outcome.error and outcome.error.reason is RefusalReason.SIDECAR
        assert outcome.error.detail == f"{name}: a link whose target is missing"
    assert undo(photo) == []
    assert names(photo.parent) == sorted(["a.jpg", name])


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.XMP"])
def test_a_link_to_itself(photo: Path, name: str) -> None:
    photo.with_name(name).symlink_to(name)
    outcome = write(photo)
    assert outcome.error and outcome.error.reason is RefusalReason.SIDECAR


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.jpg.XMP", "a.xmp"])
def test_a_sidecar_without_read_permission(
    photo: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = photo.with_name(name)
    beside.write_bytes(REX)
    really = os.open

    def denied(path: str | Path, *how: int, **more: int) -> int:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *how, **more)

    monkeypatch.setattr(os, "open", denied)
    for in_place in (True, False):
        outcome = write(photo, in_place=in_place)
        assert outcome.status is WriteStatus.REFUSED
        assert f"{name}: Permission denied" in str(outcome.error)
    assert set(names(photo.parent)) == {"a.jpg", name}


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
def test_a_huge_sidecar_is_not_read(photo: Path, name: str) -> None:
    with photo.with_name(name).open("wb") as file:
        file.truncate(2 << 30)
    outcome = write(photo)
    assert outcome.status is WriteStatus.SKIPPED
    assert outcome.unreadable and outcome.unreadable.reason.reason is RefusalReason.TOO_LARGE
    assert undo(photo) == []


@pytest.mark.parametrize("length", [252, 253, 254, 255])
def test_a_name_too_long_for_a_sidecar(tmp_path: Path, length: int) -> None:
    photo = tmp_path / ("n" * (length - 4) + ".jpg")
    photo.write_bytes(picture("JPEG"))
    before = photo.read_bytes()
    records = Memory()
    outcome = write(photo, records)
    assert outcome.error and outcome.error.reason is RefusalReason.NAME_TOO_LONG
    assert undo(photo, records) == []
    assert write(photo, records, in_place=True).status is WriteStatus.WRITTEN
    assert undo(photo, records) == [WriteStatus.UNDONE]
    assert photo.read_bytes() == before
    photo.with_suffix(".xmp").write_bytes(REX)
    assert write(photo, in_place=True).status is WriteStatus.SKIPPED


def test_the_longest_name_with_a_sidecar(tmp_path: Path) -> None:
    photo = tmp_path / ("n" * 247 + ".jpg")
    photo.write_bytes(picture("JPEG"))
    records = Memory()
    assert write(photo, records).status is WriteStatus.WRITTEN
    assert undo(photo, records) == [WriteStatus.UNDONE]


@pytest.mark.parametrize("number", [5, 13, 36, 40, 116])
def test_errors_of_the_system_are_outcomes(
    photo: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder may go away, the disk fail, or the name be one that the system refuses."""

    def fail(*_: object) -> list[str]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "listdir", fail)
    outcome = write(photo)
    if number == 13:  # A folder that may be entered, and not listed.
        assert outcome.status is WriteStatus.WRITTEN
        photo.with_name("a.jpg.xmp").unlink()
        photo.with_name("a.XMP").write_bytes(REX)
        assert write(photo).status is WriteStatus.SKIPPED
    else:
        assert outcome.error and outcome.error.detail == os.strerror(number)
        assert undo(photo) == [WriteStatus.REFUSED]


def test_a_path_that_is_too_long_or_gone(photo: Path) -> None:
    for path in (Path("/".join(["x" * 200] * 30)) / "a.jpg", photo.with_name("gone.jpg")):
        outcome = write(path)
        assert outcome.error and outcome.error.reason is RefusalReason.SYSTEM
        assert all(state is WriteStatus.REFUSED for state in undo(path))
