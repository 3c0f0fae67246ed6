"""TIFF samples of every type: decoded to the right colours, or named in the error."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from captioner.errors import PhotoError
from captioner.photos.decode import DecodedImage, decode, model_input

HEIGHT, WIDTH = 48, 80
y, x = np.mgrid[:HEIGHT, :WIDTH]
RGB = np.stack([x * 3, y * 5, (x + y) * 2], axis=2).astype(np.uint8)
GREY = RGB[..., :1]
OPAQUE = np.full_like(GREY, 255)
JUNK = (GREY // 3, OPAQUE - GREY)

STORED = {
    "rgb": (RGB, 2, ()),
    "rgb with alpha": (np.concatenate([RGB, OPAQUE], 2), 2, (2,)),
    "rgb and two more": (np.concatenate([RGB, *JUNK], 2), 2, (0, 0)),
    "grey": (GREY, 1, ()),
    "grey with alpha": (np.concatenate([GREY, OPAQUE], 2), 1, (2,)),
    "white is zero": (255 - GREY, 0, ()),
    "cmyk": (np.concatenate([255 - RGB, 0 * GREY], 2), 5, ()),
}
TYPES = {
    "uint8": lambda a: a,
    "uint16": lambda a: a.astype("u2") * 257,
    "uint32": lambda a: a.astype("u4") * 16843009,
    "int16": lambda a: a.astype("i2") * 128,
    "float16": lambda a: (a / 255).astype("f2"),
    "float32": lambda a: (a / 255).astype("f4"),
    "float64": lambda a: a / 255,
}


def read(content: bytes) -> DecodedImage:
    return decode(io.BytesIO(content), "TIFF", 32, lambda decoded, stored: None)


FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}
RAW, DEFLATE, PACKBITS = 1, 8, 32773


def made(
    samples: Any,
    photometric: int = 2,
    *,
    order: str = "<",
    planar: bool = False,
    compression: int = RAW,
    predictor: int = 1,
    tile: tuple[int, int] | None = None,
    rows: int = 20,
    extra: tuple[int, ...] = (),
    bits: int = 0,
    more: dict[int, tuple[int, bytes]] | None = None,
    big: bool = False,
) -> bytes:
    """A TIFF of samples (height, width, n), written as the specification has it."""
    height, width, number = samples.shape
    across, down = tile[::-1] if tile else (width, rows)
    planes = np.moveaxis(samples, 2, 0)[..., None] if planar else samples[None]
    segments = [
        _compressed(_bytes(segment, order, predictor, bits), compression)
        for plane in planes
        for segment in _segments(plane, across, down, padded=tile is not None)
    ]
    tags: dict[int, Any] = {
        256: width, 257: height, 259: compression, 262: photometric, 277: number,
        258: (bits or samples.dtype.itemsize * 8,) * number, 284: 2 if planar else 1,
        317: predictor, 339: (FORMATS[samples.dtype.kind],) * number,
    }  # fmt: skip
    if extra:
        tags[338] = extra
    start = 16 if big else 8
    offsets = np.cumsum([start] + [len(segment) for segment in segments])[:-1].tolist()
    lengths = [len(segment) for segment in segments]
    if tile:
        tags |= {322: across, 323: down, 324: offsets, 325: lengths}
    else:
        tags |= {278: rows, 273: offsets, 279: lengths}
    word = "Q" if big else "I"
    data = bytearray(start)
    for segment in segments:
        data += segment
    entries = b""
    values = {tag: (16 if big else 4, value) for tag, value in tags.items()} | (more or {})
    for tag, (kind, value) in sorted(values.items()):
        packed = value
        count = len(value) if isinstance(value, bytes) else 1
        if not isinstance(value, bytes):
            numbers = value if isinstance(value, tuple | list) else (value,)
            packed, count = struct.pack(f"{order}{len(numbers)}{word}", *numbers), len(numbers)
        if kind == 3:
            count //= 2
        room = struct.calcsize(word)
        if len(packed) > room:
            data += bytes(-len(data) % 8)
            place = struct.pack(order + word, len(data))
            data += packed
        else:
            place = packed.ljust(room, b"\0")
        entries += struct.pack(f"{order}HH{word}", tag, kind, count) + place
    data += bytes(-len(data) % 8)
    head = b"II" if order == "<" else b"MM"
    if big:
        data[:16] = head + struct.pack(f"{order}HHHQ", 43, 8, 0, len(data))
    else:
        data[:8] = head + struct.pack(f"{order}HI", 42, len(data))
    return (
        bytes(data) + struct.pack(order + ("Q" if big else "H"), len(values)) + entries + bytes(8)
    )


def _segments(plane: Any, across: int, down: int, *, padded: bool) -> Iterator[Any]:
    height, width, number = plane.shape
    for top in range(0, height, down):
        for left in range(0, width, across):
            found = plane[top : top + down, left : left + across]
            if padded:
                whole = np.zeros((down, across, number), plane.dtype)
                whole[: found.shape[0], : found.shape[1]] = found
                found = whole
            yield found


def _bytes(segment: Any, order: str, predictor: int, bits: int) -> bytes:
    rows, columns, number = segment.shape
    size = segment.dtype.itemsize
    if bits and bits % 8:
        each = (segment[..., None].astype(np.uint16) >> np.arange(bits - 1, -1, -1)) & 1
        return np.packbits(each.reshape(rows, -1).astype(np.uint8), axis=1).tobytes()
    if predictor == 3:
        mixed = segment.astype(segment.dtype.newbyteorder(">")).reshape(rows, columns * number)
        mixed = mixed.view(np.uint8).reshape(rows, columns * number, size)
        mixed = np.moveaxis(mixed, 2, 1).reshape(rows, -1).copy()
        mixed[:, number:] = mixed[:, number:] - mixed[:, :-number]
        return mixed.tobytes()
    if predictor == 2:
        whole = np.ascontiguousarray(segment).view(f"u{size}").copy()
        whole[:, 1:] = whole[:, 1:] - whole[:, :-1]
        segment = whole
    return segment.astype(segment.dtype.newbyteorder(order)).tobytes()


def _compressed(content: bytes, compression: int) -> bytes:
    if compression == DEFLATE:
        return zlib.compress(content)
    if compression == PACKBITS:
        pieces = [content[at : at + 128] for at in range(0, len(content), 128)]
        return b"".join(bytes((len(piece) - 1,)) + piece for piece in pieces)
    return content


def difference(picture: DecodedImage, expected: Any) -> float:
    reference = model_input(Image.fromarray(np.ascontiguousarray(expected)), 32)
    return float(np.abs(picture.rgb.astype(int) - reference).mean())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("stored", STORED)
def test_colours(stored: str, kind: str) -> None:
    samples, photometric, extra = STORED[stored]
    expected = RGB if samples.shape[2] > 2 else np.repeat(GREY, 3, 2)
    values = TYPES[kind](samples)
    predictors = (1, 3) if kind.startswith("float") else (1, 2)
    for planar, (compression, predictor), order, tile in itertools.product(
        (False, True),
        [(RAW, 1), (PACKBITS, 1), *((DEFLATE, predictor) for predictor in predictors)],
        "<>",
        (None, (16, 32)),
    ):
        if planar and samples.shape[2] == 1:
            continue
        content = made(
            values, photometric, planar=planar, compression=compression, predictor=predictor,
            order=order, tile=tile, extra=extra,
        )  # fmt: skip
        picture = read(content)
        assert (picture.width, picture.height) == (WIDTH, HEIGHT)
        assert difference(picture, expected) < 3, (planar, compression, predictor, order, tile)


@pytest.mark.parametrize("compression", [1, 5, 32773])
def test_compressions_of_libtiff(compression: int) -> None:
    """LZW and PackBits of floating-point colour: bytes that Pillow compressed, relabelled."""
    values = (RGB / 255).astype("<f4")
    as_bytes = Image.fromarray(values.view(np.uint8).reshape(HEIGHT, WIDTH * 12))
    file = io.BytesIO()
    names = {1: "raw", 5: "tiff_lzw", 32773: "packbits"}
    as_bytes.save(file, "TIFF", compression=names[compression])
    with Image.open(file) as image:
        tags = dict(image.tag_v2)
    content = bytearray(file.getvalue())
    from captioner.photos import tiff

    relabelled = {256: (WIDTH,), 258: (32,) * 3, 262: (2,), 277: (3,), 339: (3,) * 3}
    for tag in (257, 259, 273, 278, 279):
        value = tags[tag]
        relabelled[tag] = value if isinstance(value, tuple) else (value,)
    picture = read(tiff._with_tags(bytes(content), relabelled, keep=False).read())
    assert difference(picture, RGB) < 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
@pytest.mark.parametrize("colours", [RGB, GREY])
def test_packed_bits(bits: int, colours: Any, order: str) -> None:
    few = (colours.astype(np.uint16) * 257) >> (16 - bits)
    expected = (few.astype(int) * 255 // (2**bits - 1)).astype(np.uint8)
    expected = np.repeat(expected, 3, 2) if colours is GREY else expected
    content = made(few, 2 if colours is RGB else 1, bits=bits, order=order)
    assert difference(read(content), expected) < 2


def test_metadata_and_orientation_stay() -> None:
    content = made(
        np.rot90((RGB / 255).astype("f4")),
        more={274: (3, b"\6\0"), 271: (2, b"Maker\0"), 272: (2, b"X1\0")},
    )
    picture = read(content)
    assert (picture.width, picture.height) == (WIDTH, HEIGHT)
    assert difference(picture, RGB) < 2
    assert picture.facts.camera == "Maker X1"


@pytest.mark.parametrize("samples", [RGB, (RGB / 255).astype("f4"), RGB.astype("u2") * 257])
def test_big_tiff(samples: Any) -> None:
    assert difference(read(made(samples, big=True, rows=7)), RGB) < 2
    with pytest.raises(PhotoError, match="big-endian BigTIFF, which captioner does not read"):
        read(made(samples, big=True, order=">"))


def test_highlights_above_white_are_clipped() -> None:
    values = (RGB / 255).astype("f4")
    values[0, :10] = 40
    assert difference(read(made(values)), RGB) < 12
    values[0, 0] = np.nan
    values[0, 1] = np.inf
    assert difference(read(made(values)), RGB) < 12


@pytest.mark.parametrize("white", [255.0, 65535.0])
def test_floats_of_integer_ranges(white: float) -> None:
    assert difference(read(made((RGB / 255 * white).astype("f4"))), RGB) < 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (made(RGB.astype("u2"), 8), "16-bit unsigned CIE Lab samples"),
        (made(RGB.astype("f4"), 32845), "32-bit floating-point LogLuv samples"),
        (made(GREY.astype("c8"), 1), "64-bit complex greyscale samples"),
        (made(GREY.astype("u2"), 3), "16-bit unsigned palette samples"),
    ],
)
def test_unsupported_samples_are_named(content: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words) as caught:
        read(content)
    assert "Save it as a TIFF of 8 or 16 bits, or as PNG or JPEG." in str(caught.value)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (34887, "LERC"),
        (34712, "JPEG 2000"),
        (50001, "WebP"),
        (52546, "JPEG XL"),
        (999, "method 999"),
    ],
)
def test_unsupported_compressions_are_named(number: int, name: str) -> None:
    with pytest.raises(PhotoError, match=f"it is a TIFF compressed with {name}, which"):
        read(made(RGB, compression=number))


@pytest.mark.parametrize("compression", [RAW, DEFLATE])
def test_cut_short(compression: int) -> None:
    values = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype("f4")
    content = bytearray(made(values, compression=compression))
    (at,) = struct.unpack_from("<I", content, 4)
    (number,) = struct.unpack_from("<H", content, at)
    for entry in range(at + 2, at + 2 + 12 * number, 12):  # the first strip lies beyond the end
        tag, _, _, place = struct.unpack_from("<HHII", content, entry)
        if tag == 273:
            struct.pack_into("<I", content, place, len(content) - 9)
    with pytest.raises(PhotoError, match=r"ends too early|is damaged"):
        read(bytes(content))
