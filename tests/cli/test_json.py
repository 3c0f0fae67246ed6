"""JSON and options: a name means the same in every command, and docs/json.md says what."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import colour_describer
import jsonschema
import pictures
import pytest
import tiny_bundles
import typer
from PIL import Image
from processes import ROOT
from typer.testing import CliRunner, Result

from captioner.cli import console
from captioner.cli.app import COMMANDS, app
from captioner.index import Index
from captioner.model import query
from captioner.training import experiment

pytestmark = pytest.mark.process

LOAD_PLANNER = query.load_planner
Run = Callable[..., Result]
Lines = Callable[..., list[dict[str, Any]]]

NOT_UTF_8 = os.fsdecode(b"caf\xe9.jpg")
OWN = pictures.packet(
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Rex at Sylt</rdf:li></rdf:Alt>'
    "</dc:description><dc:title>Our dog</dc:title>"
    "<dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>",
    'xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    'exif:DateTimeOriginal="2024-05-06T07:08:09+02:00" '
    'exif:GPSLatitude="54,54.0N" exif:GPSLongitude="8,18.0E"',
)


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each command in docs/json.md, with the shared definitions."""
    page = (ROOT / "docs/json.md").read_text("utf-8")
    head, *sections = re.split(r"^## captioner (\w+)$", page, flags=re.MULTILINE)
    [shared] = map(json.loads, re.findall(r"```json\n(.*?)```", head, re.DOTALL))
    found = {}
    for name, section in zip(sections[::2], sections[1::2], strict=True):
        [own] = map(json.loads, re.findall(r"```json\n(.*?)```", section, re.DOTALL))
        definitions = {**shared["$defs"], **own.pop("$defs", {})}
        found[name] = {**own, "$defs": definitions}
    return found


SCHEMAS = schemas()


def objects_in(schema: object) -> Iterator[dict[str, Any]]:
    """All schemas of objects in a schema."""
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield schema
        for inner in schema.values():
            yield from objects_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from objects_in(inner)


def parameters() -> dict[str, list[Any]]:
    """The options of each command."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("captioner", [], resilient_parsing=True)
    return {
        name: [
            param
            for param in group.get_command(context, name).params
            if param.param_type_name == "option"
        ]
        for name in COMMANDS
    }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Stand in a folder of photos of all kinds that the index knows."""
    for name in ("CAPTIONER_DB", "CAPTIONER_MODEL", "CAPTIONER_DEBUG", "CAPTIONER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(
        "captioner.model.load",
        lambda options: colour_describer.ColourDescriber(
            alternatives=options.alternatives, min_confidence=options.min_confidence
        ),
    )
    monkeypatch.setattr(
        "captioner.model.query.load_planner",
        lambda bundle=None: (colour_describer.MODEL_ID, colour_describer.rank_colours),
    )
    runner = CliRunner()

    def run(*words: str, **options: Any) -> Result:
        return runner.invoke(app, list(words), prog_name="captioner", **options)

    for name, colour in (
        ("album/blue.jpg", "blue"), ("edited.jpg", "red"), ("gone.jpg", "green"),
        ("own.jpg", "green"), ("red.jpg", "red"), ("unsure.jpg", "red"), (NOT_UTF_8, "blue"),
    ):  # fmt: skip
        colour_describer.photo(Path(name), colour)
    Path(f"copy-{NOT_UTF_8}").write_bytes(Path(NOT_UTF_8).read_bytes())
    Path("own.jpg.xmp").write_bytes(OWN)
    Path("broken.jpg").write_bytes(b"")
    assert run("index", "unsure.jpg", "--min-confidence", "0.99").exit_code == 0
    assert run("index", ".").exit_code == 1
    Path("gone.jpg").unlink()
    assert run("index", ".", "--retry-failed").exit_code == 1
    assert run("edit", "edited.jpg", "The red one").exit_code == 0
    return run


@pytest.fixture
def lines(run: Run) -> Lines:
    """Run a command with --json, and hold each line against the schema of the command."""

    def lines(name: str, *words: str, code: int = 0, **options: Any) -> list[dict[str, Any]]:
        json_option = [] if name == "export" else ["--json"]
        result = run(name, *words, *json_option, **options)
        assert result.exit_code == code, result.output
        found = [json.loads(line) for line in result.stdout.splitlines()]
        for record in found:
            valid(name, record)
        return found

    return lines


