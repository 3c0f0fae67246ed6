"""The search service: from words or a photo to ranked hits, and what to try if there are none.

The command line and `Library` use it. Ranking itself is done by `captioner.index.search`, with the
query plan that `captioner.model.query` derives from the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from captioner.errors import UsageError
from captioner.fusion import Moments
from captioner.index import Filters, Hit, Index
from captioner.index.database import Ids
from captioner.index.search import MIN_SCORE, ExamplePhoto, Ranked, non_increasing
from captioner.types import Description, Failure, FloatArray, Photo

if TYPE_CHECKING:
    from captioner.types import QueryPlanner

Describe = Callable[[Photo], Description | Failure]

NO_FILTERS = Filters()


class Advice(Enum):
    """Why nothing was found, and what to try next."""

    EMPTY_INDEX = "index photos first"
    FILTERS = "no photo matches the filters: use fewer or broader ones"
    EXACT = "the exact search ignores what the model recognised: search without it"
    QUOTES = "quoted words must be in a text: search without the quotes"
    UNKNOWN_WORDS = "neither a text nor the model knows these words: use others"
    MIN_SCORE = "all photos score below the threshold: lower it"


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a search found."""

    hits: tuple[Hit, ...]
    """Best first. `Hit.matched` names the human-authored texts that match; empty: model only."""
    query: str = ""
    """As searched, with respelled words replaced."""
    respelled: Mapping[str, str] = field(default_factory=dict)
    """From each unknown word to the similar word that was searched for instead."""
    advice: Advice | None = None
    """Set if there are no hits."""
    missing: int = 0
    """If there are no hits: photos that were not searched, since their files are missing."""


def search(
    index: Index | Sequence[Index],
    query: str | None = None,
    *,
    bundle: Path | None = None,
    limit: int = 10,
    exact: bool = False,
    filters: Filters = NO_FILTERS,
    min_score: float | None = None,
    like: Path | None = None,
    describe: Describe | None = None,
) -> SearchResults | Failure:
    """Find photos from a few words, or the newest ones without words.

    Parameters
    ----------
    index
        Or several, which are searched and ranked as one.
    query
        Words or a sentence; "quoted phrases" must be in a text, -words must not. None: the newest
        photos.
    bundle
        The bundle whose model interprets the query; None: the default one.
    exact
        Search only captions and human-authored texts, without the model.
    min_score
        Omit hits with a lower score, 0 to 1; None: `MIN_SCORE`.
    like
        A photo that the hits should look like, too. It is not a hit itself.
    describe
        Describes that photo if the index has no embedding of it.

    Returns
    -------
    The hits, best first, or why the photo `like` cannot be read.

    Raises
    ------
    UsageError
        If the query is empty or blank, `exact` or `like` is set without one, both are set, or
        `like` is a folder.
    CaptionerError
        If the index or the bundle cannot be read.
    """
    indexes = _all(index)
    if query is None:  # not "": an unset variable must not list the newest photos
        if exact:
            raise UsageError(
                "an exact search requires a query.", "Pass words that the captions contain."
            )
        if like is not None:
            raise UsageError(
                "a search by words and a photo requires words.",
                "Pass words, or use `similar` to search by the photo alone.",
            )
        newest = [one.newest(limit=limit, filters=filters) for one in indexes]
        return _with_advice(indexes, _merged(indexes, newest, limit, newest=True), "", {}, filters)
    if exact and like is not None:
        raise UsageError("an exact search cannot compare photos.", "Omit either --exact or --like.")
    model_id: str | None = None
    planner: QueryPlanner | None = None
    respelled: dict[str, str] = {}
    if not exact:
        from captioner.model.query import load_planner

        model_id, planner = load_planner(bundle)
        query, respelled = _respell(indexes, query, planner)
    example: ExamplePhoto | None = None
    if like is not None and model_id is not None:
        found = example_photo(indexes, like, describe, model_id)
        if isinstance(found, Failure):
            return found
        example = found
    threshold = MIN_SCORE if min_score is None else min_score
    collection: Moments | None = None
    if planner and model_id and len(indexes) > 1:
        collection = _collection(indexes, query, planner, model_id, example)

    def find(min_score: float, limit: int) -> list[Hit]:
        found = [
            one.search(
                query,
                planner=planner,
                model_id=model_id,
                limit=limit,
                exact=exact,
                filters=filters,
                min_score=min_score,
                example=example,
                collection=collection,
            )
            for one in indexes
        ]
        return _merged(indexes, found, limit)

    hits = find(threshold, limit)
    if not hits and threshold > 0 and find(0, 1):
        return SearchResults((), query, respelled, Advice.MIN_SCORE)
    return _with_advice(indexes, hits, query, respelled, filters, exact=exact)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """All photos that a search finds, in its order, without copies."""

    positions: npt.NDArray[np.int16]
    """(N,): the index of each photo among those that were searched."""
    rows: Ids
    """(N,): its row there."""
    scores: FloatArray | None
    """(N,): as `Hit.score`, never rising; None for the newest photos."""
    query: str = ""
    respelled: Mapping[str, str] = field(default_factory=dict)
    advice: Advice | None = None
    missing: int = 0
    """All four as in `SearchResults`."""


