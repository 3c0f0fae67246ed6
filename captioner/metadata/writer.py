"""One photo at a time: what stands there, whose it is, what is to be written, and where."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Literal

from captioner import authorship
from captioner.metadata import embed, files, provenance, sidecar, splice, undo
from captioner.metadata.embed import Embedded
from captioner.metadata.provenance import Content, Text, Words
from captioner.metadata.reading import LARGEST, read_photo, take_apart
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.replace import Folders, create, digest, remove, replaceable
from captioner.metadata.replace import replace as replace_file
from captioner.metadata.sidecar import Beside
from captioner.metadata.undo import Records
from captioner.metadata.xmp import DEFAULT

Existing = Literal["skip", "replace", "append"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to write."""

    in_place: bool = False
    """Into the photo where that can be done; else, and otherwise, into its sidecar."""
    existing: Existing = "skip"
    """What to do where there is a caption already: leave it; renew it where it is captioner's own;
    or do that, and add a line to a person's."""
    dry_run: bool = False
    sync: bool = True
    keep_times: bool = False


class State(Enum):
    """What became of a photo."""

    WRITTEN = "written"
    SAME = "already there"
    KEPT = "captioner's earlier caption kept"
    SKIPPED = "a person's words stand there"
    REFUSED = "not written"
    UNDONE = "taken back"


