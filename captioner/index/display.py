"""The display caption of a photo: the one place that decides which of its texts is shown."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from captioner.keywords import keyword_order
from captioner.types import Keyword, keyword_text

Kind = Literal["sentence", "keywords"]
Source = Literal["person", "model"]
CaptionRow = tuple[str, Source, float | None]
"""A caption in the index: its text, its source, and a model's confidence in it."""

_BEST_FIRST = "source = 'person' DESC, rank"
"""SQL order of a photo's captions: human-authored before the model's, which come best first."""
CAPTIONS = f"""
    SELECT photo, text, source, round(score, 4) FROM captions WHERE photo %s
    ORDER BY photo, {_BEST_FIRST}
"""
"""The captions of the photos that a condition selects, best first: rows of photo, `CaptionRow`."""
JOIN_BEST_CAPTION = f"""
    LEFT JOIN captions ON captions.id = (
        SELECT id FROM captions WHERE photo = photos.id ORDER BY {_BEST_FIRST} LIMIT 1
    )
"""
"""Joins each photo with the best of its captions in the index, NULL if there is none."""
_IN_LIST = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class DisplayCaption:
    """The caption shown for a photo, and where it comes from."""

    text: str
    """Empty if there is none."""
    kind: Kind | None
    """What it is: keywords if the model trusts no sentence; None if there is nothing."""
    source: Source | None
    """Who wrote it; None if there is nothing."""
    confidence: float | None
    """How likely a model's sentence is to fit, 0 to 1; None for anything else."""


@dataclass(frozen=True, slots=True)
class KeywordEdits:
    """What a person changed in the keywords of a photo, in the order of the changes."""

    added: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    """The model's that are wrong, and left out everywhere."""


_NO_EDITS = KeywordEdits()


def choose(
    captions: Sequence[CaptionRow],
    in_file: str | None,
    edited_keywords: Sequence[str],
    keywords: Iterable[str],
) -> DisplayCaption:
    """Choose the caption to show.

    Human-authored captions come first: those in the index, then those in the photo's file or a
    sidecar. Then comes the model's best sentence, and last keywords: a person's, else the model's.

    Parameters
    ----------
    captions
        Those in the index, best first.
    in_file
        The caption in the photo's file or a sidecar.
    edited_keywords
        A person's, in the index.
    keywords
        The model's, in their order.
    """
    if in_file and (not captions or captions[0][1] != "person"):
        return DisplayCaption(in_file, "sentence", "person", None)
    if captions:
        text, source, confidence = captions[0]
        return DisplayCaption(text, "sentence", source, confidence)
    if edited_keywords:
        return DisplayCaption(keyword_text(edited_keywords), "keywords", "person", None)
    words = keyword_text(keywords)
    if words:
        return DisplayCaption(words, "keywords", "model", None)
    return DisplayCaption("", None, None, None)


def display_captions(
    connection: sqlite3.Connection, photos: Iterable[int]
) -> dict[int, DisplayCaption]:
    """The display captions of photos, by their ids."""
    wanted = list(photos)
    ids = json.dumps(wanted)
    captions: dict[int, list[CaptionRow]] = {}
    for photo, text, source, confidence in connection.execute(CAPTIONS % _IN_LIST, [ids]):
        captions.setdefault(photo, []).append((text, source, confidence))
    in_files = dict(
        connection.execute(
            f"SELECT photo, caption FROM facts WHERE photo {_IN_LIST}", [ids]
        ).fetchall()
    )
    keywords = model_keywords(connection, wanted)
    edits = keyword_edits(connection, wanted)
    return {
        photo: choose(
            captions.get(photo, ()),
            in_files.get(photo),
            edits.get(photo, _NO_EDITS).added,
            (keyword.word for keyword in keywords[photo]),
        )
        for photo in wanted
    }


def model_keywords(
    connection: sqlite3.Connection, photos: Iterable[int]
) -> dict[int, list[Keyword]]:
    """The model's keywords of each photo, in their order, without those that a person rejected."""
    found: dict[int, list[Keyword]] = {photo: [] for photo in photos}
    for photo, word, probability in connection.execute(
        f"SELECT photo, word, round(probability, 4) FROM model_keywords WHERE photo {_IN_LIST}",
        [json.dumps(list(found))],
    ):
        found[photo].append(Keyword(word, probability))
    for keywords in found.values():
        keywords.sort(key=lambda one: keyword_order(one.word, one.probability))
    return found


def keyword_edits(connection: sqlite3.Connection, photos: Iterable[int]) -> dict[int, KeywordEdits]:
    """What a person changed in the keywords of photos, by their ids; nothing where nothing was."""
    found: dict[int, tuple[list[str], list[str]]] = {}
    for photo, word, rejected in connection.execute(
        f"SELECT photo, word, rejected FROM keyword_edits WHERE photo {_IN_LIST} ORDER BY id",
        [json.dumps(list(photos))],
    ):
        found.setdefault(photo, ([], []))[bool(rejected)].append(word)
    return {
        photo: KeywordEdits(tuple(added), tuple(rejected))
        for photo, (added, rejected) in found.items()
    }
