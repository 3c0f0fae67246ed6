"""Metadata of a file, field by field, and the caption to write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from captioner import authorship
from captioner.formats.iptc import truncate_caption
from captioner.formats.xmp import DESCRIPTION
from captioner.metadata.errors import RefusedError
from captioner.metadata.xmp import DEFAULT_LANGUAGE

MAX_ALT_LENGTH = 250
"""Characters: screen readers read an alternative text out in one go."""
IPTC_CAPTION = "IPTC caption"
EXIF_DESCRIPTION = "EXIF ImageDescription"
XMP_DESCRIPTION = f"XMP {DESCRIPTION}"


@dataclass(frozen=True, slots=True)
class CaptionData:
    """What to write into a file: caption, alternative text, keywords, and who wrote them."""

    description: str | None = None
    alt_text: str | None = None
    keywords: tuple[str, ...] = ()
    """A model's."""
    model: str | None = None
    """The id of the model that generated caption and alternative text; None if human-authored."""
    date: str = ""
    """ISO 8601."""
    edited: tuple[str, ...] = ()
    """Those of the texts that are human-authored although `model` is given: captioner wrote them
    into the file earlier."""
    replaces_edits: bool = False
    """Whether to replace human-authored texts that captioner wrote. Human-authored captions always
    do."""
    edited_keywords: tuple[str, ...] = ()
    """Human-authored; written without captioner's mark, since they are a person's."""

    @property
    def all_keywords(self) -> tuple[str, ...]:
        """Human-authored keywords, then the model's; none twice, whatever its case."""
        by_case = {w.lower(): w for w in reversed((*self.edited_keywords, *self.keywords))}
        return tuple(reversed(by_case.values()))


@dataclass(frozen=True, slots=True)
class FieldText:
    """A text about the picture in one field of a file."""

    field: str
    """As "XMP dc:description"."""
    text: str
    language: str = DEFAULT_LANGUAGE

    @property
    def may_be_human_authored(self) -> bool:
        """Whether it is neither a placeholder nor program data, by `authorship`."""
        return authorship.may_be_human_authored(self.text, in_xmp=self.field.startswith("XMP"))

    @property
    def is_program_data(self) -> bool:
        """Whether it is program data, by `authorship`; never in XMP, where people write."""
        return not self.field.startswith("XMP") and authorship.is_program_data(self.text)


@dataclass(frozen=True, slots=True)
class Mark:
    """Captioner's mark in a file: digests of its texts, and what wrote them when."""

    digest: str | None = None
    alt_digest: str | None = None
    edit_digest: str | None = None
    """Of a human-authored text that captioner wrote into the file."""
    edit_alt_digest: str | None = None
    model: str | None = None
    tool: str | None = None
    date: str | None = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """All captions, keywords and marks in one file, a photo or a sidecar."""

    texts: tuple[FieldText, ...] = ()
    alt_texts: tuple[FieldText, ...] = ()
    keywords: tuple[str, ...] = ()
    mark: Mark = Mark()
    unreadable: tuple[RefusedError, ...] = ()
    """Why parts that may hold human-authored texts could not be read for certain."""
    edits_are_own: bool = False
    """Whether human-authored texts that captioner wrote count as its own: see `for_author_of`."""

    def is_own(self, text: FieldText) -> bool:
        """Whether captioner wrote this text, and nobody has changed it."""
        if text in self.alt_texts:
            digests = self._digests(self.mark.alt_digest, self.mark.edit_alt_digest)
            return authorship.has_digest(text.text, digests)
        digests = self._caption_digests
        if authorship.has_digest(text.text, digests):
            return True
        # IPTC holds at most 2,000 bytes of a text; the digest is of all of it.
        return text.field == IPTC_CAPTION and any(
            truncate_caption(other.text) == text.text and authorship.has_digest(other.text, digests)
            for other in self.texts
        )

    def ends_with_own_line(self, text: FieldText) -> bool:
        """Whether only the last line of a text is captioner's own."""
        return authorship.split_own_line(text.text, self._caption_digests) is not None

    def human_authored(self, texts: Iterable[FieldText]) -> list[FieldText]:
        """Those of its texts that are not placeholders, program data or captioner's own."""
        return [text for text in texts if text.may_be_human_authored and not self.is_own(text)]

    def for_author_of(self, caption: CaptionData) -> FileMetadata:
        """The same, with `edits_are_own` set as the author of a new caption may replace edits.

        Human-authored captions may replace human-authored ones that captioner wrote earlier.
        """
        return replace(self, edits_are_own=caption.model is None or caption.replaces_edits)

    @property
    def _caption_digests(self) -> set[str]:
        return self._digests(self.mark.digest, self.mark.edit_digest)

    def _digests(self, by_model: str | None, by_person: str | None) -> set[str]:
        digests = (by_model, by_person if self.edits_are_own else None)
        return {digest for digest in digests if digest is not None}


def shorten_alt_text(text: str) -> str:
    """A text of at most 250 characters, cut between words."""
    if len(text) <= MAX_ALT_LENGTH:
        return text
    return text[: MAX_ALT_LENGTH - 1].rpartition(" ")[0].rstrip(" ,;:.") + "…"
