"""Damaged files are either written, and restored by undo, or left unchanged."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import HARD, WORDS, Memory, packet
from PIL import Image
from test_embed import FILES

from captioner.metadata.fields import CaptionData
from captioner.metadata.outcome import WriteOptions, WriteStatus
from captioner.metadata.packet import read_packet
from captioner.metadata.reading import read_photo
from captioner.metadata.writer import CaptionWriter

SIDECAR = packet("<dc:subject><rdf:Bag><rdf:li>Rex</rdf:li></rdf:Bag></dc:subject>")
SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=200, **SETTINGS)
@given(st.data())
def test_photos(tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject) -> None:
    write_and_undo(tmp_path_factory.getbasetemp(), mutated_photo(draw))


@pytest.mark.slow
@settings(max_examples=5000, **SETTINGS)
@given(st.data())
def test_many_photos(tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject) -> None:
    write_and_undo(tmp_path_factory.getbasetemp(), mutated_photo(draw))


@settings(max_examples=100, **SETTINGS)
@given(st.data())
def test_sidecars(tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "a.jpg.xmp").write_bytes(mutated(draw, SIDECAR))
    try:
        write_and_undo(folder, FILES["jpeg"], in_place=False)
    finally:
        (folder / "a.jpg.xmp").unlink(missing_ok=True)


def write_and_undo(folder: Path, data: bytes, *, in_place: bool = True) -> None:
    path = folder / "a.jpg"  # TIFF is refused under this name, unless its suffix says so.
    if data.startswith((b"II", b"MM")):
        path = folder / "a.tif"
    path.write_bytes(data)
    before = {p: p.read_bytes() for p in (path, path.with_name(f"{path.name}.xmp")) if p.exists()}
    with CaptionWriter(Memory(), WriteOptions(in_place=in_place, sync=False)) as writer:
        outcome = writer.write(path, CaptionData(HARD, "A dog.", WORDS.keywords, "c0ffee"))
        if outcome.is_photo and outcome.status is WriteStatus.WRITTEN:
            after = path.read_bytes()
            assert HARD in {text.text for text in read_photo(after).texts}
            assert pixels(after) == pixels(data)
        else:
            assert path.read_bytes() == data
        if outcome.status is WriteStatus.WRITTEN and not outcome.is_photo:
            content = read_packet(outcome.target.read_bytes())
            assert HARD in {text.text for text in content.texts}
        writer.undo(path)
    assert {p: p.read_bytes() for p in before} == before
    assert (path.with_name(f"{path.name}.xmp") in before) == outcome.target.with_name(
        f"{path.name}.xmp"
    ).exists()


def pixels(data: bytes) -> bytes | None:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            return image.tobytes()
    except Exception:  # Pillow raises anything over what it cannot read.
        return None


def mutated_photo(draw: st.DataObject) -> bytes:
    return mutated(draw, FILES[draw.draw(st.sampled_from(sorted(FILES)))])


def mutated(draw: st.DataObject, original: bytes) -> bytes:
    """A file with a few bytes changed, left out or put in, most of them at its head."""
    data = bytearray(original)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = min(draw.draw(st.integers(0, 900)), len(data))
        length = draw.draw(st.integers(0, 4))
        data[at : at + length] = draw.draw(st.binary(max_size=length + 1))
    return bytes(data)
