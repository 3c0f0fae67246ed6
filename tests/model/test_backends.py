"""Keras on TensorFlow, JAX and PyTorch: the same features and captions, and clear errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from processes import ROOT, SUPPORT, run

pytestmark = pytest.mark.process

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
PHOTOS = 20


def installed(name: str) -> Any:
    return pytest.param(
        name,
        marks=pytest.mark.skipif(
            not (find_spec("keras") and find_spec(name)),
            reason=f"{BACKENDS[name]} is not installed: see the extra `backends`",
        ),
    )


INSTALLED = [installed(name) for name in BACKENDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty crops of photos that scikit-image brings, in different sizes."""
    data = pytest.importorskip("skimage.data", reason="the photos are scikit-image's")
    folder = tmp_path_factory.mktemp("photos")
    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    random = np.random.default_rng(20)
    for number in range(PHOTOS):
        picture = Image.fromarray(pictures[number % len(pictures)])
        width, height = (int(random.uniform(0.5, 1) * side) for side in picture.size)
        left = int(random.integers(picture.width - width + 1))
        top = int(random.integers(picture.height - height + 1))
        crop = picture.crop((left, top, left + width, top + height))
        crop.save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, tuple[str, list[float]]]:
    """Caption and features of each photo by OpenVINO in float32."""
    from captioner.execution import describe
    from captioner.model import DescribeOptions, load
    from captioner.photos.walk import walk
    from captioner.types import Description

    options = DescribeOptions(device="cpu", precision="float32", keywords=0, min_confidence=0)
    found = {}
    for one in describe(walk([folder]), load(options)):
        assert isinstance(one, Description)
        found[one.photo.path.name] = one.captions[0].text, one.feature.tolist()
    assert len(found) == PHOTOS
    return found


@pytest.mark.parametrize("backend", INSTALLED)
def test_two_devices_give_openvinos_features_and_captions(
    backend: str, folder: Path, expected: dict[str, tuple[str, list[float]]], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, SUPPORT / "backend_worker.py", folder],
        capture_output=True, text=True, check=False, timeout=500,
        env={
            **os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1",
            "CAPTIONER_HOME": str(tmp_path), "PYTHONPATH": str(ROOT),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert backend == "tensorflow" or not done.stderr  # its optimiser logs of two replicas
    found = json.loads(done.stdout)
    assert BACKENDS[backend] in found["engine"]
    assert len(found["devices"]) == 2
    assert found["tensorflow"] == (backend == "tensorflow")
    assert [name for name, _, _ in found["rows"]] == sorted(expected)
    ours = np.array([feature for _, _, feature in found["rows"]])
    theirs = np.array([expected[name][1] for name, _, _ in found["rows"]])
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert ((ours * theirs).sum(axis=1) / lengths).min() > 0.9999
    assert [caption for _, caption, _ in found["rows"]] == [
        expected[name][0] for name, _, _ in found["rows"]
    ]


def run_tests(backend: str, home: Path, *tests: str) -> str:
    """Run tests of training on a back end; what pytest prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "training", "-p", "no:cacheprovider", "-rs", *tests],
        capture_output=True, text=True, check=False, timeout=500, cwd=ROOT,
        env={
            **os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1",
            "CAPTIONER_HOME": str(home), "PYTHONPATH": str(ROOT),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert "skipped" not in done.stdout
    return done.stdout


@pytest.mark.parametrize("backend", INSTALLED[1:])
def test_training_steps_and_resumed_runs(backend: str, tmp_path: Path) -> None:
    resumed = "tests/training/test_fit.py::test_resumed_run_is_the_same_run"
    printed = run_tests(backend, tmp_path, "tests/training/test_finetune.py", resumed)
    assert "10 passed" in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["decoders", "selfcritical", "other_kinds"])
@pytest.mark.parametrize("backend", INSTALLED[1:])
def test_training_everything_else(backend: str, name: str, tmp_path: Path) -> None:
    assert "passed" in run_tests(backend, tmp_path, f"tests/training/test_{name}.py")


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_gpu_that_is_not_there(backend: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    done = run("caption", "--device", "gpu", ROOT / "example.jpg", home=tmp_path)
    assert done.returncode == 2
    assert f"--device gpu: {BACKENDS[backend]}, which Keras runs on, sees no GPU" in done.stderr
    assert "Traceback" not in done.stderr


def caption_without(
    module: str, *words: object, home: Path, backend: str, photo: str = str(ROOT / "example.jpg")
) -> Any:
    """Run `captioner caption` without a package, as on a machine with a GPU's driver.

    The photo "-" is the example photo on standard input, of which nobody knows that it is one.
    """
    code = (
        f"import sys; sys.modules[{module!r}] = None; import captioner.model.engines as engines; "
        "engines._DRIVERS = ('/',); from captioner.cli import main; main(sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "caption", *map(str, words), photo],
        capture_output=True, text=True, check=False, input=str(ROOT / "example.jpg"),
        env={
            **os.environ, "KERAS_BACKEND": backend,
            "CAPTIONER_HOME": str(home), "PYTHONPATH": str(ROOT),
        },
    )  # fmt: skip


@pytest.mark.parametrize("device", ["gpu", "keras"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_back_end_that_is_not_installed(backend: str, device: str, tmp_path: Path) -> None:
    done = caption_without(backend, "--device", device, home=tmp_path, backend=backend)
    assert done.returncode == 2
    assert f"KERAS_BACKEND={backend}: {BACKENDS[backend]} is not installed" in done.stderr
    assert f"pip install {backend}" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_back_ends_are_refused(tmp_path: Path) -> None:
    done = caption_without("jax", "--device", "keras", home=tmp_path, backend="numpy")
    assert done.returncode == 2
    assert "KERAS_BACKEND=numpy" in done.stderr
    assert "tensorflow, jax or torch" in done.stderr


def test_without_keras(tmp_path: Path) -> None:
    done = caption_without("keras", "--device", "keras", home=tmp_path, backend="")
    assert done.returncode == 2
    assert "Keras is not installed" in done.stderr


@pytest.mark.parametrize(("missing", "backend"), [("keras", ""), ("jax", "jax")])
def test_auto_then_uses_the_cpu(missing: str, backend: str, tmp_path: Path) -> None:
    done = caption_without(missing, home=tmp_path, backend=backend, photo="-")
    assert done.returncode == 0, done.stderr
    assert "\tA man" in done.stdout
    assert not done.stderr
