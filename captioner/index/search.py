"""Finding photos: by a person's words, by what the model saw in them, and by their likeness.

Ranking: the model's measures are turned into standard scores (how many standard deviations a photo
lies above the collection's mean), to which the words that a photo's texts share with the query add
a bonus. What a person wrote, or named, comes before all of that. All photos are looked at in their
sketches, and the best of them once more in their exact vectors.

The score of a hit is another matter: how likely the photo is to fit the query, whatever else there
is in the collection. Scores never rise from one hit to the next.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from captioner.index import words
from captioner.index.database import Ids, ids, path_key
from captioner.index.filters import Filters, newest_first
from captioner.index.hits import Hit, hits_of
from captioner.index.query import Query, parse
from captioner.index.sketches import Sketches, exact
from captioner.types import FloatArray, HalfArray, QueryPlan, QueryPlanner, SearchVectors

# Ranking; tuned on queries with known answers, all but the order of people's words.
TEXT_BONUS = 0.5
"""Standard deviations that the best match by text adds to what the model saw."""
TEXT_ALONE = 3.0
"""The same for a photo whose vectors are of another model, and which has nothing else to show."""
WRITTEN_BONUS = 3.0
NAME_BONUS = 1.0
"""Standard deviations for part of the query in what a person wrote, or in names, times the part."""
WRITTEN_FIRST = 200.0
NAMED_FIRST = 100.0
"""The same for all of the query: more than any photo can lie above the mean."""
CLOSELY = 1000
"""Photos at least that are looked at once more, in their exact vectors."""

# Scores.
WRITTEN_FITS = 0.99
NAME_FITS = 0.95
"""How likely a photo fits for which a person used all words of the query, or that is named so."""
TEXT_ODDS = 1.33
"""Log odds that all words in a model's texts add to what it saw; fitted with the latter."""
TEXT_FITS = 0.6
"""How likely a photo fits by a model's texts alone: measured for those that hold all words."""
TEXT_LEAST = 0.25
"""The same at least, with whatever the model saw: measured for queries of four words and more."""
SURE = 0.5
"""A photo that shows an excluded word more likely than this is left out."""
MIN_SCORE = 0.03
"""Hits below it fit hardly better than any photo. Of queries that no photo of Flickr8k's dev split
fits, it leaves two in five without a hit; of those with a right photo, it keeps nine in ten."""


def search(
    connection: sqlite3.Connection,
    sketches: Sketches,
    query: str,
    rank: QueryPlanner | None,
    model_id: str | None,
    limit: int,
    filters: Filters,
    min_score: float = 0,
) -> list[Hit]:
    """The photos that fit a query best, by a person's words, by sight and by a model's words."""
    asked = parse(query)
    excluded = _excluded(connection, sketches, asked, rank, model_id)
    if not asked.text:
        return newest(connection, limit, filters, excluded)
    look = rank(asked.text) if rank else None
    sight = _sight(connection, sketches, look, model_id) if look and model_id else _NOTHING
    texts, own = words.with_any(connection, asked), words.by_person(connection, asked)
    photos = sight.photos
    for found in (texts.photos, own.photos):
        if len(new := found[~_among(found, photos)]):
            photos = np.sort(np.concatenate([photos, new]))
    seen, read, said = (np.searchsorted(photos, some.photos) for some in (sight, texts, own))
    scores, text = np.zeros((2, len(photos)), np.float32)
    is_seen, whole = np.zeros((2, len(photos)), np.bool_)
    text[read], whole[read], is_seen[seen] = texts.shares, texts.whole, True
    scores[seen] = sight.scores
    scores += np.where(is_seen, TEXT_BONUS, TEXT_ALONE) * text
    written, named, shares = np.zeros((3, len(photos)), np.float32)
    written[said], named[said], shares[said] = own.written, own.named, own.shares
    scores += _person_bonus(written, named, shares)
    kept = _kept(connection, photos, filters)
    if len(excluded):
        kept &= ~np.isin(photos, excluded)
    if asked.phrases:
        kept &= np.isin(photos, words.in_captions(connection, asked.phrases)[0])
    best = _best(scores, kept, limit)
    again = best[is_seen[best]]
    standard, log_odds = sight.closely(photos[again])
    scores[again] += standard - sight.scores[np.searchsorted(sight.photos, photos[again])]
    fits = TEXT_FITS * text * np.where(whole, 1, 0.5)
    seen_fits = _logistic(log_odds + TEXT_ODDS * whole[again])
    fits[again] = np.maximum(seen_fits, TEXT_LEAST * whole[again])
    fits *= 1 - len(_unknown(asked, texts, own, rank)) / len(asked.telling())
    fits = 1 - (1 - fits) * (1 - NAME_FITS * named) * (1 - WRITTEN_FITS * written)
    order = best[np.lexsort((photos[best], -scores[best]))]
    falling = _falling(fits[order])
    enough = falling >= min_score
    return _hits(connection, photos[order][enough], falling[enough], limit, asked)


