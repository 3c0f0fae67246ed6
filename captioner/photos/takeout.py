"""Facts about a photo from Google Takeout's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from captioner.authorship import is_placeholder, normalise
from captioner.photos import takeout_names
from captioner.photos.coordinates import valid_coordinates
from captioner.photos.facts import unique_keywords
from captioner.types import Facts

_MAX_LENGTH = 10_000
"""Characters of a text; the rest is cut off."""
_ESCAPES = re.compile("&(amp|lt|gt|quot|#39);")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "#39": "'"}
_TAKEOUT_KEYS = ("photoTakenTime", "geoData", "geoDataExif", "googlePhotosOrigin", "creationTime")


def read(content: bytes, photo: str) -> Facts | None:
    """The facts about a photo in a JSON file; None if the file is not from Google Takeout.

    Parameters
    ----------
    photo
        The photo's file name: a title that only repeats it is left out.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    try:
        data = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(data, dict) or not isinstance(data.get("title"), str):
        return None
    if not any(isinstance(data.get(name), dict) for name in _TAKEOUT_KEYS):
        return None
    taken_at = _taken(data.get("photoTakenTime"))
    latitude, longitude = _place(data)
    return Facts(
        taken_at=taken_at,
        taken_offset="+00:00" if taken_at else None,
        latitude=latitude,
        longitude=longitude,
        caption=_user_text(data.get("description")),
        keywords=unique_keywords(_people(data.get("people"))),
        title=_title(data["title"], photo),
    )


def _user_text(text: object) -> str | None:
    """A text without HTML escapes; None for placeholders that no person wrote."""
    if not isinstance(text, str) or is_placeholder(normalise(text)):
        return None
    return normalise(_unescaped(text))[:_MAX_LENGTH]


def _unescaped(text: str) -> str:
    """A text with the characters for which Google writes HTML escapes."""
    return _ESCAPES.sub(lambda match: _CHARACTERS[match[1]], text)


def _title(title: str, photo: str) -> str | None:
    """The title, unless it only repeats the photo's file name."""
    names = {photo, takeout_names.without_number(photo)}
    if original := takeout_names.original(photo):
        names |= {original, takeout_names.without_number(original)}
    known = {text.casefold() for name in names for text in (name, _stem(name))}
    folded = normalise(_unescaped(title)).casefold()
    if not known.isdisjoint({folded, _stem(folded)}):
        return None
    return _user_text(title)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _people(people: object) -> Iterable[str]:
    for person in people if isinstance(people, list) else ():
        if isinstance(person, dict) and isinstance(person.get("name"), str):
            yield person["name"]


def _taken(time: object) -> str | None:
    """The time in UTC, ISO 8601; Takeout gives seconds since 1970, negative ones too."""
    if isinstance(time, dict):
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            at = datetime(1970, 1, 1) + timedelta(seconds=int(time["timestamp"]))
            return at.isoformat()
    return None


def _place(data: Mapping[str, Any]) -> tuple[float | None, float | None]:
    for name in ("geoData", "geoDataExif"):
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            found = valid_coordinates(float(data[name]["latitude"]), float(data[name]["longitude"]))
            if found:
                return found
    return None, None
