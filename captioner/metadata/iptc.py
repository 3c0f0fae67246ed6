"""Editing IPTC captions (2:120) and keywords (2:25) in Photoshop's image resources.

An IPTC block is never created. The digest by which programs check whether XMP and IPTC agree is
updated only if it was right before.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from itertools import takewhile

from captioner.formats.iptc import (
    CAPTION,
    CHARSET,
    DIGEST_RESOURCE,
    IPTC_RESOURCE,
    KEYWORD,
    MAX_KEYWORD_BYTES,
    UTF_8,
    Dataset,
    Resource,
    iter_datasets,
    iter_resources,
    truncate_caption,
)
from captioner.metadata.errors import RefusalReason, RefusedError

WRITTEN_RESOURCES = (IPTC_RESOURCE, DIGEST_RESOURCE)
WRITTEN_DATASETS = (CAPTION, KEYWORD, CHARSET)

_BINARY = {0, 200, 201, 202}
"""Numbers of datasets of record 2 that hold no text."""


def parse_resources(block: bytes) -> tuple[list[Resource], bytes]:
    """The image resources of a block, and the zeros after the last.

    Raises
    ------
    RefusedError
        If they are invalid.
    """
    found, end = valid_resources(block)
    if block[end:].strip(b"\0"):
        raise RefusedError(RefusalReason.MALFORMED, "image resources")
    return found, block[end:]


def valid_resources(block: bytes) -> tuple[list[Resource], int]:
    """The image resources up to the first invalid one, and the offset at which they end."""
    found = list(takewhile(lambda resource: resource.is_complete, iter_resources(block)))
    return found, found[-1].end if found else 0


def iptc_block(resources: bytes) -> bytes | None:
    """The IPTC block among image resources; None if there is none.

    Raises
    ------
    RefusedError
        If the resources are invalid, or several hold IPTC.
    """
    parsed, _ = parse_resources(resources)
    found = [resource.data for resource in parsed if resource.number == IPTC_RESOURCE]
    if len(found) > 1:
        raise RefusedError(RefusalReason.MALFORMED, "several IPTC blocks")
    return found[0] if found else None


def parse_datasets(block: bytes) -> list[Dataset]:
    """The datasets of an IPTC block.

    Raises
    ------
    RefusedError
        If they are invalid.
    """
    found, end = _valid_datasets(block)
    if block[end:].strip(b"\0"):
        raise RefusedError(RefusalReason.MALFORMED, "IPTC")
    return found


def read_texts(block: bytes, kind: tuple[int, int]) -> list[str]:
    """The texts of all datasets of one kind.

    Raises
    ------
    RefusedError
        If the block is invalid.
    """
    return _texts(parse_datasets(block), kind)


def read_tolerantly(block: bytes) -> tuple[list[str], list[str], RefusedError | None]:
    """Captions and keywords as far as a block can be read, and why not further."""
    found, end = _valid_datasets(block)
    is_broken = bool(block[end:].strip(b"\0"))
    error = RefusedError(RefusalReason.MALFORMED, "IPTC") if is_broken else None
    return _texts(found, CAPTION), _texts(found, KEYWORD), error


def edit_resources(resources: bytes, caption: str | None, keywords: Iterable[str]) -> bytes:
    """Image resources with a new caption, None to keep the old one, and with additional keywords.

    Raises
    ------
    RefusedError
        If they are invalid, hold no IPTC, or text in another encoding.
    """
    found, zeros = parse_resources(resources)
    old = iptc_block(resources)
    if old is None:
        raise RefusedError(RefusalReason.MALFORMED, "no IPTC block")
    new = _edit_datasets(old, caption, keywords)
    old_digest = hashlib.md5(old).digest()
    parts = []
    for resource in found:
        data = resource.data
        if resource.number == IPTC_RESOURCE:
            data = new
        elif resource.number == DIGEST_RESOURCE and data == old_digest:
            data = hashlib.md5(new).digest()
        padding = b"\0" * (len(data) % 2)
        parts += [resource.header, len(data).to_bytes(4, "big"), data, padding]
    return b"".join([*parts, zeros])


def _edit_datasets(block: bytes, caption: str | None, keywords: Iterable[str]) -> bytes:
    found = parse_datasets(block)
    zeros = block[sum(5 + len(dataset.value) for dataset in found) :]
    present = {dataset.value for dataset in found if dataset.kind == KEYWORD}
    new = [Dataset(KEYWORD, keyword.encode()) for keyword in keywords]
    new = [d for d in new if len(d.value) <= MAX_KEYWORD_BYTES and d.value not in present]
    if caption is not None:
        found = [dataset for dataset in found if dataset.kind != CAPTION]
        new.append(Dataset(CAPTION, truncate_caption(caption).encode()))
    if not _is_utf_8(found) and any(not dataset.value.isascii() for dataset in new):
        others = [d for d in found if d.kind[0] == 2 and d.kind[1] not in _BINARY]
        if any(d.kind == CHARSET for d in found) or any(not d.value.isascii() for d in others):
            # If all of it were declared to be UTF-8, these texts would be read wrongly.
            raise RefusedError(RefusalReason.MALFORMED, "IPTC in another encoding")
        new.append(Dataset(CHARSET, UTF_8))
    for dataset in new:
        at = next((k for k, other in enumerate(found) if other.kind > dataset.kind), len(found))
        found.insert(at, dataset)
    written = b"".join(struct.pack(">BBBH", 0x1C, *d.kind, len(d.value)) + d.value for d in found)
    return written + zeros


def _texts(found: list[Dataset], kind: tuple[int, int]) -> list[str]:
    encoding = "utf-8" if _is_utf_8(found) else "latin-1"
    return [d.value.decode(encoding, "replace").strip("\0 ") for d in found if d.kind == kind]


def _valid_datasets(block: bytes) -> tuple[list[Dataset], int]:
    """The datasets up to the first invalid or extended one, and the offset at which they end."""
    found = list(takewhile(lambda dataset: dataset.is_plain, iter_datasets(block)))
    return found, sum(5 + len(dataset.value) for dataset in found)


def _is_utf_8(found: Iterable[Dataset]) -> bool:
    return any(dataset.kind == CHARSET and dataset.value == UTF_8 for dataset in found)
