"""The model: its decoders are those that the manifest names, and options decide what it returns."""

from __future__ import annotations

import pickle
from dataclasses import replace

import bigram
import numpy as np
import pytest
import tiny_bundles

from captioner.app_paths import bundle_folder
from captioner.errors import CaptionerError, UsageError
from captioner.model import DescribeOptions, decoders, describer, load, load_several
from captioner.model import bundle as bundles
from captioner.model.bundle import Bundle
from captioner.model.candidates import GenerationConfig
from captioner.model.decoders.merge import MergeStepper
from captioner.model.describer import Model, Parts
from captioner.model.rerank import Candidate
from captioner.model.vocabulary import END
from captioner.types import DecodedPhoto, Features, Photo

SHARED = (
    bundles.VOCABULARY, bundles.LEXICON, bundles.CONCEPTS, bundles.WORDS, bundles.JOINT,
)  # fmt: skip
WORD = 4
"""Token of the most frequent word."""


def write(folder, kind):
    """The bundle that ships without its encoder; its decoder prefers one word, then END."""
    base = Bundle.open(bundle_folder(None))
    size = len(base.json(bundles.VOCABULARY))
    arrays = {
        "word.embeddings": np.zeros((size, 2), np.float32),
        "image.kernel": np.zeros((2048, 2), np.float32),
        "output.kernel": np.zeros((2, size), np.float32),
        "output.bias": np.zeros(size, np.float32),
    }
    arrays["output.bias"][[END, WORD]] = 20
    entry = {"kind": kind, "file": "decoder-1.safetensors", "embedding": 2}
    return bundles.write(
        folder,
        {**base.manifest, "decoders": [entry]},
        arrays={entry["file"]: arrays},
        texts={},
        copies=[base.path(name) for name in SHARED],
    )


def opened(bundle, *, alternatives=1, min_confidence=0.0):
    return Model(
        bundle,
        Parts.read(bundle, GenerationConfig(beam_width=4, max_length=3)),
        DescribeOptions(
            alternatives=alternatives, keywords=3, min_confidence=min_confidence, device="cpu"
        ),
    )


def described(bundle, **options):
    model = opened(bundle, **options)
    rgb = np.zeros((224, 224, 3), np.uint8)
    photo = DecodedPhoto(Photo("dog.jpg", 1, 1), rgb, 4, 3, "JPEG", b"0" * 20)
    features = Features(np.random.default_rng(0).random((1, 2048), np.float32))
    [description] = model.describe([photo], features)
    return description


def test_a_decoder_from_outside_writes_the_captions_of_a_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "_registered", dict(decoders._registered))
    bundle = write(tmp_path / "bundle", "bigram")
    with pytest.raises(CaptionerError, match="decoder of kind 'bigram'"):
        described(bundle)
    decoders.register(bigram)
    description = described(bundle, alternatives=3)
    assert len(description.captions) == 3
    word = bundle.json(bundles.VOCABULARY)[WORD]
    assert f"{word.capitalize()}." in [caption.text for caption in description.captions]
    assert not described(bundle, min_confidence=1.0).captions
    assert described(bundle, min_confidence=1.0).vectors.embedding.shape == (256,)


def test_where_the_best_candidate_is_uncertain_a_simpler_one_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "_registered", dict(decoders._registered))
    decoders.register(bigram)
    bundle = write(tmp_path / "bundle", "bigram")
    confidence = {**bundle.manifest["confidence"], "candidates": 3}
    bundle = replace(bundle, manifest={**bundle.manifest, "confidence": confidence})
    model = opened(bundle, alternatives=2, min_confidence=0.5)
    bold = Candidate(("a", "man", "juggles", "knives"), -5.0, 0.2, 3.0, 0.1, -4.0)
    plain = Candidate(("a", "man"), -6.0, 0.6, 1.0, 0.9, -0.1)
    dog = Candidate(("a", "dog"), -7.0, 0.6, 1.0, 0.9, -0.1)
    ranked = [bold, plain, dog, plain]
    assert [c.text for c in model._captions(ranked)] == ["A man.", "A dog."]
    old = replace(
        bundle, manifest={**bundle.manifest, "confidence": {**confidence, "candidates": 1}}
    )
    first_alone = opened(old, min_confidence=0.5)
    assert first_alone._captions(ranked) == ()
    everything = opened(bundle, alternatives=2, min_confidence=0.0)
    assert [c.text for c in everything._captions(ranked)] == ["A man juggles knives.", "A man."]


class TwoGenerators:
    """Candidates of one style that are certain for the first photo, of the other for all."""

    def __init__(self, fallback_style):
        self.config = GenerationConfig(fallback_style=fallback_style)

    def candidates(self, features, hidden, embeddings):
        cosines = [0.9] + [-9.0] * (len(hidden) - 1)
        return [[Candidate(("a", "man"), -6.0, cosine, 1.0, 0.9, -0.1)] for cosine in cosines]

    def fallback(self, features, hidden, embeddings):
        assert len(features) == len(hidden) == len(embeddings) == 2
        return [
            [Candidate(("a", "dog"), -6.0, float(row[0]), 1.0, 0.9, -0.1, other_style=True)]
            for row in hidden
        ]


