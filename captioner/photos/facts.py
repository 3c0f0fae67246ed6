"""What cameras and people wrote into a photo: when, where, with what, and in which words.

Where several places in a file say different things, the first of these counts:

========  ==========================================================================================
date      the original's: EXIF DateTimeOriginal, XMP (exif:DateTimeOriginal, photoshop:DateCreated),
          IPTC 2:55; else the digital file's: EXIF DateTimeDigitized, XMP (exif:DateTimeDigitized,
          xmp:CreateDate), IPTC 2:62; else EXIF DateTime, PNG's Creation Time
place     EXIF, XMP
caption   EXIF ImageDescription, XMP (dc:description, tiff:ImageDescription, exif:UserComment,
          ACDSee's, ExtDescrAccessibility), IPTC 2:120, EXIF UserComment, XPComment, XPSubject,
          PNG's Description and Comment, the comment of JPEG and GIF
title     XMP dc:title, IPTC 2:5, EXIF XPTitle, XMP photoshop:Headline, IPTC 2:105, PNG's Title
camera    EXIF, XMP
keywords  all, each once: XMP, IPTC 2:25, EXIF XPKeywords
others    further captions and titles; alternative texts; places' names: XMP, IPTC 2:90, 2:92,
          2:95, 2:101
========  ==========================================================================================

Nothing here is worth failing a photo: what is damaged or makes no sense is left out.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from captioner.photos import exif, iptc, xmp
from captioner.photos.xmp import utf_8_or_latin
from captioner.types import Facts
from captioner.wording import clean, digest, is_placeholder, nobodys

_DIGEST = xmp.qualified("captioner:CaptionDigest")
_OWN_KEYWORDS = xmp.qualified("captioner:CaptionKeywords")
_DESCRIPTION = xmp.qualified("dc:description")
_ALT = xmp.qualified("Iptc4xmpCore:AltTextAccessibility")
_ALT_DIGEST = xmp.qualified("captioner:AltDigest")
_CAPTIONS = (
    _DESCRIPTION,
    *map(
        xmp.qualified,
        (
            "tiff:ImageDescription",
            "exif:UserComment",
            "acdsee:notes",
            "acdsee:caption",
            "Iptc4xmpCore:ExtDescrAccessibility",
        ),
    ),
)
_TITLE = xmp.qualified("dc:title")
_HEADLINE = xmp.qualified("photoshop:Headline")
_ORIGINAL = tuple(map(xmp.qualified, ("exif:DateTimeOriginal", "photoshop:DateCreated")))
_DIGITIZED = tuple(map(xmp.qualified, ("exif:DateTimeDigitized", "xmp:CreateDate")))
_PLACE_NAMES = tuple(
    map(
        xmp.qualified,
        (
            "Iptc4xmpCore:Location",
            "photoshop:City",
            "photoshop:State",
            "photoshop:Country",
            "Iptc4xmpExt:Sublocation",
            "Iptc4xmpExt:City",
            "Iptc4xmpExt:ProvinceState",
            "Iptc4xmpExt:CountryName",
        ),
    )
)
_LATITUDE = xmp.qualified("exif:GPSLatitude")
_LONGITUDE = xmp.qualified("exif:GPSLongitude")
_MAKE = xmp.qualified("tiff:Make")
_MODEL = xmp.qualified("tiff:Model")
_LENSES = tuple(map(xmp.qualified, ("exifEX:LensModel", "aux:Lens")))
_PLAIN_KEYWORDS = (
    xmp.qualified("dc:subject"),
    xmp.qualified("Iptc4xmpExt:PersonInImage"),
    xmp.qualified("mwg-rs:Name"),
)
_HIERARCHIES = {
    xmp.qualified("lr:hierarchicalSubject"): "|",
    xmp.qualified("digiKam:TagsList"): "/",
    xmp.qualified("MicrosoftPhoto:LastKeywordXMP"): "/",
}
_XMP = frozenset(
    (
        *(_DIGEST, _ALT, _ALT_DIGEST, _OWN_KEYWORDS, *_CAPTIONS, _TITLE, _HEADLINE),
        *(*_ORIGINAL, *_DIGITIZED, *_PLACE_NAMES),
        *(_LATITUDE, _LONGITUDE, _MAKE, _MODEL, *_LENSES, *_PLAIN_KEYWORDS, *_HIERARCHIES),
    )
)

_IPTC_TITLE = (2, 5)
_IPTC_KEYWORD = (2, 25)
_IPTC_ORIGINAL = ((2, 55), (2, 60))
_IPTC_DIGITIZED = ((2, 62), (2, 63))
_IPTC_HEADLINE = (2, 105)
_IPTC_CAPTION = (2, 120)
_IPTC_CAPTION_BYTES = 2000
_IPTC_PLACE_NAMES = ((2, 92), (2, 90), (2, 95), (2, 101))

_RAW_PROFILE = "raw profile type "
_PHOTOSHOP_IN_APP13 = b"Photoshop 3.0\0"
_XMP_IN_APP1 = b"http://ns.adobe.com/xap/1.0/\0"
_END_OF_GIF_PACKET = b"\x01\xff\xfe\xfd"
"""The first bytes of the trailer that leads readers of blocks to the packet's end."""
_EXIF_IN_APP1 = b"Exif\0\0"

