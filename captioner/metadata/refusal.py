"""Why a file is left as it is: every refusal has a name, and a sentence for people."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """A named reason; its value completes "not written: …" and "not taken back: …"."""

    FORMAT = "captioner does not write into files of this format"
    MALFORMED = "its structure does not add up"
    TOO_LARGE = "it is too large to be checked in memory"
    SIGNED = "it carries content credentials (C2PA), which any change would void"
    ABSOLUTE_OFFSETS = "it ends in a trailer whose parts are found by their place in the file"
    FILL_BYTES = "there are fill bytes between its segments"
    NO_ROOM = "its metadata has no room left for the caption"
    SEVERAL_XMP = "it holds several XMP packets"
    XMP_ENCODING = "its XMP is not in UTF-8"
    XMP_ENTITIES = "its XMP declares a document type or entities"
    XMP_MALFORMED = "its XMP is not well-formed"
    XMP_DEEP = "its XMP is nested too deeply"
    XMP_FORM = "its XMP has no plain RDF in it"
    BIG_TIFF = "it is a BigTIFF"
    RAW = "it is a raw photo"
    TIFF_LOOP = "its TIFF directories run in a circle"
    DUPLICATE_TAGS = "a TIFF directory names the same tag twice"
    PERSONS_WORDS = "a person's words stand there"
    NO_APPEND = "a person's words stand there in a form that nothing can be added to"
    UNVERIFIED = "what would have been written did not pass the check"
    NOT_REGULAR = "it is not a regular file"
    SIDECAR = "its sidecar cannot be read"
    HARD_LINKED = "the file has several names (hard links), which a replacement would part"
    READ_ONLY = "it is read-only"
    OWNER = "it belongs to another user"
    ATTRIBUTES = "its extended attributes cannot be kept"
    CHANGED = "another program changed it at the same moment"
    IN_USE = "another program has it open"
    FOLDER = "its folder cannot be written"
    BUSY = "another captioner is writing in its folder"
    NO_RECORD = "captioner has no record of writing it"
    EDITED = "it was changed after captioner wrote it, or written with another index"
    NAME_TOO_LONG = (
        "the name of its sidecar would be longer than the system allows: give the photo a shorter "
        "name, or use --in-place"
    )
    SYSTEM = "the system reports an error"

    @property
    def sentence(self) -> str:
        """The reason with a full stop."""
        return f"{self.value}."


class Refused(Exception):  # noqa: N818 (most refusals are no errors, but the right answer)
    """The file stays as it is.

    Parameters
    ----------
    reason
        Which of the named reasons.
    detail
        What exactly, where that helps; empty otherwise.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value} ({detail})." if detail else reason.sentence)
        self.reason = reason
        self.detail = detail
