"""Text normalisation: the form in which words are indexed and compared.

Case is folded, accents are removed and compatibility forms unified (Unicode NFKC), so that
"Österreich" is found by "osterreich" in whichever normal form a file or a keyboard gives it.
Scripts without spaces between words are split into single characters, in the index and in queries:
a query of two characters is then a phrase of two tokens. Trigrams would need three, and 夜景 has
two.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

BREAK = "\ue000"
"""A token between two texts of one column, so that no phrase matches across them."""

_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
"""Combining marks that may be left out: of Latin, Greek, Cyrillic, Hebrew and Arabic."""
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe"})
"""Letters that a keyboard without them replaces, and that Unicode does not decompose."""
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u109f"  # Tibetan, Myanmar
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"  # Korean: particles are joined to words
    "\u1780-\u17ff"  # Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\U00020000-\U0003ffff"
    "\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, Bopomofo
    "]"
)
_SURROGATES = re.compile("[\ud800-\udfff\0]")
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]"
)
"""Invisible characters: soft hyphens, joiners, writing directions, variation selectors."""
_POSSESSIVE = re.compile("(?<=\\w)['\u2019\u02bc]s(?!\\w)")
_LATIN_BYTES = re.compile("[\udc80-\udcff]+")
"""Bytes of a name that are not UTF-8, as `os.fsdecode` gives them."""

_HIERARCHY = re.compile(r"\s*[|/\\]\s*")
"""The separators of hierarchical keywords: Lightroom's "|", digiKam's "/"."""
_MAX_LEVELS = 8
"""Levels of a keyword that count; further ones are ignored."""

_PARTS = re.compile(r"\d+|[^\W\d_]+")
_CASE_CHANGE = re.compile(
    r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-ZÀ-ÖØ-Þ])(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])"
)
_PREFIX = re.compile(
    r"^(?:/(?:home|Users|media|run/media)/[^/]+|/(?:root|mnt|Volumes|private|tmp|var)"
    r"|(?:[A-Za-z]:)?[\\/]Users[\\/][^\\/]+|[A-Za-z]:)(?=[\\/]|$)"
)
"""Home folders and mount points, which nobody named for the photos in them."""


def normalise(text: str) -> str:
    """A text without case, accents and compatibility forms."""
    text = _SURROGATES.sub(" ", text)
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold().translate(_LETTERS)
    text = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFKC", text)


def tokenise(text: str) -> str:
    """A text for FTS5's tokenizer: normalised, scripts without spaces split into characters.

    "Grandma's" becomes "grandma", as FTS5's stemmer removes other endings.
    """
    plain = _POSSESSIVE.sub("", normalise(text))
    return plain if plain.isascii() else _UNSPACED.sub(r" \g<0> ", plain)


def join_texts(texts: Iterable[str]) -> str:
    """Several texts as one column of a full-text document."""
    return f" {BREAK} ".join(tokenise(text.replace(BREAK, " ")) for text in texts if text.strip())


def fts_phrase(words: str) -> str:
    """A quoted FTS5 phrase, in which no character is an operator."""
    return '"' + tokenise(words.replace(BREAK, " ")).replace('"', '""') + '"'


def normalise_keyword(word: str) -> str:
    """A keyword as it is compared: normalised, with "|" between its levels."""
    levels = _HIERARCHY.split(normalise(word))
    return "|".join(" ".join(level.split()) for level in levels if level.strip())


def keyword_paths(word: str) -> Iterator[str]:
    """What finds a keyword: itself, and each part of its hierarchy ("Places|Europe|Austria")."""
    levels = normalise_keyword(word).split("|")[:_MAX_LEVELS]
    for start in range(len(levels)):
        for end in range(start + 1, len(levels) + 1):
            if part := "|".join(levels[start:end]):
                yield part


def path_words(path: bytes) -> str:
    """The words in the names of a photo's file and folders, for the full-text index.

    "IMG_1234-grandma'sBirthday.jpg" is found by img, 1234, grandma and birthday. The home
    folder, mount points and what is above them do not count.
    """
    text = _LATIN_BYTES.sub(_latin, os.fsdecode(path))
    names = _PREFIX.sub("", _below_home(text)).replace("\\", "/").split("/")
    return join_texts(form for name in names if name for form in _forms(name))


def _latin(found: re.Match[str]) -> str:
    """Bytes that are not UTF-8, decoded as Latin-1, which old archives and memory cards use."""
    return os.fsencode(found.group()).decode("cp1252", "replace")


def _forms(name: str) -> Iterator[str]:
    """A name and, if that differs, the name split at changes of case and at digits."""
    yield name
    split = " ".join(
        piece for part in _PARTS.findall(to_nfc(name)) for piece in _CASE_CHANGE.split(part)
    )
    if split.split() != re.findall(r"[^\W_]+", to_nfc(name)):
        yield split


def to_nfc(name: str) -> str:
    """A name in composed form (NFC), in which each letter is one character."""
    return unicodedata.normalize("NFC", _SURROGATES.sub(" ", name))


@lru_cache(maxsize=1)
def _home() -> str:
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises if there is none)
    return "" if home in {"~", "/", ""} else home.rstrip("/\\")


def _below_home(path: str) -> str:
    home = _home()
    if home and path.startswith(home) and path[len(home) : len(home) + 1] in {"/", os.sep}:
        return path[len(home) :]
    return path
