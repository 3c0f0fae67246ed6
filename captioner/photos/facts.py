"""Facts of a photo from its metadata: date, place, camera, lens, and human-authored texts.

If several fields of a file differ, the first of these counts:

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
others    further captions and titles; alternative texts; place names: XMP, IPTC 2:90, 2:92,
          2:95, 2:101
========  ==========================================================================================

Damaged and invalid metadata is left out; it never makes a photo fail.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from PIL import Image

from captioner import authorship
from captioner.authorship import has_digest, is_placeholder, normalise
from captioner.formats import iptc
from captioner.formats.xmp import ALT_TEXT, DESCRIPTIONS, KEYWORDS, qualified
from captioner.photos import coordinates, dates, xmp
from captioner.photos.blocks import MetadataBlocks, Properties, read_blocks, tag_text
from captioner.types import Facts

_CAPTION_DIGEST = qualified(authorship.CAPTION_DIGEST)
_ALT_DIGEST = qualified(authorship.ALT_DIGEST)
_OWN_KEYWORDS = qualified(authorship.OWN_KEYWORDS)
_ALT_TEXT = qualified(ALT_TEXT)
_CAPTIONS = tuple(map(qualified, DESCRIPTIONS))
_TITLE = qualified("dc:title")
_HEADLINE = qualified("photoshop:Headline")
_PLACE_NAMES = tuple(
    map(
        qualified,
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
_MAKE = qualified("tiff:Make")
_MODEL = qualified("tiff:Model")
_LENSES = (qualified("exifEX:LensModel"), qualified("aux:Lens"))
_PLAIN_KEYWORDS = (
    qualified(KEYWORDS),
    qualified("Iptc4xmpExt:PersonInImage"),
    qualified("mwg-rs:Name"),
)
_HIERARCHICAL_KEYWORDS = {
    qualified("lr:hierarchicalSubject"): "|",
    qualified("digiKam:TagsList"): "/",
    qualified("MicrosoftPhoto:LastKeywordXMP"): "/",
}
"""Properties whose keywords are paths, and what separates their parts."""
_PROPERTIES = frozenset(
    (
        *(_CAPTION_DIGEST, _ALT_TEXT, _ALT_DIGEST, _OWN_KEYWORDS, *_CAPTIONS, _TITLE, _HEADLINE),
        *(*dates.ORIGINAL, *dates.DIGITIZED, *_PLACE_NAMES),
        *(coordinates.LATITUDE, coordinates.LONGITUDE, _MAKE, _MODEL, *_LENSES),
        *(*_PLAIN_KEYWORDS, *_HIERARCHICAL_KEYWORDS),
    )
)
_IPTC_PLACE_NAMES = ((2, 92), (2, 90), (2, 95), (2, 101))

_MAX_TEXT_LENGTH = 10_000
_MAX_NAME_LENGTH = 200
_MAX_KEYWORDS = 200
_MAX_FURTHER_TEXTS = 20
_LETTERS_AND_DIGITS = {"Lu", "Ll", "Lo", "Nd"}
"""Unicode categories of which a name has at least one character."""


def read_facts(image: Image.Image, file: BinaryIO) -> Facts:
    """The facts of an image that Pillow has loaded, and of the file it comes from."""
    return _facts(read_blocks(image, file, _PROPERTIES))


def xmp_facts(packet: bytes, *, original_date: bool = False) -> Facts:
    """The facts in an XMP packet alone, as in a sidecar.

    Parameters
    ----------
    original_date
        Whether to take only dates that are the original's, not those that may be the file's.
    """
    properties = xmp.read_properties(packet, _PROPERTIES)
    return _facts(MetadataBlocks(properties=properties), original_date=original_date)


def unique_texts(texts: Iterable[str | None], *excluded: str | None) -> tuple[str, ...]:
    """Non-empty texts without duplicates, ignoring case, and without those excluded; at most 20."""
    seen = {text.casefold() for text in excluded if text}
    found = []
    for text in texts:
        if text and text.casefold() not in seen:
            seen.add(text.casefold())
            found.append(text)
    return tuple(found[:_MAX_FURTHER_TEXTS])


def unique_keywords(keywords: Iterable[str]) -> tuple[str, ...]:
    """Normalised non-empty keywords without duplicates, ignoring case; at most 200."""
    found: dict[str, str] = {}
    for keyword in keywords:
        plain = normalise(keyword)[:_MAX_NAME_LENGTH]
        if plain:
            found.setdefault(plain.lower(), plain)
    return tuple(found.values())[:_MAX_KEYWORDS]


def _facts(blocks: MetadataBlocks, *, original_date: bool = False) -> Facts:
    found = dates.original_dates(blocks) if original_date else dates.dates(blocks)
    taken_at, offset = next(found, (None, None))
    tags, properties = blocks.tags, blocks.properties
    latitude, longitude = (
        coordinates.exif_coordinates(tags)
        or coordinates.xmp_coordinates(properties)
        or (None, None)
    )
    captions, titles = list(_captions(blocks)), list(_titles(blocks))
    caption, title = next(iter(captions), None), next(iter(titles), None)
    return Facts(
        taken_at=taken_at,
        taken_offset=offset,
        camera=_camera(
            _name(tag_text(tags, "Image Make")) or _first_name(properties, _MAKE),
            _name(tag_text(tags, "Image Model")) or _first_name(properties, _MODEL),
        ),
        lens=_lens(_name(tag_text(tags, "EXIF LensModel")) or _first_name(properties, *_LENSES)),
        latitude=latitude,
        longitude=longitude,
        caption=caption,
        keywords=_keywords(blocks),
        title=title,
        others=unique_texts((*captions, *titles, *_further_texts(blocks)), caption, title),
    )


def _name(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    name = " ".join(printable.split())[:_MAX_NAME_LENGTH]
    return name if any(unicodedata.category(c) in _LETTERS_AND_DIGITS for c in name) else ""


def _first_name(properties: Properties, *names: str) -> str:
    found = (_name(text) for name in names for text in properties.get(name, ()))
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


def _captions(blocks: MetadataBlocks) -> Iterator[str]:
    """Human-authored captions, in the order of the Metadata Working Group's guidelines."""
    tags = blocks.tags
    own = set(blocks.properties.get(_CAPTION_DIGEST, ()))
    in_xmp = [text for name in _CAPTIONS for text in blocks.properties.get(name, ())]
    # IPTC holds at most 2,000 bytes of a text; the digest is of all of it.
    own_truncated = {iptc.truncate_caption(text) for text in in_xmp if has_digest(text, own)}
    cameras = {
        _name(tag_text(tags, "Image Make")).lower(),
        _name(tag_text(tags, "Image Model")).lower(),
    }
    png = (blocks.png_texts.get(keyword, "") for keyword in ("description", "comment"))
    for is_xmp, texts in (
        (False, [tag_text(tags, "Image ImageDescription")]),
        (True, in_xmp),
        (False, blocks.datasets.get(iptc.CAPTION, [])),
        (False, [tag_text(tags, "EXIF UserComment"), tag_text(tags, "Image XPComment")]),
        (False, [tag_text(tags, "Image XPSubject"), *png, blocks.comment]),
    ):
        for text in filter(None, texts):
            plain = _human_part(normalise(text), own)
            if (
                authorship.may_be_human_authored(plain, in_xmp=is_xmp)
                and plain.lower() not in cameras
                and plain not in own_truncated
            ):
                yield plain[:_MAX_TEXT_LENGTH]