@dataclass(frozen=True, slots=True)
class Unread:
    """Metadata that cannot be read for certain, and counts as a person's words for that reason."""

    path: Path
    """The photo, or one of its sidecars."""
    why: Refused


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo, or of its sidecar."""

    photo: Path
    target: Path
    """The file that was written, or would have been."""
    state: State
    before: str = ""
    """The caption that stood there."""
    after: str = ""
    left: tuple[str, ...] = ()
    """What does not say the words, though other programs may look there: EXIF, IPTC."""
    instead: Refused | None = None
    """Why the sidecar was written and not the photo."""
    unread: Unread | None = None
    """What could not be read for certain, where the photo is skipped for that."""
    refused: Refused | None = None

    @property
    def in_place(self) -> bool:
        """Whether it is about the photo itself."""
        return self.photo == self.target


@dataclass(frozen=True, slots=True)
class _File:
    """A file that may be written, and what it says."""

    path: Path
    data: bytes | None
    content: Content
    read: Callable[[bytes], Content]
    build: Callable[[bytes | None, Words, str | None], Embedded]
    blocked: Refused | None = None
    """Why it cannot be written, whatever it would hold."""


class Writer:
    """Writes words into photos and beside them, and takes them back. A context manager.

    Parameters
    ----------
    records
        Where to keep the way back.
    """

    def __init__(self, records: Records, options: Options | None = None) -> None:
        self._records = records
        self._options = options or Options()
        self._folders = Folders()
        self._sidecars = sidecar.Folders()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._folders.__exit__()

    def write(self, photo: Path, words: Words) -> Outcome:
        """Write words for one photo, whole or not at all.

        Whatever is the matter with one photo is told by its outcome.
        """
        words = _cleaned(words)
        beside = Beside(photo.with_name(photo.name + sidecar.SUFFIX))
        try:
            data = files.read(photo, LARGEST)
            beside = self._sidecars.of(photo)
            file = _sidecar(beside)
            others = {path: files.other(path) for path in beside.others}
            return self._write(photo, data, file, others, words)
        except Refused as error:
            return Outcome(photo, beside.own, State.REFUSED, refused=error)
        except OSError as error:
            return Outcome(photo, beside.own, State.REFUSED, refused=files.system(error))

    def undo(self, photo: Path) -> list[Outcome]:
        """Take back what captioner wrote into a photo and beside it: an outcome for each file."""
        try:
            beside = self._sidecars.of(photo)
        except OSError as error:
            return [Outcome(photo, photo, State.REFUSED, refused=files.system(error))]
        paths = [photo, beside.own, *beside.variants]
        found = [self._undo_file(photo, path) for path in paths]
        return [outcome for outcome in found if outcome]

    def _write(
        self, photo: Path, data: bytes, beside: _File, others: dict[Path, Content], words: Words
    ) -> Outcome:
        build = partial(_into_photo, suffix=photo.suffix)
        inside = _File(photo, data, read_photo(data), read_photo, build)
        for path, content in {photo: inside.content, beside.path: beside.content, **others}.items():
            if content.unread:
                shown = _first([*inside.content.texts, *beside.content.texts, *content.texts])
                target = photo if self._options.in_place else beside.path
                unread = Unread(path, content.unread[0])
                return Outcome(photo, target, State.SKIPPED, shown, shown, unread=unread)
        if self._options.in_place:
            try:
                outcome = self._write_to(inside, inside, [beside.content, *others.values()], words)
                if outcome.state is State.SKIPPED and beside.data is not None:
                    # Where the sidecar is the only place, it may hold edits that give way.
                    take_apart(data, photo.suffix)
                return outcome
            except Refused as error:
                try:
                    return replace(self._beside(inside, beside, others, words), instead=error)
                except Refused as further:
                    return Outcome(
                        photo, beside.path, State.REFUSED, instead=error, refused=further
                    )
        return self._beside(inside, beside, others, words)

    def _beside(
        self, inside: _File, beside: _File, others: dict[Path, Content], words: Words
    ) -> Outcome:
        if beside.blocked:
            raise beside.blocked
        return self._write_to(inside, beside, [inside.content, *others.values()], words)

    def _write_to(self, inside: _File, file: _File, said: list[Content], words: Words) -> Outcome:
        """Write to one file.

        Parameters
        ----------
        said
            What the other files say.
        """
        photo = inside.path
        said = [provenance.released(content, words) for content in said]
        words = replace(words, over_edits=self._over_edits(file))
        content = provenance.released(file.content, words)
        said = [content, *said]
        persons = [text for content in said for text in content.persons(content.texts)]
        shown = _first([*persons, *file.content.texts])
        below = None
        if words.description is not None and persons:
            if self._options.existing != "append":
                return Outcome(photo, file.path, State.SKIPPED, shown, shown)
            if any(t.text.endswith(f"\n{words.description}") for t in persons):
                return Outcome(photo, file.path, State.SAME, shown, shown)
        asked = replace(words, alt=None) if _persons_alt(said) else words
        file = replace(file, content=content)
        complete = self._complete(file.content, asked)
        if complete is None:
            same = _same(file.content, asked)
            return Outcome(photo, file.path, State.SAME if same else State.KEPT, shown, shown)
        current = file.data
        base, digest_before = self._original(file)
        if words.description is not None and persons:
            below = self._below(file, base, persons)
        built = file.build(base, complete, below)
        splices = built.splices
        new = splice.apply(base or b"", splices)
        after = complete.description or ""
        after = f"{below}\n{after}" if below is not None else after or shown
        outcome = Outcome(photo, file.path, State.WRITTEN, shown, after, built.left)
        if new == current:
            return replace(outcome, state=State.SAME)
        way_back = splice.inverse(base or b"", splices)
        if splice.apply(new, way_back) != (base or b""):
            raise Refused(Reason.UNVERIFIED)
        real = None if current is None else replaceable(file.path)
        if self._options.dry_run:
            return outcome
        left = new if file.path == photo else inside.data or b""
        record = undo.recorded(photo, left, file.path, digest_before, new, way_back)
        if current is None or real is None:
            create(
                file.path, new, like=photo, folders=self._folders,
                record=lambda: self._records.keep(record), sync=self._options.sync,
            )  # fmt: skip
        else:
            self._replace(real, new, current, lambda: self._records.keep(record))
        if file.path != photo:
            self._sidecars.made(file.path)
        self._records.forget(file.path, record.sha256_after)
        return outcome

    def _complete(self, content: Content, asked: Words) -> Words | None:
        """All of captioner's words that the file shall hold afterwards; None where it does.

        What it holds of captioner's and was not asked for now stays.
        """
        renew = self._options.existing != "skip"
        own = [text for text in content.texts if _is_description(text) and content.own(text)]
        own_alts = [text for text in content.alts if content.own(text)]
        if own and not renew and not _holds(own, asked.description):
            return None  # What else there is to write belongs to another caption.
        written = replace(content, edits_are_own=True)
        edited = [
            text
            for text in (*content.texts, *content.alts)
            if written.own(text) and not replace(content, edits_are_own=False).own(text)
        ]
        if asked.description is None:
            own += [text for text in edited if _is_description(text) and text not in own]
        if asked.alt is None:
            own_alts += [text for text in edited if text in content.alts and text not in own_alts]
        description = _renewed(own, asked.description, renew=renew)
        alt = _renewed(own_alts, asked.alt, renew=renew)
        present = {word.lower() for word in content.keywords}
        missing = [word for word in asked.keywords if word.lower() not in present]
        if not missing and _holds(own, description) and _holds(own_alts, alt):
            return None
        keywords = (*content.mark.keywords, *missing)
        if renew and asked.keywords:
            keywords = asked.keywords
        return replace(
            asked, description=description, alt=alt, keywords=keywords,
            edited=tuple(text.text for text in edited),
        )  # fmt: skip

    def _over_edits(self, file: _File) -> bool:
        """Whether words of anybody may replace a person's that captioner wrote.

        They may where this index has the way back: it knows, too, that the person took them back.
        """
        mark = file.content.mark
        if self._options.existing != "replace" or file.data is None:
            return False
        if mark.edit_digest is None and mark.edit_alt_digest is None:
            return False
        record = self._records.of(file.path, digest(file.data))
        return record is not None and _same_place(record.path, file.path)

    def _original(self, file: _File) -> tuple[bytes | None, bytes | None]:
        """The file before captioner wrote to it, where the way back is known, and its digest."""
        if file.data is None:
            return None, None
        known = digest(file.data)
        record = self._records.of(file.path, known)
        if record is None:
            return file.data, known
        if record.sha256_before is None:
            return None, None
        return undo.undone(record, file.data), record.sha256_before

    def _below(self, file: _File, base: bytes | None, persons: list[Text]) -> str:
        """The person's text to which a line is added."""
        if any(file.content.own_tail(text) for text in persons) and base == file.data:
            raise Refused(Reason.NO_APPEND)  # Which line is whose cannot be told apart safely.
        if any(text.language != DEFAULT for text in persons):
            raise Refused(Reason.NO_APPEND)
        content = file.read(base) if base is not None else Content()
        content = replace(content, edits_are_own=file.content.edits_are_own)
        own = [text for text in content.persons(content.texts) if _is_description(text)]
        others = [text for text in persons if not file.content.own_tail(text)]
        return own[0].text if own else authorship.xml_text(others[0].text)

    def _replace(self, real: Path, new: bytes, current: bytes, record: Callable[[], None]) -> None:
        replace_file(
            real, new, current, folders=self._folders, record=record,
            sync=self._options.sync, keep_times=self._options.keep_times,
        )  # fmt: skip

    def _undo_file(self, photo: Path, path: Path) -> Outcome | None:
        try:
            data = files.read(path, LARGEST) if path == photo else files.written_sidecar(path)
            if data is None:
                return None
            record = self._records.of(path, digest(data))
            if record is None and not _ours(path == photo, data):
                return None
            if record is None and path == photo:
                raise Refused(Reason.EDITED)
            real = replaceable(path)
            if record is None:
                new = splice.apply(data, sidecar.without_ours(data))
            elif record.sha256_before is None:
                new = None
            else:
                new = undo.undone(record, data)
            if not self._options.dry_run:
                if new is None:
                    remove(real, data, folders=self._folders, sync=self._options.sync)
                else:
                    self._replace(real, new, data, lambda: None)
                if record and (
                    _same_place(record.path, path) or not os.path.exists(record.path)  # noqa: PTH110
                ):
                    self._records.forget(record.path)
        except Refused as error:
            return Outcome(photo, path, State.REFUSED, refused=error)
        except OSError as error:
            return Outcome(photo, path, State.REFUSED, refused=files.system(error))
        before = _first(_content(path == photo, data).texts)
        after = "" if new is None else _first(_content(path == photo, new).texts)
        return Outcome(photo, path, State.UNDONE, before, after)


