"""IPTC-IIM datasets, as they stand in Photoshop's image resources or by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from captioner.photos.xmp import utf_8_or_latin

_CHARSET = (1, 90)
_UTF_8 = b"\x1b%G"
_RESOURCE = b"8BIM"
_IIM = 0x0404
_MARKER = 0x1C
_MOST = 5000


def texts(block: bytes) -> dict[tuple[int, int], list[str]]:
    """The texts of each dataset, by record and number: (2, 120) for captions.

    In the encoding that the block declares; where it declares none, in UTF-8 as far as that fits
    and else in Latin-1, which the standard has in mind and old programs wrote.
    """
    found: dict[tuple[int, int], list[bytes]] = {}
    for number, (kind, value) in enumerate(_datasets(_iim(block))):
        if number == _MOST:
            break
        found.setdefault(kind, []).append(value)
    declared = found.get(_CHARSET, [b""])[0] == _UTF_8
    return {
        kind: [v.decode("utf-8", "replace") if declared else utf_8_or_latin(v) for v in values]
        for kind, values in found.items()
    }


def _iim(block: bytes) -> bytes:
    """The datasets in Photoshop's resources; any other block is taken for datasets."""
    block = block.removeprefix(b"Photoshop 3.0\0")
    at = 0
    while block[at : at + 4] == _RESOURCE:
        kind = int.from_bytes(block[at + 4 : at + 6], "big")
        name = 1 + block[at + 6] if at + 6 < len(block) else 1
        start = at + 6 + name + name % 2
        length = int.from_bytes(block[start : start + 4], "big")
        if kind == _IIM:
            return block[start + 4 : start + 4 + length]
        at = start + 4 + length + length % 2
    return block if at == 0 else b""


def _datasets(block: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    at = 0
    while at + 5 <= len(block) and block[at] == _MARKER:
        kind = block[at + 1], block[at + 2]
        length = int.from_bytes(block[at + 3 : at + 5], "big")
        at += 5
        if length & 0x8000:  # the length of the length
            size = length & 0x7FFF
            length = int.from_bytes(block[at : at + min(size, 8)], "big")
            at += size
        yield kind, block[at : at + length]
        at += length
