"""Photos that come as bytes, described by several models: nothing is kept, all is limited."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from colour_describer import ColourDescriber
from PIL import Image

from captioner import comparison
from captioner.comparison import ALTERNATIVES, Comparison
from captioner.errors import PhotoError
from captioner.model.options import DescribeOptions


class Model(ColourDescriber):
    """Recognises colours, and trusts captions from a threshold on."""

    def __init__(self, options: DescribeOptions, threshold: float) -> None:
        super().__init__(alternatives=options.alternatives, min_confidence=threshold)
        self._options = options

    def with_min_confidence(self, min_confidence: float) -> Model:
        return Model(self._options, min_confidence)


def compare(*thresholds: float, size: int = 16) -> Comparison:
    """A comparison of models with these thresholds, as if from folders named a, b, …"""
    options = []

    def load(asked: DescribeOptions) -> Model:
        options.append(asked)
        model = Model(asked, thresholds[len(options) - 1])
        model.size = size * len(options)
        return model

    return Comparison([Path(f"models/{chr(97 + n)}") for n in range(len(thresholds))], load)


def picture(
    format: str = "JPEG", size: tuple[int, int] = (60, 40), **options: object
) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 60, 20)).save(file, format, **options)
    file.seek(0)
    return file


def test_each_model_says_what_it_thinks() -> None:
    models = compare(0.5, 0.95)
    assert models.names == ["a", "b"]
    photo = models.describe(picture())
    assert (photo.format, photo.width, photo.height) == ("JPEG", 60, 40)
    assert photo.pixels.shape == (16, 16, 3)
    sure, unsure = photo.results
    assert (sure.model, unsure.model) == ("a", "b")
    assert sure.is_trusted
    assert [one.text for one in sure.captions] == ["A red photo."]
    assert not unsure.is_trusted
    assert [one.text for one in unsure.captions][:2] == ["A red photo.", "A green photo."]
    assert len(unsure.captions) <= ALTERNATIVES
    assert [one.word for one in unsure.keywords] == ["red", "green"]
    assert min(photo.seconds, sure.seconds, unsure.seconds) > 0


def test_a_model_is_named_by_its_folder_and_never_twice_the_same(tmp_path: Path) -> None:
    paths = [tmp_path / "x/base", tmp_path / "y/base", tmp_path / "z/base", tmp_path / "other"]
    assert Comparison(paths, lambda _: Model(_, 0)).names == [
        "base",
        "base (2)",
        "base (3)",
        "other",
    ]


def test_photos_are_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = compare(0.1).describe(picture(exif=exif))
    assert (photo.width, photo.height) == (40, 60)


def test_nothing_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compare(0.1).describe(picture("PNG"))
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
        compare(0.1).describe(content)


def test_too_many_bytes_are_refused_before_any_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "MAX_BYTES", 1 << 20)

    def load(options: DescribeOptions) -> Model:
        raise AssertionError

    with pytest.raises(PhotoError, match="more than 1 MiB"):
        Comparison([None], load).describe(io.BytesIO(bytes((1 << 20) + 1)))


def test_the_models_that_ship_and_the_command_line_say_the_same() -> None:
    from captioner import Captioner, model

    root = Path(__file__).parents[1]
    if not (root / "weights/base/bundle.json").is_file():
        pytest.skip("there is no weights/base yet")
    models = Comparison([root / "weights/base", root / "weights/base"], model.load)
    with (root / "example.jpg").open("rb") as file:
        photo = models.describe(file)
    [described] = Captioner.load(root / "weights/base").caption(root / "example.jpg")
    first, second = photo.results
    assert [first.model, second.model] == ["base", "base (2)"]
    assert first.captions == second.captions
    assert first.captions[0].text == described.text  # type: ignore[union-attr]
    assert len(first.captions) == ALTERNATIVES
    np.testing.assert_allclose(
        [one.probability for one in first.keywords],
        [one.probability for one in described.keywords],  # type: ignore[union-attr]
        atol=0.02,
    )
