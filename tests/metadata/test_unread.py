"""Metadata that cannot be read for certain counts as human-authored: nothing is written."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import metadata_tools
import pytest
from pictures import (
    WORDS,
    Memory,
    exif_block,
    iptc_block,
    jpeg,
    jpeg_with,
    packet,
    picture,
    png,
    segment,
)

from captioner.metadata import malformed
from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.packet import read_packet_tolerantly
from captioner.metadata.writer import CaptionWriter

REX = "Rex at the lake"
PLAIN = packet(f"<dc:description>{REX}</dc:description>")
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
DESCRIPTION = 0x010E


def spoiled(old: str, new: bytes) -> bytes:
    assert old.encode() in PLAIN
    return PLAIN.replace(old.encode(), new)


BROKEN = {
    "an ampersand": spoiled("Rex", b"Anna & Rex"),
    "a Latin-1 byte": spoiled("Rex", b"R\xe9x"),
    "a control character": spoiled("Rex", b"Re\x0bx"),
    "an unbound prefix": spoiled("</dc:description>", b"</dc:description><new:tag>1</new:tag>"),
    "a doubled attribute": spoiled('xmp:Rating="3"', b'xmp:Rating="3" xmp:Rating="3"'),
    "an unclosed tag": spoiled("</dc:description>", b"</dc:description><dc:title>"),
    "no end": PLAIN[: PLAIN.index(b"</rdf:Description>")],
    "no end of the description": PLAIN[: PLAIN.index(b"</dc:description>") - 5],
    "two roots": PLAIN + PLAIN,
    "text behind it": PLAIN + b"and more",
    "a document type": b"<!DOCTYPE x>" + PLAIN,
    "an entity": b'<!DOCTYPE x [<!ENTITY r "Rex">]>' + spoiled("Rex", b"&r;"),
    "an undeclared entity": spoiled("Rex", b"Rex&nbsp;"),
    "a broken wrapper": spoiled("<?xpacket begin", b"<? xpacket begin"),
    "an open wrapper": PLAIN.replace(b"end='w'?>", b"end='w'>"),
    "a stray <": spoiled("Rex", b"Rex <3"),
    "half a character": spoiled("Rex", b"Rex \xf0\x9f\x90"),
    "an attribute with an ampersand": packet(attributes=f'dc:description="A & {REX}"'),
    "an attribute without end": packet(attributes=f'dc:description="{REX}').replace(b'">', b">", 1),
    "another root": PLAIN.replace(b"rdf:RDF", b"rdf:Rdf"),
    "an encoding that is none": b'<?xml version="1.0" encoding="klingon"?>' + PLAIN,
    "no description": packet("<dc:title>A & B</dc:title>"),
    "no XML": b"Rex at the lake",
    "deep": packet("<dc:title>" * 200 + "</dc:title>" * 200),
}
WIDE = {
    f"{code}{' with mark' if mark else ''}": (mark + PLAIN.decode()).encode(code)
    for code in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    for mark in ("", "\ufeff")
}
UNUSUAL = {
    **WIDE,
    "Latin-1, declared": b'<?xml version="1.0" encoding="iso-8859-1"?>' + spoiled(
        "Rex", b"Rex \xe4"
    ).replace(b"\xef\xbb\xbf", b""),
    "dc of an unknown namespace": PLAIN.replace(b"elements/1.1/", b"elements/1.2/"),
}  # fmt: skip


def in_jpeg(packet: bytes) -> bytes:
    return jpeg_with(xmp=packet)


def in_png(packet: bytes) -> bytes:
    return png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))


def in_webp(packet: bytes) -> bytes:
    return picture("WEBP", xmp=packet)


def in_tiff(packet: bytes) -> bytes:
    return picture("TIFF", tiffinfo={700: packet})


FORMATS = {"jpg": in_jpeg, "png": in_png, "webp": in_webp, "tif": in_tiff}


def write(photo: Path, *, in_place: bool, existing: str = "replace") -> WriteOutcome:
    with CaptionWriter(
        Memory(), WriteOptions(in_place=in_place, existing=existing, sync=False)
    ) as writer:
        return writer.write(photo, WORDS)


def outcomes(photo: Path, *ways: str) -> list[WriteOutcome]:
    """What becomes of a photo, however it is to be written; nothing of its folder may change."""
    before = {path: path.read_bytes() for path in photo.parent.iterdir()}
    found = [
        write(photo, in_place=in_place, existing=existing)
        for in_place in (True, False)
        for existing in ways or ("skip", "replace", "append")
    ]
    assert {path: path.read_bytes() for path in photo.parent.iterdir()} == before
    return found


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("how", BROKEN)
def test_xmp_in_a_photo_that_cannot_be_read(tmp_path: Path, how: str, suffix: str) -> None:
    photo = tmp_path / f"a.{suffix}"
    photo.write_bytes(FORMATS[suffix](BROKEN[how]))
    for outcome in outcomes(photo):
        assert outcome.status is WriteStatus.SKIPPED
        assert outcome.unreadable and outcome.unreadable.path == photo
        assert ("at the" in outcome.before) is (how not in ("no description", "no XML", "deep"))


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.jpg.XMP", "a.xmp", "a.Xmp", "a_01.jpg.xmp"])
@pytest.mark.parametrize("how", BROKEN)
def test_a_sidecar_that_cannot_be_read(tmp_path: Path, how: str, name: str) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(picture("JPEG"))
    beside = photo.with_name(name)
    beside.write_bytes(BROKEN[how])
    for outcome in outcomes(photo):
        assert outcome.status is WriteStatus.SKIPPED
        assert outcome.unreadable and outcome.unreadable.path == beside


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("how", UNUSUAL)
def test_unusual_xmp_is_read(tmp_path: Path, how: str, suffix: str) -> None:
    photo = tmp_path / f"a.{suffix}"
    photo.write_bytes(FORMATS[suffix](UNUSUAL[how]))
    for outcome in outcomes(photo, "skip", "replace"):
        assert (outcome.status, outcome.unreadable) == (WriteStatus.SKIPPED, None)
        assert "Rex" in outcome.before
    photo.with_name("b.jpg").write_bytes(picture("JPEG"))
    photo.with_name("b.jpg.xmp").write_bytes(UNUSUAL[how])
    assert write(photo.with_name("b.jpg"), in_place=True).status is WriteStatus.SKIPPED


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("blank", [
    b" " * 50, b"\0" * 50, b'<?xpacket begin="" id="x"?>\n  <?xpacket end="w"?>',
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
], ids=["spaces", "zeros", "a wrapper", "no RDF"])  # fmt: skip
def test_what_is_blank_for_certain_is_written(tmp_path: Path, suffix: str, blank: bytes) -> None:
    photo = tmp_path / f"a.{suffix}"
    before = FORMATS[suffix](blank)
    photo.write_bytes(before)
    records = Memory()
    for in_place in (False, True):
        with CaptionWriter(records, WriteOptions(in_place=in_place)) as writer:
            assert writer.write(photo, WORDS).status is WriteStatus.WRITTEN
            assert {outcome.status for outcome in writer.undo(photo)} == {WriteStatus.UNDONE}
        assert photo.read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == [photo.name]


@pytest.mark.parametrize("blank", [b"", b" \n", b"\0\0"])
def test_a_blank_sidecar_is_written_and_becomes_blank_again(tmp_path: Path, blank: bytes) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(picture("JPEG"))
    beside = photo.with_name("a.jpg.xmp")
    beside.write_bytes(blank)
    with CaptionWriter(Memory()) as writer:
        assert writer.write(photo, WORDS).status is WriteStatus.WRITTEN
        assert read_packet_tolerantly(beside.read_bytes()).texts
        assert [outcome.status for outcome in writer.undo(photo)] == [WriteStatus.UNDONE]
    assert beside.read_bytes() == blank


def profile(name: str, block: bytes, kind: bytes = b"zTXt") -> tuple[bytes, bytes]:
    text = f"\n{name}\n{len(block):8}\n{block.hex()}\n".encode()
    keyword = f"Raw profile type {name}".encode()
    if kind == b"tEXt":
        return kind, keyword + b"\0" + text
    if kind == b"iTXt":
        return kind, keyword + b"\0\1\0\0\0" + zlib.compress(text)
    return kind, keyword + b"\0\0" + zlib.compress(text)


EXIF_OF_REX = exif_block({DESCRIPTION: REX})
IPTC_OF_REX = iptc_block((2, 120, REX.encode()))


def comment(text: bytes) -> bytes:
    """An EXIF block with a user comment."""
    head = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 26) + b"\0\0\0\0"
    return head + struct.pack("<HHHII", 1, 0x9286, 7, len(text), 44) + b"\0\0\0\0" + text


def windows(tag: int) -> bytes:
    text = f"{REX}\0".encode("utf-16-le")
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, tag, 1, len(text), 26) + b"\0" * 4 + text


def extended(packet: bytes, order: tuple[int, ...] = (0, 1)) -> bytes:
    half = len(packet) // 2
    head = MORE_XMP + b"0" * 32 + struct.pack(">I", len(packet))
    parts = [
        head + struct.pack(">I", at) + piece
        for at, piece in ((0, packet[:half]), (half, packet[half:]))
    ]
    return jpeg(segment(0xE1, XMP + packet_without()), *(segment(0xE1, parts[k]) for k in order))


def packet_without() -> bytes:
    return packet("<dc:title>A title</dc:title>")


READ = {
    "PNG profile xmp": png(profile("xmp", PLAIN)),
    "PNG profile xmp, plain": png(profile("xmp", PLAIN, b"tEXt")),
    "PNG profile xmp, international": png(profile("xmp", PLAIN, b"iTXt")),
    "PNG profile APP1 with XMP": png(profile("APP1", XMP + PLAIN)),
    "PNG profile APP1 with EXIF": png(profile("APP1", b"Exif\0\0" + EXIF_OF_REX)),
    "PNG profile exif": png(profile("exif", b"Exif\0\0" + EXIF_OF_REX, b"tEXt")),
    "PNG profile exif without head": png(profile("exif", EXIF_OF_REX, b"iTXt")),
    "PNG profile iptc": png(profile("iptc", IPTC_OF_REX)),
    "PNG profile iptc, datasets alone": png(
        profile("iptc", struct.pack(">BBBH", 0x1C, 2, 120, len(REX)) + REX.encode())
    ),
    "PNG profile 8bim": png(profile("8bim", b"Photoshop 3.0\0" + IPTC_OF_REX)),
    "PNG text": png((b"tEXt", b"Description\0" + REX.encode())),
    "PNG with two EXIF chunks": png((b"eXIf", exif_block({})), (b"eXIf", EXIF_OF_REX)),
    "PNG with two packets": png(
        *[(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + p) for p in (packet_without(), PLAIN)]
    ),
    "signed PNG": png((b"caBX", b""), (b"tEXt", b"Comment\0" + REX.encode())),
    "JPEG with two packets": jpeg(
        *[segment(0xE1, XMP + p) for p in (packet_without(), PLAIN)]
    ),
    "JPEG with extended XMP": extended(PLAIN),
    "JPEG with extended XMP in another order": extended(PLAIN, (1, 0)),
    "JPEG with fill bytes": jpeg(b"\xff", segment(0xED, b"Photoshop 3.0\0" + IPTC_OF_REX)),
    "signed JPEG": jpeg(
        segment(0xEB, b"JP\0\0jumb"), segment(0xED, b"Photoshop 3.0\0" + IPTC_OF_REX)
    ),
    "JPEG comment": picture("JPEG", comment=REX.encode()),
    "broken JPEG": jpeg(b"\xff\xe5\0\0", segment(0xED, b"Photoshop 3.0\0" + IPTC_OF_REX)),
    "broken JPEG with XMP": jpeg(b"\xff\xe5\0\0", segment(0xE1, XMP + PLAIN)),
    "JPEG with two IPTC blocks": jpeg_with(photoshop=iptc_block((2, 25, b"x")) + IPTC_OF_REX),
    "XPComment": jpeg_with(exif=windows(0x9C9C)),
    "XPSubject": jpeg_with(exif=windows(0x9C9F)),
    "ASCII UserComment": jpeg_with(exif=comment(b"ASCII\0\0\0" + REX.encode())),
    "UNICODE UserComment": jpeg_with(exif=comment(b"UNICODE\0" + REX.encode("utf-16-le"))),
    "JIS UserComment": jpeg_with(exif=comment(b"JIS\0\0\0\0\0" + REX.encode("iso2022_jp"))),
    "EXIF without a next directory": jpeg_with(exif=b"II*\0\x08\0\0\0" + struct.pack(
        "<HHHI4s", 1, DESCRIPTION, 2, 4, b"Rex\0")),
    "WebP EXIF": picture("WEBP", exif=EXIF_OF_REX),
    "GIF comment": picture("GIF", comment=REX.encode()),
    "GIF comment behind the picture": picture("GIF")[:-1]
    + b"!\xfe" + bytes((len(REX),)) + REX.encode() + b"\0;",
    "JPEG with FotoStation's trailer": jpeg(
        tail=struct.pack(">BBBH", 0x1C, 2, 120, len(REX)) + REX.encode() + b"\0\0\xa1\xb2\xc3\xd4"
    ),
    "Olympus' raw photo": b"IIRO" + EXIF_OF_REX[4:],
    "GIF with XMP": picture("GIF")[:-1] + b"!\xff\x0bXMP DataXMP" + PLAIN + b"\0;",
    "TIFF description": picture("TIFF", description=REX),
    "TIFF IPTC": picture("TIFF", tiffinfo={
        33723: struct.pack(">BBBH", 0x1C, 2, 120, len(REX)) + REX.encode()}),
    "TIFF image resources": picture("TIFF", tiffinfo={34377: IPTC_OF_REX}),
    "BigTIFF": picture("TIFF", description=REX, big_tiff=True),
    "another language": in_jpeg(packet(
        f'<dc:description><rdf:Alt><rdf:li xml:lang="de">{REX}</rdf:li></rdf:Alt></dc:description>'
    )),
}  # fmt: skip


def in_a_file(folder: Path, name: str, data: bytes) -> Path:
    kinds = {b"\xff\xd8": "jpg", b"\x89P": "png", b"RI": "webp", b"GI": "gif"}
    path = folder / f"{name.replace(' ', '_')}.{kinds.get(data[:2], 'tif')}"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("how", READ)
def test_captions_are_read_from_every_field(tmp_path: Path, how: str) -> None:
    photo = in_a_file(tmp_path, "a", READ[how])
    for outcome in outcomes(photo, "skip", "replace"):
        assert (outcome.status, outcome.unreadable) == (WriteStatus.SKIPPED, None)
        assert outcome.before in (REX, "Rex")


def beyond(block: bytes) -> bytes:
    """An EXIF block whose description lies beyond its end."""
    return block[: block.index(REX.encode())]


UNREADABLE = {
    "EXIF that is none": jpeg_with(exif=b"nothing of the kind"),
    "EXIF that is cut off": jpeg_with(exif=beyond(EXIF_OF_REX)),
    "PNG EXIF that is cut off": png((b"eXIf", beyond(EXIF_OF_REX))),
    "WebP EXIF that is cut off": picture("WEBP", exif=beyond(EXIF_OF_REX)),
    "IPTC that is cut off": jpeg_with(photoshop=IPTC_OF_REX[: IPTC_OF_REX.index(REX.encode()) + 4]),
    "IPTC that is no IPTC": jpeg_with(photoshop=b"8BIM\x04\x04\0\0\0\0\0\x04abcd"),
    "TIFF IPTC that does not add up": picture("TIFF", tiffinfo={33723: b"\x1c\2\x78\xff\xff"}),
    "compressed XMP that does not inflate": png(
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + b"?" * 9)
    ),
    "PNG profile that does not inflate": png((b"zTXt", b"Raw profile type iptc\0\0?????")),
    "PNG profile that is not hexadecimal": png((b"tEXt", b"Raw profile type xmp\0\nxmp\n 9\nxyz")),
    "PNG text that does not inflate": png((b"zTXt", b"Description\0\0?????")),
    "extended XMP of which a part is missing": extended(PLAIN, (0,)),
    "two packets, the second broken": jpeg(
        *[segment(0xE1, XMP + p) for p in (packet_without(), BROKEN["an ampersand"])]
    ),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_invalid_blocks(tmp_path: Path, how: str) -> None:
    photo = in_a_file(tmp_path, "a", UNREADABLE[how])
    for outcome in outcomes(photo):
        assert (outcome.status, bool(outcome.unreadable)) == (WriteStatus.SKIPPED, True)


HARMLESS = {
    "EXIF without tags": jpeg_with(exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "EXIF of zeros": jpeg_with(exif=b"\0" * 40),
    "a PNG profile of colours that is broken": png((b"zTXt", b"Raw profile type icc\0\0???")),
    "a PNG text of no account": png((b"zTXt", b"Software\0\0????")),
    "a title": in_jpeg(packet("<dc:title>Holiday</dc:title>")),
    "XMP without RDF": in_jpeg(b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'),
}  # fmt: skip


@pytest.mark.parametrize("how", HARMLESS)
def test_blocks_without_captions_are_no_reason_to_skip(tmp_path: Path, how: str) -> None:
    photo = in_a_file(tmp_path, "a", HARMLESS[how])
    assert write(photo, in_place=False).status is WriteStatus.WRITTEN


CAPTIONS = {
    "Description", "ImageDescription", "Caption-Abstract", "UserComment", "Comment", "XPComment",
    "XPSubject", "Notes", "ExtDescrAccessibility",
}  # fmt: skip


def test_nothing_that_exiftool_shows_is_overridden(tmp_path: Path) -> None:
    metadata_tools.needs("exiftool")
    files = {
        **{f"{how} {suffix}": FORMATS[suffix](made) for suffix in FORMATS
           for how, made in {**BROKEN, **UNUSUAL}.items()},
        **READ, **UNREADABLE,
    }  # fmt: skip
    photos = []
    for number, data in enumerate(files.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        photos.append(in_a_file(folder, "a", data))
    seen = metadata_tools.exiftool(photos)
    captioned = 0
    for how, photo in zip(files, photos, strict=True):
        shown = {n for n, v in seen[photo].items() if n.split(":")[-1] in CAPTIONS and v}
        captioned += bool(shown)
        if shown:
            assert write(photo, in_place=True).status is WriteStatus.SKIPPED, (how, shown)
            assert write(photo, in_place=False).status is WriteStatus.SKIPPED, (how, shown)
    assert captioned > len(files) / 2


def test_hostile_packets_are_scanned_in_no_time() -> None:
    for piece in (b"<dc:description ", b"<dc:description>", b' description="', b"<li><", b"&#"):
        packet = piece * ((1 << 20) // len(piece))
        assert len(list(malformed.find_texts(packet))) <= 32
        malformed.mentions_description(packet)
        malformed.is_blank(packet)
