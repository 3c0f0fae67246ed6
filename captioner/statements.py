"""What a photo, its sidecars and the index say about it, piece by piece, and whose words it is.

The files are read as they are now, not as they were when they were indexed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from captioner import authorship, regular_files
from captioner.errors import PhotoError
from captioner.metadata import sidecar
from captioner.metadata.fields import FieldText, FileMetadata
from captioner.metadata.packet import read_packet_tolerantly
from captioner.metadata.reading import MAX_BYTES, read_photo
from captioner.photos.path_errors import explain
from captioner.types import Facts, StoredCaption

Source = Literal["person", "model", "camera", "program"]
AUTHORS: Mapping[Source | None, str] = {
    None: "",
    "person": "a person's",
    "model": "captioner's",
    "camera": "a camera's",
    "program": "a program's",
}


class Statement(NamedTuple):
    """One piece of metadata from a photo, a sidecar or the index."""

    what: str
    """The kind: "caption", "keywords" and so on."""
    file: Path | None
    """The photo or the sidecar; None for the index."""
    text: str
    source: Source | None
    """Who wrote it; None if unknown."""
    field: str = ""
    """The name of the metadata field in its standard; empty for the index."""
    model: str | None = None
    """The id of the model that generated the text."""
    appended: bool = False
    """Whether the last line was appended by captioner to a human-authored caption."""
    values: Mapping[str, object] = MappingProxyType({})
    """The same as numbers and times, for JSON."""

    def author(self) -> str:
        """Who wrote it, for display."""
        author = AUTHORS[self.source] + (f" ({self.model})" if self.model else "")
        return f"{author}, captioner's last line" if self.appended else author


class Problem(NamedTuple):
    """A sidecar, or a part of a file, that could not be read."""

    path: Path
    reason: str
    partial: bool
    """Whether the rest of the file could be read."""


@dataclass(frozen=True, slots=True)
class FileStatements:
    """What the files of a photo say, the photo itself first."""

    found: tuple[Statement, ...] = ()
    problems: tuple[Problem, ...] = ()


def in_files(photo: Path) -> FileStatements:
    """What a photo and its sidecars say.

    Raises
    ------
    PhotoError
        If the photo itself cannot be read.
    """
    try:
        content = read_photo(regular_files.read(photo, MAX_BYTES))
    except regular_files.TooLargeError as error:
        raise PhotoError("it is too large.") from error
    except OSError as error:
        raise PhotoError(explain(error)) from error
    contents: list[tuple[Path, FileMetadata]] = [(photo, content)]
    problems: list[Problem] = []
    sidecars = sidecar.SidecarFinder().find(photo)
    for path in (sidecars.main, *sidecars.others):
        try:
            packet = regular_files.read(path, sidecar.MAX_BYTES)
        except regular_files.TooLargeError:
            problems.append(Problem(path, "it is too large.", partial=False))
        except OSError as error:
            if os.path.lexists(path):
                problems.append(Problem(path, explain(error), partial=False))
        else:
            contents.append((path, read_packet_tolerantly(packet)))
    problems += [
        Problem(path, str(error), partial=True)
        for path, metadata in contents
        for error in metadata.unreadable
    ]
    found = (one for path, metadata in contents for one in _of_file(path, metadata))
    return FileStatements(tuple(found), tuple(problems))


def in_index(known: StoredCaption | None, facts: Facts | None) -> Iterator[Statement]:
    """What the index says of a photo, given its caption and keywords, and its facts."""
    if known and known.text and not known.model_id:
        yield Statement("caption", None, known.text, "person")
    if facts and facts.caption:
        yield Statement("caption", None, facts.caption, "person")
    if known:
        yield from _of_index(known)
    if facts:
        yield from _of_facts(facts)


def _of_index(known: StoredCaption) -> Iterator[Statement]:
    if known.text and known.model_id:
        confidence = round(known.confidence, 4)
        yield Statement("caption", None, known.text, "model", model=known.model_id)
        yield Statement(
            "confidence",
            None,
            f"{confidence:.2f}",
            "model",
            model=known.model_id,
            values={"confidence": confidence},
        )
    if known.edited_keywords:
        yield Statement("keywords", None, ", ".join(known.edited_keywords), "person")
    if known.keywords:
        yield Statement("keywords", None, ", ".join(known.keywords), "model")


def _of_facts(facts: Facts) -> Iterator[Statement]:
    """Metadata read from the photo and its sidecars when it was indexed."""
    if facts.title:
        yield Statement("title", None, facts.title, "person")
    if facts.keywords:
        yield Statement("keywords", None, ", ".join(facts.keywords), "person")
    if facts.taken_at:
        yield Statement(
            "taken",
            None,
            facts.taken_at + (facts.taken_offset or ""),
            None,
            values={"taken_at": facts.taken_at, "taken_offset": facts.taken_offset},
        )
    if facts.latitude is not None:
        yield Statement(
            "place",
            None,
            f"{facts.latitude:.6f}, {facts.longitude:.6f}",
            None,
            values={"latitude": facts.latitude, "longitude": facts.longitude},
        )


def _of_file(file: Path, content: FileMetadata) -> Iterator[Statement]:
    for what, texts in (("caption", content.texts), ("alternative text", content.alt_texts)):
        for text in texts:
            if text.text:
                source = _source(content, text)
                yield Statement(
                    what,
                    file,
                    text.text,
                    source,
                    text.field,
                    content.mark.model if source == "model" else None,
                    source == "person" and content.ends_with_own_line(text),
                )
    own = [word for word in content.keywords if word in content.mark.keywords]
    others = [word for word in content.keywords if word not in content.mark.keywords]
    if others:
        yield Statement("keywords", file, ", ".join(others), "person")
    if own:
        yield Statement("keywords", file, ", ".join(own), "model", model=content.mark.model)


def _source(content: FileMetadata, text: FieldText) -> Source:
    if content.is_own(text):
        return "model"
    if authorship.is_placeholder(text.text):
        return "camera"
    if text.is_program_data:
        return "program"
    return "person"
