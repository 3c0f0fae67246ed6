"""Decoding of TIFF samples that Pillow cannot read, or reads wrongly, to 8 bits per sample.

Pillow has no mode for floating-point or 32-bit colour, and misreads some layouts: uncompressed
16-bit planes, big-endian 32-bit numbers, 16-bit white-is-zero. Their strips and tiles are
decompressed by the same libtiff, as if they held bytes, and converted to numbers by NumPy.

Reference: TIFF 6.0 (Adobe, 1992), and its Technical Note 3 for floating-point predictors.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from captioner.errors import PhotoError
from captioner.formats import tiff
from captioner.types import PixelArray

Samples = npt.NDArray[Any]

CONVERT_REMEDY = "Save it as a TIFF of 8 or 16 bits, or as PNG or JPEG."

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _EXTRA, _FORMAT = 322, 323, 324, 325, 338, 339
_JPEG_XR = 0xBC01

_UNSIGNED, _SIGNED, _FLOAT, _UNTYPED = 1, 2, 3, 4
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5
_BANDS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4}
_ALPHA = (1, 2)
_BYTEWISE = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions of bytes, not of samples: none, LZW, Deflate, PackBits, LZMA, Zstandard."""

COMPRESSIONS = {
    32809: "ThunderScan",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    50001: "WebP",
    22610: "JPEG XR",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34663: "JBIG2",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of a DNG",
    34933: "PNG",
    34934: "JPEG XR",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Compressions that not every libtiff supports: their names by their numbers."""
_COLOURS = {
    0: "greyscale",
    1: "greyscale",
    2: "RGB",
    5: "CMYK",
    3: "palette",
    4: "mask",
    6: "YCbCr",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
}
_COLOURS |= {32844: "LogL", 32845: "LogLuv", 32803: "sensor", 34892: "linear sensor"}
_KINDS = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "floating-point"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of the samples of a TIFF's first image."""

    width: int
    height: int
    bits: tuple[int, ...]
    samples: int
    format: int
    """SampleFormat: unsigned, signed, floating-point or untyped."""
    photometric: int
    compression: int
    planar: bool
    """Whether each sample has strips or tiles of its own."""
    predictor: int
    fill_order: int
    extra: tuple[int, ...]
    """ExtraSamples: the meaning of the samples after the colours."""
    segment: tuple[int, int]
    """Width and height of a strip or tile, in pixels."""
    tiled: bool
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def read_by_pillow(self) -> bool:
        """Whether Pillow reads such samples correctly."""
        depth, separate = self.bits[0], self.planar and self.samples > 1
        if self.photometric not in _BANDS or self.compression not in _BYTEWISE:
            return depth <= 8 and not (separate and self.photometric in (0, 1))
        if len(set(self.bits)) > 1 or self.format != _UNSIGNED or len(self.extra) > 1:
            return False
        colour = self.photometric in (_RGB, _CMYK)
        if separate:
            return colour and self.extra != (0,) and self._has_whole_bytes(self.compression != 1)
        if self.samples == 1:
            black_is_zero = self.photometric == _BLACK_IS_ZERO and self.fill_order == 1
            return depth <= 8 or (depth == 16 and black_is_zero)
        return self._has_whole_bytes(colour)

    def _has_whole_bytes(self, deep: bool) -> bool:
        return self.bits[0] == 8 or (deep and self.bits[0] == 16 and self.fill_order == 1)

    def __str__(self) -> str:
        bits = "/".join(map(str, sorted(set(self.bits))))
        kind = _KINDS.get(self.format, "complex")
        colours = _COLOURS.get(self.photometric, "other")
        planes = ", in separate planes" if self.planar and self.samples > 1 else ""
        coded = ", JPEG-compressed" if self.compression in (6, 7) else ""
        return f"{bits}-bit {kind} {colours} samples{planes}{coded}"


def with_eight_bits(file: BinaryIO, layout: Layout) -> BinaryIO:
    """Convert the first image to 8 bits per sample; all other tags stay.

    Raises
    ------
    PhotoError
        If such samples are not supported; names them.
    """
    floats_ok = layout.format != _FLOAT or layout.bits[0] in (16, 32, 64)
    known = len(set(layout.bits)) == 1 and (layout.bits[0] < 16 or layout.bits[0] in (16, 32, 64))
    if (
        layout.photometric not in _BANDS
        or layout.compression not in _BYTEWISE
        or layout.format not in (_UNSIGNED, _SIGNED, _FLOAT, _UNTYPED)
        or layout.samples < _BANDS[layout.photometric]
        or (layout.bits[0] < 16 and (layout.predictor != 1 and layout.bits[0] != 8))
        or (layout.bits[0] < 16 and layout.format == _SIGNED and layout.bits[0] != 8)
        or not (floats_ok and known)
    ):
        raise _unsupported(layout)
    file.seek(0)
    content = file.read()
    order = "<" if content[:2] == b"II" else ">"
    bands = _BANDS[layout.photometric]
    alpha = bool(layout.extra) and layout.extra[0] in _ALPHA and layout.samples > bands
    values = _samples(content, order, layout)
    pixels = eight_bits(values[..., :bands], layout.format, layout.bits[0])
    if layout.photometric == _WHITE_IS_ZERO:
        pixels = 255 - pixels
    if alpha:
        opacity = eight_bits(values[..., bands : bands + 1], layout.format, layout.bits[0])
        pixels = np.concatenate([pixels, opacity], axis=2)
    replaced: dict[int, tuple[int, ...]] = {
        _BITS: (8,) * pixels.shape[2],
        _COMPRESSION: (1,),
        _PHOTOMETRIC: (layout.photometric or _BLACK_IS_ZERO,),
        _SAMPLES: (pixels.shape[2],),
        _ROWS_PER_STRIP: (layout.height,),
        _STRIPS: (len(content),),
        _STRIP_BYTES: (pixels.size,),
    }
    if alpha:
        replaced[_EXTRA] = layout.extra[:1]
    return _with_tags(content + pixels.tobytes(), replaced)


def eight_bits(values: Samples, format_: int, bits: int) -> PixelArray:
    """Scale samples of any type to uint8, 0 to 255.

    Integers of up to 16 bits have the range of their type. For floating-point and 32-bit samples
    white is the lowest of the usual values that nearly all samples are below. If there are negative
    or larger ones, it is the highest sample, and black the lowest.
    """
    if format_ in (_UNSIGNED, _UNTYPED) and bits <= 16:
        if bits >= 8:
            return (values.astype(np.uint16) >> np.uint16(bits - 8)).astype(np.uint8)
        return (values.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        numbers: Samples = values.astype(
            np.float64 if bits > 32 or format_ != _FLOAT else np.float32
        )
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if format_ == _FLOAT:  # highlights beyond white are clipped
        white_points = [1.0, 255.0, 65535.0]
        nearly_all = float(np.percentile(finite, 99)) if finite.size else 0.0
        usual = [white for white in white_points if low >= 0 and nearly_all <= white]
        if usual and usual[0] != 1.0 and high > usual[0]:
            usual = [white for white in white_points if high <= white]
    else:
        most = float(2 ** (bits - (format_ == _SIGNED)) - 1)
        if bits <= 16 and low < 0:
            low, high = -most - 1, most
        white_points = [255.0, 65535.0, most] if bits > 16 else [most]
        usual = [white for white in white_points if low >= 0 and high <= white]
        if bits > 16 and usual and usual[0] == most:
            usual = [most] if high > most / 8 else []
    black, white = (0.0, usual[0]) if usual else (low, high)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.clip((numbers - black) / max(white - black, 1e-12), 0, 1)
    return (np.nan_to_num(scaled) * 255 + 0.5).astype(np.uint8)


def read_layout(file: BinaryIO) -> Layout | None:
    """The layout of a TIFF's first image; None if the tags are inconsistent.

    Raises
    ------
    PhotoError
        If it is compressed in a way that libtiff does not support; names it.
    """
    try:
        tags = _tags(file)
    except PhotoError:
        raise
    except Exception:  # a damaged file, for which Pillow raises an error of its own
        return None
    compression = tags.get(_COMPRESSION, 1)
    if _JPEG_XR in tags:
        compression = 22610
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        raise unsupported_compression(compression)
    try:
        width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
        samples = int(tags.get(_SAMPLES, 1))
        bits = tuple(tags.get(_BITS, (1,)))
        formats = tuple(tags.get(_FORMAT, (_UNSIGNED,)))
        tiled = _TILES in tags
        rows = min(int(tags.get(_ROWS_PER_STRIP, height)), height)
        layout = Layout(
            width=width,
            height=height,
            bits=bits * samples if len(bits) == 1 else bits[:samples],
            samples=samples,
            format=formats[0],
            photometric=int(tags.get(_PHOTOMETRIC, 0)),
            compression=compression,
            planar=tags.get(_PLANAR, 1) == 2,
            predictor=int(tags.get(_PREDICTOR, 1)),
            fill_order=int(tags.get(_FILL_ORDER, 1)),
            extra=tuple(tags.get(_EXTRA, ())),
            segment=(int(tags[_TILE_WIDTH]), int(tags[_TILE_HEIGHT])) if tiled else (width, rows),
            tiled=tiled,
            offsets=tuple(tags[_TILES if tiled else _STRIPS]),
            lengths=tuple(tags.get(_TILE_BYTES if tiled else _STRIP_BYTES, ())),
        )
    except (KeyError, TypeError, ValueError):
        return None
    sound = min(width, height, samples, *layout.segment) > 0 and len(layout.bits) == samples
    return layout if sound else None


def _tags(file: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2:
    file.seek(0)
    header = file.read(8)
    if header[:4] == b"MM\0+":  # which Pillow takes for a classic TIFF
        raise PhotoError(
            "it is a big-endian BigTIFF, which captioner does not read.", CONVERT_REMEDY
        )
    if header[2:4] == b"+\0":
        header += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    return tags


def unsupported_compression(number: int) -> PhotoError:
    """The error for a TIFF whose compression is not supported."""
    name = COMPRESSIONS.get(number, f"method {number}")
    return PhotoError(
        f"it is a TIFF compressed with {name}, which captioner does not read.", CONVERT_REMEDY
    )


def _unsupported(layout: Layout) -> PhotoError:
    return PhotoError(f"it is a TIFF of {layout}, which captioner does not read.", CONVERT_REMEDY)


def _samples(content: bytes, order: str, layout: Layout) -> Samples:
    """All samples, of shape (height, width, samples)."""
    planes = layout.samples if layout.planar else 1
    interleaved = layout.samples // planes
    if len(layout.offsets) % planes or len(layout.lengths) != len(layout.offsets):
        raise OSError("its strips are truncated")
    each = len(layout.offsets) // planes
    found = [
        _plane(content, order, layout, interleaved, slice(at * each, (at + 1) * each))
        for at in range(planes)
    ]
    return found[0] if planes == 1 else np.concatenate(found, axis=2)


def _plane(content: bytes, order: str, layout: Layout, interleaved: int, strips: slice) -> Samples:
    """The samples of some strips or tiles, of shape (height, width, `interleaved`)."""
    bits, (across, down) = layout.bits[0], layout.segment
    columns = -(-layout.width // across)
    row = -(-across * interleaved * bits // 8)  # bytes of a strip's or tile's row
    tags: dict[int, tuple[int, ...]] = {
        _WIDTH: (columns * row,),
        _HEIGHT: (layout.height,),
        _BITS: (8,),
        _COMPRESSION: (layout.compression,),
        _PHOTOMETRIC: (_BLACK_IS_ZERO,),
        _FILL_ORDER: (layout.fill_order,),
        _SAMPLES: (1,),
    }
    if layout.tiled:
        tags |= {_TILE_WIDTH: (row,), _TILE_HEIGHT: (down,)}
        tags |= {_TILES: layout.offsets[strips], _TILE_BYTES: layout.lengths[strips]}
    else:
        tags |= {_ROWS_PER_STRIP: (down,)}
        tags |= {_STRIPS: layout.offsets[strips], _STRIP_BYTES: layout.lengths[strips]}
    with Image.open(_with_tags(content, tags, keep=False), formats=("TIFF",)) as image:
        raw = np.asarray(image).reshape(layout.height, columns, row)
    values = _numbers(raw, order, layout, across, interleaved)
    return values.reshape(layout.height, columns * across, interleaved)[:, : layout.width]


def _numbers(raw: PixelArray, order: str, layout: Layout, across: int, interleaved: int) -> Samples:
    """Samples (rows, columns, across, interleaved) from the bytes of rows of strips or tiles."""
    bits, shape = layout.bits[0], (*raw.shape[:2], across, interleaved)
    if bits < 8 or 8 < bits < 16:
        each = np.unpackbits(raw, axis=2)[..., : across * interleaved * bits]
        weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.uint16)
        return (each.reshape(*shape, bits) @ weights).astype(np.uint16)
    letter = {_SIGNED: "i", _FLOAT: "f"}.get(layout.format, "u")
    size = bits // 8
    if layout.predictor == 3:  # differences of bytes, the most significant of all numbers first
        mixed = raw.reshape(*raw.shape[:2], across * size, interleaved)
        mixed = np.cumsum(mixed, axis=2, dtype=np.uint8)
        bytewise = mixed.reshape(*raw.shape[:2], size, across * interleaved)
        joined = np.ascontiguousarray(np.moveaxis(bytewise, 2, 3))
        return joined.view(f">{letter}{size}").reshape(shape)
    whole = np.ascontiguousarray(raw).view(f"{order}u{size}").reshape(shape)
    if layout.predictor == 2:
        whole = np.cumsum(whole, axis=2, dtype=whole.dtype.newbyteorder("="))
        return whole.view(f"={letter}{size}")
    return whole.view(f"{order}{letter}{size}")


def _with_tags(content: bytes, tags: dict[int, tuple[int, ...]], *, keep: bool = True) -> BinaryIO:
    """The file with another first directory, of tags that hold whole numbers, at its end.

    Parameters
    ----------
    keep
        Whether to keep the tags of its first directory that do not describe samples.
    """
    order: Literal["<", ">"] = "<" if content[:2] == b"II" else ">"
    encoding = tiff.Encoding(order, is_big=content[2:4] == b"+\0")
    (first,) = encoding.unpack(encoding.offset_format, content, encoding.first_ifd_position)
    entries: dict[int, bytes] = {}
    if keep:
        (number,) = encoding.unpack(encoding.number_format, content, first)
        start = first + len(encoding.pack(encoding.number_format, number))
        for _ in range(number):
            (tag,) = encoding.unpack("H", content, start)
            entries[tag] = content[start : start + encoding.entry_size]
            start += encoding.entry_size
        for tag in (_FORMAT, _PREDICTOR, _PLANAR, _EXTRA, _FILL_ORDER, *range(322, 326)):
            entries.pop(tag, None)
    data = bytearray(content + bytes(-len(content) % 8))
    for tag, values in tags.items():
        value = encoding.pack(f"{len(values)}{encoding.offset_format}", *values)
        if len(values) > 1:
            offset = encoding.pack(encoding.offset_format, len(data))
            data += value
            value = offset
        kind = tiff.LONG8 if encoding.is_big else tiff.LONG
        entries[tag] = encoding.pack_entry(tag, kind, len(values), value)
    data += bytes(-len(data) % 8)
    offset = encoding.pack(encoding.offset_format, len(data))
    data[encoding.first_ifd_position : encoding.first_ifd_position + len(offset)] = offset
    data += encoding.pack_directory(entries[tag] for tag in sorted(entries))
    return io.BytesIO(bytes(data))
