"""Measures against values worked out by hand or known beforehand."""

import importlib.util
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.errors import CaptionerError
from captioner.training import metrics
from captioner.training.metrics import (
    JudgedQuery,
    average_precision,
    caption_recall,
    caption_scores,
    cider,
    paired_bootstrap,
    query_precision,
    read_queries,
    recall,
)

needs_scorers = pytest.mark.skipif(
    importlib.util.find_spec("pycocoevalcap") is None, reason="pycocoevalcap is not installed"
)

REFERENCES = {
    "dog": ["A brown dog runs through the grass .", "The dog is running outside ."],
    "boat": ["Two men in a small boat .", "Fishermen row across a lake ."],
    "climb": ["A climber hangs off a cliff .", "Somebody climbs up rocks ."],
}


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR takes seconds: only its own tests run it."""
    monkeypatch.setenv("PATH", "")


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_a_reference_itself_scores_full_marks(capsys: pytest.CaptureFixture[str]) -> None:
    scores = caption_scores({k: v[0] for k, v in REFERENCES.items()}, REFERENCES)
    assert scores.bleu == pytest.approx((100, 100, 100, 100), abs=1e-4)
    assert scores.rouge == pytest.approx(100)
    assert capsys.readouterr().out == ""


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_bleu_by_hand() -> None:
    # "the the dog runs" against one reference of five words: "the" is clipped to once, so 3 of 4
    # words count; of the pairs "the the", "the dog", "dog runs" two; of the triples one.
    scores = caption_scores({"a": "The the dog runs"}, {"a": ["the dog runs very quickly"]})
    short = math.exp(1 - 5 / 4)
    assert scores.bleu[0] == pytest.approx(100 * short * 3 / 4)
    assert scores.bleu[1] == pytest.approx(100 * short * math.sqrt(3 / 4 * 2 / 3))
    assert scores.bleu[2] == pytest.approx(100 * short * (3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))
    assert scores.bleu[3] == pytest.approx(0, abs=0.1)


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_rouge_by_hand() -> None:
    # Longest common subsequence "a dog grass": precision 3/4, recall 3/6, beta 1.2.
    scores = caption_scores({"a": "a dog eats grass"}, {"a": ["a brown dog in the grass"]})
    precision, share, beta = 3 / 4, 3 / 6, 1.2**2
    expected = (1 + beta) * precision * share / (share + beta * precision)
    assert scores.rouge == pytest.approx(100 * expected)


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_cider_identities() -> None:
    references = {"a": ["one two three four"], "b": ["five six seven eight"]}
    same = {"a": "one two three four", "b": "five six seven eight"}
    assert cider(same, references) == pytest.approx(1000)
    swapped = {"a": "five six seven eight", "b": "one two three four"}
    assert cider(swapped, references) == pytest.approx(0)
    # Three words long, the caption misses one of four words, one of three pairs, one of two
    # triples and the only four; every n-gram is in one photo of two and weighs the same. The
    # words' cosine is 3 / (√3 √4), the pairs' 2 / (√2 √3), the triples' 1 / (√1 √2); length is
    # counted in pairs, one fewer, and sigma is 6.
    scores = caption_scores({**same, "a": "one two three"}, references)
    cosines = math.sqrt(3 / 4) + math.sqrt(2 / 3) + math.sqrt(1 / 2)
    expected = 1000 * cosines / 4 * math.exp(-1 / (2 * 6**2))
    assert scores.photo_cider == pytest.approx({"a": expected, "b": 1000})
    assert scores.cider == pytest.approx((expected + 1000) / 2)
    assert scores.cider == pytest.approx(cider({**same, "a": "one two three"}, references))


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_case_punctuation_and_marks_do_not_count() -> None:
    plain = caption_scores({"a": "a dog runs fast", "b": "x"}, {"a": ["dog runs"], "b": ["y"]})
    dressed = caption_scores(
        {"a": "A dog , runs fast .", "b": "X!"}, {"a": ['"Dog" runs .'], "b": ["Y", " . "]}
    )
    assert dressed == plain


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_liveliness_is_counted() -> None:
    said = {"dog": "A dog runs.", "boat": "A dog runs", "climb": "A man climbs."}
    scores = caption_scores(said, REFERENCES)
    assert (scores.words_used, scores.different_captions) == (5, 2)


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_a_caption_without_words_scores_nothing() -> None:
    scores = caption_scores(dict.fromkeys(REFERENCES, ""), REFERENCES)
    assert (scores.cider, scores.rouge) == (0, 0)
    with pytest.raises(ValueError, match="no reference captions for dog"):
        caption_scores({"dog": "A dog."}, {"dog": ["."]})
    with pytest.raises(ValueError, match="no photos"):
        caption_scores({}, {})


@needs_scorers
@pytest.mark.usefixtures("no_java")
def test_without_java_the_absence_of_meteor_is_said() -> None:
    scores = caption_scores({"a": "a dog"}, {"a": ["a dog"]})
    assert scores.meteor is None
    assert "no java on PATH" in scores.note


@needs_scorers
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="there is no java on PATH")
def test_meteor() -> None:
    scores = caption_scores({k: v[0] for k, v in REFERENCES.items()}, REFERENCES)
    assert scores.meteor == pytest.approx(100)
    assert scores.note == ""


@needs_scorers
def test_a_java_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    scores = caption_scores({"a": "a dog"}, {"a": ["a dog"]})
    assert scores.meteor is None
    assert "java exited" in scores.note


def test_missing_scorers_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pycocoevalcap.bleu.bleu", None)
    with pytest.raises(CaptionerError, match=r"pip install 'captioner\[eval\]'"):
        cider({"a": "a dog"}, {"a": ["a dog"]})


def test_paired_bootstrap() -> None:
    rng = np.random.default_rng(0)
    b = {str(n): float(value) for n, value in enumerate(rng.normal(50, 20, 400))}
    a = {name: value + float(rng.normal(5, 10)) for name, value in b.items()}
    difference = paired_bootstrap(a, b, seed=1)
    values = np.array([a[name] - b[name] for name in b])
    # The normal approximation of the same interval.
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert difference.mean == pytest.approx(values.mean())
    assert difference.low == pytest.approx(values.mean() - half, abs=0.15)
    assert difference.high == pytest.approx(values.mean() + half, abs=0.15)
    assert paired_bootstrap(a, b, seed=1) == difference
    assert difference.p < 0.001
    assert paired_bootstrap(a, a) == (0, 0, 0, 1)
    with pytest.raises(ValueError, match="same photos"):
        paired_bootstrap(a, {"other": 1.0})


def test_paired_bootstrap_of_two_photos() -> None:
    """Four samples of the differences -1 and 3 are equally likely: their means are -1, 1, 1, 3."""
    difference = paired_bootstrap({"x": 9.0, "y": 5.0}, {"x": 10.0, "y": 2.0})
    assert (difference.mean, difference.low, difference.high) == (1, -1, 3)
    assert difference.p == pytest.approx(2 / 4, abs=0.03)
    # Of 1 and 3, no sample has a mean of 0 or less.
    certain = paired_bootstrap({"x": 1.0, "y": 3.0}, {"x": 0.0, "y": 0.0}, resamples=99)
    assert certain == (2, 1, 3, 2 / 100)
    assert paired_bootstrap({"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 3.0}, resamples=99).p == 2 / 100


def test_paired_bootstrap_of_many_photos_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    a = {str(n): float(n % 7) for n in range(50)}
    b = {str(n): float(n % 3) for n in range(50)}
    whole = paired_bootstrap(a, b)
    monkeypatch.setattr(metrics, "_DRAWS", 7 * 50)
    assert paired_bootstrap(a, b) == pytest.approx(whole, abs=0.05)


def test_recall() -> None:
    result = recall([1, 5, 6, 10, 11, 400])
    assert (result.at_1, result.at_5, result.at_10) == pytest.approx((100 / 6, 200 / 6, 400 / 6))
    assert (result.median_rank, result.queries) == (8, 6)


def test_caption_recall_counts_ties_against_the_search() -> None:
    names = ["a", "b", "c"]
    scores = {"one": [3, 2, 1], "two": [3, 2, 1], "none": [0, 0, 0]}
    result = caption_recall(
        lambda query: np.array(scores[query], np.float32),
        names,
        {"a": ["one", "none"], "b": ["two"], "c": []},
    )
    # Ranks 1, 3 and 2.
    assert (result.at_1, result.median_rank, result.queries) == (pytest.approx(100 / 3), 2, 3)


@pytest.mark.parametrize(
    ("found", "expected"),
    [("1", 1), ("01", 1 / 2), ("1010", (1 + 2 / 3) / 2), ("00111", (1 / 3 + 2 / 4 + 3 / 5) / 3)],
)
def test_average_precision_by_hand(found: str, expected: float) -> None:
    assert average_precision(np.array([c == "1" for c in found])) == pytest.approx(expected)


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_average_precision_by_its_definition(found: list[bool]) -> None:
    precisions = [
        sum(found[: place + 1]) / (place + 1) for place in range(len(found)) if found[place]
    ]
    assert average_precision(np.array(found)) == pytest.approx(sum(precisions) / len(precisions))


def test_query_precision() -> None:
    names = [*"abcdefg"]
    scores = {
        "first": [7, 6, 5, 4, 3, 2, 1],
        "last": [1, 2, 3, 4, 5, 6, 7],
        "not found": [-math.inf] * 7,
    }
    queries = [
        JudgedQuery("first", frozenset("a")),
        JudgedQuery("last", frozenset("ab")),
        JudgedQuery("not found", frozenset("g")),
        JudgedQuery("elsewhere", frozenset("z")),
    ]
    result = query_precision(lambda q: np.array(scores[q], np.float32), names, queries)
    averages = [1, (1 / 6 + 2 / 7) / 2, 1 / 7]
    assert result.mean_average == pytest.approx(100 * sum(averages) / 3)
    assert result.at_5 == pytest.approx(100 * (1 / 5) / 3)
    assert (result.queries, result.left_out) == (3, 1)
    with pytest.raises(CaptionerError, match="none of the 1 queries"):
        query_precision(lambda q: np.zeros(7, np.float32), names, queries[3:])


def test_read_queries(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"query": "red ball", "relevant": ["a.jpg", "b.jpg"]}\n\n')
    assert read_queries(file) == [JudgedQuery("red ball", frozenset(["a.jpg", "b.jpg"]))]
    file.write_text('{"query": "red ball", "relevant": ["a.jpg"]}\n{"query": "blue ball"}\n')
    with pytest.raises(CaptionerError, match="line 2 is not a query"):
        read_queries(file)
    file.write_text("\n")
    with pytest.raises(CaptionerError, match="no queries"):
        read_queries(file)
    with pytest.raises(CaptionerError, match="cannot read queries"):
        read_queries(tmp_path / "nowhere")
