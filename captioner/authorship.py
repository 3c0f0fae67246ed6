"""Authorship of texts in photos: human-authored, a placeholder of a camera, or captioner's own.

Next to each text that captioner writes into a file, it stores a digest of it. A text is captioner's
own only if the digest is there and matches. Once a letter of the text was changed, it counts as
human-authored.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection

CAPTION_DIGEST = "captioner:CaptionDigest"
ALT_DIGEST = "captioner:AltDigest"
EDIT_DIGEST = "captioner:EditDigest"
EDIT_ALT_DIGEST = "captioner:EditAltDigest"
MODEL = "captioner:CaptionModel"
TOOL = "captioner:CaptionTool"
DATE = "captioner:CaptionDate"
OWN_KEYWORDS = "captioner:CaptionKeywords"
MARK_PROPERTIES = (
    CAPTION_DIGEST, ALT_DIGEST, EDIT_DIGEST, EDIT_ALT_DIGEST, MODEL, TOOL, DATE, OWN_KEYWORDS,
)  # fmt: skip
"""The XMP properties of captioner's mark: digests of its texts, and what wrote them when."""

_CAMERAS = "olympus|minolta|konica minolta|sanyo|samsung|ge|jenoptik|nikon|fujifilm|pentax|lg"
_OTHER_PLACEHOLDERS = (
    "digital camera|kodak digital still camera|sony dsc|minolta dsc|samsung|samsung csc|"
    "samsung camera pictures|<digimax .*>|dcf 1\\.0|exif_jpeg_picture|casio computer co\\.,ltd\\.|"
    "default|untitled|binary comment|charset=ascii|scanner|created by imlib|dvc 10\\.1 hdmi|"
    "dcim\\\\\\S+|screenshot|"
    # Signatures of programs.
    "acd systems digital imaging|applemark|created by accusoft corp\\.|created with (?:the )?gimp|"
    "creator: gd-jpeg .*|creator_id:\\S+ v.*|file written by adobe photoshop.*|"
    "intel\\(r\\) jpeg library.*|lavc[\\d.]+|lead technologies inc\\..*|optimized by jpegmini.*|"
    "software: microsoft office|"
    "compressed by jpeg-recompress|(?:gif created|resized|optimized|edited|cropped) (?:with|on) "
    "ezgif.*|processed by ebay with imagemagick.*|oppo_\\d+|file?terintensity: .*|filter: \\d+; .*"
)
_HUAWEI_CODES = (
    "rhdr hdrpl oznor oznorWO fbt rbt ptr fbthdr btr mon nor dav mde mde_soft edf btf btfhdr "
    "btfmdn frem rpt burst sdr_HDRB cof qrf fshbty frontbhdp"
)
_PLACEHOLDER = re.compile(
    f"(?:{_CAMERAS}) digital camera|{_OTHER_PLACEHOLDERS}|{'|'.join(_HUAWEI_CODES.lower().split())}"
)
_PROGRAM_DATA = re.compile(r"ImageJ=|\{|<[?!]?[A-Za-z]|[0-9A-Fa-f]{32,}$")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def xml_text(text: str) -> str:
    """A text without the characters that XML cannot hold, with Unix line ends."""
    return _NOT_IN_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def normalise(text: str) -> str:
    """A text as it is written and digested: NFC, stripped, and without what XML cannot hold."""
    return unicodedata.normalize("NFC", xml_text(text)).strip()


def digest(text: str) -> str:
    """SHA-256 of the normalised text, in hexadecimal."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()


def has_digest(text: str, digests: Collection[str]) -> bool:
    """Whether a text is captioner's own and unchanged, by the digests in the same file."""
    return bool(digests) and digest(text) in digests


def split_own_line(text: str, digests: Collection[str]) -> tuple[str, str] | None:
    """The lines above, and the last line, of a text whose last line alone is captioner's own.

    None if it is not, or if there is no line above it.
    """
    above, _, last = text.rpartition("\n")
    return (above, last) if above and has_digest(last, digests) else None


def is_placeholder(text: str) -> bool:
    """Whether a text is blank, or what a camera or a program writes into every file."""
    collapsed = " ".join(text.replace("\0", " ").split()).lower()
    return not collapsed or bool(_PLACEHOLDER.fullmatch(collapsed))


def is_program_data(text: str) -> bool:
    """Whether a text is a program's settings, as in scientific TIFF files, or a hash."""
    return bool(_PROGRAM_DATA.match(text))


def may_be_human_authored(text: str, *, in_xmp: bool) -> bool:
    """Whether a person may have written a text: it is neither a placeholder nor program data.

    Parameters
    ----------
    in_xmp
        Whether it is in XMP, where people write: no text there is taken for program data.
    """
    return not is_placeholder(text) and (in_xmp or not is_program_data(text))
