"""Formats of data sets, with the quirks of the files that people really have."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from captioner.errors import CaptionerError, UsageError
from captioner.training.corpora import (
    Captions,
    ReadOptions,
    read_corpus,
    register,
    registry,
    without_held_out,
)
from captioner.training.corpora.columns import parse, texts
from captioner.training.corpora.copies import identical


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CAPTIONER_HOME", str(folder))
    return folder


def photos(folder: Path, *names: str) -> Path:
    """Small photos, each with a content of its own."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(name))
    return folder


def jpeg(name: str) -> bytes:
    import io

    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "JPEG", comment=name.encode())
    return file.getvalue()


def read(place: Path, **options: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The split and the captions of each photo."""
    return {p.name: (p.split, p.captions) for p in read_corpus(place, **options).photos}


RESULTS = """image_name| comment_number| comment
1.jpg| 0| Two young guys , with | hair .
1.jpg| 1| Two men .
2199200615.jpg| 3| A dog .
2199200615.jpg| 4   A dog runs across the grass .
3.jpg| 0|
"""


@pytest.mark.parametrize("inner", ["", "flickr30k_images/"])
@pytest.mark.parametrize("folder", ["flickr30k_images", "Images"])
def test_flickr30k_of_kaggle(tmp_path: Path, inner: str, folder: str) -> None:
    photos(tmp_path / inner / folder, "1.jpg", "2199200615.jpg", "3.jpg")
    (tmp_path / inner / "results.csv").write_text(RESULTS)
    for place in (tmp_path, tmp_path / inner / "results.csv"):
        corpus = read_corpus(place)
        assert {p.name: p.captions for p in corpus.photos} == {
            "1.jpg": ("Two young guys , with | hair .", "Two men ."),
            "2199200615.jpg": ("A dog .", "A dog runs across the grass ."),
        }
        (warning,) = corpus.warnings
        assert "1 line (6: 3.jpg| 0|) without a photo or without words" in warning


def test_flickr30k_of_its_authors_with_lists_without_extensions(tmp_path: Path) -> None:
    photos(tmp_path / "flickr30k-images", *(f"{n}.jpg" for n in range(4)))
    (tmp_path / "results_20130124.token").write_text("".join(f"{n}.jpg#0\tA {n}\n" for n in "0123"))
    assert set(read_corpus(tmp_path).record()["photos"].values()) == {2, 1, 0}  # type: ignore[attr-defined]
    for name, number in (("train", "0"), ("val", "1"), ("test", "2")):
        (tmp_path / f"{name}.txt").write_text(f"{number}\n")
    corpus = read_corpus(tmp_path)
    assert [photo.split for photo in corpus.photos] == ["train", "dev", "test", "rest"]
    assert corpus.how == "official lists"


def test_flickr30k_with_numbers_in_a_captions_file(tmp_path: Path) -> None:
    photos(tmp_path / "Images", "1.jpg")
    (tmp_path / "captions.txt").write_text(
        'image_name,comment_number,comment\n1.jpg,0,A dog\n1.jpg, 1," A ""big"" cat , here ."\n'
    )
    assert read(tmp_path)["1.jpg"][1] == ("A dog", 'A "big" cat , here .')


def karpathy(file: Path, *images: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"dataset": "x", "images": images}))


def image(name: str, split: str, *sentences: str, **more: str) -> dict[str, Any]:
    raw = [{"raw": sentence, "tokens": sentence.split()} for sentence in sentences]
    return {"filename": name, "split": split, "sentences": raw, **more}


def test_karpathys_splits(tmp_path: Path) -> None:
    photos(tmp_path / "flickr30k-images", "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "results.csv").write_text(RESULTS)  # the JSON file goes before it
    karpathy(
        tmp_path / "dataset_flickr30k.json",
        image("a.jpg", "train", "A dog .", "Dogs ."),
        image("b.jpg", "val", "A cat ."),
        image("c.jpg", "test", "A bird ."),
    )
    assert read(tmp_path) == {
        "a.jpg": ("train", ("A dog .", "Dogs .")),
        "b.jpg": ("dev", ("A cat .",)),
        "c.jpg": ("test", ("A bird .",)),
    }
    assert read_corpus(tmp_path).how == "Karpathy's split"


def test_karpathys_coco_has_folders_and_restval(tmp_path: Path) -> None:
    photos(tmp_path, "train2014/a.jpg", "val2014/b.jpg", "val2014/c.jpg")
    file = tmp_path / "annotations/dataset_coco.json"
    karpathy(
        file,
        image("a.jpg", "train", "A dog", filepath="train2014"),
        image("b.jpg", "restval", "A cat", filepath="val2014"),
        image("c.jpg", "val", "A bird", filepath="val2014"),
        image("d.jpg", "test", "A fish", filepath="val2014"),
    )
    corpus = read_corpus(file)
    assert {p.name: p.split for p in corpus.photos} == {
        "a.jpg": "train", "b.jpg": "train", "c.jpg": "dev",
    }  # fmt: skip
    assert "1 photo (val2014/d.jpg) not in" in corpus.warnings[0]


def coco(file: Path, names: list[str], start: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": start + n, "file_name": name} for n, name in enumerate(names)]
    annotations = [
        {"id": n, "image_id": one["id"], "caption": f"A thing {k}\n"}
        for n, one in enumerate(images)
        for k in range(2)
    ]
    file.write_text(json.dumps({"images": images, "annotations": annotations}))


@pytest.mark.parametrize("below", ["", "images/"])
def test_coco(tmp_path: Path, below: str) -> None:
    train, val = (["1.jpg", "2.jpg"], ["3.jpg", "4.jpg", "5.jpg"])
    photos(tmp_path / below / "train2017", *train)
    photos(tmp_path / below / "val2017", *val)
    coco(tmp_path / "annotations/captions_train2017.json", train)
    assert read(tmp_path)["1.jpg"][1] == ("A thing 0", "A thing 1")
    assert read_corpus(tmp_path).how == "seeded by photo, seed 0"
    coco(tmp_path / "annotations/captions_val2017.json", val, 10)
    corpus = read_corpus(tmp_path)
    assert corpus.record()["photos"] == {"train": 3, "dev": 1, "test": 1, "rest": 0}
    assert {p.name for p in corpus.photos if p.split != "train"} < set(val)
    assert corpus.how == "COCO's train and val, val halved by photo, seed 0"
    coco(tmp_path / "annotations/captions_train2014.json", train)
    with pytest.raises(CaptionerError, match="COCO 2014 and 2017, which are of the same photos"):
        read_corpus(tmp_path)
    assert len(read(tmp_path / "annotations/captions_train2017.json")) == 5


def test_json_that_is_broken_or_something_else(tmp_path: Path) -> None:
    file = tmp_path / "captions_train2017.json"
    file.write_text('{"images": [\n{"id": 1,')
    with pytest.raises(CaptionerError, match=r"captions_train2017\.json, line 2, is not JSON"):
        read_corpus(tmp_path)
    for content in ('{"images": []}', "[1]", '{"images": [{"id": 1}], "annotations": []}'):
        file.write_text(content)
        with pytest.raises(CaptionerError, match="not what its name says"):
            read_corpus(tmp_path)
    file.rename(tmp_path / "dataset_coco.json")
    with pytest.raises(CaptionerError, match="not what its name says"):
        read_corpus(tmp_path)


def write_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    delimiter = "\t" if file.suffix == ".tsv" else ","
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_json(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text(json.dumps(rows))


def write_parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist(rows), file)


Writer = Callable[[Path, list[dict[str, Any]]], None]
WRITERS: dict[str, Writer] = {
    ".csv": write_csv, ".tsv": write_csv, ".jsonl": write_jsonl, ".json": write_json,
    ".parquet": write_parquet,
}  # fmt: skip


@pytest.mark.parametrize("suffix", WRITERS)
def test_tables_of_paths(tmp_path: Path, suffix: str) -> None:
    photos(tmp_path, "a/1.jpg", "b/1.jpg")
    elsewhere = photos(tmp_path / "elsewhere", "2.jpg") / "2.jpg"
    file = tmp_path / f"my captions{suffix}"
    rows: list[dict[str, Any]] = [
        {"Image Path": "a/1.jpg", "caption": 'A dog, "big"\nand brown', "extra": "1"},
        {"Image Path": "a/1.jpg", "caption": "Dogs", "extra": "2"},
        {"Image Path": "b/1.jpg", "caption": "A cat", "extra": "3"},
        {"Image Path": str(elsewhere), "caption": "A bird", "extra": ""},
        {"Image Path": "", "caption": "Nothing", "extra": ""},
    ]
    WRITERS[suffix](file, rows)
    corpus = read_corpus(file)
    # Two photos are called 1.jpg, so they go by their paths.
    assert {p.name: p.captions for p in corpus.photos} == {
        "a/1.jpg": ('A dog, "big"\nand brown', "Dogs"),
        "b/1.jpg": ("A cat",),
        "2.jpg": ("A bird",),
    }
    assert "1 line" in corpus.warnings[0]


@pytest.mark.parametrize("suffix", WRITERS)
def test_columns_that_are_named(tmp_path: Path, suffix: str) -> None:
    photos(tmp_path, "a.jpg")
    file = tmp_path / f"table{suffix}"
    WRITERS[suffix](file, [{"file": "no.jpg", "nome": "a.jpg", "uno": "A dog", "due": "Dogs"}])
    with pytest.raises(CaptionerError, match="hold captions: it has file, nome, uno, due"):
        read_corpus(file)
    chosen = parse(["photo=nome,caption=uno", "caption = due"])
    assert read(file, columns=chosen)["a.jpg"][1] == ("A dog", "Dogs")
    with pytest.raises(CaptionerError, match='no column "tre" for caption'):
        read_corpus(file, columns={"caption": ("tre",)})
    (tmp_path / "corpus.toml").write_text(
        f'captions = "{file.name}"\nweight = 2\nlanguage = "it"\n'
        'columns = { photo = "nome", caption = ["uno", "due"] }\n'
    )
    corpus = read_corpus(tmp_path)
    assert (corpus.photos[0].captions, corpus.weight, corpus.language) == (
        ("A dog", "Dogs"), 2, "it",
    )  # fmt: skip
    assert corpus.record()["language"] == "it"


def test_numbered_columns_and_lists_of_captions(tmp_path: Path) -> None:
    photos(tmp_path, "a.jpg", "b.jpg")
    write_csv(
        tmp_path / "x.csv",
        [{"filename": "a.jpg", "caption_0": "One", "caption_1": "Two", "caption_10": "Three"}],
    )
    assert read(tmp_path)["a.jpg"][1] == ("One", "Two", "Three")
    write_csv(
        tmp_path / "x.csv",
        [
            {"filename": "a.jpg", "raw": '["A dog", "Dogs"]', "split": "train"},
            {"filename": "b.jpg", "raw": "['A cat', \"It's a cat\"]", "split": "val"},
        ],
    )
    assert read(tmp_path) == {
        "a.jpg": ("train", ("A dog", "Dogs")),
        "b.jpg": ("dev", ("A cat", "It's a cat")),
    }
    write_jsonl(
        tmp_path / "x.jsonl",
        [{"photo": "a.jpg", "sentences": [{"raw": "A dog", "tokens": ["a", "dog"]}, {"raw": "B"}]}],
    )
    assert read(tmp_path / "x.jsonl")["a.jpg"][1] == ("A dog", "B")
    assert list(texts("[not a list]")) == ["[not a list]"]


def test_rows_that_are_broken(tmp_path: Path) -> None:
    photos(tmp_path, "a.jpg", "b.jpg")
    file = tmp_path / "x.jsonl"
    file.write_text('{"photo": "a.jpg", "caption": "A dog"}\n\n{"photo": "b.jp\n[1]\n')
    corpus = read_corpus(file)
    assert [photo.name for photo in corpus.photos] == ["a.jpg"]
    assert "2 lines (line 3: no photo, line 4: no photo)" in corpus.warnings[0]
    file = tmp_path / "x.csv"
    file.write_text("photo,caption\na.jpg,A dog\nb.jpg,A cat, a bird\nb.jpg,Birds\n")
    corpus = read_corpus(file)
    assert read(file)["b.jpg"][1] == ("Birds",)
    assert "1 line (line 3: no photo)" in corpus.warnings[0]
    file.write_text('photo,caption\na.jpg,"A dog\n' + "x" * 200_000)
    with pytest.raises(CaptionerError, match=r"x\.csv, line 2, cannot be read"):
        read_corpus(file)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    pytest.importorskip("pyarrow")
    with pytest.raises(CaptionerError, match=r"x\.parquet cannot be read"):
        read_corpus(tmp_path / "x.parquet")
    (tmp_path / "x.tsv").write_bytes(b"photo\tcaption\na.jpg\tcaf\xe9\n")
    with pytest.raises(CaptionerError, match=r"x\.tsv, line 2, is not UTF-8"):
        read_corpus(tmp_path / "x.tsv")


def test_one_table_for_each_split(tmp_path: Path) -> None:
    photos(tmp_path / "images", *(f"{n}.jpg" for n in range(3)))
    for n, split in enumerate(("train", "val", "test")):
        write_jsonl(tmp_path / f"{split}.jsonl", [{"image": f"{n}.jpg", "caption": "A dog"}])
    assert [p.split for p in read_corpus(tmp_path).photos] == ["train", "dev", "test"]
    assert read_corpus(tmp_path).how == "one file per split"
    write_jsonl(tmp_path / "more.jsonl", [{"image": "0.jpg", "caption": "A dog"}])
    with pytest.raises(CaptionerError, match=r"several tables: .*Name the one to read"):
        read_corpus(tmp_path)


def test_image_folder_of_hugging_face(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        photos(tmp_path / split, "1.jpg" if split == "train" else "one/1.jpg")
        name = next(file for file in (tmp_path / split).rglob("*.jpg"))
        row = {"file_name": name.relative_to(tmp_path / split).as_posix(), "text": "A dog"}
        write_jsonl(tmp_path / split / "metadata.jsonl", [row])
    (tmp_path / "train/1.jpg").write_bytes(jpeg("another"))
    found = {p.path.relative_to(tmp_path).as_posix(): p.split for p in read_corpus(tmp_path).photos}
    assert found == {"train/1.jpg": "train", "validation/one/1.jpg": "dev"}


def test_a_photo_in_two_splits_is_held_out(tmp_path: Path) -> None:
    photos(tmp_path, "a.jpg", "b.jpg")
    rows = [("a.jpg", "train"), ("a.jpg", "test"), ("b.jpg", "train"), ("a.jpg", "dev")]
    write_csv(
        tmp_path / "x.csv", [{"photo": p, "caption": "A dog", "split": split} for p, split in rows]
    )
    assert {name: split for name, (split, _) in read(tmp_path).items()} == {
        "a.jpg": "test", "b.jpg": "train",
    }  # fmt: skip


def test_copies_of_photos_are_counted_and_in_one_split(tmp_path: Path) -> None:
    photos(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    for copy, original in (("a2.jpg", "a.jpg"), ("b2.jpg", "b.jpg")):
        (tmp_path / copy).write_bytes((tmp_path / original).read_bytes())
    (tmp_path / "c.jpg").write_bytes((tmp_path / "d.jpg").read_bytes()[:-1] + b"x")  # same size
    splits = {"a": "train", "a2": "test", "b": "train", "b2": "train", "c": "train", "d": "dev"}
    rows = [{"photo": f"{p}.jpg", "caption": "A dog", "split": s} for p, s in splits.items()]
    write_csv(tmp_path / "x.csv", rows)
    corpus = read_corpus(tmp_path)
    assert [p.name for p in corpus.photos] == ["a2.jpg", "b.jpg", "b2.jpg", "c.jpg", "d.jpg"]
    assert corpus.identical == corpus.record()["identical photos"] == 2
    assert (
        "1 photo in the train or dev split whose content is in a later split"
        in (corpus.warnings[0])
    )
    assert identical([tmp_path / "nowhere.jpg", tmp_path / "a.jpg"]) == []


def test_extra_data_have_no_photo_that_is_held_out_elsewhere(tmp_path: Path) -> None:
    def corpus(name: str, splits: dict[str, str]) -> Path:
        photos(tmp_path / name, *splits)
        rows = [{"photo": p, "caption": "A dog", "split": s} for p, s in splits.items()]
        write_csv(tmp_path / name / "x.csv", rows)
        return tmp_path / name

    main = read_corpus(corpus("main", {"1.jpg": "train", "2.jpg": "dev", "3.jpg": "test"}))
    one = read_corpus(
        corpus("one", {"1.jpg": "train", "2.jpg": "train", "3.jpg": "dev", "4.jpg": "train"})
    )
    two = read_corpus(corpus("two", {"1.jpg": "dev", "4.jpg": "dev", "5.jpg": "train"}))
    found = without_held_out(main, [one, two])
    kept = [[photo.name for photo in each.photos] for each in found]
    assert kept == [["1.jpg"], ["4.jpg", "5.jpg"]]
    assert (
        "3 photos are in other data as well" in without_held_out(main, [one, two])[0].warnings[-1]
    )
    assert without_held_out(main, [main]) == (main,)


def test_languages_are_kept_apart(tmp_path: Path) -> None:
    photos(tmp_path, "a.jpg", "b.jpg")
    rows = [
        {"photo": "a.jpg", "caption": "A dog", "lang": "en"},
        {"photo": "a.jpg", "caption": "Ein Hund", "lang": "de_AT"},
        {"photo": "b.jpg", "caption": "Eine Katze", "lang": "de"},
    ]
    write_csv(tmp_path / "x.csv", rows)
    with pytest.raises(
        CaptionerError, match=r"several languages, de \(1\), de_AT \(1\), en \(1\); .*--language"
    ):
        read_corpus(tmp_path)
    assert read(tmp_path, language="EN") == {"a.jpg": ("train", ("A dog",))}
    german = read_corpus(tmp_path, language="de")
    assert [photo.captions for photo in german.photos] == [("Ein Hund",), ("Eine Katze",)]
    assert german.record()["language"] == "de"
    with pytest.raises(CaptionerError, match=r'no captions in the language "fr": it has'):
        read_corpus(tmp_path, language="fr")
    (tmp_path / "corpus.toml").write_text('language = "de"\ncolumns = { language = "photo" }\n')
    write_csv(tmp_path / "x.csv", [{"photo": "a.jpg", "caption": "Ein Hund"}])
    (tmp_path / "corpus.toml").write_text('language = "de"\n')
    assert read_corpus(tmp_path).language == "de"
    with pytest.raises(CaptionerError, match=r'in the language "en": it has de \(1\)'):
        read_corpus(tmp_path, language="en")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("captions = ", "cannot be read"),
        ("caption = 'x.csv'", "caption is not known"),
        ("weight = 0", "weight is 0"),
        ("language = 1", "language is 1"),
        ("columns = 'photo'", "columns says"),
        ("columns = { name = 'x' }", "columns says name = 'x'"),
        ("captions = 'nowhere.csv'", "which does not exist"),
    ],
)
def test_descriptions_that_are_wrong(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "corpus.toml").write_text(text)
    with pytest.raises(CaptionerError, match=reason):
        read_corpus(tmp_path)


def test_columns_on_the_command_line() -> None:
    assert parse(["photo=a"]) == {"photo": ("a",)}
    for text in ("a", "name=x", "photo=", "photo"):
        with pytest.raises(UsageError, match="does not name a column"):
            parse([text])


def test_photos_inside_parquet_are_extracted_once(tmp_path: Path, home: Path) -> None:
    def rows(*numbers: int) -> list[dict[str, Any]]:
        return [
            {"image": {"bytes": jpeg(f"{n}"), "path": f"{n}.jpg"}, "caption": f"A {n} {k}"}
            for n in numbers
            for k in range(2)
        ]

    (tmp_path / "data").mkdir()
    write_parquet(tmp_path / "data/train-00000-of-00002.parquet", rows(1, 2))
    write_parquet(tmp_path / "data/train-00001-of-00002.parquet", rows(3))
    write_parquet(tmp_path / "data/validation-00000-of-00001.parquet", rows(4))
    corpus = read_corpus(tmp_path)
    assert {p.name: (p.split, p.captions) for p in corpus.photos} == {
        f"{n}.jpg": ("dev" if n == 4 else "train", (f"A {n} 0", f"A {n} 1")) for n in range(1, 5)
    }
    assert all(p.path.is_relative_to(home / "cache/corpora") for p in corpus.photos)
    assert corpus.photos[0].path.read_bytes() == jpeg("1")
    before = {file: file.stat().st_mtime_ns for file in home.rglob("*.jpg")}
    assert len(before) == 4
    assert read_corpus(tmp_path) == corpus
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*.jpg")} == before
    write_parquet(tmp_path / "data/validation-00000-of-00001.parquet", rows(5))
    assert [p.name for p in read_corpus(tmp_path).split("dev")] == ["5.jpg"]


def test_photos_of_one_name_inside_a_data_set(tmp_path: Path) -> None:
    images = [{"bytes": jpeg(f"{n}"), "path": "image.jpg"} for n in (1, 2, 1)]
    write_parquet(
        tmp_path / "x.parquet",
        [{"img": one, "text": f"A {n}"} for n, one in enumerate(images)] + [
            {"img": {"bytes": None, "path": None}, "text": "No photo"}
        ],
    )  # fmt: skip
    corpus = read_corpus(tmp_path)
    assert sorted(p.captions for p in corpus.photos) == [("A 0", "A 2"), ("A 1",)]
    assert "1 line (x.parquet row 4: no photo)" in corpus.warnings[0]


def test_saved_data_sets_of_hugging_face(tmp_path: Path, home: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "captions": datasets.Sequence(datasets.Value("string")),
            "lang": datasets.Value("string"),
        }
    )

    def part(*numbers: int) -> Any:
        return datasets.Dataset.from_dict(
            {
                "image": [{"bytes": jpeg(f"{n}"), "path": f"{n}.jpg"} for n in numbers],
                "captions": [[f"A {n}", f"The {n}"] for n in numbers],
                "lang": ["en" for _ in numbers],
            },
            features=features,
        )

    both = datasets.DatasetDict({"train": part(1, 2), "validation": part(3)})
    both.save_to_disk(str(tmp_path / "both"))
    corpus = read_corpus(tmp_path / "both")
    assert {p.name: (p.split, p.captions) for p in corpus.photos} == {
        f"{n}.jpg": ("dev" if n == 3 else "train", (f"A {n}", f"The {n}")) for n in (1, 2, 3)
    }
    assert (corpus.language, corpus.how) == ("en", "splits of the data set")
    assert corpus.photos[0].path.read_bytes() == jpeg("1")

    part(*range(8)).select([5, 1, 7, 3]).save_to_disk(str(tmp_path / "one"))
    corpus = read_corpus(tmp_path / "one")
    assert [p.name for p in corpus.photos] == ["1.jpg", "3.jpg", "5.jpg", "7.jpg"]
    assert corpus.how == "seeded by photo, seed 0"

    photos(tmp_path / "paths/images", "a.jpg")
    paths = datasets.Dataset.from_dict({"path": ["a.jpg"], "text": ["A dog"]})
    paths.save_to_disk(str(tmp_path / "paths"))
    assert read(tmp_path / "paths")["a.jpg"][1] == ("A dog",)

    (tmp_path / "one/state.json").write_text("{}")
    with pytest.raises(CaptionerError, match="one cannot be read"):
        read_corpus(tmp_path / "one")


def test_a_format_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pairs(ModuleType):
        name, looks_for = "pairs", "a file of pairs"

        @staticmethod
        def find(place: Path) -> Path | None:
            file = place / "pairs.txt"
            return file if file.is_file() else None

        @staticmethod
        def read(found: Path, options: ReadOptions) -> Captions:
            made = Captions(found, (found.parent,))
            for line in found.read_text().splitlines():
                made.add(*line.split("=")[:2])
            return made

    monkeypatch.setitem(sys.modules, "my_package.pairs", Pairs("pairs"))
    monkeypatch.setattr(registry, "FORMATS", list(registry.FORMATS))
    register("my_package.pairs")
    photos(tmp_path, "a.jpg")
    (tmp_path / "pairs.txt").write_text("a.jpg=A dog\n")
    assert read(tmp_path) == {"a.jpg": ("train", ("A dog",))}
