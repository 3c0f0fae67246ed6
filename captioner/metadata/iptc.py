"""IPTC in Photoshop's image resources: caption (2:120) and keywords (2:25) of a block that exists.

No block is ever made. The digest by which programs see whether XMP and IPTC agree is refreshed
only where it fitted before.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from captioner.metadata.refusal import Reason, Refused

CAPTION = (2, 120)
KEYWORD = (2, 25)
CHARSET = (1, 90)
_UTF_8 = b"\x1b%G"
_CAPTION_BYTES = 2000
_KEYWORD_BYTES = 64
_BINARY = {0, 200, 201, 202}
_SIGNATURES = (b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa")
IPTC = 0x0404
_DIGEST = 0x0425
WRITTEN = (IPTC, _DIGEST)
"""Resources that a caption changes."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One value, as record and number name it."""

    kind: tuple[int, int]
    value: bytes


@dataclass(frozen=True, slots=True)
class Resource:
    """One of Photoshop's image resources."""

    head: bytes
    """Signature, number and name."""
    data: bytes

    @property
    def number(self) -> int:
        """What kind it is."""
        return int.from_bytes(self.head[4:6], "big")


def resources(block: bytes) -> tuple[list[Resource], bytes]:
    """Take image resources apart: them, and the zeros after the last.

    Raises
    ------
    Refused
        Where they do not add up.
    """
    found, at = resources_until(block)
    if block[at:].strip(b"\0"):
        raise Refused(Reason.MALFORMED, "image resources")
    return found, block[at:]


def resources_until(block: bytes) -> tuple[list[Resource], int]:
    """The image resources up to the first that does not add up, and where they end."""
    found: list[Resource] = []
    at = 0
    while block[at : at + 4].startswith(_SIGNATURES) and at + 7 <= len(block):
        name = 1 + block[at + 6]
        start = at + 6 + name + name % 2
        length = int.from_bytes(block[start : start + 4], "big")
        if start + 4 + length > len(block):
            break
        found.append(Resource(block[at:start], block[start + 4 : start + 4 + length]))
        at = start + 4 + length + length % 2
    return found, at


def iptc_of(block: bytes) -> bytes | None:
    """The IPTC among image resources; None where there is none.

    Raises
    ------
    Refused
        Where the resources do not add up, or hold several.
    """
    found = [resource.data for resource in resources(block)[0] if resource.number == IPTC]
    if len(found) > 1:
        raise Refused(Reason.MALFORMED, "several IPTC blocks")
    return found[0] if found else None


def datasets(iptc: bytes) -> list[Dataset]:
    """Take an IPTC block apart.

    Raises
    ------
    Refused
        Where it does not add up.
    """
    found, at = _datasets_until(iptc)
    if iptc[at:].strip(b"\0"):
        raise Refused(Reason.MALFORMED, "IPTC")
    return found


def texts(iptc: bytes, kind: tuple[int, int]) -> list[str]:
    """What the datasets of a kind say."""
    return _texts(datasets(iptc), kind)


def readable(iptc: bytes) -> tuple[list[str], list[str], Refused | None]:
    """Captions and keywords as far as a block can be read, and why it can be no further."""
    found, at = _datasets_until(iptc)
    broken = bool(iptc[at:].strip(b"\0"))
    error = Refused(Reason.MALFORMED, "IPTC") if broken else None
    return _texts(found, CAPTION), _texts(found, KEYWORD), error


def _texts(found: list[Dataset], kind: tuple[int, int]) -> list[str]:
    encoding = "utf-8" if _is_utf_8(found) else "latin-1"
    return [d.value.decode(encoding, "replace").strip("\0 ") for d in found if d.kind == kind]


def _datasets_until(iptc: bytes) -> tuple[list[Dataset], int]:
    """The datasets up to the first that does not add up, and where they end."""
    found: list[Dataset] = []
    at = 0
    while at + 5 <= len(iptc) and iptc[at] == 0x1C:
        record, number, length = struct.unpack_from(">BBH", iptc, at + 1)
        if length & 0x8000 or at + 5 + length > len(iptc):
            break
        found.append(Dataset((record, number), iptc[at + 5 : at + 5 + length]))
        at += 5 + length
    return found, at


def cut(text: str) -> str:
    """As much of a caption as the standard allows."""
    return text.encode()[:_CAPTION_BYTES].decode("utf-8", "ignore").rstrip()


def edit(block: bytes, caption: str | None, keywords: Iterable[str]) -> bytes:
    """Image resources with a caption in the place of the old one, and with more keywords.

    Raises
    ------
    Refused
        Where they hold no IPTC, do not add up, or have text in another encoding.
    """
    found, rest = resources(block)
    old = iptc_of(block)
    if old is None:
        raise Refused(Reason.MALFORMED, "no IPTC block")
    new = _edit_iptc(old, caption, keywords)
    fitting = hashlib.md5(old).digest()
    parts = []
    for resource in found:
        data = resource.data
        if resource.number == IPTC:
            data = new
        elif resource.number == _DIGEST and data == fitting:
            data = hashlib.md5(new).digest()
        parts += [resource.head, len(data).to_bytes(4, "big"), data, b"\0" * (len(data) % 2)]
    return b"".join([*parts, rest])


def _edit_iptc(iptc: bytes, caption: str | None, keywords: Iterable[str]) -> bytes:
    found = datasets(iptc)
    zeros = iptc[sum(5 + len(dataset.value) for dataset in found) :]
    present = {d.value for d in found if d.kind == KEYWORD}
    new = [Dataset(KEYWORD, word.encode()) for word in keywords]
    new = [d for d in new if len(d.value) <= _KEYWORD_BYTES and d.value not in present]
    if caption is not None:
        found = [dataset for dataset in found if dataset.kind != CAPTION]
        new.append(Dataset(CAPTION, cut(caption).encode()))
    if not _is_utf_8(found) and any(not dataset.value.isascii() for dataset in new):
        others = [d for d in found if d.kind[0] == 2 and d.kind[1] not in _BINARY]
        if any(d.kind == CHARSET for d in found) or any(not d.value.isascii() for d in others):
            # To say that all of it is UTF-8 would read what stands there wrongly.
            raise Refused(Reason.MALFORMED, "IPTC in another encoding")
        new.append(Dataset(CHARSET, _UTF_8))
    for dataset in new:
        at = next((k for k, d in enumerate(found) if d.kind > dataset.kind), len(found))
        found.insert(at, dataset)
    written = b"".join(struct.pack(">BBBH", 0x1C, *d.kind, len(d.value)) + d.value for d in found)
    return written + zeros


def _is_utf_8(found: Iterable[Dataset]) -> bool:
    return any(d.kind == CHARSET and d.value == _UTF_8 for d in found)
