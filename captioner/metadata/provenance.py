"""Whose words a text is: a person's, a camera's, or captioner's own.

Beside what captioner writes into XMP it leaves a mark: digests of its texts, and which model wrote
them. A text is captioner's own only where the mark is there and the digest fits; once somebody has
changed as much as a letter of it, it is a person's for ever.

What a person said with `captioner edit` and captioner wrote for them is a person's text. It has a
digest of another name, so that the same person's next edit may replace it, and no model's words do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from captioner import __version__, authorship
from captioner.authorship import digest, is_placeholder
from captioner.metadata import iptc, recovery
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.xmp import DEFAULT, Changes, understood

DESCRIPTION = "dc:description"
ALT = "Iptc4xmpCore:AltTextAccessibility"
KEYWORDS = "dc:subject"
TIFF_DESCRIPTION = "tiff:ImageDescription"
OTHER_DESCRIPTIONS = (
    TIFF_DESCRIPTION,
    "exif:UserComment",
    "acdsee:notes",
    "acdsee:caption",
    "Iptc4xmpCore:ExtDescrAccessibility",
)
DIGEST = "captioner:CaptionDigest"
ALT_DIGEST = "captioner:AltDigest"
EDIT_DIGEST = "captioner:EditDigest"
EDIT_ALT_DIGEST = "captioner:EditAltDigest"
MODEL = "captioner:CaptionModel"
TOOL = "captioner:CaptionTool"
DATE = "captioner:CaptionDate"
OWN_KEYWORDS = "captioner:CaptionKeywords"
MARKS = (
    DIGEST, ALT_DIGEST, EDIT_DIGEST, EDIT_ALT_DIGEST, MODEL, TOOL, DATE, OWN_KEYWORDS,
)  # fmt: skip

LONGEST_ALT = 250
"""Characters: screen readers read an alternative text out in one go."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is to be written."""

    description: str | None = None
    alt: str | None = None
    keywords: tuple[str, ...] = ()
    """A model's, whoever wrote the rest."""
    model: str | None = None
    """Which one wrote the rest; None where a person did."""
    date: str = ""
    """When, in ISO 8601."""
    edited: tuple[str, ...] = ()
    """Texts among them that are a person's all the same, and were written by captioner before."""
    over_edits: bool = False
    """Take the place of a person's words that captioner wrote, as a person's words do anyway."""


@dataclass(frozen=True, slots=True)
class Text:
    """Something that is said about a picture in one of a file's fields."""

    field: str
    text: str
    language: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Mark:
    """What captioner has noted about its own words in a file."""

    digest: str | None = None
    alt_digest: str | None = None
    edit_digest: str | None = None
    """Of a person's text, written by captioner."""
    edit_alt_digest: str | None = None
    model: str | None = None
    tool: str | None = None
    date: str | None = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """All that one file, a photo or a sidecar, says about a picture."""

    texts: tuple[Text, ...] = ()
    alts: tuple[Text, ...] = ()
    keywords: tuple[str, ...] = ()
    mark: Mark = Mark()
    unread: tuple[Refused, ...] = ()
    """Why parts that may hold a person's words could not be read for certain."""
    edits_are_own: bool = False
    """Whether a person's words that captioner wrote count as its own: see `released`."""

    def own(self, text: Text) -> bool:
        """Whether captioner wrote this text, and nobody has changed it."""
        if text in self.alts:
            return self._fits(text.text, self.mark.alt_digest, self.mark.edit_alt_digest)
        if self._is_caption(text.text):
            return True
        # IPTC holds no more than 2,000 bytes of the text that bears the mark.
        return text.field == "IPTC caption" and any(
            iptc.cut(other.text) == text.text and self._is_caption(other.text)
            for other in self.texts
        )

    def own_tail(self, text: Text) -> bool:
        """Whether the last line of a text is captioner's, and the lines before it are not."""
        before, _, last = text.text.rpartition("\n")
        return bool(before) and self._is_caption(last)

    def _is_caption(self, text: str) -> bool:
        return self._fits(text, self.mark.digest, self.mark.edit_digest)

    def _fits(self, text: str, models: str | None, edits: str | None) -> bool:
        return _fits(text, models) or (self.edits_are_own and _fits(text, edits))

    def persons(self, texts: Iterable[Text]) -> list[Text]:
        """Those of its texts that are neither blank, nor a camera's, nor captioner's own."""
        return [
            text
            for text in texts
            if not (is_placeholder(text.text) or is_data(text) or self.own(text))
        ]


def short(text: str) -> str:
    """As much of a text as an alternative text should hold, cut between words."""
    if len(text) <= LONGEST_ALT:
        return text
    return text[: LONGEST_ALT - 1].rpartition(" ")[0].rstrip(" ,;:.") + "…"


def is_data(text: Text) -> bool:
    """Whether a text is a program's. In XMP, where people write, nothing is taken for one."""
    return not text.field.startswith("XMP") and authorship.is_program_data(text.text)


def released(content: Content, words: Words) -> Content:
    """What a file says, as it concerns whoever's words are to be written.

    A person's new words may take the place of those that captioner wrote for them before.
    """
    return replace(content, edits_are_own=words.model is None or words.over_edits)


