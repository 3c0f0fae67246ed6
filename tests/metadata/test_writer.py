"""Whose words are whose, what is written where, and how it is taken back."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pictures import WORDS, Memory, exif_block, iptc_block, jpeg_with, packet, picture

from captioner import authorship
from captioner.metadata.errors import RefusalReason
from captioner.metadata.fields import CaptionData, FieldText, Mark
from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.packet import read_packet
from captioner.metadata.reading import read_photo
from captioner.metadata.writer import CaptionWriter

DESCRIPTION = 0x010E
OTHER = replace(WORDS, description="A cat sleeps.", keywords=("cat",), model="other")
ReWrite = Callable[..., WriteOutcome]


@pytest.fixture
def records() -> Memory:
    return Memory()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(exif=exif_block({DESCRIPTION: "OLYMPUS DIGITAL CAMERA"})))
    return path


@pytest.fixture
def write(records: Memory) -> ReWrite:
    def write(path: Path, words: CaptionData = WORDS, **how: Any) -> WriteOutcome:
        with CaptionWriter(records, WriteOptions(**how)) as writer:
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


def said(path: Path) -> set[str]:
    read = read_packet if path.suffix == ".xmp" else read_photo
    return {text.text for text in read(path.read_bytes()).texts}


@pytest.mark.parametrize("text", [
    "", " \0 ", "OLYMPUS DIGITAL CAMERA", "olympus  digital camera ", "SAMSUNG", "DCIM\\100MEDIA",
    "<Digimax S500 / Kenox S500>", "hdrpl", "default", "Exif_JPEG_PICTURE", "LG DIGITAL CAMERA",
    "AppleMark\n", "ACD Systems Digital Imaging", "Created with The GIMP", "Screenshot",
])  # fmt: skip
def test_placeholders(text: str) -> None:
    assert authorship.is_placeholder(text)


@pytest.mark.parametrize("text", ["a", "My OLYMPUS DIGITAL CAMERA", "Burst of joy", "DCIM\\a b"])
def test_words(text: str) -> None:
    assert not authorship.is_placeholder(text)


@pytest.mark.parametrize("in_place", [True, False])
def test_write_renew_undo(
    photo: Path, write: ReWrite, undo: Callable[[Path], list[WriteStatus]], in_place: bool
) -> None:
    before = photo.read_bytes()
    first = write(photo, in_place=in_place)
    assert (first.status, first.is_photo) == (WriteStatus.WRITTEN, in_place)
    assert said(first.target) == {"A dog runs."}
    assert write(photo, in_place=in_place).status is WriteStatus.UNCHANGED
    assert write(photo, OTHER, in_place=in_place).status is WriteStatus.OWN_CAPTION_KEPT
    assert write(photo, OTHER, in_place=in_place, existing="replace").status is WriteStatus.WRITTEN
    assert said(first.target) == {"A cat sleeps."}
    assert undo(photo) == [WriteStatus.UNDONE]
    assert photo.read_bytes() == before
    assert names(photo.parent) == ["a.jpg"]
    assert undo(photo) == []


def test_renewing_does_not_let_files_grow(photo: Path, write: ReWrite) -> None:
    write(photo, replace(WORDS, description="A dog 9."), in_place=True)
    size = photo.stat().st_size
    for number in range(4):
        words = replace(WORDS, description=f"A dog {number}.")
        assert write(photo, words, in_place=True, existing="replace").status is WriteStatus.WRITTEN
    assert photo.stat().st_size == size


def test_parts_join_what_is_there(
    photo: Path, write: ReWrite, undo: Callable[[Path], list[WriteStatus]]
) -> None:
    before = photo.read_bytes()
    write(photo, replace(WORDS, keywords=()), in_place=True)
    write(photo, CaptionData(None, "A dog.", (), "c0ffee"), in_place=True)
    write(photo, in_place=True)
    content = read_photo(photo.read_bytes())
    assert said(photo) == {"A dog runs."}
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
def test_data(field: str, text: str, data: bool) -> None:
    assert FieldText(field, text).is_program_data is data


PERSONS = [
    jpeg_with(exif=exif_block({DESCRIPTION: "Rex, our beagle"})),
    jpeg_with(xmp=packet("<dc:description>Rex, our beagle</dc:description>")),
    jpeg_with(xmp=packet('<dc:description><rdf:Alt><rdf:li xml:lang="de">Unser Hund</rdf:li>'
                         "</rdf:Alt></dc:description>")),
    jpeg_with(photoshop=iptc_block((2, 120, b"Rex, \1our beagle"))),
    picture("JPEG", comment=b"Rex, our beagle"),
]  # fmt: skip


@pytest.mark.parametrize("data", PERSONS)
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("existing", ["skip", "replace"])
def test_a_persons_words_are_never_touched(
    photo: Path, write: ReWrite, data: bytes, in_place: bool, existing: str
) -> None:
    photo.write_bytes(data)
    assert write(photo, in_place=in_place, existing=existing).status is WriteStatus.SKIPPED
    assert photo.read_bytes() == data
    assert names(photo.parent) == ["a.jpg"]


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
def test_nor_those_in_sidecars(photo: Path, write: ReWrite, name: str) -> None:
    photo.with_name(name).write_bytes(packet("<dc:description>Rex</dc:description>"))
    assert write(photo, in_place=True).status is WriteStatus.SKIPPED
    assert write(photo).status is WriteStatus.SKIPPED


def test_an_edited_caption_is_a_persons(photo: Path, write: ReWrite) -> None:
    target = write(photo).target
    target.write_bytes(target.read_bytes().replace(b"A dog runs.", b"Rex runs."))
    assert write(photo, OTHER, existing="replace").status is WriteStatus.SKIPPED
    assert said(target) == {"Rex runs."}


@pytest.mark.parametrize("data", [PERSONS[0], PERSONS[1], PERSONS[3]])
def test_a_line_below_a_persons_words(
    photo: Path, write: ReWrite, undo: Callable[[Path], list[WriteStatus]], data: bytes
) -> None:
    photo.write_bytes(data)
    assert write(photo, in_place=True, existing="append").status is WriteStatus.WRITTEN
    assert "Rex, our beagle\nA dog runs." in said(photo)
    assert write(photo, in_place=True, existing="append").status is WriteStatus.UNCHANGED
    assert write(photo, OTHER, in_place=True, existing="append").status is WriteStatus.WRITTEN
    assert "Rex, our beagle\nA cat sleeps." in said(photo)
    assert undo(photo) == [WriteStatus.UNDONE]
    assert photo.read_bytes() == data


def test_what_others_added_to_a_sidecar_stays(
    photo: Path, write: ReWrite, undo: Callable[[Path], list[WriteStatus]]
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


def test_a_sidecar_of_others_becomes_what_it_was(
    photo: Path, write: ReWrite, undo: Callable[[Path], list[WriteStatus]]
) -> None:
    target = photo.with_name("a.jpg.xmp")
    target.write_bytes(packet("<dc:subject><rdf:Bag><rdf:li>Rex</rdf:li></rdf:Bag></dc:subject>"))
    before = target.read_bytes()
    assert write(photo).status is WriteStatus.WRITTEN
    assert read_packet(target.read_bytes()).keywords == ("Rex", "dog", "grass")
    assert undo(photo) == [WriteStatus.UNDONE]
    assert target.read_bytes() == before


def test_a_copy_does_not_take_the_record_away(
    photo: Path, write: ReWrite, undo: Callable[[Path], list[WriteStatus]]
) -> None:
    before = photo.read_bytes()
    write(photo, in_place=True)
    copy = photo.with_name("copy.jpg")
    copy.write_bytes(photo.read_bytes())
    for path in (copy, photo):
        assert undo(path) == [WriteStatus.UNDONE]
        assert path.read_bytes() == before


def test_without_a_record_ours_still_gives_way(photo: Path, write: ReWrite) -> None:
    write(photo, in_place=True)
    with CaptionWriter(Memory(), WriteOptions(in_place=True, existing="replace")) as writer:
        assert writer.write(photo, OTHER).status is WriteStatus.WRITTEN
    assert said(photo) == {"A cat sleeps."}


def test_rights_attributes_and_times(photo: Path, write: ReWrite) -> None:
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
def test_what_cannot_be_replaced_gets_a_sidecar(
    photo: Path, write: ReWrite, reason: RefusalReason
) -> None:
    before = photo.read_bytes()
    if reason is RefusalReason.READ_ONLY:
        photo.chmod(0o444)
    else:
        os.link(photo, photo.with_name("twin.jpg"))
    outcome = write(photo, in_place=True)
    assert outcome.not_in_place and outcome.not_in_place.reason is reason
    assert said(outcome.target) == {"A dog runs."}
    assert photo.read_bytes() == before
    assert not outcome.target.stat().st_mode & 0o022


def test_a_change_at_the_same_moment_is_noticed(photo: Path) -> None:
    class Meddling(Memory):
        """Where the photo is changed after it was read."""

        def find(self, path: Path, sha256_after: bytes) -> None:
            photo.write_bytes(b"something else")

    with CaptionWriter(Meddling(), WriteOptions(in_place=True)) as writer:
        outcome = writer.write(photo, WORDS)
    assert outcome.not_in_place and outcome.not_in_place.reason is RefusalReason.CHANGED
    assert photo.read_bytes() == b"something else"
    assert names(photo.parent) == ["a.jpg", "a.jpg.xmp"]