def search_captions(
    connection: sqlite3.Connection,
    query: str,
    limit: int,
    filters: Filters,
    min_score: float = 0,
) -> list[Hit]:
    """The photos whose caption, or a person's words, hold every word of a query.

    A person's come first, then by BM25.
    """
    asked = parse(query)
    excluded = _excluded(connection, Sketches(), asked, None, None)
    if not asked.text:
        return newest(connection, limit, filters, excluded)
    photos, shares = words.in_captions(connection, asked.words + asked.phrases)
    kept = _kept(connection, photos, filters) & ~np.isin(photos, excluded)
    photos, shares = photos[kept], shares[kept]
    own = words.by_person(connection, asked)
    written = np.isin(photos, own.photos[own.written > 0.999])
    scores = np.where(written, 2 + shares, shares).astype(np.float32)
    order = np.lexsort((photos, -scores))
    # What is asked for is there to the letter: a doubt remains where a model wrote it.
    fits = np.where(written, 1, TEXT_FITS + (1 - TEXT_FITS) / 2 * shares)[order]
    enough = fits >= min_score
    return _hits(connection, photos[order][enough], fits[enough], limit, asked)


def similar(
    connection: sqlite3.Connection,
    sketches: Sketches,
    joint: HalfArray,
    model_id: str,
    limit: int,
    but_not: Path | None,
    filters: Filters,
    content_hash: bytes | None = None,
) -> list[Hit]:
    """The photos nearest to a vector by cosine in the joint space, without copies of its photo."""
    direction, nowhere = joint.astype(np.float32)[:, None], np.empty((0, 0), np.float32)
    look = QueryPlan(direction, nowhere, lambda near, _: near, np.ones(1, np.float32))
    photos, cosines = sketches.look(connection, model_id, look)
    scores = cosines[:, 0]
    kept = _kept(connection, photos, filters)
    same = ids(
        connection,
        "SELECT id FROM photos WHERE path = ?1 UNION SELECT id FROM photos WHERE content_hash IN "
        "(SELECT content_hash FROM photos WHERE path = ?1 UNION SELECT ?2)",
        [path_key(but_not) if but_not else None, content_hash],
    )
    kept &= ~np.isin(photos, same)
    best = photos[_best(scores, kept, limit)]
    if not len(best):
        return []
    near = look.measures(exact(connection, model_id, best))[:, 0]
    order = np.lexsort((best, -near))
    return _hits(connection, best[order], np.clip(near[order], 0, 1), limit)


def newest(
    connection: sqlite3.Connection, limit: int, filters: Filters, excluded: Ids | None = None
) -> list[Hit]:
    """The photos that were taken last."""
    photos = newest_first(connection)
    kept = _kept(connection, photos, filters)
    if excluded is not None:
        kept &= ~np.isin(photos, excluded)
    return _hits(connection, photos[kept], None, limit)


def vectors_of(connection: sqlite3.Connection, path: Path, model_id: str) -> SearchVectors | None:
    """The vectors of one photo by one model."""
    row = connection.execute(
        "SELECT joint, words FROM vectors JOIN photos ON id = photo "
        "WHERE path = ? AND model_id = ?",
        [path_key(path), model_id],
    ).fetchone()
    return SearchVectors(*(np.frombuffer(blob, "<f2") for blob in row)) if row else None


class _Sight:
    """What a model saw in the photos that it described: their evidence for a query, nearly."""

    def __init__(
        self,
        photos: Ids,
        evidence: FloatArray,
        look: QueryPlan | None,
        closely: Callable[[Ids], FloatArray],
    ) -> None:
        self.photos = photos
        """(N,), ascending."""
        self._look = look
        self._closely = closely
        if look is None or not len(photos):
            self._mean, self._weights = evidence[:0].sum(axis=0), evidence[:0].sum(axis=0)
        else:
            spread = evidence.std(axis=0) + 1e-6
            self._mean, self._weights = evidence.mean(axis=0), look.measure_weights / spread
            self._weights /= (evidence @ self._weights).std() or 1
        self.scores = self._standard(evidence)
        """(N,): standard scores, nearly."""
        self.evidence = evidence

    def _standard(self, evidence: FloatArray) -> FloatArray:
        out: FloatArray = (evidence - self._mean) @ self._weights
        return out

    def log_odds(self, evidence: FloatArray) -> FloatArray:
        """(N, P) → (N,): log odds that a photo shows what was asked."""
        if self._look is None or self._look.log_odds is None:
            return evidence.mean(axis=1) if evidence.size else np.empty(0, np.float32)
        return self._look.log_odds(evidence)

    def closely(self, some: Ids) -> tuple[FloatArray, FloatArray]:
        """Standard scores and log odds of some of the photos, ascending, by exact vectors."""
        if not len(some):
            return np.empty(0, np.float32), np.empty(0, np.float32)
        evidence = self._closely(some)
        return self._standard(evidence), self.log_odds(evidence)