def rank(
    index: Index | Sequence[Index],
    query: str | None = None,
    *,
    model: tuple[str, QueryPlanner] | None = None,
    exact: bool = False,
    filters: Filters = NO_FILTERS,
    min_score: float | None = None,
    example: ExamplePhoto | None = None,
) -> Ranking:
    """Rank all photos that match, where `search` loads the best of them.

    Photos are in the same order, up to the 1,000 that are scored exactly.

    Parameters
    ----------
    model
        The id of a model and its query planner, from `load_planner`; None: text alone counts.
    example
        A photo that the others should look like: alone, without a query, as in `similar`.

    Raises
    ------
    UsageError
        If the query is blank.
    """
    indexes = _all(index)
    model_id, planner = model or (None, None)
    respelled: dict[str, str] = {}
    collection: Moments | None = None
    if query is not None and planner and model_id and not exact:
        query, respelled = _respell(indexes, query, planner)
        if len(indexes) > 1:
            collection = _collection(indexes, query, planner, model_id, example)
    threshold = MIN_SCORE if min_score is None else min_score

    def find(min_score: float) -> Ranking:
        found = [
            one.rank(
                query,
                planner=planner,
                model_id=model_id,
                exact=exact,
                filters=filters,
                min_score=min_score,
                example=example,
                collection=collection,
            )
            for one in indexes
        ]
        return _one_ranking(indexes, found, query or "", respelled)

    ranking = find(threshold)
    if len(ranking.rows):
        return ranking
    if query is not None and threshold > 0 and len(find(0).rows):
        return replace(ranking, advice=Advice.MIN_SCORE)
    why = _with_advice(indexes, [], query or "", respelled, filters, exact=exact)
    return replace(ranking, advice=why.advice, missing=why.missing)


def _one_ranking(
    indexes: Sequence[Index], found: Sequence[Ranked], query: str, respelled: Mapping[str, str]
) -> Ranking:
    """The rankings of several indexes in one order. Copies in different indexes stay."""
    rows = np.concatenate([one.photos for one in found])
    positions = np.repeat(np.arange(len(found), dtype=np.int16), [len(one.photos) for one in found])
    scores: FloatArray | None = None
    if all(one.scores is not None for one in found):
        scores = np.concatenate([one.scores for one in found if one.scores is not None])
    if len(found) > 1:
        if scores is None:
            by = np.concatenate(
                [index.months(one.photos) for index, one in zip(indexes, found, strict=True)]
            ).astype(np.float32)
        else:
            by = np.concatenate(
                [one.scores if one.ranks is None else one.ranks for one in found]  # type: ignore[misc]
            )
        order = np.argsort(-by, kind="stable")
        rows, positions = rows[order], positions[order]
        scores = None if scores is None else np.minimum.accumulate(scores[order])
    return Ranking(positions, rows, scores, query, respelled)


def _collection(
    indexes: Sequence[Index],
    query: str,
    planner: QueryPlanner,
    model_id: str,
    example: ExamplePhoto | None,
) -> Moments | None:
    moments = [one.moments(query, planner, model_id, example) for one in indexes]
    known = [one for one in moments if one]
    return Moments.pooled(known) if known else None


def similar(
    index: Index | Sequence[Index],
    photo: Path,
    describe: Describe,
    *,
    bundle: Path | None = None,
    limit: int = 10,
    filters: Filters = NO_FILTERS,
    min_score: float | None = None,
) -> SearchResults | Failure:
    """Find photos that look like a given one, by the cosine similarity of their embeddings.

    A photo that is in the index is not opened again. The photo and its copies are excluded.

    Parameters
    ----------
    index
        Or several, which are searched and ranked as one.
    describe
        Describes the photo if no index has an embedding of it.
    min_score
        Omit hits with a lower cosine similarity, 0 to 1.

    Returns
    -------
    The hits, most similar first, or why the photo cannot be read.

    Raises
    ------
    UsageError
        If `photo` is a folder.
    """
    from captioner.model.query import load_planner

    model_id, _ = load_planner(bundle)
    indexes = _all(index)
    example = example_photo(indexes, photo, describe, model_id)
    if isinstance(example, Failure):
        return example
    found = [
        one.similar(
            example.embedding,
            model_id,
            limit=limit,
            exclude=photo,
            content_hash=example.content_hash,
            filters=filters,
        )
        for one in indexes
    ]
    hits = _merged(indexes, found, limit)
    matches = tuple(hit for hit in hits if (hit.score or 0) >= (min_score or 0))
    if matches:
        return SearchResults(matches)
    return SearchResults((), advice=Advice.MIN_SCORE if hits else Advice.FILTERS)


