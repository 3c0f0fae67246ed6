"""Query planning: how photos are scored against the words of a query, in NumPy alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captioner.app_paths import bundle_folder
from captioner.fusion import ScoreFusion
from captioner.model.bundle import CONCEPTS, JOINT, LEXICON, WORDS, Bundle
from captioner.model.concepts import Concepts, log_any
from captioner.model.heads import JointSpace, WordHead, log_probability
from captioner.model.vocabulary import stem, words
from captioner.types import FloatArray, QueryPlan, QueryPlanner, SearchVectors

# Log odds that a person who captions a photo uses all words of a query: logistic regressions on
# 771 queries, from one word to whole sentences, against the five captions of each of Flickr8k's
# 1,000 dev photos. `n` words; word evidence as its mean over them; cosine in the joint space.
_BOTH = {"offset": 0.945, "words": 0.871, "log n": -4.72, "cosine log n": 8.131}
_WORDS_ALONE = {"offset": 1.433, "words": 1.006, "log n": -3.235}
_COSINE_ALONE = {"offset": -4.761, "cosine": 10.476, "log n": -1.658}

_NON_ENGLISH_WORD = re.compile(r"\w*[^\W\x00-\x7f]\w*")
"""A word with a letter that English does not have."""


def load_planner(
    bundle: Path | None = None, settings: Mapping[str, float] | None = None
) -> tuple[str, QueryPlanner]:
    """A model's id and its query planner; reads a few MiB and starts no engine.

    Parameters
    ----------
    settings
        Of the fusion, instead of the bundle's own, to measure each part.
    """
    opened = Bundle.open(bundle_folder(bundle))
    lexicon = opened.json(LEXICON)
    head = WordHead(opened.arrays(WORDS), lexicon["stems"], lexicon["surfaces"])
    space = JointSpace(opened.arrays(JOINT), lexicon["words"])
    concepts = Concepts(opened.json(CONCEPTS))
    chosen = {**opened.manifest["search"], **(settings or {})}
    return opened.model_id, planner(head, space, concepts, chosen)


def planner(
    head: WordHead, space: JointSpace, concepts: Concepts, settings: Mapping[str, float]
) -> QueryPlanner:
    """Fuse word head and joint space: each standardised over the photos, then weighted.

    Short queries name things, which the word head knows best; whole sentences are compared better
    in the joint space. So the joint space's weight grows with the number of words, from
    `joint_short` at two words and fewer to `joint_long` at eight and more.

    The evidence of a term is the log-probability of its stems, and of the concepts that it means.
    If it has both, the concepts have the weight `concepts`, and the stems the rest; where it has
    one of them, that has the whole weight. All weights are chosen on dev.

    Parameters
    ----------
    settings
        `joint_short`, `joint_long` and `concepts`, 0 to 1: a manifest's `search`.
    """
    concept_weight = settings.get("concepts", 0.0)

    def plan(query: str) -> QueryPlan | None:
        query = _english(query)
        tokens = words(query)
        direction = space.text([tokens]).T
        if not direction.any():
            direction = direction[:, :0]
        parts = _parts(head, concepts, query, concept_weight)
        length = float(np.clip((len(tokens) - 2) / 6, 0, 1))
        joint = settings["joint_short"] * (1 - length) + settings["joint_long"] * length
        weights = [joint] * direction.shape[1] + [1 - joint] * bool(parts)
        if not weights:
            return None
        if len(weights) == 1:
            weights = [1]  # the only measure has the whole weight
        kernels = [part.kernel for part in parts] or [head.concept_classifier(())[0]]

        def measure(cosine: FloatArray, logits: FloatArray) -> FloatArray:
            return np.hstack([cosine, _word_evidence(parts, logits)]) if parts else cosine

        known = {word for word in tokens if head.knows(word) or space.text([[word]]).any()}
        log_odds = _log_odds(max(1, len(known)), joint=direction.shape[1] > 0, words=bool(parts))
        return QueryPlan(
            direction, np.hstack(kernels), measure, np.array(weights, np.float32), log_odds
        )

    return plan


def _english(query: str) -> str:
    """A query without accents, and without words in letters that English does not have.

    Their fragments are no words: "straße" would be looked up as "stra" and "e".
    """
    if query.isascii():
        return query
    letters = (c for c in unicodedata.normalize("NFKD", query) if not unicodedata.combining(c))
    return _NON_ENGLISH_WORD.sub(
        " ", "".join(letters).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    )


def _log_odds(count: int, *, joint: bool, words: bool) -> Callable[[FloatArray], FloatArray]:
    """Calibrated log odds for a query of `count` known words, from the measures that it has."""
    fitted = _BOTH if joint and words else _WORDS_ALONE if words else _COSINE_ALONE
    log_count = float(np.log(count))
    cosine_slope = fitted.get("cosine", 0) + fitted.get("cosine log n", 0) * log_count
    word_slope = fitted.get("words", 0) / count
    slopes = [cosine_slope] * joint + [word_slope] * words
    offset = fitted["offset"] + fitted["log n"] * log_count

    def log_odds(measures: FloatArray) -> FloatArray:
        out: FloatArray = measures @ np.array(slopes, np.float32) + np.float32(offset)
        return out

    return log_odds


class _Part(NamedTuple):
    """Columns of the word head that are one part of a query's evidence."""

    kernel: FloatArray
    """(H, columns)."""
    bias: FloatArray
    weight: float
    """In the sum of all parts."""
    evidence: Callable[[FloatArray], FloatArray]
    """Logits (N, columns) → log-probability (N,)."""


def _parts(head: WordHead, concepts: Concepts, query: str, concept_weight: float) -> list[_Part]:
    """The stems of each term of a query, and the concepts and hypernyms that it means."""
    parts: list[_Part] = []
    covered: set[str] = set()
    for term in concepts.terms(query, head.knows):
        new = [word for word in term.words if stem(word) not in covered]
        covered.update(map(stem, new))
        stems, things = head.stem_classifier(new), head.concept_classifier(term.rows if new else ())
        weight = concept_weight if things[1].size else 0
        if not stems[1].size:
            weight = 1
        parts += [_Part(*stems, 1 - weight, _log_all), _Part(*things, weight, log_any)]
    return [part for part in parts if part.weight and part.bias.size]


def _word_evidence(parts: Sequence[_Part], logits: FloatArray) -> FloatArray:
    """Evidence (N, 1) that photos show all terms, from logits (N, columns) without the bias."""
    out = np.zeros((len(logits), 1), np.float32)
    end = 0
    for part in parts:
        columns = slice(end, end := end + part.bias.size)
        out[:, 0] += part.weight * part.evidence(logits[:, columns] + part.bias)
    return out


def _log_all(logits: FloatArray) -> FloatArray:
    """Log-probability that all of several independent events occur: (N, events) → (N,)."""
    return log_probability(logits).sum(axis=1)


def score_all(plan: QueryPlan | None, vectors: SearchVectors) -> FloatArray:
    """Scores (N,) of stacked photos (N rows) for a query, comparable only within one call.

    Zeros where the model knows none of the query's words.
    """
    if plan is None:
        return np.zeros(len(vectors.embedding), np.float32)
    measures = plan.measures(vectors)
    return ScoreFusion.fit(measures, plan.measure_weights)(measures)
