"""What cameras and people wrote into a photo: when, where, with what, and in which words.

Nothing here is worth failing a photo: what is damaged or makes no sense is left out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO, cast

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

from captioner.photos import exif, xmp
from captioner.types import Facts
from captioner.wording import clean, digest, nobodys

_DC = "http://purl.org/dc/elements/1.1/"
_CAPTIONER = "https://captioner.dev/ns/1.0/"
_DESCRIPTION = f"{_DC} description"
_SUBJECT = f"{_DC} subject"
_DIGEST = f"{_CAPTIONER} CaptionDigest"
_OWN_KEYWORDS = f"{_CAPTIONER} CaptionKeywords"
_XMP = {_DESCRIPTION, _SUBJECT, _DIGEST, _OWN_KEYWORDS}

_IPTC_CAPTION = (2, 120)
_IPTC_KEYWORD = (2, 25)
_IPTC_CHARSET = (1, 90)
_UTF_8 = b"\x1b%G"
_IPTC_CAPTION_BYTES = 2000

_LONGEST_CAPTION = 10_000
_LONGEST_NAME = 200
_MOST_KEYWORDS = 200

_TIME = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def read_facts(image: Image.Image, file: BinaryIO) -> Facts:
    """The facts of a picture that Pillow has loaded, and of the file it comes from."""
    tags = _exif(image, file)
    words = _xmp(image)
    iptc = _iptc(image)
    taken_at, offset = _taken(tags)
    latitude, longitude = _place(tags)
    return Facts(
        taken_at=taken_at,
        taken_offset=offset,
        camera=_camera(_name(tags, "Image Make"), _name(tags, "Image Model")),
        lens=_lens(_name(tags, "EXIF LensModel")),
        latitude=latitude,
        longitude=longitude,
        caption=_caption(tags, words, iptc),
        keywords=_keywords(words, iptc),
    )


def _exif(image: Image.Image, file: BinaryIO) -> Mapping[str, Any]:
    with suppress(Exception):  # exifread raises nearly anything
        if block := image.info.get("exif"):
            return exif.tags(io.BytesIO(block.removeprefix(b"Exif\0\0")))
        file.seek(0)
        if file.read(2) in (b"II", b"MM"):  # a TIFF, or a raw photo that is one
            file.seek(0)
            return exif.tags(file)
    return {}


def _xmp(image: Image.Image) -> dict[str, list[str]]:
    with suppress(Exception):
        packet = image.info.get("xmp") or _tiff_tag(image, 700)
        if isinstance(packet, str):
            packet = packet.encode()
        if packet and (b"description" in packet or b"subject" in packet):
            return xmp.texts(packet, _XMP)
    return {}


def _iptc(image: Image.Image) -> dict[tuple[int, int], list[str]]:
    with suppress(Exception):
        if "photoshop" in image.info or _tiff_tag(image, ExifTags.Base.IPTCNAA):
            found: Any = IptcImagePlugin.getiptcinfo(cast(ImageFile.ImageFile, image)) or {}
            encoding = "utf-8" if found.get(_IPTC_CHARSET) == _UTF_8 else "latin-1"
            texts = {}
            for kind in (_IPTC_CAPTION, _IPTC_KEYWORD):
                values = found.get(kind, [])
                values = [values] if isinstance(values, bytes) else values
                texts[kind] = [value.decode(encoding, "replace") for value in values]
            return texts
    return {}


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return getattr(image, "tag_v2", {}).get(tag)


def _text(tags: Mapping[str, Any], name: str) -> str:
    """What a tag says; it is bytes where they are no UTF-8."""
    value = getattr(tags.get(name), "values", "")
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return clean(value) if isinstance(value, str) else ""


def _name(tags: Mapping[str, Any], name: str) -> str:
    seen = "".join(c if c.isprintable() else " " for c in _text(tags, name))
    name = " ".join(seen.split())[:_LONGEST_NAME]
    return name if any(c.isalnum() for c in name) else ""


def _taken(tags: Mapping[str, Any]) -> tuple[str | None, str | None]:
    for name, offset in (
        ("EXIF DateTimeOriginal", "EXIF OffsetTimeOriginal"),
        ("EXIF DateTimeDigitized", "EXIF OffsetTimeDigitized"),
    ):
        if parts := _TIME.match(_text(tags, name)):
            with suppress(ValueError):
                year, month, day, hour, minute, second = (int(p or 0) for p in parts.groups())
                if year >= 1800:
                    at = datetime(year, month, day, hour, minute, second)
                    return at.isoformat(), _offset(_text(tags, offset))
    return None, None


def _offset(text: str) -> str | None:
    if text == "Z":
        return "+00:00"
    found = _OFFSET.fullmatch(text)
    if not found or int(found[3]) > 59 or int(found[2]) * 60 + int(found[3]) > 14 * 60:
        return None
    return text


def _camera(maker: str, model: str) -> str | None:
    if not model:
        return maker or None
    first = model.lower().split()[0]
    if not maker or model.lower().startswith(maker.lower()) or first in maker.lower().split():
        return model
    return f"{maker} {model}"


def _lens(name: str) -> str | None:
    return name if name and not name.startswith("0.0 mm") else None


def _place(tags: Mapping[str, Any]) -> tuple[float | None, float | None]:
    with suppress(ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        latitude = _degrees(tags, "Latitude", "NS", 90)
        longitude = _degrees(tags, "Longitude", "EW", 180)
        # Nobody takes photos at 0° 0′ in the sea: it is what some devices write for "unknown".
        if latitude or longitude:
            return latitude, longitude
    return None, None


def _degrees(tags: Mapping[str, Any], name: str, signs: str, most: int) -> float:
    sign = (1, -1)[signs.index(_text(tags, f"GPS GPS{name}Ref").upper()[:1] or "?")]
    degrees, minutes, seconds = [*map(float, tags[f"GPS GPS{name}"].values), 0.0, 0.0][:3]
    angle = degrees + minutes / 60 + seconds / 3600
    if not (0 <= minutes <= 60 and 0 <= seconds <= 60 and 0 <= angle <= most):
        raise ValueError(angle)
    return round(sign * angle, 7)


def _caption(
    tags: Mapping[str, Any],
    words: Mapping[str, list[str]],
    iptc: Mapping[tuple[int, int], list[str]],
) -> str | None:
    """The first that a person wrote, in the order of the Metadata Working Group."""
    own = set(words.get(_DIGEST, ()))
    camera = {_name(tags, "Image Make").lower(), _name(tags, "Image Model").lower()}
    described = words.get(_DESCRIPTION, [])
    # IPTC holds no more than 2,000 bytes of the text that bears captioner's digest.
    cut = {_cut(text) for text in described if digest(text) in own}
    for text in (_text(tags, "Image ImageDescription"), *described, *iptc.get(_IPTC_CAPTION, ())):
        plain = clean(text)
        if not (nobodys(text) or plain.lower() in camera or digest(text) in own or plain in cut):
            return plain[:_LONGEST_CAPTION]
    return None


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:_IPTC_CAPTION_BYTES].decode("utf-8", "ignore").rstrip()


def _keywords(
    words: Mapping[str, list[str]], iptc: Mapping[tuple[int, int], list[str]]
) -> tuple[str, ...]:
    own = {clean(word).lower() for word in words.get(_OWN_KEYWORDS, ())}
    found: dict[str, str] = {}
    for word in (*words.get(_SUBJECT, ()), *iptc.get(_IPTC_KEYWORD, ())):
        plain = clean(word)[:_LONGEST_NAME]
        if plain and plain.lower() not in own:
            found.setdefault(plain.lower(), plain)
    return tuple(found.values())[:_MOST_KEYWORDS]
