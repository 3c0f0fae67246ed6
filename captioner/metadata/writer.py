"""Writing captions into photos or their sidecars, and undoing it, one photo at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from captioner import authorship
from captioner.metadata import files, sidecar, splice, undo
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import XMP_DESCRIPTION, CaptionData, FieldText, FileMetadata
from captioner.metadata.outcome import UnreadableMetadata, WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.packet import read_packet_tolerantly
from captioner.metadata.reading import MAX_BYTES, parse_photo, read_photo
from captioner.metadata.replace import OutputFolderLock, create, remove, resolve_replaceable, sha256
from captioner.metadata.replace import replace as replace_file
from captioner.metadata.sidecar import SidecarFinder, Sidecars
from captioner.metadata.targets import Target, photo_target, sidecar_target
from captioner.metadata.undo import Records
from captioner.metadata.xmp import DEFAULT_LANGUAGE
from captioner.types import FileWrite


class CaptionWriter:
    """Writes captions into photos or their sidecars, and undoes it. A context manager.

    Parameters
    ----------
    records
        Where to store the undo patches.
    """

    def __init__(self, records: Records, options: WriteOptions | None = None) -> None:
        self._records = records
        self._options = options or WriteOptions()
        self._lock = OutputFolderLock()
        self._sidecars = SidecarFinder()

    def __enter__(self) -> CaptionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.__exit__()

    def write(self, photo: Path, caption: CaptionData) -> WriteOutcome:
        """Write the caption of one photo, completely or not at all.

        Errors of one photo are reported in its outcome.
        """
        caption = _normalised(caption)
        sidecars = Sidecars(photo.with_name(photo.name + sidecar.SUFFIX))
        try:
            data = files.read(photo, MAX_BYTES)
            sidecars = self._sidecars.find(photo)
            in_photo = photo_target(photo, data)
            in_sidecar = sidecar_target(sidecars)
            others = {path: files.read_other_sidecar(path) for path in sidecars.others}
            return self._write(in_photo, in_sidecar, others, caption)
        except RefusedError as error:
            return WriteOutcome(photo, sidecars.main, WriteStatus.REFUSED, error=error)
        except OSError as error:
            refusal = files.system_error(error)
            return WriteOutcome(photo, sidecars.main, WriteStatus.REFUSED, error=refusal)

    def undo(self, photo: Path) -> list[WriteOutcome]:
        """Undo what captioner wrote into a photo and its sidecars: an outcome for each file."""
        try:
            sidecars = self._sidecars.find(photo)
        except OSError as error:
            refusal = files.system_error(error)
            return [WriteOutcome(photo, photo, WriteStatus.REFUSED, error=refusal)]
        paths = [photo, sidecars.main, *sidecars.variants]
        found = [self._undo_file(photo, path) for path in paths]
        return [outcome for outcome in found if outcome]

    def _write(
        self,
        in_photo: Target,
        in_sidecar: Target,
        others: dict[Path, FileMetadata],
        caption: CaptionData,
    ) -> WriteOutcome:
        photo = in_photo.path
        target = in_photo if self._options.in_place else in_sidecar
        files_read = {photo: in_photo.metadata, in_sidecar.path: in_sidecar.metadata, **others}
        for path, metadata in files_read.items():
            if metadata.unreadable:
                shown = _first_text(
                    [*in_photo.metadata.texts, *in_sidecar.metadata.texts, *metadata.texts]
                )
                unreadable = UnreadableMetadata(path, metadata.unreadable[0])
                return WriteOutcome(
                    photo, target.path, WriteStatus.SKIPPED, shown, shown, unreadable=unreadable
                )
        if not self._options.in_place:
            return self._write_sidecar(in_photo, in_sidecar, others, caption)
        try:
            elsewhere = [in_sidecar.metadata, *others.values()]
            outcome = self._write_target(in_photo, in_photo, elsewhere, caption)
            if outcome.status is WriteStatus.SKIPPED and in_sidecar.data is not None:
                # If only the sidecar can be written, it may hold edits that are replaced.
                parse_photo(in_photo.data or b"", photo.suffix)
            return outcome
        except RefusedError as error:
            try:
                outcome = self._write_sidecar(in_photo, in_sidecar, others, caption)
                return replace(outcome, not_in_place=error)
            except RefusedError as further:
                return WriteOutcome(
                    photo, in_sidecar.path, WriteStatus.REFUSED, not_in_place=error, error=further
                )

    def _write_sidecar(
        self,
        in_photo: Target,
        in_sidecar: Target,
        others: dict[Path, FileMetadata],
        caption: CaptionData,
    ) -> WriteOutcome:
        if in_sidecar.blocked:
            raise in_sidecar.blocked
        elsewhere = [in_photo.metadata, *others.values()]
        return self._write_target(in_photo, in_sidecar, elsewhere, caption)

    def _write_target(
        self,
        in_photo: Target,
        target: Target,
        elsewhere: list[FileMetadata],
        caption: CaptionData,
    ) -> WriteOutcome:
        """Write to one file.

        Parameters
        ----------
        elsewhere
            Metadata of the other files about the photo.
        """
        photo = in_photo.path
        elsewhere = [metadata.for_author_of(caption) for metadata in elsewhere]
        caption = replace(caption, replaces_edits=self._may_replace_edits(target))
        metadata = target.metadata.for_author_of(caption)
        everywhere = [metadata, *elsewhere]
        human_authored = [text for m in everywhere for text in m.human_authored(m.texts)]
        shown = _first_text([*human_authored, *target.metadata.texts])
        if caption.description is not None and human_authored:
            status = None
            if self._options.existing != "append":
                status = WriteStatus.SKIPPED
            elif any(t.text.endswith(f"\n{caption.description}") for t in human_authored):
                status = WriteStatus.UNCHANGED
            if status:
                return WriteOutcome(photo, target.path, status, shown, shown)
        if any(m.human_authored(m.alt_texts) for m in everywhere):
            caption = replace(caption, alt_text=None)
        target = replace(target, metadata=metadata)
        complete = self._complete(metadata, caption)
        if complete is None:
            is_there = _has_texts(metadata, caption)
            status = WriteStatus.UNCHANGED if is_there else WriteStatus.OWN_CAPTION_KEPT
            return WriteOutcome(photo, target.path, status, shown, shown)
        original, sha256_before = self._original(target)
        append_to = None
        if caption.description is not None and human_authored:
            append_to = self._text_to_append_to(target, original, human_authored)
        planned = target.plan(original, complete, append_to)
        new = splice.apply(original or b"", planned.splices)
        after = complete.description or ""
        after = f"{append_to}\n{after}" if append_to is not None else after or shown
        outcome = WriteOutcome(
            photo, target.path, WriteStatus.WRITTEN, shown, after, planned.omitted
        )
        if new == target.data:
            return replace(outcome, status=WriteStatus.UNCHANGED)
        undo_splices = splice.inverse(original or b"", planned.splices)
        if splice.apply(new, undo_splices) != (original or b""):
            raise RefusedError(RefusalReason.UNVERIFIED)
        photo_data = new if target.path == photo else in_photo.data or b""
        record = undo.make_record(photo, photo_data, target.path, sha256_before, new, undo_splices)
        self._store(target, new, record)
        return outcome

    def _store(self, target: Target, new: bytes, record: FileWrite) -> None:
        """Replace or create a file, and store the record; in a dry run, only check that it can."""
        real = None if target.data is None else resolve_replaceable(target.path)
        if self._options.dry_run:
            return
        if target.data is None or real is None:
            create(
                target.path, new, permissions_from=record.photo, lock=self._lock,
                record=lambda: self._records.add(record), sync=self._options.sync,
            )  # fmt: skip
        else:
            self._replace(real, new, target.data, lambda: self._records.add(record))
        if target.path != record.photo:
            self._sidecars.add(target.path)
        self._records.delete(target.path, record.sha256_after)

    def _complete(self, metadata: FileMetadata, caption: CaptionData) -> CaptionData | None:
        """The caption that the file should have; None if it is there already.

        Includes what it has written before and `caption` does not name.
        """
        is_replaced = self._options.existing != "skip"
        own = [t for t in metadata.texts if t.field == XMP_DESCRIPTION and metadata.is_own(t)]
        own_alts = [text for text in metadata.alt_texts if metadata.is_own(text)]
        if own and not is_replaced and not _has_text(own, caption.description):
            return None  # Anything else to write belongs to another caption.
        with_edits = replace(metadata, edits_are_own=True)
        without_edits = replace(metadata, edits_are_own=False)
        edited = [
            text
            for text in (*metadata.texts, *metadata.alt_texts)
            if with_edits.is_own(text) and not without_edits.is_own(text)
        ]
        if caption.description is None:
            own += [t for t in edited if t.field == XMP_DESCRIPTION and t not in own]
        if caption.alt_text is None:
            own_alts += [t for t in edited if t in metadata.alt_texts and t not in own_alts]
        description = _own_or_new(own, caption.description, is_replaced=is_replaced)
        alt_text = _own_or_new(own_alts, caption.alt_text, is_replaced=is_replaced)
        present = {word.lower() for word in metadata.keywords}
        missing = [word for word in caption.keywords if word.lower() not in present]
        edits_are_present = {word.lower() for word in caption.edited_keywords} <= present
        if (
            not missing
            and edits_are_present
            and _has_text(own, description)
            and _has_text(own_alts, alt_text)
        ):
            return None
        keywords = (*metadata.mark.keywords, *missing)
        if is_replaced and caption.keywords:
            keywords = caption.keywords
        return replace(
            caption, description=description, alt_text=alt_text, keywords=keywords,
            edited=tuple(text.text for text in edited),
        )  # fmt: skip

    def _may_replace_edits(self, target: Target) -> bool:
        """Whether a generated caption may replace a human-authored one that captioner wrote.

        Only if this index has the record: then it also knows that the person removed the edit.
        """
        mark = target.metadata.mark
        if self._options.existing != "replace" or target.data is None:
            return False
        if mark.edit_digest is None and mark.edit_alt_digest is None:
            return False
        record = self._records.find(target.path, sha256(target.data))
        return record is not None and _is_same_path(record.path, target.path)

    def _original(self, target: Target) -> tuple[bytes | None, bytes | None]:
        """The file before captioner wrote to it, as far as records go back, and its SHA-256."""
        if target.data is None:
            return None, None
        current = sha256(target.data)
        record = self._records.find(target.path, current)
        if record is None:
            return target.data, current
        if record.sha256_before is None:
            return None, None
        return undo.undo_write(record, target.data), record.sha256_before

    def _text_to_append_to(
        self, target: Target, original: bytes | None, human_authored: list[FieldText]
    ) -> str:
        """The human-authored text to which a line is appended."""
        metadata = target.metadata
        has_own_line = any(metadata.ends_with_own_line(text) for text in human_authored)
        if has_own_line and original == target.data:
            # Without a record the line cannot be replaced safely.
            raise RefusedError(RefusalReason.NO_APPEND)
        if any(text.language != DEFAULT_LANGUAGE for text in human_authored):
            raise RefusedError(RefusalReason.NO_APPEND)
        before = target.read(original) if original is not None else FileMetadata()
        before = replace(before, edits_are_own=metadata.edits_are_own)
        there = [t for t in before.human_authored(before.texts) if t.field == XMP_DESCRIPTION]
        others = [text for text in human_authored if not metadata.ends_with_own_line(text)]
        return there[0].text if there else authorship.xml_text(others[0].text)

    def _replace(self, real: Path, new: bytes, current: bytes, record: Callable[[], None]) -> None:
        replace_file(
            real, new, current, lock=self._lock, record=record,
            sync=self._options.sync, keep_times=self._options.keep_times,
        )  # fmt: skip

    def _undo_file(self, photo: Path, path: Path) -> WriteOutcome | None:
        """Undo what captioner wrote into one file; None if it wrote nothing."""
        is_photo = path == photo
        try:
            data = files.read(path, MAX_BYTES) if is_photo else files.read_written_sidecar(path)
            if data is None:
                return None
            record = self._records.find(path, sha256(data))
            if record is None and not _has_mark(is_photo, data):
                return None
            if record is None and is_photo:
                raise RefusedError(RefusalReason.EDITED)
            real = resolve_replaceable(path)
            if record is None:
                new = splice.apply(data, sidecar.plan_removal(data))
            elif record.sha256_before is None:
                new = None
            else:
                new = undo.undo_write(record, data)
            if not self._options.dry_run:
                if new is None:
                    remove(real, data, lock=self._lock, sync=self._options.sync)
                else:
                    self._replace(real, new, data, lambda: None)
                if record and (
                    _is_same_path(record.path, path) or not os.path.exists(record.path)  # noqa: PTH110
                ):
                    self._records.delete(record.path)
        except RefusedError as error:
            return WriteOutcome(photo, path, WriteStatus.REFUSED, error=error)
        except OSError as error:
            refusal = files.system_error(error)
            return WriteOutcome(photo, path, WriteStatus.REFUSED, error=refusal)
        before = _first_text(_read(is_photo, data).texts)
        after = "" if new is None else _first_text(_read(is_photo, new).texts)
        return WriteOutcome(photo, path, WriteStatus.UNDONE, before, after)


def _is_same_path(one: Path, other: Path) -> bool:
    """Whether two paths are equal, as absolute ones, which the index stores."""
    return os.path.abspath(one) == os.path.abspath(other)  # noqa: PTH100 (keeps links)


def _read(is_photo: bool, data: bytes) -> FileMetadata:
    return read_photo(data) if is_photo else read_packet_tolerantly(data)


def _has_mark(is_photo: bool, data: bytes) -> bool:
    """Whether a file has captioner's mark of a generated text, or of keywords."""
    mark = _read(is_photo, data).mark
    return any((mark.digest, mark.alt_digest, mark.model, mark.keywords))