@lru_cache(maxsize=8)
def read_tolerantly(packet: bytes) -> Content:
    """What a packet says; where it cannot be read for certain, what seems to stand there, and why.

    Nothing that was recovered counts as captioner's own.
    """
    try:
        return read_xmp(recovery.as_utf8(packet))
    except Refused as error:
        if recovery.is_blank(packet):
            return Content()
        if error.reason is Reason.XMP_FORM and not recovery.mentions(packet):
            return Content()  # Well-formed, and without any description.
        reason = error
    except (ValueError, IndexError, RecursionError):
        reason = Refused(Reason.XMP_MALFORMED)
    texts = [Text(f"XMP {name}", text) for name, text in recovery.texts(packet)]
    return Content(texts=tuple(texts), unread=(reason,))


def read_xmp(packet: bytes) -> Content:
    """What a packet says.

    Raises
    ------
    Refused
        Where it cannot be understood.
    """
    xmp = understood(packet)
    texts = [
        Text(f"XMP {name}", entry.text, entry.language)
        for name in (DESCRIPTION, *OTHER_DESCRIPTIONS)
        for entry in xmp.texts(name)
    ]
    texts += [
        Text(f"XMP {name} (of another namespace)", entry.text, entry.language)
        for name in (DESCRIPTION, *OTHER_DESCRIPTIONS)
        for entry in xmp.namesakes(name)
    ]
    return Content(
        texts=tuple(texts),
        alts=tuple(Text(f"XMP {ALT}", e.text, e.language) for e in xmp.texts(ALT)),
        keywords=tuple(xmp.items(KEYWORDS)),
        mark=Mark(
            digest=xmp.value(DIGEST),
            alt_digest=xmp.value(ALT_DIGEST),
            edit_digest=xmp.value(EDIT_DIGEST),
            edit_alt_digest=xmp.value(EDIT_ALT_DIGEST),
            model=xmp.value(MODEL),
            tool=xmp.value(TOOL),
            date=xmp.value(DATE),
            keywords=tuple(xmp.items(OWN_KEYWORDS)),
        ),
    )


def changes(
    content: Content, words: Words, below: str | None = None, *, everywhere: bool
) -> Changes:
    """The changes to a packet that write words and their mark.

    What captioner wrote before gives way; keywords join those that are there.

    Parameters
    ----------
    content
        What the file says now.
    below
        A person's text, in the packet or elsewhere, to which the description is added as a line.
    everywhere
        Put the description into `tiff:ImageDescription`, too, as sidecars need it for immich.
    """
    if below is not None:
        return _line_below(content, words, below)
    texts = {}
    if words.description is not None:
        texts[DESCRIPTION] = words.description
        if everywhere:
            texts[TIFF_DESCRIPTION] = words.description
    if words.alt is not None:
        texts[ALT] = words.alt
    return replace(_marked(content, words), texts=texts)


def removal(packet: bytes) -> Changes:
    """The changes that take captioner's own words, and no others, out of a packet.

    Raises
    ------
    Refused
        Where it cannot be understood.
    """
    xmp = understood(packet)
    mark = read_xmp(packet).mark
    cut = [name for name in MARKS if name not in (EDIT_DIGEST, EDIT_ALT_DIGEST)]
    items = {KEYWORDS: mark.keywords}
    for name, wanted in (
        (DESCRIPTION, mark.digest),
        (TIFF_DESCRIPTION, mark.digest),
        (ALT, mark.alt_digest),
    ):
        entries = [entry.text for entry in xmp.texts(name)]
        own = tuple(text for text in entries if _fits(text, wanted))
        if own and len(own) == len(entries):
            cut.append(name)
        elif own:  # somebody has added another language
            items[name] = own
    return Changes(cut=tuple(cut), cut_items=items)


def _line_below(content: Content, words: Words, below: str) -> Changes:
    line = words.description or ""
    marked = _marked(content, replace(words, alt=None))
    if any(text.field == f"XMP {DESCRIPTION}" and text.text == below for text in content.texts):
        return replace(marked, tails={DESCRIPTION: f"\n{line}"})
    return replace(marked, texts={DESCRIPTION: f"{below}\n{line}"})


def _marked(content: Content, words: Words) -> Changes:
    kept = [word for word in content.keywords if word not in content.mark.keywords]
    known = {word.lower() for word in kept}
    added = tuple(dict.fromkeys(word for word in words.keywords if word.lower() not in known))
    values = {}
    for text, models, edits in (
        (words.description, DIGEST, EDIT_DIGEST),
        (words.alt, ALT_DIGEST, EDIT_ALT_DIGEST),
    ):
        if text is not None:
            by_person = words.model is None or text in words.edited
            values[edits if by_person else models] = digest(text)
    if values or added:
        values |= {TOOL: f"captioner {__version__}", DATE: words.date}
        if words.model is not None:
            values[MODEL] = words.model
    return Changes(
        cut=MARKS,
        cut_items={KEYWORDS: content.mark.keywords},
        items={KEYWORDS: added} if added else {},
        lists={OWN_KEYWORDS: added} if added else {},
        values=values,
    )


def _fits(text: str, wanted: str | None) -> bool:
    return wanted is not None and digest(text) == wanted
