"""Stage 6: what is chosen on dev: which decoders to use, reranking, confidence, search settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captioner.model.rerank import EVIDENCE, Candidate, ConfidenceModel
from captioner.training import tuning
from captioner.training.run import FeatureExtractor, Run, RunBase
from captioner.training.stages.decoders import TrainedDecoder
from captioner.training.stages.parts import BundleParts
from captioner.types import FloatArray, SearchVectors

OTHER_PHOTO_WEIGHT = 0.25
"""Sample weight of another photo's caption when confidence is fitted; a photo's own has 1."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Decoders that are used together, with the best reranking of their candidates."""

    numbers: tuple[int, ...]
    """Of the decoders, counted from 1."""
    weights: dict[str, float]
    ciders: dict[str, float]
    """CIDEr × 100 on dev of all weights that were tried with the chosen length exponent."""

    @property
    def cider(self) -> float:
        """CIDEr × 100 on dev with the best weights."""
        return max(self.ciders.values())


@dataclass(frozen=True, slots=True)
class ConfidenceSelection:
    """How likely captions are to fit their photos, and from which threshold they are shown."""

    model: ConfidenceModel
    captioned_dev_share: float
    """Share of the dev photos with a caption above the threshold, 0 to 1."""
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CaptionSelection:
    """How captions are generated: the manifest's `decoders`, `describe` and `confidence`."""

    parts: BundleParts
    """With the chosen `generation`."""
    decoders: tuple[TrainedDecoder, ...]
    ensemble: Ensemble
    confidence: ConfidenceSelection
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SearchSelection:
    """How queries are ranked: the manifest's `search`."""

    settings: dict[str, float]
    figures: dict[str, Any]


def select_captioning(
    run: RunBase,
    parts: BundleParts,
    decoders: Sequence[TrainedDecoder],
    extractor: FeatureExtractor,
) -> CaptionSelection:
    """Choose decoders and reranking by CIDEr on dev, then fit the confidence of their captions."""
    run.report("Choosing decoders, reranking weights and confidence threshold on the dev split.")
    ensemble, rerank = _choose_ensemble(run, parts, decoders, extractor)
    chosen = tuple(decoders[number - 1] for number in ensemble.numbers)
    generation = parts.generation.with_weights(ensemble.weights)
    parts = replace(parts, generation=generation)
    fitted = _fit_confidence(run, parts, chosen, extractor)
    record = {"chosen on dev": {"decoders": list(ensemble.numbers), "rerank": rerank}}
    return CaptionSelection(parts, chosen, ensemble, fitted, record | fitted.record)


def select_search(run: Run, parts: BundleParts, extractor: FeatureExtractor) -> SearchSelection:
    """Choose the search weights of joint space and concepts, by queries made from dev captions."""
    run.report("Choosing the search settings on the dev split.")
    features = extractor.features(run.dev)[:, 0].astype(np.float32)
    head, space = parts.heads.word_head, parts.heads.joint_space
    vectors = SearchVectors(
        space.image(features).astype(np.float16), head.hidden(features).astype(np.float16)
    )
    return SearchSelection(
        *tuning.choose_search(
            head, space, parts.heads.concepts, vectors, run.dev, seed=run.config.seed
        )
    )


def _choose_ensemble(
    run: RunBase,
    parts: BundleParts,
    decoders: Sequence[TrainedDecoder],
    extractor: FeatureExtractor,
) -> tuple[Ensemble, dict[str, dict[str, float]]]:
    """Choose the best decoder, or all of them if the ensemble is clearly better.

    Each further decoder takes as much time again for every photo.
    """
    features = extractor.features(run.dev)[:, 0].astype(np.float32)
    every = tuple(range(1, len(decoders) + 1))
    ensembles: dict[str, Ensemble] = {}
    for numbers in dict.fromkeys([*((one,) for one in every), every]):
        name = "decoder " + " and ".join(map(str, numbers))
        found = parts.candidates([decoders[one - 1].stepper() for one in numbers], features)
        weights, table = tuning.choose_rerank(found, run.dev)
        prefix = f"{weights['length_penalty']:g} "
        ciders = {key: cider for key, cider in table.items() if key.startswith(prefix)}
        ensembles[name] = Ensemble(numbers, weights, ciders)
        run.report(f"{name}: CIDEr {ensembles[name].cider:.1f} on dev")
    *_, together = ensembles.values()
    best = max(list(ensembles.values())[: len(every)], key=lambda one: one.cider)
    if together.cider > best.cider + tuning.CIDER_TOLERANCE:
        best = together
    return best, {name: one.ciders for name, one in ensembles.items()}


def _fit_confidence(
    run: RunBase,
    parts: BundleParts,
    decoders: Sequence[TrainedDecoder],
    extractor: FeatureExtractor,
) -> ConfidenceSelection:
    """Fit confidence on the held-out photos of all data, and choose the threshold.

    Each photo counts twice: with its own caption, and with that of another photo, which stands for
    photos unlike all of these.
    """
    photos = (*run.dev, *run.extra_dev)
    features = extractor.features(photos)[:, 0].astype(np.float32)
    found = parts.candidates([decoder.stepper() for decoder in decoders], features)
    own = [candidates[0] for candidates in found]
    both = [*own, *_of_other_photos(parts, own, features)]
    evidence = np.array([[getattr(c, name) for name in EVIDENCE] for c in both], np.float32)
    right = np.array(
        [
            tuning.matches_references(candidate.words, photo.captions)
            for candidate, photo in zip(both, (*photos, *photos), strict=True)
        ],
        np.float32,
    )
    sample_weights = np.repeat(np.array([1, OTHER_PHOTO_WEIGHT], np.float32), len(photos))
    fitted = tuning.fit_logistic(evidence, right, sample_weights).tolist()
    model = ConfidenceModel(*fitted)
    scores = np.array([model.confidence(candidate) for candidate in own], np.float32)
    right, dev = right[: len(photos)], slice(len(run.dev))
    threshold = tuning.choose_threshold(scores, right)
    shown = scores >= threshold
    record = {
        "reliability": {
            "first corpus": tuning.reliability(scores[dev], right[dev]),
            "extra data": tuning.reliability(scores[len(run.dev) :], right[len(run.dev) :]),
        },
        "shown": {
            "share": round(float(shown.mean()), 3),
            "fits": round(float(right[shown].mean()), 3) if shown.any() else None,
        },
    }
    return ConfidenceSelection(
        replace(model, threshold=threshold), float(shown[dev].mean()), record
    )


def _of_other_photos(
    parts: BundleParts, own: Sequence[Candidate], features: FloatArray
) -> list[Candidate]:
    """For each photo another one's caption, evidence as if it were this photo's."""
    head, space = parts.heads.word_head, parts.heads.joint_space
    captions = [own[row].words for row in np.roll(np.arange(len(own)), len(own) // 2).tolist()]
    cosines = np.einsum("nd,nd->n", space.image(features), space.text(captions)).tolist()
    evidence = head.evidence(head.hidden(features), [[words] for words in captions])
    return [
        Candidate(words, 0.0, cosine, *one[0])
        for words, cosine, one in zip(captions, cosines, evidence, strict=True)
    ]
