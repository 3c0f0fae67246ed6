"""The search service: from words or a photo to ranked hits, and what to try if there are none.

The command line and `Library` use it. Ranking itself is done by `captioner.index.search`, with the
query plan that `captioner.model.query` derives from the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import UsageError
from captioner.index import Filters, Hit, Index
from captioner.index.search import MIN_SCORE, ExamplePhoto
from captioner.types import Description, Failure, Photo

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
    index: Index,
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
        return _with_advice(index, index.newest(limit=limit, filters=filters), "", {}, filters)
    if exact and like is not None:
        raise UsageError("an exact search cannot compare photos.", "Omit either --exact or --like.")
    model_id: str | None = None
    planner: QueryPlanner | None = None
    respelled: dict[str, str] = {}
    if not exact:
        from captioner.model.query import load_planner

        model_id, planner = load_planner(bundle)
        query, respelled = _respell(index, query, planner)
    example: ExamplePhoto | None = None
    if like is not None and model_id is not None:
        found = _example(index, like, describe, model_id)
        if isinstance(found, Failure):
            return found
        example = found
    threshold = MIN_SCORE if min_score is None else min_score

    def find(min_score: float, limit: int) -> list[Hit]:
        return index.search(
            query,
            planner=planner,
            model_id=model_id,
            limit=limit,
            exact=exact,
            filters=filters,
            min_score=min_score,
            example=example,
        )

    hits = find(threshold, limit)
    if not hits and threshold > 0 and find(0, 1):
        return SearchResults((), query, respelled, Advice.MIN_SCORE)
    return _with_advice(index, hits, query, respelled, filters, exact=exact)


def similar(
    index: Index,
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
    describe
        Describes the photo if the index has no embedding of it.
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
    example = _example(index, photo, describe, model_id)
    if isinstance(example, Failure):
        return example
    hits = index.similar(
        example.embedding,
        model_id,
        limit=limit,
        exclude=photo,
        content_hash=example.content_hash,
        filters=filters,
    )
    matches = tuple(hit for hit in hits if (hit.score or 0) >= (min_score or 0))
    if matches:
        return SearchResults(matches)
    return SearchResults((), advice=Advice.MIN_SCORE if hits else Advice.FILTERS)


def _example(
    index: Index, photo: Path, describe: Describe | None, model_id: str
) -> ExamplePhoto | Failure:
    """The embedding of a photo, from the index if it is there, unchanged."""
    from captioner.photos.walk import walk

    if photo.is_dir():
        raise UsageError(f"{photo} is a folder.", "Name one photo.")
    [found] = walk([photo])
    indexed = isinstance(found, Failure) or not any(index.pending([found]))
    if indexed and (vectors := index.vectors(photo, model_id)):
        return ExamplePhoto(vectors.embedding, photo)
    if isinstance(found, Failure):
        return found
    if describe is None:
        raise UsageError(f"{photo} is not in the index.", "Index it first.")
    result = describe(found)
    if isinstance(result, Failure):
        return result
    return ExamplePhoto(result.vectors.embedding, photo, result.content_hash)


def _respell(index: Index, query: str, planner: QueryPlanner) -> tuple[str, dict[str, str]]:
    return index.respell(query, lambda word: planner(word) is not None)


def _with_advice(
    index: Index,
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
    counts = index.counts()
    if not counts.described:
        advice = Advice.EMPTY_INDEX
    elif filters and not index.newest(limit=1, filters=filters):
        advice = Advice.FILTERS
    elif exact:
        advice = Advice.EXACT
    elif '"' in query:
        advice = Advice.QUOTES
    else:
        advice = Advice.UNKNOWN_WORDS
    return SearchResults((), query, respelled, advice, counts.missing)
