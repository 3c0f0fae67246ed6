"""The few numbers of a bundle that are chosen on the dev split, not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product

import numpy as np

from captioner.model.concepts import Concepts
from captioner.model.heads import JointSpace, WordHead
from captioner.model.query import planner, score_all
from captioner.model.rerank import Candidate, score
from captioner.model.vocabulary import sentence, stem, words
from captioner.training.corpora import Example
from captioner.training.heads import STOP_STEMS
from captioner.training.metrics import Query, photo_cider, query_precision
from captioner.types import FloatArray, QueryPlanner, SearchVectors

WEIGHTS = ("length_penalty", "joint_weight", "pmi_weight")
"""The fields of `GenerationConfig` that `choose_rerank` chooses."""
LENGTH_EXPONENTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
JOINT_WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
SUPPORT_WEIGHTS = (0.0, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
JOINT_SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(11))
CONCEPT_SHARES = tuple(round(0.05 * twentieth, 2) for twentieth in range(11))
FORBEARANCE = 0.25
"""mAP, times 100, that the concepts may cost queries made from captions."""
MISFITS = 0.45
"""Share of the sentences shown that may not fit by `fits`. That is strict: it asks that people use
two thirds of a sentence's telling words, and of sentences that a person would let pass, many fail
it for a word that nobody else chose. So this is well above what is wrong in a person's eyes."""
NEGLIGIBLE = 0.5
"""CIDEr, times 100, that says nothing on a thousand photos: among choices so near to the best, the
one is taken that costs or risks less."""
THRESHOLDS = tuple(round(0.05 * twentieth, 2) for twentieth in range(21))


def choose_rerank(
    found: Sequence[Sequence[Candidate]], examples: Sequence[Example]
) -> tuple[dict[str, float], dict[str, float]]:
    """How a beam's candidates are weighed against each other, by CIDEr on dev.

    Parameters
    ----------
    found
        Candidates of each dev photo, in any order.

    Returns
    -------
    The best `WEIGHTS`, by name, and the CIDEr of all that were tried, by their values in this
    order: "0.6 4 0.05". The length penalty is the lowest that costs no more than `NEGLIGIBLE`:
    shorter sentences say less that is wrong.
    """
    worth = _worth(found, examples)
    log_p, cosine, pmi = (_table(found, field) for field in ("log_probability", "cosine", "pmi"))
    length = np.array([[len(c.words) + 1 for c in row] for row in _full(found)], np.float32)
    scores = {}
    for weights in product(LENGTH_EXPONENTS, JOINT_WEIGHTS, SUPPORT_WEIGHTS):
        total = score(
            log_p, length, cosine, pmi,
            **dict(zip(WEIGHTS, weights, strict=True)),
        )  # fmt: skip
        first = total.argmax(axis=1)[:, None]
        scores[weights] = round(float(np.take_along_axis(worth, first, axis=1).mean()), 2)
    enough = max(scores.values()) - NEGLIGIBLE
    shortest = min(weights[0] for weights, cider in scores.items() if cider >= enough)
    best = max((w for w in scores if w[0] == shortest), key=lambda weights: scores[weights])
    table = {" ".join(f"{w:g}" for w in weights): cider for weights, cider in scores.items()}
    return dict(zip(WEIGHTS, best, strict=True)), table


