"""GPS coordinates of EXIF and XMP in decimal degrees, north and east positive."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from captioner.formats.xmp import qualified
from captioner.photos.blocks import Properties, Tags, tag_text

LATITUDE = qualified("exif:GPSLatitude")
LONGITUDE = qualified("exif:GPSLongitude")

_DEGREES = re.compile(
    r"([+-]?\d{1,3}(?:\.\d+)?)(?:[,°\s]+(\d{1,2}(?:\.\d+)?))?(?:[,'′\s]+(\d{1,2}(?:\.\d+)?))?"
    r"[\"″'′°\s]*([NSEWnsew]?)"
)


def valid_coordinates(latitude: float, longitude: float) -> tuple[float, float] | None:
    """Coordinates rounded to 7 decimals; None if out of range.

    None for 0°, 0°, too, which devices write for "unknown".
    """
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or not (latitude or longitude):
        return None
    return round(latitude, 7), round(longitude, 7)


def exif_coordinates(tags: Tags) -> tuple[float, float] | None:
    """Latitude and longitude in EXIF; None if missing or invalid."""
    with suppress(ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return valid_coordinates(
            _exif_degrees(tags, "Latitude", "NS"), _exif_degrees(tags, "Longitude", "EW")
        )
    return None


def xmp_coordinates(properties: Properties) -> tuple[float, float] | None:
    """Latitude and longitude in XMP; None if missing or invalid."""
    for latitude, longitude in zip(
        properties.get(LATITUDE, ()), properties.get(LONGITUDE, ()), strict=False
    ):
        with suppress(ValueError):
            found = valid_coordinates(_xmp_degrees(latitude, "NS"), _xmp_degrees(longitude, "EW"))
            if found:
                return found
    return None


def _exif_degrees(tags: Tags, name: str, directions: str) -> float:
    direction = tag_text(tags, f"GPS GPS{name}Ref").upper()[:1]
    sign = (1, -1)[directions.index(direction or "?")]
    degrees, *parts = tags[f"GPS GPS{name}"].values
    return sign * _decimal(float(degrees), *[*map(_number, parts), 0.0, 0.0][:2])


def _number(value: Any) -> float:
    """Minutes or seconds as a float; they are 0/0 if unknown."""
    is_unknown = value.numerator == 0 and value.denominator == 0
    return 0.0 if is_unknown else float(value)


def _xmp_degrees(text: str, directions: str) -> float:
    """Degrees from "47,22.2N" or "47,22,12N", or with a sign, as some programs write."""
    found = _DEGREES.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    degrees, minutes, seconds, direction = found.groups()
    angle = _decimal(abs(float(degrees)), float(minutes or 0), float(seconds or 0))
    sign = (1, -1)[directions.index(direction.upper())] if direction else 1
    return -sign * angle if degrees.startswith("-") else sign * angle


def _decimal(degrees: float, minutes: float, seconds: float) -> float:
    angle = degrees + minutes / 60 + seconds / 3600
    if not (0 <= minutes <= 60 and 0 <= seconds <= 60 and angle >= 0):
        raise ValueError(angle)
    return angle
