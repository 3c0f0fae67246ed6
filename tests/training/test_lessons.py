"""What the heads learn of each photo, and the teacher that knows what captions do not name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import CaptionerError

heads = pytest.importorskip("captioner.training.heads")

from captioner.training.concepts import OWN, table_of, teach  # noqa: E402
from captioner.training.corpora import Example  # noqa: E402

SAID = ("a dog runs", "a dog on the beach") * 4


def example(name: str, *captions: str) -> Example:
    return Example(Path(f"{name}.jpg"), captions, "train")


class InventedEye:
    """Photos whose features are what their name says."""

    def __init__(self, directions: dict[str, np.ndarray]) -> None:
        self.directions = directions

    def features(self, examples: Sequence[Example], views: int = 1) -> np.ndarray:
        rows = [self.directions[one.path.stem.split("-")[0]] for one in examples]
        return np.stack(rows).astype(np.float16)[:, None].repeat(views, axis=1)


def test_lessons_are_shares_of_captions_and_concepts() -> None:
    lexicon = heads.Lexicon.from_captions(list(SAID), ["n1", "n2"])
    photos = [example("a", "a dog runs", "nothing"), example("b")]
    told = np.array([[0.25, 0.5], [0, 1]], np.float16)
    lessons = heads.Lessons.of(photos, lexicon, told)
    assert len(lessons) == 2
    dog = lexicon.stems.index("dog")
    np.testing.assert_array_equal(lessons.targets[:, dog], [0.5, 0])
    np.testing.assert_array_equal(lessons.targets[:, len(lexicon.stems) :], told)
    np.testing.assert_array_equal(lessons.captioned, [1, 0])


def test_a_photo_without_a_sentence_borrows_a_stranger_s() -> None:
    lexicon = heads.Lexicon.from_captions(list(SAID))
    photos = [example("a", "dog"), example("b"), example("c", "beach beach")]
    lessons = heads.Lessons.of(photos, lexicon)
    random = np.random.default_rng(0)
    rows = np.array([0, 1])
    bags = lessons.sentences(rows, rows[:0], random)
    np.testing.assert_array_equal(bags[0], lessons.bags[0][0])
    np.testing.assert_array_equal(bags[1], lessons.bags[2][0])


def test_photos_without_captions_teach_concepts_alone() -> None:
    import keras

    keras.utils.set_random_seed(0)
    lexicon = heads.Lexicon.from_captions(list(SAID), ["n1"])
    photos = [example("a", "a dog runs"), example("b"), example("c", "beach")]
    lessons = heads.Lessons.of(photos, lexicon, np.full((3, 1), 0.5, np.float16))
    features = np.random.default_rng(0).random((3, 1, 2048)).astype(np.float16)
    x, y = heads.FeatureBatches(features, lessons, seed=1)(0, 0)
    model = heads.Heads(lexicon)
    loss = float(model.compute_loss(x, y, model(x)))
    bare = int(np.flatnonzero(x["captioned"] == 0)[0])
    y[bare, : model.stems] = 1 - y[bare, : model.stems]  # what is not asked cannot matter
    assert float(model.compute_loss(x, y, model(x))) == pytest.approx(loss, rel=1e-6)
    y[bare, model.stems :] = 1
    assert float(model.compute_loss(x, y, model(x))) != pytest.approx(loss, rel=1e-6)


def test_the_teacher_knows_classes_by_one_photo_and_believes_captions() -> None:
    random = np.random.default_rng(0)
    names = ("n02690373", "n02391049", "n07920052")  # airliner, zebra, espresso
    directions = {name: random.random(2048) for name in names}
    directions["both"] = (directions[names[0]] + directions[names[1]]) / 2
    samples = [example(f"{name}-sample") for name in names]
    table = table_of(samples)
    photos = [example(f"{name}-{n}", "a photo") for name in names for n in range(4)]
    photos += [example(f"{names[1]}-striped-{n}", "a zebra stands") for n in range(4)]
    photos += [example("both-silent", "a photo"), example("both-told", "it is a zebra")]
    told = teach(InventedEye(directions), samples, photos, table).astype(np.float32)
    assert told.shape == (len(photos) + 3, 3)
    np.testing.assert_allclose(told.sum(axis=1), 1, atol=2e-3)
    assert (told[:12].argmax(axis=1) == np.repeat(range(3), 4)).all()
    silent, believed = told[16], told[17]
    assert believed[1] > 1.3 * silent[1]  # the sums are 1: of the others it is less
    assert (np.diag(told[-3:]) >= OWN).all()


def test_a_class_that_imagenet_does_not_have_is_refused() -> None:
    with pytest.raises(CaptionerError, match="n00000000"):
        table_of([example("n00000000_nothing")])
