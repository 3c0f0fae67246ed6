"""Ranking: by human-authored text, by the model's measures of photos, and by similarity.

The model's measures are standardised over the collection (z-scores) and fused; words that a
photo's documents share with the query add a bonus. What a person wrote, or named, comes before all
of that. All photos are measured by their quantised chunks, and the best of them once more by their
exact vectors.

The score of a hit is separate: the probability that the photo matches the query, whatever else is
in the collection. Scores never rise from one hit to the next.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from captioner.fusion import Moments, ScoreFusion
from captioner.index import fulltext
from captioner.index.chunks import ChunkCache, exact_vectors
from captioner.index.copies import copies_of
from captioner.index.database import Ids, select_ids
from captioner.index.filters import Filters, newest_first
from captioner.index.fulltext import HumanTextMatches, TextMatches
from captioner.index.query_parser import ParsedQuery, parse_query
from captioner.types import FloatArray, HalfArray, QueryPlan, QueryPlanner

# Ranking, in standard deviations of the model's fused scores. Tuned on queries with known answers,
# except for the order of human-authored text.
TEXT_BONUS = 0.5
"""What the best match by text adds to the model's score."""
TEXT_ONLY_BONUS = 3.0
"""The same for a photo whose vectors are of another model, so that there is no such score."""
WRITTEN_BONUS = 3.0
NAME_BONUS = 1.0
"""For part of the query in human-authored text, or in names, times that part."""
WRITTEN_FIRST = 200.0
NAMED_FIRST = 100.0
"""For all of the query in them: more than any photo can be above the mean."""
EXAMPLE_WEIGHT = 0.5
"""Of the likeness to an example photo; the words of the query have the rest."""
RESCORED = 1000
"""Candidates, at least, that are scored again by their exact vectors."""
SMOOTHED = 32
"""Photos behind the candidates whose scores are averaged, as they are approximate anyway."""

# Scores: probabilities that a photo matches.
WRITTEN_PROBABILITY = 0.99
NAME_PROBABILITY = 0.95
"""If human-authored text, or the names of the photo and its folders, hold the whole query."""
TEXT_LOG_ODDS = 1.33
"""What all words in a model's texts add to the log odds of its measures; fitted with the latter."""
TEXT_PROBABILITY = 0.6
"""By a model's texts alone: measured for those that hold all words."""
TEXT_MIN_PROBABILITY = 0.25
"""The least if they hold all words, whatever the measures: measured for queries of four words and
more."""
EXCLUSION_THRESHOLD = 0.5
"""A photo that shows an excluded word with a higher probability is left out."""
MIN_SCORE = 0.03
"""Hits below it match hardly better than any photo. Of queries that no photo of Flickr8k's dev
split matches, it leaves two in five without a hit; of those with a right photo, it keeps nine in
ten."""


class ExamplePhoto(NamedTuple):
    """A photo that hits of a search should look like; it is not a hit itself."""

    embedding: HalfArray
    """In the joint space of the model."""
    path: Path
    content_hash: bytes | None = None
    """None if it is in the index."""


class Ranked(NamedTuple):
    """Photos in the order of a search, before copies are left out."""

    photos: Ids
    """(N,), best first."""
    scores: FloatArray | None = None
    """(N,): never rising; None without a query."""
    ranks: FloatArray | None = None
    """(N,): as `Hit.rank`."""
    query: ParsedQuery | None = None

    def only(self, kept: npt.NDArray[np.bool_]) -> Ranked:
        """Some of the photos."""
        return Ranked(
            self.photos[kept],
            None if self.scores is None else self.scores[kept],
            None if self.ranks is None else self.ranks[kept],
            self.query,
        )


