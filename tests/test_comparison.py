"""Photos that come as bytes, described by several models: nothing is kept, all is limited."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from colour_describer import ColourDescriber
from PIL import Image

from captioner import comparison
from captioner.comparison import ALTERNATIVES, AdjustableModel, Borrow, ComparedPhoto
from captioner.errors import PhotoError


class Model(ColourDescriber):
    """Recognises colours, and trusts captions from a threshold on."""

    def __init__(self, threshold: float, alternatives: int = 1, size: int = 16) -> None:
        super().__init__(alternatives=alternatives, min_confidence=threshold)
        self.size, self._threshold = size, threshold

    def adjusted(self, *, alternatives: int, min_confidence: float | None) -> Model:
        least = self._threshold if min_confidence is None else min_confidence
        return Model(least, alternatives, self.size)


def always(model: AdjustableModel) -> Borrow:
    @contextmanager
    def borrow() -> Iterator[AdjustableModel]:
        yield model

    return borrow


def compare(file: io.BytesIO, *thresholds: float) -> ComparedPhoto:
    """By models with these thresholds, named a, b, …, of different input sizes."""
    models = {
        chr(97 + number): always(Model(threshold, size=16 + number))
        for number, threshold in enumerate(thresholds)
    }
    return comparison.compare(file, "upload", models)


def picture(
    format: str = "JPEG", size: tuple[int, int] = (60, 40), **options: object
) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 60, 20)).save(file, format, **options)
    file.seek(0)
    return file


def test_each_model_says_what_it_thinks() -> None:
    made = compare(picture(), 0.5, 0.95)
    photo = made.photo
    assert (photo.format, photo.width, photo.height) == ("JPEG", 60, 40)
    assert photo.rgb.shape == (16, 16, 3)
    sure, unsure = made.results
    assert (sure.model, unsure.model) == ("a", "b")
    assert sure.is_trusted
    assert [one.text for one in sure.captions] == ["A red photo."]
    assert not unsure.is_trusted
    assert [one.text for one in unsure.captions][:2] == ["A red photo.", "A green photo."]
    assert len(unsure.captions) <= ALTERNATIVES
    assert [one.word for one in unsure.keywords] == ["red", "green"]
    assert min(made.seconds, sure.seconds, unsure.seconds) > 0


def test_photos_are_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = compare(picture(exif=exif), 0.1).photo
    assert (photo.width, photo.height) == (40, 60)


def test_nothing_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compare(picture("PNG"), 0.1)
    assert list(tmp_path.iterdir()) == []


def bomb(width: int, height: int) -> io.BytesIO:
    """A PNG of a few bytes whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return io.BytesIO(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bomb(100_000, 100_000), "claims more than 268 megapixels"),
        (io.BytesIO(b""), "it is empty"),
        (io.BytesIO(b"%PDF-1.7"), "it is a PDF document"),
        (io.BytesIO(b"<!doctype html><script>alert(1)</script>"), "it is a web page"),
        (
            io.BytesIO(picture(size=(300, 200)).getvalue()[:400]),
            "ends too early|damaged|incomplete",
        ),
    ],
    ids=["bomb", "empty", "PDF", "web page", "truncated"],
)
def test_what_is_no_photo_is_refused_with_the_reason(content: io.BytesIO, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason):
        compare(content, 0.1)


def test_too_many_bytes_are_refused_before_any_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "MAX_BYTES", 1 << 20)

    def borrow() -> None:
        raise AssertionError

    with pytest.raises(PhotoError, match="more than 1 MiB"):
        comparison.compare(io.BytesIO(bytes((1 << 20) + 1)), "upload", {"a": borrow})  # type: ignore[dict-item]


def test_the_model_that_ships_says_the_same_as_on_the_command_line() -> None:
    from captioner import Captioner, DescribeOptions, Description, model

    root = Path(__file__).parents[1]
    if not (root / "weights/base/bundle.json").is_file():
        pytest.skip("there is no weights/base yet")
    loaded = model.load(DescribeOptions(root / "weights/base", photos=1))
    with (root / "example.jpg").open("rb") as file:
        made = comparison.compare(file, "upload", {"one": always(loaded), "two": always(loaded)})
    [described] = Captioner.load(root / "weights/base").caption(root / "example.jpg")
    assert isinstance(described, Description)
    first, second = made.results
    assert first.captions == second.captions
    assert first.captions[0].text == described.text
    assert len(first.captions) == ALTERNATIVES
    np.testing.assert_allclose(
        [one.probability for one in first.keywords],
        [one.probability for one in described.keywords],
        atol=0.02,
    )