_LONGEST_CAPTION = 10_000
_LONGEST_NAME = 200
_MOST_KEYWORDS = 200
_MOST_TEXTS = 20
_LETTERS = {"Lu", "Ll", "Lo", "Nd"}
"""What a name has one of at least: the letters, and digits."""

_TIME = re.compile(
    r"(\d{4})(?!\d)(?:[:/-]([ \d]\d)(?:[:/-]([ \d]\d)"
    r"(?:[ T]([ \d]\d):([ \d]\d)(?::([ \d]\d))?(?:[.,]\d+)? ?(Z|[+-]\d\d:?\d\d)?)?)?)?"
)
_IPTC_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_IPTC_TIME = re.compile(r"(\d\d):?(\d\d):?(\d\d)?([+-]\d\d:?\d\d)?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_DEGREES = re.compile(
    r"([+-]?\d{1,3}(?:\.\d+)?)(?:[,°\s]+(\d{1,2}(?:\.\d+)?))?(?:[,'′\s]+(\d{1,2}(?:\.\d+)?))?"
    r"[\"″'′°\s]*([NSEWnsew]?)"
)

_Tags = Mapping[str, Any]
_Properties = Mapping[str, list[str]]
_Datasets = Mapping[tuple[int, int], list[str]]
_Taken = tuple[str, str | None]
"""When, and the offset of that clock from UTC."""


@dataclass(slots=True)
class _Metadata:
    """All blocks of metadata of one photo."""

    tags: _Tags = field(default_factory=dict)
    """Of EXIF, as `exif.tags` gives them."""
    packet: _Properties = field(default_factory=dict)
    """Of XMP."""
    datasets: _Datasets = field(default_factory=dict)
    """Of IPTC."""
    png: Mapping[str, str] = field(default_factory=dict)
    """PNG's text chunks, by their names in small letters."""
    comment: str = ""
    """JPEG's or GIF's."""


def read_facts(image: Image.Image, file: BinaryIO) -> Facts:
    """The facts of a picture that Pillow has loaded, and of the file it comes from."""
    return _facts(_metadata(image, file))


def packet_facts(packet: bytes, *, original_date: bool = False) -> Facts:
    """The facts in an XMP packet by itself, as sidecars hold it.

    Parameters
    ----------
    original_date
        Whether only a date counts that is the original's for certain, and not perhaps the file's.
    """
    return _facts(_Metadata(packet=xmp.texts(packet, _XMP)), original_date=original_date)


