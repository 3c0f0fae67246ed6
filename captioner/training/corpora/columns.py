"""Columns of a table of captions: found by their usual names, unless they are named."""

from __future__ import annotations

import ast
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError, UsageError
from captioner.training.corpora.format import Captions, Columns
from captioner.training.corpora.splits import split_named

ROLES = ("photo", "caption", "language", "split", "image")
"""What a column may hold; an image is a photo's own bytes."""
USUAL: Mapping[str, tuple[str, ...]] = {
    "photo": (
        "file_name", "filename", "file", "filepath", "file_path", "path", "image_path", "img_path",
        "photo_path", "image_file", "image_name", "img_name", "photo", "image", "img",
    ),
    "caption": (
        "caption", "captions", "text", "texts", "sentence", "sentences", "comment", "comments",
        "description", "descriptions", "raw",
    ),
    "language": ("language", "lang", "language_code", "locale"),
    "split": ("split", "set", "subset", "partition"),
    "image": ("image", "img", "photo", "picture"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Roles:
    """Which columns of one table hold what."""

    photo: str
    """Empty if there is none, where photos are stored in the table."""
    captions: tuple[str, ...]
    language: str = ""
    split: str = ""
    image: str = ""

    @classmethod
    def of(
        cls, file: Path, names: Sequence[str], chosen: Columns, binary: Container[str] = ()
    ) -> Roles:
        """Find the columns of a table.

        Parameters
        ----------
        names
            All its columns.
        chosen
            Those that were named.
        binary
            Those that hold photos themselves.

        Raises
        ------
        CaptionerError
            If there is no column of photos or of captions, or not the one that was named.
        """
        for role, wanted in chosen.items():
            for column in wanted:
                if column not in names:
                    raise CaptionerError(
                        f'{file} has no column "{column}" for {role}: it has {_listed(names)}.',
                        "Correct --columns, or the columns in corpus.toml.",
                    )
        found = {role: chosen.get(role) or _usual(role, names, binary) for role in ROLES}
        if not found["caption"] or not (found["photo"] or found["image"]):
            missing = "captions" if found["photo"] or found["image"] else "photos"
            raise CaptionerError(
                f"{file} has no column that is known to hold {missing}: it has {_listed(names)}.",
                "Name the columns: --columns photo=NAME,caption=NAME.",
            )
        photo, language, split, image = (
            (*found[role], "")[0] for role in ("photo", "language", "split", "image")
        )
        return cls(photo, found["caption"], language, split, image)

    @property
    def all(self) -> list[str]:
        """All columns that are read."""
        every = (self.photo, *self.captions, self.language, self.split, self.image)
        return [*dict.fromkeys(filter(None, every))]


def parse(texts: Sequence[str]) -> Columns:
    """Read `photo=file,caption=text,caption=title`, as columns are named on the command line.

    Raises
    ------
    UsageError
        If something else is named.
    """
    made: dict[str, tuple[str, ...]] = {}
    for part in ",".join(texts).split(","):
        role, _, column = (one.strip() for one in part.partition("="))
        if role not in ROLES or not column:
            raise UsageError(
                f'--columns: "{part.strip()}" does not name a column.',
                f"Write {' or '.join(f'{one}=NAME' for one in ROLES)}, separated by commas.",
            )
        made[role] = (*made.get(role, ()), column)
    return made


def texts(value: object) -> Iterator[str]:
    """The captions in a cell: a text, a list of them, or a list as JSON or as Python writes it."""
    if isinstance(value, str):
        if value[:1] == "[" and value.rstrip()[-1:] == "]":
            for read in (json.loads, ast.literal_eval):
                with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                    inner = read(value)
                    if isinstance(inner, list):
                        yield from texts(inner)
                        return
        yield value
    elif isinstance(value, Mapping):
        for name in USUAL["caption"]:
            if name in value:
                yield from texts(value[name])
                return
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)


def add_row(made: Captions, row: Mapping[str, Any], roles: Roles, photo: str, where: str) -> None:
    """Add the captions of one row of a table.

    Parameters
    ----------
    where
        Names the row, for what is said about rows that are skipped.
    """
    language = text_of(row, roles.language)
    found = [text for column in roles.captions for text in texts(row.get(column))]
    added = [made.add(photo, text, language) for text in found]
    if not any(added):
        made.skipped.append(f"{where}: {photo or 'no photo'}")


def row_split(row: Mapping[str, Any], roles: Roles) -> str:
    """The split that a row names, "rest" for another name; empty if there is no such column."""
    return split_named(text_of(row, roles.split)) or "rest" if roles.split else ""


def text_of(row: Mapping[str, Any], column: str) -> str:
    """A cell that holds one text; empty if it is empty or there is no such column."""
    value = row.get(column) if column else None
    return "" if value is None else str(value).strip()


def _usual(role: str, names: Sequence[str], binary: Container[str]) -> tuple[str, ...]:
    plain = {name.strip().lower().replace(" ", "_"): name for name in reversed(names)}
    if role == "image":
        named = [plain[name] for name in USUAL[role] if name in plain]
        return tuple(name for name in (*named, *names) if name in binary)[:1]
    for name in USUAL[role]:
        if name in plain and plain[name] not in binary:
            return (plain[name],)
        if role == "caption":
            numbered = [
                original
                for one, original in reversed(plain.items())
                if one.startswith(name) and one.removeprefix(name).strip("_").isdigit()
            ]
            if numbered:
                return tuple(numbered)
    return ()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