def rank(
    connection: sqlite3.Connection,
    chunks: ChunkCache,
    query: str,
    planner: QueryPlanner | None,
    model_id: str | None,
    limit: int | None,
    filters: Filters,
    min_score: float = 0,
    example: ExamplePhoto | None = None,
    collection: Moments | None = None,
) -> Ranked:
    """The order of `search`, of the best `limit` photos or, if it is None, of all that match.

    Only the best photos, `RESCORED` or more, are scored exactly; they come before all others.
    """
    parsed = parse_query(query)
    excluded = _excluded(connection, chunks, parsed, planner, model_id)
    if not parsed.text:
        if example and model_id:
            embedding, path, content = example
            return rank_similar(
                connection, chunks, embedding, model_id, limit, path, filters, content, excluded
            )
        return rank_newest(connection, filters, excluded)
    plan = planner(parsed.text) if planner else None
    if example:
        plan = _with_example(plan, example)
        excluded = np.union1d(excluded, copies_of(connection, example.path, example.content_hash))
    model = ModelScores.of_all(connection, chunks, plan, model_id, collection)
    texts = fulltext.match_any(connection, parsed)
    human = fulltext.match_human_text(connection, parsed)
    photos = model.photos
    for found in (texts.photos, human.photos):
        if len(new := found[~_among(found, photos)]):
            photos = np.sort(np.concatenate([photos, new]))
    by_model, by_text, by_human = (
        np.searchsorted(photos, some.photos) for some in (model, texts, human)
    )
    scores, text = np.zeros((2, len(photos)), np.float32)
    has_model, whole = np.zeros((2, len(photos)), np.bool_)
    text[by_text], whole[by_text], has_model[by_model] = texts.shares, texts.whole, True
    scores[by_model] = model.scores
    scores += np.where(has_model, TEXT_BONUS, TEXT_ONLY_BONUS) * text
    written, named, shares = np.zeros((3, len(photos)), np.float32)
    written[by_human], named[by_human] = human.written, human.named
    shares[by_human] = human.shares
    scores += _human_text_bonus(written, named, shares)
    matching = _matching(connection, photos, filters)
    if len(excluded):
        matching &= ~np.isin(photos, excluded)
    if parsed.phrases:
        matching &= np.isin(photos, fulltext.match_captions(connection, parsed.phrases)[0])
    best = _candidates(scores, matching, limit or 0)
    rescored = best[has_model[best]]
    exact_scores, exact_log_odds = model.rescore(photos[rescored])
    approximate = model.scores[np.searchsorted(model.photos, photos[rescored])]
    scores[rescored] += exact_scores - approximate
    probability = TEXT_PROBABILITY * text * np.where(whole, 1, 0.5)
    measured, log_odds = rescored, exact_log_odds
    if limit is None:
        measured = np.concatenate([by_model, rescored])
        log_odds = np.concatenate([model.log_odds(model.measures), exact_log_odds])
    by_measures = _logistic(log_odds + TEXT_LOG_ODDS * whole[measured])
    probability[measured] = np.maximum(by_measures, TEXT_MIN_PROBABILITY * whole[measured])
    probability *= 1 - len(_unknown(parsed, texts, human, planner)) / len(parsed.keywords())
    probability = 1 - (1 - probability) * (1 - NAME_PROBABILITY * named) * (
        1 - WRITTEN_PROBABILITY * written
    )
    enough = probability >= min_score
    order = _best_first(best, matching if limit is None else None, scores, enough)
    # Those after the last one with enough can have no effect on it.
    order = order[: np.flatnonzero(np.append(True, enough[order]))[-1]]
    falling = _falling(probability[order], len(best))
    kept = falling >= min_score
    return Ranked(photos[order][kept], falling[kept], scores[order][kept], parsed)


def _best_first(
    best: npt.NDArray[np.intp],
    others: npt.NDArray[np.bool_] | None,
    scores: FloatArray,
    enough: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.intp]:
    """The positions of the candidates by score, and then those of the others.

    Others that come after the last one with enough are left out, since sorting takes long. Of equal
    scores, the lower position comes first.
    """
    best = np.sort(best)
    order = best[np.argsort(-scores[best], kind="stable")]
    if others is None:
        return order
    if enough is not None:
        others = others & (scores >= scores.min(initial=np.inf, where=others & enough))
    [rest] = np.nonzero(others)
    rest = rest[~np.isin(rest, best, assume_unique=True)]
    return np.append(order, rest[np.argsort(-scores[rest], kind="stable")])


def _falling(probability: FloatArray, count: int) -> FloatArray:
    """Probabilities that never rise: exactly for the first ones, by blocks for the others."""
    first, rest = probability[:count], probability[count:]
    if not len(rest):
        return non_increasing(first)
    starts = np.arange(0, len(rest), SMOOTHED)
    sizes = np.diff(np.append(starts, len(rest)))
    means = np.add.reduceat(rest, starts) / sizes
    return non_increasing(np.append(first, means), np.append(np.ones(len(first), np.intp), sizes))


def moments(
    connection: sqlite3.Connection,
    chunks: ChunkCache,
    query: str,
    planner: QueryPlanner,
    model_id: str,
    example: ExamplePhoto | None = None,
) -> Moments | None:
    """Of the measures by which `search` ranks; None if there are none."""
    text = parse_query(query).text
    plan = planner(text) if text else None
    if example and text:
        plan = _with_example(plan, example)
    if plan is None:
        return None
    photos, measures = chunks.measure_all(connection, model_id, plan)
    return Moments.of(measures) if len(photos) else None


