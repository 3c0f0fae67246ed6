"""Decoders: the NumPy stepper equals the trained network, whatever it has cached; ensembles."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.model.beam import search
from captioner.model.decoders import merge
from captioner.model.decoders.ensemble import Ensemble, combine
from captioner.model.decoders.merge import MergeStepper, Sizes
from captioner.model.vocabulary import START
from captioner.types import Features

V, D = 30, 10


def arrays(seed, *, vocabulary=V, units=8, embedding=6, tied=True):
    """Random weights, large enough that words matter."""
    random = np.random.default_rng(seed)
    shapes = {
        "embedding": (vocabulary, embedding),
        "lstm.kernel": (embedding, 4 * units),
        "lstm.recurrent": (units, 4 * units),
        "lstm.bias": (4 * units,),
        "image.kernel": (D, units),
        "image.bias": (units,),
        "fusion.kernel": (units, embedding),
        "fusion.bias": (embedding,),
        "output.bias": (vocabulary,),
    }
    if not tied:
        shapes["output.kernel"] = (embedding, vocabulary)
    return {name: random.normal(0, 0.7, shape).astype(np.float32) for name, shape in shapes.items()}


def features(photos, seed=0):
    return Features(np.random.default_rng(seed).random((photos, D), np.float32))


def read(stepper, features, tokens):
    """Probabilities (N, T, V) after each token of (N, T), one step at a time."""
    (photos, states), out = stepper.start(features), []
    rows = np.arange(len(features))
    for column in tokens.T:
        p, states = stepper.step(photos, rows, states, column)
        out.append(p)
    return np.stack(out, axis=1)


def sentences(photos, length=6, seed=5):
    """Few words, so that photos often share a prefix."""
    tokens = np.random.default_rng(seed).integers(START, START + 4, (photos, length))
    tokens[:, 0] = START
    return tokens


@pytest.mark.parametrize("tied", [True, False])
def test_stepping_equals_the_trained_network_over_whole_sentences(tied):
    from keras import ops

    sizes = Sizes(embedding=12, lstm=16, fusion=12, tied=tied)
    network = merge.network(V, sizes, 2048)
    random = np.random.default_rng(2)
    for weight in network.weights:
        weight.assign(random.normal(0, 0.4, weight.shape) if len(weight.shape) < 2 else weight * 2)
    pooled = random.random((9, 2048), np.float32)
    logits = network({"feature": pooled, "tokens": sentences(9)}, training=False)
    expected = ops.convert_to_numpy(ops.softmax(logits))

    stepper = merge.stepper(merge.arrays(network))
    stepped = read(stepper, Features(pooled), sentences(9))
    assert stepped.dtype == np.float32
    np.testing.assert_allclose(stepped, expected, atol=1e-4)
    assert np.abs(expected - expected[:1]).max() > 0.01

    other = merge.network(V, sizes, 2048)
    merge.set_arrays(other, merge.arrays(network))
    again = other({"feature": pooled, "tokens": sentences(9)}, training=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(again), ops.convert_to_numpy(logits))


def test_on_a_shortlist_probabilities_keep_their_proportions():
    members = [arrays(1), arrays(2, units=5, tied=False)]
    shortlist = np.array([[2, 5, 9, 11], [2, 29, 4, 7], [2, 6, 8, 10]])
    for member in members:
        stepper, rows = MergeStepper(member), np.array([0, 0, 1, 2, 2])
        start = np.full(5, START)
        photos, states = stepper.start(features(3))
        every, _ = stepper.step(photos, rows, states[rows], start)
        photos, states = stepper.start(features(3), shortlist)
        few, _ = stepper.step(photos, rows, states[rows], start)
        expected = np.take_along_axis(every, shortlist[rows], axis=1)
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(few, expected, rtol=1e-5)


def test_photos_share_the_states_of_a_prefix():
    decoder = MergeStepper(arrays(1))
    photos, states = decoder.start(features(3))
    rows = np.array([0, 1, 2, 1])
    start = np.full(4, START)
    p, first = decoder.step(photos, rows, states[rows], start)
    assert len(set(first)) == 1
    np.testing.assert_allclose(p[1], p[3], rtol=1e-5)
    assert np.abs(p[0] - p[1]).max() > 1e-3

    _, second = decoder.step(photos, rows, first, np.array([7, 7, 9, 9]))
    assert second[0] == second[1] != second[2] == second[3]
    other, _ = decoder.start(features(1, seed=3))
    _, again = decoder.step(other, rows[:1], first[:1], np.array([9]))
    assert again == second[2]


@pytest.mark.parametrize("memory", [0, 5_000, 2**20])
def test_results_do_not_depend_on_memory(memory):
    decoder = MergeStepper(arrays(1), memory=memory)
    for seed in range(4):
        # Each sentence of each photo alone, with an empty trie.
        expected = [
            read(
                MergeStepper(arrays(1)),
                features(8)[n : n + 1],
                sentences(8, seed=seed)[n : n + 1],
            )
            for n in range(8)
        ]
        stepped = read(decoder, features(8), sentences(8, seed=seed))
        np.testing.assert_allclose(stepped, np.concatenate(expected), atol=1e-6)


def test_a_new_trie_begins_before_a_batch_could_outgrow_it():
    decoder = MergeStepper(arrays(1))
    batches = [features(4, seed=seed) for seed in range(12)]
    search(decoder, batches[0], beam_width=5, max_length=8)
    prefixes = len(decoder._trie)
    numbers = 2 * decoder._network.units + decoder._network.fusion_units
    bounded = MergeStepper(arrays(1), memory=4 * numbers * 3 * prefixes)
    tries = []
    for photos in batches:
        search(bounded, photos, beam_width=5, max_length=8)
        tries.append(bounded._trie)
        assert len(bounded._trie.states[0]) == 3 * prefixes
    assert 1 < len(set(map(id, tries))) < len(tries)


@pytest.mark.parametrize("members", [1, 2])
def test_search_finds_the_same_alone_in_a_batch_and_with_any_cache(members):
    def stepper(**options):
        both = (arrays(1), arrays(2, units=5))
        return combine([MergeStepper(each, **options) for each in both[:members]])

    def searched(stepper, photos):
        return search(stepper, photos, beam_width=5, max_length=8)

    photos = features(20)
    together = searched(stepper(), photos)
    warm = stepper()
    searched(warm, features(20, seed=9))
    alone = [searched(stepper(), photos[n : n + 1])[0] for n in range(20)]
    for other in (searched(warm, photos), alone, searched(stepper(memory=0), photos)):
        for a, b in zip(together, other, strict=True):
            assert [s.tokens for s in a] == [s.tokens for s in b]
            np.testing.assert_allclose([s.score for s in a], [s.score for s in b], rtol=1e-5)


def test_a_batch_continues_after_another_has_begun():
    decoder = MergeStepper(arrays(1), memory=0)
    tokens = sentences(2)
    (photos, states), out = decoder.start(features(2)), []
    for column in tokens.T:
        p, states = decoder.step(photos, np.arange(2), states, column)
        out.append(p)
        read(decoder, features(6, seed=4), sentences(6, seed=len(out)))
    expected = read(MergeStepper(arrays(1)), features(2), tokens)
    np.testing.assert_allclose(np.stack(out, axis=1), expected, atol=1e-6)


def test_an_ensemble_averages_the_probabilities():
    members = [arrays(1), arrays(2, units=5, embedding=4), arrays(3, tied=False)]
    each = [read(MergeStepper(member), features(7), sentences(7)) for member in members]
    steppers = [MergeStepper(member) for member in members]
    mean = read(Ensemble(steppers), features(7), sentences(7))
    np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(mean.sum(axis=-1), 1, atol=1e-5)

    with pytest.raises(ValueError, match="one vocabulary"):
        Ensemble([steppers[0], MergeStepper(arrays(2, vocabulary=V + 1))])
    assert combine(steppers[:1]) is steppers[0]


def test_large_numbers_do_not_overflow():
    large = {name: 300 * array for name, array in arrays(1).items()}
    with np.errstate(over="raise", invalid="raise"):
        p = read(MergeStepper(large), features(4), sentences(4))
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-5)