def _facts(data: _Metadata, *, original_date: bool = False) -> Facts:
    dates = _original_dates(data) if original_date else _dates(data)
    taken_at, offset = next(dates, (None, None))
    latitude, longitude = _exif_place(data.tags) or _xmp_place(data.packet) or (None, None)
    packet = data.packet
    captions, titles = list(_captions(data)), list(_titles(data))
    caption, title = next(iter(captions), None), next(iter(titles), None)
    return Facts(
        taken_at=taken_at,
        taken_offset=offset,
        camera=_camera(
            _name(_text(data.tags, "Image Make")) or _first_name(packet, _MAKE),
            _name(_text(data.tags, "Image Model")) or _first_name(packet, _MODEL),
        ),
        lens=_lens(_name(_text(data.tags, "EXIF LensModel")) or _first_name(packet, *_LENSES)),
        latitude=latitude,
        longitude=longitude,
        caption=caption,
        keywords=_keywords(data),
        title=title,
        others=distinct((*captions, *titles, *_further(data)), caption, title),
    )


# Where the blocks are


def _metadata(image: Image.Image, file: BinaryIO) -> _Metadata:
    info = image.info
    png = {}
    with suppress(Exception):
        texts = getattr(image, "text", {})
        png = {str(name).lower(): str(text) for name, text in texts.items()}
    profiles = dict(_raw_profiles(png))
    exif_block = info.get("exif") or profiles.get("exif") or profiles.get("app1")
    tags = _exif(exif_block, file)
    packet = (
        *(info.get("xmp"), _gif_packet(image, file)),
        *(_tiff_tag(image, 700), png.get("xml:com.adobe.xmp")),
        *(profiles.get("xmp"), profiles.get("app1"), tags.get("Image XMP")),
    )
    photoshop = info.get("photoshop")
    datasets = (
        _photoshop(image) or (None if isinstance(photoshop, dict) else photoshop),
        # Pillow gives the first number alone where the tag has numbers of four bytes.
        *(tags.get("Image IPTC"), _tiff_tag(image, ExifTags.Base.IPTCNAA)),
        *(profiles.get("iptc"), profiles.get("8bim")),
    )
    comment = info.get("comment", b"")
    return _Metadata(
        tags=tags,
        packet=_xmp(next((block for block in packet if block), b"")),
        datasets=_iptc(next((block for block in datasets if block), b"")),
        png=png,
        comment=utf_8_or_latin(comment) if isinstance(comment, bytes) else str(comment),
    )


def _exif(block: object, file: BinaryIO) -> _Tags:
    with suppress(Exception):  # exifread raises nearly anything
        if isinstance(block, bytes) and not block.startswith(_XMP_IN_APP1):
            return exif.tags(io.BytesIO(block.removeprefix(_EXIF_IN_APP1)))
        file.seek(0)
        if file.read(2) in (b"II", b"MM"):  # a TIFF, or a raw photo that is one
            file.seek(0)
            return exif.tags(file)
    return {}


def _xmp(packet: Any) -> _Properties:
    with suppress(Exception):
        if isinstance(packet, str):
            packet = packet.encode()
        return xmp.texts(bytes(packet).removeprefix(_XMP_IN_APP1), _XMP) if packet else {}
    return {}


def _gif_packet(image: Image.Image, file: BinaryIO) -> bytes:
    """The XMP of a GIF, which stands behind its name as it is, not cut into blocks."""
    with suppress(Exception):
        name, start = image.info["extension"]
        if name == b"XMP DataXMP":
            file.seek(start)
            return file.read(xmp.LARGEST).partition(_END_OF_GIF_PACKET)[0]
    return b""


def _photoshop(image: Image.Image) -> bytes:
    """The image resources of a JPEG, of all its segments together.

    Pillow's own reading of them ends at the first resource that is not as it should be.
    """
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    return b"".join(
        content.removeprefix(_PHOTOSHOP_IN_APP13)
        for name, content in segments
        if name == "APP13" and content.startswith(_PHOTOSHOP_IN_APP13)
    )