def _normalised(caption: CaptionData) -> CaptionData:
    return replace(
        caption,
        description=_normalise(caption.description),
        alt_text=_normalise(caption.alt_text),
        keywords=_normalise_all(caption.keywords),
        edited_keywords=_normalise_all(caption.edited_keywords),
    )


def _normalise(text: str | None) -> str | None:
    return None if text is None else authorship.normalise(text)


def _normalise_all(keywords: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in map(authorship.normalise, keywords) if word)


def _own_or_new(own: list[FieldText], new: str | None, *, is_replaced: bool) -> str | None:
    """The text to write: captioner's own text of before, or the new one."""
    if own and (new is None or not is_replaced):
        return own[0].text
    return new


def _has_text(own: list[FieldText], wanted: str | None) -> bool:
    return wanted is None or any(text.text == wanted for text in own)


def _has_texts(metadata: FileMetadata, caption: CaptionData) -> bool:
    """Whether captioner has written caption and alternative text already."""
    own = [t for t in metadata.texts if t.field == XMP_DESCRIPTION and metadata.is_own(t)]
    own_alts = [text for text in metadata.alt_texts if metadata.is_own(text)]
    return _has_text(own, caption.description) and _has_text(own_alts, caption.alt_text)


def _first_text(texts: Iterable[FieldText]) -> str:
    """The first text that is neither empty nor a program's default."""
    return next((t.text for t in texts if t.text and not t.is_program_data), "")
