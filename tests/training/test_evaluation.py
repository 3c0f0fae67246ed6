"""Descriptions made by hand, rankings that know the answer, figures known beforehand."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import fake_descriptions
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.errors import CaptionerError
from captioner.training.corpora import Example
from captioner.training.evaluation import by_order, evaluate
from captioner.training.metrics import JudgedQuery
from captioner.types import (
    Caption,
    DecodedPhoto,
    Description,
    Features,
    Keyword,
    Photo,
    PixelArray,
    QueryPlan,
    SearchVectors,
)

pytest.importorskip("pycocoevalcap")

EXAMPLES = [
    Example(Path("a.jpg"), ("A dog runs fast .", "The dog ."), "dev"),
    Example(Path("b.jpg"), ('A sign says " boats " .',), "dev"),
    Example(Path("c.jpg"), ("Nobody described this .",), "dev"),
]


def description(name: str, text: str, axis: int) -> Description:
    joint = np.zeros(256, np.float16)
    joint[axis] = 1
    return Description(
        photo=Photo(Path(name), 1, 1),
        width=4,
        height=3,
        format="JPEG",
        content_hash=b"",
        captions=(Caption(text, 0.5, -9.0), Caption("Not the best one.", 0.1, -10.0)),
        keywords=(Keyword("dog", 0.9),),
        feature=np.zeros(2048, np.float16),
        vectors=SearchVectors(joint, np.zeros(8, np.float16)),
    )


DESCRIPTIONS = [description("b.jpg", "Two boats.", 0), description("a.jpg", "A dog runs fast.", 1)]


def rank(query: str) -> QueryPlan:
    assert '"' not in query
    axis = 1 if "dog" in query else 0
    return fake_descriptions.query_plan(np.eye(256)[axis], np.zeros(8))


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def test_all_figures() -> None:
    by_name = lambda query: by_order([1], 2) if query == "dog" else by_order([], 2)  # noqa: E731
    evaluation = evaluate(
        EXAMPLES,
        DESCRIPTIONS,
        rank,
        by_name,
        {
            "short": [
                JudgedQuery("dog", frozenset(["a.jpg", "c.jpg"])),
                JudgedQuery("boat", frozenset(["b.jpg"])),
                JudgedQuery("nobody", frozenset(["c.jpg"])),
            ]
        },
    )
    assert [example.name for example in evaluation.examples] == ["b.jpg", "a.jpg"]
    assert evaluation.scores.photo_cider["a.jpg"] > evaluation.scores.photo_cider["b.jpg"]
    assert (evaluation.recall.at_1, evaluation.recall.queries) == (100, 3)
    # By name, "boat" finds nothing: its photo counts as the last of two.
    by_name_precision = evaluation.precisions["short"]["captioner search"]
    assert by_name_precision.mean_average == pytest.approx(100 * (1 + 1 / 2) / 2)
    assert by_name_precision.left_out == 1
    assert evaluation.precisions["short"]["the model alone"].mean_average == pytest.approx(100)
    record = json.loads(json.dumps(evaluation.record()))
    assert record["captions"]["photos"] == 2
    assert record["captions"]["meteor"] is None
    assert record["whole_captions"]["at_1"] == 100
    assert record["query_files"][0]["search"]["mean_average"] == 75


def test_nothing_described() -> None:
    with pytest.raises(CaptionerError, match="no photo was captioned"):
        evaluate(EXAMPLES, [], rank, lambda query: by_order([], 0), {})


def test_order_as_scores() -> None:
    assert by_order([2, 0], 4).argsort().tolist()[::-1][:2] == [2, 0]
    assert np.isneginf(by_order([2, 0], 4)).tolist() == [False, True, False, True]


COLOURS = ("red", "green", "blue")


class ColourModel:
    """A describer that names a photo's colour, with a joint space of three colours."""

    model_id = "colours"
    size = 8
    batch_size = 2

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        for batch in batches:
            features = np.zeros((len(batch), 2048), np.float32)
            features[:, :3] = batch.mean((1, 2)) / 255
            yield Features(features)

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        return [
            Description(
                photo=each.photo,
                width=each.width,
                height=each.height,
                format=each.format,
                content_hash=each.content_hash,
                captions=(Caption(f"A {COLOURS[feature.argmax()]} wall.", 0.8, -1.0),),
                keywords=(),
                feature=feature.astype(np.float16),
                vectors=SearchVectors(feature[:256].astype(np.float16), np.zeros(8, np.float16)),
            )
            for each, feature in zip(pixels, features.pooled, strict=True)
        ]


