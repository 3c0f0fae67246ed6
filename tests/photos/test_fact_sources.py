"""Every field of a file that may hold a caption, a date or coordinates, and their order."""

from __future__ import annotations

import binascii
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin
from test_facts import (
    DESCRIPTION,
    DIGITIZED,
    MAKE,
    OFFSET,
    ORIGINAL,
    described,
    exif_of,
    facts,
    facts_of,
    listed,
    packet,
)

from captioner.authorship import digest
from captioner.formats.xmp import qualified
from captioner.photos import iptc as iptc_blocks
from captioner.photos import xmp
from captioner.types import Facts

DATE_TIME, USER_COMMENT, OFFSET_TIME = 0x0132, 0x9286, 0x9010
XP_TITLE, XP_COMMENT, XP_KEYWORDS, XP_SUBJECT = 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F

NAMESPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "exif": "http://ns.adobe.com/exif/1.0/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "tiff": "http://ns.adobe.com/tiff/1.0/",
        "aux": "http://ns.adobe.com/exif/1.0/aux/",
        "lr": "http://ns.adobe.com/lightroom/1.0/",
        "digiKam": "http://www.digikam.org/ns/1.0/",
        "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
        "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
        "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    }.items()
)


def xmp_of(inside: str) -> bytes:
    """A packet with all namespaces declared; of an attribute list or of elements."""
    if inside.startswith("<"):
        return packet(inside).replace(b'<rdf:Description rdf:about=""', _START, 1)
    return packet("").replace(b'<rdf:Description rdf:about=""', _START + b" " + inside.encode(), 1)


_START = f'<rdf:Description rdf:about="" {NAMESPACES}'.encode()