def _nothing_closely(some: Ids) -> FloatArray:
    return np.empty((len(some), 0), np.float32)


_NOTHING = _Sight(np.empty(0, np.int64), np.empty((0, 0), np.float32), None, _nothing_closely)


def _sight(
    connection: sqlite3.Connection, sketches: Sketches, look: QueryPlan, model_id: str
) -> _Sight:
    photos, evidence = sketches.look(connection, model_id, look)
    if not len(photos):
        return _NOTHING
    return _Sight(
        photos, evidence, look, lambda some: look.measures(exact(connection, model_id, some))
    )


def _person_bonus(written: FloatArray, named: FloatArray, shares: FloatArray) -> FloatArray:
    """What the parts of a query that are in a person's words add to a photo's standard score."""
    bonus = WRITTEN_BONUS * written + NAME_BONUS * (named - written) + TEXT_BONUS * shares
    bonus += np.where(written > 0.999, WRITTEN_FIRST, np.where(named > 0.999, NAMED_FIRST, 0))
    return bonus.astype(np.float32)


def _excluded(
    connection: sqlite3.Connection,
    sketches: Sketches,
    asked: Query,
    rank: QueryPlanner | None,
    model_id: str | None,
) -> Ids:
    """Photos whose words hold what is excluded, or in which the model is sure to see it."""
    found = [np.empty(0, np.int64)]
    for phrase in asked.excluded:
        found.append(words.with_excluded(connection, phrase))
        look = rank(phrase) if rank else None
        if look and model_id:
            sight = _sight(connection, sketches, look, model_id)
            found.append(sight.photos[_logistic(sight.log_odds(sight.evidence)) > SURE])
    return np.unique(np.concatenate(found))


def _unknown(
    asked: Query, texts: words.Texts, own: words.Own, rank: QueryPlanner | None
) -> list[str]:
    """Words of a query that neither a text nor the model knows."""
    nowhere = set(texts.unknown) & set(own.unknown)
    return [word for word in asked.telling() if word in nowhere and not (rank and rank(word))]


def _logistic(log_odds: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))).astype(np.float32)


def _falling(values: FloatArray) -> FloatArray:
    """The nearest values (least squares) that never rise: isotonic regression, pooling blocks."""
    means: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        means.append(value)
        sizes.append(1)
        while len(means) > 1 and means[-2] < means[-1]:
            mean, size = means.pop(), sizes.pop()
            means[-1] = (means[-1] * sizes[-1] + mean * size) / (sizes[-1] + size)
            sizes[-1] += size
    return np.repeat(np.array(means, np.float32), np.array(sizes, np.intp))


def _among(some: Ids, photos: Ids) -> npt.NDArray[np.bool_]:
    """Which of some photos are among others, which are ascending: (len(some),)."""
    return np.append(photos, -1)[np.searchsorted(photos, some)] == some


def _kept(connection: sqlite3.Connection, photos: Ids, filters: Filters) -> npt.NDArray[np.bool_]:
    """Which of some photos (N,) are there and fulfil the filters: (N,)."""
    missing = ids(connection, "SELECT id FROM photos WHERE missing_since IS NOT NULL")
    kept = ~np.isin(photos, missing)
    if (chosen := filters.select(connection)) is not None:
        kept &= np.isin(photos, chosen)
    return kept


def _best(scores: FloatArray, kept: npt.NDArray[np.bool_], limit: int) -> npt.NDArray[np.intp]:
    """Where the best scores stand, of as many as are looked at closely: ascending."""
    [at] = np.nonzero(kept)
    count = max(limit, CLOSELY)
    if len(at) > count:
        at = np.sort(at[np.argpartition(-scores[at], count - 1)[:count]])
    return at


def _hits(
    connection: sqlite3.Connection,
    photos: Ids,
    scores: FloatArray | None,
    limit: int,
    asked: Query | None = None,
) -> list[Hit]:
    """The first `limit` photos, each content once: the copies are named by their best one."""
    found: dict[int, float | None] = {}
    seen: set[bytes] = set()
    for place, (photo, content) in enumerate(_contents(connection, photos)):
        if content is None or content not in seen:
            found[photo] = None if scores is None else float(scores[place])
        if content is not None:
            seen.add(content)
        if len(found) == limit:
            break
    numbers = list(found)
    matched = words.used_by_person(connection, asked, numbers) if asked else {}
    return hits_of(connection, numbers, list(found.values()), matched)


def _contents(connection: sqlite3.Connection, photos: Ids) -> Iterator[tuple[int, bytes | None]]:
    """Photos in their order, and the hash of what is in each file; None where it is not known."""
    for start in range(0, len(photos), 256):
        some: Sequence[int] = photos[start : start + 256].tolist()
        known = dict(
            connection.execute(
                "SELECT id, content_hash FROM photos WHERE id IN (SELECT value FROM json_each(?))",
                [json.dumps(some)],
            )
        )
        yield from ((photo, known[photo]) for photo in some)
