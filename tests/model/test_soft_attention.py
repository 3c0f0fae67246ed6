"""Soft attention: against the paper's equations, one photo and one word at a time."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.model.decoders import soft_attention
from captioner.model.decoders.soft_attention import Sizes
from captioner.model.vocabulary import END, PAD, START
from captioner.types import Features

keras = pytest.importorskip("keras")

V, C = 15, 6
SIZES = Sizes(embedding=5, lstm=7, attention=4, dropout=0.0)


def network(sizes=SIZES, seed=3):
    model = soft_attention.network(V, sizes, C)
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.6, weight.shape))
    return model


def features(photos=4, seed=0):
    random = np.random.default_rng(seed)
    return Features(np.zeros((photos, 1), np.float32), 3 * random.random((photos, 2, 3, C), "f4"))


TOKENS = np.array(
    [[START, 5, 9, 4, END], [START, 7, END, PAD, PAD], [START, 4, 5, END, PAD], [START, 8, 8, 8, 8]]
)


def by_hand(arrays, grid, tokens):
    """Logarithms of probabilities (T, V) and attention (T, L) of one photo, in float64."""
    w = {name: array.astype(np.float64) for name, array in arrays.items()}
    a = [np.log1p(place) for place in grid.reshape(-1, C).astype(np.float64)]
    mean = sum(a) / len(a)
    h = np.tanh(mean @ w["first_hidden.kernel"] + w["first_hidden.bias"])
    c = np.tanh(mean @ w["first_cell.kernel"] + w["first_cell.bias"])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    log_p, looked = [], []
    for token in tokens:
        e = w["embedding.embeddings"][token]
        query = h @ w["attention.query"] + w["attention.query_bias"]
        score = [np.tanh(p @ w["attention.location"] + query) @ w["attention.score"] for p in a]
        alpha = np.exp(np.ravel(score)) / np.exp(np.ravel(score)).sum()
        beta = sigmoid(h @ w["attention.gate_kernel"] + w["attention.gate_bias"])
        z = beta * sum(weight * place for weight, place in zip(alpha, a, strict=True))
        gates = (
            e @ w["attention.word_kernel"] + z @ w["attention.context_kernel"]
            + h @ w["attention.recurrent_kernel"] + w["attention.bias"]
        )  # fmt: skip
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        y = np.tanh(e + h @ w["output_hidden.kernel"] + z @ w["output_context.kernel"])
        logits = y @ w["embedding.embeddings"].T + w["output.bias"]
        log_p.append(logits - np.log(np.exp(logits).sum()))
        looked.append(alpha)
    return np.array(log_p), np.array(looked)


def test_the_network_computes_the_papers_equations():
    model, photos = network(), features()
    logits = model({"grid": photos.grid, "tokens": TOKENS}, training=False)
    log_p = keras.ops.convert_to_numpy(keras.ops.log_softmax(logits))
    for row, tokens in enumerate(TOKENS):
        expected, _ = by_hand(soft_attention.arrays(model), photos.grid[row], tokens)
        np.testing.assert_allclose(log_p[row], expected, atol=1e-4)


def test_attention_can_be_read_off_for_each_word():
    model, photos = network(), features()
    stepper = soft_attention.stepper(soft_attention.arrays(model))
    sentences = [[token for token in row if token > END] for row in TOKENS.tolist()]
    maps = stepper.attention(photos, sentences)
    for row, sentence in enumerate(sentences):
        _, expected = by_hand(stepper._arrays, photos.grid[row], [START, *sentence])
        assert maps[row].shape == (len(sentence) + 1, 2, 3)
        np.testing.assert_allclose(maps[row].reshape(-1, 6), expected, atol=1e-5)
        np.testing.assert_allclose(maps[row].sum(axis=(1, 2)), 1, rtol=1e-5)
        assert maps[row].std() > 0.01


def test_without_a_score_it_looks_everywhere_alike():
    model = network()
    arrays = soft_attention.arrays(model)
    arrays["attention.score"] = np.zeros_like(arrays["attention.score"])
    (maps,) = soft_attention.stepper(arrays).attention(features(1), [[5, 6]])
    np.testing.assert_allclose(maps, 1 / 6, rtol=1e-6)


def test_the_regularisation_is_doubly_stochastic():
    """λ · mean over photos and places of (1 - Σ_t α_ti)², over real words and the end alone."""
    photos = features()
    for strength in (1.0, 0.25):
        model = network(Sizes(embedding=5, lstm=7, attention=4, dropout=0, regularisation=strength))
        model({"grid": photos.grid, "tokens": TOKENS}, training=True)
        (loss,) = model.losses
        stepper = soft_attention.stepper(soft_attention.arrays(model))
        sentences = [[token for token in row if token > END] for row in TOKENS.tolist()]
        maps = stepper.attention(photos, sentences)
        expected = strength * np.mean([np.square(1 - one.sum(axis=0)) for one in maps])
        assert float(loss) == pytest.approx(expected, rel=1e-4)
        assert float(loss) > 0.01 * strength
        model({"grid": photos.grid, "tokens": TOKENS}, training=False)
        assert not model.losses


def test_the_regularisation_is_part_of_what_is_minimised():
    model = network(Sizes(embedding=5, lstm=7, attention=4, dropout=0.0, regularisation=50.0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=loss, jit_compile=False)
    x = {"grid": features().grid, "tokens": TOKENS}
    y = np.pad(TOKENS[:, 1:], ((0, 0), (0, 1)))

    def penalty():
        model(x, training=True)
        return float(model.losses[0])

    before, entropy = penalty(), float(loss(y, model(x)))
    assert float(model.train_on_batch(x, y)) == pytest.approx(before + entropy, rel=1e-3)
    for _ in range(20):
        model.train_on_batch(x, y)
    assert penalty() < 0.9 * before


def test_it_needs_the_feature_map():
    stepper = soft_attention.stepper(soft_attention.arrays(network()))
    with pytest.raises(ValueError, match="feature map"):
        stepper.start(Features(np.zeros((1, 1), np.float32)))