def utf_16(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


def exif_bytes(tag: int, value: bytes, kind: int = 1, table: int | None = None) -> bytes:
    """A block with one entry of bytes, which Pillow does not write in every type."""
    entry = struct.pack("<HHII", tag, kind, len(value), 0)
    if table is None:
        head = struct.pack("<2sHIH", b"II", 42, 8, 1)
        return b"Exif\0\0" + head + entry[:8] + struct.pack("<II", 26, 0) + value
    head = struct.pack("<2sHIH", b"II", 42, 8, 1) + struct.pack("<HHII", table, 4, 1, 26)
    inner = struct.pack("<IH", 0, 1) + entry[:8] + struct.pack("<II", 44, 0)
    return b"Exif\0\0" + head + inner + value


def iim(**sets: bytes | list[bytes]) -> bytes:
    """IPTC datasets by their numbers in record 2: `_120=b"…"`."""
    found = b""
    for name, values in sets.items():
        for value in values if isinstance(values, list) else [values]:
            found += struct.pack(">BBBH", 0x1C, 2, int(name.strip("_")), len(value)) + value
    return found


def with_iptc(folder: Path, block: bytes, **options: Any) -> Facts:
    """The facts of a JPEG with IPTC datasets."""
    path = folder / "a.jpg"
    Image.new("RGB", (16, 12)).save(path, **options)
    resource = (
        b"8BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block + b"\0" * (len(block) % 2)
    )
    segment = b"Photoshop 3.0\0" + resource
    content = path.read_bytes()
    segment = b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment
    path.write_bytes(content[:2] + segment + content[2:])
    return facts_of(path)


def profile(kind: str, block: bytes) -> tuple[str, str]:
    """A block as ImageMagick writes it into PNG files."""
    digits = binascii.hexlify(block).decode()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"Raw profile type {kind}", f"\n{kind}\n{len(block):8}\n{lines}\n"


def png(folder: Path, *texts: tuple[str, str], compressed: bool = False) -> Facts:
    info = PngImagePlugin.PngInfo()
    for name, text in texts:
        info.add_text(name, text, zip=compressed)
    return facts(folder, "a.png", pnginfo=info)


class TestExif:
    @pytest.mark.parametrize(
        ("tag", "text", "seen"),
        [
            (XP_TITLE, "Omas Garten", Facts(title="Omas Garten")),
            (XP_COMMENT, "Grüße vom See", Facts(caption="Grüße vom See")),
            (XP_SUBJECT, "Ein See", Facts(caption="Ein See")),
            (XP_KEYWORDS, "Oma;See ; ;oma", Facts(keywords=("Oma", "See"))),
        ],
    )
    def test_tags_of_windows(self, tmp_path: Path, tag: int, text: str, seen: Facts) -> None:
        assert facts(tmp_path, exif=exif_bytes(tag, utf_16(text))) == seen

    @pytest.mark.parametrize(
        "comment",
        [
            b"ASCII\0\0\0Grandma",
            b"UNICODE\0" + "Grandma".encode("utf-16-le"),
            b"UNICODE\0" + "Grandma".encode("utf-16-be"),
            b"UNICODE\0" + "\ufeffGrandma".encode("utf-16-le"),
            b"\0\0\0\0\0\0\0\0Grandma",
            b"JIS\0\0\0\0\0Grandma",
        ],
    )
    def test_user_comment(self, tmp_path: Path, comment: bytes) -> None:
        block = exif_bytes(USER_COMMENT, comment, 7, 0x8769)
        assert facts(tmp_path, exif=block).caption == "Grandma"

    def test_a_user_comment_in_japanese(self, tmp_path: Path) -> None:
        """Of Japanese in the other byte order than the block's: fewer high bytes than low ones."""
        for encoding in ("utf-16-le", "utf-16-be"):
            comment = b"UNICODE\0" + "おばあさんのたんじょうび".encode(encoding)
            block = exif_bytes(USER_COMMENT, comment, 7, 0x8769)
            assert facts(tmp_path, exif=block).caption == "おばあさんのたんじょうび"

    @pytest.mark.parametrize("comment", [b"ASCII\0\0\0" + b" " * 40, bytes(64), b"ASCII\0\0\0{a}"])
    def test_no_user_comment(self, tmp_path: Path, comment: bytes) -> None:
        block = exif_bytes(USER_COMMENT, comment, 7, 0x8769)
        assert facts(tmp_path, exif=block) == Facts()

    def test_date_time_if_there_is_no_other_date(self, tmp_path: Path) -> None:
        block = exif_of({DATE_TIME: "2019:05:04 10:11:12"}, {OFFSET_TIME: "+02:00"})
        seen = facts(tmp_path, exif=block)
        assert (seen.taken_at, seen.taken_offset) == ("2019-05-04T10:11:12", "+02:00")

    def test_a_description_of_windows_1252(self, tmp_path: Path) -> None:
        block = exif_bytes(DESCRIPTION, b"Grandma\x92s caf\xe9\0", 2)
        assert facts(tmp_path, exif=block).caption == "Grandma’s café"


class TestXmp:
    @pytest.mark.parametrize(
        ("inside", "seen"),
        [
            ('<dc:title><rdf:Alt><rdf:li xml:lang="x-default">T</rdf:li></rdf:Alt></dc:title>',
             Facts(title="T")),
            ("<dc:title>T</dc:title>", Facts(title="T")),
            ("photoshop:Headline='T'", Facts(title="T")),
            ("<photoshop:Headline>T</photoshop:Headline>", Facts(title="T")),
            ("tiff:ImageDescription='C'", Facts(caption="C")),
            (described("{C}"), Facts(caption="{C}")),
            ("<dc:description><rdf:Description><rdf:value>C</rdf:value></rdf:Description>"
             "</dc:description>", Facts(caption="C")),
            (listed("dc:subject", "a", "b", "A"), Facts(keywords=("a", "b"))),
            ("<dc:subject><rdf:Seq><rdf:li>a</rdf:li></rdf:Seq></dc:subject>",
             Facts(keywords=("a",))),
            (listed("lr:hierarchicalSubject", "Places|Alps|Sils"),
             Facts(keywords=("Places", "Alps", "Sils"))),
            (listed("digiKam:TagsList", "People/Ruth"), Facts(keywords=("People", "Ruth"))),
            (listed("MicrosoftPhoto:LastKeywordXMP", "Ruth"), Facts(keywords=("Ruth",))),
            (described("{C}").replace("dc:description", "Iptc4xmpCore:AltTextAccessibility"),
             Facts(others=("{C}",))),
            ("acdsee:caption='C' acdsee:notes='N'", Facts(caption="N", others=("C",))),
            ("photoshop:City='Sils' photoshop:Country='Switzerland'",
             Facts(others=("Sils", "Switzerland"))),
            ("<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li rdf:parseType='Resource'>"
             "<Iptc4xmpExt:City>Sils</Iptc4xmpExt:City></rdf:li></rdf:Bag>"
             "</Iptc4xmpExt:LocationShown>", Facts(others=("Sils",))),
            (listed("Iptc4xmpExt:PersonInImage", "Ruth"), Facts(keywords=("Ruth",))),
            ('<mwg-rs:Regions><rdf:Bag><rdf:li><rdf:Description mwg-rs:Name="Ruth"/></rdf:li>'
             "</rdf:Bag></mwg-rs:Regions>", Facts(keywords=("Ruth",))),
            ("tiff:Make='Canon' tiff:Model='EOS R6' aux:Lens='RF 50mm'",
             Facts(camera="Canon EOS R6", lens="RF 50mm")),
        ],
    )  # fmt: skip
    def test_properties_and_forms(self, tmp_path: Path, inside: str, seen: Facts) -> None:
        for name in ("a.jpg", "a.webp", "a.avif"):
            assert facts(tmp_path, name, xmp=xmp_of(inside)) == seen

    @pytest.mark.parametrize(
        "name",
        ["exif:DateTimeOriginal", "photoshop:DateCreated", "exif:DateTimeDigitized",
         "xmp:CreateDate"],
    )  # fmt: skip
    @pytest.mark.parametrize(
        ("text", "at", "offset"),
        [
            ("2019-05-04T10:11:12", "2019-05-04T10:11:12", None),
            ("2019-05-04T10:11:12.345+02:00", "2019-05-04T10:11:12", "+02:00"),
            ("2019-05-04T10:11Z", "2019-05-04T10:11:00", "+00:00"),
            ("2019-05-04", "2019-05-04T00:00:00", None),
            ("1950", "1950-01-01T00:00:00", None),
            ("2019-05-04T24:00:00", "2019-05-04T00:00:00", None),
            ("2019-05-04T10:11:60", "2019-05-04T10:11:59", None),
            ("2019-00-00T00:00:00", "2019-01-01T00:00:00", None),
            ("2019- 5- 4T 1: 2: 3", "2019-05-04T01:02:03", None),
            ("2019-02-30T10:11:12", None, None),
            ("20190504", None, None),
            ("0000-00-00T00:00:00", None, None),
        ],
    )
    def test_dates(
        self, tmp_path: Path, name: str, text: str, at: str | None, offset: str | None
    ) -> None:
        for inside in (f'{name}="{text}"', f"<{name}>{text}</{name}>"):
            seen = facts(tmp_path, xmp=xmp_of(inside))
            assert (seen.taken_at, seen.taken_offset) == (at, offset)

    @pytest.mark.parametrize(
        ("latitude", "longitude", "place"),
        [
            ("47,22.2N", "8,32.4E", (47.37, 8.54)),
            ("47,22,12N", "8,32,24W", (47.37, -8.54)),
            ("33,51.6S", "151,12.6E", (-33.86, 151.21)),
            ("47.37", "-8.54", (47.37, -8.54)),
            ("47.37N", "8.54E", (47.37, 8.54)),
            ("0,0.0N", "0,0.0E", (None, None)),
            ("91,0.0N", "8,32.4E", (None, None)),
            ("47,99.0N", "8,32.4E", (None, None)),
            ("47,22.2E", "8,32.4E", (None, None)),
            ("somewhere", "8,32.4E", (None, None)),
        ],
    )
    def test_coordinates(
        self, tmp_path: Path, latitude: str, longitude: str, place: tuple[float, float]
    ) -> None:
        inside = f'exif:GPSLatitude="{latitude}" exif:GPSLongitude="{longitude}"'
        seen = facts(tmp_path, xmp=xmp_of(inside))
        assert (seen.latitude, seen.longitude) == place

    @pytest.mark.parametrize(
        ("good", "bad"),
        [
            (b"</dc:description>", b"</dc:description><dc:rights>Smith & Sons</dc:rights>"),
            (b"Ruth", b"Ruth & I"),
            (b"Ruth", b"Ruth &nbsp; &unknown; I"),
            (b"Ruth", b"Ruth\x01\x0b"),
            (b"Ruth", b"Ruth &#1; &#x0;"),
            (b"Ruth", b"Ruth < I"),
            (b"Ruth", b"Ruth Z\xfcrich"),
            (b' rdf:about=""', b' rdf:about="" rdf:about=""'),
            (b' rdf:about=""', b' rdf:about="" foo:bar="1"'),
            (b"</dc:description>", b"</dc:description><foo:bar>1</foo:bar>"),
            (b"</dc:description>", b"</dc:description><dc:creator>"),
            (b"</dc:description>", b"</dc:description></dc:creator>"),
            (b'xmlns:dc="http://purl.org/dc/elements/1.1/"', b""),
            (b'<?xpacket end="w"?>', b""),
            (b'<?xpacket end="w"?>', b"garbage"),
            (b"</rdf:RDF>", b"</rdf:RDF><!-- never ended"),
        ],
    )  # fmt: skip
    def test_malformed(self, tmp_path: Path, good: bytes, bad: bytes) -> None:
        whole = packet(described("Grandma Ruth") + listed("dc:subject", "Sils"))
        assert good in whole
        seen = facts(tmp_path, xmp=whole.replace(good, bad, 1))
        assert seen.caption
        assert seen.caption.startswith("Grandma Ruth")
        assert seen.keywords == ("Sils",)

    @pytest.mark.parametrize(
        "piece",
        [b"a", b" ", b"<a ", b'<a "', b"<a b='", b"</a", b"</ ", b"<!--", b"<![CDATA[", b"&",
         b"&#1", b"<a b=", b"a= ", b'""', b"<?", b"<"],
    )  # fmt: skip
    def test_nonsense_takes_linear_time(self, piece: bytes) -> None:
        began = time.process_time()
        for start in (b"<a>&", b"<a>&<b ", b"<a>&</", b"<a>&<b"):
            for end in (b"", b">"):
                assert (
                    xmp.read_properties(start + piece * (200_000 // len(piece)) + end, set()) == {}
                )
        assert time.process_time() - began < 20  # to look at all for each takes an hour

    def test_malformed_characters(self) -> None:
        name = qualified("dc:description")
        whole = packet(described("Z\xfcrich & Gen\xe8ve &amp; &#66;ern \u65e5")).decode()
        mixed = whole.encode().replace("Z\xfcrich".encode(), b"Z\xfcrich")
        assert xmp.read_properties(mixed, {name}) == {name: ["Z\xfcrich & Gen\xe8ve & Bern \u65e5"]}

    def test_utf_16(self) -> None:
        name = qualified("dc:description")
        for inside in ("Z\xfcrich", "Z\xfcrich & I"):
            whole = packet(described(inside)).decode().encode("utf-16")
            assert xmp.read_properties(whole, {name}) == {name: [inside]}

    @pytest.mark.parametrize(
        "encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
    )
    def test_wide_characters(self, encoding: str) -> None:
        name = qualified("dc:description")
        for start in ("", f'<?xml version="1.0" encoding="{encoding[:6].upper()}"?>'):
            whole = (start + packet(described("Zürich")).decode()).encode(encoding)
            assert xmp.read_properties(whole, {name}) == {name: ["Zürich"]}

    def test_a_packet_that_ends_within_a_text(self) -> None:
        name = qualified("dc:description")
        whole = packet(described("Grandma bakes"))
        for end in (b" bakes", b"</rdf:li"):
            assert xmp.read_properties(whole[: whole.index(end)], {name})[name][0].startswith(
                "Grandma"
            )

    def test_captioners_own_words_in_a_malformed_packet(self, tmp_path: Path) -> None:
        mark = f"<captioner:CaptionDigest>{digest('A dog runs.')}</captioner:CaptionDigest>"
        whole = packet(described("A dog runs.") + mark + "<dc:rights>A & B</dc:rights>")
        assert facts(tmp_path, xmp=whole) == Facts()

    def test_own_alternative_texts(self, tmp_path: Path) -> None:
        inside = described("A dog.").replace("dc:description", "Iptc4xmpCore:AltTextAccessibility")
        mark = f"<captioner:AltDigest>{digest('A dog.')}</captioner:AltDigest>"
        own = xmp_of(inside + mark).replace(
            b" xmlns:exif=", b' xmlns:captioner="https://captioner.dev/ns/1.0/" xmlns:exif='
        )
        assert facts(tmp_path, xmp=own) == Facts()
        assert facts(tmp_path, xmp=own.replace(b"A dog", b"Rex")).others == ("Rex.",)

    def test_an_own_line_below_a_human_authored_caption(self, tmp_path: Path) -> None:
        mark = f"<captioner:CaptionDigest>{digest('A dog runs.')}</captioner:CaptionDigest>"
        whole = packet(described("Rex\nA dog runs.") + mark)
        assert facts(tmp_path, xmp=whole).caption == "Rex"

    def test_the_first_language_is_shown_and_all_are_searched(self, tmp_path: Path) -> None:
        both = described("Sea").replace(
            "</rdf:Alt>", '<rdf:li xml:lang="de">Meer</rdf:li></rdf:Alt>'
        )
        seen = facts(tmp_path, xmp=packet(both))
        assert (seen.caption, seen.others) == ("Sea", ("Meer",))


class TestIptc:
    def test_all(self, tmp_path: Path) -> None:
        block = iim(_5=b"T", _120=b"C", _25=[b"a", b"b"], _55=b"20190504", _60=b"101112+0200")
        assert with_iptc(tmp_path, block) == Facts(
            taken_at="2019-05-04T10:11:12",
            taken_offset="+02:00",
            caption="C",
            keywords=("a", "b"),
            title="T",
        )

    def test_headline(self, tmp_path: Path) -> None:
        seen = with_iptc(tmp_path, iim(_105=b"H"))
        assert seen.title == "H"
        seen = with_iptc(tmp_path, iim(_105=b"H", _5=b"T"))
        assert (seen.title, seen.others) == ("T", ("H",))

    @pytest.mark.parametrize(
        ("date", "time", "at"),
        [
            (b"20190504", b"", "2019-05-04T00:00:00"),
            (b"20190504", b"1011", "2019-05-04T10:11:00"),
            (b"2019-05-04", b"10:11:12", "2019-05-04T10:11:12"),
            (b"19500000", b"000000", "1950-01-01T00:00:00"),
            (b"00000000", b"000000", None),
            (b"20191304", b"101112", None),
            (b"yesterday", b"", None),
        ],
    )
    def test_dates(self, tmp_path: Path, date: bytes, time: bytes, at: str | None) -> None:
        assert with_iptc(tmp_path, iim(_55=date, _60=time)).taken_at == at
        assert with_iptc(tmp_path, iim(_62=date, _63=time)).taken_at == at

    def test_utf_8_that_is_not_declared(self, tmp_path: Path) -> None:
        assert with_iptc(tmp_path, iim(_120="Zürich 日".encode())).caption == "Zürich 日"

    def test_in_a_tiff(self, tmp_path: Path) -> None:
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[33723] = iim(_120=b"C", _25=b"k")
        tags.tagtype[33723] = 7
        seen = facts(tmp_path, "a.tif", tiffinfo=tags)
        assert (seen.caption, seen.keywords) == ("C", ("k",))

    def test_in_a_tiff_as_numbers_of_four_bytes(self, tmp_path: Path) -> None:
        block = iim(_120=b"C" * 15)
        assert len(block) == 20
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[33723] = block
        tags.tagtype[33723] = 7
        facts(tmp_path, "a.tif", tiffinfo=tags)
        path = tmp_path / "a.tif"
        content = path.read_bytes()
        entry = struct.pack("<HHI", 33723, 7, 20)  # Pillow itself writes one number at most
        assert content.count(entry) == 1
        path.write_bytes(content.replace(entry, struct.pack("<HHI", 33723, 4, 5)))
        assert facts_of(path).caption == "C" * 15

    def test_in_a_tiff_as_one_large_number(self, tmp_path: Path) -> None:
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[33723] = 0xFFFFFFFF
        tags.tagtype[33723] = 4
        assert facts(tmp_path, "a.tif", tiffinfo=tags) == Facts()

    def test_place_names(self, tmp_path: Path) -> None:
        seen = with_iptc(tmp_path, iim(_90=b"Sils", _101=b"Switzerland", _120=b"C"))
        assert (seen.caption, seen.others) == ("C", ("Sils", "Switzerland"))

    @pytest.mark.parametrize(
        "block",
        [b"", b"\x1c", b"\x1c\x02\x78\xff\xff", b"8BIM", b"8BIM\x04\x04\xff", iim(_120=b"C")[:-1]],
    )
    def test_cut_short(self, block: bytes) -> None:
        assert isinstance(iptc_blocks.read_texts(block), dict)

    def test_an_extended_length(self) -> None:
        block = b"\x1c\x02\x78\x80\x04" + struct.pack(">I", 40_000) + b"a" * 40_000
        assert iptc_blocks.read_texts(block) == {(2, 120): ["a" * 40_000]}


class TestPng:
    @pytest.mark.parametrize("compressed", [False, True])
    def test_texts(self, tmp_path: Path, compressed: bool) -> None:
        texts = [("Title", "T"), ("Description", "C"), ("Comment", "D")]
        seen = png(
            tmp_path, *texts, ("Creation Time", "2019:05:04 10:11:12"), compressed=compressed
        )
        assert seen == Facts(taken_at="2019-05-04T10:11:12", caption="C", title="T", others=("D",))

    @pytest.mark.parametrize(
        ("text", "at", "offset"),
        [
            ("Sat, 04 May 2019 10:11:12 +0200", "2019-05-04T10:11:12", "+02:00"),
            ("Sat, 04 May 2019 10:11:12 GMT", "2019-05-04T10:11:12", "+00:00"),
            ("2019-05-04T10:11:12Z", "2019-05-04T10:11:12", "+00:00"),
            ("a while ago", None, None),
            ("", None, None),
        ],
    )
    def test_dates(self, tmp_path: Path, text: str, at: str | None, offset: str | None) -> None:
        seen = png(tmp_path, ("Creation Time", text))
        assert (seen.taken_at, seen.taken_offset) == (at, offset)

    def test_profiles_of_imagemagick(self, tmp_path: Path) -> None:
        block = exif_of({MAKE: "Canon"}, {ORIGINAL: "2019:05:04 10:11:12"}).tobytes()
        words = xmp_of("<dc:title>T</dc:title>" + listed("dc:subject", "x"))
        seen = png(
            tmp_path,
            profile("exif", block),
            profile("xmp", words),
            profile("iptc", b"8BIM\x04\x04\0\0" + struct.pack(">I", 13) + iim(_120=b"Caption!")),
        )
        assert seen == Facts(
            taken_at="2019-05-04T10:11:12",
            camera="Canon",
            caption="Caption!",
            keywords=("x",),
            title="T",
        )

    def test_profiles_in_an_app1(self, tmp_path: Path) -> None:
        block = b"Exif\0\0" + exif_of({MAKE: "Canon"}).tobytes().removeprefix(b"Exif\0\0")
        assert png(tmp_path, profile("APP1", block)).camera == "Canon"
        words = b"http://ns.adobe.com/xap/1.0/\0" + packet(described("C"))
        assert png(tmp_path, profile("APP1", words)).caption == "C"

    def test_an_invalid_profile(self, tmp_path: Path) -> None:
        assert png(tmp_path, ("Raw profile type exif", "\nexif\n 4\nzz")) == Facts()


class TestComments:
    @pytest.mark.parametrize("name", ["a.jpg", "a.gif"])
    def test_human_authored(self, tmp_path: Path, name: str) -> None:
        assert facts(tmp_path, name, comment="Zürich & I".encode()).caption == "Zürich & I"
        assert facts(tmp_path, name, comment=b"Z\xfcrich").caption == "Zürich"

    @pytest.mark.parametrize(
        "comment",
        [b"Lavc58.134.100", b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90",
         b"Created with GIMP", b"Resized with ezgif.com"],
    )  # fmt: skip
    def test_program_data(self, tmp_path: Path, comment: bytes) -> None:
        assert facts(tmp_path, comment=comment) == Facts()

    def test_xmp_in_a_gif(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gif"
        Image.new("RGB", (8, 6)).save(path)
        content = path.read_bytes()
        trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
        block = b"\x21\xff\x0bXMP DataXMP" + packet(described("Grandma")) + trailer
        assert content.count(b"\x2c\0\0\0\0") == 1
        start = content.index(b"\x2c\0\0\0\0")
        path.write_bytes(content[:start] + block + content[start:])
        assert facts_of(path).caption == "Grandma"


class TestOrder:
    """Of several places that say something, the one that counts; checked pair by pair."""

    def test_captions(self, tmp_path: Path) -> None:
        sources: dict[str, Any] = {
            "exif": exif_of({DESCRIPTION: "exif"}), "xmp": packet(described("xmp")),
            "iptc": iim(_120=b"iptc"), "comment": b"comment",
        }  # fmt: skip
        while sources:
            options = {name: value for name, value in sources.items() if name != "iptc"}
            seen = with_iptc(tmp_path, sources.get("iptc", b""), **options)
            first, *others = sources
            assert (seen.caption, seen.others) == (first, tuple(others))
            del sources[first]

    def test_dates(self, tmp_path: Path) -> None:
        def exif(**tags: str) -> Any:
            top = {DATE_TIME: tags["changed"]} if "changed" in tags else {}
            known = {"original": ORIGINAL, "digitized": DIGITIZED}
            return exif_of(top, {known[name]: at for name, at in tags.items() if name in known})

        def year(of: Facts) -> str:
            return (of.taken_at or "")[:4]

        tags = {"original": "2001:01:01 01:01:01", "digitized": "2005:01:01 01:01:01",
                "changed": "2008:01:01 01:01:01"}  # fmt: skip
        packets = {"exif:DateTimeOriginal": "2002", "photoshop:DateCreated": "2003",
                   "xmp:CreateDate": "2006"}  # fmt: skip
        datasets = {"_55": b"20040101", "_62": b"20070101"}

        def seen() -> str:
            attributes = " ".join(f'{name}="{at}"' for name, at in packets.items())
            options: dict[str, Any] = {"exif": exif(**tags)}
            if attributes:
                options["xmp"] = xmp_of(attributes)
            return year(with_iptc(tmp_path, iim(**datasets), **options))  # type: ignore[arg-type]

        for expected, source, name in (
            ("2001", tags, "original"),
            ("2002", packets, "exif:DateTimeOriginal"),
            ("2003", packets, "photoshop:DateCreated"),
            ("2004", datasets, "_55"),
            ("2005", tags, "digitized"),
            ("2006", packets, "xmp:CreateDate"),
            ("2007", datasets, "_62"),
            ("2008", tags, "changed"),
        ):
            assert seen() == expected
            del source[name]  # type: ignore[attr-defined]
        assert seen() == ""

    def test_coordinates(self, tmp_path: Path) -> None:
        packed = xmp_of('exif:GPSLatitude="47,22.2N" exif:GPSLongitude="8,32.4E"')
        block = exif_of(gps={1: "N", 2: (1.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)})
        assert facts(tmp_path, xmp=packed, exif=block).latitude == 1
        block = exif_of(gps={1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
        assert facts(tmp_path, xmp=packed, exif=block).latitude == 47.37

    def test_an_offset_stays_with_its_date(self, tmp_path: Path) -> None:
        block = exif_of(sub={ORIGINAL: "2001:01:01 01:01:01"})
        packed = xmp_of('exif:DateTimeOriginal="2002-01-01T01:01:01+05:00"')
        assert facts(tmp_path, exif=block, xmp=packed).taken_offset is None
        block = exif_of(sub={OFFSET: "+01:00"})
        seen = facts(tmp_path, exif=block, xmp=packed)
        assert (seen.taken_at, seen.taken_offset) == ("2002-01-01T01:01:01", "+05:00")

    def test_raw_photos_keep_their_packet_in_the_tiff(self, tmp_path: Path) -> None:
        import io

        from captioner.photos.facts import read_facts

        words = packet(described("C"))
        block = exif_bytes(700, words, 1).removeprefix(b"Exif\0\0")
        assert read_facts(Image.new("RGB", (1, 1)), io.BytesIO(block)).caption == "C"
