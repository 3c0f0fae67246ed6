"""Parsing of search queries: words, "quoted phrases" and -exclusions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from captioner.errors import UsageError

_STOP_WORDS = frozenset(
    "a an and are as at be by for from has in is it its of on or that the their there this to was"
    " were with".split()
)
_TOKEN = re.compile(r'((?<!\S)-(?=\w|"[^"]*[^\s"]))?(?:"([^"]*)"?|([^\s"]+))')
"""An optional minus, then a quoted phrase or a word."""
_CURLY_QUOTES = str.maketrans("“”„", '"""')


class ParsedQuery(NamedTuple):
    """A search query, parsed."""

    text: str
    """All that is asked for, without quotes and exclusions."""
    words: list[str]
    phrases: list[str]
    """What was in double quotes."""
    excluded: list[str]
    """Words and phrases with a minus before them."""

    def keywords(self) -> list[str]:
        """Its words, quoted ones too, each once, without stop words unless there are no others."""
        # Half of all captions contain "a" or "on", which are not selective.
        words = list(dict.fromkeys(self.text.split()))
        return [w for w in words if w.lower().strip(",.;:!?") not in _STOP_WORDS] or words


def parse_query(query: str) -> ParsedQuery:
    """Split a query into words, phrases and exclusions; an open quote ends with the query.

    Raises
    ------
    UsageError
        If nothing is left but spaces and quotes.
    """
    words: list[str] = []
    phrases: list[str] = []
    excluded: list[str] = []
    included: list[str] = []
    for minus, phrase, word in _TOKEN.findall(_clean(query)):
        if minus and (phrase.strip() or word):
            excluded.append(phrase or word)
        elif phrase.strip() or word:
            included.append(phrase or word)
            (phrases if phrase else words).append(phrase or word)
    if not (included or excluded):
        raise UsageError(
            "the query is empty.", "Say what the photo shows: captioner search dog on a beach."
        )
    return ParsedQuery(" ".join(" ".join(included).split()), words, phrases, excluded)


def replace_words(query: str, replace: Callable[[str], str]) -> str:
    """A query whose plain words are replaced; phrases and exclusions stay the same."""

    def replaced(token: re.Match[str]) -> str:
        minus, _, word = token.groups()
        return token.group() if minus or not word else replace(word)

    return _TOKEN.sub(replaced, _clean(query))


def _clean(query: str) -> str:
    # SQLite takes neither lone surrogates (of an argument that is not text) nor zero bytes.
    return query.encode("utf-8", "ignore").decode().replace("\0", " ").translate(_CURLY_QUOTES)
