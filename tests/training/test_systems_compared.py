"""Comparisons of systems: means, deviations and differences that are worked out by hand."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
import tiny_bundles

from captioner.training import comparison_tables as tables
from captioner.training.comparison import (
    Comparison,
    Measurement,
    SystemResult,
    median_pace,
    seconds_side_by_side,
    select_systems,
)
from captioner.training.evaluation import Evaluation
from captioner.training.metrics import Recall, Scores
from captioner.training.systems import System


def measured(
    folder: Path, seed: int, cider: dict[str, float], *, meteor: float | None = None, **sizes: Any
) -> Measurement:
    """A tiny bundle with figures of its own."""
    scores = Scores(
        bleu=(60.0 + seed, 40.0, 30.0, 20.0),
        rouge=45.0,
        cider=sum(cider.values()) / len(cider),
        meteor=meteor,
        photo_cider=cider,
        words_used=100 + seed,
        different_captions=50,
    )
    evaluation = Evaluation((), (), scores, Recall(10.0 * seed, 40.0, 50.0, 8.0, 10), {})
    bundle = tiny_bundles.write(folder / f"b{seed}", seed=seed, options={"epochs": 1}, **sizes)
    return Measurement.of(bundle, evaluation)


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    first = measured(tmp_path, 1, {"x": 10.0, "y": 20.0}, meteor=20.0)
    second = measured(tmp_path, 2, {"x": 8.0, "y": 24.0})
    third = measured(tmp_path, 3, {"x": 10.0, "y": 28.0}, units=6)
    results = (
        SystemResult("a|b", (first,), 30.0),
        SystemResult("pair", (second, third), 15.04),
    )
    return Comparison.of(results, resamples=999)


def test_parameters_are_counted_in_the_files(comparison: Comparison) -> None:
    measurement = comparison.results[0].measurements[0]
    assert measurement.encoder_parameters == 4 * 4 * 3 * tiny_bundles.FEATURES
    units, tokens = 4, 4 + len(tiny_bundles.WORDS)
    lstm = 2 * units * 4 * units + 4 * units
    image, fusion = tiny_bundles.FEATURES * units + units, units * units + units
    output = units * tokens + tokens
    assert measurement.decoder_parameters == tokens * units + lstm + image + fusion + output
    folder = measurement.bundle.folder
    assert measurement.figures["bytes"] == sum(file.stat().st_size for file in folder.iterdir())


def test_seeds_are_averaged(comparison: Comparison) -> None:
    alone, pair = comparison.results
    assert alone.deviation == {}
    assert alone.mean["meteor"] == 20
    assert "meteor" not in pair.mean
    assert pair.photo_cider == {"x": 9, "y": 26}
    assert pair.mean["cider"] == 17.5
    assert pair.deviation["cider"] == pytest.approx(3 / 2**0.5)  # of 16 and 19
    assert pair.mean["at_1"] == 25
    assert pair.deviation["rouge_l"] == 0


def test_differences_are_to_the_first(comparison: Comparison) -> None:
    none, difference = comparison.differences
    assert none is None
    assert difference is not None
    # Of -1 and 6: a sample's mean is -1, 2.5 (twice as often) or 6.
    assert (difference.mean, difference.low, difference.high) == (2.5, -1, 6)
    assert difference.p == pytest.approx(2 / 4, abs=0.1)


def test_other_photos_are_not_compared(tmp_path: Path) -> None:
    results = [
        SystemResult("a", (measured(tmp_path, 1, {"x": 10.0}),)),
        SystemResult("b", (measured(tmp_path, 2, {"y": 10.0}),)),
    ]
    with pytest.raises(ValueError, match="same photos"):
        Comparison.of(results, resamples=100)


def test_only_what_was_measured(tmp_path: Path) -> None:
    found = [measured(tmp_path, seed, {"x": 1.0}) for seed in (1, 2, 3)]
    bundles = [each.bundle for each in found]
    systems = [System("a", tuple(bundles[:2])), System("b", (bundles[2],))]
    by_id = {each.bundle.model_id: each for each in found}
    results = select_systems(systems, by_id)
    assert [(each.name, len(each.measurements)) for each in results] == [("a", 2), ("b", 1)]
    del by_id[bundles[0].model_id], by_id[bundles[2].model_id]
    [result] = select_systems(systems, by_id)
    assert (result.name, result.measurements) == ("a", (found[1],))


class TestTables:
    def test_sections(self, comparison: Comparison) -> None:
        captions, differences, queries, cost = tables.sections(comparison)
        assert captions.header[:3] == ("system", "CIDEr", "BLEU-1")
        assert captions.rows[0][:2] == ("a|b", "15.0")
        assert captions.rows[1][:3] == ("pair (2)", "17.5 ± 2.1", "62.5 ± 0.7")
        by_label = dict(zip(captions.header, captions.rows[1], strict=True))
        assert (by_label["ROUGE-L"], by_label["METEOR"], by_label["words"]) == (
            "45.0", "", "102 ± 1",
        )  # fmt: skip
        assert differences.heading == "CIDEr, difference to a|b"
        [row] = differences.rows
        assert row[:3] == ("pair (2)", "+2.5", "-1.0 to +6.0")
        assert 0.4 < float(row[3]) < 0.6
        assert queries.rows == (
            ("a|b", "10.0", "40.0", "50.0"), ("pair (2)", "25.0 ± 7.1", "40.0", "50.0"),
        )  # fmt: skip
        assert cost.header == ("system", "encoder", "decoder", "size", "photos/s")
        assert cost.rows[0][1:3] == ("98.3 k", "8.5 k")
        assert [row[-1] for row in cost.rows] == ["30.0", "15.0"]

    def test_markdown(self, comparison: Comparison) -> None:
        header, rule, *rows = tables.markdown(comparison).splitlines()
        assert header.startswith("| system | CIDEr | difference | 95 % interval | p | BLEU-1 |")
        assert rule.startswith("| --- | ---: |")
        assert len({line.replace("\\|", "").count("|") for line in (header, rule, *rows)}) == 1
        assert rows[0].startswith("| a\\|b | 15.0 |  |  |  | 61.0 |")
        assert rows[1].startswith("| pair (2) | 17.5 ± 2.1 | +2.5 | -1.0 to +6.0 | 0.")

    def test_csv(self, comparison: Comparison) -> None:
        first, second = csv.DictReader(io.StringIO(tables.comma_separated(comparison)))
        assert (first["system"], second["bundles"]) == ("a|b", "2")
        assert (first["cider"], first["cider_sd"], first["cider_difference_p"]) == ("15.0", "", "")
        assert float(second["cider_sd"]) == pytest.approx(3 / 2**0.5)
        assert (second["cider_difference"], second["cider_difference_low"]) == ("2.5", "-1.0")
        assert (first["meteor"], second["meteor"]) == ("20.0", "")
        assert float(second["photos_per_second"]) == 15.04

    def test_records(self, comparison: Comparison) -> None:
        first, second = tables.records(comparison)
        assert (first["difference"], first["sd"]) == (None, None)
        assert second["mean"]["cider"] == 17.5  # type: ignore[index]
        assert second["sd"]["cider"] == 2.12  # type: ignore[index]
        bundles: Any = second["bundles"]
        assert [each["seeds"] for each in bundles] == [[2], [3]]
        assert [each["captions"]["cider"] for each in bundles] == [16, 19]

    def test_one_system_has_no_difference(self, comparison: Comparison) -> None:
        alone = Comparison.of(comparison.results[:1], resamples=100)
        headings = [table.heading for table in tables.sections(alone)]
        assert headings == [
            "captions", "reference captions as queries", "parameters, size on disk, speed",
        ]  # fmt: skip
        assert "p" not in tables.markdown(alone).split(" | ")
        without_speed = Comparison.of(
            [SystemResult("a", alone.results[0].measurements)], resamples=100
        )
        assert "photos/s" not in tables.markdown(without_speed)

    def test_certain_differences(self, tmp_path: Path) -> None:
        low, high = ({str(n): value + n for n in range(9)} for value in (10.0, 20.0))
        results = [
            SystemResult(name, (measured(tmp_path, seed, cider),))
            for seed, (name, cider) in enumerate({"low": low, "high": high}.items())
        ]
        table = tables.sections(Comparison.of(results, resamples=9999))[1]
        assert table.rows == (("high", "+10.0", "+10.0 to +10.0", "< 0.001"),)


def test_speed_is_measured_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = 0.0, []

    def work(number: int, seconds: float) -> None:
        nonlocal now
        now += seconds
        order.append(number)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    runs = [lambda: work(0, 1.0), lambda: work(1, 2.0), lambda: work(2, 3.0)]
    found = list(seconds_side_by_side(runs, 3))
    assert order == [0, 1, 2, 2, 1, 0, 0, 1, 2]
    assert found == [(number, number + 1.0) for number in order]
    assert median_pace(200, [2.0, 50.0, 4.0]) == 50
    assert median_pace(200, []) is None