def _into_photo(data: bytes | None, words: Words, below: str | None, *, suffix: str) -> Embedded:
    return embed.write(data or b"", words, below=below, suffix=suffix)


def _into_sidecar(packet: bytes | None, words: Words, below: str | None) -> Embedded:
    return Embedded(sidecar.write(packet, words, below=below), ())


def _same_place(one: Path, other: Path) -> bool:
    """Whether two paths are the same; the index knows them as absolute ones."""
    return os.path.abspath(one) == os.path.abspath(other)  # noqa: PTH100 (keeps links)


def _sidecar(beside: Beside) -> _File:
    """The sidecar that belongs to a photo alone, and what it says.

    Raises
    ------
    Refused
        Where it is there and cannot be read: it may say anything.
    """
    path = beside.own
    data = blocked = None
    content = Content()
    if beside.no_room:
        blocked = Refused(Reason.NAME_TOO_LONG)
    elif os.path.lexists(path):
        try:
            data = files.read(path, sidecar.LARGEST)
            content = provenance.read_tolerantly(data)
        except Refused as error:
            if error.reason is Reason.TOO_LARGE:
                content = Content(unread=(error,))
            elif error.reason is Reason.NOT_REGULAR:
                blocked = Refused(Reason.SIDECAR, f"{path.name} is not a regular file")
            else:
                raise files.unreadable(path, error) from error
    return _File(path, data, content, provenance.read_xmp, _into_sidecar, blocked)


