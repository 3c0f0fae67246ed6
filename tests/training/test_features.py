"""Features in the cache: written once, mapped from files, with feature maps only where asked."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from captioner.errors import CaptionerError
from captioner.model.decoders import soft_attention
from captioner.model.vocabulary import Vocabulary
from captioner.training.corpora import Example
from captioner.training.feature_files import mapped, writing
from captioner.training.features import CachedFeatures, extract
from captioner.types import Features, PixelArray

SHAPE = (2, 3, 4)


class Engine:
    """Pooled features are the mean colour, maps the corners of the photo; counts what it does."""

    name, batch_size = "counting", 4

    def __init__(self, *, grid: bool = False) -> None:
        self.grid, self.encoded = grid, 0

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        for batch in batches:
            self.encoded += len(batch)
            grid = batch[:, :2, :3].astype(np.float32)
            grid = np.concatenate([grid, grid[..., :1]], axis=-1)
            yield Features(batch.mean(axis=(1, 2)), grid if self.grid else None)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return paths


def extracted(photos: list[Path], engine: Any, cache: Path, *, views: int = 2) -> CachedFeatures:
    return extract(
        photos, engine, "weights", size=8, feature_size=3, views=views, cache=cache,
        grid_shape=SHAPE if engine.grid else None,
    )  # fmt: skip


def test_they_are_computed_once_and_mapped(photos: list[Path], tmp_path: Path) -> None:
    cache, engine = tmp_path / "cache", Engine(grid=True)
    first = extracted(photos, engine, cache)
    assert engine.encoded == 14
    again = extracted(photos, engine, cache)
    assert engine.encoded == 14
    for found in (first, again):
        for array, shape in ((found.pooled, (7, 2, 3)), (found.grid, (7, 2, *SHAPE))):
            assert isinstance(array, np.memmap) and array.dtype == np.float16
            assert array.shape == shape
    pixels = [np.asarray(Image.open(path), np.float32) for path in photos]
    for row, photo in enumerate(pixels):
        for view, seen in enumerate((photo, photo[:, ::-1])):
            np.testing.assert_allclose(first.pooled[row, view], seen.mean((0, 1)), rtol=1e-3)
            assert first.grid is not None
            np.testing.assert_array_equal(first.grid[row, view, ..., :3], seen[:2, :3])
    assert not list(cache.glob("*.partial*"))


def test_maps_are_not_computed_unless_asked(photos: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert extracted(photos, Engine(), cache).grid is None
    assert [file.name.partition("-")[0] for file in cache.iterdir()] == ["features"]
    # What is cached without maps is computed again for them, and serves without them as well.
    engine = Engine(grid=True)
    assert extracted(photos, engine, cache).grid is not None and engine.encoded == 14
    engine = Engine()
    extracted(photos, engine, cache)
    assert engine.encoded == 0


def test_views_and_inputs(photos: list[Path], tmp_path: Path) -> None:
    found = extracted(photos, Engine(grid=True), tmp_path / "cache")
    assert (len(found), found.views, found.size(grid=False), found.size(grid=True)) == (7, 2, 3, 4)
    view = found[2:5].view(1)
    assert view.pooled.dtype == np.float32 and isinstance(view.grid, np.memmap)
    np.testing.assert_array_equal(view.pooled, found.pooled[2:5, 1].astype(np.float32))
    rows, views = np.array([3, 0, 3]), np.array([0, 1, 1])
    (feature,) = found.inputs(rows, views, grid=False).items()
    (grid,) = found.inputs(rows, views, grid=True).items()
    assert found.grid is not None
    for (name, array), source in ((feature, found.pooled), (grid, found.grid)):
        assert name == ("grid" if source is found.grid else "feature")
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, source[rows, views])
    nothing = found.zeros(grid=True)
    assert nothing.grid is not None and nothing.grid.shape == (1, 1, *SHAPE)


def test_a_full_disk_is_named(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file, where a folder belongs")
    with pytest.raises(CaptionerError, match=r"cannot be stored in .*cache: "):
        extracted(photos, Engine(), tmp_path / "cache")


def test_extraction_goes_on_after_what_stopped_it(photos: list[Path], tmp_path: Path) -> None:
    cache, whole = tmp_path / "cache", photos[5].read_bytes()
    expected = extracted(photos, Engine(grid=True), tmp_path / "other")
    photos[5].write_bytes(bytes(len(whole)))
    engine = Engine(grid=True)
    with pytest.raises(CaptionerError, match=r"5\.png cannot be decoded: .* are kept"):
        extracted(photos, engine, cache)
    assert engine.encoded == 8  # two batches
    assert {file.name.partition("-")[0] for file in cache.iterdir()} == {"features", "grids"}
    assert all(file.name.endswith(".partial.npy") for file in cache.iterdir())
    for file in cache.glob("features-*"):  # as a kill in the middle of a row leaves it
        file.write_bytes(file.read_bytes()[:-7])
    photos[5].write_bytes(whole)
    found = extracted(photos, engine, cache)
    assert engine.encoded == 8 + 14 - 6
    np.testing.assert_array_equal(found.pooled, expected.pooled)
    assert found.grid is not None and expected.grid is not None
    np.testing.assert_array_equal(found.grid, expected.grid)
    assert sorted(file.suffixes for file in cache.iterdir()) == [[".npy"]] * 2


def test_what_is_left_of_another_shape_is_begun_again(photos: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    file = next(iter(extracted(photos, Engine(), cache) and cache.iterdir()))
    file.with_suffix(".partial.npy").write_bytes(b"something else entirely, and long enough")
    file.unlink()
    engine = Engine()
    extracted(photos, engine, cache)
    assert engine.encoded == 14
    assert [one.name for one in cache.iterdir()] == [file.name]


def test_two_processes_extract_once(photos: list[Path], tmp_path: Path) -> None:
    class Waiting(Engine):
        def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
            begun.set()
            assert go_on.wait(60)
            yield from super().encode(batches)

    begun, go_on = threading.Event(), threading.Event()
    first, second = Waiting(), Engine()
    with ThreadPoolExecutor() as pool:
        one = pool.submit(extracted, photos, first, tmp_path / "cache")
        assert begun.wait(60)
        two = pool.submit(extracted, photos, second, tmp_path / "cache")
        go_on.set()
        np.testing.assert_array_equal(one.result().pooled, two.result().pooled)
    assert (first.encoded, second.encoded) == (14, 0)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells")
def test_rows_that_were_read_do_not_stay_in_memory(tmp_path: Path) -> None:
    rows = 4000
    with writing({tmp_path / "features-0.npy": (rows, 1, 2048)}) as writer:
        assert writer
        for _ in range(rows // 500):
            writer.append([np.ones((500, 2048), np.float16)])
    features = CachedFeatures(mapped(tmp_path / "features-0.npy"))
    everything = np.arange(rows)
    features.inputs(everything, everything * 0, grid=False)
    assert features.pooled[5, 0, 7] == 1
    text = Path("/proc/self/smaps").read_text()
    part = text[text.index("features-0.npy") :]
    assert int(part.split("Rss:")[1].split()[0]) < 1024  # kB, of 16 MB


@pytest.mark.training
def test_attention_learns_where_to_look(tmp_path: Path) -> None:
    """One place of the map has the colour, another place each time; the pooled features do not."""
    pytest.importorskip("keras")
    from captioner.model.beam import search
    from captioner.training.decoders import SentenceBatches, fit_decoder
    from captioner.training.fit import Schedule
    from captioner.training.progress import Silent

    random, count = np.random.default_rng(0), 60
    colours = ("red", "green", "blue")
    grid = np.zeros((count, 1, *SHAPE), np.float16)
    places = random.integers(6, size=count)
    for row, place in enumerate(places):
        grid[row, 0].reshape(6, 4)[place, [row % 3, 3]] = 3  # the last channel marks the place
    features = CachedFeatures(np.zeros((count, 1, 1), np.float16), grid)
    captions = [f"a {colours[row % 3]} photo" for row in range(count)]
    vocabulary = Vocabulary.from_captions(captions, minimum=1)
    examples = [Example(Path(f"{n}.jpg"), (text,), "train") for n, text in enumerate(captions)]
    batches = SentenceBatches(features, examples, vocabulary, grid=True, size=20, seed=1)
    arrays, _ = fit_decoder(
        batches, vocabulary, "soft-attention",
        soft_attention.Sizes(
            embedding=8, lstm=8, attention=8, regularisation=0.0, dropout=0.0, gate=False
        ),
        Schedule(40, batches.steps, 0.03),
        dev=batches, measure=lambda arrays: {}, metric="likelihood", seed=1,
        folder=tmp_path, resume=False, progress=Silent(),
    )  # fmt: skip
    stepper = soft_attention.stepper(arrays)
    found = search(stepper, features.view(), beam_width=2)
    assert [" ".join(vocabulary.decode(some[0].tokens)) for some in found] == captions
    maps = stepper.attention(features.view(), [some[0].tokens for some in found])
    looked = [each.reshape(-1, 6)[1].argmax() for each in maps]  # before the colour
    assert np.mean(looked == places) > 0.9
