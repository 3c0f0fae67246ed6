"""Tokenisation: sentences to words, and words to token numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

PAD, START, END, UNKNOWN = range(4)
SPECIAL_TOKENS = ("<pad>", "<start>", "<end>", "<unknown>")
"""No word can collide with them: `words` never yields an angle bracket."""
OTHER_STYLE = UNKNOWN
"""In place of START: the caption that follows is in the style of the extra data."""

_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")
_POSSESSIVE = re.compile(r"(?<=\w)\s+'s\b")


def words(text: str) -> list[str]:
    """Plain lower-case words without punctuation; "t-shirt" and "dog's" are one word each."""
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _WORD.findall(_POSSESSIVE.sub("'s", text))


def sentence(tokens: Sequence[str]) -> str:
    """Words as a clean sentence: capital first, full stop last. Empty for no words."""
    text = " ".join(tokens)
    return text[:1].upper() + text[1:] + "." if text else ""


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The Porter stem of a lower-case word, the same as SQLite's porter tokenizer yields."""
    return _stemmer().stemWord(word)


@lru_cache(maxsize=1)
def _stemmer():  # type: ignore[no-untyped-def]
    import snowballstemmer

    return snowballstemmer.stemmer("porter")


class Vocabulary:
    """The words that a decoder reads and generates, and their token numbers.

    Parameters
    ----------
    tokens
        The four special tokens, then the words, most frequent first.

    Raises
    ------
    ValueError
        If the special tokens are missing or a word is there twice.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if tuple(tokens[:4]) != SPECIAL_TOKENS or len(set(tokens)) != len(tokens):
            raise ValueError(
                "a vocabulary begins with the four special tokens and has each word once"
            )
        self.tokens = tuple(tokens)
        self._ids = {token: number for number, token in enumerate(self.tokens)}

    @classmethod
    def from_captions(cls, captions: Iterable[str], minimum: int = 5) -> Vocabulary:
        """The words that training captions use at least `minimum` times."""
        counts = Counter(word for caption in captions for word in words(caption))
        frequent = sorted((-n, word) for word, n in counts.items() if n >= minimum)
        return cls([*SPECIAL_TOKENS, *(word for _, word in frequent)])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def encode(self, caption: str, length: int) -> npt.NDArray[np.int32]:
        """START, the words, END, then PAD: int32 (length,). A long caption is cut off."""
        body = [self._ids.get(word, UNKNOWN) for word in words(caption)][: length - 2]
        row = np.full(length, PAD, np.int32)
        row[: len(body) + 2] = [START, *body, END]
        return row

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The words of a row of token numbers, up to END, without special tokens."""
        out: list[str] = []
        for number in ids:
            if number == END:
                break
            if number >= len(SPECIAL_TOKENS):
                out.append(self.tokens[number])
        return out
