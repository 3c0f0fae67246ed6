"""Bundles are grouped by what their manifests record of their training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_bundles

from captioner.errors import CaptionerError, UsageError
from captioner.model.bundle import Bundle
from captioner.training.systems import read_systems, seeds


def write(folder: Path, seed: int, **options: Any) -> str:
    tiny_bundles.write(folder, seed=seed, options={"epochs": 8, **options})
    return str(folder)


def edit(folder: str, **training: Any) -> None:
    file = Path(folder) / "bundle.json"
    manifest = json.loads(file.read_text())
    manifest["training"] |= training
    file.write_text(json.dumps(manifest))


def grouped(*arguments: str) -> dict[str, list[str]]:
    return {
        system.name: [bundle.folder.name for bundle in system.bundles]
        for system in read_systems(arguments)
    }


def test_seeds_of_one_configuration_are_one_system(tmp_path: Path) -> None:
    first, other, second = (
        write(tmp_path / name, seed, epochs=epochs)
        for name, seed, epochs in (("merge-seed1", 1, 8), ("long", 2, 9), ("merge-seed2", 3, 8))
    )
    assert grouped(first, other, second) == {
        "merge": ["merge-seed1", "merge-seed2"],
        "long": ["long"],
    }


def test_one_seed_twice_is_no_group(tmp_path: Path) -> None:
    first, again = write(tmp_path / "a1", 1), write(tmp_path / "a2", 2)
    edit(again, options={"seed": 1, "epochs": 8})
    assert grouped(first, again) == {"a1": ["a1"], "a2": ["a2"]}


@pytest.mark.parametrize(
    "change",
    [
        {"data": [{"name": "flickr30k"}]},
        {"concepts": 1000},
        {"self-critical": {"options": {"seed": 1, "epochs": 4, "bundle": "abc"}}},
    ],
)
def test_other_data_or_another_step_is_another_configuration(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    first, second = write(tmp_path / "a1", 1), write(tmp_path / "a2", 2)
    edit(second, **change)
    assert grouped(first, second) == {"a1": ["a1"], "a2": ["a2"]}


def test_training_on_cider_may_begin_with_another_bundle(tmp_path: Path) -> None:
    folders = [write(tmp_path / f"a_{seed}", seed) for seed in (1, 2, 3)]
    for seed, folder in enumerate(folders, 1):
        step = {"options": {"seed": 7, "epochs": 4, "bundle": f"id{seed}"}}
        edit(folder, **{"self-critical": step})
        assert seeds(Bundle.open(Path(folder))) == (seed, 7)
    assert grouped(*folders) == {"a": ["a_1", "a_2", "a_3"]}


def test_bundles_without_a_record_stand_alone(tmp_path: Path) -> None:
    folders = [tiny_bundles.write(tmp_path / f"a{seed}", seed=seed).folder for seed in (1, 2)]
    assert grouped(*map(str, folders)) == {"a1": ["a1"], "a2": ["a2"]}
    assert seeds(Bundle.open(folders[0])) == ()


def test_groups_as_named(tmp_path: Path) -> None:
    first, second = write(tmp_path / "x,1", 1, epochs=3), write(tmp_path / "y=2", 2)
    third = write(tmp_path / "z", 3)
    assert grouped(f"mine={second},{third}", first) == {"mine": ["y=2", "z"], "x,1": ["x,1"]}
    assert grouped(second, f"one={first}") == {"y=2": ["y=2"], "one": ["x,1"]}


def test_names_that_would_be_the_same(tmp_path: Path) -> None:
    folders = [write(tmp_path / f"a{n}", n, epochs=n % 2) for n in (1, 2, 3, 4)]
    assert grouped(*folders) == {"a": ["a1", "a3"], "a2, a4": ["a2", "a4"]}
    alike = [write(tmp_path / f"{parent}/base", n, epochs=n) for n, parent in ((5, "x"), (6, "y"))]
    assert grouped(*alike) == {str(Path("x/base")): ["base"], str(Path("y/base")): ["base"]}
    with pytest.raises(UsageError, match="two systems are called a"):
        read_systems([f"a={folders[0]}", f"a={folders[1]}"])


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good", 1)
    with pytest.raises(UsageError, match=r"no model at .*missing"):
        read_systems([good, str(tmp_path / "missing")])
    with pytest.raises(UsageError, match=r"no model at .*missing"):
        read_systems([f"x={good},{tmp_path / 'missing'}"])
    for nothing in ("=", "x=", "x=,", "=a"):
        with pytest.raises(UsageError, match="names no bundles"):
            read_systems([nothing])
    with pytest.raises(UsageError, match="are the same model"):
        read_systems([good, good])
    damaged = write(tmp_path / "damaged", 2)
    (tmp_path / "damaged/joint.safetensors").write_bytes(b"")
    with pytest.raises(CaptionerError, match=r"joint\.safetensors does not match its checksum"):
        read_systems([good, damaged])
