"""Facts from sidecars: which belong to a photo, what they contain, and when they are read."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from colour_describer import ColourDescriber, photo
from PIL import Image
from recording_describer import RecordingDescriber
from test_fact_sources import xmp_of
from test_facts import described, exif_of, listed, packet
from typer.testing import CliRunner

from captioner import indexing
from captioner.authorship import digest
from captioner.cli.app import app
from captioner.index import Index
from captioner.indexing import UpdateOptions, UpdateSummary, plan_update, update
from captioner.photos import sidecar_facts, takeout
from captioner.photos.sidecar_facts import read
from captioner.photos.walk import Selection, listings, walk
from captioner.photos.watch import Watcher
from captioner.types import Facts, Failure, Photo, RecognisedPhoto

TAKEN = {"timestamp": "1556964672", "formatted": "May 4, 2019, 10:11:12 AM UTC"}


def takeout_json(title: str = "a.jpg", **more: Any) -> bytes:
    return json.dumps({"title": title, "photoTakenTime": TAKEN, **more}).encode()


def sidecars_of(path: Path) -> list[str]:
    """As a walk of the folder finds them, and as one of the file alone does."""
    [found] = [one for one in walk([path.parent]) if isinstance(one, Photo) and one.path == path]
    [named] = walk([path])
    assert isinstance(named, Photo)
    assert named.sidecars == found.sidecars
    return [sidecar.name for sidecar in found.sidecars]


NOTHING = Facts()


def said(folder: Path, own: Facts = NOTHING, **files: bytes) -> Facts:
    """The facts of `a.jpg` with files beside it: `xmp` is `a.jpg.xmp`, `json` is `a.jpg.json`."""
    photo(folder / "a.jpg", "red")
    for ending, content in files.items():
        name = {"other": "a.xmp"}.get(ending, f"a.jpg.{ending}")
        (folder / name).write_bytes(content)
    [found] = walk([folder / "a.jpg"])
    assert isinstance(found, Photo)
    return read(found, own, _unexpected)[0]


def _unexpected(path: Path, reason: str) -> None:
    raise AssertionError(f"{path}: {reason}")


class TestNames:
    @pytest.mark.parametrize(
        ("name", "sidecars"),
        [
            ("a.jpg", ["a.jpg.xmp"]),
            ("a.jpg", ["a.xmp"]),
            ("a.jpg", ["a.jpg.XMP"]),
            ("a.JPG", ["a.Xmp"]),
            ("a.jpg", ["a.jpg.xmp", "a.xmp", "a.jpg.json"]),
            ("a.jpg", ["a.jpg.json"]),
            ("a.jpg", ["a.jpg.supplemental-metadata.json"]),
            ("a.jpg", ["a.jpg.supplemental-meta.json"]),
            ("a.jpg", ["a.jpg.s.json"]),
            ("a.jpg", ["a.jpg..json"]),
            ("a.jpg", ["a.json"]),
            ("IMG_20190504_101112_Bokeh.jpg",
             ["IMG_20190504_101112_Bokeh.jpg.supplemental-met.json"]),
            ("PXL_20230102_030405678.PORTRAIT.ORIGINAL.jpg",
             ["PXL_20230102_030405678.PORTRAIT.ORIGINAL.jpg.s.json"]),
            ("a" * 47 + ".jpg", ["a" * 46 + ".json"]),
            ("a" * 43 + ".jpg", ["a" * 43 + ".jp.json"]),
            ("Grüße" * 9 + ".jpg", ["GrüßeGrüßeGrüßeGrüßeGrüßeGrüßeGrü.json"]),  # 46 bytes
            ("a(1).jpg", ["a.jpg(1).json"]),
            ("a(1).jpg", ["a.jpg.supplemental-metadata(1).json"]),
            ("a(1).jpg", ["a(1).jpg.json"]),
            ("a-edited.jpg", ["a.jpg.json"]),
            ("a-edited(1).jpg", ["a.jpg(1).json"]),
            ("a-bearbeitet.jpg", ["a.jpg.supplemental-metadata.json"]),
            ("a b (c).jpg", ["a b (c).jpg.xmp"]),
            ("IMG_1.JPG", ["img_1.jpg.xmp"]),
            ("IMG_1.JPG", ["img_1.XMP"]),
            ("IMG_1.JPG", ["IMG_1.JPG.xmp", "Img_1.jpg.xmp"]),
            ("a.jpg", ["a.jpg.xmp", "a_01.jpg.xmp"]),
            ("é.jpg", ["e\u0301.jpg.xmp"]),
            ("e\u0301.jpg", ["é.xmp", "é.jpg.json"]),
        ],
    )  # fmt: skip
    def test_belong(self, tmp_path: Path, name: str, sidecars: list[str]) -> None:
        photo(tmp_path / name, "red")
        for sidecar in sidecars:
            (tmp_path / sidecar).write_bytes(b"{}")
        assert sidecars_of(tmp_path / name) == sidecars

    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("a.jpg", "a.jpg.xmp.bak"),
            ("a.jpg", "ab.jpg.xmp"),
            ("a.jpg", "a.png.json"),
            ("a.jpg", "a.jpg(1).json"),
            ("a(1).jpg", "a.jpg.json"),
            ("a.jpg", "a.jpg.metadata.json"),
            ("a.jpg", "b.json"),
            ("a.jpg", "a-edited.jpg.json"),
            ("a.jpg", "a_1.jpg.xmp"),
            ("a.jpg", "a_01.xmp"),
        ],
    )
    def test_do_not_belong(self, tmp_path: Path, name: str, other: str) -> None:
        photo(tmp_path / name, "red")
        (tmp_path / other).write_bytes(b"{}")
        assert sidecars_of(tmp_path / name) == []

    @pytest.mark.parametrize(
        ("name", "other", "sidecar"),
        [
            ("A.JPG", "a.jpg", "a.jpg.xmp"),
            ("A.JPG", "a.png", "a.xmp"),
            ("a.jpg", "a_01.jpg", "a_01.jpg.xmp"),
            ("a.jpg", "a_01.jpg", "a_01.xmp"),
        ],
    )
    def test_a_sidecar_with_the_name_of_another_photo(
        self, tmp_path: Path, name: str, other: str, sidecar: str
    ) -> None:
        photo(tmp_path / name, "red")
        photo(tmp_path / other, "red")
        (tmp_path / sidecar).write_bytes(b"")
        assert sidecars_of(tmp_path / name) == []
        assert sidecars_of(tmp_path / other) == [sidecar]

    def test_its_own_sidecar_before_that_of_the_original(self, tmp_path: Path) -> None:
        photo(tmp_path / "a-edited.jpg", "red")
        for name in ("a.jpg.json", "a-edited.jpg.json"):
            (tmp_path / name).write_bytes(b"{}")
        assert sidecars_of(tmp_path / "a-edited.jpg") == ["a-edited.jpg.json"]

    def test_folders_and_dangling_links_are_no_sidecars(self, tmp_path: Path) -> None:
        photo(tmp_path / "a.jpg", "red")
        (tmp_path / "a.jpg.xmp").mkdir()
        (tmp_path / "a.xmp").symlink_to(tmp_path / "nowhere")
        assert sidecars_of(tmp_path / "a.jpg") == []

    def test_what_an_ignore_file_names_is_left_out(self, tmp_path: Path) -> None:
        photo(tmp_path / "a.jpg", "red")
        (tmp_path / "a.jpg.json").write_bytes(b"{}")
        (tmp_path / "a.jpg.xmp").write_bytes(b"")
        [found] = walk([tmp_path], Selection(exclude=("*.json",)))
        assert isinstance(found, Photo)
        assert [sidecar.name for sidecar in found.sidecars] == ["a.jpg.xmp"]


class TestTakeout:
    def test_all(self, tmp_path: Path) -> None:
        content = takeout_json(
            "A long title.jpg",
            description="At the lake",
            geoData={"latitude": 47.37, "longitude": 8.54, "altitude": 0.0},
            people=[{"name": "Ruth"}, {"name": "Ada"}, {}, None],
        )
        assert said(tmp_path, json=content) == Facts(
            taken_at="2019-05-04T10:11:12",
            taken_offset="+00:00",
            latitude=47.37,
            longitude=8.54,
            caption="At the lake",
            keywords=("Ruth", "Ada"),
            title="A long title.jpg",
        )

    @pytest.mark.parametrize(
        ("photo", "title", "seen"),
        [
            ("a.jpg", "a.jpg", None),
            ("a.jpg", "A.JPG", None),
            ("a.jpg", "a", None),
            ("a(1).jpg", "a.jpg", None),
            ("a-edited.jpg", "a.jpg", None),
            ("a.jpg", "Our day.jpg", "Our day.jpg"),
            ("a & b's.jpg", "a &amp; b&#39;s.jpg", None),
            ("a.jpg", "&lt;3 &amp;amp; R&D &eacute;.jpg", "<3 &amp; R&D &eacute;.jpg"),
        ],
    )
    def test_a_title_that_is_the_name_of_the_file(
        self, photo: str, title: str, seen: str | None
    ) -> None:
        facts = takeout.read(takeout_json(title), photo)
        assert facts is not None
        assert facts.title == seen

    def test_places(self) -> None:
        def place(**more: object) -> tuple[float | None, float | None]:
            facts = takeout.read(takeout_json(**more), "a.jpg")
            assert facts is not None
            return facts.latitude, facts.longitude

        nowhere = {"latitude": 0.0, "longitude": 0.0}
        sils = {"latitude": 46.4, "longitude": 9.7}
        assert place(geoData=nowhere, geoDataExif=sils) == (46.4, 9.7)
        assert place(geoData=nowhere, geoDataExif=nowhere) == (None, None)
        for strange in ({"latitude": "x"}, {"latitude": 1e999, "longitude": 0}, [], None, 3):
            assert place(geoData=strange) == (None, None)

    @pytest.mark.parametrize(
        ("timestamp", "at"),
        [("0", "1970-01-01T00:00:00"), (-631152000, "1950-01-01T00:00:00"), ("x", None),
         ("9" * 30, None), (None, None)],
    )  # fmt: skip
    def test_times(self, timestamp: object, at: str | None) -> None:
        content = json.dumps({"title": "a", "photoTakenTime": {"timestamp": timestamp}}).encode()
        facts = takeout.read(content, "a.jpg")
        assert facts is not None
        assert facts.taken_at == at

    @pytest.mark.parametrize(
        "content",
        [b"{}", b"[]", b"null", b'{"title": "x"}', b'{"title": 1, "geoData": {}}',
         b'{"description": "by another program"}'],
    )  # fmt: skip
    def test_json_of_other_programs(self, tmp_path: Path, content: bytes) -> None:
        assert said(tmp_path, json=content) == Facts()

    def test_fills_in_only_what_is_missing(self, tmp_path: Path) -> None:
        content = takeout_json(description="Takeout", people=[{"name": "Ruth"}])
        own = Facts(taken_at="2001-01-01T01:01:01", caption="Own", keywords=("x",))
        assert said(tmp_path, own, json=content) == Facts(
            taken_at="2001-01-01T01:01:01",
            caption="Own",
            keywords=("x", "Ruth"),
            others=("Takeout",),
        )
        seen = said(tmp_path, Facts(), xmp=packet(described("Sidecar")), json=content)
        assert (seen.caption, seen.others) == ("Sidecar", ("Takeout",))
        assert seen.taken_at == "2019-05-04T10:11:12"


class TestXmp:
    OWN = Facts(
        taken_at="2001-01-01T01:01:01",
        taken_offset="+01:00",
        camera="Canon",
        latitude=1.0,
        longitude=2.0,
        caption="Own",
        keywords=("own",),
        title="Own title",
    )

    def test_takes_precedence_over_the_photo(self, tmp_path: Path) -> None:
        words = xmp_of(
            described("Later")
            + "<dc:title>Later title</dc:title>"
            + listed("dc:subject", "later", "OWN")
            + "<exif:DateTimeOriginal>2002-02-02T02:02:02</exif:DateTimeOriginal>"
            + "<exif:GPSLatitude>47,22.2N</exif:GPSLatitude>"
            + "<exif:GPSLongitude>8,32.4E</exif:GPSLongitude>"
            + "<tiff:Model>Nikon</tiff:Model>"
        )
        assert said(tmp_path, self.OWN, xmp=words) == Facts(
            taken_at="2002-02-02T02:02:02",
            camera="Canon",
            latitude=47.37,
            longitude=8.54,
            caption="Later",
            keywords=("later", "OWN"),
            title="Later title",
            others=("Own", "Own title"),
        )

    def test_empty(self, tmp_path: Path) -> None:
        assert said(tmp_path, self.OWN, xmp=packet("")) == self.OWN
        assert said(tmp_path, self.OWN, xmp=b"") == self.OWN

    @pytest.mark.parametrize(
        ("property_", "text", "at"),
        [
            ("exif:DateTimeOriginal", "2002-02-02", "2002-02-02T00:00:00"),
            ("exif:DateTimeOriginal", "2001-01-01", "2001-01-01T01:01:01"),  # the photo says more
            ("exif:DateTimeOriginal", "2001-01-01T01:01:01", "2001-01-01T01:01:01"),
            ("xmp:CreateDate", "2002-02-02", "2001-01-01T01:01:01"),  # perhaps the sidecar's own
        ],
    )
    def test_dates(self, tmp_path: Path, property_: str, text: str, at: str) -> None:
        seen = said(tmp_path, self.OWN, xmp=xmp_of(f"{property_}='{text}'"))
        assert seen.taken_at == at
        assert seen.taken_offset == ("+01:00" if at == self.OWN.taken_at else None)
        assert said(tmp_path, xmp=xmp_of(f"{property_}='{text}'")).taken_at

    def test_the_sidecar_of_the_whole_name_counts_first(self, tmp_path: Path) -> None:
        seen = said(
            tmp_path,
            xmp=packet(described("Whole") + listed("dc:subject", "a")),
            other=packet(described("Short") + listed("dc:subject", "b")),
        )
        assert (seen.caption, seen.keywords, seen.others) == ("Whole", ("a", "b"), ("Short",))

    def test_own_captions_are_left_out(self, tmp_path: Path) -> None:
        mark = f"<captioner:CaptionDigest>{digest('A dog runs.')}</captioner:CaptionDigest>"
        mark += listed("captioner:CaptionKeywords", "dog")
        ours = described("A dog runs.") + mark
        assert said(tmp_path, self.OWN, xmp=packet(ours + listed("dc:subject", "dog"))) == self.OWN
        seen = said(tmp_path, xmp=packet(ours + listed("dc:subject", "dog", "Rex")))
        assert seen == Facts(keywords=("Rex",))
        seen = said(tmp_path, xmp=packet(described("Rex runs.") + mark))
        assert seen.caption == "Rex runs."

    def test_malformed(self, tmp_path: Path) -> None:
        words = packet(described("Smith & Sons")).replace(b"Sons", b"S\xf6ns")
        assert said(tmp_path, xmp=words).caption == "Smith & Söns"


# In the index


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "captioner.db", write=True) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photo(tmp_path / "photos" / "a.jpg", "red")
    photo(tmp_path / "photos" / "b.jpg", "blue")
    return tmp_path / "photos"


def unloadable() -> RecordingDescriber:
    raise AssertionError("the model was loaded though there is nothing for it")


def run(index: Index, *roots: Path, load: Any = unloadable, **options: Any) -> UpdateSummary:
    """Update an index from folders, without a model unless told."""
    return update(index, listings(roots), load, roots=roots, **options)


def caption(index: Index, path: Path) -> str | None:
    found = index.facts(path)
    assert found is not None
    return found.caption


def write(path: Path, text: str) -> Path:
    path.write_bytes(packet(described(text)))
    return path


class TestIndex:
    def test_read_with_a_new_photo(self, index: Index, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        assert run(index, folder, load=RecordingDescriber) == UpdateSummary(described=2)
        assert caption(index, folder / "a.jpg") == "Rex"
        assert caption(index, folder / "b.jpg") is None

    def test_added_changed_and_removed(self, index: Index, folder: Path) -> None:
        run(index, folder, load=RecordingDescriber)
        sidecar = write(folder / "a.jpg.xmp", "Rex")
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert caption(index, folder / "a.jpg") == "Rex"
        assert run(index, folder) == UpdateSummary(unchanged=2)
        write(sidecar, "Rexy")
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert caption(index, folder / "a.jpg") == "Rexy"
        write(sidecar, "Rexi")  # of the same size
        os.utime(sidecar, ns=(1, 1))
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert caption(index, folder / "a.jpg") == "Rexi"
        sidecar.unlink()
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert caption(index, folder / "a.jpg") is None
        assert run(index, folder) == UpdateSummary(unchanged=2)

    def test_the_photos_own_facts_come_back(self, index: Index, folder: Path) -> None:
        words = exif_of({0x010E: "Own"}, {0x9003: "2001:01:01 01:01:01"})
        (folder / "c").mkdir()
        path = folder / "c" / "a.jpg"
        Image.new("RGB", (16, 12), "red").save(path, exif=words)
        sidecar = write(folder / "c" / "a.xmp", "Rex")
        run(index, folder, load=RecordingDescriber)
        merged = index.facts(path)
        assert merged == Facts(taken_at="2001-01-01T01:01:01", caption="Rex", others=("Own",))
        assert index.embedded_facts(next(iter(walk([path])))) == Facts(  # type: ignore[arg-type]
            taken_at="2001-01-01T01:01:01", caption="Own"
        )
        sidecar.unlink()
        run(index, folder)
        assert index.facts(path) == Facts(taken_at="2001-01-01T01:01:01", caption="Own")

    def test_neither_photos_nor_sidecars_are_opened_again(
        self, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        run(index, folder, load=RecordingDescriber)
        write(folder / "b.jpg.xmp", "Ada")
        opened: list[str] = []
        monkeypatch.setattr(
            sidecar_facts, "open_regular", lambda path: opened.append(path.name) or path.open("rb")
        )
        monkeypatch.setattr("captioner.execution.decoding.decode", _unexpected)
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert opened == ["b.jpg.xmp"]
        assert run(index, folder) == UpdateSummary(unchanged=2)
        assert opened == ["b.jpg.xmp"]

    def test_photos_indexed_by_an_older_version(self, index: Index, folder: Path) -> None:
        Image.new("RGB", (16, 12), "red").save(
            folder / "a.jpg", xmp=packet("<dc:title>T</dc:title>")
        )
        run(index, folder, load=RecordingDescriber)
        with sqlite3.connect(index.path) as connection:  # as it was before titles were read
            connection.execute("UPDATE facts SET version = NULL, title = NULL")
        connection.close()
        write(folder / "a.jpg.xmp", "Rex")
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert index.facts(folder / "a.jpg") == Facts(title="T", caption="Rex")

    def test_progress_is_reported(self, index: Index, folder: Path) -> None:
        run(index, folder, load=RecordingDescriber)
        write(folder / "a.jpg.xmp", "Rex")
        heard: list[object] = []
        run(index, folder, planned=heard.append, progress=heard.append)
        [found] = walk([folder / "a.jpg"])
        assert heard == [1, RecognisedPhoto(found, "sidecar", folder / "a.jpg")]  # type: ignore[arg-type]

    def test_what_a_dry_run_finds(self, index: Index, folder: Path) -> None:
        run(index, folder, load=RecordingDescriber)
        write(folder / "a.jpg.xmp", "Rex")
        made = plan_update(index, listings([folder]), UpdateOptions())
        assert [one.path.name for one in made.sidecars] == ["a.jpg"]
        assert made.todo == {}

    def test_a_photo_that_changed_as_well_is_described(self, index: Index, folder: Path) -> None:
        run(index, folder, load=RecordingDescriber)
        write(folder / "a.jpg.xmp", "Rex")
        photo(folder / "a.jpg", "green")
        os.utime(folder / "a.jpg", ns=(1, 1))
        assert run(index, folder, load=RecordingDescriber) == UpdateSummary(
            described=1, unchanged=1
        )
        assert caption(index, folder / "a.jpg") == "Rex"

    def test_a_photo_that_is_named(self, index: Index, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        update(index, listings([folder / "a.jpg"]), RecordingDescriber)
        assert caption(index, folder / "a.jpg") == "Rex"
        write(folder / "a.jpg.xmp", "Ada")
        assert update(index, listings([folder / "a.jpg"]), unloadable).sidecars == 1
        assert caption(index, folder / "a.jpg") == "Ada"

    def test_stopped_between_photos_and_sidecars(
        self, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is lacking after a kill is made up for by the next run."""
        write(folder / "a.jpg.xmp", "Rex")
        with monkeypatch.context() as context:
            context.setattr(indexing._Update, "_store_sidecars", lambda *_: None)
            run(index, folder, load=RecordingDescriber)
        assert caption(index, folder / "a.jpg") is None
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert caption(index, folder / "a.jpg") == "Rex"

    def test_human_authored_and_generated_captions_stay(self, index: Index, folder: Path) -> None:
        run(index, folder, load=RecordingDescriber)
        before = index.stored_caption(folder / "a.jpg")
        index.set_caption(folder / "b.jpg", "My words")
        for name in ("a", "b"):
            write(folder / f"{name}.jpg.xmp", "Rex")
        run(index, folder)
        assert index.stored_caption(folder / "a.jpg") == before
        said = index.current_caption(folder / "b.jpg")
        assert said is not None
        assert said.text == "My words"

    def test_a_photo_that_cannot_be_read(self, index: Index, folder: Path) -> None:
        (folder / "a.jpg").write_bytes((folder / "a.jpg").read_bytes()[:100])
        write(folder / "a.jpg.xmp", "Rex")
        assert run(index, folder, load=RecordingDescriber) == UpdateSummary(described=1, failed=1)
        assert run(index, folder) == UpdateSummary(unchanged=2)

    def test_a_photo_that_comes_back_with_another_sidecar(self, index: Index, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        run(index, folder, load=RecordingDescriber)
        away = (folder / "a.jpg").rename(folder.parent / "a.jpg")
        assert run(index, folder).missing == 1
        away.rename(folder / "a.jpg")
        write(folder / "a.jpg.xmp", "Other")
        summary = run(index, folder)
        assert (summary.back, summary.sidecars) == (1, 1)
        assert caption(index, folder / "a.jpg") == "Other"


class TestMoved:
    def test_with_its_sidecar(self, index: Index, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        run(index, folder, load=RecordingDescriber)
        (folder / "new").mkdir()
        for name in ("a.jpg", "a.jpg.xmp"):
            (folder / name).rename(folder / "new" / name)
        assert run(index, folder).moved == 1
        assert caption(index, folder / "new" / "a.jpg") == "Rex"
        assert run(index, folder) == UpdateSummary(unchanged=2)

    def test_renamed_with_its_sidecar(self, index: Index, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        run(index, folder, load=RecordingDescriber)
        (folder / "a.jpg").rename(folder / "c.jpg")
        (folder / "a.jpg.xmp").rename(folder / "c.jpg.xmp")
        assert run(index, folder).moved == 1
        assert caption(index, folder / "c.jpg") == "Rex"
        assert run(index, folder) == UpdateSummary(unchanged=2)

    def test_without_its_sidecar(self, index: Index, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        run(index, folder, load=RecordingDescriber)
        (folder / "a.jpg").rename(folder / "c.jpg")
        assert run(index, folder).moved == 1
        assert caption(index, folder / "c.jpg") is None
        assert run(index, folder) == UpdateSummary(unchanged=2)

    @pytest.mark.parametrize("with_sidecar", [False, True])
    def test_copied(self, index: Index, folder: Path, with_sidecar: bool) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        run(index, folder, load=RecordingDescriber)
        (folder / "c.jpg").write_bytes((folder / "a.jpg").read_bytes())
        if with_sidecar:
            write(folder / "c.jpg.xmp", "Copy")
        assert run(index, folder).copied == 1
        assert caption(index, folder / "a.jpg") == "Rex"
        assert caption(index, folder / "c.jpg") == ("Copy" if with_sidecar else None)
        assert run(index, folder) == UpdateSummary(unchanged=3)


class TestBad:
    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("a.jpg.xmp", b"\x00\x01nonsense", "it is not XMP."),
            ("a.jpg.json", b"{nonsense", "it is not JSON."),
            ("a.jpg.json", b"[" * 200_000, "it is not JSON."),
            ("a.jpg.json", b" " * (1 << 20) + b"{}", "it is larger than 1 MB."),
        ],
    )
    def test_content(
        self, index: Index, folder: Path, name: str, content: bytes, reason: str
    ) -> None:
        (folder / name).write_bytes(content)
        heard: list[object] = []
        summary = run(
            index, folder, load=RecordingDescriber, warn=lambda path, why: heard.append((path, why))
        )
        assert summary == UpdateSummary(described=2)
        assert heard == [(folder / name, reason)]
        assert run(index, folder, warn=_unexpected) == UpdateSummary(unchanged=2)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
    def test_a_fifo_does_not_block(self, index: Index, folder: Path) -> None:
        os.mkfifo(folder / "a.jpg.xmp")
        heard: list[object] = []

        def warn(path: Path, reason: str) -> None:
            heard.append((path.name, reason))

        assert run(index, folder, load=RecordingDescriber, warn=warn) == UpdateSummary(described=2)
        assert heard == [("a.jpg.xmp", "it is neither a file nor a folder.")]
        assert run(index, folder, warn=_unexpected) == UpdateSummary(unchanged=2)

    def test_that_cannot_be_opened_is_tried_again(
        self, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        with monkeypatch.context() as context:
            context.setattr(sidecar_facts, "open_regular", _forbidden)
            heard: list[object] = []
            run(index, folder, load=RecordingDescriber, warn=lambda *told: heard.append(told))
        assert heard == [(folder / "a.jpg.xmp", "you have no permission to read it.")]
        assert run(index, folder) == UpdateSummary(sidecars=1, unchanged=1)
        assert caption(index, folder / "a.jpg") == "Rex"

    def test_a_name_that_is_not_utf_8(self, index: Index, folder: Path) -> None:
        path = folder / os.fsdecode(b"\xe9.jpg")
        try:
            photo(path, "green")
        except OSError:
            pytest.skip("names are Unicode here")
        write(path.with_name(f"{path.name}.xmp"), "Rex")
        run(index, folder, load=RecordingDescriber)
        assert caption(index, path) == "Rex"
        assert run(index, folder) == UpdateSummary(unchanged=3)


def _forbidden(path: Path) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_sidecar_never_makes_a_photo_fail(folder: Path) -> None:
    (folder / "a.jpg.xmp").write_bytes(b"\xff" * 1000)
    assert not [one for one in walk([folder]) if isinstance(one, Failure)]


# On the command line


@pytest.fixture
def command(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs captioner on the folder, which is indexed already; no command may load the model."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr("captioner.model.load", lambda *_, **__: ColourDescriber())
    runner = CliRunner()
    assert runner.invoke(app, ["index", "."]).exit_code == 0
    monkeypatch.delattr("captioner.model.load")
    return lambda *words, **options: runner.invoke(app, list(words), **options)


class TestCommands:
    def test_index(self, command: Any, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        (folder / "b.jpg.json").write_bytes(b"{")
        result = command("index", ".", "--dry-run")
        assert result.stdout.splitlines() == [
            "sidecar changed\t./a.jpg",
            "sidecar changed\t./b.jpg",
        ]
        result = command("index", ".")
        assert result.exit_code == 0, result.stderr
        assert "No photos indexed, 2 with changed sidecars." in result.stderr
        assert "cannot read ./b.jpg.json: it is not JSON." in result.stderr
        result = command("index", ".")
        assert "Nothing new: 2 photos unchanged." in result.stderr
        assert "cannot read" not in result.stderr

    def test_index_of_paths_on_standard_input(self, command: Any, folder: Path) -> None:
        write(folder / "a.jpg.xmp", "Rex")
        result = command("index", "-", input="a.jpg\nb.jpg\n")
        assert "1 with changed sidecars, 1 unchanged." in result.stderr

    def test_show_and_export(self, command: Any, folder: Path) -> None:
        words = described("Rex") + "<dc:title>Our dog</dc:title>" + listed("dc:subject", "dog")
        (folder / "a.jpg.xmp").write_bytes(packet(words))
        command("index", ".")
        shown = [line.split("\t") for line in command("show", "a.jpg").stdout.splitlines()]
        assert ["title", "index", "", "a person's", "Our dog"] in shown
        assert ["caption", "index", "", "a person's", "Rex"] in shown
        records = [json.loads(line) for line in command("export").stdout.splitlines()]
        assert [records[0][f"file_{name}"] for name in ("title", "caption", "keywords")] == [
            *("Our dog", "Rex"),
            ["dog"],
        ]


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.XMP", "a.jpg.supplemental-metadata.json"])
def test_a_watcher_sees_sidecars(folder: Path, name: str) -> None:
    with Watcher([str(folder)]) as watcher:
        write(folder / name, "Rex")
        assert watcher.wait_for_changes(0.05, lambda: False, timeout=60) == [str(folder)]