def _iptc(block: Any) -> _Datasets:
    with suppress(Exception):
        if isinstance(block, tuple):  # a TIFF that keeps it as numbers of four bytes
            block = b"".join(
                part if isinstance(part, bytes) else int(part).to_bytes(4, "little")
                for part in block
            )
        return iptc.texts(block) if isinstance(block, bytes) else {}
    return {}


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    with suppress(Exception):
        return getattr(image, "tag_v2", {}).get(tag)
    return None


def _raw_profiles(png: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """The blocks that ImageMagick writes into PNG files: kind, length and hexadecimal digits."""
    for name, text in png.items():
        if name.startswith(_RAW_PROFILE):
            with suppress(ValueError):
                _, _, digits = text.strip().split("\n", 2)
                yield name.removeprefix(_RAW_PROFILE), bytes.fromhex(digits)


# Texts


def _text(tags: _Tags, name: str) -> str:
    """What a tag says; it is bytes where they are not UTF-8."""
    value = tags.get(name)
    value = getattr(value, "values", value)
    if isinstance(value, bytes):
        value = utf_8_or_latin(value)
    return clean(value) if isinstance(value, str) else ""


def _name(text: str) -> str:
    seen = "".join(c if c.isprintable() else " " for c in text)
    name = " ".join(seen.split())[:_LONGEST_NAME]
    return name if any(unicodedata.category(c) in _LETTERS for c in name) else ""


def _first_name(packet: _Properties, *names: str) -> str:
    found = (_name(text) for name in names for text in packet.get(name, ()))
    return next(filter(None, found), "")


def _camera(maker: str, model: str) -> str | None:
    if not model:
        return maker or None
    first = model.lower().split()[0]
    if not maker or model.lower().startswith(maker.lower()) or first in maker.lower().split():
        return model
    return f"{maker} {model}"


def _lens(name: str) -> str | None:
    return name if name and not name.startswith("0.0 mm") else None


def _captions(data: _Metadata) -> Iterator[str]:
    """What people wrote, in the order of the Metadata Working Group."""
    own = set(data.packet.get(_DIGEST, ()))
    described = [text for name in _CAPTIONS for text in data.packet.get(name, ())]
    # IPTC holds no more than 2,000 bytes of the text that bears captioner's digest.
    cut = {_cut(text) for text in described if digest(text) in own}
    cameras = {
        _name(_text(data.tags, "Image Make")).lower(),
        _name(_text(data.tags, "Image Model")).lower(),
    }
    png = (data.png.get(name, "") for name in ("description", "comment"))
    for people_write, texts in (
        (False, [_text(data.tags, "Image ImageDescription")]),
        (True, described),  # nothing there is taken for a program's data
        (False, data.datasets.get(_IPTC_CAPTION, [])),
        (False, [_text(data.tags, "EXIF UserComment"), _text(data.tags, "Image XPComment")]),
        (False, [_text(data.tags, "Image XPSubject"), *png, data.comment]),
    ):
        for text in texts:
            plain = _without_own(clean(text), own)
            blank = is_placeholder(plain) if people_write else nobodys(plain)
            if not (blank or plain.lower() in cameras or plain in cut):
                yield plain[:_LONGEST_CAPTION]


def _without_own(text: str, own: set[str]) -> str:
    """A text without what captioner wrote: nothing at all, or all but its last line."""
    if digest(text) in own:
        return ""
    before, _, last = text.rpartition("\n")
    return before.rstrip() if own and before and digest(last) in own else text


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:_IPTC_CAPTION_BYTES].decode("utf-8", "ignore").rstrip()


def _titles(data: _Metadata) -> Iterator[str]:
    for text in (
        *data.packet.get(_TITLE, ()),
        *data.datasets.get(_IPTC_TITLE, ()),
        _text(data.tags, "Image XPTitle"),
        *data.packet.get(_HEADLINE, ()),
        *data.datasets.get(_IPTC_HEADLINE, ()),
        data.png.get("title", ""),
    ):
        plain = " ".join(clean(text).split())
        if not is_placeholder(plain):
            yield plain[:_LONGEST_CAPTION]


