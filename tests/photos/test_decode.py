"""Reading and decoding: every format and mode, orientation, damaged files."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from raws import dng

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos import formats
from captioner.photos import read as reading
from captioner.photos.decode import model_input, upright
from captioner.photos.read import read
from captioner.photos.walk import walk
from captioner.types import DecodedPhoto, Photo, PixelArray

# pytest overrides the package's own filters of Pillow's warnings.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]

ORIENTATION = 0x0112
TURNED_FROM: dict[int, Callable[[PixelArray], PixelArray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""How a camera that writes this orientation stores an upright picture."""


def scene(width: int = 90, height: int = 60) -> PixelArray:
    """A picture with no symmetry: gradients, a stripe, a dark corner."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x + y) % 32 * 4], axis=2)
    rgb[height // 4 : height // 3, width // 2 :] = (250, 240, 10)
    rgb[: height // 5, : width // 6] = 0
    return rgb.astype(np.uint8)


def store(folder: Path, image: Image.Image, name: str, **options: Any) -> DecodedPhoto:
    path = folder / name
    image.save(path, **options)
    return open_photo(path)


def open_photo(path: Path, size: int = 32) -> DecodedPhoto:
    os.utime(path, (1e9, 1e9))  # or it might be taken for a file that is still being written
    (photo,) = walk([path])
    assert isinstance(photo, Photo)
    return read(photo, size)


def differ(one: PixelArray, other: PixelArray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "kind", "options"),
        [
            ("a.jpg", "JPEG", {"quality": 95}),
            ("a.jpeg", "JPEG", {"quality": 95, "progressive": True}),
            ("a.png", "PNG", {}),
            ("a.webp", "WEBP", {"lossless": True}),
            ("a.webp", "WEBP", {"quality": 95}),
            ("a.gif", "GIF", {}),
            ("a.bmp", "BMP", {}),
            ("a.tif", "TIFF", {}),
            ("a.tif", "TIFF", {"compression": "tiff_lzw"}),
            ("a.tif", "TIFF", {"compression": "jpeg", "quality": 95}),
            ("a.tif", "TIFF", {"big_tiff": True}),
            ("a.avif", "AVIF", {"quality": 95}),
        ],
    )
    def test_formats_that_are_read(
        self, tmp_path: Path, name: str, kind: str, options: dict[str, Any]
    ) -> None:
        image = Image.fromarray(scene())
        pixels = store(tmp_path, image, name, **options)
        assert pixels.rgb.shape == (32, 32, 3)
        assert pixels.rgb.dtype == np.uint8
        assert not pixels.rgb.flags.writeable
        assert (pixels.width, pixels.height, pixels.format) == (90, 60, kind)
        assert differ(pixels.rgb, model_input(image, 32)) < 6

    def test_the_format_is_detected_from_the_content(self, tmp_path: Path) -> None:
        pixels = store(tmp_path, Image.fromarray(scene()), "photo.jpg", format="PNG")
        assert pixels.format == "PNG"
        assert pixels.photo.path.name == "photo.jpg"

    @pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif", "a.png"])
    def test_the_first_image_of_several(self, tmp_path: Path, name: str) -> None:
        red, blue = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
        pixels = store(tmp_path, red, name, save_all=True, append_images=[blue], quality=100)
        assert differ(pixels.rgb, np.full((32, 32, 3), (255, 0, 0), np.uint8)) < 2

    @pytest.mark.skipif(not find_spec("rawpy"), reason="needs the extra [raw]")
    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_the_preview_of_raw_photos(self, tmp_path: Path, orientation: int) -> None:
        stored = np.ascontiguousarray(TURNED_FROM[orientation](scene(640, 480)))
        (tmp_path / "a.dng").write_bytes(dng(stored, orientation=orientation, preview=320))
        pixels = open_photo(tmp_path / "a.dng")
        assert (pixels.width, pixels.height, pixels.format) == (640, 480, "RAW")
        assert differ(pixels.rgb, model_input(Image.fromarray(scene(640, 480)), 32)) < 2
        assert pixels.facts.camera == "Maker One"

    @pytest.mark.skipif(not find_spec("rawpy"), reason="needs the extra [raw]")
    @pytest.mark.parametrize("preview", [None, 40])
    def test_raw_photos_without_a_preview_are_developed(
        self, tmp_path: Path, preview: int | None
    ) -> None:
        seen = []
        for orientation in (1, 3, 6, 8):
            stored = np.ascontiguousarray(TURNED_FROM[orientation](scene(640, 480)))
            (tmp_path / "a.dng").write_bytes(dng(stored, orientation=orientation, preview=preview))
            seen.append(open_photo(tmp_path / "a.dng", 64))
        assert {(pixels.width, pixels.height) for pixels in seen} == {(640, 480)}
        assert all(differ(pixels.rgb, seen[0].rgb) < 3 for pixels in seen)
        assert seen[0].rgb.std() > 20

    def test_a_missing_package_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(formats, "find_spec", lambda name: None)
        heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
        for content, extra in ((dng(scene()), "raw"), (heic, "heic")):
            (tmp_path / "a.jpg").write_bytes(content)
            with pytest.raises(PhotoUnavailableError, match=rf"pip install 'captioner\[{extra}\]'"):
                open_photo(tmp_path / "a.jpg")

    def test_a_jpeg_with_a_second_picture_is_a_jpeg(self, tmp_path: Path) -> None:
        image = Image.fromarray(scene(900, 600))
        thumbnail = Image.new("RGB", (40, 40))
        options = {"save_all": True, "append_images": [thumbnail], "quality": 95}
        pixels = store(tmp_path, image, "a.jpg", format="MPO", **options)
        assert (pixels.width, pixels.height, pixels.format) == (900, 600, "JPEG")
        assert differ(pixels.rgb, model_input(image, 32)) < 4

    def test_the_content_hash_is_of_the_file(self, tmp_path: Path) -> None:
        pixels = store(tmp_path, Image.fromarray(scene()), "a.png")
        content = pixels.photo.path.read_bytes()
        assert pixels.content_hash == hashlib.blake2b(content, digest_size=20).digest()

    def test_a_large_file_is_streamed_with_the_same_result(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = store(tmp_path, Image.fromarray(scene()), "a.tif", compression="tiff_lzw")
        monkeypatch.setattr(reading, "_MAX_DIRECT_BYTES", 100)
        streamed = open_photo(held.photo.path)
        assert streamed.content_hash == held.content_hash
        assert np.array_equal(streamed.rgb, held.rgb)


class TestModes:
    def test_grey(self, tmp_path: Path) -> None:
        grey = Image.fromarray(scene()).convert("L")
        expected = np.asarray(grey.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
        for name, mode in (("a.png", "L"), ("a.jpg", "L"), ("a.tif", "L"), ("b.png", "LA")):
            assert differ(store(tmp_path, grey.convert(mode), name).rgb, expected) < 3

    def test_one_bit(self, tmp_path: Path) -> None:
        bits = Image.fromarray(scene()).convert("1")
        expected = model_input(bits.convert("RGB"), 32)
        for name in ("a.png", "a.tif", "a.bmp"):
            assert np.array_equal(store(tmp_path, bits, name).rgb, expected)

    def test_palette(self, tmp_path: Path) -> None:
        few = Image.fromarray(scene()).quantize(64)
        expected = model_input(few.convert("RGB"), 32)
        for name in ("a.png", "a.gif", "a.bmp", "a.tif"):
            assert np.array_equal(store(tmp_path, few, name).rgb, expected)

    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
    def test_alpha_is_composed_on_white(self, tmp_path: Path, name: str) -> None:
        rgba = np.zeros((40, 40, 4), np.uint8)
        rgba[:20] = (200, 0, 0, 255)
        rgba[20:30] = (0, 0, 0, 128)
        pixels = store(tmp_path, Image.fromarray(rgba), name, lossless=True)
        column = pixels.rgb[[2, 20, 29], 16].astype(int)
        assert np.abs(column - [(200, 0, 0), (127, 127, 127), (255, 255, 255)]).max() <= 2

    def test_grey_with_alpha_is_composed_on_white(self, tmp_path: Path) -> None:
        pixels = store(tmp_path, Image.new("LA", (40, 40), (0, 51)), "a.png")
        assert (pixels.rgb == 204).all()

    @pytest.mark.parametrize("name", ["a.png", "a.gif"])
    def test_a_transparent_palette_entry_is_white(self, tmp_path: Path, name: str) -> None:
        image = Image.new("P", (40, 40), 1)
        image.putpalette([0, 0, 0, 0, 0, 200])
        image.paste(0, (0, 0, 20, 40))
        pixels = store(tmp_path, image, name, transparency=0)
        assert pixels.rgb[16, 2].tolist() == [255, 255, 255]
        assert pixels.rgb[16, 29].tolist() == [0, 0, 200]

    def test_palette_entries_may_be_half_transparent(self, tmp_path: Path) -> None:
        image = Image.new("P", (40, 40), 1)
        image.putpalette([0, 0, 0, 0, 0, 0])
        pixels = store(tmp_path, image, "a.png", transparency=bytes([0, 51]))
        assert (pixels.rgb == 204).all()

    def test_a_transparent_colour_is_white(self, tmp_path: Path) -> None:
        image = Image.new("RGB", (40, 40), (1, 2, 3))
        assert (store(tmp_path, image, "a.png", transparency=(1, 2, 3)).rgb == 255).all()

    @pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
    def test_cmyk(self, tmp_path: Path, name: str) -> None:
        # Pillow writes CMYK JPEGs as Adobe does, inverted.
        image = Image.fromarray(scene())
        pixels = store(tmp_path, image.convert("CMYK"), name, quality=95)
        assert differ(pixels.rgb, model_input(image, 32)) < 4

    @pytest.mark.parametrize("dtype", ["<u2", ">u2"])
    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    def test_16_bits_are_scaled(self, tmp_path: Path, name: str, dtype: str) -> None:
        grey = np.asarray(Image.fromarray(scene()).convert("L"))
        deep = Image.fromarray((grey.astype(np.uint16) * 257).astype(dtype))
        assert deep.mode.startswith("I;16")
        expected = model_input(Image.fromarray(grey).convert("RGB"), 32)
        assert np.array_equal(store(tmp_path, deep, name).rgb, expected)

    def test_12_bits_are_scaled(self, tmp_path: Path) -> None:
        white_and_grey = bytes([0xFF, 0xF8, 0x00]) * 32  # 0xFFF, 0x800
        (tmp_path / "a.tif").write_bytes(tiff(64, 1, bits=12, data=white_and_grey))
        pixels = open_photo(tmp_path / "a.tif", 64)
        assert pixels.rgb[32, :4, 0].tolist() == [255, 128, 255, 128]

    @pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
    def test_32_bits_are_scaled_by_common_white_levels(self, tmp_path: Path, white: float) -> None:
        grey = np.asarray(Image.fromarray(scene()).convert("L"))
        expected = model_input(Image.fromarray(grey).convert("RGB"), 32)
        floats = Image.fromarray((grey / 255 * white).astype(np.float32))
        assert floats.mode == "F"
        assert differ(store(tmp_path, floats, "a.tif").rgb, expected) < 1
        if white > 1:
            whole = Image.fromarray((grey / 255 * white).round().astype(np.int32))
            assert whole.mode == "I"
            assert differ(store(tmp_path, whole, "b.tif").rgb, expected) < 1

    def test_other_32_bit_images_are_scaled_to_their_range(self, tmp_path: Path) -> None:
        ramp = np.tile(np.linspace(-300, 1e9, 32, dtype=np.float32), (32, 1))
        ramp[0] = np.nan
        ramp[1] = np.inf
        pixels = store(tmp_path, Image.fromarray(ramp), "a.tif")
        row = pixels.rgb[20, :, 0].astype(int)
        assert (row[0], row[-1]) == (0, 255)
        assert (np.diff(row) > 0).all()
        assert (pixels.rgb[0] == 0).all()
        assert (pixels.rgb[1] == 255).all()
        for nothing in (np.nan, np.inf, -7.0):
            flat = np.full((8, 8), nothing, np.float32)
            assert store(tmp_path, Image.fromarray(flat), "b.tif").rgb.shape == (32, 32, 3)

    def test_other_colour_spaces_are_converted_to_srgb(self, tmp_path: Path) -> None:
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        swapped = bytearray(srgb.tobytes())  # an RGB space whose red is our blue
        red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
        swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
        image = Image.new("RGB", (40, 40), (200, 10, 30))
        for profile, expected in (
            (bytes(swapped), (30, 10, 200)),
            (srgb.tobytes(), (200, 10, 30)),
            (lab.tobytes(), (200, 10, 30)),  # for other channels
            (b"nonsense", (200, 10, 30)),
        ):
            pixels = store(tmp_path, image, "a.png", icc_profile=profile)
            assert np.abs(pixels.rgb.astype(int) - expected).max() <= 2


class TestWithoutEnd:
    """JPEGs without an end marker: read if the image is complete."""

    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    def test_complete_ones_are_read(
        self, tmp_path: Path, mode: str, options: dict[str, Any]
    ) -> None:
        image = Image.fromarray(scene(300, 200)).convert(mode)
        whole = store(tmp_path, image, "a.jpg", **options)
        content = whole.photo.path.read_bytes()
        assert content.endswith(b"\xff\xd9")
        for cut in (
            content[:-2],
            content[:-1],
            content[:-2] + bytes(3),
            content[:-2] + bytes(9999),
        ):
            (tmp_path / "b.jpg").write_bytes(cut)
            pixels = open_photo(tmp_path / "b.jpg")
            assert np.array_equal(pixels.rgb, whole.rgb)
            assert pixels.content_hash == hashlib.blake2b(cut, digest_size=20).digest()

    @pytest.mark.parametrize("padding", [0, 2, 9999])
    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
    def test_incomplete_ones_are_not_read(
        self, tmp_path: Path, options: dict[str, Any], padding: int
    ) -> None:
        store(tmp_path, Image.fromarray(scene(300, 200)), "a.jpg", **options)
        content = (tmp_path / "a.jpg").read_bytes()
        start = content.index(b"\xff\xda") + 20
        for kept in np.linspace(start, len(content) - 40, 12).astype(int):
            (tmp_path / "b.jpg").write_bytes(content[:kept] + bytes(padding))
            with pytest.raises(PhotoError, match="ends too early"):
                open_photo(tmp_path / "b.jpg")

    def test_what_follows_the_end_does_not_matter(self, tmp_path: Path) -> None:
        whole = store(tmp_path, Image.fromarray(scene()), "a.jpg")
        with whole.photo.path.open("ab") as file:
            file.write(b"SEFT" + bytes(200))
        assert np.array_equal(open_photo(whole.photo.path).rgb, whole.rgb)


class TestOrientation:
    @pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.webp", {"lossless": True})])
    @pytest.mark.parametrize(("width", "height"), [(90, 60), (61, 97), (210, 151), (33, 33)])
    def test_the_eight_orientations_give_one_image(
        self, tmp_path: Path, name: str, options: dict[str, Any], width: int, height: int
    ) -> None:
        upright_scene = scene(width, height)
        expected = model_input(Image.fromarray(upright_scene), 32)
        for orientation, turn in TURNED_FROM.items():
            exif = Image.Exif()
            exif[ORIENTATION] = orientation
            stored = Image.fromarray(np.ascontiguousarray(turn(upright_scene)))
            pixels = store(tmp_path, stored, name, exif=exif, **options)
            assert np.array_equal(pixels.rgb, expected), orientation
            assert (pixels.width, pixels.height) == (width, height), orientation

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
    def test_in_any_mode(self, tmp_path: Path, mode: str) -> None:
        image = Image.fromarray(scene()).quantize(64).convert("RGBA").convert("RGB")
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        elif mode == "P":
            image = image.quantize(64)
        else:
            image = image.convert(mode)
        as_it_is = store(tmp_path, image, "a.png").rgb
        for orientation, method in (
            (6, Image.Transpose.ROTATE_90),
            (7, Image.Transpose.TRANSVERSE),
        ):
            exif = Image.Exif()
            exif[ORIENTATION] = orientation
            turned = store(tmp_path, image.transpose(method), "b.png", exif=exif)
            assert np.array_equal(turned.rgb, as_it_is)

    @pytest.mark.parametrize("compression", [None, "tiff_lzw"])
    def test_tiff(self, tmp_path: Path, compression: str | None) -> None:
        expected = model_input(Image.fromarray(scene()), 32)
        for orientation, turn in TURNED_FROM.items():
            stored = Image.fromarray(np.ascontiguousarray(turn(scene())))
            options = {"tiffinfo": {ORIENTATION: orientation}, "compression": compression}
            pixels = store(tmp_path, stored, "a.tif", **options)
            assert np.array_equal(pixels.rgb, expected), orientation
            assert (pixels.width, pixels.height) == (90, 60), orientation

    def test_the_size_of_a_large_jpeg(self, tmp_path: Path) -> None:
        # Decoded at 1/4 scale, both sides are 150 pixels.
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        pixels = store(tmp_path, Image.fromarray(scene(600, 597)), "a.jpg", exif=exif)
        assert (pixels.width, pixels.height) == (597, 600)

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_an_invalid_orientation_is_ignored(self, tmp_path: Path, value: object) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = value
        pixels = store(tmp_path, Image.fromarray(scene()), "a.png", exif=exif)
        assert np.array_equal(pixels.rgb, model_input(Image.fromarray(scene()), 32))

    @pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"junk" * 9])
    def test_a_damaged_exif_block_is_no_failure(self, tmp_path: Path, block: bytes) -> None:
        assert store(tmp_path, Image.fromarray(scene()), "a.jpg", exif=block).width == 90

    @pytest.mark.parametrize("name", ["landscape", "portrait"])
    def test_real_photos_agree(self, photos_folder: Path, name: str) -> None:
        one, *others = (
            open_photo(photos_folder / f"orientation/{name}_{at}.jpg", 224) for at in range(1, 9)
        )
        number = np.zeros((224, 224, 1), bool)
        number[80:150, 75:145] = True  # its own number is painted on each
        for other in others:
            assert (other.width, other.height) == (one.width, one.height)
            assert differ(one.rgb * ~number, other.rgb * ~number) < 3.5


class TestSize:
    def test_a_jpeg_decoded_at_smaller_scale_looks_the_same(self, photos_folder: Path) -> None:
        for path in sorted((photos_folder / "flickr_fullsize").iterdir())[:20]:
            with Image.open(path) as image:
                assert min(image.size) > 4 * 48
                whole = model_input(upright(image), 48)
            error = open_photo(path, 48).rgb.astype(float) - whole
            assert (error**2).mean() < 255**2 / 10**4, path  # 40 dB

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_jpeg_decoded_at_smaller_scale_is_not_shifted(
        self, tmp_path: Path, orientation: int
    ) -> None:
        # At 1/8 scale this is 65.125 by 70.125 pixels, decoded to 66 by 71.
        stored = np.ascontiguousarray(TURNED_FROM[orientation](scene(521, 561)))
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        pixels = store(tmp_path, Image.fromarray(stored), "a.jpg", exif=exif, quality=95)
        whole = model_input(Image.fromarray(scene(521, 561)), 32)
        assert differ(pixels.rgb, whole) < 1.2

    def test_an_image_of_the_right_size_is_unchanged(self) -> None:
        image = Image.fromarray(scene(32, 32))
        assert np.array_equal(model_input(image, 32), scene(32, 32))

    @pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (500, 1), (20_000, 2)])
    def test_any_proportions(self, tmp_path: Path, width: int, height: int) -> None:
        image = Image.new("RGB", (width, height), (10, 200, 30))
        assert (store(tmp_path, image, "a.png").rgb == (10, 200, 30)).all()

    def test_large_images_take_turns(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading.sandbox, "LARGE_PIXELS", 1000)
        Image.fromarray(scene()).save(tmp_path / "a.png")
        seen: list[DecodedPhoto] = []
        threads = [
            threading.Thread(target=lambda: seen.append(open_photo(tmp_path / "a.png")))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(seen) == 4


class TestDamage:
    """Each reason is one line in plain words, without Python's."""

    def reason(self, path: Path) -> str:
        with pytest.raises(PhotoError) as caught:
            open_photo(path)
        assert "\n" not in str(caught.value)
        assert "object at" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "it is empty."),
            (b"\0" * 5000, "begins with nothing but zeros"),
            (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "it is a web page"),
            (b"not a photo\n", "it contains text"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "it is a PDF document."),
            (b"\xff\x0a\xfa\x1f", "it is a JPEG XL picture."),
            (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "it is a video."),
            (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "its RAW data ends too early"),
            (bytes(range(256)), "not in any format that captioner reads"),
            (
                b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
                "it is an EPS",
            ),
            (b"\xff\xd8\xff\xe0", "it begins as JPEG, but its header is damaged"),
            (b"\x89PNG\r\n\x1a\n", "it begins as PNG, but its header is damaged"),
            (b"GIF89a", "it begins as GIF, but its header is damaged"),
            (b"\xef\xbb\xbf\r\n<HTML>\n<head>", "it is a web page"),
            ("\ufeff<html>".encode("utf-16-le"), "it is a web page"),
            ('{"error": "Größe"}'.encode(), "it contains text"),
            (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG drawing"),
            (b"P6\n9 9\n255\n" + bytes(range(90)), "it is a Netpbm picture"),
            (b"8BPS\0\1", "it is a Photoshop document."),
            (b"\x1f\x8b\x08\0\0\0", "compressed with gzip. Unpack it first."),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "it is a JPEG 2000 picture."),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "it is a JPEG XL picture."),
            (b"II\xbc\1\x20\0\0\0", "it is a JPEG XR picture."),
            (b"\xff\xd8\xff\xf7\0\x0b\x08\0\1\0\1\1\1\x11\0", "it is a JPEG-LS picture"),
            (b"\0\0\1\0\1\0\x20\x20", "it is an icon."),
            (b"RIFF\x24\0\0\0AVI LIST", "it is a video."),
            (b"\x1a\x45\xdf\xa3\x01\0", "it is a video."),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "it is a video."),
            (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "it is a sound file."),
            (b"\0\5\x16\7\0\2\0\0Mac OS X", "not the photo itself. Download or copy"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
            (b"II+\0\x08\0\0\0" + bytes(8), "it begins as TIFF, but its header is damaged"),
            (b"MM\0+\0\x08\0\0" + bytes(8), "it is a big-endian BigTIFF"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI\x50\0\x20\2", "Apple's Xcode"),
            (b"BMW", "it begins as BMP, but its header is damaged"),
        ],
    )
    def test_files_that_are_not_photos(self, tmp_path: Path, content: bytes, words: str) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        assert words in self.reason(path)

    @pytest.mark.parametrize(
        "name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tif", "a.avif"]
    )
    def test_a_truncated_file(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        Image.fromarray(scene(300, 200)).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        reason = self.reason(path)
        assert any(words in reason for words in ("ends too early", "is damaged", "incomplete"))
        assert reason.endswith("Copy it again, or restore it from a backup.")

    def test_an_unsupported_variant_is_not_called_damaged(self, tmp_path: Path) -> None:
        path = tmp_path / "a.bmp"
        Image.fromarray(scene()).save(path)
        content = bytearray(path.read_bytes())
        content[28:30] = (19).to_bytes(2, "little")
        path.write_bytes(content)
        assert "it is a kind of BMP that captioner does not read (Unsupported BMP" in self.reason(
            path
        )

    @pytest.mark.parametrize(
        ("marker", "precision", "words"),
        [
            (0xC0, 12, "it is a JPEG of 12 bits a sample"),
            (0xC3, 16, "it is a lossless JPEG"),
            (0xC5, 8, "it is a hierarchical JPEG"),
        ],
    )
    def test_unsupported_jpeg_variants(
        self, tmp_path: Path, marker: int, precision: int, words: str
    ) -> None:
        path = tmp_path / "a.jpg"
        Image.fromarray(scene()).save(path)
        content = path.read_bytes()
        at = content.index(b"\xff\xc0")
        head = bytes((0xFF, marker, *content[at + 2 : at + 4], precision))
        path.write_bytes(content[:at] + head + content[at + 5 :])
        assert words in self.reason(path)
        assert "which captioner does not read" in self.reason(path)

    def test_a_growing_file_is_a_transient_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.jpg"
        Image.fromarray(scene(300, 200)).save(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        (photo,) = walk([path])
        naps = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            path.write_bytes(whole)

        monkeypatch.setattr(reading.time, "sleep", nap)
        with pytest.raises(PhotoUnavailableError, match="still writing it"):
            read(photo, 32)
        assert len(naps) == 1
        path.write_bytes(whole[: len(whole) // 2])
        os.utime(path, (1e9, 1e9))
        with pytest.raises(PhotoUnavailableError, match="still writing it"):
            read(photo, 32)  # it has changed since the walk
        assert len(naps) == 1

    def test_a_damaged_file_is_not_taken_for_a_growing_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.jpg"
        Image.fromarray(scene(300, 200)).save(path)
        path.write_bytes(path.read_bytes()[:1500])
        monkeypatch.setattr(reading.time, "sleep", lambda seconds: None)
        for changed, words in ((None, "If it is still being copied"), ((1e9, 1e9), "Copy it")):
            os.utime(path, changed)
            (photo,) = walk([path])
            with pytest.raises(PhotoError, match="ends too early") as caught:
                read(photo, 32)
            assert not isinstance(caught.value, PhotoUnavailableError)
            assert words in caught.value.remedy

    @pytest.mark.parametrize(
        ("attributes", "online"),
        [
            ({}, False),
            ({"st_file_attributes": 0x20}, False),
            ({"st_file_attributes": 0x400020}, True),
            ({"st_file_attributes": 0x1020}, True),
            ({"st_flags": 0x40}, False),
            ({"st_flags": 0x40000040}, True),
        ],
    )
    def test_placeholders_of_cloud_drives(self, attributes: dict[str, int], online: bool) -> None:
        assert reading.is_online_only(SimpleNamespace(**attributes)) == online

    def test_placeholders_are_not_downloaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Image.fromarray(scene()).save(tmp_path / "a.jpg")
        monkeypatch.setattr(reading, "is_online_only", lambda found: True)
        monkeypatch.setattr(reading, "open_regular", None)
        with pytest.raises(PhotoUnavailableError, match="Download it first"):
            open_photo(tmp_path / "a.jpg")

    def test_decompression_bombs(self, tmp_path: Path) -> None:
        header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b""))
        path = tmp_path / "a.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(data))
                + kind
                + data
                + struct.pack(">I", zlib.crc32(kind + data))
                for kind, data in chunks
            )
        )
        assert "more than 268 megapixels" in self.reason(path)

    def test_200_megapixels_are_opened(self, tmp_path: Path) -> None:
        # The only reason for which a header of that size fails here is that the rest is missing.
        path = tmp_path / "a.tif"
        path.write_bytes(tiff(16_384, 12_288, bits=8, data=b"")[:200])
        assert "megapixels" not in self.reason(path)

    def test_a_missing_file_is_a_transient_failure(self, tmp_path: Path) -> None:
        with pytest.raises(PhotoUnavailableError, match="there is no such file"):
            read(Photo(tmp_path / "a.jpg", 1, 1), 32)

    def test_real_photos_are_read_or_explained(self, photos_folder: Path) -> None:
        folders = [photos_folder / name for name in ("cameras", "gps", "heic", "invalid")]
        read_well = 0
        for photo in walk(folders):
            assert isinstance(photo, Photo)
            try:
                read(photo, 224)
                read_well += 1
            except PhotoUnavailableError as error:
                assert photo.path.suffix.lower() in (".heic", ".heif")
                assert str(error).startswith("it is a HEIC picture")
        assert read_well >= 46

    def test_nothing_is_printed(self, tmp_path: Path) -> None:
        for name, options in (("a.jpg", {}), ("a.png", {}), ("a.tif", {"compression": "tiff_lzw"})):
            Image.fromarray(scene(300, 200)).save(tmp_path / name, **options)
            content = bytearray((tmp_path / name).read_bytes())
            content[1000:1500] = b"\xa5" * 500
            (tmp_path / name).write_bytes(content)
        # A palette with transparency and an EXIF block cut short make Pillow warn.
        few = Image.fromarray(scene()).quantize(8)
        few.save(tmp_path / "b.png", transparency=bytes(8))
        Image.fromarray(scene()).save(
            tmp_path / "b.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\1\x12"
        )
        script = (
            "import sys; from pathlib import Path\n"
            "from captioner.photos.walk import walk; from captioner.photos.read import read\n"
            "from captioner.errors import PhotoError\n"
            "for photo in walk([Path(sys.argv[1])]):\n"
            "    try: read(photo, 32)\n"
            "    except PhotoError: pass\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
        )
        assert (done.stdout, done.stderr) == ("", "")


