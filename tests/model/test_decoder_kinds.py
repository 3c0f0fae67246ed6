"""Decoders by kind: one from outside the package is trained, stored in a bundle and read back."""

from __future__ import annotations

from dataclasses import asdict

import bigram
import numpy as np
import pytest

from captioner.errors import CaptionerError
from captioner.model import bundle as bundles
from captioner.model import decoders
from captioner.model.beam import search
from captioner.model.bundle import Bundle
from captioner.model.decoders import merge
from captioner.model.decoders.ensemble import combine
from captioner.model.vocabulary import Vocabulary, words
from captioner.types import Features

CAPTIONS = ["a dog runs", "two girls play football", "one red boat"]
VOCABULARY = Vocabulary.from_captions(CAPTIONS, minimum=1)
FEATURES = Features(np.eye(3, 5, dtype=np.float32))


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(decoders, "_registered", dict(decoders._registered))
    assert decoders.register("bigram") is bigram


@pytest.fixture(scope="module")
def trained():
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    model = bigram.network(len(VOCABULARY), bigram.Sizes(), 5)
    tokens = np.stack([VOCABULARY.encode(caption, 7) for caption in CAPTIONS])
    following = np.pad(tokens[:, 1:], ((0, 0), (0, 1)))
    model.compile(
        optimizer=keras.optimizers.Adam(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    x = {"feature": FEATURES.pooled, "tokens": tokens}
    model.fit(x, following, epochs=60, verbose=0)
    return model


@pytest.fixture
def bundle(registered, trained, tmp_path):
    entry = {"kind": bigram.kind, "file": "decoder-1.safetensors", **asdict(bigram.Sizes())}
    return bundles.write(
        tmp_path / "bundle",
        {"describe": {}, "decoders": [entry]},
        arrays={entry["file"]: bigram.arrays(trained)},
        texts={},
    )


def test_a_decoder_from_outside_is_read_from_a_bundle_by_its_kind(bundle, trained):
    [entry] = Bundle.open(bundle.folder).manifest["decoders"]
    decoder = decoders.get(entry["kind"])
    assert decoder is bigram
    assert decoders.sizes(entry) == bigram.Sizes()
    arrays = bundle.arrays(entry["file"])
    found = search(decoder.stepper(arrays), FEATURES, beam_width=2, max_length=6)
    assert [VOCABULARY.decode(photo[0].tokens) for photo in found] == [*map(words, CAPTIONS)]

    again = decoder.network(len(VOCABULARY), decoders.sizes(entry), 5)
    decoder.set_arrays(again, arrays)
    for name, array in bigram.arrays(trained).items():
        np.testing.assert_allclose(decoder.arrays(again)[name], array, atol=2e-3)


def test_decoders_of_two_kinds_are_an_ensemble(trained):
    both = [bigram.arrays(trained), merge_arrays()]
    steppers = [bigram.stepper(both[0]), merge.stepper(both[1])]
    shortlist = np.tile(np.array([2, 5, 4, 7, 6]), (3, 1))
    rows, start = np.array([0, 1, 1, 2]), np.ones(4, np.intp)
    means = []
    for stepper in (*steppers, combine(steppers)):
        photos, states = stepper.start(FEATURES, shortlist)
        _, states = stepper.step(photos, rows, states[rows], start)
        p, _ = stepper.step(photos, rows[1:], states[1:], np.array([5, 6, 7]))
        means.append(p)
    np.testing.assert_allclose(means[2], (means[0] + means[1]) / 2, rtol=1e-5)
    assert np.abs(means[0] - means[1]).max() > 0.01
    found = search(combine(steppers), FEATURES, beam_width=3, shortlist=shortlist, max_length=4)
    assert [len(sentences) for sentences in found] == [3, 3, 3]


def merge_arrays():
    sizes = merge.Sizes(embedding=6, lstm=7, fusion=6)
    return merge.arrays(merge.network(len(VOCABULARY), sizes, 5))


def test_an_unknown_kind_is_named():
    with pytest.raises(CaptionerError, match="'transformer'; this version of captioner has merge"):
        decoders.get("transformer")


def test_a_kind_is_registered_once(registered):
    assert {"merge", "bigram"} <= set(decoders.kinds())
    decoders.register(bigram)

    class Another:
        kind = "bigram"

    with pytest.raises(ValueError, match="bigram"):
        decoders.register(Another())
