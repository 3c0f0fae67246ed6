"""Hyper-parameters of a bundle that are chosen on the dev split: reranking, confidence, search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt

from captioner.model.concepts import Concepts
from captioner.model.heads import JointSpace, WordHead
from captioner.model.query import planner, score_all
from captioner.model.rerank import Candidate, score
from captioner.model.vocabulary import sentence, stem, words
from captioner.training.corpora import Example
from captioner.training.heads import STOP_STEMS
from captioner.training.metrics import JudgedQuery, photo_cider, query_precision
from captioner.types import FloatArray, QueryPlanner, SearchVectors

WEIGHTS = ("length_penalty", "joint_weight", "pmi_weight")
"""The fields of `GenerationConfig` that `choose_rerank` chooses."""
LENGTH_PENALTIES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
JOINT_WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
PMI_WEIGHTS = (0.0, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
JOINT_SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(11))
CONCEPT_SHARES = tuple(round(0.05 * twentieth, 2) for twentieth in range(11))
CONCEPT_MAP_TOLERANCE = 0.25
"""mAP × 100 that the concepts may cost on queries made from captions."""
MAX_MISMATCH_SHARE = 0.4
"""Share of the captions above the confidence threshold that may mismatch by `matches_references`.
The test is strict: two thirds of a caption's content words must be in the references, and many good
captions fail it by a word that nobody else chose. So this is well above the share of captions that
people would call wrong."""
CIDER_TOLERANCE = 0.5
"""CIDEr × 100 that is within noise on a thousand photos: among choices this close to the best, the
cheapest or safest one is taken."""
THRESHOLDS = tuple(round(0.05 * twentieth, 2) for twentieth in range(21))


def choose_rerank(
    found: Sequence[Sequence[Candidate]], examples: Sequence[Example]
) -> tuple[dict[str, float], dict[str, float]]:
    """Choose the reranking weights of a beam's candidates, by CIDEr on dev.

    Parameters
    ----------
    found
        Candidates of each dev photo, in any order.

    Returns
    -------
    The best `WEIGHTS`, by name, and the CIDEr of all that were tried, by their values in this
    order: "0.6 4 0.05". The length penalty is the lowest that costs no more than `CIDER_TOLERANCE`:
    shorter captions make fewer false statements.
    """
    rewards = cider_table(found, examples)
    log_p, cosine, pmi = (_table(found, field) for field in ("log_probability", "cosine", "pmi"))
    length = np.array([[len(c.words) + 1 for c in row] for row in padded(found)], np.float32)
    scores = {}
    for weights in product(LENGTH_PENALTIES, JOINT_WEIGHTS, PMI_WEIGHTS):
        total = score(
            log_p, length, cosine, pmi,
            **dict(zip(WEIGHTS, weights, strict=True)),
        )  # fmt: skip
        first = total.argmax(axis=1)[:, None]
        scores[weights] = round(float(np.take_along_axis(rewards, first, axis=1).mean()), 2)
    enough = max(scores.values()) - CIDER_TOLERANCE
    shortest = min(weights[0] for weights, cider in scores.items() if cider >= enough)
    best = max((w for w in scores if w[0] == shortest), key=lambda weights: scores[weights])
    table = {" ".join(f"{w:g}" for w in weights): cider for weights, cider in scores.items()}
    return dict(zip(WEIGHTS, best, strict=True)), table


def padded(found: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
    """The same number of candidates for each photo: the last one is repeated."""
    most = max(map(len, found))
    return [[*some, *[some[-1]] * (most - len(some))] for some in found]


def _table(found: Sequence[Sequence[Candidate]], field: str) -> FloatArray:
    return np.array([[getattr(c, field) for c in row] for row in padded(found)], np.float32)


def cider_table(found: Sequence[Sequence[Candidate]], examples: Sequence[Example]) -> FloatArray:
    """CIDEr of each candidate, (photos, candidates): that of a choice is then a mean."""
    references = {example.name: example.captions for example in examples}
    names = list(references)
    columns = [
        photo_cider(
            {name: sentence(c.words) for name, c in zip(names, rank, strict=True)}, references
        )
        for rank in zip(*padded(found), strict=True)
    ]
    return np.array([[column[name] for column in columns] for name in names], np.float32)


def matches_references(caption: Sequence[str], references: Sequence[str]) -> bool:
    """Whether the references use two thirds of a caption's content words, or more.

    An automatic label for right and wrong: a caption whose things and actions several people name
    is unlikely to be about another photo.
    """
    own = {stem(word) for word in caption} - STOP_STEMS
    referenced = {stem(word) for reference in references for word in words(reference)}
    return 3 * len(own & referenced) >= 2 * len(own) and bool(own)


def fit_logistic(evidence: FloatArray, right: FloatArray, weight: FloatArray) -> FloatArray:
    """Logistic regression by Newton's method, from evidence (N, k) to the probability of a match.

    Parameters
    ----------
    right
        (N,): 1 if the caption matches its photo, 0 if not.
    weight
        (N,): sample weights.

    Returns
    -------
    (k + 1,): one weight per column, then the intercept.
    """
    design = np.concatenate([evidence, np.ones((len(evidence), 1))], axis=1).astype(np.float64)
    share = weight / weight.sum(dtype=np.float64)
    beta = np.zeros(design.shape[1])
    prior = 1e-6 * np.eye(len(beta))
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (share * (right - p)) - prior @ beta
        hessian = (design * (share * p * (1 - p))[:, None]).T @ design + prior
        beta += np.linalg.solve(hessian, gradient)
    return beta.astype(np.float32)


def first_above(confidence: FloatArray, threshold: float) -> npt.NDArray[np.intp]:
    """For each photo the first candidate with enough confidence; -1 if there is none.

    Parameters
    ----------
    confidence
        (photos, candidates), best candidate first.
    """
    enough = confidence >= threshold
    return np.where(enough.any(axis=1), enough.argmax(axis=1), -1)


def choose_threshold(
    confidence: FloatArray, right: FloatArray, max_mismatch_share: float = MAX_MISMATCH_SHARE
) -> float:
    """Choose the confidence threshold from which captions are shown.

    Parameters
    ----------
    confidence
        (photos, candidates): of the candidates of held-out photos, 0 to 1, best candidate first.
    right
        (photos, candidates): 1 if the candidate matches its photo, 0 if not.
    max_mismatch_share
        Share of the captions above the threshold that may mismatch.

    Returns
    -------
    The lowest of `THRESHOLDS` that keeps to it. If none does that shows any caption, the first that
    shows none: a model that is never right gives keywords alone.
    """
    for threshold in THRESHOLDS:
        first = first_above(confidence, threshold)
        shown = first >= 0
        if (right[shown, first[shown]] == 0).sum() <= max_mismatch_share * shown.sum():
            return threshold
    return THRESHOLDS[-1]


def reliability(score: FloatArray, right: FloatArray, bins: int = 10) -> list[dict[str, float]]:
    """The points of a reliability diagram: how often captions of similar confidence are right."""
    which = np.minimum((score * bins).astype(int), bins - 1)
    return [
        {
            "sentences": float((which == one).sum()),
            "score": round(float(score[which == one].mean()), 3),
            "right": round(float(right[which == one].mean()), 3),
        }
        for one in range(bins)
        if (which == one).any()
    ]


def short_queries(examples: Sequence[Example], count: int, seed: int) -> list[JudgedQuery]:
    """Make two-word queries; relevant are photos where two captions or more use each word."""
    photos_of: dict[str, set[int]] = {}
    display: dict[str, str] = {}
    for row, example in enumerate(examples):
        counts: dict[str, int] = {}
        for caption in example.captions:
            for word in {
                w for w in words(caption) if stem(w) not in STOP_STEMS and not w.isdigit()
            }:
                display.setdefault(stem(word), word)
                counts[stem(word)] = counts.get(stem(word), 0) + 1
        for name, frequency in counts.items():
            if frequency >= 2:
                photos_of.setdefault(name, set()).add(row)
    random = np.random.default_rng(seed)
    common = sorted(name for name, rows in photos_of.items() if len(rows) >= 5)
    queries: dict[frozenset[str], JudgedQuery] = {}
    for _ in range(100 * count):
        if len(queries) == count or len(common) < 2:
            break
        pair = frozenset(str(name) for name in random.choice(common, 2, replace=False))
        both = set.intersection(*(photos_of[name] for name in pair))
        if 3 <= len(both) <= 40:
            text = " ".join(sorted(display[name] for name in pair))
            queries[pair] = JudgedQuery(text, frozenset(examples[row].name for row in both))
    return list(queries.values())


def choose_search(
    head: WordHead,
    space: JointSpace,
    concepts: Concepts,
    vectors: SearchVectors,
    examples: Sequence[Example],
    *,
    seed: int,
) -> tuple[dict[str, float], dict[str, Mapping[str, float]]]:
    """Choose the weight of the joint space for short and long queries, and that of the concepts.

    Queries made from captions cannot reward what captions do not mention. So of the concepts'
    weights the largest is taken that costs such queries at most `CONCEPT_MAP_TOLERANCE`.

    Returns
    -------
    The `search` settings of a bundle, and the figures behind the choice.
    """
    names = [example.name for example in examples]
    short = short_queries(examples, 200, seed)
    random = np.random.default_rng(seed)
    captions = [(row, str(random.choice(example.captions))) for row, example in enumerate(examples)]

    def precision(joint: float, of_concepts: float) -> float:
        settings = {"joint_short": joint, "joint_long": joint, "concepts": of_concepts}
        ask = partial(_ask, planner(head, space, concepts, settings), vectors)
        return round(query_precision(ask, names, short).mean_average, 2)

    def found(joint: float) -> float:
        settings = {"joint_short": joint, "joint_long": joint}
        ask = partial(_ask, planner(head, space, concepts, settings), vectors)
        ranks = [(scores > scores[row]).sum() for row, text in captions for scores in [ask(text)]]
        return round(100 * float(np.mean(np.array(ranks) < 10)), 2)

    recall = {joint: found(joint) for joint in JOINT_SHARES}
    long = max(recall, key=lambda joint: recall[joint])
    figures = {"caption_recall_at_10": recall}
    brief, share = long, 0.0
    if short:
        by_joint = {joint: precision(joint, 0.0) for joint in JOINT_SHARES}
        brief = max(by_joint, key=lambda joint: by_joint[joint])
        by_concepts = {each: precision(brief, each) for each in CONCEPT_SHARES}
        enough = max(by_concepts.values()) - CONCEPT_MAP_TOLERANCE
        share = max(each for each in CONCEPT_SHARES if by_concepts[each] >= enough)
        figures |= {"short_query_map": by_joint, "short_query_map_by_concepts": by_concepts}
    return (
        {"joint_short": brief, "joint_long": long, "concepts": share},
        {
            name: {str(key): value for key, value in table.items()}
            for name, table in figures.items()
        },
    )


def _ask(rank: QueryPlanner, vectors: SearchVectors, query: str) -> FloatArray:
    return score_all(rank(query), vectors)
