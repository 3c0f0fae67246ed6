"""Whose words a text in a photo's file is: a person's, a camera's, or captioner's own.

Beside what captioner writes into a file it leaves a digest of it. A text is captioner's own only
where the digest is there and fits; once somebody has changed a letter of it, it is a person's.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

_CAMERAS = "olympus|minolta|konica minolta|sanyo|samsung|ge|jenoptik|nikon|fujifilm|pentax|lg"
_WHOLE = (
    "digital camera|kodak digital still camera|sony dsc|minolta dsc|samsung|samsung csc|"
    "samsung camera pictures|<digimax .*>|dcf 1\\.0|exif_jpeg_picture|casio computer co\\.,ltd\\.|"
    "default|untitled|binary comment|charset=ascii|scanner|created by imlib|dvc 10\\.1 hdmi|"
    "dcim\\\\\\S+|screenshot|"
    # What programs sign their files with.
    "acd systems digital imaging|applemark|created by accusoft corp\\.|created with (?:the )?gimp|"
    "creator: gd-jpeg .*|creator_id:\\S+ v.*|file written by adobe photoshop.*|"
    "intel\\(r\\) jpeg library.*|lavc[\\d.]+|lead technologies inc\\..*|optimized by jpegmini.*|"
    "software: microsoft office|"
    "compressed by jpeg-recompress|(?:gif created|resized|optimized|edited|cropped) (?:with|on) "
    "ezgif.*|processed by ebay with imagemagick.*|oppo_\\d+|file?terintensity: .*|filter: \\d+; .*"
)
_HUAWEI = (
    "rhdr hdrpl oznor oznorWO fbt rbt ptr fbthdr btr mon nor dav mde mde_soft edf btf btfhdr "
    "btfmdn frem rpt burst sdr_HDRB cof qrf fshbty frontbhdp"
)
_PLACEHOLDER = re.compile(
    f"(?:{_CAMERAS}) digital camera|{_WHOLE}|{'|'.join(_HUAWEI.lower().split())}"
)
_DATA = re.compile(r"ImageJ=|\{|<[?!]?[A-Za-z]|[0-9A-Fa-f]{32,}$")
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def writable(text: str) -> str:
    """A text without what XML cannot hold, all its line ends alike."""
    return _UNWRITABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean(text: str) -> str:
    """A text as it is written and digested: NFC, trimmed, and without what XML cannot hold."""
    return unicodedata.normalize("NFC", writable(text)).strip()


def digest(text: str) -> str:
    """SHA-256 of the cleaned text, in hexadecimal."""
    return hashlib.sha256(clean(text).encode()).hexdigest()


def is_placeholder(text: str) -> bool:
    """Whether a text is blank, or what a camera or a library writes into every file."""
    bare = " ".join(text.replace("\0", " ").split()).lower()
    return not bare or bool(_PLACEHOLDER.fullmatch(bare))


def is_data(text: str) -> bool:
    """Whether a text is a program's settings, as scientific TIFF files keep them, or a digest."""
    return bool(_DATA.match(text))


def nobodys(text: str) -> bool:
    """Whether nobody would miss the text as a caption."""
    return is_placeholder(text) or is_data(text)
