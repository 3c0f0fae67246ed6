"""Spelling correction: the nearest indexed word for a word that no photo has."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from difflib import SequenceMatcher, get_close_matches

from captioner.index.fulltext import is_indexed
from captioner.index.normalisation import normalise
from captioner.index.query_parser import parse_query, replace_words

MIN_SIMILARITY = 0.8
"""Of a correction: twice the letters in common over those of both words, as of `difflib`."""

_TABLES = {
    "texts": "caption, others, keywords",
    "person_texts": "caption, title, keywords, name",
}
"""The tables of full-text documents, and their columns."""
_WORD = re.compile(r"[^\W\d_]{3,}")


def respell(
    connection: sqlite3.Connection, query: str, is_known: Callable[[str], bool]
) -> tuple[str, dict[str, str]]:
    """Replace the unknown words of a query by the nearest in documents or names.

    Parameters
    ----------
    is_known
        Whether the model knows a word; those in documents, with any ending, are known as well.
        Quoted phrases and exclusions are left alone.

    Returns
    -------
    The query, and the replacement of each word that was replaced.
    """
    corrections: dict[str, str] = {}
    for word in dict.fromkeys(_WORD.findall(" ".join(parse_query(query).words))):
        if not (is_known(word) or is_indexed(connection, word)) and (
            nearest := _nearest(connection, word)
        ):
            corrections[word] = nearest
    if not corrections:
        return query, corrections
    misspelled = re.compile(rf"\b(?:{'|'.join(map(re.escape, corrections))})\b")

    def correct(word: str) -> str:
        return misspelled.sub(lambda found: corrections[found.group()], word)

    return replace_words(query, correct), corrections


def _nearest(connection: sqlite3.Connection, word: str) -> str | None:
    import snowballstemmer  # loaded only for unknown words

    normalised = normalise(word)
    stem = snowballstemmer.stemmer("porter").stemWord(normalised)
    terms: dict[str, str] = {}
    for table in _TABLES:
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{table}_terms "
            f"USING fts5vocab (main, {table}_fts, row)"
        )
        # The first letter is seldom wrong, and reading all terms takes ten times as long.
        for (term,) in connection.execute(
            f"SELECT term FROM temp.{table}_terms WHERE term >= ? AND term < ?",
            [stem[0], chr(min(ord(stem[0]) + 1, 0x10FFFF))],
        ):
            terms.setdefault(term, table)
    found = get_close_matches(stem, terms, n=1, cutoff=MIN_SIMILARITY)
    return _unstem(connection, found[0], terms[found[0]]) if found else None


def _unstem(connection: sqlite3.Connection, term: str, table: str) -> str:
    """A stem as the first document with it spells it."""
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
