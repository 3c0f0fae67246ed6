"""Training targets of the heads, and the teacher of what captions do not name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import CaptionerError

pytest.importorskip("keras")
heads = pytest.importorskip("captioner.training.heads")

from captioner.model.concepts import Concepts  # noqa: E402
from captioner.training.corpora import Example  # noqa: E402
from captioner.training.teacher import SAMPLE_PROBABILITY, concept_table, teacher_probabilities  # noqa: E402

CAPTIONS = ("a dog runs", "a dog on the beach") * 4


def example(name: str, *captions: str) -> Example:
    return Example(Path(f"{name}.jpg"), captions, "train")


class InventedExtractor:
    """Features of photos by their names."""

    def __init__(self, directions: dict[str, np.ndarray]) -> None:
        self.directions = directions

    def features(self, examples: Sequence[Example], views: int = 1) -> np.ndarray:
        rows = [self.directions[one.path.stem.split("-")[0]] for one in examples]
        return np.stack(rows).astype(np.float16)[:, None].repeat(views, axis=1)


def test_labels_are_shares_of_captions_and_concept_probabilities() -> None:
    lexicon = heads.Lexicon.from_captions(list(CAPTIONS), ["n1", "n2"])
    photos = [example("a", "a dog runs", "nothing"), example("b")]
    probabilities = np.array([[0.25, 0.5], [0, 1]], np.float16)
    targets = heads.TrainingTargets.of(photos, lexicon, probabilities)
    assert len(targets) == 2
    dog = lexicon.stems.index("dog")
    np.testing.assert_array_equal(targets.labels[:, dog], [0.5, 0])
    np.testing.assert_array_equal(targets.labels[:, len(lexicon.stems) :], probabilities)
    np.testing.assert_array_equal(targets.captioned, [1, 0])


def test_a_photo_without_captions_borrows_one_of_another_photo() -> None:
    lexicon = heads.Lexicon.from_captions(list(CAPTIONS))
    photos = [example("a", "dog"), example("b"), example("c", "beach beach")]
    targets = heads.TrainingTargets.of(photos, lexicon)
    random = np.random.default_rng(0)
    rows = np.array([0, 1])
    bags = targets.sentences(rows, rows[:0], random)
    np.testing.assert_array_equal(bags[0], targets.bags[0][0])
    np.testing.assert_array_equal(bags[1], targets.bags[2][0])


def test_photos_without_captions_train_concepts_alone() -> None:
    import keras

    keras.utils.set_random_seed(0)
    lexicon = heads.Lexicon.from_captions(list(CAPTIONS), ["n1"])
    photos = [example("a", "a dog runs"), example("b"), example("c", "beach")]
    targets = heads.TrainingTargets.of(photos, lexicon, np.full((3, 1), 0.5, np.float16))
    features = np.random.default_rng(0).random((3, 1, 2048)).astype(np.float16)
    x, y = heads.FeatureBatches(features, targets, seed=1)(0, 0)
    model = heads.Heads(lexicon, 2048)
    loss = float(model.compute_loss(x, y, model(x)))
    bare = int(np.flatnonzero(x["captioned"] == 0)[0])
    y[bare, : model.stems] = 1 - y[bare, : model.stems]  # what is not asked cannot matter
    assert float(model.compute_loss(x, y, model(x))) == pytest.approx(loss, rel=1e-6)
    y[bare, model.stems :] = 1
    assert float(model.compute_loss(x, y, model(x))) != pytest.approx(loss, rel=1e-6)


def test_objects_are_learnt_from_annotated_photos_alone() -> None:
    import keras

    keras.utils.set_random_seed(0)
    lexicon = heads.Lexicon.from_captions(list(CAPTIONS), ["n1"], ["cat", "dog"])
    photos = [example("a", "a dog runs"), example("b", "beach"), example("c", "a dog")]
    targets = heads.TrainingTargets.of(
        photos, lexicon, np.full((3, 1), 0.5, np.float16), {"a.jpg": {"dog"}, "c.jpg": set()}
    )
    assert lexicon.columns == len(lexicon.stems) + 3
    np.testing.assert_array_equal(targets.labels[:, -3:], [[0.5, 0, 1], [0.5, 0, 0], [0.5, 0, 0]])
    np.testing.assert_array_equal(targets.annotated, [1, 0, 1])
    assert heads.Lexicon.of(lexicon.record()) == lexicon
    features = np.random.default_rng(0).random((3, 1, 2048)).astype(np.float16)
    x, y = heads.FeatureBatches(features, targets, seed=1)(0, 0)
    model = heads.Heads(lexicon, 2048)
    model(x)
    model.start_from_prior(targets)
    bias = keras.ops.convert_to_numpy(model.words.get_layer("stems").bias)
    assert bias[-1] == pytest.approx(0, abs=1e-5)  # the dog is in one annotated photo of two
    loss = float(model.compute_loss(x, y, model(x)))
    unknown = int(np.flatnonzero(x["annotated"] == 0)[0])
    y[unknown, -2:] = 1 - y[unknown, -2:]
    assert float(model.compute_loss(x, y, model(x))) == pytest.approx(loss, rel=1e-6)
    y[(unknown + 1) % 3, -2:] = 1 - y[(unknown + 1) % 3, -2:]
    assert float(model.compute_loss(x, y, model(x))) != pytest.approx(loss, rel=1e-6)


def test_objects_are_concepts_with_their_names() -> None:
    samples = [example("n02690373_airliner")]
    table = concept_table(samples, ["dog", "teddy bear"])
    concepts = Concepts(table)
    assert concepts.names == ["airliner", "dog", "teddy bear"]
    assert 1 in concepts.named("dogs") and 2 in concepts.named("teddy bear")
    probabilities = np.array([[0.1, 0.9, 0.2]], np.float32)
    assert [one.word for one in concepts.keywords(probabilities, [()], 5)[0]] == ["dog"]


def test_the_teacher_learns_classes_from_one_photo_and_uses_captions() -> None:
    random = np.random.default_rng(0)
    names = ("n02690373", "n02391049", "n07920052")  # airliner, zebra, espresso
    directions = {name: random.random(2048) for name in names}
    directions["both"] = (directions[names[0]] + directions[names[1]]) / 2
    samples = [example(f"{name}-sample") for name in names]
    table = concept_table(samples)
    photos = [example(f"{name}-{n}", "a photo") for name in names for n in range(4)]
    photos += [example(f"{names[1]}-striped-{n}", "a zebra stands") for n in range(4)]
    photos += [example("both-silent", "a photo"), example("both-named", "it is a zebra")]
    probabilities = teacher_probabilities(
        InventedExtractor(directions), samples, photos, table
    ).astype(np.float32)
    assert probabilities.shape == (len(photos) + 3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=2e-3)
    assert (probabilities[:12].argmax(axis=1) == np.repeat(range(3), 4)).all()
    silent, named = probabilities[16], probabilities[17]
    assert named[1] > 1.3 * silent[1]  # the sums are 1: of the others it is less
    assert (np.diag(probabilities[-3:]) >= SAMPLE_PROBABILITY).all()


def test_a_class_outside_imagenet_is_refused() -> None:
    with pytest.raises(CaptionerError, match="n00000000"):
        concept_table([example("n00000000_nothing")])
