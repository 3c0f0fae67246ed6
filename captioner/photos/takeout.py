"""What Google Takeout's JSON says about a photo."""

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

_LONGEST_TEXT = 10_000
_ESCAPES = re.compile("&(amp|lt|gt|quot|#39);")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "#39": "'"}
_MARKS = ("photoTakenTime", "geoData", "geoDataExif", "googlePhotosOrigin", "creationTime")


def read(content: bytes, photo: str) -> Facts | None:
    """What a JSON file says about a photo of some name; None where it is not one of Takeout's.

    Raises
    ------
    ValueError
        Where it is not JSON at all.
    """
    try:
        data = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(data, dict) or not isinstance(data.get("title"), str):
        return None
    if not any(isinstance(data.get(name), dict) for name in _MARKS):
        return None
    taken_at = _taken(data.get("photoTakenTime"))
    latitude, longitude = _place(data)
    return Facts(
        taken_at=taken_at,
        taken_offset="+00:00" if taken_at else None,
        latitude=latitude,
        longitude=longitude,
        caption=_person(data.get("description")),
        keywords=unique_keywords(_people(data.get("people"))),
        title=_title(data["title"], photo),
    )


def _person(text: object) -> str | None:
    if not isinstance(text, str) or is_placeholder(normalise(text)):
        return None
    return normalise(_unescaped(text))[:_LONGEST_TEXT]


def _unescaped(text: str) -> str:
    """A text without the escapes that Google puts for what would mean something in HTML."""
    return _ESCAPES.sub(lambda found: _CHARACTERS[found[1]], text)


def _title(title: str, photo: str) -> str | None:
    """A title that says more than the photo's own name does."""
    names = {photo, takeout_names.plain(photo)}
    if original := takeout_names.original(photo):
        names |= {original, takeout_names.plain(original)}
    same = {one.casefold() for name in names for one in (name, _stem(name))}
    plain = normalise(_unescaped(title)).casefold()
    if not same.isdisjoint({plain, _stem(plain)}):
        return None
    return _person(title)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _people(people: object) -> Iterable[str]:
    for person in people if isinstance(people, list) else ():
        if isinstance(person, dict) and isinstance(person.get("name"), str):
            yield person["name"]


def _taken(time: object) -> str | None:
    """A moment in UTC; Takeout gives seconds since 1970, also before."""
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
