"""`corpus.toml`: what a data set is, where its files do not say so themselves."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.training.corpora.columns import ROLES
from captioner.training.corpora.format import Columns

FILE = "corpus.toml"
EXAMPLE = """captions = "annotations.csv", photos = "pictures", language = "de", weight = 2, \
columns = { photo = "file", caption = ["text"] }"""
_KEYS = ("captions", "photos", "language", "weight", "columns")


@dataclass(frozen=True, slots=True)
class Description:
    """The content of `corpus.toml`; paths are relative to its folder."""

    captions: Path
    """The caption file, or the folder in which one is looked for."""
    photos: Path | None = None
    language: str = ""
    weight: float | None = None
    columns: Columns = field(default_factory=dict)

    @classmethod
    def of(cls, place: Path) -> Description:
        """Read the description of a data set, which may be named itself, if there is one.

        Raises
        ------
        CaptionerError
            If it is not TOML, or says something else.
        """
        file = place if place.suffix == ".toml" else place / FILE
        if not file.is_file():
            return cls(place)
        try:
            content = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CaptionerError(
                f"{file} cannot be read: {reason}.", f"It may say {EXAMPLE}."
            ) from error
        if unknown := sorted(content.keys() - set(_KEYS)):
            raise CaptionerError(
                f"{file}: {', '.join(unknown)} is not known.", f"It may say {EXAMPLE}."
            )
        captions, photos = (_text(file, content, key) for key in ("captions", "photos"))
        weight = content.get("weight")
        if weight is not None and (not isinstance(weight, int | float) or not weight > 0):
            raise CaptionerError(f"{file}: weight is {weight!r}.", "It should be a number above 0.")
        return cls(
            file.parent / captions if captions else file.parent,
            file.parent / photos if photos else None,
            _text(file, content, "language"),
            weight,
            _columns(file, content.get("columns", {})),
        )


def _text(file: Path, content: dict[str, Any], key: str) -> str:
    value = content.get(key, "")
    if not isinstance(value, str):
        raise CaptionerError(f"{file}: {key} is {value!r}.", f"It may say {EXAMPLE}.")
    return value


def _columns(file: Path, value: object) -> Columns:
    made: dict[str, tuple[str, ...]] = {}
    for role, named in value.items() if isinstance(value, dict) else [("", "")]:
        names = (named,) if isinstance(named, str) else tuple(named)
        if role not in ROLES or not all(isinstance(name, str) and name for name in names):
            raise CaptionerError(
                f"{file}: columns says {role} = {named!r}.", f"It may say {EXAMPLE}."
            )
        made[role] = names
    return made
