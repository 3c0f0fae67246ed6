"""Classic TIFF files: the packet is appended, and its tag refers to it."""

from __future__ import annotations

from captioner.formats import tiff
from captioner.metadata import exif
from captioner.metadata.container import Container, Edits
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.splice import Splice, apply

_WRITTEN_TAGS = (tiff.XMP, tiff.IMAGE_DESCRIPTION)


class TiffFile:
    """A TIFF file and its first directory.

    Raises
    ------
    RefusedError
        If its directories are invalid, or it is BigTIFF or a raw photo.
    """

    photoshop = None
    """Image resources and IPTC of a TIFF are never written."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._block = exif.TiffBlock(data)
        tags = [entry.tag for entry in self._block.entries]
        if len(set(tags)) != len(tags):
            raise RefusedError(RefusalReason.DUPLICATE_TAGS)
        if tiff.DNG_VERSION in tags or data[8:10] == b"CR" or self._is_preview():
            raise RefusedError(RefusalReason.RAW)
        self._block.validate()
        types = [entry.type for entry in self._block.entries if entry.tag == tiff.XMP]
        if types and types[0] not in (tiff.BYTE, tiff.UNDEFINED):
            raise RefusedError(RefusalReason.MALFORMED, "XMP tag")
        self._xmp_type = types[0] if types else tiff.BYTE
        self.xmp = self._block.value(tiff.XMP)

    @property
    def exif(self) -> bytes:
        """The file itself, whose structure is that of an EXIF block."""
        return self.data

    def splices(self, edits: Edits) -> list[Splice]:
        """The splices of the file that make the changes: patched entries and appended values."""
        values = {}
        if edits.xmp:
            values[tiff.XMP] = (self._xmp_type, apply(self.xmp or b"", edits.xmp))
        if edits.description is not None:
            values[tiff.IMAGE_DESCRIPTION] = exif.description_value(edits.description)
        return self._block.set_values(values) if values else []

    def preserves(self, before: Container) -> bool:
        """Whether all tags but XMP and ImageDescription are equal, and every byte of the original.

        Except the entries of these tags and the offset of the first directory.
        """
        if not isinstance(before, TiffFile):
            return False
        if self._block.other_entries(*_WRITTEN_TAGS) != before._block.other_entries(*_WRITTEN_TAGS):
            return False
        old = before.data
        unchanged = bytearray(self.data[: len(old)])
        unchanged[4:8] = old[4:8]
        for entry in before._block.entries:
            if entry.tag in _WRITTEN_TAGS:
                at = slice(entry.position, entry.position + 12)
                unchanged[at] = old[at]
        return unchanged == old

    def _is_preview(self) -> bool:
        """Whether the first picture is a preview, with the full one below it, as in raw photos."""
        kind = self._block.value(tiff.SUBFILE_TYPE)
        return bool(kind and any(kind)) and self._block.has(tiff.SUB_IFDS)
