"""Object metrics by hand: which objects a text names, and what is counted as right."""

from dataclasses import replace
from pathlib import Path

import fake_descriptions
import pytest

from captioner.training.corpora import Example
from captioner.training.object_metrics import ObjectWords, measure_objects
from captioner.types import Description

OBJECTS = ObjectWords(
    ["person", "dog", "hot dog", "bus", "dining table", "tennis racket", "orange"]
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Two women and their puppies", {"person", "dog"}),
        ("A boy eats a hot dog.", {"person", "hot dog"}),
        ("hot dogs and dogs", {"hot dog", "dog"}),
        ("Buses by the sea", {"bus"}),
        ("a racket on a table", {"tennis racket", "dining table"}),
        ("an orange shirt on a beach", set()),
        ("", set()),
    ],
)
def test_named_objects(text: str, named: set[str]) -> None:
    assert OBJECTS.named(text) == named


def described(name: str, caption: str, *keywords: str) -> Description:
    return fake_descriptions.description(name, caption, keywords=keywords)


def test_shares_of_annotated_photos() -> None:
    examples = [
        Example(Path("a.jpg"), ("A dog on a couch .",), "dev"),
        Example(Path("b.jpg"), ("A bus .",), "dev"),
        Example(Path("c.jpg"), ("Nobody annotated this .",), "dev"),
    ]
    descriptions = [
        # "beach" is no object; the sofa is only in the reference caption.
        described(
            "a.jpg", "A dog and a cat on a sofa.", "beach", "puppy", "cat", "sky", "sea", "man"
        ),
        described("b.jpg", "A bus.", "bus"),
        described("c.jpg", "A horse.", "horse"),
    ]
    annotated = {
        "a.jpg": frozenset({"dog", "person"}),
        "b.jpg": frozenset({"bus"}),
        "z.jpg": frozenset({"cat", "couch", "horse"}),
    }
    figures = measure_objects(examples, descriptions, annotated)
    assert figures is not None
    assert figures.photos == 2
    # Named: dog, cat (absent), bus; the sixth keyword of a.jpg is not judged.
    assert figures.keyword_precision_at_5 == pytest.approx(100 * 2 / 3)
    assert figures.keyword_recall_at_5 == pytest.approx(100 * 2 / 3)
    # Mentioned: dog, cat (absent), couch, bus.
    assert figures.chair_objects == pytest.approx(25)
    assert figures.chair_captions == pytest.approx(50)


def test_nothing_annotated_or_named() -> None:
    example = Example(Path("a.jpg"), ("A dog .",), "dev")
    description = described("a.jpg", "A view.")
    assert measure_objects([example], [description], {"b.jpg": frozenset({"dog"})}) is None
    figures = measure_objects([example], [description], {"a.jpg": frozenset()})
    assert figures is not None
    assert replace(figures, photos=0).shown() == [
        ("keyword P@5", "0.0"), ("keyword R@5", "0.0"), ("CHAIRi", "0.0"), ("CHAIRs", "0.0"),
    ]  # fmt: skip