def _full(found: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
    """As many candidates for each photo, the last one repeated."""
    most = max(map(len, found))
    return [[*some, *[some[-1]] * (most - len(some))] for some in found]


def _table(found: Sequence[Sequence[Candidate]], field: str) -> FloatArray:
    return np.array([[getattr(c, field) for c in row] for row in _full(found)], np.float32)


def _worth(found: Sequence[Sequence[Candidate]], examples: Sequence[Example]) -> FloatArray:
    """CIDEr of each candidate (photos, candidates): what a choice is worth is then a mean."""
    references = {example.name: example.captions for example in examples}
    names = list(references)
    columns = [
        photo_cider(
            {name: sentence(c.words) for name, c in zip(names, rank, strict=True)}, references
        )
        for rank in zip(*_full(found), strict=True)
    ]
    return np.array([[column[name] for column in columns] for name in names], np.float32)


def fits(sentence: Sequence[str], captions: Sequence[str]) -> bool:
    """Whether people's captions use two thirds of a sentence's telling words, or more.

    A measure of right and wrong that needs no one to look: a sentence whose things and doings
    several people name is hardly about another photo.
    """
    told = {stem(word) for word in sentence} - STOP_STEMS
    heard = {stem(word) for caption in captions for word in words(caption)}
    return 3 * len(told & heard) >= 2 * len(told) and bool(told)


def calibrate(evidence: FloatArray, right: FloatArray, weight: FloatArray) -> FloatArray:
    """Logistic regression from evidence (N, k) to the probability of being right: (k + 1,).

    Parameters
    ----------
    right
        (N,): 1 where the sentence fits its photo, 0 where not.
    weight
        (N,): how much each case counts.

    Returns
    -------
    One weight for each column, then the offset.
    """
    design = np.concatenate([evidence, np.ones((len(evidence), 1))], axis=1).astype(np.float64)
    share = weight / weight.sum(dtype=np.float64)
    beta = np.zeros(design.shape[1])
    prior = 1e-6 * np.eye(len(beta))
    for _ in range(50):  # Newton's method
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (share * (right - p)) - prior @ beta
        hessian = (design * (share * p * (1 - p))[:, None]).T @ design + prior
        beta += np.linalg.solve(hessian, gradient)
    return beta.astype(np.float32)


def trusted(score: FloatArray, right: FloatArray, misfits: float = MISFITS) -> float:
    """The score from which on sentences are shown.

    Parameters
    ----------
    score
        (N,): of the sentences of held-out photos.
    right
        (N,): 1 where the sentence fits its photo, 0 where not.
    misfits
        Share of the sentences shown that may not fit.

    Returns
    -------
    The lowest of `THRESHOLDS` that keeps to it. Where none does that shows a sentence at all, it
    is the first that shows none: a model that is never right gives keywords alone.
    """
    for least in THRESHOLDS:
        shown = score >= least
        if (right[shown] == 0).sum() <= misfits * shown.sum():
            return least
    return THRESHOLDS[-1]


def reliability(score: FloatArray, right: FloatArray, bins: int = 10) -> list[dict[str, float]]:
    """How often sentences of like score are right: the points of a reliability diagram."""
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


def short_queries(examples: Sequence[Example], count: int, seed: int) -> list[Query]:
    """Two-word searches made from captions, relevant where two captions or more use both words."""
    users: dict[str, set[int]] = {}
    surface: dict[str, str] = {}
    for row, example in enumerate(examples):
        heard: dict[str, int] = {}
        for caption in example.captions:
            for word in {
                w for w in words(caption) if stem(w) not in STOP_STEMS and not w.isdigit()
            }:
                surface.setdefault(stem(word), word)
                heard[stem(word)] = heard.get(stem(word), 0) + 1
        for name, times in heard.items():
            if times >= 2:
                users.setdefault(name, set()).add(row)
    random = np.random.default_rng(seed)
    common = sorted(name for name, rows in users.items() if len(rows) >= 5)
    queries: dict[frozenset[str], Query] = {}
    for _ in range(100 * count):
        if len(queries) == count or len(common) < 2:
            break
        pair = frozenset(str(name) for name in random.choice(common, 2, replace=False))
        both = set.intersection(*(users[name] for name in pair))
        if 3 <= len(both) <= 40:
            text = " ".join(sorted(surface[name] for name in pair))
            queries[pair] = Query(text, frozenset(examples[row].name for row in both))
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
    """Shares of the joint space for short and long queries, and of the concepts.

    What captions do not mention, queries made from captions cannot reward. So of the concepts'
    shares the largest is taken that costs such queries little, `FORBEARANCE`.

    Returns
    -------
    The settings of a ranking, and the figures behind the choice.
    """
    names = [example.name for example in examples]
    short = short_queries(examples, 200, seed)
    random = np.random.default_rng(seed)
    asked = [(row, str(random.choice(example.captions))) for row, example in enumerate(examples)]

    def precision(joint: float, of_concepts: float) -> float:
        settings = {"joint_short": joint, "joint_long": joint, "concepts": of_concepts}
        ask = partial(_ask, planner(head, space, concepts, settings), vectors)
        return round(query_precision(ask, names, short).mean_average, 2)

    def found(joint: float) -> float:
        settings = {"joint_short": joint, "joint_long": joint}
        ask = partial(_ask, planner(head, space, concepts, settings), vectors)
        ranks = [(scores > scores[row]).sum() for row, text in asked for scores in [ask(text)]]
        return round(100 * float(np.mean(np.array(ranks) < 10)), 2)

    recall = {joint: found(joint) for joint in JOINT_SHARES}
    long = max(recall, key=lambda joint: recall[joint])
    figures = {"caption_recall_at_10": recall}
    brief, share = long, 0.0
    if short:
        by_joint = {joint: precision(joint, 0.0) for joint in JOINT_SHARES}
        brief = max(by_joint, key=lambda joint: by_joint[joint])
        by_concepts = {each: precision(brief, each) for each in CONCEPT_SHARES}
        enough = max(by_concepts.values()) - FORBEARANCE
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