def tiff(width: int, height: int, *, bits: int, data: bytes) -> bytes:
    """An uncompressed grey TIFF of one strip."""
    tags = (
        *((256, width), (257, height), (258, bits), (259, 1), (262, 1)),
        *((273, 8 + 2 + 9 * 12 + 4), (277, 1), (278, height), (279, len(data))),
    )
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def encoded() -> list[bytes]:
    small, files = Image.fromarray(scene(24, 18)), []
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for image, kind, options in (
        (small, "JPEG", {"exif": exif, "icc_profile": profile}),
        (small, "JPEG", {"progressive": True}),
        (small.convert("CMYK"), "JPEG", {}),
        (small, "PNG", {"exif": exif, "icc_profile": profile}),
        (small.quantize(9), "PNG", {"transparency": bytes(9)}),
        (small.convert("LA"), "PNG", {}),
        (small, "WEBP", {"exif": exif}),
        (small, "GIF", {}),
        (small, "BMP", {}),
        (small, "TIFF", {"tiffinfo": {ORIENTATION: 6}}),
        (small, "TIFF", {"compression": "tiff_lzw"}),
        (small.convert("F"), "TIFF", {"compression": "tiff_adobe_deflate"}),
        (small, "AVIF", {}),
    ):
        file = io.BytesIO()
        image.save(file, kind, **options)
        files.append(file.getvalue())
    return files


FILES = encoded()
STARTS = [b"", b"\0\0\0\x18ftypheic\0\0\0\0mif1", *sorted({file[:12] for file in FILES})]


class TestAnyBytes:
    """Any bytes give either pixels or a reason."""

    def check(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        try:
            pixels = open_photo(path)
        except PhotoError as error:
            assert error.reason.endswith(".")
            assert str(error).isprintable()
        else:
            assert pixels.rgb.shape == (32, 32, 3)

    settings = settings(
        deadline=None,
        derandomize=True,
        max_examples=150,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )

    @settings
    @given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
    def test_random(self, tmp_path: Path, start: bytes, rest: bytes) -> None:
        self.check(tmp_path / "a.jpg", start + rest)

    @settings
    @given(data=st.data())
    def test_mutated(self, tmp_path: Path, data: st.DataObject) -> None:
        content = bytearray(data.draw(st.sampled_from(FILES)))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            new = data.draw(st.binary(min_size=1, max_size=8))
            content[at : at + data.draw(st.sampled_from([0, len(new), 40]))] = new
        self.check(tmp_path / "a.jpg", bytes(content[: data.draw(st.integers(0, len(content)))]))
