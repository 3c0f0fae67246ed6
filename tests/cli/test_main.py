"""`python main.py -i PHOTO`, the command everybody tries first."""

from __future__ import annotations

import runpy
from pathlib import Path

import colour_describer
import pytest

MAIN = Path(__file__).resolve().parents[2] / "main.py"


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.model.load", lambda *_, **__: colour_describer.ColourDescriber())


def main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", [str(MAIN), *words])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(MAIN), run_name="__main__")
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize("option", ["-i", "--image"])
@pytest.mark.parametrize("name", ["photo.jpg", "-", "-i.jpg"])
def test_one_sentence_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    option: str,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    colour_describer.photo(Path(name), "green")
    words = [f"{option}{name}"] if option == "-i" else [f"{option}={name}"]
    assert main(monkeypatch, *words) == 0
    assert capsys.readouterr().out == "A green photo.\n"


def test_what_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(monkeypatch, "-i", str(tmp_path / "missing.jpg")) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "missing.jpg: there is no such file" in printed.err


@pytest.mark.parametrize("words", [[], ["-i"], ["photo.jpg"], ["-i", "."]])
def test_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(monkeypatch, *words) == 2
    assert capsys.readouterr().out == ""
