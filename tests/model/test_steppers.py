"""Every decoder: its NumPy stepper computes what its Keras network does; beams and mixtures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from captioner.model import decoders
from captioner.model.beam import sample, search
from captioner.model.decoders.ensemble import combine, members
from captioner.model.vocabulary import END, PAD, START
from captioner.types import Features

keras = pytest.importorskip("keras")

V, D, C = 30, 20, 10
KINDS = {
    "merge": {"embedding": 12, "lstm": 16, "fusion": 12},
    "init-inject": {"embedding": 12, "lstm": 16, "projection": 12},
    "pre-inject": {"embedding": 12, "lstm": 16, "projection": 12},
    "par-inject": {"embedding": 12, "lstm": 16, "projection": 12, "image": 7},
    "soft-attention": {"embedding": 12, "lstm": 16, "attention": 9},
}
VARIANTS = [
    *((kind, {}) for kind in KINDS),
    *((kind, {"projection": 0, "tied": False, "unit_length": True}) for kind in [*KINDS][1:4]),
    ("soft-attention", {"gate": False, "deep_output": False, "tied": False, "log_features": False}),
    ("soft-attention", {"lstm": 12, "deep_output": False}),
]


def built(kind, options, seed=2):
    """A network whose weights are large enough that words and photos matter, and its sizes."""
    decoder = decoders.get(kind)
    sizes = decoder.Sizes(**{**KINDS[kind], **options})
    network = decoder.network(V, sizes, C if decoders.needs_grid(kind) else D)
    random = np.random.default_rng(seed)
    for weight in network.weights:
        weight.assign(random.normal(0, 0.4, weight.shape))
    return network, sizes


def photos(count, seed=0):
    random = np.random.default_rng(seed)
    grid = 4 * random.random((count, 3, 4, C), np.float32) - 1
    return Features(random.random((count, D), np.float32), grid)


def inputs(kind, features, tokens):
    if decoders.needs_grid(kind):
        return {"grid": features.grid, "tokens": tokens}
    return {"feature": features.pooled, "tokens": tokens}


def sentences(count, length=6, seed=5):
    tokens = np.random.default_rng(seed).integers(4, V, (count, length))
    tokens[:, 0] = START
    return tokens


def read(stepper, features, tokens):
    """Probabilities (N, T, V) after each token of (N, T), one step at a time."""
    (started, states), out = stepper.start(features), []
    rows = np.arange(len(features))
    for column in tokens.T:
        p, states = stepper.step(started, rows, states, column)
        out.append(p)
    return np.stack(out, axis=1)


def test_all_kinds_are_tested():
    assert set(KINDS) <= set(decoders.kinds())
    assert [kind for kind in KINDS if decoders.needs_grid(kind)] == ["soft-attention"]


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_stepping_equals_the_network_over_whole_sentences(kind, options):
    network, sizes = built(kind, options)
    decoder, tokens = decoders.get(kind), sentences(9)
    logits = network(inputs(kind, photos(9), tokens), training=False)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    stepped = read(decoder.stepper(decoder.arrays(network)), photos(9), tokens)
    assert stepped.dtype == np.float32
    np.testing.assert_allclose(stepped, expected, atol=1e-4)
    # The photo changes what is said, and so does each word before.
    same_words = np.repeat(tokens[:1], 9, axis=0)
    other_photos = read(decoder.stepper(decoder.arrays(network)), photos(9), same_words)
    assert np.abs(other_photos - other_photos[:1]).max() > 1e-3
    assert np.abs(expected[:, 1:] - expected[:, :-1]).max() > 1e-2

    again = decoder.network(V, sizes, C if decoders.needs_grid(kind) else D)
    decoder.set_arrays(again, decoder.arrays(network))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(again(inputs(kind, photos(9), tokens), training=False)),
        keras.ops.convert_to_numpy(logits),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_shortlists_beams_and_batches(kind):
    network, _ = built(kind, {})
    stepper = decoders.get(kind).stepper(decoders.get(kind).arrays(network))
    shortlist = np.array([[END, 5, 9, 11], [END, 29, 4, 7], [END, 6, 8, 10]])
    rows, start = np.array([0, 0, 1, 2, 2]), np.full(5, START)
    started, states = stepper.start(photos(3))
    every, _ = stepper.step(started, rows, states[rows], start)
    started, states = stepper.start(photos(3), shortlist)
    few, _ = stepper.step(started, rows, states[rows], start)
    expected = np.take_along_axis(every, shortlist[rows], axis=1)
    np.testing.assert_allclose(few, expected / expected.sum(axis=1, keepdims=True), rtol=1e-4)

    together = search(stepper, photos(12), beam_width=3, max_length=6)
    alone = [search(stepper, photos(12)[n : n + 1], beam_width=3, max_length=6) for n in range(12)]
    for some, (one,) in zip(together, alone, strict=True):
        assert [s.tokens for s in some] == [s.tokens for s in one]
        # The probability that the search adds up is that of the whole sentence read at once.
        for s in some:
            tokens = np.array([[START, *s.tokens, END]])
            row = together.index(some)
            p = read(stepper, photos(12)[row : row + 1], tokens[:, :-1])[0]
            log_p = np.log(p[np.arange(len(s.tokens) + 1), tokens[0, 1:]]).sum()
            assert s.log_probability == pytest.approx(log_p, abs=1e-3)


def test_an_ensemble_of_all_kinds_is_the_mean_of_its_members():
    steppers = [
        decoders.get(kind).stepper(decoders.get(kind).arrays(built(kind, {})[0])) for kind in KINDS
    ]
    both = combine(steppers)
    assert members(both) == tuple(steppers) and members(steppers[0]) == (steppers[0],)
    each = [read(stepper, photos(5), sentences(5)) for stepper in steppers]
    np.testing.assert_allclose(
        read(both, photos(5), sentences(5)), np.mean(each, axis=0), atol=1e-6
    )
    found = search(both, photos(5), beam_width=3, max_length=5)
    assert [len(some) for some in found] == [3] * 5
    drawn = sample(both, photos(5), samples=4, top_p=0.9, random=np.random.default_rng(0))
    assert drawn.shape == (5, 4, 22) and ((drawn == END).sum(axis=2) <= 1).all()
    assert (drawn[..., 1] > END).all() and (drawn[..., -1] <= END).all() and PAD in drawn


def test_init_inject_starts_with_the_photo_and_the_others_do_not():
    """The state before the first word, by hand from the definitions of the paper."""
    x = photos(2).pooled

    def begun(kind):
        network, _ = built(kind, {})
        arrays = decoders.get(kind).arrays(network)
        started, states = decoders.get(kind).stepper(arrays).start(photos(2))
        return arrays, started, np.split(states, 2, axis=1)

    arrays, started, (h, c) = begun("init-inject")
    np.testing.assert_allclose(h, x @ arrays["image.kernel"] + arrays["image.bias"], rtol=1e-5)
    np.testing.assert_allclose(
        c, x @ arrays["image_cell.kernel"] + arrays["image_cell.bias"], rtol=1e-5
    )
    assert started.gates is None

    arrays, started, (h, c) = begun("pre-inject")
    v = x @ arrays["image.kernel"] + arrays["image.bias"]
    i, _, g, o = np.split(v @ arrays["lstm.kernel"] + arrays["lstm.bias"], 4, axis=1)
    after = np.tanh(g) / (1 + np.exp(-i))  # the cell was empty, whatever the forget gate says
    np.testing.assert_allclose(c, after, rtol=1e-4)
    np.testing.assert_allclose(h, np.tanh(after) / (1 + np.exp(-o)), rtol=1e-4)
    assert started.gates is None

    arrays, started, (h, c) = begun("par-inject")
    assert not h.any() and not c.any()
    v = x @ arrays["image.kernel"] + arrays["image.bias"]
    np.testing.assert_allclose(started.gates, v @ arrays["lstm.kernel"][12:], rtol=1e-4)


def test_unit_length_means_that_brightness_does_not_matter():
    network, _ = built("init-inject", {"unit_length": True})
    stepper = decoders.get("init-inject").stepper(decoders.get("init-inject").arrays(network))
    once, twice = photos(3), replace(photos(3), pooled=2 * photos(3).pooled)
    np.testing.assert_allclose(
        read(stepper, once, sentences(3)), read(stepper, twice, sentences(3)), atol=1e-6
    )


def test_an_output_layer_is_tied_only_if_it_fits():
    from captioner.errors import UsageError

    for kind, options in (("init-inject", {"projection": 8}), ("merge", {"fusion": 8})):
        with pytest.raises(UsageError, match="12 numbers: the layer before it has 8 units"):
            built(kind, options)
