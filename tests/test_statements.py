"""What files and the index say of a photo, and whose words it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_descriptions import photo as fake_photo
from pictures import exif_block, jpeg_with, packet

from captioner import statements
from captioner.errors import PhotoError
from captioner.metadata.fields import CaptionData
from captioner.metadata.writer import CaptionWriter
from captioner.types import Facts, StoredCaption

DESCRIPTION = 0x010E


def test_the_words_of_a_camera_a_person_and_captioner(tmp_path: Path) -> None:
    from pictures import Memory

    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(exif=exif_block({DESCRIPTION: "OLYMPUS DIGITAL CAMERA"})))
    with CaptionWriter(Memory()) as writer:
        writer.write(path, CaptionData("A dog.", None, ("dog",), "c0ffee"))
    other = tmp_path / "a.xmp"
    other.write_bytes(packet("<dc:description>Rex</dc:description>"))
    found = statements.in_files(path)
    assert not found.problems
    said = [(one.what, one.file and one.file.name, one.text, one.author()) for one in found.found]
    assert said == [
        ("caption", "a.jpg", "OLYMPUS DIGITAL CAMERA", "a camera's"),
        ("caption", "a.jpg.xmp", "A dog.", "captioner's (c0ffee)"),
        ("caption", "a.jpg.xmp", "A dog.", "captioner's (c0ffee)"),
        ("keywords", "a.jpg.xmp", "dog", "captioner's (c0ffee)"),
        ("caption", "a.xmp", "Rex", "a person's"),
    ]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with())
    sidecar = tmp_path / "a.jpg.xmp"
    sidecar.write_bytes(b"<x:xmpmeta")
    [problem] = statements.in_files(path).problems
    assert (problem.path, problem.partial) == (sidecar, True)
    sidecar.unlink()
    sidecar.mkdir()
    [problem] = statements.in_files(path).problems
    assert (problem.path, problem.partial) == (sidecar, False)
    path.unlink()
    with pytest.raises(PhotoError):
        statements.in_files(path)


def test_the_index_says_a_persons_words_first() -> None:
    known = StoredCaption(fake_photo("a.jpg"), "A dog.", "c0ffee", 0.5, ("dog",), ("Rex",))
    facts = Facts(caption="At home", keywords=("Sylt",), latitude=1.0, longitude=2.0)
    said = [(one.what, one.text, one.source) for one in statements.in_index(known, facts)]
    assert said == [
        ("caption", "At home", "person"),
        ("caption", "A dog.", "model"),
        ("confidence", "0.50", "model"),
        ("keywords", "Rex", "person"),
        ("keywords", "dog", "model"),
        ("keywords", "Sylt", "person"),
        ("place", "1.000000, 2.000000", None),
    ]
