"""`captioner caption` with several models: each says what it says alone, next to its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import colour_describer
import pytest
import tiny_bundles
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.execution import decoding

Caption = Callable[..., Result]


@pytest.fixture
def caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caption:
    """Run the command in a folder of two bundles with one encoder, one with another, and photos."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CAPTIONER_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    for colour in colour_describer.COLOURS:
        colour_describer.photo(tmp_path / f"photos/{colour}.jpg", colour)
    tiny_bundles.write(tmp_path / "a/base", seed=1)
    tiny_bundles.write(tmp_path / "b/base", seed=2)
    tiny_bundles.write(tmp_path / "other", seed=3, encoder_seed=5)
    tiny_bundles.write(tmp_path / "large", seed=4, size=16)

    def run(*words: str) -> Result:
        options = ("--precision", "float32", "--min-confidence", "0")
        return CliRunner().invoke(app, ["caption", *words, *options], prog_name="captioner")

    return run


def models(*names: str) -> list[str]:
    return [word for name in names for word in ("--model", name)]


def test_one_photo(caption: Caption) -> None:
    alone = [
        caption("photos/red.jpg", *models(name)).stdout for name in ("a/base", "other", "large")
    ]
    assert len(set(alone)) > 1
    together = caption("photos/red.jpg", *models("a/base", "other", "large"))
    assert together.exit_code == 0, together.output
    names = ("base", "other", "large")
    assert together.stdout == "".join(
        f"{name}\t{line}" for name, line in zip(names, alone, strict=True)
    )


def test_a_folder(caption: Caption) -> None:
    words = ("--keywords", "2", "--alternatives", "2")
    alone = {
        name: caption("photos", *models(folder), *words).stdout.splitlines()
        for name, folder in (("a/base", "a/base"), ("b/base", "b/base"), ("large", "large"))
    }
    lines = caption("photos", *models("a/base", "b/base", "large"), *words).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    for name, expected in alone.items():
        own = [[path, text, keywords] for path, of, text, keywords in rows if of == name]
        assert own == [line.split("\t") for line in expected]
    assert [path for path, *_ in rows] == sorted(path for path, *_ in rows)


def test_photos_are_decoded_once(caption: Caption, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    original = decoding.read

    def counting(photo: object, size: int) -> object:
        sizes.append(size)
        return original(photo, size)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "read", counting)
    assert caption("photos", *models("a/base", "b/base", "other")).exit_code == 0
    assert sizes == [8, 8, 8]


def test_a_terminal(caption: Caption, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.cli.console.stdout_is_terminal", lambda: True)
    lines = caption("photos", *models("a/base", "other")).stdout.splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == [
        name for colour in ("blue", "green", "red")
        for name in (f"photos/{colour}.jpg", "base", "other")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (models("a/base", "missing"), "no model at missing"),
        (models("a/base", "a/base"), "are the same model"),
        ([*models("a/base", "other"), "--executor", "ray"], "runs one model at a time"),
    ],
)
def test_used_wrongly(caption: Caption, words: list[str], reason: str) -> None:
    result = caption("photos", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
