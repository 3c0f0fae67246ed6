"""A teacher of ImageNet's thousand classes, made from one photo of each: knowledge distillation.

The classifier of the published encoder is not available, only its features. One photo per class
stands in for it: a class is a prototype among the features, at first those of its sample photo, and
a photo's class probabilities are a softmax of its cosines to the prototypes (prototypical networks,
Snell et al. 2017). One photo is little, so each prototype is shrunk towards its siblings in WordNet
and moved towards the training photos that are probably of its class, more so if a caption names the
class or a hypernym of it. The word head is then trained on these probabilities (Hinton et al.
2015), so that fine-tuning the encoder does not forget the classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from captioner.errors import CaptionerError
from captioner.model.concepts import Concepts
from captioner.model.hypernyms import concepts_below
from captioner.model.vocabulary import words
from captioner.training.corpora import Example, class_of
from captioner.training.run import FeatureExtractor
from captioner.training.wordnet import TABLE
from captioner.types import FloatArray, HalfArray

# Chosen on half of the everyday photos, by how well the classes under a name retrieve the photos
# whose captions use that name.
TEMPERATURE = 0.1
"""Of the softmax over cosines."""
_REFINING_TEMPERATURE = 0.08
_ROUNDS, _MIN_PROBABILITY = 3, 0.1
"""Rounds of refining, each with the photos whose class probability is at least this."""
_SAMPLE_WEIGHT = 2.0
"""Weight of a class's own sample in its prototype; a training photo has at most 1."""
_SIBLING_WEIGHT = 0.5
"""Weight of the mean of its siblings; the class itself has 1."""
_MAX_CLASSES_PER_NAME, _MAX_GAIN = 130, 50.0
SAMPLE_PROBABILITY = 0.9
"""Probability that a sample shows its own class, whatever the teacher computes."""


def concept_table(samples: Sequence[Example], objects: Sequence[str] = ()) -> dict[str, Any]:
    """Names and hypernyms of the samples' classes, in order: the content of `concepts.json`.

    The annotated objects come after them, each with its name alone: what annotators call a mouse
    WordNet may call a rodent.

    Raises
    ------
    CaptionerError
        If one is not among ImageNet's thousand classes.
    """
    table = json.loads(TABLE.read_text("utf-8"))
    known = {concept["wnid"]: concept for concept in table["concepts"]}
    for sample in samples:
        if class_of(sample.path) not in known:
            raise CaptionerError(
                f"{sample.path} is named after a class that is not one of ImageNet's 1,000.",
                "Remove it from the folder of --concepts.",
            )
    concepts = [known[class_of(sample.path)] for sample in samples]
    named = [{"name": name, "names": [name], "parents": []} for name in objects]
    return {**table, "concepts": [*concepts, *named]}


def teacher_probabilities(
    extractor: FeatureExtractor,
    samples: Sequence[Example],
    photos: Sequence[Example],
    table: Mapping[str, Any],
) -> HalfArray:
    """Class probabilities of `photos`, then of the samples themselves.

    Parameters
    ----------
    extractor
        Of the published encoder.
    table
        From `concept_table`.

    Returns
    -------
    float16 (photos + samples, samples): one class per sample; each row sums to 1.
    """
    concepts = Concepts(table)
    sample_views = extractor.features(samples, 4).astype(np.float32)
    features = extractor.features(photos)[:, 0].astype(np.float32)
    every = np.concatenate([features, sample_views[:, 0]])
    mean, deviation = every.mean(axis=0), every.std(axis=0) + 1e-3
    features = _unit((features - mean) / deviation)
    sample_views = _unit((sample_views - mean) / deviation)
    mentions = _mentions(photos, concepts)
    sample = _unit(sample_views.mean(axis=1))
    siblings = _siblings(table)
    prototype = _shrink(sample, siblings)
    for _ in range(_ROUNDS):
        probability = _posterior(_softmax(features @ prototype.T / _REFINING_TEMPERATURE), mentions)
        probability[probability < _MIN_PROBABILITY] = 0
        total = probability.sum(axis=0)[:, None]
        moved = (_SAMPLE_WEIGHT * sample + probability.T @ features) / (_SAMPLE_WEIGHT + total)
        prototype = _shrink(_unit(moved), siblings)
    probability = _posterior(_softmax(features @ prototype.T / TEMPERATURE), mentions)
    own = (1 - SAMPLE_PROBABILITY) * _softmax(sample_views[:, 0] @ prototype.T / TEMPERATURE)
    own[np.diag_indices(len(samples))] += SAMPLE_PROBABILITY
    return np.concatenate([probability, own]).astype(np.float16)


def _mentions(photos: Sequence[Example], concepts: Concepts) -> dict[tuple[int, ...], list[int]]:
    """Photos whose captions use a name, by the classes that the name means."""
    meaning: dict[str, tuple[int, ...]] = {}
    found: dict[tuple[int, ...], set[int]] = {}
    for row, photo in enumerate(photos):
        for caption in photo.captions:
            used = words(caption)
            pairs = map(" ".join, pairwise(used))
            for name in {*used, *pairs}:
                if name not in meaning:
                    meaning[name] = tuple(concepts.named(name))
                if 0 < len(meaning[name]) <= _MAX_CLASSES_PER_NAME:
                    found.setdefault(meaning[name], set()).add(row)
    return {rows: sorted(photos) for rows, photos in found.items()}


def _posterior(
    probability: FloatArray, mentions: Mapping[tuple[int, ...], Sequence[int]]
) -> FloatArray:
    """Class probabilities given the captions, (photos, classes), each row summing to 1.

    If captions use a name more often on photos of its classes than elsewhere, the name raises the
    probability of these classes by that ratio.
    """
    gain = np.ones_like(probability)
    for rows, photos in mentions.items():
        mass = probability[:, rows].sum(axis=1)
        base_rate = (len(photos) + 0.5) / (len(mass) + 1)
        ratio = (mass[photos].sum() + 3 * base_rate) / (mass.sum() + 3) / base_rate
        if ratio > 1.5:
            where = np.ix_(photos, rows)
            gain[where] = np.maximum(gain[where], min(ratio, _MAX_GAIN))
    posterior = probability * gain
    return posterior / posterior.sum(axis=1, keepdims=True)


def _siblings(table: Mapping[str, Any]) -> list[list[int]]:
    """For each class those of its narrowest hypernym with four classes or more; else itself."""
    below = concepts_below(table)
    families = sorted((rows for rows in below if 4 <= len(rows) <= 60), key=len)
    return [
        sorted(next((rows for rows in families if row in rows), {row}))
        for row in range(len(table["concepts"]))
    ]


def _shrink(prototype: FloatArray, siblings: Sequence[Sequence[int]]) -> FloatArray:
    means = _unit(np.stack([prototype[rows].mean(axis=0) for rows in siblings]))
    return _unit(prototype + _SIBLING_WEIGHT * means)


def _softmax(logits: FloatArray) -> FloatArray:
    out = np.exp(logits - logits.max(axis=1, keepdims=True))
    return out / out.sum(axis=1, keepdims=True)


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)