def valid(name: str, record: dict[str, Any]) -> None:
    jsonschema.validate(record, SCHEMAS[name], jsonschema.Draft202012Validator)
    for key, value in record.items():
        if key.endswith("_bytes") and isinstance(value, str):
            exact = os.fsdecode(base64.b64decode(value))
            assert console.shown(exact) == record[key.removesuffix("_bytes")]


def named(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {Path(record["path"]).name: record for record in records}


def shown(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("caption", "kind", "source"))


class TestSchemas:
    def test_each_command_with_json_has_one(self) -> None:
        with_json = {
            name
            for name, options in parameters().items()
            if any("--json" in param.opts for param in options)
        }
        assert set(SCHEMAS) == with_json | {"export"}

    @pytest.mark.parametrize("name", SCHEMAS)
    def test_it_is_strict(self, name: str) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
        for one in objects_in(SCHEMAS[name]):
            assert one["additionalProperties"] is False
            assert set(one["required"]) <= set(one["properties"])
            assert all(re.fullmatch("[a-z][a-z0-9_]*", key) for key in one["properties"])

    def test_a_name_has_one_schema(self) -> None:
        """But where a command narrows it, or something else has the name as docs/json.md says."""
        shared = ("path_bytes", "confidence", "score", "keywords", "taken_at", "kind", "error")
        for key in shared:
            found = {
                json.dumps(one["properties"][key])
                for schema in SCHEMAS.values()
                for one in objects_in(schema)
                if key in one["properties"]
            }
            of_sentences_alone = {'{"$ref": "#/$defs/unit"}'} if key == "confidence" else set()
            assert len(found - of_sentences_alone) == 1, found

    def test_each_shared_name_is_explained(self) -> None:
        page = (ROOT / "docs/json.md").read_text("utf-8")
        rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
        explained = set(re.findall("`(.*?)`", "".join(rows)))
        assert explained >= {
            *("path", "path_bytes", "file", "caption", "kind", "source", "confidence", "score"),
            *("keywords", "alternatives", "error", "state", "missing_reason"),
        }

    @pytest.mark.parametrize(
        ("name", "record"),
        [
            ("search", {"path": "/a.jpg", "caption": "A dog.", "score": 2}),
            ("caption", {"path": "a.jpg", "error": "it is empty.", "score": 1}),
            ("prune", {"path": "/a.jpg", "state": "deleted"}),
        ],
    )
    def test_others_are_refused(self, name: str, record: dict[str, Any]) -> None:
        with pytest.raises(jsonschema.ValidationError):
            valid(name, record)


class TestCaption:
    def test_sentences_failures_and_names(self, lines: Lines) -> None:
        found = lines("caption", ".", "missing.jpg", code=1)
        by_path = {record["path"]: record for record in found}
        assert {"./red.jpg", "./caf\\xe9.jpg", "missing.jpg", "./broken.jpg"} <= by_path.keys()
        assert (
            by_path["./caf\\xe9.jpg"]["path_bytes"] == base64.b64encode(b"./caf\xe9.jpg").decode()
        )
        assert shown(by_path["./red.jpg"]) == ("A red photo.", "sentence", "model")
        assert by_path["missing.jpg"]["error"]

    def test_keywords_alone(self, lines: Lines) -> None:
        [record] = lines("caption", "red.jpg", "--min-confidence", "1")
        assert shown(record) == ("red, green", "keywords", "model")
        assert record["confidence"] is None

    def test_alternatives(self, lines: Lines) -> None:
        [record] = lines("caption", "red.jpg", "--alternatives", "3")
        assert len(record["alternatives"]) == 2

    @pytest.mark.parametrize(("number", "left"), [((), 2), (("1",), 1), (("0",), 0)])
    def test_so_many_keywords(self, lines: Lines, number: tuple[str, ...], left: int) -> None:
        words = [word for each in number for word in ("--keywords", each)]
        [record] = lines("caption", "red.jpg", *words)
        assert len(record["keywords"]) == left
        assert record["caption"] == "A red photo."

    def test_two_models(self, lines: Lines) -> None:
        bundles = [tiny_bundles.write(Path(name), seed=ord(name)) for name in ("x", "y")]
        words = ["red.jpg", "broken.jpg", NOT_UTF_8, "--model", "x", "--model", "y"]
        options = ["--precision", "float32", "--min-confidence", "0", "--alternatives", "2"]
        red, broken, named = lines("caption", *words, *options, code=1)
        assert [each["folder"] for each in red["captions"]] == ["x", "y"]
        assert [each["model"] for each in red["captions"]] == [one.model_id for one in bundles]
        assert {each["kind"] for each in red["captions"]} == {"sentence"}
        assert broken.keys() == {"path", "error"}
        assert named["path_bytes"]

    def test_a_missing_photo_given_by_name(self, lines: Lines) -> None:
        [record] = lines("caption", NOT_UTF_8.replace("caf", "no"), code=1)
        assert record["path_bytes"]


class TestFinding:
    def test_whose_words_are_shown(self, lines: Lines) -> None:
        found = named(lines("search", "-n", "50"))
        assert shown(found["edited.jpg"]) == ("The red one", "sentence", "person")
        assert shown(found["own.jpg"]) == ("Rex at Sylt", "sentence", "person")
        assert shown(found["red.jpg"]) == ("A red photo.", "sentence", "model")
        assert shown(found["unsure.jpg"]) == ("red, green", "keywords", "model")
        assert found["own.jpg"]["file_title"] == "Our dog"
        assert found["own.jpg"]["taken_at"] and found["own.jpg"]["latitude"]
        assert found["red.jpg"]["taken_at"] is found["red.jpg"]["latitude"] is None
        assert "gone.jpg" not in found and "broken.jpg" not in found
        assert all(record["score"] is None for record in found.values())
        assert all(Path(record["path"]).is_absolute() for record in found.values())

    def test_scores_and_matches(self, lines: Lines) -> None:
        found = lines("search", "rex", "sylt")
        assert found[0]["matched"] == ["caption"]
        assert found[0]["score"] > 0.9
        assert not lines("search", "rex", "--min-score", "1")
        assert not lines("search", "zebra")
        assert not lines("search", "zebra", "--exact")

    def test_copies_of_any_name(self, lines: Lines) -> None:
        found = lines("search", "-n", "50")
        [record] = [record for record in found if record["copies"]]
        [exact] = record["copies_bytes"]
        names = {base64.b64decode(record["path_bytes"]), base64.b64decode(exact)}
        assert {name.rpartition(b"/")[2] for name in names} == {b"caf\xe9.jpg", b"copy-caf\xe9.jpg"}

    def test_similar(self, lines: Lines) -> None:
        found = lines("similar", "red.jpg")
        assert {"edited.jpg", "unsure.jpg"} <= named(found).keys()
        assert all(0 <= record["score"] <= 1 for record in found)
        assert not lines("similar", "red.jpg", "--after", "2030")
        best = lines("similar", "red.jpg", "--min-score", "0.9")
        assert 0 < len(best) < len(found)
        assert all(record["score"] >= 0.9 for record in best)
        [failure] = lines("similar", "missing.jpg", code=1)
        assert failure["path"] == "missing.jpg"
        [failure] = lines("similar", "broken.jpg", code=1)
        assert failure.keys() == {"path", "error"}


class TestWriting:
    def test_every_state(self, lines: Lines) -> None:
        Path("red.jpg.xmp").write_text("no packet")
        Path("album/blue.jpg.xmp").mkdir()
        colour_describer.photo(Path("new.jpg"), "red")
        options = ["--min-confidence", "0.5"]
        dry = named(lines("write", ".", "--dry-run", *options, code=1))
        real = named(lines("write", ".", *options, code=1))
        for found, written in ((dry, "would_write"), (real, "written")):
            assert {name: record.get("state") for name, record in found.items()} == {
                "blue.jpg": "refused", "broken.jpg": "unknown", "caf\\xe9.jpg": written,
                "copy-caf\\xe9.jpg": written, "edited.jpg": written, "new.jpg": "unknown",
                "own.jpg": "skipped", "red.jpg": "skipped", "unsure.jpg": "unsure",
            }  # fmt: skip
            assert found["red.jpg"]["unread"] == "./red.jpg.xmp"
            assert found["blue.jpg"]["file"] == "./album/blue.jpg.xmp"
            assert found["caf\\xe9.jpg"]["file_bytes"]
        again = named(lines("write", ".", *options, code=1))
        assert again["edited.jpg"]["state"] == "same"
        colour_describer.photo(Path("edited.jpg"), "green")
        assert lines("write", "edited.jpg")[0]["state"] == "changed"

    def test_files_are_spelled_as_the_photos(self, lines: Lines, tmp_path: Path) -> None:
        here = os.getcwd()  # noqa: PTH109
        for given, file in (
            ("red.jpg", "red.jpg.xmp"),
            ("./red.jpg", "./red.jpg.xmp"),
            ("../here/red.jpg", "../here/red.jpg.xmp"),
            (f"{here}/red.jpg", f"{here}/red.jpg.xmp"),
        ):
            [record] = lines("write", given, "--dry-run")
            assert (record["path"], record["file"]) == (given, file)
        everything = lines("write", "--dry-run", code=0)
        assert all(record["path"].startswith(here) for record in everything)

    def test_what_cannot_be_written_in_place(self, lines: Lines, run: Run) -> None:
        Image.new("RGB", (24, 16), (220, 20, 20)).save("red.bmp")
        run("index", "red.bmp")
        [record] = lines("write", "red.bmp", "--in-place")
        assert (record["not_in_place"], record["file"]) == ("format", "red.bmp.xmp")
        [record] = lines("write", "red.jpg", "--in-place", "--keywords", "1")
        assert (record["file"], record["after"]) == ("red.jpg", "A red photo.")

    def test_failures(self, lines: Lines) -> None:
        for command in ("write", "undo"):
            [record] = lines(command, "missing.jpg", code=1)
            assert record["path"] == "missing.jpg"

    def test_undo(self, lines: Lines, run: Run) -> None:
        run("write", ".")
        run("write", "red.jpg", "--in-place", "--existing", "append")
        dry = lines("undo", ".", "--dry-run")
        assert {record["state"] for record in dry} == {"would_undo"}
        assert any("file_bytes" in record for record in dry)
        done = lines("undo", ".")
        assert [record["file"] for record in done] == [record["file"] for record in dry]
        assert {record["state"] for record in done} == {"undone"}
        assert not lines("undo")

    def test_undo_of_a_photo_that_somebody_has_changed(self, lines: Lines, run: Run) -> None:
        run("write", "red.jpg", "--in-place")
        with Path("red.jpg").open("ab") as file:
            file.write(b"!")
        [record] = lines("undo", "red.jpg", code=1)
        assert (record["state"], record["file"]) == ("refused", "red.jpg")


class TestShowAndExport:
    def test_show(self, lines: Lines, run: Run) -> None:
        run("write", "red.jpg", "--keywords", "1")
        found = lines("show", "red.jpg")
        said = {(one["where"], one["what"], one["file"]) for one in found}
        assert ("sidecar", "caption", "red.jpg.xmp") in said
        assert ("sidecar", "keywords", "red.jpg.xmp") in said
        assert ("index", "caption", None) in said
        [confidence] = [one for one in found if one["what"] == "confidence"]
        assert confidence["confidence"] == pytest.approx(0.85, abs=0.02)
        assert all((one["source"], one["model"]) == ("model", colour_describer.MODEL_ID)
                   for one in found if one["what"] == "caption")  # fmt: skip

    def test_show_a_persons_words_first(self, lines: Lines) -> None:
        found = lines("show", "./own.jpg")
        index = [one for one in found if one["where"] == "index"]
        captions = [(one["source"], one["text"]) for one in index if one["what"] == "caption"]
        assert captions == [("person", "Rex at Sylt"), ("model", "A green photo.")]
        [place] = [one for one in index if one["what"] == "place"]
        assert place["latitude"] == pytest.approx(54.9)
        [taken] = [one for one in index if one["what"] == "taken"]
        assert taken["taken_at"] == "2024-05-06T07:08:09"
        assert {one["file"] for one in found} == {"./own.jpg.xmp", None}
        edited = [one for one in lines("show", "edited.jpg") if one["what"] == "caption"]
        assert [(one["source"], one["text"]) for one in edited] == [("person", "The red one")]

    def test_show_other_names_and_failures(self, lines: Lines) -> None:
        assert all(one["path_bytes"] for one in lines("show", NOT_UTF_8))
        assert [one["what"] for one in lines("show", "unsure.jpg")] == ["keywords"]
        [failure] = lines("show", "missing.jpg", code=1)
        assert failure["path"] == "missing.jpg"

    def test_show_who_else_wrote_it(self, lines: Lines) -> None:
        exif = Image.Exif()
        exif[0x010E] = "OLYMPUS DIGITAL CAMERA"
        Image.new("RGB", (24, 16)).save("camera.jpg", exif=exif)
        [one] = lines("show", "camera.jpg")
        assert (one["where"], one["file"], one["source"]) == ("photo", "camera.jpg", "camera")

    def test_export_shows_what_search_shows(self, lines: Lines) -> None:
        exported = lines("export")
        assert len(exported) == 9
        for hit in lines("search", "-n", "50"):
            [record] = [record for record in exported if record["path"] == hit["path"]]
            shared = hit.keys() & record.keys()
            assert {*shared} >= {"caption", "kind", "source", "confidence", "keywords", "taken_at"}
            assert {key: hit[key] for key in shared} == {key: record[key] for key in shared}
        records = named(exported)
        assert [one["caption"] for one in records["own.jpg"]["alternatives"]] == ["A green photo."]
        assert [one["caption"] for one in records["edited.jpg"]["alternatives"]] == ["A red photo."]
        assert shown(records["broken.jpg"]) == (None, None, None)
        assert records["broken.jpg"]["reason"]
        assert records["gone.jpg"]["missing_reason"] == "gone"
        assert sum("path_bytes" in record for record in exported) == 2

    def test_export_as_one_list(self, run: Run) -> None:
        for record in json.loads(run("export", "--format", "json").stdout):
            valid("export", record)


class TestRemoving:
    def test_prune(self, lines: Lines, run: Run) -> None:
        Path(".captionerignore").write_text("album/\n")
        run("index", ".")
        kept = named(lines("prune", code=2))
        assert {record["state"] for record in kept.values()} == {"would_remove"}
        gone = named(lines("prune", "--yes"))
        assert {name: record["missing_reason"] for name, record in gone.items()} == {
            "blue.jpg": "ignored", "gone.jpg": "gone",
        }  # fmt: skip
        assert {record["state"] for record in gone.values()} == {"removed"}
        assert shown(gone["gone.jpg"]) == ("A green photo.", "sentence", "model")
        assert not lines("prune")

    def test_forget(self, lines: Lines) -> None:
        names = ["own.jpg", "edited.jpg", "unsure.jpg", "broken.jpg", NOT_UTF_8]
        kept = lines("forget", *names, code=2)
        assert {record["state"] for record in kept} == {"would_remove"}
        gone = named(lines("forget", *names, "elsewhere.jpg", "--yes", code=1))
        assert gone["elsewhere.jpg"]["error"] == (
            "it is not in the index, and neither is anything below it."
        )
        assert shown(gone["own.jpg"]) == ("Rex at Sylt", "sentence", "person")
        assert shown(gone["unsure.jpg"]) == ("red, green", "keywords", "model")
        assert gone["caf\\xe9.jpg"]["path_bytes"]
        assert gone["broken.jpg"]["state"] == "removed"
        assert all(record["missing_since"] is None for record in gone.values() if "state" in record)
        assert len(lines("export")) == 4


class TestSingleObjects:
    def test_stats(self, lines: Lines, tmp_path: Path) -> None:
        [record] = lines("stats")
        assert record["photos_by"]["keyword"]["red"]
        assert record["reasons"][0]["example"].endswith("broken.jpg")
        with Index.open(tmp_path / "empty.db", write=True):
            pass
        [empty] = lines("stats", "--db", str(tmp_path / "empty.db"))
        assert empty["photos"] == 0

    @pytest.mark.parametrize("broken", [(), ("--model", "nowhere", "--db", "nowhere.db")])
    def test_info(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...]
    ) -> None:
        monkeypatch.delenv("CAPTIONER_MODEL", raising=False)
        monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path))
        monkeypatch.setenv("CAPTIONER_DB", str(tmp_path / "captioner.db"))
        with Index.open(tmp_path / "captioner.db", write=True):
            pass
        result = CliRunner().invoke(app, ["info", "--json", *broken])
        [record] = map(json.loads, result.stdout.splitlines())
        valid("info", record)
        for part, key in (("model", "id"), ("engine", "batch_size"), ("database", "described_by")):
            assert ("error" if broken else key) in record[part]

    def test_runs(self, lines: Lines) -> None:
        assert lines("runs") == []
        folder = Path("mine-training")
        folder.mkdir()
        record = experiment.begun(
            "train", Path("mine"), command="captioner train", seed=1, options={}, config={}, data={}
        )
        record.write(folder)
        [record] = lines("runs")
        assert (record["state"], record["reason"], record["best_cider"]) == (
            "stopped", "killed", None,
        )  # fmt: skip
        assert record["folder"] == "mine-training"

    def test_evaluate(self, lines: Lines) -> None:
        pytest.importorskip("pycocoevalcap")
        rows = ["image,caption"]
        for colour in colour_describer.COLOURS:
            colour_describer.photo(Path(f"walls/Images/{colour}.jpg"), colour)
            rows += [f"{colour}.jpg,A {colour} wall .", f"{colour}.jpg,Some {colour} paint"]
        Path("walls/Images/broken.jpg").write_bytes(b"")
        rows.append("broken.jpg,A wall")
        Path("walls/captions.txt").write_text("\n".join(rows))
        Path("queries.jsonl").write_text('{"query": "red", "relevant": ["red.jpg"]}\n')
        words = ("--data", "walls", "--split", "all", "--queries", "queries.jsonl")
        [record] = lines("evaluate", *words, code=1)
        assert (record["failed"], record["captions"]["photos"]) == (1, 3)
        assert record["query_files"][0]["file"] == "queries.jsonl"

    def test_compare(self, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("pycocoevalcap")
        monkeypatch.setattr("captioner.model.query.load_planner", LOAD_PLANNER)
        monkeypatch.setenv("PATH", "")  # METEOR takes seconds
        # An interval and a p-value need two systems; of one bundle there is no deviation.
        for folder, seed in (("small 1", 1), ("small 2", 2), ("other", 3)):
            tiny_bundles.write(Path(folder), seed=seed, options={"epochs": len(folder)})
        for colour in ("red", "green"):
            colour_describer.photo(Path(f"Images/{colour}.jpg"), colour)
        Path("Images/broken.jpg").write_bytes(b"")
        rows = ("image,caption", "red.jpg,A red wall .", "green.jpg,The wall .", "broken.jpg,A")
        Path("captions.txt").write_text("\n".join(rows))
        words = ("--data", ".", "--split", "all", "--precision", "float32", "--beams", "2")
        [record] = lines("compare", "small 1", "small 2", "other", *words, code=1)
        assert (record["failed"], record["photos"], record["beams"]) == (1, 2, 2)
        small, other = record["systems"]
        assert (small["name"], len(small["bundles"]), other["sd"]) == ("small", 2, None)


DIFFERENT = {
    "--force": "what it replaces differs, and the help says it",
    "--limit": "photos to print, entries of a list, photos to measure",
    "-n": "as --limit",
    "--in-place": "of index it requires --write; of write it has a counterpart, --sidecar",
    "--data": "train and train-cider say which formats they read",
    "-0": "paths on standard input, or paths printed",
    "--null": "as -0",
    "--batch-size": "of the model, or of training",
    "--db": "one to write to, or all that are searched as one",
    "--out": "the folder of a bundle, or of a study",
    "--resume": "a run, or a study",
    "--rate": "train has learning rates of other parts, too",
    "--model": "one, or several that describe the same photos",
}
"""Options of one name that mean as much but say more in some commands."""


class TestOptions:
    def test_one_name_has_one_meaning(self) -> None:
        found: dict[str, dict[Any, list[str]]] = {}
        for command, options in parameters().items():
            name = command.replace("-", "_")
            function = getattr(import_module(f"captioner.cli.{name}"), name)
            hints = get_type_hints(function, include_extras=True)
            for param in (param for param in options if param.name != "help"):
                hint, info = get_args(hints[param.name])
                types = {*(get_args(hint) or (hint,))} - {type(None)}
                kind = (param.help, info.metavar, info.min, info.max, frozenset(map(str, types)))
                for name in (*param.opts, *param.secondary_opts):
                    found.setdefault(name, {}).setdefault(kind, []).append(command)
        several = {name: kinds for name, kinds in found.items() if len(kinds) > 1}
        assert several.keys() == DIFFERENT.keys(), {
            name: kinds for name, kinds in several.items() if name not in DIFFERENT
        }

    def test_all_that_prints_notes_can_be_quiet(self) -> None:
        for command, options in parameters().items():
            names = {name for param in options for name in param.opts}
            quiet = {"--quiet", "-q", "--log-file"} <= names
            assert quiet is (command not in {"stats", "info", "runs"}), command

    def test_each_reads_or_prints_nul(self) -> None:
        found = {
            command
            for command, options in parameters().items()
            for param in options
            if {"-0", "--null"} <= set(param.opts)
        }
        assert found == {
            *("caption", "index", "write", "undo", "forget"), *("search", "similar"),
        }  # fmt: skip

    @pytest.mark.parametrize("option", ["-0", "--null", "--print0"])
    def test_paths_end_with_nul(self, run: Run, option: str) -> None:
        found = run("search", "rex", option).stdout_bytes
        assert found == os.fsencode(Path("own.jpg").absolute()) + b"\0"
        assert run("similar", "own.jpg", option, "-n", "1").stdout_bytes.endswith(b"jpg\0")

    @pytest.mark.parametrize(
        "words",
        [
            ("caption", "."),
            ("index", "."),
            ("index", ".", "--dry-run"),
            ("prune", "--yes"),
            ("forget", "red.jpg", "--yes"),
            ("search", "zebra"),
            ("similar", "red.jpg", "--after", "2030"),
            ("write", "red.jpg"),
            ("undo",),
            ("edit", "red.jpg", "Red"),
            ("export", "-o", "out.json"),
            ("export", "--backup", "out.db"),
        ],
        ids=" ".join,
    )
    def test_quiet_hides_notes_and_a_log_keeps_them(self, run: Run, words: tuple[str, ...]) -> None:
        Path("broken.jpg").unlink()
        Path("new").mkdir()
        run("index", ".")
        if words[0] == "caption":
            words = ("caption", "new")
        result = run(*words, "-q", "--log-file", "../captioner.log")
        assert (result.exit_code, result.stderr) == (0, "")
        log = Path("../captioner.log").read_text("utf-8").splitlines()
        assert log
        assert all(line.split()[1] == "info" for line in log)

    @pytest.mark.parametrize(
        "words",
        [
            ("caption", "missing.jpg"),
            ("index", "missing.jpg"),
            ("forget", "missing.jpg", "--yes"),
            ("similar", "missing.jpg"),
            ("write", "missing.jpg"),
            ("undo", "missing.jpg"),
            ("show", "missing.jpg"),
            ("edit", "missing.jpg", "Red"),
            ("search", "-n", "1", "--exact"),
        ],
        ids=" ".join,
    )
    def test_quiet_hides_no_failure(self, run: Run, words: tuple[str, ...]) -> None:
        result = run(*words, "--quiet", "--log-file", "../captioner.log")
        assert result.exit_code in {1, 2}
        assert result.stderr.startswith("captioner: ")
        assert re.search(" (error|warning) ", Path("../captioner.log").read_text("utf-8"))

    def test_min_confidence_means_the_same(self, run: Run) -> None:
        """Of caption, of index and of write: the same photo has its sentence or keywords."""
        for least, left in (("0.5", "A red photo."), ("0.99", "red, green")):
            options = ("--min-confidence", least)
            assert run("caption", "red.jpg", *options).stdout == f"{left}\n"
            run("index", "red.jpg", "--recaption", *options)
            records = map(json.loads, run("export").stdout.splitlines())
            assert [one["caption"] for one in records if one["path"].endswith("/red.jpg")] == [left]

    def test_write_uses_sentences_from_the_same_threshold(self, run: Run) -> None:
        for words in (["write", "red.jpg"], ["index", "red.jpg", "--write"]):
            run(*words, "--min-confidence", "0.99")
            assert not Path("red.jpg.xmp").exists()
        run("index", "red.jpg", "--write", "--min-confidence", "0.5")
        assert Path("red.jpg.xmp").exists()
