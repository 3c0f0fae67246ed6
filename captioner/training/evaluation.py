"""A model on photos that it was not trained on: what it says of them, and how they are found.

Descriptions and rankings come from outside, so that what is measured is what a person uses: the
pipeline that describes, and the search of the index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from captioner.errors import CaptionerError
from captioner.model.query import score_all
from captioner.model.vocabulary import words
from captioner.training.corpora import Example
from captioner.training.metrics import (
    JudgedQuery,
    Ranking,
    Recall,
    RetrievalPrecision,
    Scores,
    caption_recall,
    caption_scores,
    query_precision,
)
from captioner.types import Description, FloatArray, QueryPlanner, SearchVectors

SEARCH, MODEL = "captioner search", "the model alone"
"""The rankings that are measured side by side."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model is worth on some photos."""

    examples: tuple[Example, ...]
    descriptions: tuple[Description, ...]
    """Of the same photos, in the same order."""
    scores: Scores
    recall: Recall
    """Every reference caption as a query, ranked by the model alone."""
    precisions: Mapping[str, Mapping[str, RetrievalPrecision]]
    """By the query file, as given, then by the name of the ranking."""

    def record(self) -> dict[str, object]:
        """All figures for a JSON file, rounded to two digits."""
        return {
            "captions": self.scores.record(),
            "whole_captions": _rounded(self.recall),
            "query_files": [
                {
                    "file": file,
                    "search": _rounded(precisions[SEARCH]),
                    "model_alone": _rounded(precisions[MODEL]),
                }
                for file, precisions in self.precisions.items()
            ],
        }


def evaluate(
    examples: Sequence[Example],
    descriptions: Sequence[Description],
    rank: QueryPlanner,
    search: Ranking,
    queries: Mapping[str, Sequence[JudgedQuery]],
) -> Evaluation:
    """Measure descriptions against the reference captions of their photos.

    Parameters
    ----------
    examples
        Photos with references; those without a description are left out.
    descriptions
        Of photos among the examples, in any order.
    rank
        How the model scores photos. With it alone whole captions are searched for: there are
        thousands of them, and they would take minutes in `search`.
    search
        The search as a person uses it; scores photos in the order of `descriptions`.
    queries
        Of each query file.

    Raises
    ------
    CaptionerError
        Where nothing was described, no query fits the photos, or `pycocoevalcap` is missing.
    """
    if not descriptions:
        raise CaptionerError("there is nothing to evaluate: not one photo was described.")
    by_name = {example.name: example for example in examples}
    measured = [by_name[description.photo.path.name] for description in descriptions]
    names = [example.name for example in measured]
    said = dict(zip(names, (each.captions[0].text for each in descriptions), strict=True))
    references = {example.name: example.captions for example in measured}
    # As plain words: what a caption puts in quotes is no demand on the search.
    asked = {name: [" ".join(words(text)) for text in references[name]] for name in names}
    alone = by_vectors(rank, descriptions)
    return Evaluation(
        examples=tuple(measured),
        descriptions=tuple(descriptions),
        scores=caption_scores(said, references),
        recall=caption_recall(alone, names, asked),
        precisions={
            file: {
                name: query_precision(ranking, names, asked_for)
                for name, ranking in {SEARCH: search, MODEL: alone}.items()
            }
            for file, asked_for in queries.items()
        },
    )


def by_vectors(rank: QueryPlanner, descriptions: Sequence[Description]) -> Ranking:
    """Rank photos by the model's own scores alone, without their captions' words."""
    stacked = SearchVectors(
        np.stack([description.vectors.embedding for description in descriptions]),
        np.stack([description.vectors.word_hidden for description in descriptions]),
    )
    return lambda query: score_all(rank(query), stacked)


def by_order(places: Sequence[int], count: int) -> FloatArray:
    """Scores (count,) for a search's answer: `places` are the photos found, best first."""
    scores = np.full(count, -np.inf, np.float32)
    scores[list(places)] = -np.arange(len(places), dtype=np.float32)
    return scores


def _rounded(measures: Recall | RetrievalPrecision) -> dict[str, float]:
    return {name: round(value, 2) for name, value in asdict(measures).items()}
