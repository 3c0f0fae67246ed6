"""What a person types into a search, cut into pieces that no longer can be misunderstood."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from captioner.errors import UsageError

_FUNCTION_WORDS = frozenset(
    "a an and are as at be by for from has in is it its of on or that the their there this to was"
    " were with".split()
)
_PIECE = re.compile(r'((?<!\S)-(?=\w|"[^"]*[^\s"]))?(?:"([^"]*)"?|([^\s"]+))')
"""A minus before it or none; a quoted phrase, or a word."""
_CURLY_QUOTES = str.maketrans("“”„", '"""')


class Query(NamedTuple):
    """A query cut into its pieces."""

    text: str
    """All that is asked for, without the quotes."""
    words: list[str]
    phrases: list[str]
    """What stood in double quotes."""
    excluded: list[str]
    """Words and phrases with a minus before them."""

    def telling(self) -> list[str]:
        """Its words, quoted ones too, each once; function words only where there are no others."""
        # Half of all captions hold "a" or "on", and say nothing by it.
        words = list(dict.fromkeys(self.text.split()))
        return [w for w in words if w.lower().strip(",.;:!?") not in _FUNCTION_WORDS] or words


def parse(query: str) -> Query:
    """Cut a query into words, phrases and exclusions; an open quote ends with the query.

    Raises
    ------
    UsageError
        Where nothing is left but spaces and quotes.
    """
    words: list[str] = []
    phrases: list[str] = []
    excluded: list[str] = []
    asked: list[str] = []
    for minus, phrase, word in _PIECE.findall(_clean(query)):
        if minus and (phrase.strip() or word):
            excluded.append(phrase or word)
        elif phrase.strip() or word:
            asked.append(phrase or word)
            (phrases if phrase else words).append(phrase or word)
    if not (asked or excluded):
        raise UsageError(
            "the query is empty.", "Say what the photo shows: captioner search dog on a beach."
        )
    return Query(" ".join(" ".join(asked).split()), words, phrases, excluded)


def replace_words(query: str, replace: Callable[[str], str]) -> str:
    """A query whose plain words are replaced; phrases and exclusions stay as they are."""

    def piece(found: re.Match[str]) -> str:
        minus, _, word = found.groups()
        return found.group() if minus or not word else replace(word)

    return _PIECE.sub(piece, _clean(query))


def _clean(query: str) -> str:
    # Neither half a character (an argument that is no text) nor a zero byte can reach SQLite.
    return query.encode("utf-8", "ignore").decode().replace("\0", " ").translate(_CURLY_QUOTES)
