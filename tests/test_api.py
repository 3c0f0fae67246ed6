"""The Python interface."""

from __future__ import annotations

from pathlib import Path

import colour_describer
import pytest

import captioner
from captioner import Captioner
from captioner.model.options import DescribeOptions
from captioner.types import Description, Failure


@pytest.fixture(autouse=True)
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    colour_describer.photo(Path("album/blue.jpg"), "blue")
    colour_describer.photo(Path("album/green.jpg"), "green")
    colour_describer.photo(Path("red.jpg"), "red")


def caption(*paths: str | Path) -> list[str]:
    results = Captioner(colour_describer.ColourDescriber()).caption(paths)
    return [r.captions[0].text if isinstance(r, Description) else r.reason for r in results]


def test_photos_and_folders_in_the_order_given() -> None:
    assert caption("red.jpg", Path("album")) == ["A red photo.", "A blue photo.", "A green photo."]


def test_a_failure_stands_in_its_place() -> None:
    results = Captioner(colour_describer.ColourDescriber()).caption(["missing.jpg", "red.jpg"])
    assert isinstance(results[0], Failure)
    assert isinstance(results[1], Description)


def test_a_single_path_is_not_a_list_of_letters() -> None:
    [result] = Captioner(colour_describer.ColourDescriber()).caption("red.jpg")
    assert isinstance(result, Description)
    assert result.photo.path == Path("red.jpg")


def test_load_passes_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[DescribeOptions] = []

    def load(options: DescribeOptions) -> colour_describer.ColourDescriber:
        given.append(options)
        return colour_describer.ColourDescriber()

    monkeypatch.setattr("captioner.model.load", load)
    Captioner.load("my-model", device="cpu", beam_width=3, keywords=5, min_confidence=0.3)
    assert given == [
        DescribeOptions(
            Path("my-model"), device="cpu", beam_width=3, keywords=5, min_confidence=0.3
        )
    ]


def test_what_the_package_offers() -> None:
    assert captioner.__version__
    with pytest.raises(AttributeError, match="nonsense"):
        captioner.nonsense  # noqa: B018


def test_results_print_as_a_line_for_a_person(tmp_path: Path) -> None:
    colour_describer.photo(tmp_path / "red.jpg", "red")
    red, missing = Captioner(colour_describer.ColourDescriber()).caption(
        [tmp_path / "red.jpg", tmp_path / "none.jpg"]
    )
    assert str(red) == f"{tmp_path / 'red.jpg'}: A red photo."
    assert str(missing).startswith(f"cannot read {tmp_path / 'none.jpg'}: ")
