"""What a person types into a search, cut into pieces that no longer can be misunderstood."""

from __future__ import annotations

import re
from typing import NamedTuple

from captioner.errors import UsageError

_FUNCTION_WORDS = frozenset(
    "a an and are as at be by for from has in is it its of on or that the their there this to was"
    " were with".split()
)
_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_CURLY_QUOTES = str.maketrans("“”„", '"""')


class Query(NamedTuple):
    """A query cut into its pieces."""

    text: str
    """All of it, without the quotes."""
    words: list[str]
    phrases: list[str]
    """What stood in double quotes."""

    def telling(self) -> list[str]:
        """Its words, quoted ones too, each once; function words only where there are no others."""
        # Half of all captions hold "a" or "on", and say nothing by it.
        words = list(dict.fromkeys(self.text.split()))
        return [w for w in words if w.lower().strip(",.;:!?") not in _FUNCTION_WORDS] or words


def parse(query: str) -> Query:
    """Cut a query into words and quoted phrases; a quote that is left open ends with the query.

    Raises
    ------
    UsageError
        Where nothing is left but spaces and quotes.
    """
    # Neither half a character (an argument that is no text) nor a zero byte can reach SQLite.
    text = query.encode("utf-8", "ignore").decode().replace("\0", " ").translate(_CURLY_QUOTES)
    pieces = _PIECE.findall(text)
    phrases = [phrase for phrase, _ in pieces if phrase.strip()]
    words = [word for _, word in pieces if word]
    if not (words or phrases):
        raise UsageError(
            "the query is empty.", "Say what the photo shows: captioner search dog on a beach."
        )
    return Query(" ".join(text.replace('"', " ").split()), words, phrases)
