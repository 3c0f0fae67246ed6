"""exiftool and exiv2 read what captioner writes, and captioner reads what they write."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import metadata_tools
import pytest
from pictures import HARD, WORDS, Memory, packet
from test_embed import FILES

from captioner.metadata.outcome import WriteOptions, WriteStatus
from captioner.metadata.reading import read_photo
from captioner.metadata.writer import CaptionWriter

SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif"}


@pytest.fixture
def written(tmp_path: Path) -> list[Path]:
    """Tiny files with captions."""
    paths = []
    with CaptionWriter(Memory(), WriteOptions(in_place=True, sync=False)) as writer:
        for number, (name, data) in enumerate(FILES.items()):
            path = tmp_path / f"{number}{SUFFIXES[name.split()[0].strip(',')]}"
            path.write_bytes(data)
            outcome = writer.write(path, replace(WORDS, description=HARD, alt_text="A dog."))
            assert (outcome.status, outcome.is_photo) == (WriteStatus.WRITTEN, True), outcome
            paths.append(path)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(FILES["jpeg"])
    with CaptionWriter(Memory()) as writer:
        paths.append(writer.write(photo, replace(WORDS, description=HARD)).target)
    return paths


def test_exiftool_reads_the_caption(written: list[Path]) -> None:
    metadata_tools.needs("exiftool")
    for name, found in metadata_tools.exiftool(written).items():
        assert found["XMP-dc:Description"] == HARD, name
        assert set(found["XMP-dc:Subject"]) >= {"dog", "grass"}, name
        assert found["XMP-captioner:CaptionModel"] == WORDS.model
        assert "XMP" not in found.get("ExifTool:Warning", ""), name


def test_exiv2_reads_the_caption(written: list[Path]) -> None:
    metadata_tools.needs("exiv2")
    for path in written:
        found = metadata_tools.exiv2(path, "-K", "Xmp.dc.description", "-Pt")
        assert found.strip() == f'lang="x-default" {HARD}', path


def test_the_mark_survives_exiftool(tmp_path: Path) -> None:
    metadata_tools.needs("exiftool")
    photo = tmp_path / "a.jpg"
    photo.write_bytes(FILES["jpeg with xmp"])
    rating = ["exiftool", "-q", "-overwrite_original", "-Rating=5", "-Title=Rex"]
    with CaptionWriter(Memory(), WriteOptions(in_place=True)) as writer:
        writer.write(photo, WORDS)
    subprocess.run([*rating, str(photo)], check=True)
    content = read_photo(photo.read_bytes())
    assert not content.human_authored(content.texts)
    beside = photo.with_name("a.jpg.xmp")
    beside.write_bytes(packet())
    with CaptionWriter(Memory()) as writer:
        assert (
            writer.write(photo, replace(WORDS, description="A cat.")).status is WriteStatus.WRITTEN
        )
        subprocess.run([*rating, str(beside)], check=True)
        in_photo, in_sidecar = writer.undo(photo)
    assert (in_photo.status, in_sidecar.status) == (WriteStatus.REFUSED, WriteStatus.UNDONE)
    found = metadata_tools.exiftool([beside])[beside]
    assert (found["XMP-xmp:Rating"], found["XMP-dc:Title"]) == (5, "Rex")
    assert not [name for name in found if "escription" in name or "captioner" in name]
