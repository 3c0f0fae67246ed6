"""What exiftool and exiv2 make of the files that captioner wrote: the caption, and no loss."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pictures import HARD, WORDS, Memory, packet
from PIL import Image
from test_embed import FILES

from captioner.metadata import embed
from captioner.metadata.writer import Options, State, Writer

MOVED = {
    # What says where something lies, and follows when it moves; or how long something is.
    *("SourceFile", "IFD0:ImageDescription", "XMP-dc:Description", "XMP-dc:Subject"),
    *("IPTC:Caption-Abstract", "IPTC:Keywords", "IPTC:CodedCharacterSet", "File:CurrentIPTCDigest"),
    *("Photoshop:IPTCDigest", "MPF0:MPImageLength", "MPImage1:MPImageStart"),
    *("MPImage2:MPImageStart", "MPImage3:MPImageStart", "IFD0:ApplicationNotes"),
    *("IFD1:ThumbnailOffset", "IFD0:PreviewImageStart", "File:ExifByteOrder"),
    *("MPImage1:MPImageLength", "RIFF:WebP_Flags", "XMP-x:XMPToolkit"),
}
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif"}


def needs(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed: apt-get install {program}")


def tags(paths: list[Path], *, by_path: bool = False) -> dict[str, dict[str, Any]]:
    """All that exiftool finds in files, by their names: unknown tags and binary ones, too."""
    words = ["exiftool", "-j", "-a", "-G1", "-U", "-b", "-struct", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, check=False)
    found = json.loads(done.stdout.decode("utf-8", "replace") or "[]")
    return {t["SourceFile"] if by_path else Path(t["SourceFile"]).name: t for t in found}


def kept(tags: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in tags.items()
        if name not in MOVED
        and not name.startswith(("System:", "XMP-captioner:", "XMP-iptcCore:AltText"))
        and not name.endswith(("Offset", "Start"))
    }


@pytest.fixture
def written(tmp_path: Path) -> list[Path]:
    """The tiny files, each with a caption in it."""
    paths = []
    with Writer(Memory(), Options(in_place=True, sync=False)) as writer:
        for number, (name, data) in enumerate(FILES.items()):
            path = tmp_path / f"{number}{SUFFIXES[name.split()[0].strip(',')]}"
            path.write_bytes(data)
            outcome = writer.write(path, replace(WORDS, description=HARD, alt="A dog."))
            assert (outcome.state, outcome.in_place) == (State.WRITTEN, True), outcome
            paths.append(path)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(FILES["jpeg"])
    with Writer(Memory()) as writer:
        paths.append(writer.write(photo, replace(WORDS, description=HARD)).target)
    return paths


def test_exiftool_reads_the_caption(written: list[Path]) -> None:
    needs("exiftool")
    for name, found in tags(written).items():
        assert found["XMP-dc:Description"] == HARD, name
        assert set(found["XMP-dc:Subject"]) >= {"dog", "grass"}, name
        assert found["XMP-captioner:CaptionModel"] == WORDS.model
        assert "XMP" not in found.get("ExifTool:Warning", ""), name


def test_exiv2_reads_the_caption(written: list[Path]) -> None:
    needs("exiv2")
    for path in written:
        done = subprocess.run(
            ["exiv2", "-q", "-K", "Xmp.dc.description", "-Pt", "print", str(path)],
            capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert done.stdout.decode().strip() == f'lang="x-default" {HARD}', path


def test_the_mark_survives_exiftool(tmp_path: Path) -> None:
    needs("exiftool")
    photo = tmp_path / "a.jpg"
    photo.write_bytes(FILES["jpeg with xmp"])
    rating = ["exiftool", "-q", "-overwrite_original", "-Rating=5", "-Title=Rex"]
    with Writer(Memory(), Options(in_place=True)) as writer:
        writer.write(photo, WORDS)
    subprocess.run([*rating, str(photo)], check=True)
    content = embed.read(photo.read_bytes())
    assert not content.persons(content.texts)
    beside = photo.with_name("a.jpg.xmp")
    beside.write_bytes(packet())
    with Writer(Memory()) as writer:
        assert writer.write(photo, replace(WORDS, description="A cat.")).state is State.WRITTEN
        subprocess.run([*rating, str(beside)], check=True)
        in_photo, in_sidecar = writer.undo(photo)
    assert (in_photo.state, in_sidecar.state) == (State.REFUSED, State.UNDONE)
    found = tags([beside])["a.jpg.xmp"]
    assert (found["XMP-xmp:Rating"], found["XMP-dc:Title"]) == (5, "Rex")
    assert not [name for name in found if "escription" in name or "captioner" in name]


def originals(folder: Path) -> Iterator[Path]:
    """All photos of a folder, and those that installed packages bring along."""
    from importlib.util import find_spec

    yield from sorted(path for path in folder.rglob("*") if path.suffix != ".txt")
    found = find_spec("skimage")
    if found and found.origin:
        data = Path(found.origin).parent / "data"
        yield from sorted(p for p in data.iterdir() if p.suffix in (".png", ".jpg", ".tif"))
    for more in os.environ.get("CAPTIONER_TEST_SAMPLES", "").split(os.pathsep):
        yield from sorted(Path(more).rglob("*")) if more else ()


def pixels(path: Path) -> bytes | None:
    try:
        with Image.open(path) as image:
            return image.tobytes()
    except Exception:
        return None


def test_nothing_is_lost_in_any_photo(photos_folder: Path, tmp_path: Path) -> None:
    """Write, renew, undo: no tag, no pixel, no byte. `CAPTIONER_TEST_SAMPLES` adds folders."""
    needs("exiftool")
    tally: Counter[str] = Counter()
    pairs = []
    records = Memory()
    with Writer(records, Options(in_place=True, existing="replace", sync=False)) as writer:
        for number, original in enumerate(o for o in originals(photos_folder) if o.is_file()):
            path = tmp_path / f"{number}{original.suffix}"
            shutil.copyfile(original, path)
            before = path.read_bytes()
            outcome = writer.write(path, WORDS)
            why = outcome.refused or outcome.instead
            tally[f"{outcome.state.value}, {why.reason.value if why else 'in place'}"] += 1
            if outcome.state is not State.WRITTEN or not outcome.in_place:
                assert path.read_bytes() == before
                continue
            renewed = writer.write(path, replace(WORDS, description=HARD, alt="A dog."))
            assert (renewed.state, renewed.in_place) == (State.WRITTEN, True), original
            if original.stat().st_size < 3e6:
                assert pixels(path) == pixels(original), original
            pairs.append((original, path))
        for at in range(0, len(pairs), 50):
            some = pairs[at : at + 50]
            before_tags = tags([original for original, _ in some], by_path=True)
            after_tags = tags([path for _, path in some], by_path=True)
            for original, path in some:
                after = after_tags[str(path)]
                assert after["XMP-dc:Description"] == HARD, original
                assert kept(after) == kept(before_tags[str(original)]), original
        for original, path in pairs:
            assert [outcome.state for outcome in writer.undo(path)] == [State.UNDONE]
            assert path.read_bytes() == original.read_bytes(), original
    print(*(f"{count:5} {kind}" for kind, count in sorted(tally.items())), sep="\n")
    assert pairs
