"""Nothing is lost: no tag that exiftool or exiv2 lists, no pixel, and after undo no byte."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import metadata_tools
import pytest
from pictures import HARD, WORDS, Memory, picture
from PIL import Image

from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.writer import CaptionWriter

LARGE = 3_000_000
"""Bytes from which on only captioner itself compares pixels, since that takes seconds each."""


def photos_of(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".txt", ".xmp"))


def few(paths: Iterable[Path]) -> Iterator[Path]:
    """The first few of each folder and format."""
    seen: Counter[tuple[Path, str]] = Counter()
    for path in paths:
        seen[path.parent, path.suffix] += 1
        if seen[path.parent, path.suffix] <= 5:
            yield path


@pytest.fixture
def scikit_pictures() -> list[Path]:
    """The pictures that come with scikit-image."""
    found = find_spec("skimage")
    return photos_of(Path(found.origin).parent / "data") if found and found.origin else []


@pytest.fixture
def samples() -> list[Path]:
    """The folders of `CAPTIONER_TEST_SAMPLES`; tests/support/samples.sh fills one."""
    named = os.environ.get("CAPTIONER_TEST_SAMPLES", "")
    if not named:
        pytest.skip("no further samples: name folders of them in CAPTIONER_TEST_SAMPLES")
    return [Path(folder) for folder in named.split(os.pathsep)]


def test_nothing_is_lost(photos_folder: Path, scikit_pictures: list[Path], tmp_path: Path) -> None:
    check(few([*photos_of(photos_folder), *scikit_pictures]), tmp_path)


@pytest.mark.slow
def test_nothing_is_lost_in_any_photo(photos_folder: Path, tmp_path: Path) -> None:
    check(photos_of(photos_folder), tmp_path)


@pytest.mark.slow
def test_nothing_is_lost_in_any_sample(
    samples: list[Path], scikit_pictures: list[Path], tmp_path: Path
) -> None:
    check([*scikit_pictures, *(path for folder in samples for path in photos_of(folder))], tmp_path)


@pytest.mark.slow
def test_nothing_is_lost_in_any_sidecar(samples: list[Path], tmp_path: Path) -> None:
    """The XMP files among the samples, as sidecars; a line is appended to their captions."""
    metadata_tools.needs("exiftool", "exiv2")
    tally: Counter[str] = Counter()
    pairs = []
    with CaptionWriter(Memory(), WriteOptions(existing="append", sync=False)) as writer:
        for number, original in enumerate(o for s in samples for o in sorted(s.rglob("*.xmp"))):
            photo = tmp_path / f"{number}.jpg"
            photo.write_bytes(picture("JPEG"))
            path = photo.with_name(f"{photo.name}.xmp")
            shutil.copyfile(original, path)
            outcome = writer.write(photo, WORDS)
            tally[kind(outcome)] += 1
            if outcome.status is WriteStatus.WRITTEN:
                pairs.append((original, path))
        compare(pairs)
        for original, path in pairs:
            assert [o.status for o in writer.undo(path.with_suffix(""))] == [WriteStatus.UNDONE]
            assert path.read_bytes() == original.read_bytes(), original
    print(*(f"{count:5} {kind}" for kind, count in tally.most_common()), sep="\n")
    assert pairs


def check(originals: Iterable[Path], folder: Path) -> None:
    """Write, replace, compare, undo; append a line to human-authored captions."""
    metadata_tools.needs("exiftool", "exiv2")
    tally: Counter[str] = Counter()
    copies = {}
    for number, original in enumerate(originals):
        copies[folder / f"{number}{original.suffix}"] = original
        shutil.copyfile(original, folder / f"{number}{original.suffix}")
    records = Memory()
    written: list[Path] = []
    skipped: list[Path] = []
    hard = replace(WORDS, description=HARD, alt_text="A dog.")
    with CaptionWriter(
        records, WriteOptions(in_place=True, existing="replace", sync=False)
    ) as writer:
        for path, original in copies.items():
            outcome = writer.write(path, WORDS)
            tally[kind(outcome)] += 1
            if outcome.status is WriteStatus.SKIPPED:
                skipped.append(path)
            elif outcome.status is WriteStatus.WRITTEN and outcome.is_photo:
                replaced = writer.write(path, hard)
                assert (replaced.status, replaced.is_photo) == (WriteStatus.WRITTEN, True), original
                written.append(path)
    for path in copies.keys() - set(written):
        assert path.read_bytes() == copies[path].read_bytes(), copies[path]
    with CaptionWriter(
        records, WriteOptions(in_place=True, existing="append", sync=False)
    ) as writer:
        for path in skipped:
            outcome = writer.write(path, WORDS)
            tally[f"appended: {kind(outcome)}"] += 1
            if outcome.status is WriteStatus.WRITTEN and outcome.is_photo:
                written.append(path)
    compare([(copies[path], path) for path in written])
    with CaptionWriter(records, WriteOptions(sync=False)) as writer:
        for path in written:
            assert [undone.status for undone in writer.undo(path)] == [WriteStatus.UNDONE], copies[
                path
            ]
    for path, original in copies.items():
        assert path.read_bytes() == original.read_bytes(), original
    print(f"\n{len(copies):5} in all, {len(written)} written in place and restored")
    print(*(f"{count:5} {kind}" for kind, count in tally.most_common()), sep="\n")
    assert written


def compare(pairs: list[tuple[Path, Path]]) -> None:
    """Compare everything that both programs list before and after."""
    for at in range(0, len(pairs), 50):
        some = pairs[at : at + 50]
        before = metadata_tools.exiftool([original for original, _ in some])
        after = metadata_tools.exiftool([path for _, path in some])
        for original, path in some:
            assert "XMP-dc:Description" in after[path], original
            kept = metadata_tools.others_by_exiftool(after[path])
            assert kept == metadata_tools.others_by_exiftool(before[original]), original
            kept_by_exiv2 = metadata_tools.others_by_exiv2(path)
            assert kept_by_exiv2 == metadata_tools.others_by_exiv2(original), original
            if original.stat().st_size < LARGE:
                assert pixels(path) == pixels(original), original


def kind(outcome: WriteOutcome) -> str:
    why = outcome.error or outcome.not_in_place
    where = "in place" if outcome.is_photo else "sidecar"
    left = f", not in {' and '.join(outcome.omitted)}" if outcome.omitted else ""
    return f"{outcome.status.value} {where}{left}{f': {why.reason.value}' if why else ''}"


def pixels(path: Path) -> bytes | None:
    try:
        with Image.open(path) as image:
            return image.tobytes()
    except Exception:  # Some samples are there because they cannot be read.
        return None
