"""The HTML page of a comparison: its tables, and photos with what all systems say about them.

Like the page of an evaluation (`captioner.training.sheet`), it is a single file that loads nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from captioner.rendering.templates import render
from captioner.training.comparison import Comparison, SystemResult
from captioner.training.comparison_tables import sections
from captioner.training.corpora import Example
from captioner.training.sheet import STYLES, Group, best_between_worst, own_style, thumbnail
from captioner.training.systems import Seeds, seeds


@dataclass(frozen=True, slots=True)
class SharedCaption:
    """A caption, and how many bundles of a system give it."""

    text: str
    cider: float
    bundles: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system says about a photo."""

    system: str
    captions: tuple[SharedCaption, ...]
    """Those of its bundles, each once, the most frequent first."""
    bundles: int


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one photo."""

    image: str
    """A data URI; empty if the photo cannot be read any more."""
    answers: tuple[Answer, ...]
    references: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class BundleRow:
    """Which bundle belongs to which system."""

    system: str
    folder: str
    model_id: str
    seeds: Seeds


def comparison_sheet(
    comparison: Comparison, *, title: str, about: Sequence[str], count: int = 12, seed: int = 0
) -> str:
    """Make the page: the tables, photos that systems differ on, and the best, others and the worst.

    Parameters
    ----------
    title
        Of the page: data and split.
    about
        Lines below the title: how was measured.
    count
        Photos in each group; fewer if there are not enough.
    seed
        Of the sample in between.
    """
    results = comparison.results
    evaluation = results[0].measurements[0].evaluation
    return render(
        "comparison.html",
        title=title,
        about=about,
        **own_style(*STYLES, "comparison.css"),
        tables=sections(comparison),
        note=evaluation.scores.note,
        bundles=[
            BundleRow(
                result.name,
                measured.bundle.folder.name,
                measured.bundle.model_id,
                seeds(measured.bundle),
            )
            for result in results
            for measured in result.measurements
        ],
        groups=_groups(results, evaluation.examples, count, seed),
    )


def _groups(
    results: Sequence[SystemResult], examples: Sequence[Example], count: int, seed: int
) -> list[Group]:
    ciders = [result.photo_cider for result in results]
    of_photo = {each.name: [cider[each.name] for cider in ciders] for each in examples}

    def mean(example: Example) -> float:
        return sum(of_photo[example.name]) / len(results)

    def spread(example: Example) -> float:
        return max(of_photo[example.name]) - min(of_photo[example.name])

    ranked = sorted(examples, key=lambda each: (-mean(each), each.name))
    best, between, worst = best_between_worst(ranked, count, seed)
    apart = sorted(filter(spread, examples), key=lambda each: (-spread(each), each.name))[:count]
    chosen = (
        ("apart", "Most different", "The photos on which the systems' CIDEr differs most.", apart),
        ("best", "The best", "The photos with the highest CIDEr, mean of all systems.", best),
        ("between", "In between", "Some of the others, at random.", between),
        ("worst", "The worst", "The photos with the lowest CIDEr, mean of all systems.", worst),
    )
    said = [_captions(result) for result in results]
    return [
        Group(name, heading, explanation, [_card(example, results, said) for example in some])
        for name, heading, explanation, some in chosen
        if some
    ]


def _captions(result: SystemResult) -> list[dict[str, tuple[str, float]]]:
    """By photo name the caption of each bundle with its CIDEr."""
    return [
        {
            example.name: (description.captions[0].text, scores.photo_cider[example.name])
            for example, description in zip(
                measured.evaluation.examples, measured.evaluation.descriptions, strict=True
            )
        }
        for measured in result.measurements
        for scores in [measured.evaluation.scores]
    ]


def _card(
    example: Example,
    results: Sequence[SystemResult],
    said: Sequence[Sequence[dict[str, tuple[str, float]]]],
) -> Card:
    answers = []
    for result, bundles in zip(results, said, strict=True):
        counts = Counter(captions[example.name] for captions in bundles)
        shared = (SharedCaption(*caption, times) for caption, times in counts.most_common())
        answers.append(Answer(result.name, tuple(shared), len(bundles)))
    return Card(thumbnail(example), tuple(answers), tuple(example.captions), example.name)
