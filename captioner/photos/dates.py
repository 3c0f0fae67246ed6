"""Dates when a photo was taken, from EXIF, XMP, IPTC and PNG, most reliable first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime

from captioner.formats.xmp import qualified
from captioner.photos.blocks import Datasets, MetadataBlocks, Properties, Tags, tag_text

Date = tuple[str, str | None]
"""Local time in ISO 8601, "2024-05-06T07:08:09", and its offset from UTC, "+02:00", if known."""

ORIGINAL = (qualified("exif:DateTimeOriginal"), qualified("photoshop:DateCreated"))
DIGITIZED = (qualified("exif:DateTimeDigitized"), qualified("xmp:CreateDate"))

_IPTC_CREATED = ((2, 55), (2, 60))
_IPTC_DIGITIZED = ((2, 62), (2, 63))

_TIME = re.compile(
    r"(\d{4})(?!\d)(?:[:/-]([ \d]\d)(?:[:/-]([ \d]\d)"
    r"(?:[ T]([ \d]\d):([ \d]\d)(?::([ \d]\d))?(?:[.,]\d+)? ?(Z|[+-]\d\d:?\d\d)?)?)?)?"
)
_IPTC_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_IPTC_TIME = re.compile(r"(\d\d):?(\d\d):?(\d\d)?([+-]\d\d:?\d\d)?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")

_MIN_YEAR = 1800
"""There are no photos from before."""


def original_dates(blocks: MetadataBlocks) -> Iterator[Date]:
    """Dates of the original, when the shutter was released."""
    yield from _exif_date(blocks.tags, "EXIF DateTimeOriginal", "EXIF OffsetTimeOriginal")
    yield from _xmp_dates(blocks.properties, ORIGINAL)
    yield from _iptc_date(blocks.datasets, *_IPTC_CREATED)


def dates(blocks: MetadataBlocks) -> Iterator[Date]:
    """Dates of the original, then those of the digital file, of which it may be a scan."""
    yield from original_dates(blocks)
    yield from _exif_date(blocks.tags, "EXIF DateTimeDigitized", "EXIF OffsetTimeDigitized")
    yield from _xmp_dates(blocks.properties, DIGITIZED)
    yield from _iptc_date(blocks.datasets, *_IPTC_DIGITIZED)
    yield from _exif_date(blocks.tags, "Image DateTime", "EXIF OffsetTime")
    yield from _png_date(blocks.png_texts.get("creation time", ""))


def _exif_date(tags: Tags, name: str, offset: str) -> Iterator[Date]:
    for at, own_offset in _parse_date(tag_text(tags, name)):
        yield at, _parse_offset(tag_text(tags, offset)) or own_offset


def _xmp_dates(properties: Properties, names: Sequence[str]) -> Iterator[Date]:
    for name in names:
        for text in properties.get(name, ()):
            yield from _parse_date(text)


def _iptc_date(datasets: Datasets, date: tuple[int, int], time: tuple[int, int]) -> Iterator[Date]:
    for text in datasets.get(date, ()):
        if day := _IPTC_DATE.match(text):
            parts = [part for part in day.groups() if part != "00"]  # unknown
            iso = "-".join(parts)
            clock = _IPTC_TIME.match("".join(datasets.get(time, [""])[:1]))
            if clock and len(parts) == 3:
                hour, minute, second, offset = clock.groups()
                iso += f"T{hour}:{minute}:{second or '00'}{offset or ''}"
            yield from _parse_date(iso)


def _png_date(text: str) -> Iterator[Date]:
    """A date as PNG recommends, "Sat, 04 May 2019 10:11:12 +0200", or as in EXIF and XMP."""
    if _TIME.match(text):
        yield from _parse_date(text)
        return
    with suppress(ValueError, TypeError):
        at = parsedate_to_datetime(text)
        if at.year >= _MIN_YEAR:
            offset = at.strftime("%z")
            yield at.replace(tzinfo=None, microsecond=0).isoformat(), _parse_offset(offset)


def _parse_date(text: str) -> Iterator[Date]:
    """A date of which at least the year is given; the rest defaults to its first moment."""
    if parts := _TIME.match(text.strip()):
        *numbers, offset = parts.groups()
        year, month, day, hour, minute, second = (
            int(number) if number else least
            for number, least in zip(numbers, (0, 1, 1, 0, 0, 0), strict=True)
        )
        if year < _MIN_YEAR:
            return
        with suppress(ValueError):
            at = datetime(year, month or 1, day or 1)  # 00 if unknown
            with suppress(ValueError):
                at = at.replace(hour=hour, minute=minute, second=min(second, 59))  # a leap second
            yield at.isoformat(), _parse_offset(offset or "")


def _parse_offset(text: str) -> str | None:
    if text == "Z":
        return "+00:00"
    found = _OFFSET.fullmatch(text)
    if not found or int(found[3]) > 59 or int(found[2]) * 60 + int(found[3]) > 14 * 60:
        return None
    return f"{found[1]}{found[2]}:{found[3]}"
