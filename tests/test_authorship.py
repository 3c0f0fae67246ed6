"""Authorship: placeholders, program data, digests, and captioner's own lines."""

from __future__ import annotations

import pytest

from captioner import authorship


@pytest.mark.parametrize("text", [
    "", " \0 ", "OLYMPUS DIGITAL CAMERA", "olympus  digital camera ", "SAMSUNG", "DCIM\\100MEDIA",
    "<Digimax S500 / Kenox S500>", "hdrpl", "default", "Exif_JPEG_PICTURE", "LG DIGITAL CAMERA",
    "AppleMark\n", "ACD Systems Digital Imaging", "Created with The GIMP", "Screenshot",
])  # fmt: skip
def test_placeholders(text: str) -> None:
    assert authorship.is_placeholder(text)


@pytest.mark.parametrize("text", ["a", "My OLYMPUS DIGITAL CAMERA", "Burst of joy", "DCIM\\a b"])
def test_texts_that_are_no_placeholders(text: str) -> None:
    assert not authorship.is_placeholder(text)


@pytest.mark.parametrize(("text", "in_xmp", "expected"), [
    ("Rex", False, True), ("Rex", True, True), ("{Rex}", True, True), ("{Rex}", False, False),
    ("SAMSUNG", True, False), ("ImageJ=1.53", False, False),
])  # fmt: skip
def test_program_data_counts_only_outside_xmp(text: str, in_xmp: bool, expected: bool) -> None:
    assert authorship.may_be_human_authored(text, in_xmp=in_xmp) is expected


def test_digests_ignore_what_writing_normalises() -> None:
    digests = {authorship.digest("Gr\u00fc\u00dfe\nvom See")}
    assert authorship.has_digest(" Gru\u0308\u00dfe\r\nvom See\x01", digests)
    assert not authorship.has_digest("Gr\u00fc\u00dfe vom See", digests)
    assert not authorship.has_digest("", set())


def test_an_own_line_is_split_from_the_lines_above() -> None:
    own = {authorship.digest("A dog runs.")}
    assert authorship.split_own_line("Rex\nin June\nA dog runs.", own) == (
        "Rex\nin June", "A dog runs.",
    )  # fmt: skip
    for text in ("A dog runs.", "\nA dog runs.", "Rex\nA cat runs."):
        assert authorship.split_own_line(text, own) is None