def rank_captions(
    connection: sqlite3.Connection, query: str, filters: Filters, min_score: float = 0
) -> Ranked:
    """The order of `search_captions`."""
    parsed = parse_query(query)
    excluded = _excluded(connection, ChunkCache(), parsed, None, None)
    if not parsed.text:
        return rank_newest(connection, filters, excluded)
    photos, shares = fulltext.match_captions(connection, parsed.words + parsed.phrases)
    matching = _matching(connection, photos, filters) & ~np.isin(photos, excluded)
    photos, shares = photos[matching], shares[matching]
    human = fulltext.match_human_text(connection, parsed)
    written = np.isin(photos, human.photos[human.written > 0.999])
    scores = np.where(written, 2 + shares, shares).astype(np.float32)
    order = np.lexsort((photos, -scores))
    # The words are there to the letter; a model that wrote them may still be wrong.
    by_model = TEXT_PROBABILITY + (1 - TEXT_PROBABILITY) / 2 * shares
    probability = np.where(written, 1, by_model)[order]
    enough = probability >= min_score
    best_first = photos[order][enough]
    return Ranked(best_first, probability[enough], scores[order][enough], parsed)


def rank_similar(
    connection: sqlite3.Connection,
    chunks: ChunkCache,
    embedding: HalfArray,
    model_id: str,
    limit: int | None,
    exclude: Path | None,
    filters: Filters,
    content_hash: bytes | None = None,
    excluded: Ids | None = None,
) -> Ranked:
    """The order of `similar`, of the best `limit` photos or, if it is None, of all.

    Only the best photos are compared exactly; they come before all others.
    """
    plan = QueryPlan.of_photo(embedding)
    photos, measures = chunks.measure_all(connection, model_id, plan)
    scores = measures[:, 0]
    matching = _matching(connection, photos, filters)
    matching &= ~np.isin(photos, copies_of(connection, exclude, content_hash))
    if excluded is not None:
        matching &= ~np.isin(photos, excluded)
    positions = _candidates(scores, matching, limit or 0)
    best = photos[positions]
    if not len(best):
        return Ranked(best, np.empty(0, np.float32))
    cosines = plan.measures(exact_vectors(connection, model_id, best))[:, 0]
    scores = scores.copy()
    scores[positions] = cosines
    order = _best_first(positions, matching if limit is None else None, scores)
    falling = np.minimum.accumulate(scores[order])
    return Ranked(photos[order], np.clip(falling, 0, 1))


def rank_newest(
    connection: sqlite3.Connection, filters: Filters, excluded: Ids | None = None
) -> Ranked:
    """All photos that match, those taken last first."""
    photos = newest_first(connection)
    matching = _matching(connection, photos, filters)
    if excluded is not None:
        matching &= ~np.isin(photos, excluded)
    return Ranked(photos[matching])


class ModelScores:
    """A query's scores over all photos that a model described: approximate, and exact for some."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        model_id: str,
        plan: QueryPlan,
        photos: Ids,
        measures: FloatArray,
        collection: Moments | None = None,
    ) -> None:
        self._connection = connection
        self._model_id = model_id
        self._plan = plan
        weights = plan.measure_weights
        if collection:  # of which this index is a part
            self._fusion = ScoreFusion.of_collection(collection, weights)
        else:
            self._fusion = ScoreFusion.fit(measures, weights, unit_variance=True)
        self.photos = photos
        """(N,), ascending."""
        self.measures = measures
        """(N, P), approximate."""
        self.scores = self._fusion(measures)
        """(N,): fused z-scores, approximate."""

    @classmethod
    def of_all(
        cls,
        connection: sqlite3.Connection,
        chunks: ChunkCache,
        plan: QueryPlan | None,
        model_id: str | None,
        collection: Moments | None = None,
    ) -> ModelScores | NoModelScores:
        """Score all photos that a model described; none without a plan, a model or such photos."""
        if not (plan and model_id):
            return NoModelScores()
        photos, measures = chunks.measure_all(connection, model_id, plan)
        if not len(photos):
            return NoModelScores()
        return cls(connection, model_id, plan, photos, measures, collection)

    def log_odds(self, measures: FloatArray) -> FloatArray:
        """(N, P) → (N,): log odds that a photo shows what is asked for."""
        if self._plan.log_odds is None:
            return measures.mean(axis=1) if measures.size else np.empty(0, np.float32)
        return self._plan.log_odds(measures)

    def rescore(self, photos: Ids) -> tuple[FloatArray, FloatArray]:
        """Fused z-scores and log odds of some of the photos, ascending, by their exact vectors."""
        if not len(photos):
            return np.empty(0, np.float32), np.empty(0, np.float32)
        exact = exact_vectors(self._connection, self._model_id, photos)
        measures = self._plan.measures(exact)
        return self._fusion(measures), self.log_odds(measures)


class NoModelScores:
    """The same when the model knows none of the words, or has described no photo."""

    photos: Ids = np.empty(0, np.int64)
    measures: FloatArray = np.empty((0, 0), np.float32)
    scores: FloatArray = np.empty(0, np.float32)

    def log_odds(self, measures: FloatArray) -> FloatArray:
        """None."""
        return self.scores

    def rescore(self, photos: Ids) -> tuple[FloatArray, FloatArray]:
        """None."""
        return self.scores, self.scores


def _with_example(plan: QueryPlan | None, example: ExamplePhoto) -> QueryPlan:
    """A query's plan that ranks by the likeness to a photo, too."""
    if plan is None:  # The model knows none of the words: only texts can match them.
        return QueryPlan.of_photo(
            example.embedding, lambda cosines: np.full(len(cosines), -30, np.float32)
        )
    return plan.with_photo(example.embedding, EXAMPLE_WEIGHT)