@pytest.mark.parametrize("fallback_style", [False, True])
def test_photos_without_a_sure_caption_get_one_in_the_other_style(fallback_style):
    model = opened(Bundle.open(bundle_folder(None)), min_confidence=0.5)
    model.generator = TwoGenerators(fallback_style)
    hidden = np.array([[9.0], [0.9], [-9.0]], np.float32)  # the last one stays without
    captions = model._captions_of(Features(np.zeros((3, 2048), np.float32)), hidden, hidden)
    dog = ["A dog."] if fallback_style else []
    assert [[c.text for c in some] for some in captions] == [["A man."], dog, []]


@pytest.mark.parametrize("fallback_style", [False, True])
def test_suggestions_are_all_candidates_and_begin_with_the_caption(fallback_style):
    model = opened(Bundle.open(bundle_folder(None)), min_confidence=0.5)
    model.generator = TwoGenerators(fallback_style)
    rows = np.array([[9.0], [0.9], [-9.0]], np.float32)
    model.head, model.space = Rows("hidden", rows), Rows("image", rows)
    first, second, third = model.suggestions(np.zeros((3, 2048), np.float32))
    assert [(one.caption.text, one.trusted) for one in first] == [("A man.", True)]
    dog = [("A dog.", True)] if fallback_style else []
    assert [(one.caption.text, one.trusted) for one in second] == [("A man.", False), *dog]
    assert [one.trusted for one in third] == [False] * (1 + fallback_style)


class Rows:
    """A head that gives the same numbers for any features."""

    def __init__(self, method, rows):
        setattr(self, method, lambda features: rows)


def test_the_suggestions_of_the_shipped_model_hold_its_captions():
    model = load(DescribeOptions(device="cpu"), start=False)
    features = np.random.default_rng(0).random((2, 2048), np.float32)
    rgb = np.zeros((224, 224, 3), np.uint8)
    photos = [DecodedPhoto(Photo("a.jpg", 1, 1), rgb, 4, 3, "JPEG", b"0" * 20)] * 2
    for found, described in zip(
        model.suggestions(features), model.describe(photos, Features(features)), strict=True
    ):
        texts = [one.caption.text for one in found]
        assert len(set(texts)) == len(texts) > 10
        trusted = [one.caption for one in found if one.trusted]
        assert list(described.captions) == trusted[: len(described.captions)]


def test_the_bundle_that_ships_has_one_merge_decoder():
    base = Bundle.open(bundle_folder(None))
    [entry] = base.manifest["decoders"]
    stepper = decoders.get(entry["kind"]).stepper(base.arrays(entry["file"]))
    assert isinstance(stepper, MergeStepper)
    assert stepper.vocabulary_size == len(base.json(bundles.VOCABULARY))
    assert decoders.sizes(entry) == decoders.get("merge").Sizes()


def test_a_beam_width_below_one_is_refused():
    with pytest.raises(UsageError, match="beam width has to be positive"):
        load(DescribeOptions(device="cpu", beam_width=0))


def test_without_reranking_the_decoder_alone_decides(tmp_path):
    bundle = tiny_bundles.write(tmp_path / "tiny")
    options = DescribeOptions(bundle=bundle.folder, device="cpu", beam_width=3, rerank=False)
    model = load(options, start=False)
    own = GenerationConfig.from_manifest(bundle.manifest["describe"])
    assert model.generator.config == replace(own, beam_width=3).of_decoder_alone()
    assert model.loader()().generator.config == model.generator.config
    assert model.settings != load(replace(options, rerank=True), start=False).settings


def test_a_model_is_loaded_again_elsewhere_without_its_engine():
    model = describer.load(DescribeOptions(device="cpu"), start=False)
    again = pickle.loads(pickle.dumps(model.loader()))()
    features = Features(np.random.default_rng(0).random((3, 2048), np.float32))
    photo = DecodedPhoto(
        Photo("dog.jpg", 1, 1), np.zeros((0, 0, 3), np.uint8), 4, 3, "JPEG", b"0" * 20
    )
    assert "engine" not in vars(again)
    assert again.model_id == model.model_id
    assert [d.captions for d in again.describe([photo] * 3, features)] == [
        d.captions for d in model.describe([photo] * 3, features)
    ]


def test_bundles_with_one_encoder_share_its_engine(tmp_path):
    folders = [
        tiny_bundles.write(tmp_path / name, seed=seed, encoder_seed=encoder).folder
        for name, seed, encoder in (("a", 1, 0), ("b", 2, 1), ("c", 3, 0))
    ]
    options = [DescribeOptions(bundle=each, device="cpu", precision="float32") for each in folders]
    first, other, second = load_several(options)
    assert [model.bundle.folder for model in (first, other, second)] == folders
    assert first.engine is second.engine is not other.engine