def _further(data: _Metadata) -> Iterator[str]:
    """Alternative texts, for those who cannot see the photo, and places' names."""
    own = set(data.packet.get(_ALT_DIGEST, ()))
    for text in (
        *(text for text in data.packet.get(_ALT, ()) if digest(text) not in own),
        *(text for name in _PLACE_NAMES for text in data.packet.get(name, ())),
        *(text for name in _IPTC_PLACE_NAMES for text in data.datasets.get(name, ())),
    ):
        plain = " ".join(clean(text).split())
        if not is_placeholder(plain):
            yield plain[:_LONGEST_CAPTION]


def distinct(texts: Iterable[str | None], *besides: str | None) -> tuple[str, ...]:
    """Texts that are there, each once, whatever its case, and without some others."""
    seen = {text.casefold() for text in besides if text}
    found = []
    for text in texts:
        if text and text.casefold() not in seen:
            seen.add(text.casefold())
            found.append(text)
    return tuple(found[:_MOST_TEXTS])


def _keywords(data: _Metadata) -> tuple[str, ...]:
    own = {clean(word).lower() for word in data.packet.get(_OWN_KEYWORDS, ())}
    found = [word for name in _PLAIN_KEYWORDS for word in data.packet.get(name, ())]
    found += data.datasets.get(_IPTC_KEYWORD, ())
    found += _text(data.tags, "Image XPKeywords").split(";")
    for name, separator in _HIERARCHIES.items():
        for path in data.packet.get(name, ()):
            found += path.split(separator)
    return united(word for word in found if clean(word).lower() not in own)


def united(words: Iterable[str]) -> tuple[str, ...]:
    """Keywords without blanks and doublets, whatever their case."""
    found: dict[str, str] = {}
    for word in words:
        plain = clean(word)[:_LONGEST_NAME]
        if plain:
            found.setdefault(plain.lower(), plain)
    return tuple(found.values())[:_MOST_KEYWORDS]


# Dates


def _dates(data: _Metadata) -> Iterator[_Taken]:
    yield from _original_dates(data)
    yield from _exif_date(data.tags, "DateTimeDigitized", "OffsetTimeDigitized")
    yield from _xmp_dates(data.packet, _DIGITIZED)
    yield from _iptc_date(data.datasets, *_IPTC_DIGITIZED)
    yield from _exif_date(data.tags, "DateTime", "OffsetTime", table="Image")
    yield from _png_date(data.png.get("creation time", ""))


def _original_dates(data: _Metadata) -> Iterator[_Taken]:
    yield from _exif_date(data.tags, "DateTimeOriginal", "OffsetTimeOriginal")
    yield from _xmp_dates(data.packet, _ORIGINAL)
    yield from _iptc_date(data.datasets, *_IPTC_ORIGINAL)


def _exif_date(tags: _Tags, name: str, offset: str, *, table: str = "EXIF") -> Iterator[_Taken]:
    for at, own_offset in _date(_text(tags, f"{table} {name}")):
        yield at, _offset(_text(tags, f"EXIF {offset}")) or own_offset


def _xmp_dates(packet: _Properties, names: Sequence[str]) -> Iterator[_Taken]:
    for name in names:
        for text in packet.get(name, ()):
            yield from _date(text)


def _iptc_date(
    datasets: _Datasets, date: tuple[int, int], time: tuple[int, int]
) -> Iterator[_Taken]:
    for text in datasets.get(date, ()):
        if day := _IPTC_DATE.match(text):
            parts = [part for part in day.groups() if part != "00"]  # unknown
            whole = "-".join(parts)
            clock = _IPTC_TIME.match("".join(datasets.get(time, [""])[:1]))
            if clock and len(parts) == 3:
                hour, minute, second, offset = clock.groups()
                whole += f"T{hour}:{minute}:{second or '00'}{offset or ''}"
            yield from _date(whole)


