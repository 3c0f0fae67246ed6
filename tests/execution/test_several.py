"""Several models for the same photos: what is shared, and that each says what it says alone."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import colour_describer
import numpy as np
import pytest
import tiny_bundles
from colour_describer import COLOURS, ColourDescriber
from portable_describer import PortableDescriber

from captioner.errors import UsageError
from captioner.execution import get
from captioner.execution.processes import ProcessExecutor
from captioner.execution.several import describe_each, together
from captioner.execution.threads import ThreadExecutor
from captioner.model import DescribeOptions, load_several
from captioner.photos import read
from captioner.photos.walk import walk
from captioner.types import (
    Caption,
    DecodedPhoto,
    Description,
    Failure,
    Features,
    PixelArray,
)
from captioner.types import PortableDescriber as Portable


class Named(ColourDescriber):
    """Says its name, checks the features that it gets, and counts what it encodes."""

    encoded: ClassVar[dict[str, list[int]]] = {}

    def __init__(
        self, name: str, encoder_id: str, *, features: int = 9, size: int = 16, grid: bool = False
    ) -> None:
        super().__init__()
        self.model_id, self.encoder_id = name, encoder_id
        self.feature_size, self.size, self.needs_grid = features, size, grid

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        for batch in batches:
            assert batch.shape[1:] == (self.size, self.size, 3)
            self.encoded.setdefault(self.model_id, []).append(len(batch))
            features = np.full((len(batch), self.feature_size), len(self.encoder_id), np.float32)
            features[:, :3] = batch.mean(axis=(1, 2)) / 255
            grid = features[:, None, None, :] if self.needs_grid else None
            yield Features(features, grid)

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        assert features.pooled.shape == (len(pixels), self.feature_size)
        assert (features.pooled[:, 3:] == len(self.encoder_id)).all()
        if self.needs_grid:
            assert features.grid is not None
            assert (features.grid[:, 0, 0] == features.pooled).all()
        return [
            replace(each, captions=(Caption(f"{self.model_id}: {each.text}", 1.0, 0.0),))
            for each in super().describe(pixels, features)
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10):
        colour_describer.photo(tmp_path / f"photos/{number}.jpg", COLOURS[number % 3])
    (tmp_path / "photos/5.jpg").write_bytes(b"no photo")
    Named.encoded.clear()
    return tmp_path / "photos"


def described(folder: Path, *members: Named, executor: object = None) -> list[list[str] | str]:
    found = describe_each(walk([folder]), members, executor)  # type: ignore[arg-type]
    return [
        result.path.name if isinstance(result, Failure) else [each.text for each in result]
        for result in found
    ]


def expected(*names: str) -> list[list[str] | str]:
    return [
        "5.jpg" if n == 5 else [f"{name}: A {COLOURS[n % 3]} photo." for name in names]
        for n in range(10)
    ]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    original = read.read

    def counting(photo: object, size: int) -> DecodedPhoto:
        sizes.append(size)
        return original(photo, size)  # type: ignore[arg-type]

    monkeypatch.setattr("captioner.execution.decoding.read", counting)
    return sizes


def test_models_with_one_encoder_encode_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = count_reads(monkeypatch)
    members = [Named("one", "e"), Named("two", "e"), Named("three", "e")]
    assert described(folder, *members) == expected("one", "two", "three")
    assert Named.encoded == {"one": [4, 4, 1]}
    assert sizes == [16] * 10


def test_models_with_two_encoders_share_the_pixels(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = count_reads(monkeypatch)
    members = [Named("one", "e"), Named("two", "other", features=7), Named("three", "e")]
    assert described(folder, *members) == expected("one", "two", "three")
    assert Named.encoded == {"one": [4, 4, 1], "two": [4, 4, 1]}
    assert sizes == [16] * 10


def test_the_feature_map_is_computed_where_a_model_needs_it(folder: Path) -> None:
    members = [Named("one", "e"), Named("two", "e", grid=True), Named("three", "other")]
    assert described(folder, *members) == expected("one", "two", "three")
    assert Named.encoded == {"two": [4, 4, 1], "three": [4, 4, 1]}


def test_models_of_two_sizes_keep_their_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = count_reads(monkeypatch)
    members = [Named("one", "e"), Named("two", "large", size=32), Named("three", "e")]
    assert described(folder, *members) == expected("one", "two", "three")
    assert sorted(sizes) == [16] * 10 + [32] * 10


def test_one_model_is_described_as_alone(folder: Path) -> None:
    assert described(folder, Named("one", "e")) == expected("one")
    assert together([member := Named("one", "e")]) is member


def test_batches_suit_all_encoders(folder: Path) -> None:
    small, large = Named("one", "e"), Named("two", "other")
    small.batch_size, large.batch_size = 2, 8
    assert described(folder, large, small) == expected("two", "one")
    assert Named.encoded["two"] == Named.encoded["one"] == [2, 2, 2, 2, 1]


def test_closing_ends_all_pipelines(folder: Path) -> None:
    results = describe_each(walk([folder]), [Named("one", "e"), Named("two", "large", size=32)])
    next(results)
    results.close()
    assert list(results) == []


def test_an_executor_without_order_is_refused(folder: Path) -> None:
    executor = ThreadExecutor()
    executor.ordered = False
    with pytest.raises(UsageError, match="several models"):
        described(folder, Named("one", "e"), executor=executor)
    assert described(folder, Named("one", "e"), executor=get()) == expected("one")


class Elsewhere(PortableDescriber):
    """A portable describer with an id of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self.encoder_id = name

    def _copy(self) -> Elsewhere:
        return Elsewhere(self._folder, self.encoder_id)


@pytest.mark.process
def test_in_other_processes(folder: Path, tmp_path: Path) -> None:
    members = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        members.append(Elsewhere(tmp_path / name, name))
    executor = ProcessExecutor(processes=1, first=2)
    found = list(describe_each(walk([folder]), members, executor))
    assert [isinstance(each, Failure) for each in found] == [n == 5 for n in range(10)]
    assert all(
        [one.text for one in each] == [f"A {COLOURS[n % 3]} photo."] * 2
        for n, each in enumerate(found)
        if not isinstance(each, Failure)
    )
    assert all(len(list((tmp_path / name).iterdir())) == 2 for name in ("a", "b"))


def test_only_portable_models_go_to_other_processes(tmp_path: Path) -> None:
    portable = together([Elsewhere(tmp_path, "a"), Elsewhere(tmp_path, "b")])
    assert isinstance(portable, Portable)
    assert portable.settings == "['none', 'none']"
    assert pickle.loads(pickle.dumps(portable.loader()))().encoder_id == "a+b"
    assert not isinstance(together([Elsewhere(tmp_path, "a"), Named("b", "b")]), Portable)


def test_models_that_attend_and_models_that_do_not_share_a_pass(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("keras")
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    bundles = [
        tiny_bundles.write(tmp_path / kind, seed=seed, kind=kind)
        for seed, kind in enumerate(("merge", "soft-attention", "pre-inject"), 1)
    ]
    options = [
        DescribeOptions(bundle=each.folder, device="cpu", precision="float32", min_confidence=0)
        for each in bundles
    ]
    merge, attention, inject = load_several(options)
    assert merge.engine is inject.engine is not attention.engine
    alone = [
        [str(result) for result in get().describe(walk([folder]), model)]
        for model in (merge, attention, inject)
    ]
    found = describe_each(walk([folder]), [merge, attention, inject])
    assert alone == [
        list(texts)
        for texts in zip(
            *(
                [str(result)] * 3 if isinstance(result, Failure) else map(str, result)
                for result in found
            ),
            strict=True,
        )
    ]