def _human_part(text: str, own: set[str]) -> str:
    """A text without what captioner wrote: empty, all but its last line, or unchanged."""
    if has_digest(text, own):
        return ""
    lines = authorship.split_own_line(text, own)
    return lines[0].rstrip() if lines else text


def _titles(blocks: MetadataBlocks) -> Iterator[str]:
    yield from _single_lines(
        (
            *blocks.properties.get(_TITLE, ()),
            *blocks.datasets.get(iptc.TITLE, ()),
            tag_text(blocks.tags, "Image XPTitle"),
            *blocks.properties.get(_HEADLINE, ()),
            *blocks.datasets.get(iptc.HEADLINE, ()),
            blocks.png_texts.get("title", ""),
        )
    )


def _further_texts(blocks: MetadataBlocks) -> Iterator[str]:
    """Alternative texts and place names."""
    own = set(blocks.properties.get(_ALT_DIGEST, ()))
    alt_texts = blocks.properties.get(_ALT_TEXT, ())
    yield from _single_lines(
        (
            *(text for text in alt_texts if not has_digest(text, own)),
            *(text for name in _PLACE_NAMES for text in blocks.properties.get(name, ())),
            *(text for name in _IPTC_PLACE_NAMES for text in blocks.datasets.get(name, ())),
        )
    )


def _single_lines(texts: Iterable[str]) -> Iterator[str]:
    """Texts with single spaces, without placeholders."""
    for text in filter(None, texts):
        plain = " ".join(normalise(text).split())
        if not is_placeholder(plain):
            yield plain[:_MAX_TEXT_LENGTH]


def _keywords(blocks: MetadataBlocks) -> tuple[str, ...]:
    properties = blocks.properties
    own = {normalise(keyword).lower() for keyword in properties.get(_OWN_KEYWORDS, ())}
    found = [keyword for name in _PLAIN_KEYWORDS for keyword in properties.get(name, ())]
    found += blocks.datasets.get(iptc.KEYWORD, ())
    found += tag_text(blocks.tags, "Image XPKeywords").split(";")
    for name, separator in _HIERARCHICAL_KEYWORDS.items():
        for path in properties.get(name, ()):
            found += path.split(separator)
    return unique_keywords(keyword for keyword in found if normalise(keyword).lower() not in own)