def _human_text_bonus(written: FloatArray, named: FloatArray, shares: FloatArray) -> FloatArray:
    """What the parts of a query in human-authored text and in names add to a photo's score."""
    bonus = WRITTEN_BONUS * written + NAME_BONUS * (named - written) + TEXT_BONUS * shares
    bonus += np.where(written > 0.999, WRITTEN_FIRST, np.where(named > 0.999, NAMED_FIRST, 0))
    return bonus.astype(np.float32)


def _excluded(
    connection: sqlite3.Connection,
    chunks: ChunkCache,
    query: ParsedQuery,
    planner: QueryPlanner | None,
    model_id: str | None,
) -> Ids:
    """Photos whose texts hold what is excluded, or that probably show it."""
    found = [np.empty(0, np.int64)]
    for phrase in query.excluded:
        found.append(fulltext.match_exclusion(connection, phrase))
        plan = planner(phrase) if planner else None
        model = ModelScores.of_all(connection, chunks, plan, model_id)
        likely = _logistic(model.log_odds(model.measures)) > EXCLUSION_THRESHOLD
        found.append(model.photos[likely])
    return np.unique(np.concatenate(found))


def _unknown(
    query: ParsedQuery, texts: TextMatches, human: HumanTextMatches, planner: QueryPlanner | None
) -> list[str]:
    """Words of a query that neither a text nor the model knows."""
    nowhere = set(texts.unknown) & set(human.unknown)
    return [
        word for word in query.keywords() if word in nowhere and not (planner and planner(word))
    ]


def _logistic(log_odds: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))).astype(np.float32)


def non_increasing(values: FloatArray, counts: npt.NDArray[np.intp] | None = None) -> FloatArray:
    """Isotonic regression by pooling adjacent violators: the nearest values that never rise.

    If each value stands for a number of equal ones, `counts`, as many are returned.
    """
    means: list[float] = []
    sizes: list[int] = []
    every = [1] * len(values) if counts is None else counts.tolist()
    for value, count in zip(values.tolist(), every, strict=True):
        means.append(value)
        sizes.append(count)
        while len(means) > 1 and means[-2] < means[-1]:
            mean, size = means.pop(), sizes.pop()
            means[-1] = (means[-1] * sizes[-1] + mean * size) / (sizes[-1] + size)
            sizes[-1] += size
    return np.repeat(np.array(means, np.float32), np.array(sizes, np.intp))


def _among(some: Ids, photos: Ids) -> npt.NDArray[np.bool_]:
    """Which of some photos are among others, which are ascending: (len(some),)."""
    return np.append(photos, -1)[np.searchsorted(photos, some)] == some


def _matching(
    connection: sqlite3.Connection, photos: Ids, filters: Filters
) -> npt.NDArray[np.bool_]:
    """Which of some photos (N,) are not missing and match the filters: (N,)."""
    missing = select_ids(connection, "SELECT id FROM photos WHERE missing_since IS NOT NULL")
    matching = ~np.isin(photos, missing)
    if (selected := filters.select(connection)) is not None:
        matching &= np.isin(photos, selected)
    return matching


def _candidates(
    scores: FloatArray, matching: npt.NDArray[np.bool_], limit: int
) -> npt.NDArray[np.intp]:
    """The positions of the best scores, as many as are rescored: ascending."""
    [positions] = np.nonzero(matching)
    count = max(limit, RESCORED)
    if len(positions) > count:
        best = np.argpartition(-scores[positions], count - 1)[:count]
        positions = np.sort(positions[best])
    return positions
