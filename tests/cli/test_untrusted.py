"""A photo without a sentence to trust: from the index to search, export and the file itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import colour_describer
import pytest
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.index import Index
from captioner.metadata.packet import read_packet
from captioner.model.options import DescribeOptions
from captioner.types import BundleIds

Run = Callable[..., Result]
KEYWORDS = "red, green"
WEIGHTS = BundleIds(colour_describer.MODEL_ID, colour_describer.ColourDescriber.encoder_id)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Stand in a folder of two photos that the index knows, by their keywords alone."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CAPTIONER_DB", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    colour_describer.photo(Path("red.jpg"), "red")
    colour_describer.photo(Path("blue.jpg"), "blue")

    def load(options: DescribeOptions) -> colour_describer.ColourDescriber:
        return colour_describer.ColourDescriber(min_confidence=options.min_confidence)

    monkeypatch.setattr("captioner.model.load", load)
    monkeypatch.setattr("captioner.model.weights", lambda bundle=None: WEIGHTS)
    monkeypatch.setattr(
        "captioner.model.query.load_planner",
        lambda bundle=None: (colour_describer.MODEL_ID, colour_describer.rank_colours),
    )
    runner = CliRunner()

    def run(*words: str) -> Result:
        return runner.invoke(app, list(words), prog_name="captioner")

    assert run("index", ".", "--min-confidence", "0.99").exit_code == 0
    return run


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_it_is_found_by_its_keywords_and_by_sight(run: Run) -> None:
    [best, *_] = objects(run("search", "red", "--json"))
    assert (Path(best["path"]).name, best["caption"]) == ("red.jpg", KEYWORDS)
    assert best["kind"] == "keywords"
    with Index.open(Path("../home/captioner.db")) as index:  # by the keywords alone
        assert [Path(hit.path).name for hit in index.search("blue")] == ["blue.jpg"]
        assert len(index.newest()) == 2
    assert run("search", "red", "-n", "1").stdout.split("\t")[1] == KEYWORDS
    assert run("similar", "blue.jpg").stdout.split("\t")[1] == KEYWORDS


def test_no_sentence_of_it_is_searched(run: Run) -> None:
    assert not run("search", "--exact", "photo").stdout
    with Index.open(Path("../home/captioner.db")) as index:
        assert not index.search("photo")


def test_it_is_shown_exported_and_counted(run: Run) -> None:
    [said] = objects(run("show", "red.jpg", "--json"))
    assert (said["what"], said["text"]) == ("keywords", KEYWORDS)
    _, record = objects(run("export"))
    assert [record[name] for name in ("status", "caption", "kind", "source", "confidence")] == [
        "described", KEYWORDS, "keywords", "model", None,
    ]  # fmt: skip
    assert [keyword["word"] for keyword in record["keywords"]] == ["red", "green"]
    [counted] = objects(run("stats", "--json"))
    assert counted["described"] == 2


def test_a_person_has_words_for_it(run: Run) -> None:
    run("edit", "red.jpg", "The red one")
    assert run("search", "--exact", "one").stdout.split("\t")[1] == "The red one"
    assert "no longer has a caption" in run("edit", "red.jpg", "--remove").stderr
    assert run("search", "red", "-n", "1").stdout.split("\t")[1] == KEYWORDS


def test_only_its_keywords_are_written(run: Run) -> None:
    left_out = run("write", ".", "--field", "both")
    assert left_out.exit_code == 0
    assert left_out.stderr.splitlines()[-1].startswith("2 photos: 2 skipped: confidence too low")
    assert not list(Path().glob("*.xmp"))
    [record, _] = objects(run("write", ".", "--field", "both", "--keywords", "2", "--json"))
    assert record["state"] == "written"
    content = read_packet(Path("red.jpg.xmp").read_bytes())
    assert (content.texts, content.alt_texts, content.keywords) == ((), (), ("red", "green"))
    assert content.mark.model == colour_describer.MODEL_ID
    assert run("undo").exit_code == 0
    assert not list(Path().glob("*.xmp"))
    assert run("write", ".", "--in-place", "--keywords", "2").exit_code == 0
    assert "2 photos unchanged" in run("index", ".").stderr


def test_a_copy_is_without_a_sentence_too(run: Run) -> None:
    Path("rouge.jpg").write_bytes(Path("red.jpg").read_bytes())
    assert "1 copy of another" in run("index", ".").stderr
    [found, *_] = objects(run("search", "red", "--json", "-n", "2"))
    assert (Path(found["path"]).name, found["caption"]) == ("red.jpg", KEYWORDS)
    assert [Path(path).name for path in found["copies"]] == ["rouge.jpg"]
    found = objects(run("search", "rouge", "--json"))[0]
    assert (Path(found["path"]).name, found["caption"]) == ("rouge.jpg", KEYWORDS)


def test_another_threshold_brings_the_sentences_back(run: Run) -> None:
    assert run("index", "--recaption").exit_code == 0
    assert run("search", "red", "-n", "1").stdout.split("\t")[1] == KEYWORDS, "the same model"
    again = run("index", "--recaption", "--min-confidence", "0")
    assert "2 recaptioned" in again.stderr
    [best, *_] = objects(run("search", "red", "--json"))
    assert (best["caption"], best["kind"]) == ("A red photo.", "sentence")
    run("index", "--recaption", "--min-confidence", "0.99")
    assert not run("search", "--exact", "photo").stdout


def test_0_shows_every_sentence(run: Run) -> None:
    assert run("caption", "red.jpg", "--min-confidence", "0.99").stdout == f"{KEYWORDS}\n"
    assert run("caption", "red.jpg", "--min-confidence", "0").stdout == "A red photo.\n"


def test_nothing_at_all_is_said_aloud(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(colour_describer.ColourDescriber):
        """Trusts neither a sentence nor a word."""

        def _describe(self, *pair: Any) -> Any:
            from dataclasses import replace

            return replace(super()._describe(*pair), captions=(), keywords=())

    monkeypatch.setattr("captioner.model.load", lambda options: Blind())
    assert run("caption", "red.jpg").stdout == "(not recognised)\n"
    [record] = objects(run("caption", "red.jpg", "--json"))
    assert (record["caption"], record["kind"]) == (None, None)
    colour_describer.photo(Path("green.jpg"), "green")
    run("index", ".")
    line = run("search", "green", "-n", "1").stdout.split("\t")
    assert (Path(line[0]).name, line[1]) == ("green.jpg", "(not recognised)")
    assert "1 skipped: confidence too low" in run("write", "green.jpg", "--keywords", "3").stderr
