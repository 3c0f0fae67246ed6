"""Authorship of captions, what is written where, and undo."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pictures import WORDS, Memory, exif_block, iptc_block, jpeg_with, packet, picture

from captioner.metadata.errors import RefusalReason
from captioner.metadata.fields import CaptionData, FieldText, Mark
from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.packet import read_packet
from captioner.metadata.reading import read_photo
from captioner.metadata.writer import CaptionWriter

DESCRIPTION = 0x010E
OTHER = replace(WORDS, description="A cat sleeps.", keywords=("cat",), model="other")
Write = Callable[..., WriteOutcome]


@pytest.fixture
def records() -> Memory:
    return Memory()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(exif=exif_block({DESCRIPTION: "OLYMPUS DIGITAL CAMERA"})))
    return path


@pytest.fixture
def write(records: Memory) -> Write:
    def write(path: Path, words: CaptionData = WORDS, **options: Any) -> WriteOutcome:
        with CaptionWriter(records, WriteOptions(**options)) as writer:
            return writer.write(path, words)

    return write


@pytest.fixture
def undo(records: Memory) -> Callable[[Path], list[WriteStatus]]:
    def undo(path: Path) -> list[WriteStatus]:
        with CaptionWriter(records) as writer:
            return [outcome.status for outcome in writer.undo(path)]

    return undo


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def texts_of(path: Path) -> set[str]:
    read = read_packet if path.suffix == ".xmp" else read_photo
    return {text.text for text in read(path.read_bytes()).texts}


@pytest.mark.parametrize("in_place", [True, False])
def test_write_replace_undo(
    photo: Path, write: Write, undo: Callable[[Path], list[WriteStatus]], in_place: bool
) -> None:
    before = photo.read_bytes()
    first = write(photo, in_place=in_place)
    assert (first.status, first.is_photo) == (WriteStatus.WRITTEN, in_place)
    assert texts_of(first.target) == {"A dog runs."}
    assert write(photo, in_place=in_place).status is WriteStatus.UNCHANGED
    assert write(photo, OTHER, in_place=in_place).status is WriteStatus.OWN_CAPTION_KEPT
    assert write(photo, OTHER, in_place=in_place, existing="replace").status is WriteStatus.WRITTEN
    assert texts_of(first.target) == {"A cat sleeps."}
    assert undo(photo) == [WriteStatus.UNDONE]
    assert photo.read_bytes() == before
    assert names(photo.parent) == ["a.jpg"]
    assert undo(photo) == []


def test_replacing_does_not_let_files_grow(photo: Path, write: Write) -> None:
    write(photo, replace(WORDS, description="A dog 9."), in_place=True)
    size = photo.stat().st_size
    for number in range(4):
        words = replace(WORDS, description=f"A dog {number}.")
        assert write(photo, words, in_place=True, existing="replace").status is WriteStatus.WRITTEN
    assert photo.stat().st_size == size


def test_parts_are_added_to_what_captioner_wrote(
    photo: Path, write: Write, undo: Callable[[Path], list[WriteStatus]]
) -> None:
    before = photo.read_bytes()
    write(photo, replace(WORDS, keywords=()), in_place=True)
    write(photo, CaptionData(None, "A dog.", (), "c0ffee"), in_place=True)
    write(photo, in_place=True)
    content = read_photo(photo.read_bytes())
    assert texts_of(photo) == {"A dog runs."}
    assert [text.text for text in content.alt_texts] == ["A dog."]
    assert content.keywords == ("dog", "grass")
    assert undo(photo) == [WriteStatus.UNDONE]
    assert photo.read_bytes() == before


@pytest.mark.parametrize(("field", "text", "data"), [
    ("EXIF ImageDescription", "ImageJ=1.53\nimages=3", True),
    ("EXIF ImageDescription", '{"shape": [3, 4]}', True),
    ("EXIF UserComment", "d41d8cd98f00b204e9800998ecf8427e", True),
    ("EXIF ImageDescription", "<3 my dog", False),
    ("XMP dc:description", "{Rex}", False),
])  # fmt: skip
def test_program_data(field: str, text: str, data: bool) -> None:
    assert FieldText(field, text).is_program_data is data


HUMAN_AUTHORED = [
    jpeg_with(exif=exif_block({DESCRIPTION: "Rex, our beagle"})),
    jpeg_with(xmp=packet("<dc:description>Rex, our beagle</dc:description>")),
    jpeg_with(xmp=packet('<dc:description><rdf:Alt><rdf:li xml:lang="de">Unser Hund</rdf:li>'
                         "</rdf:Alt></dc:description>")),
    jpeg_with(photoshop=iptc_block((2, 120, b"Rex, \1our beagle"))),
    picture("JPEG", comment=b"Rex, our beagle"),
]  # fmt: skip


@pytest.mark.parametrize("data", HUMAN_AUTHORED)
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("existing", ["skip", "replace"])
def test_human_authored_captions_are_never_replaced(
    photo: Path, write: Write, data: bytes, in_place: bool, existing: str
) -> None:
    photo.write_bytes(data)
    assert write(photo, in_place=in_place, existing=existing).status is WriteStatus.SKIPPED
    assert photo.read_bytes() == data
    assert names(photo.parent) == ["a.jpg"]


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
def test_nor_human_authored_captions_in_sidecars(photo: Path, write: Write, name: str) -> None:
    photo.with_name(name).write_bytes(packet("<dc:description>Rex</dc:description>"))
    assert write(photo, in_place=True).status is WriteStatus.SKIPPED
    assert write(photo).status is WriteStatus.SKIPPED


def test_a_changed_caption_counts_as_human_authored(photo: Path, write: Write) -> None:
    target = write(photo).target
    target.write_bytes(target.read_bytes().replace(b"A dog runs.", b"Rex runs."))
    assert write(photo, OTHER, existing="replace").status is WriteStatus.SKIPPED
    assert texts_of(target) == {"Rex runs."}


@pytest.mark.parametrize("data", [HUMAN_AUTHORED[0], HUMAN_AUTHORED[1], HUMAN_AUTHORED[3]])
def test_a_line_appended_to_a_human_authored_caption(
    photo: Path, write: Write, undo: Callable[[Path], list[WriteStatus]], data: bytes
) -> None:
    photo.write_bytes(data)
    assert write(photo, in_place=True, existing="append").status is WriteStatus.WRITTEN
    assert "Rex, our beagle\nA dog runs." in texts_of(photo)
    assert write(photo, in_place=True, existing="append").status is WriteStatus.UNCHANGED
    assert write(photo, OTHER, in_place=True, existing="append").status is WriteStatus.WRITTEN
    assert "Rex, our beagle\nA cat sleeps." in texts_of(photo)
    assert undo(photo) == [WriteStatus.UNDONE]
    assert photo.read_bytes() == data


def test_undo_keeps_what_others_added_to_a_sidecar(
    photo: Path, write: Write, undo: Callable[[Path], list[WriteStatus]]
) -> None:
    target = write(photo).target
    edited = target.read_bytes().replace(
        b"</rdf:Bag></dc:subject>", b"<rdf:li>Rex</rdf:li></rdf:Bag></dc:subject>"
    )
    target.write_bytes(edited)
    assert undo(photo) == [WriteStatus.UNDONE]
    content = read_packet(target.read_bytes())
    assert (content.texts, content.keywords) == ((), ("Rex",))
    assert content.mark == Mark()


def test_undo_restores_the_sidecar_of_another_program(
    photo: Path, write: Write, undo: Callable[[Path], list[WriteStatus]]
) -> None:
    target = photo.with_name("a.jpg.xmp")
    target.write_bytes(packet("<dc:subject><rdf:Bag><rdf:li>Rex</rdf:li></rdf:Bag></dc:subject>"))
    before = target.read_bytes()
    assert write(photo).status is WriteStatus.WRITTEN
    assert read_packet(target.read_bytes()).keywords == ("Rex", "dog", "grass")
    assert undo(photo) == [WriteStatus.UNDONE]
    assert target.read_bytes() == before


def test_undo_of_a_copy_keeps_the_record(
    photo: Path, write: Write, undo: Callable[[Path], list[WriteStatus]]
) -> None:
    before = photo.read_bytes()
    write(photo, in_place=True)
    copy = photo.with_name("copy.jpg")
    copy.write_bytes(photo.read_bytes())
    for path in (copy, photo):
        assert undo(path) == [WriteStatus.UNDONE]
        assert path.read_bytes() == before


def test_own_captions_are_replaced_without_a_record(photo: Path, write: Write) -> None:
    write(photo, in_place=True)
    with CaptionWriter(Memory(), WriteOptions(in_place=True, existing="replace")) as writer:
        assert writer.write(photo, OTHER).status is WriteStatus.WRITTEN
    assert texts_of(photo) == {"A cat sleeps."}


def test_permissions_attributes_and_times(photo: Path, write: Write) -> None:
    photo.chmod(0o640)
    os.utime(photo, (981173106, 981173106))
    try:
        os.setxattr(photo, "user.tag", b"holiday")
    except OSError:
        pytest.skip("this disk keeps no extended attributes")
    link = photo.with_name("link.jpg")
    link.symlink_to("a.jpg")
    assert write(link, in_place=True, keep_times=True).is_photo
    found = photo.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o640, 981173106)
    assert os.getxattr(photo, "user.tag") == b"holiday"
    assert link.is_symlink()
    write(photo, OTHER, in_place=True, existing="replace")
    assert photo.stat().st_mtime > 981173106


@pytest.mark.parametrize("reason", [RefusalReason.HARD_LINKED, RefusalReason.READ_ONLY])
def test_files_that_cannot_be_replaced_get_a_sidecar(
    photo: Path, write: Write, reason: RefusalReason
) -> None:
    before = photo.read_bytes()
    if reason is RefusalReason.READ_ONLY:
        photo.chmod(0o444)
    else:
        os.link(photo, photo.with_name("twin.jpg"))
    outcome = write(photo, in_place=True)
    assert outcome.not_in_place and outcome.not_in_place.reason is reason
    assert texts_of(outcome.target) == {"A dog runs."}
    assert photo.read_bytes() == before
    assert not outcome.target.stat().st_mode & 0o022


def test_a_change_by_another_program_is_noticed(photo: Path) -> None:
    class Meddling(Memory):
        """Changes the photo after it was read."""

        def find(self, path: Path, sha256_after: bytes) -> None:
            photo.write_bytes(b"something else")

    with CaptionWriter(Meddling(), WriteOptions(in_place=True)) as writer:
        outcome = writer.write(photo, WORDS)
    assert outcome.not_in_place and outcome.not_in_place.reason is RefusalReason.CHANGED
    assert photo.read_bytes() == b"something else"
    assert names(photo.parent) == ["a.jpg", "a.jpg.xmp"]
