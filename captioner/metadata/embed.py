"""Captions into the bytes of a photo, verified against the old bytes before they are returned."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace

from PIL import Image

from captioner import authorship
from captioner.metadata import exif, iptc, malformed, packet, splice, xmp
from captioner.metadata.container import Container, Edits
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import (
    EXIF_DESCRIPTION,
    IPTC_CAPTION,
    XMP_DESCRIPTION,
    CaptionData,
    FileMetadata,
)
from captioner.metadata.reading import parse_photo, read_photo, refuse_on_error
from captioner.metadata.splice import Splice
from captioner.metadata.tiff import TiffFile


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """The splices that write a caption into a file."""

    splices: list[Splice]
    omitted: tuple[str, ...] = ()
    """Which of EXIF and IPTC stay unchanged although the caption belongs there, too: they have no
    room for it, or are in another encoding."""


def plan_write(
    data: bytes, caption: CaptionData, *, append_to: str | None = None, suffix: str = ".tif"
) -> PlannedWrite:
    """The splices that write a caption into a photo, whose result has been verified.

    They replace what captioner wrote before.

    Parameters
    ----------
    append_to
        A human-authored text to which the caption is appended; None if there is none.
    suffix
        As for `parse_photo`.

    Raises
    ------
    RefusedError
        If the file cannot be written for certain.
    """
    before = parse_photo(data, suffix)
    metadata = read_photo(data).for_author_of(caption)
    planned = refuse_on_error(lambda: _plan(before, metadata, caption, append_to))
    _verify(before, metadata, splice.apply(data, planned.splices), caption, append_to)
    return planned


def _plan(
    before: Container, metadata: FileMetadata, caption: CaptionData, append_to: str | None
) -> PlannedWrite:
    """Plan the write to XMP, and to EXIF and IPTC if the caption belongs there and fits."""
    # What captioner wrote there must not stay: without its mark it would count as human-authored.
    outdated = {text.field.partition(" ")[0] for text in metadata.texts if metadata.is_own(text)}
    omitted = []
    photoshop = None
    try:
        photoshop = _edit_photoshop(before, metadata, caption, append_to)
    except RefusedError:
        if "IPTC" in outdated:
            raise
        omitted.append("IPTC")
    is_replaced = append_to is None and _may_replace_exif(metadata)
    description = caption.description if is_replaced else None
    if description is not None and before.exif:
        try:
            exif.TiffBlock(before.exif).validate()
        except RefusedError:
            if "EXIF" in outdated:
                raise
            omitted.append("EXIF")
            description = None
    edits = Edits(_edit_xmp(before, metadata, caption, append_to), description, photoshop)
    while True:
        try:
            return PlannedWrite(before.splices(edits), tuple(omitted))
        except RefusedError as error:
            required = {"XMP", *outdated}
            if error.reason is not RefusalReason.NO_ROOM or error.detail in required:
                raise
            omitted.append(error.detail)
            if error.detail == "EXIF":
                edits = replace(edits, description=None)
            else:
                edits = replace(edits, photoshop=None)


def _edit_xmp(
    before: Container, metadata: FileMetadata, caption: CaptionData, append_to: str | None
) -> tuple[Splice, ...]:
    changes = packet.caption_changes(metadata, caption, append_to, in_tiff=False)
    if before.xmp and malformed.is_blank(before.xmp):
        return (Splice(0, len(before.xmp), xmp.edit_packet(None, changes)[0].new),)
    return tuple(xmp.edit_packet(before.xmp, changes))


def _edit_photoshop(
    before: Container, metadata: FileMetadata, caption: CaptionData, append_to: str | None
) -> bytes | None:
    """The image resources with the caption in IPTC; None if there is no IPTC.

    Raises
    ------
    RefusedError
        If it is in another encoding, or invalid.
    """
    if not before.photoshop or iptc.iptc_block(before.photoshop) is None:
        return None
    is_replaced = append_to is None and _may_replace_iptc(metadata)
    description = caption.description if is_replaced else None
    return iptc.edit_resources(before.photoshop, description, caption.all_keywords)


def _may_replace_exif(metadata: FileMetadata) -> bool:
    """Whether EXIF's ImageDescription is a placeholder, or captioner's own."""
    found = [text for text in metadata.texts if text.field == EXIF_DESCRIPTION]
    return len(found) == 1 and (
        metadata.is_own(found[0]) or authorship.is_placeholder(found[0].text)
    )


def _may_replace_iptc(metadata: FileMetadata) -> bool:
    """Whether IPTC has no human-authored caption."""
    found = [text for text in metadata.texts if text.field == IPTC_CAPTION]
    return all(metadata.is_own(text) or authorship.is_placeholder(text.text) for text in found)


def _verify(
    before: Container,
    old: FileMetadata,
    data: bytes,
    caption: CaptionData,
    append_to: str | None,
) -> None:
    """Parse the new bytes, and compare them with the old ones and with the caption.

    Raises
    ------
    RefusedError
        If anything else would change, or the caption would be missing.
    """
    try:
        after = parse_photo(data)
        new = read_photo(data)
    except RefusedError as error:
        raise RefusedError(RefusalReason.UNVERIFIED, str(error)) from error
    _require(after.preserves(before), "other parts would change")
    if not isinstance(after, TiffFile):
        _require((after.exif is None) == (before.exif is None), "EXIF would change")
        if before.exif and after.exif:
            is_equal = exif.equal_except_description(before.exif, after.exif)
            _require(is_equal, "EXIF would change")
    if before.photoshop != after.photoshop:
        is_equal = _equal_resources(before.photoshop or b"", after.photoshop or b"")
        _require(is_equal, "image resources would change")
    _require(_equal_xmp(before.xmp, after.xmp or b""), "XMP would change")
    descriptions = [text.text for text in new.texts if text.field == XMP_DESCRIPTION]
    if caption.description is not None:
        lines = (
            (append_to, caption.description) if append_to is not None else (caption.description,)
        )
        _require("\n".join(lines) in descriptions, "the caption would be missing")
    if caption.alt_text is not None:
        alt_texts = [text.text for text in new.alt_texts]
        _require(alt_texts == [caption.alt_text], "the alternative text would be missing")
    _require(
        {word.lower() for word in caption.all_keywords} <= {word.lower() for word in new.keywords},
        "keywords would be missing",
    )
    if append_to is None:
        human_authored = {(text.field, text.text) for text in old.human_authored(old.texts)}
        kept = {(text.field, text.text) for text in new.texts}
        _require(human_authored <= kept, "a human-authored text would be lost")
    _require(_picture(before.data) == _picture(data), "the picture would change")


def _equal_xmp(before: bytes | None, after: bytes) -> bool:
    """Whether all properties are equal, except those that captioner writes."""
    others = xmp.parse_packet(after).other_properties(*packet.WRITTEN) if after else []
    if not before or malformed.is_blank(before):
        return not others
    return xmp.parse_packet(before).other_properties(*packet.WRITTEN) == others


def _equal_resources(before: bytes, after: bytes) -> bool:
    """Whether all image resources and datasets are equal, except those that captioner writes."""

    def other_resources(block: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        found, zeros = iptc.parse_resources(block)
        others = [(r.header, r.data) for r in found if r.number not in iptc.WRITTEN_RESOURCES]
        return others, zeros

    def other_datasets(block: bytes) -> list[tuple[tuple[int, int], bytes]]:
        found = iptc.parse_datasets(iptc.iptc_block(block) or b"")
        return [(d.kind, d.value) for d in found if d.kind not in iptc.WRITTEN_DATASETS]

    return other_resources(before) == other_resources(after) and (
        other_datasets(before) == other_datasets(after)
    )


def _picture(data: bytes) -> tuple[object, ...] | None:
    """What Pillow reads of the picture; None if it cannot read it.

    In JPEG, PNG and TIFF every byte of the picture has been compared already. WebP may have got
    another header, and is decoded.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            found = (image.format, image.size, image.mode, image.info.get("icc_profile"))
            if image.format == "WEBP":
                return (*found, image.tobytes())
            return found
    except Exception:  # Pillow raises anything for what it cannot read.
        return None


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise RefusedError(RefusalReason.UNVERIFIED, problem)