def _content(in_photo: bool, data: bytes) -> Content:
    return read_photo(data) if in_photo else provenance.read_tolerantly(data)


def _ours(in_photo: bool, data: bytes) -> bool:
    """Whether a file bears captioner's mark of a model's words, or of keywords."""
    mark = _content(in_photo, data).mark
    return any((mark.digest, mark.alt_digest, mark.model, mark.keywords))


def _cleaned(words: Words) -> Words:
    return replace(
        words,
        description=None if words.description is None else authorship.normalise(words.description),
        alt=None if words.alt is None else authorship.normalise(words.alt),
        keywords=tuple(w for w in map(authorship.normalise, words.keywords) if w),
    )


def _is_description(text: Text) -> bool:
    return text.field == f"XMP {provenance.DESCRIPTION}"


def _persons_alt(said: list[Content]) -> bool:
    return any(content.persons(content.alts) for content in said)


def _renewed(own: list[Text], asked: str | None, *, renew: bool) -> str | None:
    """What shall stand where captioner's own texts stand, and something was asked for or not."""
    if own and (asked is None or not renew):
        return own[0].text
    return asked


def _holds(own: list[Text], wanted: str | None) -> bool:
    return wanted is None or any(text.text == wanted for text in own)


def _same(content: Content, asked: Words) -> bool:
    own = [text for text in content.texts if _is_description(text) and content.own(text)]
    alts = [text for text in content.alts if content.own(text)]
    return _holds(own, asked.description) and _holds(alts, asked.alt)


def _first(texts: object) -> str:
    """The first text worth showing."""
    assert isinstance(texts, list | tuple)
    return next((t.text for t in texts if t.text and not provenance.is_data(t)), "")
