"""Spelling: what somebody may have meant by a word that no photo has."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from difflib import SequenceMatcher, get_close_matches

from captioner.index.folding import fold
from captioner.index.query import parse, replace_words
from captioner.index.words import holds

CLOSE = 0.8
"""Likeness from which a word may be meant: twice the letters in common, over those of both."""

_TABLES = {
    "texts": "caption, others, keywords",
    "person_texts": "caption, title, keywords, name",
}
"""The tables with the texts of photos, and their columns."""
_WORD = re.compile(r"[^\W\d_]{3,}")


def respell(
    connection: sqlite3.Connection, query: str, knows: Callable[[str], bool]
) -> tuple[str, dict[str, str]]:
    """A query whose unknown words are replaced by the nearest that texts or names have.

    Parameters
    ----------
    knows
        Whether the model knows a word; those in texts, with whatever ending, are known as well.
        What is quoted or excluded is taken as it stands.

    Returns
    -------
    The query, and what it now says in place of what.
    """
    instead: dict[str, str] = {}
    for word in dict.fromkeys(_WORD.findall(" ".join(parse(query).words))):
        if not (knows(word) or holds(connection, word)) and (near := _nearest(connection, word)):
            instead[word] = near
    if not instead:
        return query, instead
    wrong = re.compile(rf"\b(?:{'|'.join(map(re.escape, instead))})\b")

    def mend(word: str) -> str:
        return wrong.sub(lambda found: instead[found.group()], word)

    return replace_words(query, mend), instead


def _nearest(connection: sqlite3.Connection, word: str) -> str | None:
    import snowballstemmer  # here alone, as few words need it

    folded = fold(word)
    stem = snowballstemmer.stemmer("porter").stemWord(folded)
    terms: dict[str, str] = {}
    for table in _TABLES:
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{table}_terms "
            f"USING fts5vocab (main, {table}_fts, row)"
        )
        # Hands seldom miss the first letter, and to read all terms takes ten times as long.
        for (term,) in connection.execute(
            f"SELECT term FROM temp.{table}_terms WHERE term >= ? AND term < ?",
            [stem[0], chr(min(ord(stem[0]) + 1, 0x10FFFF))],
        ):
            terms.setdefault(term, table)
    found = get_close_matches(stem, terms, n=1, cutoff=CLOSE)
    return _written_out(connection, found[0], terms[found[0]]) if found else None


def _written_out(connection: sqlite3.Connection, term: str, table: str) -> str:
    """A stem as the first text that has it spells it."""
    connection.execute(
        f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{table}_instances "
        f"USING fts5vocab (main, {table}_fts, instance)"
    )
    texts = connection.execute(
        f"SELECT {_TABLES[table]} FROM {table} WHERE photo = "
        f"(SELECT doc FROM temp.{table}_instances WHERE term = ? LIMIT 1)",
        [term],
    ).fetchone()
    candidates = _WORD.findall(" ".join(texts).lower())
    return max(candidates, key=lambda one: SequenceMatcher(None, term, one).ratio(), default=term)
