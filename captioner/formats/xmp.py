"""Names, namespaces and encodings of XMP packets.

References: ISO 16684-1 (XMP); IPTC Photo Metadata Standard; Exif 2.32 for XMP (CIPA DC-010).
"""

from __future__ import annotations

import codecs

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "rdf": RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xap": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    # An identifier, not an address to visit. It is permanent: photos that contain it exist, and
    # every later version of captioner must understand them.
    "captioner": "https://captioner.dev/ns/1.0/",
}
"""Namespaces by their usual prefixes."""

DESCRIPTION = "dc:description"
KEYWORDS = "dc:subject"
ALT_TEXT = "Iptc4xmpCore:AltTextAccessibility"
TIFF_DESCRIPTION = "tiff:ImageDescription"
DESCRIPTIONS = (
    DESCRIPTION,
    TIFF_DESCRIPTION,
    "exif:UserComment",
    "acdsee:notes",
    "acdsee:caption",
    "Iptc4xmpCore:ExtDescrAccessibility",
)
"""The properties that programs use for captions, most important first."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNMARKED_STARTS = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


def qualified(name: str) -> str:
    """A property's name as expat gives it, namespace, space, local name, from "dc:title".

    Raises
    ------
    KeyError
        If the prefix is none of `NAMESPACES`.
    """
    prefix, _, local = name.partition(":")
    return f"{NAMESPACES[prefix]} {local}"


def wide_encoding(packet: bytes) -> str | None:
    """The encoding of a packet in UTF-16 or UTF-32, with a byte order mark or not; else None."""
    for start, encoding in (*BYTE_ORDER_MARKS, *_UNMARKED_STARTS):
        if packet.startswith(start):
            return encoding
    return None


def decode(packet: bytes, encoding: str, errors: str = "strict") -> str:
    """Decode a packet, without its byte order mark."""
    return packet.decode(encoding, errors).removeprefix("\ufeff")
