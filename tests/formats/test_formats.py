"""Syntax of TIFF, IPTC, PNG, RIFF and XMP: complete and cut off."""

from __future__ import annotations

import struct

import pytest
from pictures import iptc_block, picture

from captioner.formats import chunks, iptc, tiff, xmp


@pytest.mark.parametrize("order", ["<", ">"])
def test_entries_of_a_directory_are_packed_and_read(order: str) -> None:
    encoding = tiff.Encoding(order)
    entries = [(270, tiff.ASCII, 4, b"Rex\0"), (34665, tiff.LONG, 1, encoding.pack("I", 26))]
    directory = encoding.pack_directory((encoding.pack_entry(*e) for e in entries), next_ifd=99)
    assert encoding.unpack("H", directory) == (2,)
    assert encoding.unpack("I", directory, len(directory) - 4) == (99,)
    found = list(encoding.entries(directory[2:-4], position=10))
    assert [(e.tag, e.type, e.count, e.value) for e in found] == entries
    assert [e.position for e in found] == [10, 22]
    cut_off = list(encoding.entries(directory[2:-6], position=10))
    assert [e.value for e in cut_off] == [entries[0][3], entries[1][3][:2]]
    assert len(list(encoding.entries(directory[2:18]))) == 1


def test_offsets_of_big_tiff_have_eight_bytes() -> None:
    encoding = tiff.Encoding("<", is_big=True)
    entry = encoding.pack_entry(273, tiff.LONG8, 1, encoding.pack("Q", 2**40))
    assert len(entry) == encoding.entry_size
    assert len(encoding.pack_directory([entry])) == 8 + 20 + 8


@pytest.mark.parametrize(("header", "order"), [(b"II*\0", "<"), (b"MM\0*", ">"), (b"RIFF", None)])
def test_byte_order(header: bytes, order: str | None) -> None:
    assert tiff.byte_order(header) == order


def test_datasets_up_to_the_last_that_is_cut_off() -> None:
    block = b"\x1c\x02\x78\0\3Rex" + b"\x1c\x02\x19\0\5dog"
    found = list(iptc.iter_datasets(block))
    assert [(d.kind, d.value, d.is_plain) for d in found] == [
        (iptc.CAPTION, b"Rex", True), (iptc.KEYWORD, b"dog", False),
    ]  # fmt: skip
    extended = b"\x1c\x02\x78\x80\x04" + struct.pack(">I", 3) + b"Rex"
    assert list(iptc.iter_datasets(extended)) == [iptc.Dataset(iptc.CAPTION, b"Rex", False)]


def test_resources_up_to_the_last_that_is_cut_off() -> None:
    block = iptc_block((2, 120, b"Rex"))
    found = list(iptc.iter_resources(block))
    assert [r.number for r in found] == [0x03ED, iptc.IPTC_RESOURCE, iptc.DIGEST_RESOURCE]
    assert all(r.is_complete for r in found)
    assert found[-1].end == len(block)
    assert [r.is_complete for r in iptc.iter_resources(block[:-1])] == [True, True, False]
    assert not list(iptc.iter_resources(block, (b"PHUT",)))


def test_a_caption_is_truncated_between_characters() -> None:
    text = "a" + "ä" * 1000
    assert iptc.truncate_caption(text) == "a" + "ä" * 999
    assert iptc.truncate_caption("Rex") == "Rex"


def test_chunks_up_to_the_first_that_is_cut_off() -> None:
    png, webp = picture("PNG"), picture("WEBP")
    found = list(chunks.iter_png_chunks(png + b"more"))
    assert (found[0].type, found[-1].type, found[-1].end) == (b"IHDR", b"IEND", len(png))
    assert list(chunks.iter_png_chunks(png[:-1])) == found[:-1]
    (chunk,) = chunks.iter_riff_chunks(webp)
    assert chunk.end == chunks.riff_end(webp) == len(webp)
    assert not list(chunks.iter_riff_chunks(webp[:-10]))


def test_a_raw_profile_is_parsed() -> None:
    assert chunks.parse_raw_profile("\niptc\n       3\n1c02\n78\n") == b"\x1c\x02\x78"
    with pytest.raises(ValueError, match="not enough values"):
        chunks.parse_raw_profile("nonsense")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_wide_encodings_of_packets(encoding: str, mark: str) -> None:
    packet = (mark + "<x/>").encode(encoding)
    assert xmp.wide_encoding(packet) == encoding
    assert xmp.decode(packet, encoding) == "<x/>"
    assert xmp.wide_encoding(b"<x/>") is None
