"""Markers of JPEG segments that hold metadata, and the identifiers with which these begin.

References: ITU-T T.81, Annex B; XMP Specification Part 3 (Adobe).
"""

from __future__ import annotations

SOS, APP0, APP1, APP2, APP11, APP13, COM = 0xDA, 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xFE
WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}
"""Markers that no length follows, or that must not occur before the first scan."""

XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
EXIF = (b"Exif\0\0", b"Exif\0\xff")
PHOTOSHOP = b"Photoshop 3.0\0"
OLD_PHOTOSHOP = b"Adobe_Photoshop2.5:"
MPF = b"MPF\0"
"""Multi-Picture Format (CIPA DC-007)."""