def rank_colours(query: str) -> QueryPlan | None:
    known = [n for n, colour in enumerate(COLOURS) if colour in query]
    return (
        fake_descriptions.query_plan(np.eye(256)[known].sum(axis=0), np.zeros(8)) if known else None
    )


@pytest.fixture
def walls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of three plain photos and one that is broken, all in the dev split."""
    folder = tmp_path / "walls"
    (folder / "Images").mkdir(parents=True)
    rows = ["image,caption"]
    for colour in COLOURS:
        Image.new("RGB", (12, 9), colour).save(folder / f"Images/{colour}.png")
        rows += [f"{colour}.png,A {colour} wall .", f"{colour}.png,Some {colour} paint"]
    (folder / "Images/broken.png").write_bytes(b"no picture")
    rows += ["broken.png,A wall", "absent.png,A wall"]
    (folder / "captions.txt").write_text("\n".join(rows))
    names = "red.png green.png blue.png broken.png"
    (folder / "Flickr_8k.devImages.txt").write_text(names.replace(" ", "\n"))
    (folder / "queries.jsonl").write_text('{"query": "red", "relevant": ["red.png"]}\n')
    monkeypatch.setattr("captioner.model.load", lambda options: ColourModel())
    monkeypatch.setattr(
        "captioner.model.query.load_planner", lambda bundle: ("colours", rank_colours)
    )
    monkeypatch.delenv("CAPTIONER_DATA", raising=False)
    return folder


def command(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)], prog_name="captioner")


def test_command_prints_one_object(walls: Path) -> None:
    queries, page, objects = (walls / name for name in ("queries.jsonl", "sheet.html", "o.json"))
    objects.write_text('{"red.png": ["wall", "dog"], "blue.png": ["dog"]}')
    result = command(
        "--data", walls, "--queries", queries, "--objects", objects, "--html", page, "--json"
    )
    assert result.exit_code == 1, result.output
    record = json.loads(result.stdout)
    assert (record["model"], record["data"], record["split"]) == ("colours", "walls", "dev")
    assert (record["split_by"], record["failed"]) == ("official lists", 1)
    assert record["captions"]["photos"] == 3
    assert record["captions"]["bleu_1"] == pytest.approx(100)
    assert record["whole_captions"]["at_1"] == 100
    assert record["query_files"][0]["search"]["mean_average"] == 100
    # A reference of blue.png mentions its wall, so its caption is right about it.
    assert record["objects"] == {
        "keyword_precision_at_5": 0, "keyword_recall_at_5": 0,
        "chair_objects": 0, "chair_captions": 0, "photos": 2,
    }  # fmt: skip
    assert "broken.png" in result.stderr
    assert "1 photo (absent.png)" in result.stderr
    assert "METEOR is not computed" in result.stderr
    assert page.read_text("utf-8").count("<article>") == 3
    assert "CHAIRs" in page.read_text("utf-8")


def test_objects_of_other_photos(walls: Path) -> None:
    objects = walls / "objects.json"
    objects.write_text('{"another.png": ["dog"]}')
    result = command("--data", walls, "--objects", objects)
    assert result.exit_code == 1
    assert "lists the objects of none of these photos" in result.stderr


def test_command_prints_lines(walls: Path) -> None:
    (walls / "Images/broken.png").unlink()
    result = command("--data", walls)
    assert result.exit_code == 0, result.output
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert ["captions of 3 photos", "BLEU-1", "100.0"] in rows
    assert [row[1] for row in rows][-4:] == ["R@1", "R@5", "R@10", "median rank"]


def test_command_used_wrongly(walls: Path) -> None:
    for words, reason in (
        ((), "neither --data nor CAPTIONER_DATA"),
        (("--data", walls, "--html", walls / "nowhere" / "sheet.html"), "cannot write"),
        (("--data", walls, "--split", "some"), "--split"),
    ):
        result = command(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert reason in result.stderr
    for colour in COLOURS:
        (walls / f"Images/{colour}.png").write_bytes(b"no picture either")
    result = command("--data", walls)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no photo was captioned" in result.stderr
    result = command("--data", walls, "--split", "test")
    assert result.exit_code == 1
    assert "no photos in the test split" in result.stderr