def _png_date(text: str) -> Iterator[_Taken]:
    """A date as PNG wants it, "Sat, 04 May 2019 10:11:12 +0200", or as in EXIF and XMP."""
    if _TIME.match(text):
        yield from _date(text)
        return
    with suppress(ValueError, TypeError):
        at = parsedate_to_datetime(text)
        if at.year >= _EARLIEST:
            offset = at.strftime("%z")
            yield at.replace(tzinfo=None, microsecond=0).isoformat(), _offset(offset)


_EARLIEST = 1800
"""Before it nobody took photos."""


def _date(text: str) -> Iterator[_Taken]:
    """A date, at least its year; its first moment, where it says no time."""
    if parts := _TIME.match(text.strip()):
        *numbers, offset = parts.groups()
        year, month, day, hour, minute, second = (
            int(number) if number else least
            for number, least in zip(numbers, (0, 1, 1, 0, 0, 0), strict=True)
        )
        if year < _EARLIEST:
            return
        with suppress(ValueError):
            at = datetime(year, month or 1, day or 1)  # 00 where it is not known
            with suppress(ValueError):
                at = at.replace(hour=hour, minute=minute, second=min(second, 59))  # a leap second
            yield at.isoformat(), _offset(offset or "")


def _offset(text: str) -> str | None:
    if text == "Z":
        return "+00:00"
    found = _OFFSET.fullmatch(text)
    if not found or int(found[3]) > 59 or int(found[2]) * 60 + int(found[3]) > 14 * 60:
        return None
    return f"{found[1]}{found[2]}:{found[3]}"


# Places


def place(latitude: float, longitude: float) -> tuple[float, float] | None:
    """A place on Earth in degrees; None where it is none, or 0° 0′, as devices write "unknown"."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or not (latitude or longitude):
        return None
    return round(latitude, 7), round(longitude, 7)


def _exif_place(tags: _Tags) -> tuple[float, float] | None:
    with suppress(ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return place(_degrees(tags, "Latitude", "NS"), _degrees(tags, "Longitude", "EW"))
    return None


def _degrees(tags: _Tags, name: str, signs: str) -> float:
    sign = (1, -1)[signs.index(_text(tags, f"GPS GPS{name}Ref").upper()[:1] or "?")]
    degrees, *parts = tags[f"GPS GPS{name}"].values
    return sign * _angle(float(degrees), *[*map(_number, parts), 0.0, 0.0][:2])


def _number(value: Any) -> float:
    """Minutes or seconds, which are 0/0 where they are not known."""
    unknown = value.numerator == 0 and value.denominator == 0
    return 0.0 if unknown else float(value)


def _xmp_place(packet: _Properties) -> tuple[float, float] | None:
    for latitude, longitude in zip(
        packet.get(_LATITUDE, ()), packet.get(_LONGITUDE, ()), strict=False
    ):
        with suppress(ValueError):
            found = place(_xmp_degrees(latitude, "NS"), _xmp_degrees(longitude, "EW"))
            if found:
                return found
    return None


def _xmp_degrees(text: str, signs: str) -> float:
    """Degrees as XMP has them, "47,22.2N" or "47,22,12N", or with a sign, as some programs do."""
    found = _DEGREES.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    degrees, minutes, seconds, direction = found.groups()
    angle = _angle(abs(float(degrees)), float(minutes or 0), float(seconds or 0))
    sign = (1, -1)[signs.index(direction.upper())] if direction else 1
    return -sign * angle if degrees.startswith("-") else sign * angle


def _angle(degrees: float, minutes: float, seconds: float) -> float:
    angle = degrees + minutes / 60 + seconds / 3600
    if not (0 <= minutes <= 60 and 0 <= seconds <= 60 and angle >= 0):
        raise ValueError(angle)
    return angle
