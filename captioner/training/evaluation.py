"""Evaluation of a model: its captions against references, and how well photos are found.

Descriptions and rankings come from outside, so that what is measured is what people use: the
pipeline that describes photos, and the search of the index.
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
from captioner.training.object_metrics import ObjectFigures, measure_objects
from captioner.types import Description, FloatArray, QueryPlanner, SearchVectors

SEARCH, MODEL = "captioner search", "the model alone"
"""Names of the rankings that are compared."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of a model on some photos, and what they were computed from."""

    examples: tuple[Example, ...]
    descriptions: tuple[Description, ...]
    """Those of the examples, in the same order."""
    scores: Scores
    recall: Recall
    """Every reference caption as a query, ranked by the model alone."""
    precisions: Mapping[str, Mapping[str, RetrievalPrecision]]
    """By query file, as given, then by name of the ranking."""
    objects: ObjectFigures | None = None
    """None: no objects are given, or none of the photos is annotated."""

    def record(self) -> dict[str, object]:
        """All figures, for JSON, rounded to two decimals."""
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
            **({"objects": _rounded(self.objects)} if self.objects else {}),
        }


def evaluate(
    examples: Sequence[Example],
    descriptions: Sequence[Description],
    rank: QueryPlanner,
    search: Ranking,
    queries: Mapping[str, Sequence[JudgedQuery]],
    objects: Mapping[str, frozenset[str]] | None = None,
) -> Evaluation:
    """Compute all metrics of descriptions, given their photos' reference captions.

    Parameters
    ----------
    examples
        Photos with references; those without a description are skipped.
    descriptions
        Of photos among the examples, in any order.
    rank
        The model's own ranking. Reference captions are searched with it alone: there are thousands
        of them, and they would take minutes in `search`.
    search
        The search of an index; scores photos in the order of `descriptions`.
    queries
        By query file.
    objects
        Annotated objects by photo name.

    Raises
    ------
    CaptionerError
        If nothing was described, no query is about these photos, or `pycocoevalcap` is missing.
    """
    if not descriptions:
        raise CaptionerError("there is nothing to evaluate: no photo was captioned.")
    by_name = {example.name: example for example in examples}
    measured = [by_name[description.photo.path.name] for description in descriptions]
    names = [example.name for example in measured]
    captions = dict(zip(names, (each.captions[0].text for each in descriptions), strict=True))
    references = {example.name: example.captions for example in measured}
    # Plain words: quotes in a caption are not the search syntax.
    queries_of = {name: [" ".join(words(text)) for text in references[name]] for name in names}
    own_ranking = by_vectors(rank, descriptions)
    return Evaluation(
        examples=tuple(measured),
        descriptions=tuple(descriptions),
        scores=caption_scores(captions, references),
        recall=caption_recall(own_ranking, names, queries_of),
        precisions={
            file: {
                name: query_precision(ranking, names, judged)
                for name, ranking in {SEARCH: search, MODEL: own_ranking}.items()
            }
            for file, judged in queries.items()
        },
        objects=measure_objects(measured, descriptions, objects) if objects else None,
    )


def by_vectors(rank: QueryPlanner, descriptions: Sequence[Description]) -> Ranking:
    """Rank photos by the model's scores alone, without the words of their captions."""
    stacked = SearchVectors(
        np.stack([description.vectors.embedding for description in descriptions]),
        np.stack([description.vectors.word_hidden for description in descriptions]),
    )
    return lambda query: score_all(rank(query), stacked)


def by_order(found: Sequence[int], count: int) -> FloatArray:
    """Scores (count,) of a search's result: `found` are the photos' numbers, best first."""
    scores = np.full(count, -np.inf, np.float32)
    scores[list(found)] = -np.arange(len(found), dtype=np.float32)
    return scores


def _rounded(measures: Recall | RetrievalPrecision | ObjectFigures) -> dict[str, float]:
    return {name: round(value, 2) for name, value in asdict(measures).items()}
