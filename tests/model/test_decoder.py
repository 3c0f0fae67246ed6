"""The step decoder: equal to the network that is trained, whatever it remembers."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.model.beam import search
from captioner.model.decoder import ROOT, MergeDecoder
from captioner.model.vocabulary import START

V, SEEN = 30, 10


def arrays(seed, *, vocabulary=V, units=8, embedding=6, tied=True):
    """Random weights, large enough that words matter."""
    random = np.random.default_rng(seed)
    shapes = {
        "embedding": (vocabulary, embedding),
        "lstm.kernel": (embedding, 4 * units),
        "lstm.recurrent": (units, 4 * units),
        "lstm.bias": (4 * units,),
        "image.kernel": (SEEN, units),
        "image.bias": (units,),
        "fusion.kernel": (units, embedding),
        "fusion.bias": (embedding,),
        "output.bias": (vocabulary,),
    }
    if not tied:
        shapes["output.kernel"] = (embedding, vocabulary)
    return {name: random.normal(0, 0.7, shape).astype(np.float32) for name, shape in shapes.items()}


def features(photos, seed=0):
    return np.random.default_rng(seed).random((photos, SEEN), np.float32)


def read(decoder, seen, tokens):
    """Probabilities (N, T, V) after each token of (N, T), one step at a time."""
    photos, rows = decoder.start(seen), np.arange(len(seen))
    prefixes, out = np.full(len(seen), ROOT), []
    for column in tokens.T:
        p, prefixes = decoder.step(photos, rows, prefixes, column)
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

    from captioner.model import networks

    network = networks.merge_decoder(V, 6, embedding=12, lstm=16, fusion=12, tied=tied)
    random = np.random.default_rng(2)
    for weight in network.weights:
        weight.assign(random.normal(0, 0.4, weight.shape) if len(weight.shape) < 2 else weight * 2)
    seen = random.random((9, 2048), np.float32)
    logits = network({"feature": seen, "tokens": sentences(9)}, training=False)
    expected = ops.convert_to_numpy(ops.softmax(logits))

    stepped = read(MergeDecoder([networks.decoder_arrays(network)]), seen, sentences(9))
    assert stepped.dtype == np.float32
    np.testing.assert_allclose(stepped, expected, atol=1e-4)
    assert np.abs(expected - expected[:1]).max() > 0.01


def test_with_few_words_their_probabilities_keep_their_proportions():
    networks = [arrays(1), arrays(2, units=5, tied=False)]
    words = np.array([[2, 5, 9, 11], [2, 29, 4, 7], [2, 6, 8, 10]])
    for network in networks:
        decoder, rows = MergeDecoder([network]), np.array([0, 0, 1, 2, 2])
        start, root = np.full(5, START), np.full(5, ROOT)
        every, _ = decoder.step(decoder.start(features(3)), rows, root, start)
        few, _ = decoder.step(decoder.start(features(3), words), rows, root, start)
        expected = np.take_along_axis(every, words[rows], axis=1)
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(few, expected, rtol=1e-5)


def test_a_prefix_is_one_whichever_photo_says_it():
    decoder = MergeDecoder([arrays(1)])
    photos = decoder.start(features(3))
    rows = np.array([0, 1, 2, 1])
    start = np.full(4, START)
    p, first = decoder.step(photos, rows, np.full(4, ROOT), start)
    assert len(set(first)) == 1
    np.testing.assert_allclose(p[1], p[3], rtol=1e-5)
    assert np.abs(p[0] - p[1]).max() > 1e-3

    _, second = decoder.step(photos, rows, first, np.array([7, 7, 9, 9]))
    assert second[0] == second[1] != second[2] == second[3]
    _, again = decoder.step(decoder.start(features(1, seed=3)), rows[:1], first[:1], np.array([9]))
    assert again == second[2]


@pytest.mark.parametrize("memory", [0, 5_000, 2**20])
def test_memory_changes_nothing(memory):
    decoder = MergeDecoder([arrays(1)], memory=memory)
    for seed in range(4):
        # Alone, each sentence of each photo is read by a decoder that remembers nothing.
        expected = [
            read(
                MergeDecoder([arrays(1)]),
                features(8)[n : n + 1],
                sentences(8, seed=seed)[n : n + 1],
            )
            for n in range(8)
        ]
        stepped = read(decoder, features(8), sentences(8, seed=seed))
        np.testing.assert_allclose(stepped, np.concatenate(expected), atol=1e-6)


def test_a_new_trie_begins_before_a_batch_could_outgrow_it():
    network = arrays(1)
    decoder = MergeDecoder([network])
    seen = [features(4, seed=seed) for seed in range(12)]
    search(decoder, seen[0], beams=5, longest=8)
    of_a_batch = len(decoder._trie)
    numbers = 2 * decoder._networks[0].units + decoder._networks[0].fusion_units
    bounded = MergeDecoder([network], memory=4 * numbers * 3 * of_a_batch)
    tries = []
    for photos in seen:
        search(bounded, photos, beams=5, longest=8)
        tries.append(bounded._trie)
        assert len(bounded._trie.states[0][0]) == 3 * of_a_batch
    assert 1 < len(set(map(id, tries))) < len(tries)


def test_searching_alone_together_warm_and_forgetful_finds_the_same():
    seen = features(20)
    networks = [arrays(1), arrays(2, units=5)]
    together = search(MergeDecoder(networks), seen, beams=5, longest=8)
    warm = MergeDecoder(networks)
    search(warm, features(20, seed=9), beams=5, longest=8)
    alone = [
        search(MergeDecoder(networks), seen[n : n + 1], beams=5, longest=8)[0] for n in range(20)
    ]
    forgetful = search(MergeDecoder(networks, memory=0), seen, beams=5, longest=8)
    for other in (search(warm, seen, beams=5, longest=8), alone, forgetful):
        for a, b in zip(together, other, strict=True):
            assert [s.tokens for s in a] == [s.tokens for s in b]
            np.testing.assert_allclose([s.score for s in a], [s.score for s in b], rtol=1e-5)


def test_a_batch_goes_on_after_another_has_begun():
    decoder = MergeDecoder([arrays(1)], memory=0)
    tokens = sentences(2)
    photos, prefixes, out = decoder.start(features(2)), np.full(2, ROOT), []
    for column in tokens.T:
        p, prefixes = decoder.step(photos, np.arange(2), prefixes, column)
        out.append(p)
        read(decoder, features(6, seed=4), sentences(6, seed=len(out)))
    expected = read(MergeDecoder([arrays(1)]), features(2), tokens)
    np.testing.assert_allclose(np.stack(out, axis=1), expected, atol=1e-6)


def test_an_ensemble_says_the_mean_of_the_probabilities():
    members = [arrays(1), arrays(2, units=5, embedding=4), arrays(3, tied=False)]
    each = [read(MergeDecoder([member]), features(7), sentences(7)) for member in members]
    both = read(MergeDecoder(members), features(7), sentences(7))
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(both.sum(axis=-1), 1, atol=1e-5)

    with pytest.raises(ValueError, match="one vocabulary"):
        MergeDecoder([arrays(1), arrays(2, vocabulary=V + 1)])


def test_large_numbers_do_not_overflow():
    loud = {name: 300 * array for name, array in arrays(1).items()}
    with np.errstate(over="raise", invalid="raise"):
        p = read(MergeDecoder([loud]), features(4), sentences(4))
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-5)
