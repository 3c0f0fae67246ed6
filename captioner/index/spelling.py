"""Spelling: what somebody may have meant by a word that no photo has."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from difflib import SequenceMatcher, get_close_matches

from captioner.index.query import parse
from captioner.index.words import holds

CLOSE = 0.8
"""Likeness from which a word may be meant: twice the letters in common, over those of both."""

_WORD = re.compile(r"[^\W\d_]{3,}")


def respell(
    connection: sqlite3.Connection, query: str, knows: Callable[[str], bool]
) -> tuple[str, dict[str, str]]:
    """A query whose unknown words are replaced by the nearest that some photo's texts have.

    Parameters
    ----------
    knows
        Whether the model knows a word; those in texts, with whatever ending, are known as well.
        Quoted words are taken as they stand.

    Returns
    -------
    The query, and what it now says in place of what.
    """
    instead: dict[str, str] = {}
    for word in dict.fromkeys(_WORD.findall(" ".join(parse(query).words))):
        if not (knows(word) or holds(connection, word)) and (near := _nearest(connection, word)):
            instead[word] = near
            query = re.sub(rf"\b{word}\b", near, query)
    return query, instead


def _nearest(connection: sqlite3.Connection, word: str) -> str | None:
    for name, kind in (("terms", "row"), ("instances", "instance")):
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{name} "
            f"USING fts5vocab (main, texts_fts, {kind})"
        )
    import snowballstemmer  # here alone, as few words need it

    stem = snowballstemmer.stemmer("porter").stemWord(word.lower())
    # Hands seldom miss the first letter, and to read all terms takes ten times as long.
    terms = connection.execute(
        "SELECT term FROM temp.terms WHERE term >= ? AND term < ?", [stem[0], chr(ord(stem[0]) + 1)]
    ).fetchall()
    found = get_close_matches(stem, [term for (term,) in terms], n=1, cutoff=CLOSE)
    return _written_out(connection, found[0]) if found else None


def _written_out(connection: sqlite3.Connection, term: str) -> str:
    """A stem as the first text that has it spells it."""
    texts = connection.execute(
        "SELECT caption, others, keywords FROM texts WHERE photo = "
        "(SELECT doc FROM temp.instances WHERE term = ? LIMIT 1)",
        [term],
    ).fetchone()
    candidates = _WORD.findall(" ".join(texts).lower())
    return max(candidates, key=lambda one: SequenceMatcher(None, term, one).ratio(), default=term)
