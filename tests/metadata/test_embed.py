"""Captions in JPEG, PNG, WebP and TIFF: complete, and nothing else is changed."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from hashlib import md5

import pytest
from pictures import (
    HARD,
    WORDS,
    exif_block,
    iptc_block,
    jpeg,
    jpeg_with,
    packet,
    picture,
    png,
    segment,
    written,
)
from PIL import Image

from captioner.formats.iptc import CAPTION, KEYWORD, truncate_caption
from captioner.metadata import embed, iptc
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import CaptionData
from captioner.metadata.jpeg import JpegFile
from captioner.metadata.reading import read_photo

DESCRIPTION = 0x010E
FILES = {
    "jpeg": picture("JPEG"),
    "jpeg with xmp": jpeg_with(xmp=packet()),
    "jpeg with a placeholder": jpeg_with(exif=exif_block({DESCRIPTION: "OLYMPUS DIGITAL CAMERA"})),
    "jpeg with all": jpeg_with(
        exif=exif_block({DESCRIPTION: " " * 30}, ">"), xmp=packet(),
        photoshop=iptc_block((2, 25, b"Rex"), (2, 80, b"Anna")),
    ),
    "jpeg with trailer": jpeg(tail=b"what follows"),
    "png": picture("PNG"),
    "png with exif": png((b"eXIf", exif_block({DESCRIPTION: "SAMSUNG"})), tail=b"more"),
    "png with xmp": png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet())),
    "webp": picture("WEBP"),
    "webp, lossless, alpha": picture("WEBP", "RGBA", lossless=True),
    "webp with exif": picture("WEBP", exif=exif_block({DESCRIPTION: "SAMSUNG"})),
    "tiff": picture("TIFF"),
    "tiff with a placeholder": picture("TIFF", description="SONY DSC"),
    "tiff with xmp": picture("TIFF", tiffinfo={700: packet()}),
}  # fmt: skip


@pytest.fixture(params=FILES, ids=str)
def data(request: pytest.FixtureRequest) -> bytes:
    return FILES[request.param]


def embedded(data: bytes, words: CaptionData, **options: str) -> bytes:
    return written(data, embed.plan_write(data, words, **options).splices)


def texts_of(data: bytes) -> list[str]:
    return [text.text for text in read_photo(data).texts]


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).tobytes()


def test_only_the_caption_changes(data: bytes) -> None:
    new = embedded(data, replace(WORDS, description=HARD, alt_text="A dog."))
    content = read_photo(new)
    assert HARD in texts_of(new)
    assert set(texts_of(new)) <= {HARD, truncate_caption(HARD)}
    assert [text.text for text in content.alt_texts] == ["A dog."]
    assert set(content.keywords) >= {"dog", "grass"}
    assert not content.human_authored((*content.texts, *content.alt_texts))
    assert pixels(new) == pixels(data)


def test_pillow_reads_it(data: bytes) -> None:
    new = embedded(data, replace(WORDS, description=HARD))
    image = Image.open(io.BytesIO(new))
    found = image.getxmp()
    assert HARD in str(found).replace("\\'", "'").replace("\\u200d", "\u200d")


def test_a_newer_caption_replaces_the_older(data: bytes) -> None:
    one = embedded(data, WORDS)
    two = embedded(one, replace(WORDS, description="A cat.", keywords=("cat",)))
    assert set(texts_of(two)) == {"A cat."}
    assert "dog" not in read_photo(two).keywords or b"8BIM" in data  # keywords in IPTC have no mark


def test_a_human_authored_exif_description_stays() -> None:
    data = jpeg_with(exif=exif_block({DESCRIPTION: "Rex, our beagle"}))
    content = read_photo(data)
    assert [text.text for text in content.human_authored(content.texts)] == ["Rex, our beagle"]
    new = embedded(data, WORDS)
    assert set(texts_of(new)) == {"Rex, our beagle", "A dog runs."}
    both = embedded(data, WORDS, append_to="Rex, our beagle")
    assert "Rex, our beagle\nA dog runs." in texts_of(both)


def test_offsets_of_further_pictures_are_corrected() -> None:
    second = picture("JPEG")
    file = io.BytesIO()
    Image.open(io.BytesIO(picture("JPEG"))).save(
        file, "MPO", save_all=True, append_images=[Image.open(io.BytesIO(second))]
    )
    data = file.getvalue()
    new = embedded(data, WORDS)
    for number in (0, 1):
        frames = [Image.open(io.BytesIO(which)) for which in (data, new)]
        for frame in frames:
            frame.seek(number)
        assert frames[0].tobytes() == frames[1].tobytes()


def test_xmp_after_the_tables_of_the_picture_is_found() -> None:
    data = picture("JPEG")
    scan = data.index(b"\xff\xda")
    late = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet())
    new = embedded(data[:scan] + late + data[scan:], WORDS)
    assert new.count(b"<x:xmpmeta") == 1
    assert texts_of(new) == ["A dog runs."]


def test_iptc_and_its_digest_are_updated() -> None:
    data = jpeg_with(photoshop=iptc_block((2, 25, b"Rex")))
    new = JpegFile(embedded(data, replace(WORDS, description=HARD)))
    block = iptc.iptc_block(new.photoshop or b"") or b""
    assert iptc.read_texts(block, CAPTION) == [truncate_caption(HARD)]
    assert iptc.read_texts(block, KEYWORD) == ["Rex", "dog", "grass"]
    assert md5(block).digest() in (new.photoshop or b"")
    latin = jpeg_with(photoshop=iptc_block((2, 80, "Jürgen".encode("latin-1"))))
    new = JpegFile(embedded(latin, replace(WORDS, description="Ä")))
    assert new.photoshop == JpegFile(latin).photoshop


def raw_photo() -> bytes:
    tags = ((0x00FE, 4, 1, 1), (DESCRIPTION, 2, 4, 0x786552), (0x014A, 4, 1, 8))
    block = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + block + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", RefusalReason.FORMAT),
        (b"hello", RefusalReason.FORMAT),
        (picture("GIF"), RefusalReason.FORMAT),
        (picture("JPEG")[:15], RefusalReason.MALFORMED),
        (jpeg(segment(0xEB, b"JP\0\0jumb")), RefusalReason.SIGNED),
        (jpeg(tail=b"AXS!" + b"\0" * 8), RefusalReason.ABSOLUTE_OFFSETS),
        (jpeg(b"\xff"), RefusalReason.FILL_BYTES),
        (jpeg(*[segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet())] * 2),
         RefusalReason.SEVERAL_XMP),
        (jpeg_with(xmp=b"<a"), RefusalReason.XMP_MALFORMED),
        (png((b"caBX", b"")), RefusalReason.SIGNED),
        (picture("PNG")[:60], RefusalReason.MALFORMED),
        (picture("WEBP")[:-5], RefusalReason.MALFORMED),
        (b"II+\0" + b"\0" * 20, RefusalReason.BIG_TIFF),
        (raw_photo(), RefusalReason.RAW),
    ],
)  # fmt: skip
def test_unusual_files_are_refused(data: bytes, reason: RefusalReason) -> None:
    with pytest.raises(RefusedError) as refused:
        embed.plan_write(data, WORDS)
    assert refused.value.reason is reason
    read_photo(data)


def test_a_segment_has_a_maximum_length() -> None:
    data = jpeg_with(xmp=packet(f"<dc:title>{'x' * 63500}</dc:title>"))
    with pytest.raises(RefusedError) as refused:
        embed.plan_write(data, replace(WORDS, description=HARD))
    assert (refused.value.reason, refused.value.detail) == (RefusalReason.NO_ROOM, "XMP")


FULL_EXIF = exif_block({DESCRIPTION: "OLYMPUS DIGITAL CAMERA", 0x0131: "x" * 65000})
FULL_IPTC = iptc_block((2, 25, b"Rex"), (2, 116, b"x" * 32000), (2, 116, b"x" * 32000))


@pytest.mark.parametrize(
    ("blocks", "omitted"),
    [
        ({"exif": FULL_EXIF}, ("EXIF",)),
        ({"photoshop": FULL_IPTC}, ("IPTC",)),
        ({"exif": FULL_EXIF, "photoshop": FULL_IPTC}, ("EXIF", "IPTC")),
        ({"photoshop": iptc_block((2, 80, "Jürgen".encode("latin-1")))}, ("IPTC",)),
    ],
)
def test_xmp_is_written_if_exif_and_iptc_have_no_room(
    blocks: dict[str, bytes], omitted: tuple[str, ...]
) -> None:
    data = jpeg_with(**blocks)
    planned = embed.plan_write(data, replace(WORDS, description=HARD))
    assert planned.omitted == omitted
    before, after = JpegFile(data), JpegFile(written(data, planned.splices))
    assert (after.exif, after.photoshop) == (before.exif, before.photoshop)
    assert HARD in texts_of(after.data)


def test_an_outdated_own_caption_is_not_left_in_iptc() -> None:
    data = embedded(jpeg_with(photoshop=FULL_IPTC), WORDS)
    with pytest.raises(RefusedError) as refused:
        embed.plan_write(data, replace(WORDS, description=HARD))
    assert (refused.value.reason, refused.value.detail) == (RefusalReason.NO_ROOM, "IPTC")


def profile(name: str, block: bytes) -> tuple[bytes, bytes]:
    text = f"\n{name}\n{len(block):8}\n{block.hex()}\n".encode()
    return b"zTXt", f"Raw profile type {name}".encode() + b"\0\0" + zlib.compress(text)


REX = exif_block({DESCRIPTION: "Rex, our beagle"})
REX_IPTC = iptc_block((2, 120, b"Rex, our beagle"))


@pytest.mark.parametrize(
    "data",
    [
        jpeg(*[segment(0xE1, b"Exif\0\0" + block) for block in (REX, exif_block({}))]),
        jpeg(
            *[segment(0xED, b"Photoshop 3.0\0" + part) for part in (REX_IPTC[:20], REX_IPTC[20:])]
        ),
        png(profile("exif", b"Exif\0\0" + REX)),
        png(profile("iptc", REX_IPTC)),
        picture("GIF", comment=b"Rex, our beagle"),
        picture("AVIF", exif=REX),
    ],
)
def test_human_authored_texts_are_found_in_blocks_that_are_not_written(data: bytes) -> None:
    content = read_photo(data)
    assert [text.text for text in content.human_authored(content.texts)] == ["Rex, our beagle"]


def test_a_raw_photo_is_read() -> None:
    assert texts_of(raw_photo()) == ["Rex"]
