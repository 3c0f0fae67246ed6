"""Metadata as exiftool and exiv2 read it: independent checks of what captioner wrote."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

PACKAGES = {"exiftool": "libimage-exiftool-perl", "exiv2": "exiv2"}
SPECIAL_NAMES = ("System:", "XMP-captioner:")
OURS = {
    *("SourceFile", "IFD0:ImageDescription", "IFD0:ApplicationNotes"),
    *("XMP-dc:Description", "XMP-tiff:ImageDescription", "XMP-dc:Subject"),
    *("XMP-iptcCore:AltTextAccessibility",),
    *("IPTC:Caption-Abstract", "IPTC:Keywords", "IPTC:CodedCharacterSet"),
    *("File:CurrentIPTCDigest", "Photoshop:IPTCDigest"),
    # A simple WebP file must become an extended one, whose header repeats the size.
    *("File:FileType", "RIFF:WebP_Flags"),
}
"""Tags that captioner writes, as exiftool names them."""
OFFSETS = ("Offset", "Offsets", "Start", "MPImageLength")
"""Suffixes of exiftool's names of offsets, which change when other blocks grow."""
OURS_BY_EXIV2 = (
    *("Xmp.dc.description", "Xmp.tiff.ImageDescription", "Xmp.dc.subject"),
    *("Xmp.iptc.AltTextAccessibility", "Xmp.captioner.", "Exif.Image.ImageDescription"),
    *("Exif.Image.XMLPacket", "Iptc.Envelope.CharacterSet"),
    *("Iptc.Application2.Caption", "Iptc.Application2.Keywords"),
)


def needs(*programs: str) -> None:
    """Skip the test if a program is missing."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"there is no {program}: apt-get install {PACKAGES[program]}")


def exiftool(paths: list[Path]) -> dict[Path, dict[str, Any]]:
    """All tags of files, including unknown, binary and repeated ones."""
    words = ["exiftool", "-j", "-a", "-G1", "-U", "-b", "-struct", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, check=False)
    found = json.loads(done.stdout.decode("utf-8", "replace") or "[]")
    return {Path(tags["SourceFile"]): tags for tags in found}


def others_by_exiftool(tags: dict[str, Any]) -> dict[str, Any]:
    """The tags that captioner does not write."""
    return {
        name: value
        for name, value in tags.items()
        if name not in OURS and not name.startswith(SPECIAL_NAMES) and not name.endswith(OFFSETS)
    }


def exiv2(path: Path, *words: str) -> str:
    """The output of `exiv2 print` for a file."""
    done = subprocess.run(
        ["exiv2", "-q", "-b", *words, "print", str(path)],
        capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")


def others_by_exiv2(path: Path) -> Counter[str]:
    """Lines of exiv2 about the tags that captioner does not write."""
    tags = re.split(r"^(?=(?:Exif|Iptc|Xmp)\.)", exiv2(path, "-u", "-PEIXkv"), flags=re.MULTILINE)
    return Counter(tag for tag in tags if not tag.startswith(OURS_BY_EXIV2))
