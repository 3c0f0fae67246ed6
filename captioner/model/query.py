"""The query side of search: a few words against many photos, in NumPy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captioner.model.bundle import CONCEPTS, JOINT, LEXICON, WORDS, Bundle
from captioner.model.concepts import Concepts, log_any
from captioner.model.heads import JointSpace, WordHead, log_probability
from captioner.model.vocabulary import stem, words
from captioner.places import bundle_folder
from captioner.types import FloatArray, QueryPlan, QueryPlanner, SearchVectors

# Log odds that somebody who describes a photo uses all words of a query: logistic regressions on
# 771 queries of one word to whole sentences against the five captions of each of Flickr8k's 1,000
# dev photos. `n` words; word evidence as its mean over them; cosine in the joint space.
_BOTH = {"offset": 0.945, "words": 0.871, "log n": -4.72, "cosine log n": 8.131}
_WORDS_ALONE = {"offset": 1.433, "words": 1.006, "log n": -3.235}
_COSINE_ALONE = {"offset": -4.761, "cosine": 10.476, "log n": -1.658}

_OTHER_LETTERS = re.compile(r"\w*[^\W\x00-\x7f]\w*")
"""A word with a letter that English does not have."""


def load_rank(
    bundle: Path | None = None, settings: Mapping[str, float] | None = None
) -> tuple[str, QueryPlanner]:
    """The model's id and its ranking function; reads a few MiB and no engine.

    Parameters
    ----------
    settings
        In place of the bundle's own, for measuring what each part is worth.
    """
    opened = Bundle.open(bundle_folder(bundle))
    lexicon = opened.json(LEXICON)
    head = WordHead(opened.arrays(WORDS), lexicon["stems"], lexicon["surfaces"])
    space = JointSpace(opened.arrays(JOINT), lexicon["words"])
    concepts = Concepts(opened.json(CONCEPTS))
    chosen = {**opened.manifest["search"], **(settings or {})}
    return opened.model_id, ranking(head, space, concepts, chosen)


def ranking(
    head: WordHead, space: JointSpace, concepts: Concepts, settings: Mapping[str, float]
) -> QueryPlanner:
    """Words and joint space fused: each standardised over the photos, then weighted.

    Short queries name things, and the word head knows things best; a whole sentence is better
    placed in the joint space. So the joint space's share grows with the number of words, from
    `joint_short` at two words and fewer to `joint_long` at eight and more.

    Words are taken term by term. A term's evidence is the log-probability of its stems, and of any
    concept that it means; where it has both, the concepts count for the share `concepts`, where it
    has one, that counts in full. All are chosen on dev.
    """
    of_concepts = settings.get("concepts", 0.0)

    def rank(query: str) -> QueryPlan | None:
        query = _english(query)
        asked = words(query)
        place = space.text([asked]).T
        if not place.any():
            place = place[:, :0]
        parts = _parts(head, concepts, query, of_concepts)
        length = float(np.clip((len(asked) - 2) / 6, 0, 1))
        share = settings["joint_short"] * (1 - length) + settings["joint_long"] * length
        shares = [share] * place.shape[1] + [1 - share] * bool(parts)
        if not shares:
            return None
        if len(shares) == 1:
            shares = [1]  # a measure that has no other beside it counts in full
        kernels = [part.kernel for part in parts] or [head.things(())[0]]

        def evidence(cosine: FloatArray, logits: FloatArray) -> FloatArray:
            return np.hstack([cosine, _seen(parts, logits)]) if parts else cosine

        known = {word for word in asked if head.knows(word) or space.text([[word]]).any()}
        log_odds = _log_odds(max(1, len(known)), joint=place.shape[1] > 0, words=bool(parts))
        return QueryPlan(
            place, np.hstack(kernels), evidence, np.array(shares, np.float32), log_odds
        )

    return rank


def _english(query: str) -> str:
    """A query without accents, and without words that the model cannot know.

    Their pieces are no words: "straße" would be asked as "stra" and "e".
    """
    if query.isascii():
        return query
    letters = (c for c in unicodedata.normalize("NFKD", query) if not unicodedata.combining(c))
    return _OTHER_LETTERS.sub(" ", "".join(letters).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def _log_odds(count: int, *, joint: bool, words: bool) -> Callable[[FloatArray], FloatArray]:
    """Calibrated log odds of a query of `count` known words, of the measures that it has."""
    fitted = _BOTH if joint and words else _WORDS_ALONE if words else _COSINE_ALONE
    log_count = float(np.log(count))
    of_cosine = fitted.get("cosine", 0) + fitted.get("cosine log n", 0) * log_count
    of_words = fitted.get("words", 0) / count
    slopes = [of_cosine] * joint + [of_words] * words
    offset = fitted["offset"] + fitted["log n"] * log_count

    def log_odds(evidence: FloatArray) -> FloatArray:
        out: FloatArray = evidence @ np.array(slopes, np.float32) + np.float32(offset)
        return out

    return log_odds


class _Part(NamedTuple):
    """What some columns of the word head say of a query, together."""

    kernel: FloatArray
    """(H, columns)."""
    bias: FloatArray
    share: float
    """What it counts in the sum."""
    measure: Callable[[FloatArray], FloatArray]
    """Logits (N, columns) → evidence (N,)."""


def _parts(head: WordHead, concepts: Concepts, query: str, of_concepts: float) -> list[_Part]:
    """The stems of each term of a query, and the concepts and kinds that it means."""
    parts: list[_Part] = []
    said: set[str] = set()
    for term in concepts.terms(query, head.knows):
        new = [word for word in term.words if stem(word) not in said]
        said.update(map(stem, new))
        spoken, things = head.stems(new), head.things(term.rows if new else ())
        share = of_concepts if things[1].size else 0
        if not spoken[1].size:
            share = 1
        parts += [_Part(*spoken, 1 - share, _all_of), _Part(*things, share, log_any)]
    return [part for part in parts if part.share and part.bias.size]


def _seen(parts: Sequence[_Part], logits: FloatArray) -> FloatArray:
    """Evidence (N, 1) that photos show all of the terms, of logits (N, columns) without bias."""
    out = np.zeros((len(logits), 1), np.float32)
    at = 0
    for part in parts:
        columns = slice(at, at := at + part.bias.size)
        out[:, 0] += part.share * part.measure(logits[:, columns] + part.bias)
    return out


def _all_of(logits: FloatArray) -> FloatArray:
    return log_probability(logits).sum(axis=1)


def score_all(look: QueryPlan | None, vectors: SearchVectors) -> FloatArray:
    """Stacked photos (N rows) against a query: (N,), comparable only within one call.

    Zeros where the model knows none of the query's words.
    """
    if look is None:
        return np.zeros(len(vectors.embedding), np.float32)
    evidence = look.measures(vectors)
    standard = (evidence - evidence.mean(axis=0)) / (evidence.std(axis=0) + 1e-6)
    return standard @ look.measure_weights
