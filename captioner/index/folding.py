"""Folding: the form in which words are indexed and compared, whatever their spelling.

Case and accents are folded, and compatibility forms unified (NFKC), so that "Österreich" is found
by "osterreich" in whichever normal form a file or a keyboard gives it. Scripts that put no spaces
between words are cut into single characters, at indexing and in queries alike: a query of two
characters then is a phrase of two tokens. Trigrams would need three, and 夜景 has two.
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
_HALVES = re.compile("[\ud800-\udfff\0]")
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]"
)
"""Characters that nobody sees, and few type: soft hyphens, joiners, directions, variations."""
_POSSESSIVE = re.compile("(?<=\\w)['\u2019\u02bc]s(?!\\w)")
_LATIN_BYTES = re.compile("[\udc80-\udcff]+")
"""Bytes of a name that are not UTF-8, as `os.fsdecode` gives them."""

_HIERARCHY = re.compile(r"\s*[|/\\]\s*")
"""What stands between the levels of a hierarchical keyword: Lightroom's "|", digiKam's "/"."""
_DEEPEST = 8
"""Levels of a keyword that are told apart; more are cut off."""

_PARTS = re.compile(r"\d+|[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-ZÀ-ÖØ-Þ])(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])")
_PREFIX = re.compile(
    r"^(?:/(?:home|Users|media|run/media)/[^/]+|/(?:root|mnt|Volumes|private|tmp|var)"
    r"|(?:[A-Za-z]:)?[\\/]Users[\\/][^\\/]+|[A-Za-z]:)(?=[\\/]|$)"
)
"""Home folders and mount points: folders that a person did not name for the photos in them."""


def fold(text: str) -> str:
    """A text without case, accents and compatibility forms."""
    text = _HALVES.sub(" ", text)
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold().translate(_LETTERS)
    text = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFKC", text)


def indexed(text: str) -> str:
    """A text as the full-text index gets it: folded, scripts without spaces cut up.

    "Grandma's" is the same as "Grandma": the endings of words do not matter, and this is one.
    """
    folded = _POSSESSIVE.sub("", fold(text))
    return folded if folded.isascii() else _UNSPACED.sub(r" \g<0> ", folded)


def joined(texts: Iterable[str]) -> str:
    """Several texts for one column of the full-text index."""
    return f" {BREAK} ".join(indexed(text.replace(BREAK, " ")) for text in texts if text.strip())


def quoted(words: str) -> str:
    """A phrase of FTS5, in which no character is an operator."""
    return '"' + indexed(words.replace(BREAK, " ")).replace('"', '""') + '"'


def keyword(word: str) -> str:
    """A keyword as it is compared: folded, with one sign between its levels."""
    levels = _HIERARCHY.split(fold(word))
    return "|".join(" ".join(level.split()) for level in levels if level.strip())


def keyword_parts(word: str) -> Iterator[str]:
    """What finds a keyword: itself, and each part of a hierarchy ("Places|Europe|Austria")."""
    levels = keyword(word).split("|")[:_DEEPEST]
    for start in range(len(levels)):
        for end in range(start + 1, len(levels) + 1):
            if part := "|".join(levels[start:end]):
                yield part


def name_words(path: bytes) -> str:
    """The names of a photo's file and folders, as words.

    "IMG_1234-grandma'sBirthday.jpg" is found by img, 1234, grandma and birthday. Folders count
    from below the home folder or the drive, which a person did not name for what they hold.
    """
    text = _LATIN_BYTES.sub(_latin, os.fsdecode(path))
    names = _PREFIX.sub("", _below_home(text)).replace("\\", "/").split("/")
    return joined(form for name in names if name for form in _forms(name))


def _latin(found: re.Match[str]) -> str:
    """Bytes that are not UTF-8 as Latin-1, in which old archives and cards are named."""
    return os.fsencode(found.group()).decode("cp1252", "replace")


def _forms(name: str) -> Iterator[str]:
    """A name as it stands and, where that differs, cut at changes of case and at digits."""
    yield name
    cut = " ".join(piece for part in _PARTS.findall(composed(name)) for piece in _HUMP.split(part))
    if cut.split() != re.findall(r"[^\W_]+", composed(name)):
        yield cut


def composed(name: str) -> str:
    """A name with its case, in the composed form in which letters are one character each."""
    return unicodedata.normalize("NFC", _HALVES.sub(" ", name))


@lru_cache(maxsize=1)
def _home() -> str:
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises where there is none)
    return "" if home in {"~", "/", ""} else home.rstrip("/\\")


def _below_home(path: str) -> str:
    home = _home()
    if home and path.startswith(home) and path[len(home) : len(home) + 1] in {"/", os.sep}:
        return path[len(home) :]
    return path
