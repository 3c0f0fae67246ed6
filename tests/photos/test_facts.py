"""Facts of photos from their metadata."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from captioner.authorship import digest
from captioner.photos import exif, xmp
from captioner.photos.facts import read_facts
from captioner.photos.read import read
from captioner.photos.walk import walk
from captioner.types import Facts, Photo

MAKE, MODEL, DESCRIPTION, EXIF_TABLE, GPS_TABLE = 0x010F, 0x0110, 0x010E, 0x8769, 0x8825
ORIGINAL, DIGITIZED, OFFSET, LENS = 0x9003, 0x9004, 0x9011, 0xA434

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:captioner="https://captioner.dev/ns/1.0/">
{}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def packet(inside: str) -> bytes:
    return XMP.format(f'<rdf:Description rdf:about="">{inside}</rdf:Description>').encode()


def described(text: str) -> str:
    return (
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{text}</rdf:li></rdf:Alt></dc:description>"
    )


def listed(name: str, *words: str) -> str:
    items = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
    return f"<{name}><rdf:Bag>{items}</rdf:Bag></{name}>"


def iptc(caption: bytes, *keywords: bytes, utf_8: bool = False) -> bytes:
    """A Photoshop segment with an IPTC block."""
    sets = [(1, 90, b"\x1b%G")] * utf_8 + [(2, 25, word) for word in keywords]
    sets += [(2, 120, caption)]
    block = b"".join(struct.pack(">BBBH", 0x1C, *s[:2], len(s[2])) + s[2] for s in sets)
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block
    return b"Photoshop 3.0\0" + resource + b"\0" * (len(block) % 2)


def exif_of(
    top: dict[int, Any] | None = None,
    sub: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> Image.Exif:
    block = Image.Exif()
    for tag, value in (top or {}).items():
        block[tag] = value
    block.get_ifd(EXIF_TABLE).update(sub or {})
    block.get_ifd(GPS_TABLE).update(gps or {})
    return block


def facts(folder: Path, name: str = "a.jpg", **options: Any) -> Facts:
    """The facts of a picture saved with these options."""
    Image.new("RGB", (16, 12), "green").save(folder / name, **options)
    return facts_of(folder / name)


def facts_of(path: Path) -> Facts:
    (photo,) = walk([path])
    assert isinstance(photo, Photo)
    return read(photo, 8).facts


FULL = {
    "exif": exif_of(
        {MAKE: "Canon", MODEL: "Canon EOS R6", DESCRIPTION: "Our garden"},
        {ORIGINAL: "2024:05:06 07:08:09", OFFSET: "+02:00", LENS: "RF 24-70mm"},
        {1: "S", 2: (33.0, 51.0, 36.0), 3: "E", 4: (151.0, 12.0, 36.0)},
    ),
    "xmp": packet(described("Not the first") + listed("dc:subject", "garden", "Rose")),
}
SEEN = Facts(
    taken_at="2024-05-06T07:08:09",
    taken_offset="+02:00",
    camera="Canon EOS R6",
    lens="RF 24-70mm",
    latitude=-33.86,
    longitude=151.21,
    caption="Our garden",
    keywords=("garden", "Rose"),
    others=("Not the first",),
)


class TestFormats:
    @pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.avif"])
    def test_in_blocks(self, tmp_path: Path, name: str) -> None:
        assert facts(tmp_path, name, **FULL) == SEEN

    def test_png(self, tmp_path: Path) -> None:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", FULL["xmp"].decode())
        assert facts(tmp_path, "a.png", exif=FULL["exif"], pnginfo=text) == SEEN

    def test_tiff(self, tmp_path: Path) -> None:
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[MAKE], tags[MODEL], tags[DESCRIPTION] = "Canon", "Canon EOS R6", "Our garden"
        tags[700] = FULL["xmp"]
        tags.tagtype[700] = 7
        seen = facts(tmp_path, "a.tif", tiffinfo=tags)
        assert (seen.camera, seen.caption, seen.keywords) == (
            *("Canon EOS R6", "Our garden"),
            ("garden", "Rose"),
        )

    def test_nothing(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "a.png", "a.gif", "a.bmp", "a.webp", "a.tif", "a.avif"):
            assert facts(tmp_path, name) == Facts()

    def test_real_photos(self, photos_folder: Path) -> None:
        nikon = facts_of(photos_folder / "gps/DSCN0010.jpg")
        assert nikon == Facts(
            taken_at="2008-10-22T16:28:39",
            camera="NIKON COOLPIX P6000",
            latitude=pytest.approx(43.46745, abs=1e-5),
            longitude=pytest.approx(11.88513, abs=1e-5),
        )
        olympus = facts_of(photos_folder / "cameras/olympus-c960.jpg")
        assert (olympus.taken_at, olympus.caption) == ("2000-11-07T10:41:43", None)
        blue = facts_of(photos_folder / "cameras/BlueSquare.jpg")
        assert blue.caption.startswith("XMPFiles BlueSquare test file")
        assert blue.keywords == ("XMP", "Blue Square", "test file", "Photoshop", ".jpg")

    def test_heic(self, photos_folder: Path) -> None:
        pytest.importorskip("pi_heif")
        seen = facts_of(photos_folder / "heic/IMG_5195.HEIC")
        assert (seen.camera, seen.taken_offset) == ("Apple iPhone 11 Pro Max", "-05:00")


class TestTaken:
    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("2024:05:06 07:08:09", "2024-05-06T07:08:09"),
            ("2024-05-06T07:08:09", "2024-05-06T07:08:09"),
            ("2024:05:06 07:08", "2024-05-06T07:08:00"),
            ("0000:00:00 00:00:00", None),
            ("2024:13:06 07:08:09", None),
            ("2024:02:30 07:08:09", None),
            ("1024:02:03 07:08:09", None),
            ("    :  :     :  :  ", None),
            ("yesterday", None),
        ],
    )
    def test_dates(self, tmp_path: Path, text: str, at: str | None) -> None:
        assert facts(tmp_path, exif=exif_of(sub={ORIGINAL: text})).taken_at == at

    def test_digitized_if_there_is_no_original(self, tmp_path: Path) -> None:
        block = exif_of(sub={ORIGINAL: "0000:00:00 00:00:00", DIGITIZED: "2024:05:06 07:08:09"})
        assert facts(tmp_path, exif=block).taken_at == "2024-05-06T07:08:09"

    @pytest.mark.parametrize(
        ("text", "offset"),
        [("-05:30", "-05:30"), ("Z", "+00:00"), ("+14:00", "+14:00")]
        + [(nonsense, None) for nonsense in ("+15:00", "02:00", "+02:61", "   :  ", "CEST")],
    )
    def test_offsets(self, tmp_path: Path, text: str, offset: str | None) -> None:
        block = exif_of(sub={ORIGINAL: "2024:05:06 07:08:09", OFFSET: text})
        assert facts(tmp_path, exif=block).taken_offset == offset


class TestCamera:
    @pytest.mark.parametrize(
        ("maker", "model", "camera"),
        [
            ("Canon", "Canon EOS 40D", "Canon EOS 40D"),
            ("NIKON CORPORATION", "NIKON D70", "NIKON D70"),
            ("EASTMAN KODAK COMPANY", "KODAK CX7530", "KODAK CX7530"),
            ("Apple\0\0", " iPhone 11  Pro ", "Apple iPhone 11 Pro"),
            ("Apple", "", "Apple"),
            ("", "X100", "X100"),
            ("", "", None),
        ],
    )
    def test_the_maker_is_not_repeated(
        self, tmp_path: Path, maker: str, model: str, camera: str | None
    ) -> None:
        assert facts(tmp_path, exif=exif_of({MAKE: maker, MODEL: model})).camera == camera

    @pytest.mark.parametrize("lens", ["", "----", "0.0 mm f/0.0"])
    def test_no_lens(self, tmp_path: Path, lens: str) -> None:
        assert facts(tmp_path, exif=exif_of(sub={LENS: lens})).lens is None


class TestCoordinates:
    @pytest.mark.parametrize(
        "gps",
        [
            {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
            {1: "N", 2: (9.0, 0.0, 0.0), 3: "E", 4: (181.0, 0.0, 0.0)},
            {1: "N", 2: (9.0, 0.0, 0.0), 3: "E"},
            {1: "N", 2: (9.0, 0.0, 0.0), 4: (9.0, 0.0, 0.0)},
            {1: "X", 2: (9.0, 0.0, 0.0), 3: "E", 4: (9.0, 0.0, 0.0)},
            {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
            {1: "N", 2: (TiffImagePlugin.IFDRational(9, 0), 0.0, 0.0), 3: "E", 4: (9.0, 0.0, 0.0)},
        ],
    )
    def test_invalid_coordinates(self, tmp_path: Path, gps: dict[int, Any]) -> None:
        seen = facts(tmp_path, exif=exif_of(gps=gps))
        assert (seen.latitude, seen.longitude) == (None, None)

    def test_unknown_seconds(self, tmp_path: Path) -> None:
        unknown = TiffImagePlugin.IFDRational(0, 0)
        gps = {1: "N", 2: (47.0, 30.0, unknown), 3: "E", 4: (8.0, unknown, unknown)}
        seen = facts(tmp_path, exif=exif_of(gps=gps))
        assert (seen.latitude, seen.longitude) == (47.5, 8)
        gps[2] = (unknown, unknown, unknown)
        assert facts(tmp_path, exif=exif_of(gps=gps)).latitude is None

    def test_on_the_equator(self, tmp_path: Path) -> None:
        gps = {1: "N", 2: (0.0, 0.0, 0.0), 3: "W", 4: (9.0, 30.0, 0.0)}
        seen = facts(tmp_path, exif=exif_of(gps=gps))
        assert (seen.latitude, seen.longitude) == (0, -9.5)


class TestCaption:
    @pytest.mark.parametrize(
        "text",
        [
            *("OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "default", "   ", "Exif_JPEG_PICTURE"),
            *("ImageJ=1.53", '{"shape": [2, 3]}', "DCIM\\100MEDIA\\DJI_0001.JPG", "WWL"),
        ],
    )
    def test_placeholders_are_left_out(self, tmp_path: Path, text: str) -> None:
        block = exif_of({MAKE: "WWL", DESCRIPTION: text})
        assert facts(tmp_path, exif=block).caption is None
        seen = facts(tmp_path, exif=block, xmp=packet(described("A person")))
        assert seen.caption == "A person"

    def test_exif_before_xmp_before_iptc(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        for options, caption in (
            ({"exif": exif_of({DESCRIPTION: "E"}), "xmp": packet(described("X"))}, "E"),
            ({"xmp": packet(described("X"))}, "X"),
            ({}, "I"),
        ):
            Image.new("RGB", (16, 12)).save(path, **options)
            content = path.read_bytes()
            block = iptc(b"I", b"one", b"two")
            segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
            path.write_bytes(content[:2] + segment + content[2:])
            seen = facts_of(path)
            assert (seen.caption, seen.keywords) == (caption, ("one", "two"))

    @pytest.mark.parametrize(("utf_8", "text"), [(True, "Grüße".encode()), (False, b"Gr\xfc\xdfe")])
    def test_iptc_in_its_encoding(self, tmp_path: Path, utf_8: bool, text: bytes) -> None:
        path = tmp_path / "a.jpg"
        Image.new("RGB", (16, 12)).save(path)
        block = iptc(text, utf_8=utf_8)
        segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
        path.write_bytes(path.read_bytes()[:2] + segment + path.read_bytes()[2:])
        assert facts_of(path).caption == "Grüße"

    @pytest.mark.parametrize(
        "inside",
        [
            described("A &lt;dog&gt; &amp; I"),
            "<dc:description>A &lt;dog&gt; &amp; I</dc:description>",
            "<dc:description><![CDATA[A <dog> & I]]></dc:description>",
            described("\n   A &lt;dog&gt; &amp; I\n  "),
        ],
    )
    def test_forms_of_xmp(self, tmp_path: Path, inside: str) -> None:
        assert facts(tmp_path, xmp=packet(inside)).caption == "A <dog> & I"

    def test_an_attribute_and_several_descriptions(self, tmp_path: Path) -> None:
        inside = '<rdf:Description/><rdf:Description dc:description="A dog"/>'
        assert facts(tmp_path, xmp=XMP.format(inside).encode()).caption == "A dog"

    def test_own_captions_are_left_out(self, tmp_path: Path) -> None:
        ours = "A dog runs."
        mark = f"<captioner:CaptionDigest>{digest(ours)}</captioner:CaptionDigest>"
        mark += listed("captioner:CaptionKeywords", "dog")
        words = listed("dc:subject", "dog", "Rex")
        own = packet(described(ours) + mark + words)
        block = exif_of({DESCRIPTION: ours})
        assert facts(tmp_path, exif=block, xmp=own) == Facts(keywords=("Rex",))
        changed = packet(described("A dog runs!") + mark + words)
        assert facts(tmp_path, xmp=changed).caption == "A dog runs!"

    def test_entities_and_depth_are_refused(self) -> None:
        names = {"http://purl.org/dc/elements/1.1/ description"}
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
        assert xmp.read_properties(bomb + packet(described("A dog")), names) == {}
        assert xmp.read_properties(b"<a>" * 100_000, names) == {}
        assert (
            xmp.read_properties(packet(described("A dog"))[:-60], names) != {}
        )  # cut short at its end


def hostile_block() -> bytes:
    """64 kB in which thousands of entries refer to the same bytes."""
    number = 5000
    entries = b"".join(
        struct.pack("<HHII", 0x9003 if at % 2 else at, 2 if at % 3 else 5, 60_000 // 8, 8)
        for at in range(number)
    )
    return b"II*\0\x08\0\0\0" + struct.pack("<H", number) + entries + struct.pack("<I", 8)


class TestHostile:
    def test_a_block_that_would_keep_exifread_busy(self, tmp_path: Path) -> None:
        assert len(exif.read_tags(io.BytesIO(hostile_block()))) <= 5
        assert facts(tmp_path, exif=b"Exif\0\0" + hostile_block()[:60_000]) == Facts()

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(data=st.data())
    def test_any_block(self, data: st.DataObject) -> None:
        content = bytearray(FULL["exif"].tobytes().removeprefix(b"Exif\0\0"))
        for _ in range(data.draw(st.integers(1, 12))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        image = Image.new("RGB", (1, 1))
        image.info["exif"] = bytes(content)
        image.info["xmp"] = FULL["xmp"]
        seen = read_facts(image, io.BytesIO())
        assert seen.keywords == ("garden", "Rose")
        assert seen.latitude is None or -90 <= seen.latitude <= 90
        assert seen.longitude is None or -180 <= seen.longitude <= 180
        for text in (seen.camera, seen.lens, seen.caption):
            assert text is None or text.strip()

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(content=st.binary(max_size=400))
    def test_any_bytes(self, content: bytes) -> None:
        image = Image.new("RGB", (1, 1))
        image.info |= {"exif": b"II*\0\x08\0\0\0" + content, "xmp": content, "photoshop": {}}
        assert isinstance(read_facts(image, io.BytesIO(content)), Facts)
