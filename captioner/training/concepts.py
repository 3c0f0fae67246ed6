"""What the published ImageNet encoder knows and captions seldom teach: its thousand classes.

The classifier of the published network is no part of the weights at hand. One photo a class brings
its knowledge back: a class is a direction among the features, at first its sample's, and a photo is
as much of a class as its own features lie in that direction. One photo is little, so classes lean
on their kin in WordNet, and move towards the training photos that are likely theirs: likelier where
a caption names the class or its kind. What this teacher says of every training photo is then learnt
by the word head, so that an encoder that is trained further does not forget it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from captioner.errors import CaptionerError
from captioner.model.concepts import Concepts
from captioner.model.vocabulary import words
from captioner.training.corpora import Example, class_of
from captioner.training.run import Eye
from captioner.training.wordnet import TABLE
from captioner.types import FloatArray, HalfArray

# Chosen on half of the everyday photos, by how well the classes under a name find what people's
# captions call by that name.
TEMPERATURE = 0.1
"""Of the cosines' softmax."""
_LEARNING_TEMPERATURE = 0.08
_ROUNDS, _LIKELY = 3, 0.1
"""Rounds of moving, each towards photos that are of the class with this probability or more."""
_SAMPLE = 2.0
"""Photos that a class's own sample weighs as much as."""
_KIN = 0.5
"""What the mean of its kin weighs beside a class."""
_WIDEST_NAME, _LARGEST_GAIN = 130, 50.0
OWN = 0.9
"""Probability that a sample shows its own class, beside what the teacher sees in it."""


def table_of(samples: Sequence[Example]) -> dict[str, Any]:
    """What the samples' classes are called, in their order: the bundle's `concepts.json`.

    Raises
    ------
    CaptionerError
        Where one is no class of ImageNet's thousand.
    """
    table = json.loads(TABLE.read_text("utf-8"))
    known = {concept["wnid"]: concept for concept in table["concepts"]}
    for sample in samples:
        if class_of(sample.path) not in known:
            raise CaptionerError(
                f"{sample.path} names a class that is none of ImageNet's thousand.",
                "Take it out of the folder of concepts.",
            )
    return {**table, "concepts": [known[class_of(sample.path)] for sample in samples]}


def teach(
    eye: Eye,
    samples: Sequence[Example],
    photos: Sequence[Example],
    table: Mapping[str, Any],
) -> HalfArray:
    """The probability of each sample's class in each of `photos`, then in the samples themselves.

    Parameters
    ----------
    eye
        The published encoder as it is.
    table
        From `table_of`.

    Returns
    -------
    float16 (photos + samples, samples).
    """
    concepts = Concepts(table)
    shown = eye.features(samples, 4).astype(np.float32)
    seen = eye.features(photos)[:, 0].astype(np.float32)
    every = np.concatenate([seen, shown[:, 0]])
    mean, deviation = every.mean(axis=0), every.std(axis=0) + 1e-3
    seen, shown = _unit((seen - mean) / deviation), _unit((shown - mean) / deviation)
    mentions = _mentions(photos, concepts)
    sample = _unit(shown.mean(axis=1))
    kin = _kin(table)
    prototype = _lean(sample, kin)
    for _ in range(_ROUNDS):
        told = _told(_softmax(seen @ prototype.T / _LEARNING_TEMPERATURE), mentions)
        told[told < _LIKELY] = 0
        found = told.sum(axis=0)[:, None]
        moved = (_SAMPLE * sample + told.T @ seen) / (_SAMPLE + found)
        prototype = _lean(_unit(moved), kin)
    probability = _told(_softmax(seen @ prototype.T / TEMPERATURE), mentions)
    own = (1 - OWN) * _softmax(shown[:, 0] @ prototype.T / TEMPERATURE)
    own[np.diag_indices(len(samples))] += OWN
    return np.concatenate([probability, own]).astype(np.float16)


def _mentions(photos: Sequence[Example], concepts: Concepts) -> dict[tuple[int, ...], list[int]]:
    """By the classes that a name means, the photos whose captions use such a name."""
    meaning: dict[str, tuple[int, ...]] = {}
    found: dict[tuple[int, ...], set[int]] = {}
    for row, photo in enumerate(photos):
        for caption in photo.captions:
            spoken = words(caption)
            pairs = map(" ".join, pairwise(spoken))
            for name in {*spoken, *pairs}:
                if name not in meaning:
                    meaning[name] = tuple(concepts.named(name))
                if 0 < len(meaning[name]) <= _WIDEST_NAME:
                    found.setdefault(meaning[name], set()).add(row)
    return {rows: sorted(those) for rows, those in found.items()}


def _told(probability: FloatArray, mentions: Mapping[tuple[int, ...], Sequence[int]]) -> FloatArray:
    """What is likely once captions are known: (photos, classes), each photo's sum 1.

    A name that captions use more where its classes are seen makes them likelier, by as much.
    """
    gain = np.ones_like(probability)
    for rows, photos in mentions.items():
        mass = probability[:, rows].sum(axis=1)
        usual = (len(photos) + 0.5) / (len(mass) + 1)
        ratio = (mass[photos].sum() + 3 * usual) / (mass.sum() + 3) / usual
        if ratio > 1.5:
            where = np.ix_(photos, rows)
            gain[where] = np.maximum(gain[where], min(ratio, _LARGEST_GAIN))
    posterior = probability * gain
    return posterior / posterior.sum(axis=1, keepdims=True)


def _kin(table: Mapping[str, Any]) -> list[list[int]]:
    """For each class those of its narrowest kind that has four classes or more; else itself."""
    below: list[set[int]] = [set() for _ in table["kinds"]]
    for row, concept in enumerate(table["concepts"]):
        for parent in concept["parents"]:
            below[parent].add(row)
    for number, kind in enumerate(table["kinds"]):
        for parent in kind["parents"]:
            below[parent] |= below[number]
    families = sorted((rows for rows in below if 4 <= len(rows) <= 60), key=len)
    return [
        sorted(next((rows for rows in families if row in rows), {row}))
        for row in range(len(table["concepts"]))
    ]


def _lean(prototype: FloatArray, kin: Sequence[Sequence[int]]) -> FloatArray:
    means = _unit(np.stack([prototype[rows].mean(axis=0) for rows in kin]))
    return _unit(prototype + _KIN * means)


def _softmax(logits: FloatArray) -> FloatArray:
    out = np.exp(logits - logits.max(axis=1, keepdims=True))
    return out / out.sum(axis=1, keepdims=True)


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)
