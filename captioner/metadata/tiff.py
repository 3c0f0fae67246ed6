"""Classic TIFF: the packet goes to the end of the file, and its tag points there."""

from __future__ import annotations

from captioner.metadata import exif
from captioner.metadata.container import Container, Edits
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice, apply

_BYTE, _UNDEFINED = 1, 7


class TiffFile:
    """The first directory of a TIFF file.

    Raises
    ------
    Refused
        Where its directories do not add up, or it is BigTIFF or a raw photo.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._tiff = exif.Tiff(data)
        tags = [field.tag for field in self._tiff.fields]
        if len(set(tags)) != len(tags):
            raise Refused(Reason.DUPLICATE_TAGS)
        if exif.DNG_VERSION in tags or data[8:10] == b"CR" or self._is_preview():
            raise Refused(Reason.RAW)
        self._tiff.check_all()
        kinds = [field.type for field in self._tiff.fields if field.tag == exif.XMP]
        if kinds and kinds[0] not in (_BYTE, _UNDEFINED):
            raise Refused(Reason.MALFORMED, "XMP tag")
        self._kind = kinds[0] if kinds else _BYTE
        self.xmp = self._tiff.value(exif.XMP)

    @property
    def exif(self) -> bytes:
        """The file itself, which is one such block."""
        return self.data

    @property
    def photoshop(self) -> None:
        """Image resources and IPTC of a TIFF are never written."""

    def _is_preview(self) -> bool:
        """Whether the first picture is a small one, and the real one hangs below it, as in raw."""
        kind = self._tiff.value(exif.SUBFILE_TYPE)
        return bool(kind and any(kind)) and self._tiff.has(exif.SUB_DIRECTORIES)

    def put(self, edits: Edits) -> list[Splice]:
        """The splices over the file: patched entries, and values at its end."""
        values = {}
        if edits.xmp:
            values[exif.XMP] = (self._kind, apply(self.xmp or b"", edits.xmp))
        if edits.description is not None:
            values[exif.IMAGE_DESCRIPTION] = exif.description(edits.description)
        return self._tiff.set(values) if values else []

    def carries(self, before: Container) -> bool:
        """Compare all tags but XMP and ImageDescription, and every byte that stood before."""
        if not isinstance(before, TiffFile):
            return False
        ours = (exif.XMP, exif.IMAGE_DESCRIPTION)
        if self._tiff.others(*ours) != before._tiff.others(*ours):
            return False
        old = before.data
        patched = bytearray(self.data[: len(old)])
        patched[4:8] = old[4:8]
        for field in before._tiff.fields:
            if field.tag in ours:
                patched[field.at : field.at + 12] = old[field.at : field.at + 12]
        return patched == old
