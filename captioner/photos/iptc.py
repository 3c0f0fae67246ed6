"""Texts of IPTC-IIM datasets, read tolerantly, alone or in Photoshop's image resources."""

from __future__ import annotations

from itertools import islice

from captioner.formats import iptc, jpeg
from captioner.photos.xmp import decode_utf8_or_cp1252

_MAX_DATASETS = 5000


def read_texts(block: bytes) -> dict[tuple[int, int], list[str]]:
    """The texts of each dataset, by record and number: (2, 120) for captions.

    In the encoding that the block declares. If it declares none, bytes that are valid UTF-8 are
    read as such and all others as Latin-1, which the standard implies and old programs wrote.
    """
    found: dict[tuple[int, int], list[bytes]] = {}
    for dataset in islice(iptc.iter_datasets(_datasets(block)), _MAX_DATASETS):
        found.setdefault(dataset.kind, []).append(dataset.value)
    is_utf_8 = found.get(iptc.CHARSET, [b""])[0] == iptc.UTF_8
    return {
        kind: [
            value.decode("utf-8", "replace") if is_utf_8 else decode_utf8_or_cp1252(value)
            for value in values
        ]
        for kind, values in found.items()
    }


def _datasets(block: bytes) -> bytes:
    """The IPTC block in image resources; any other block is taken for datasets."""
    block = block.removeprefix(jpeg.PHOTOSHOP)
    resource = None
    for resource in iptc.iter_resources(block, (iptc.PHOTOSHOP_SIGNATURE,)):
        if resource.number == iptc.IPTC_RESOURCE:
            return resource.data
    return block if resource is None else b""
