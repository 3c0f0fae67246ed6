"""The HTML page of an evaluation: its figures, and photos with their captions and references.

The page is a single file: photos are embedded as small JPEGs, there is no script, and its content
security policy forbids it to load anything and allows no style but its own. Templates, charts,
thumbnails and escaping are those of `captioner.rendering`, as of the pages of `captioner browse`.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from captioner.errors import PhotoError
from captioner.photos.read import read
from captioner.rendering import plots, thumbnails
from captioner.rendering.templates import render, stylesheet
from captioner.training.corpora import Example
from captioner.training.evaluation import MODEL, Evaluation
from captioner.types import Caption, Description, Keyword, Photo

SIDE = 320
"""Longest side of an embedded photo, pixels."""
BARS = 24
"""Of the histogram; the last one includes everything beyond its end."""
END = 240
"""Of the histogram: CIDEr."""
STYLES = ("base.css", "plots.css", "sheet.css")

T = TypeVar("T")
Row = tuple[Example, Description, float]
"""A photo with its references, the model's description, and the CIDEr of its caption."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one photo."""

    image: str
    """A data URI; empty if the photo cannot be read any more."""
    caption: Caption
    cider: float
    keywords: tuple[Keyword, ...]
    references: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Group:
    """Some of the photos, with a heading."""

    name: str
    """Of its anchor."""
    heading: str
    explanation: str
    cards: Sequence[object]
    """What the template shows of each photo, such as a `Card`."""


def sheet(
    evaluation: Evaluation, *, title: str, about: Sequence[str], count: int = 24, seed: int = 0
) -> str:
    """Make the page: all figures, then the best photos by CIDEr, some in between, and the worst.

    Parameters
    ----------
    title
        Of the page: data and split.
    about
        Lines below the title: model, commands, remarks.
    count
        Photos in each of the three groups; fewer if there are not enough.
    seed
        Of the sample in between.
    """
    cider = evaluation.scores.photo_cider
    rows = [
        (example, description, cider[example.name])
        for example, description in zip(evaluation.examples, evaluation.descriptions, strict=True)
    ]
    rows.sort(key=lambda row: (-row[2], row[0].name))
    best, between, worst = best_between_worst(rows, count, seed)
    groups = [
        ("best", "The best", f"The {len(best)} captions with the highest CIDEr.", best),
        ("between", "In between", f"{len(between)} of the others, at random.", between),
        ("worst", "The worst", f"The {len(worst)} captions with the lowest CIDEr.", worst),
    ]
    scores, recall = evaluation.scores, evaluation.recall
    return render(
        "sheet.html",
        title=title,
        about=about,
        **own_style(*STYLES),
        captions=_caption_figures(evaluation),
        note=scores.note,
        histogram=_histogram(list(scores.photo_cider.values())),
        search=[
            ("R@1", f"{recall.at_1:.1f}"),
            ("R@5", f"{recall.at_5:.1f}"),
            ("R@10", f"{recall.at_10:.1f}"),
            ("median rank", f"{recall.median_rank:g}"),
        ],
        queries=recall.queries,
        ranking=MODEL,
        tables=[(Path(file).name, found) for file, found in evaluation.precisions.items()],
        objects=evaluation.objects,
        groups=[
            Group(name, heading, explanation, [_card(*row) for row in some])
            for name, heading, explanation, some in groups
            if some
        ],
    )


def best_between_worst(
    ranked: Sequence[T], count: int, seed: int
) -> tuple[Sequence[T], Sequence[T], Sequence[T]]:
    """The first of a ranking, a random sample of the others in its order, and the last.

    Parameters
    ----------
    count
        Of each; fewer if there are not enough, as none is there twice.
    """
    each = min(count, max(1, len(ranked) // 3))
    between = range(len(ranked))[each:-each]
    sample = sorted(random.Random(seed).sample(between, min(each, len(between))))
    return ranked[:each], [ranked[number] for number in sample], ranked[each:][-each:]


def own_style(*names: str) -> dict[str, str]:
    """Style sheets of a page that is a single file, and the digest by which its policy allows them.

    They are what `sheet.html` takes as `style` and `style_digest`.
    """
    style = stylesheet(*names)
    digest = hashlib.sha256(style.encode()).digest()
    return {"style": style, "style_digest": base64.b64encode(digest).decode("ascii")}


def _caption_figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    scores = evaluation.scores
    return [
        ("CIDEr", f"{scores.cider:.1f}"),
        *((f"BLEU-{n}", f"{value:.1f}") for n, value in enumerate(scores.bleu, 1)),
        ("ROUGE-L", f"{scores.rouge:.1f}"),
        *([("METEOR", f"{scores.meteor:.1f}")] if scores.meteor is not None else []),
        ("photos", f"{len(scores.photo_cider):,}"),
        ("distinct captions", f"{scores.different_captions:,}"),
        ("distinct words", f"{scores.words_used:,}"),
    ]


def _histogram(values: Sequence[float]) -> plots.Chart:
    """The photos by their CIDEr."""
    width = END / BARS
    counts = [0] * BARS
    for value in values:
        counts[min(BARS - 1, int(value / width))] += 1
    labels = [f"{n * width:.0f} to {(n + 1) * width:.0f}" for n in range(BARS - 1)]
    items = map(plots.Item, [*labels, f"{END - width:.0f} or more"], counts)
    return plots.columns(
        "Photos by the CIDEr of their caption",
        f"A histogram of {len(values):,} photos: how many have a caption with which CIDEr.",
        "CIDEr",
        list(items),
        ends=f"{END}",
    )


def _card(example: Example, description: Description, cider: float) -> Card:
    return Card(
        image=thumbnail(example),
        caption=description.captions[0],
        cider=cider,
        keywords=description.keywords,
        references=tuple(example.captions),
        name=example.name,
    )


def thumbnail(example: Example) -> str:
    """A small JPEG of a photo as a data URI; empty if it cannot be read any more."""
    try:
        photo = Photo.of(example.path, example.path.stat())
        jpeg = thumbnails.encode(read(photo, SIDE))
    except (OSError, PhotoError):  # it has gone since it was described
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
