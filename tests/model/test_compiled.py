"""Compiled graphs in the cache: whole ones are used, damaged ones never."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
import pytest

from captioner.model.engines.compiled import compile_cached

OPTIONS: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
PHOTO = np.arange(4, dtype=np.float32)[None]


def graph(factor: float = 3.0) -> ov.Model:
    photo = op.parameter([1, 4], ov.Type.f32, name="photo")
    weights = np.full((4, 4), factor, np.float32)
    return ov.Model([op.result(op.matmul(photo, op.constant(weights), False, False))], [photo], "g")


class Core:
    """OpenVINO, counting what it compiles.

    Parameters
    ----------
    cpu, build
        The CPU and the build of OpenVINO that it claims to be; None: the real ones.
    """

    def __init__(self, cpu: str | None = None, build: str | None = None) -> None:
        self.real = ov.Core()
        self.compiled = 0
        self._cpu, self._build = cpu, build

    def compile_model(self, *arguments: Any) -> ov.CompiledModel:
        self.compiled += 1
        return self.real.compile_model(*arguments)

    def get_property(self, device: str, name: str) -> Any:
        if self._cpu and name == "FULL_DEVICE_NAME":
            return self._cpu
        return self.real.get_property(device, name)

    def get_versions(self, device: str) -> Any:
        if self._build:
            return {device: SimpleNamespace(build_number=self._build)}
        return self.real.get_versions(device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def run(core: Core, folder: Path, factor: float = 3.0) -> float:
    compiled = compile_cached(core, str(factor), lambda: graph(factor), OPTIONS, folder)
    return float(next(iter(compiled(PHOTO).values()))[0, 0])


def test_a_graph_is_compiled_once(tmp_path: Path) -> None:
    core = Core()
    assert [run(core, tmp_path / "new" / "cache") for _ in range(3)] == [18.0] * 3
    assert core.compiled == 1


def test_other_weights_and_options_are_other_graphs(tmp_path: Path) -> None:
    core = Core()
    assert [run(core, tmp_path, factor) for factor in (3.0, 2.0, 3.0)] == [18.0, 12.0, 18.0]
    assert core.compiled == 2
    latency = {**OPTIONS, "PERFORMANCE_HINT": "LATENCY"}
    compile_cached(core, "3.0", graph, latency, tmp_path)
    assert core.compiled == 3


def test_what_is_in_the_cache_is_not_made(tmp_path: Path) -> None:
    core = Core()
    run(core, tmp_path)

    def never() -> ov.Model:
        raise AssertionError("the graph was made again")

    compiled = compile_cached(core, "3.0", never, OPTIONS, tmp_path)
    assert next(iter(compiled(PHOTO).values()))[0, 0] == 18.0
    with pytest.raises(AssertionError, match="made again"):
        compile_cached(core, "4.0", never, OPTIONS, tmp_path)


@pytest.mark.parametrize("other", [Core(cpu="another CPU"), Core(build="2031.1.0")])
def test_another_cpu_or_openvino_compiles_its_own(tmp_path: Path, other: Core) -> None:
    core = Core()
    for each in (core, other, core, other):
        assert run(each, tmp_path) == 18.0
    assert (core.compiled, other.compiled) == (1, 1)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "zeros", "digest", "foreign"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    core = Core()
    run(core, tmp_path)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    match damage:
        case "flip":
            content[-9] ^= 4
        case "cut":
            del content[len(content) // 2 :]
        case "empty":
            content.clear()
        case "zeros":
            content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
        case "digest":
            content[0] ^= 1
        case "foreign":
            content[:] = b"something else"
    file.write_bytes(content)
    assert [run(core, tmp_path) for _ in range(2)] == [18.0] * 2
    assert core.compiled == 2
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_a_whole_file_that_openvino_refuses_is_replaced(tmp_path: Path) -> None:
    import hashlib

    core = Core()
    run(core, tmp_path)
    (file,) = tmp_path.iterdir()
    foreign = b"made by another build" * 99
    file.write_bytes(hashlib.sha256(foreign).digest() + foreign)
    assert run(core, tmp_path) == 18.0
    assert core.compiled == 2


def test_without_a_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    core = Core()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert run(core, folder) == 18.0
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_several_at_once(tmp_path: Path) -> None:
    found: list[float] = []
    threads = [
        threading.Thread(target=lambda: found.append(run(Core(), tmp_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [18.0] * 4
    assert len(list(tmp_path.iterdir())) == 1
