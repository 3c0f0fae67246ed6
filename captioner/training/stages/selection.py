"""Stage 6: what is chosen on dev: which decoders to use, reranking, confidence, search settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from captioner.model.decoders import Stepper
from captioner.model.rerank import (
    EVIDENCE,
    Candidate,
    ConfidenceModel,
    Reranker,
    ranking_evidence,
)
from captioner.training import reranking, tuning
from captioner.training.corpora import Example
from captioner.training.run import FeatureExtractor, Run, RunBase
from captioner.training.stages.decoders import TrainedDecoder
from captioner.training.stages.parts import BundleParts
from captioner.types import FloatArray, SearchVectors

_MAX_CANDIDATES = 30
"""Of each photo, from which the first one above the confidence threshold is shown."""
_CONFIDENCE_CANDIDATES = 5
"""Of each photo, to fit confidence on: where the best is too uncertain, the next one is shown."""
_RERANKER_VIEWS = 2
"""Views of each photo that the reranker is fitted on."""
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
class CorpusCider:
    """Mean CIDEr × 100 of the captions that are chosen for the held-out photos of a corpus."""

    name: str
    photos: int
    before: float
    """By the weights chosen on dev."""
    reranked: float
    """By the reranker, cross-validated."""


@dataclass(frozen=True, slots=True)
class RerankerSelection:
    """How candidates are ranked: by learnt weights, or by those of the ensemble."""

    reranker: Reranker | None
    """None: there are too few held-out photos, or it chose worse on those it was not fitted to."""
    figures: tuple[CorpusCider, ...]
    """Of all corpora with held-out photos, the main data first."""
    other_style: bool = False
    """Whether half of the candidates are in the style of the extra data."""

    @property
    def gain(self) -> float:
        """Mean difference in CIDEr × 100 over the held-out photos of all data."""
        photos = sum(one.photos for one in self.figures)
        return sum(one.photos * (one.reranked - one.before) for one in self.figures) / photos


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
    ranking: RerankerSelection
    confidence: ConfidenceSelection
    record: dict[str, Any]

    @property
    def cider(self) -> float:
        """CIDEr × 100 on dev; with a reranker that of cross-validation."""
        if self.ranking.reranker is None:
            return self.ensemble.cider
        return self.ranking.figures[0].reranked


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
    ranking = _choose_reranker(run, parts, chosen, extractor)
    generation = replace(
        generation,
        reranker=ranking.reranker,
        other_style=ranking.other_style,
        fallback_style=bool(run.extra_style) and not ranking.other_style,
    )
    parts = replace(parts, generation=generation)
    fitted = _fit_confidence(run, parts, chosen, extractor)
    record = {
        "chosen on dev": {"decoders": list(ensemble.numbers), "rerank": rerank},
        "reranker": [asdict(one) for one in ranking.figures],
    }
    return CaptionSelection(parts, chosen, ensemble, ranking, fitted, record | fitted.record)


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
    features = extractor.cached(run.dev).view()
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


def _choose_reranker(
    run: RunBase,
    parts: BundleParts,
    decoders: Sequence[TrainedDecoder],
    extractor: FeatureExtractor,
) -> RerankerSelection:
    """Fit the reranker on the held-out photos of all data; keep it if it chooses better.

    It has to be better over all of them, and no worse than noise on the main data. Candidates in
    the style of the extra data, instead of half of the others, are tried as well: they help a
    decoder that learnt this style better than the main one.
    """
    held_out = [(corpus.name, corpus.split("dev")) for corpus in run.corpora]
    held_out = [(name, photos) for name, photos in held_out if photos]
    if sum(len(photos) for _, photos in held_out) < reranking.MIN_PHOTOS:
        return RerankerSelection(None, ())
    run.report("Fitting the reranker on the held-out photos of all data.")
    steppers = [decoder.stepper() for decoder in decoders]
    before = [_mean_cider(parts, steppers, photos, extractor) for _, photos in held_out]
    fitted = [
        _fit_reranker(run, parts, steppers, extractor, held_out, before, other_style=other_style)
        for other_style in ([False, True] if run.extra_style else [False])
    ]
    best = max(fitted, key=lambda one: one.gain)
    better = best.gain > 0 and best.figures[0].reranked >= (
        best.figures[0].before - tuning.CIDER_TOLERANCE
    )
    return best if better else replace(best, reranker=None, other_style=False)


def _mean_cider(
    parts: BundleParts,
    steppers: Sequence[Stepper],
    photos: Sequence[Example],
    extractor: FeatureExtractor,
) -> float:
    """Mean CIDEr × 100 of the captions that are chosen for photos."""
    features = extractor.cached(photos, _RERANKER_VIEWS).view()
    chosen = [candidates[:1] for candidates in parts.candidates(steppers, features)]
    return float(tuning.cider_table(chosen, photos).mean())


def _fit_reranker(
    run: RunBase,
    parts: BundleParts,
    steppers: Sequence[Stepper],
    extractor: FeatureExtractor,
    held_out: Sequence[tuple[str, Sequence[Example]]],
    before: Sequence[float],
    *,
    other_style: bool,
) -> RerankerSelection:
    """Fit the reranker on photos by corpus, and cross-validate it.

    Parameters
    ----------
    before
        CIDEr × 100 on each corpus by the weights chosen on dev.
    """
    with_styles = replace(parts, generation=replace(parts.generation, other_style=other_style))
    evidence: list[FloatArray] = []
    rewards: list[FloatArray] = []
    owners: list[int] = []
    rows: list[range] = []
    first_photo = 0
    for _, photos in held_out:
        features = extractor.cached(photos, _RERANKER_VIEWS)
        rows.append(range(len(owners), len(owners) + len(photos)))
        for view in range(_RERANKER_VIEWS):
            found = with_styles.candidates(steppers, features.view(view))
            table = tuning.cider_table(found, photos)
            for number, candidates in enumerate(found):
                vectors = parts.heads.joint_space.text([c.words for c in candidates])
                evidence.append(ranking_evidence(candidates, vectors))
                rewards.append(table[number, : len(candidates)])
                owners.append(first_photo + number)
        first_photo += len(photos)
    rated = reranking.RatedCandidates.of(evidence, rewards)
    after = reranking.cross_validated(rated, owners, run.config.seed)
    figures = [
        CorpusCider(name, len(photos), round(old, 2), round(float(after[own].mean()), 2))
        for (name, photos), old, own in zip(held_out, before, rows, strict=True)
    ]
    run.report(
        f"CIDEr with the reranker, candidates in {'both styles' if other_style else 'one style'}: "
        + ", ".join(
            f"{one.reranked:.1f} instead of {one.before:.1f} on {one.name}" for one in figures
        )
    )
    return RerankerSelection(reranking.fit_reranker(rated), tuple(figures), other_style)


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
    features = extractor.cached(photos).view()
    found = parts.candidates([decoder.stepper() for decoder in decoders], features)
    best = [candidates[:_CONFIDENCE_CANDIDATES] for candidates in found]
    first_ones = [some[0] for some in best]
    others = [[one] for one in _of_other_photos(parts, first_ones, features.pooled)]
    both = [*best, *others]
    evidence = np.array([_evidence(c) for some in both for c in some], np.float32)
    matches = _matches(both, (*photos, *photos))
    sample_weights = np.concatenate(
        [
            np.full(len(some), weight / len(some), np.float32)
            for part, weight in ((best, 1.0), (others, OTHER_PHOTO_WEIGHT))
            for some in part
        ]
    )
    fitted = tuning.fit_logistic(evidence, np.concatenate(matches), sample_weights).tolist()
    model = ConfidenceModel(*fitted)
    every = tuning.padded([candidates[:_MAX_CANDIDATES] for candidates in found])
    scores = np.array([[model.confidence(c) for c in row] for row in every], np.float32)
    fits = np.stack(_matches(every, photos))
    threshold = tuning.choose_threshold(scores, fits)
    first = tuning.first_above(scores, threshold)
    shown = first >= 0
    chosen = np.maximum(first, 0)[:, None]
    scores, right = (np.take_along_axis(each, chosen, axis=1)[:, 0] for each in (scores, fits))
    dev = slice(len(run.dev))
    record = {
        # Of what is shown; where nothing is, of the best candidate.
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
        replace(model, threshold=threshold, candidates=_MAX_CANDIDATES),
        float(shown[dev].mean()),
        record,
    )


def _evidence(candidate: Candidate) -> list[float]:
    return [getattr(candidate, name) for name in EVIDENCE]


def _matches(found: Sequence[Sequence[Candidate]], photos: Sequence[Example]) -> list[FloatArray]:
    """For each photo which of its candidates match its references: 1 or 0."""
    return [
        np.array([tuning.matches_references(c.words, photo.captions) for c in some], np.float32)
        for some, photo in zip(found, photos, strict=True)
    ]


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
