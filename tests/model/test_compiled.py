"""Compiled graphs in the cache: whole ones are used, damaged ones never."""

from __future__ import annotations

import threading
from pathlib import Path
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
    """OpenVINO, counting what it compiles."""

    def __init__(self) -> None:
        self.real = ov.Core()
        self.compiled = 0

    def compile_model(self, *arguments: Any) -> ov.CompiledModel:
        self.compiled += 1
        return self.real.compile_model(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def run(core: Core, folder: Path | None, factor: float = 3.0) -> float:
    compiled = compile_cached(core, graph(factor), OPTIONS, folder)
    return float(next(iter(compiled(PHOTO).values()))[0, 0])


def test_a_graph_is_compiled_once(tmp_path: Path) -> None:
    core = Core()
    assert [run(core, tmp_path / "new" / "cache") for _ in range(3)] == [18.0] * 3
    assert core.compiled == 1


def test_other_weights_and_options_are_other_graphs(tmp_path: Path) -> None:
    core = Core()
    assert [run(core, tmp_path, factor) for factor in (3.0, 2.0, 3.0)] == [18.0, 12.0, 18.0]
    assert core.compiled == 2
    compile_cached(core, graph(), {**OPTIONS, "PERFORMANCE_HINT": "LATENCY"}, tmp_path)
    assert core.compiled == 3


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
    for folder in (None, tmp_path / "file", tmp_path / "file" / "below"):
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
