"""Bundles: written and read back, and refused where anything is damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from captioner.app_paths import bundle_folder
from captioner.errors import CaptionerError, UsageError
from captioner.model import bundle as bundles
from captioner.model.bundle import Bundle

LARGE = np.linspace(0, 1, 5000, dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    bundles.write(
        tmp_path / "made",
        {"describe": {"beams": 4}, "input": {"size": 96}, "decoders": [{"file": "decoder-1"}]},
        arrays={"a.safetensors": {"x": np.array([[1.5, -2.25]], np.float32), "y": LARGE}},
        texts={"words.json": ["ä", "dog's"]},
    )
    return tmp_path / "made"


def test_round_trip(folder):
    opened = Bundle.open(folder)
    np.testing.assert_array_equal(opened.arrays("a.safetensors")["x"], [[1.5, -2.25]])
    assert opened.arrays("a.safetensors")["x"].dtype == np.float32
    assert opened.json("words.json") == ["ä", "dog's"]
    assert (opened.size, opened.decoders) == (96, ["decoder-1"])
    assert [p.name for p in folder.parent.iterdir() if p.name.startswith(".")] == []


def test_weights_are_stored_as_float16_and_small_arrays_exactly(folder):
    from safetensors.numpy import load_file

    stored = load_file(folder / "a.safetensors")
    assert (stored["x"].dtype, stored["y"].dtype) == (np.float32, np.float16)
    np.testing.assert_allclose(Bundle.open(folder).arrays("a.safetensors")["y"], LARGE, atol=1e-3)


def test_writing_again_replaces_all_files(folder):
    before = Bundle.open(folder).model_id
    bundles.write(folder, {"describe": {"beams": 4}}, arrays={}, texts={"b.json": 1}, force=True)
    assert sorted(p.name for p in folder.iterdir()) == ["b.json", "bundle.json"]
    assert Bundle.open(folder).model_id != before


def test_its_size_and_its_parameters(folder):
    opened = Bundle.open(folder)
    assert opened.parameters("a.safetensors") == 2 + LARGE.size
    assert opened.bytes_on_disk == sum(file.stat().st_size for file in folder.iterdir())


def test_all_files_are_verified(folder):
    Bundle.open(folder).verify()
    (folder / "words.json").write_text("[]")
    with pytest.raises(CaptionerError, match=r"words\.json does not match its checksum"):
        Bundle.open(folder).verify()
    (folder / "bundle.json").write_text('{"format": 2}')
    with pytest.raises(CaptionerError, match="lists no files"):
        Bundle.open(folder).verify()


@pytest.mark.parametrize("name", ["a.safetensors", "words.json"])
def test_a_changed_byte_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CaptionerError, match=name):
        Bundle.open(folder).path(name)


def test_a_missing_file_is_refused(folder):
    (folder / "words.json").unlink()
    with pytest.raises(CaptionerError, match=r"words\.json"):
        Bundle.open(folder).json("words.json")


def test_a_newer_format_is_refused(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["format"] = bundles.FORMAT + 1
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(CaptionerError, match="Upgrade captioner"):
        Bundle.open(folder)


def test_an_older_format_is_refused(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["format"] = 1
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(CaptionerError, match="captioner train"):
        Bundle.open(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "x"}', "null"])
def test_a_damaged_manifest_is_refused(folder, content):
    (folder / "bundle.json").write_text(content)
    with pytest.raises(CaptionerError):
        Bundle.open(folder)


def test_a_bundle_too_large_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "LIMIT", 100)
    with pytest.raises(CaptionerError, match="limit"):
        bundles.write(
            tmp_path / "big", {}, arrays={"a": {"x": np.zeros(999, np.float32)}}, texts={}
        )
    assert not (tmp_path / "big").exists()


def test_a_folder_without_a_bundle_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"bundle\.json"):
        bundle_folder(tmp_path)
    with pytest.raises(UsageError):
        Bundle.open(tmp_path)
