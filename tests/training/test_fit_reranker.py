"""When a bundle gets a reranker: enough held-out photos, and better choices on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

from captioner.model.candidates import GenerationConfig
from captioner.model.rerank import Candidate
from captioner.training import reranking
from captioner.training.corpora import Corpus, Example
from captioner.training.features import CachedFeatures
from captioner.training.stages import selection
from captioner.types import Features, FloatArray

THINGS = ("dog", "cat", "boat", "tree", "car")


def corpus(name: str, count: int, offset: int) -> Corpus:
    photos = [
        Example(Path(f"{name}-{n}.jpg"), (f"a {THINGS[(n + offset) % 5]} on the grass",) * 2, "dev")
        for n in range(count)
    ]
    return Corpus("photos", tuple(photos), "official lists")


class Heads:
    class joint_space:  # noqa: N801
        @staticmethod
        def text(sentences: Any) -> FloatArray:
            return np.eye(len(sentences), 4, dtype=np.float32)


@dataclass(frozen=True)
class Parts:
    """Two candidates of each photo: the cosine tells which is right, if it is not misleading."""

    misleading: bool = False
    right_in: frozenset[bool] = frozenset({False, True})
    """Whether candidates are right without the other style, and with it."""
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    heads: Any = Heads

    def candidates(self, steppers: Any, features: Features) -> list[list[Candidate]]:
        out = []
        for number in features.pooled[:, 0].astype(int).tolist():
            right, wrong = (
                Candidate(f"a {THINGS[n % 5]} on the grass".split(), log_p, cosine, 0.0, 0.5, -1.0)
                for n, log_p, cosine in ((number, -6.0, 0.6), (number + 1, -5.0, 0.2))
            )
            if self.misleading and number % 2:
                right, wrong = replace(right, cosine=0.1), replace(wrong, cosine=0.9)
            if self.generation.other_style not in self.right_in:
                right = wrong
            out.append([wrong, right] if not self.misleading else [right, wrong])
        return out


class Extractor:
    """A photo's feature is the number of the thing that it shows."""

    def cached(self, photos: Any, views: int = 1) -> CachedFeatures:
        numbers = [next(n for n, t in enumerate(THINGS) if t in p.captions[0]) for p in photos]
        return CachedFeatures(np.tile(np.array(numbers, np.float16)[:, None, None], (1, views, 1)))


def fitted(
    parts: Parts,
    *corpora: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    least: int = 20,
    extra_style: bool = False,
) -> Any:
    monkeypatch.setattr(reranking, "MIN_PHOTOS", least)
    run = SimpleNamespace(
        corpora=corpora,
        extra_style=corpora if extra_style else (),
        config=SimpleNamespace(seed=1),
        report=lambda text: None,
    )
    return selection._choose_reranker(run, parts, [], Extractor())  # type: ignore[arg-type]


def test_a_reranker_that_chooses_better_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both corpora have one name, and one has no photos held out."""
    found = fitted(
        Parts(), corpus("a", 20, 0), corpus("b", 15, 2), corpus("c", 0, 0), monkeypatch=monkeypatch
    )
    assert found.reranker and found.reranker.weights["cosine"] > 0
    assert [one.name for one in found.figures] == ["photos", "photos"]
    assert all(one.reranked > one.before + 50 for one in found.figures)


def test_too_few_photos_give_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fitted(Parts(), corpus("a", 20, 0), monkeypatch=monkeypatch, least=21)
    assert (found.reranker, found.figures) == (None, ())


def test_a_reranker_that_cannot_choose_better_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights chosen on dev are right everywhere already."""
    found = fitted(Parts(misleading=True), corpus("a", 25, 0), monkeypatch=monkeypatch)
    assert found.reranker is None
    [figures] = found.figures
    assert figures.reranked <= figures.before


@pytest.mark.parametrize("other_style", [False, True])
def test_candidates_in_the_other_style_where_they_help(
    other_style: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(right_in=frozenset({other_style}))
    found = fitted(parts, corpus("a", 25, 0), monkeypatch=monkeypatch, extra_style=True)
    assert found.reranker
    assert found.other_style == other_style


def test_no_other_style_without_data_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(right_in=frozenset({True}))
    found = fitted(parts, corpus("a", 25, 0), monkeypatch=monkeypatch)
    assert (found.reranker, found.other_style) == (None, False)
