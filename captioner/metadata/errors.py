"""Reasons for which a file is not written or not restored."""

from __future__ import annotations

from enum import Enum


class RefusalReason(Enum):
    """A named reason. Its name is the code in JSON, its value completes "not written: …"."""

    FORMAT = "captioner does not write into files of this format"
    MALFORMED = "its structure is invalid"
    TOO_LARGE = "it is too large to check in memory"
    SIGNED = "it has content credentials (C2PA), which any change would invalidate"
    ABSOLUTE_OFFSETS = "it ends in a trailer that contains absolute file offsets"
    FILL_BYTES = "it has fill bytes between its segments"
    NO_ROOM = "its metadata has no room left for the caption"
    SEVERAL_XMP = "it contains several XMP packets"
    XMP_ENCODING = "its XMP is not in UTF-8"
    XMP_ENTITIES = "its XMP declares a document type or entities"
    XMP_MALFORMED = "its XMP is not well-formed"
    XMP_DEEP = "its XMP is nested too deeply"
    XMP_FORM = "its XMP is not plain RDF"
    BIG_TIFF = "it is a BigTIFF"
    RAW = "it is a raw photo"
    TIFF_LOOP = "its TIFF directories form a loop"
    DUPLICATE_TAGS = "a TIFF directory contains the same tag twice"
    NO_APPEND = "it has a caption by a person in a form to which nothing can be appended"
    UNVERIFIED = "the result did not pass verification"
    NOT_REGULAR = "it is not a regular file"
    SIDECAR = "its sidecar cannot be read"
    HARD_LINKED = "it has several names (hard links), which replacing it would separate"
    READ_ONLY = "it is read-only"
    OWNER = "it belongs to another user"
    ATTRIBUTES = "its extended attributes cannot be preserved"
    CHANGED = "another program changed it at the same time"
    IN_USE = "another program has it open"
    FOLDER = "its folder is not writable"
    BUSY = "another captioner process is writing in its folder"
    NO_RECORD = "captioner has no record of writing it"
    EDITED = "it was changed after captioner wrote it, or was written with another index"
    NAME_TOO_LONG = (
        "the name of its sidecar would be longer than the system allows: give the photo a shorter "
        "name, or use --in-place"
    )
    SYSTEM = "the system reports an error"


class RefusedError(Exception):
    """The file stays as it is.

    Parameters
    ----------
    reason
        The named reason.
    detail
        What exactly is wrong, if that helps; empty otherwise.
    """

    def __init__(self, reason: RefusalReason, detail: str = "") -> None:
        super().__init__(f"{reason.value} ({detail})." if detail else f"{reason.value}.")
        self.reason = reason
        self.detail = detail
