"""`captioner compare` with tiny bundles on a few photos."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import colour_describer
import pytest
import tiny_bundles
from typer.testing import CliRunner, Result

from captioner.cli import compare as command
from captioner.cli import interrupt
from captioner.cli.app import app
from captioner.execution import threads
from captioner.model.engines.openvino import OpenVINOEngine

pytest.importorskip("pycocoevalcap")

Compare = Callable[..., Result]

CAPTIONS = ("A dog runs on a {} wall .", "Two dogs on the wall .", "The wall is {} .")


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Run the command in a folder of bundles, with nine photos that have captions."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAPTIONER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", "")  # METEOR takes seconds
    monkeypatch.chdir(tmp_path)
    rows = ["image,caption"]
    for number in range(9):
        colour = colour_describer.COLOURS[number % 3]
        colour_describer.photo(tmp_path / f"data/Images/{number}.jpg", colour)
        rows += [f"{number}.jpg,{caption.format(colour)}" for caption in CAPTIONS]
    (tmp_path / "data/captions.txt").write_text("\n".join(rows))
    for seed in (1, 2):
        tiny_bundles.write(tmp_path / f"small-{seed}", seed=seed, options={"epochs": 1})
    tiny_bundles.write(tmp_path / "large", seed=3, units=6, options={"epochs": 2})

    def run(*words: object) -> Result:
        words = ("compare", *words, "--precision", "float32", "--split", "all")
        return CliRunner().invoke(app, list(map(str, words)), prog_name="captioner")

    return run


def record(compare: Compare, *words: object, code: int = 0) -> dict[str, Any]:
    result = compare(*words, "--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_all_figures(compare: Compare) -> None:
    found = record(compare, "large", "small-1", "small-2", "--repeats", 2)
    large, small = found["systems"]
    assert (found["photos"], found["failed"], found["rerank"]) == (9, 0, True)
    assert (large["name"], small["name"]) == ("large", "small")
    assert [each["seeds"] for each in small["bundles"]] == [[1], [2]]
    assert (large["sd"], large["difference"]) == (None, None)
    ciders = [each["captions"]["cider"] for each in small["bundles"]]
    assert small["mean"]["cider"] == pytest.approx(sum(ciders) / 2, abs=0.01)
    assert small["sd"]["cider"] == pytest.approx(abs(ciders[0] - ciders[1]) / 2**0.5, abs=0.01)
    difference = small["difference"]
    mean = small["mean"]["cider"] - large["mean"]["cider"]
    assert difference["mean"] == pytest.approx(mean, abs=0.02)
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert large["photos_per_second"] > 0 < small["photos_per_second"]


def test_each_figure_is_that_of_evaluate(compare: Compare) -> None:
    [system] = record(compare, "small-2", "--repeats", 0)["systems"]
    words = ("--split", "all", "--model", "small-2", "--precision", "float32", "--json")
    evaluated = json.loads(CliRunner().invoke(app, ["evaluate", *words]).stdout)
    [bundle] = system["bundles"]
    assert bundle["model"] == evaluated["model"]
    assert bundle["captions"] == evaluated["captions"]
    assert bundle["whole_captions"] == evaluated["whole_captions"]
    assert system["photos_per_second"] is None


def test_beam_search_alone(compare: Compare) -> None:
    words = ("small-1", "small-2", "large", "--repeats", 0)
    plain = record(compare, *words)
    alone = record(compare, *words, "--no-rerank", "--beams", 3)
    assert (alone["rerank"], alone["beams"]) == (False, 3)
    figures = [[system["mean"] for system in found["systems"]] for found in (plain, alone)]
    assert figures[0] != figures[1]


def test_one_encoder_runs_once(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    original = OpenVINOEngine.encode

    def counting(self: OpenVINOEngine, batches: Any) -> Any:
        def counted() -> Any:
            for batch in batches:
                encoded.append(len(batch))
                yield batch

        return original(self, counted())

    monkeypatch.setattr(OpenVINOEngine, "encode", counting)
    record(compare, "small-1", "small-2", "large", "--repeats", 0)
    assert sum(encoded) == 9
    encoded.clear()
    tiny_bundles.write(Path("other"), seed=4, encoder_seed=9, size=12)
    record(compare, "small-1", "other", "--repeats", 0)
    assert sum(encoded) == 18


def test_tables(compare: Compare) -> None:
    words = ("mine=small-1,small-2", "large", "--repeats", 0)
    header, rule, *rows = compare(*words, "--markdown").stdout.splitlines()
    assert header.startswith("| system | CIDEr | difference |")
    assert rule.startswith("| --- | ---: |")
    assert [row.split(" | ")[0] for row in rows] == ["| mine (2)", "| large"]
    first, second = csv.DictReader(io.StringIO(compare(*words, "--csv").stdout))
    assert (first["system"], first["bundles"], second["system"]) == ("mine", "2", "large")
    lines = [line.split("\t") for line in compare(*words).stdout.splitlines()]
    assert ["captions", "mine (2)", "CIDEr"] in [line[:3] for line in lines]
    assert {len(line) for line in lines} == {4}
    assert all(value for *_, value in lines)


def test_a_page(compare: Compare) -> None:
    pytest.importorskip("jinja2")
    words = ("small-1", "large", "--repeats", 0, "--html", "page.html", "--no-rerank", "-n", 6)
    result = compare(*words)
    assert result.exit_code == 0, result.output
    assert "Wrote page.html" in result.stderr
    page = Path("page.html").read_text("utf-8")
    assert "<h1>data, all</h1>" in page
    assert "Beam search alone" in page
    assert page.count("<dt>large</dt>") == page.count("<dt>small-1</dt>") >= 6
    again = compare(*words)
    assert (again.exit_code, again.stdout) == (2, "")
    assert compare(*words, "--force").exit_code == 0


def test_a_terminal_gets_tables(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.cli.console.stdout_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    result = compare("small-1", "large", "--repeats", 1)
    assert "CIDEr, difference to small-1" in result.stdout
    assert "\t" not in result.stdout
    assert any(line.split()[:1] == ["large"] for line in result.stdout.splitlines())


def test_a_photo_that_cannot_be_read(compare: Compare) -> None:
    Path("data/Images/4.jpg").write_bytes(b"no photo")
    result = compare("small-1", "large", "--repeats", 0, "--json")
    assert result.exit_code == 1
    assert result.stderr.count("4.jpg") == 1
    found = json.loads(result.stdout)
    assert (found["photos"], found["failed"]) == (8, 1)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("small-1", "missing"), 2, "no model at missing"),
        (("small-1", "small-1"), 2, "are the same model"),
        (("small-1", "x="), 2, "names no bundles"),
        (("small-1", "damaged"), 1, "words.safetensors does not match its checksum"),
        (("small-1", "strange"), 1, "decoder of kind 'strange'"),
        (("small-1", "--csv", "--markdown"), 2, "mutually exclusive"),
        (("small-1", "--data", "nowhere"), 2, "it does not exist"),
        (("small-1", "--html", "missing/page.html"), 2, "cannot write"),
        (("small-1", "--html", "small-1/bundle.json", "--force"), 2, "is inside the bundle"),
    ],
)
def test_errors_come_before_any_work(
    compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    reason: str,
) -> None:
    for name in ("damaged", "strange"):
        tiny_bundles.write(Path(name), seed=7)
    Path("damaged/words.safetensors").write_bytes(b"")
    manifest = json.loads(Path("strange/bundle.json").read_text())
    manifest["decoders"][0]["kind"] = "strange"
    Path("strange/bundle.json").write_text(json.dumps(manifest))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("photos were decoded")

    monkeypatch.setattr(threads, "decode", refuse)
    result = compare(*words)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert reason in result.stderr


class TestInterrupt:
    """The first signal is sent by what is under way, and what is measured is printed."""

    @pytest.fixture
    def stops(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
        """After how many steps of a stage a signal comes, by the stage's unit."""
        after: dict[str, int] = {}

        class Counting(command.progress().__class__):  # type: ignore[misc]
            def done(self, path: str) -> None:
                super().done(path)
                if self._number == after.get(self._unit):
                    interrupt._current.request(2)

        monkeypatch.setattr(
            command, "progress", lambda *, quiet=False, unit="photo": Counting(unit)
        )
        return after

    def test_while_describing(self, compare: Compare, stops: dict[str, int]) -> None:
        stops["photo"] = 4
        result = compare("small-1", "large", "--json")
        assert result.exit_code == 130
        found = json.loads(result.stdout)
        assert found["photos"] == 4
        assert len(found["systems"]) == 2
        assert found["systems"][0]["photos_per_second"] is None
        assert "4 of 9 photos described, 2 of 2 models measured" in result.stderr

    def test_while_measuring(self, compare: Compare, stops: dict[str, int]) -> None:
        stops["model"] = 1
        result = compare("small-1", "large", "--json")
        assert result.exit_code == 130
        [system] = json.loads(result.stdout)["systems"]
        assert system["name"] == "small-1"
        assert "9 of 9 photos described, 1 of 2 models measured" in result.stderr

    def test_while_the_speed_is_measured(self, compare: Compare, stops: dict[str, int]) -> None:
        stops["run"] = 1
        result = compare("small-1", "large", "--json")
        assert result.exit_code == 130
        first, second = json.loads(result.stdout)["systems"]
        assert first["photos_per_second"] > 0
        assert second["photos_per_second"] is None

    def test_before_any_photo(self, compare: Compare, stops: dict[str, int]) -> None:
        for photo in Path("data/Images").iterdir():
            photo.write_bytes(b"no photo")
        stops["photo"] = 1
        result = compare("small-1", "large")
        assert (result.exit_code, result.stdout) == (130, "")