def _all(index: Index | Sequence[Index]) -> Sequence[Index]:
    return [index] if isinstance(index, Index) else index


def _merged(
    indexes: Sequence[Index], found: Sequence[list[Hit]], limit: int, *, newest: bool = False
) -> list[Hit]:
    """The best hits of several indexes in one order, identical files once."""
    if len(indexes) == 1:
        return found[0]
    hits = [
        replace(hit, database=str(index.path))
        for index, some in zip(indexes, found, strict=True)
        for hit in some
    ]
    # The sort is stable: equal hits stay in the order of the indexes.
    if newest:
        hits.sort(key=lambda hit: hit.taken_at or "", reverse=True)
    else:
        hits.sort(key=lambda hit: -(hit.rank or 0))
    merged: dict[object, Hit] = {}
    for hit in hits:
        content = hit.content_hash or (hit.database, hit.path)
        if content not in merged:
            merged[content] = hit
        else:
            first = merged[content]
            paths = (*first.copies, *(path for path in (hit.path, *hit.copies)))
            copies = tuple(path for path in dict.fromkeys(paths) if path != first.path)
            merged[content] = replace(first, copies=copies)
    best = list(merged.values())[:limit]
    scores = [hit.score for hit in best]
    if None not in scores:
        falling = non_increasing(np.array(scores, np.float32)).tolist()
        best = [replace(hit, score=score) for hit, score in zip(best, falling, strict=True)]
    return best


def example_photo(
    indexes: Sequence[Index], photo: Path, describe: Describe | None, model_id: str
) -> ExamplePhoto | Failure:
    """A photo as an example to search by, from an index if it is there, unchanged.

    Raises
    ------
    UsageError
        If it is a folder, or in no index and there is nothing to describe it.
    """
    from captioner.photos.walk import walk

    if photo.is_dir():
        raise UsageError(f"{photo} is a folder.", "Name one photo.")
    [found] = walk([photo])
    for index in indexes:
        indexed = isinstance(found, Failure) or not any(index.pending([found]))
        if indexed and (vectors := index.vectors(photo, model_id)):
            content_hash = index.content_hash(photo) if len(indexes) > 1 else None
            return ExamplePhoto(vectors.embedding, photo, content_hash)
    if isinstance(found, Failure):
        return found
    if describe is None:
        raise UsageError(f"{photo} is not in the index.", "Index it first.")
    result = describe(found)
    if isinstance(result, Failure):
        return result
    return ExamplePhoto(result.vectors.embedding, photo, result.content_hash)


def _respell(
    indexes: Sequence[Index], query: str, planner: QueryPlanner
) -> tuple[str, dict[str, str]]:
    """Replace the words that neither the model nor any index knows."""

    def is_known(word: str) -> bool:
        return planner(word) is not None

    found = [index.respell(query, is_known) for index in indexes]
    if len(found) == 1:
        return found[0]
    unknown = set.intersection(*(set(respelled) for _, respelled in found))
    return indexes[0].respell(query, lambda word: is_known(word) or word not in unknown)


def _with_advice(
    indexes: Sequence[Index],
    hits: list[Hit],
    query: str,
    respelled: Mapping[str, str],
    filters: Filters,
    *,
    exact: bool = False,
) -> SearchResults:
    """The results, with advice if there are no hits."""
    if hits:
        return SearchResults(tuple(hits), query, respelled)
    counts = [index.counts() for index in indexes]
    if not any(one.described for one in counts):
        advice = Advice.EMPTY_INDEX
    elif filters and not any(index.newest(limit=1, filters=filters) for index in indexes):
        advice = Advice.FILTERS
    elif exact:
        advice = Advice.EXACT
    elif '"' in query:
        advice = Advice.QUOTES
    else:
        advice = Advice.UNKNOWN_WORDS
    return SearchResults((), query, respelled, advice, sum(one.missing for one in counts))
