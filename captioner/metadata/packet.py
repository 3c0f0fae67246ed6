"""Reading captions and captioner's mark from XMP packets, and the changes that write them.

Next to each text, captioner stores a digest in its mark. For captions that a person wrote with
`captioner edit`, it is a property of another name: the next edit may replace such a caption, no
generated one does.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from captioner import __version__, authorship
from captioner.authorship import digest, has_digest
from captioner.formats.xmp import ALT_TEXT, DESCRIPTION, DESCRIPTIONS, KEYWORDS, TIFF_DESCRIPTION
from captioner.metadata import malformed
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import XMP_DESCRIPTION, CaptionData, FieldText, FileMetadata, Mark
from captioner.metadata.xmp import PacketChanges, parse_packet

WRITTEN = (DESCRIPTION, ALT_TEXT, KEYWORDS, *authorship.MARK_PROPERTIES)
"""The properties that captioner writes into photos."""


@lru_cache(maxsize=8)
def read_packet_tolerantly(packet: bytes) -> FileMetadata:
    """The metadata in a packet; from a malformed one what seems to be captions, and the error.

    Nothing in a malformed packet counts as captioner's own.
    """
    try:
        return read_packet(malformed.to_utf_8(packet))
    except RefusedError as error:
        if malformed.is_blank(packet):
            return FileMetadata()
        if error.reason is RefusalReason.XMP_FORM and not malformed.mentions_description(packet):
            return FileMetadata()  # Well-formed, and without any description.
        reason = error
    except (ValueError, IndexError, RecursionError):
        reason = RefusedError(RefusalReason.XMP_MALFORMED)
    texts = [FieldText(f"XMP {name}", text) for name, text in malformed.find_texts(packet)]
    return FileMetadata(texts=tuple(texts), unreadable=(reason,))


def read_packet(packet: bytes) -> FileMetadata:
    """The metadata in a packet.

    Raises
    ------
    RefusedError
        If it cannot be parsed.
    """
    xmp = parse_packet(packet)
    texts = [
        FieldText(f"XMP {name}", entry.text, entry.language)
        for name in DESCRIPTIONS
        for entry in xmp.texts(name)
    ]
    texts += [
        FieldText(f"XMP {name} (of another namespace)", entry.text, entry.language)
        for name in DESCRIPTIONS
        for entry in xmp.texts_of_other_namespaces(name)
    ]
    return FileMetadata(
        texts=tuple(texts),
        alt_texts=tuple(
            FieldText(f"XMP {ALT_TEXT}", entry.text, entry.language)
            for entry in xmp.texts(ALT_TEXT)
        ),
        keywords=tuple(xmp.items(KEYWORDS)),
        mark=Mark(
            digest=xmp.value(authorship.CAPTION_DIGEST),
            alt_digest=xmp.value(authorship.ALT_DIGEST),
            edit_digest=xmp.value(authorship.EDIT_DIGEST),
            edit_alt_digest=xmp.value(authorship.EDIT_ALT_DIGEST),
            model=xmp.value(authorship.MODEL),
            tool=xmp.value(authorship.TOOL),
            date=xmp.value(authorship.DATE),
            keywords=tuple(xmp.items(authorship.OWN_KEYWORDS)),
        ),
    )


def caption_changes(
    metadata: FileMetadata, caption: CaptionData, append_to: str | None = None, *, in_tiff: bool
) -> PacketChanges:
    """The changes to a packet that write a caption and its mark.

    They replace what captioner wrote before; keywords are added to those that are there.

    Parameters
    ----------
    metadata
        The file's current metadata.
    append_to
        A human-authored text, in the packet or elsewhere, to which the caption is appended as a
        line.
    in_tiff
        Write the caption into `tiff:ImageDescription`, too, which immich reads in sidecars.
    """
    if append_to is not None:
        return _append_line(metadata, caption, append_to)
    texts = {}
    if caption.description is not None:
        texts[DESCRIPTION] = caption.description
        if in_tiff:
            texts[TIFF_DESCRIPTION] = caption.description
    if caption.alt_text is not None:
        texts[ALT_TEXT] = caption.alt_text
    return replace(_mark_changes(metadata, caption), texts=texts)


def removal_changes(packet: bytes) -> PacketChanges:
    """The changes that remove captioner's own texts and keywords, and no others, from a packet.

    Human-authored texts that captioner wrote stay.

    Raises
    ------
    RefusedError
        If the packet cannot be parsed.
    """
    xmp = parse_packet(packet)
    mark = read_packet(packet).mark
    kept = (authorship.EDIT_DIGEST, authorship.EDIT_ALT_DIGEST)
    removed = [name for name in authorship.MARK_PROPERTIES if name not in kept]
    removed_items = {KEYWORDS: mark.keywords}
    for name, text_digest in (
        (DESCRIPTION, mark.digest),
        (TIFF_DESCRIPTION, mark.digest),
        (ALT_TEXT, mark.alt_digest),
    ):
        digests = {text_digest} if text_digest is not None else set()
        entries = [entry.text for entry in xmp.texts(name)]
        own = tuple(text for text in entries if has_digest(text, digests))
        if own and len(own) == len(entries):
            removed.append(name)
        elif own:  # somebody has added another language
            removed_items[name] = own
    return PacketChanges(remove=tuple(removed), remove_items=removed_items)


def _append_line(metadata: FileMetadata, caption: CaptionData, append_to: str) -> PacketChanges:
    line = caption.description or ""
    marked = _mark_changes(metadata, replace(caption, alt_text=None))
    if any(text.field == XMP_DESCRIPTION and text.text == append_to for text in metadata.texts):
        return replace(marked, append={DESCRIPTION: f"\n{line}"})
    return replace(marked, texts={DESCRIPTION: f"{append_to}\n{line}"})


def _mark_changes(metadata: FileMetadata, caption: CaptionData) -> PacketChanges:
    """The changes that replace captioner's mark and its own keywords."""
    others = [word for word in metadata.keywords if word not in metadata.mark.keywords]
    present = {word.lower() for word in others}
    new = [word for word in caption.all_keywords if word.lower() not in present]
    by_person = {word.lower() for word in caption.edited_keywords}
    added = tuple(word for word in new if word.lower() not in by_person)
    values = {}
    for text, model_digest, edit_digest in (
        (caption.description, authorship.CAPTION_DIGEST, authorship.EDIT_DIGEST),
        (caption.alt_text, authorship.ALT_DIGEST, authorship.EDIT_ALT_DIGEST),
    ):
        if text is not None:
            is_edit = caption.model is None or text in caption.edited
            values[edit_digest if is_edit else model_digest] = digest(text)
    if values or added:
        values |= {
            authorship.TOOL: f"captioner {__version__}",
            authorship.DATE: caption.date,
        }
        if caption.model is not None:
            values[authorship.MODEL] = caption.model
    return PacketChanges(
        remove=authorship.MARK_PROPERTIES,
        remove_items={KEYWORDS: metadata.mark.keywords},
        add_items={KEYWORDS: tuple(new)} if new else {},
        lists={authorship.OWN_KEYWORDS: added} if added else {},
        values=values,
    )
