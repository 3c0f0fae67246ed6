"""Both layouts of Flickr8k with the quirks of the files that people really have."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from captioner.errors import CaptionerError, UsageError
from captioner.model.vocabulary import words
from captioner.training.corpora import (
    SPLITS,
    class_of,
    find_data,
    read_corpus,
    read_objects,
    read_samples,
    read_sentences,
)


def photos(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:  # each with a content of its own
        Image.new("RGB", (2, 2)).save(folder / name, "JPEG", comment=name.encode())
    return folder


def kaggle(folder: Path, text: str, *names: str) -> Path:
    photos(folder / "Images", *names)
    (folder / "captions.txt").write_bytes(text.encode())
    return folder


def captions_of(place: Path) -> dict[str, tuple[str, ...]]:
    return {photo.name: photo.captions for photo in read_corpus(place).photos}


def test_kaggle_layout(tmp_path: Path) -> None:
    text = "image,caption\na.jpg,A dog runs .\na.jpg,Two dogs\nb.jpg,A cat\n"
    corpus = read_corpus(kaggle(tmp_path / "pets", text, "a.jpg", "b.jpg"))
    assert corpus.name == "pets"
    assert [photo.path for photo in corpus.photos] == [
        tmp_path / "pets/Images/a.jpg",
        tmp_path / "pets/Images/b.jpg",
    ]
    assert corpus.photos[0].captions == ("A dog runs .", "Two dogs")
    assert corpus.warnings == ()


@pytest.mark.parametrize(
    ("line", "caption"),
    [
        ("a.jpg,A dog , a cat , and a man .", "A dog , a cat , and a man ."),
        ('a.jpg,"A dog , a cat ."', "A dog , a cat ."),
        ('a.jpg,"A black "" ADHD "" t-shirt"', 'A black " ADHD " t-shirt'),
        ('a.jpg,"a sign that says "" active . """', 'a sign that says " active . "'),
        ('a.jpg,"Kiss" is written on a wall', '"Kiss" is written on a wall'),
        ('a.jpg,"Kiss" , "hug"', '"Kiss" , "hug"'),
        ('a.jpg,A man holds an 8" pipe', 'A man holds an 8" pipe'),
        ('a.jpg,"An unpaired quote', '"An unpaired quote'),
        ("a.jpg ,  A dog \t", "A dog"),
        ('"a.jpg","A dog"', "A dog"),
        ("a.jpg#3\tA dog , a cat", "A dog , a cat"),
    ],
)
def test_quotes_commas_and_blanks(tmp_path: Path, line: str, caption: str) -> None:
    text = f"image,caption\n{line}\nb.jpg,The next line is still there\n"
    assert captions_of(kaggle(tmp_path, text, "a.jpg", "b.jpg")) == {
        "a.jpg": (caption,),
        "b.jpg": ("The next line is still there",),
    }


@pytest.mark.parametrize("text", ["image,caption\r\na.jpg,A dog\r\n\r\n", "\ufeffa.jpg,A dog"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, text: str) -> None:
    assert captions_of(kaggle(tmp_path, text, "a.jpg")) == {"a.jpg": ("A dog",)}


printable = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=' ",'))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(printable.filter(words))
def test_whatever_a_csv_writer_makes_of_a_caption(tmp_path: Path, caption: str) -> None:
    rows = io.StringIO()
    csv.writer(rows).writerow(["a.jpg", caption])
    folder = kaggle(tmp_path, "image,caption\n" + rows.getvalue(), "a.jpg")
    assert captions_of(folder) == {"a.jpg": (caption.strip(),)}


@pytest.mark.parametrize("folder", ["Images", "Flicker8k_Dataset", "Flickr8k_Dataset"])
@pytest.mark.parametrize("text", [".", "Flickr8k_text", "../Flickr8k_text"])
def test_original_layout(tmp_path: Path, folder: str, text: str) -> None:
    place = tmp_path / "flickr8k"
    photos(place / folder, "a.jpg", "b.jpg")
    (place / text).mkdir(exist_ok=True)
    (place / text / "Flickr8k.token.txt").write_text(
        "a.jpg#0\tA dog .\na.jpg#1\tDogs\nb.jpg#0\tA\n"
    )
    (place / text / "Flickr_8k.devImages.txt").write_text("b.jpg \n")
    if text.startswith(".."):
        (place / folder).rename(tmp_path / folder)
        place = tmp_path / "Flickr8k_text"
    corpus = read_corpus(place)
    assert [(p.name, p.captions, p.split) for p in corpus.photos] == [
        ("a.jpg", ("A dog .", "Dogs"), "rest"),
        ("b.jpg", ("A",), "dev"),
    ]


def test_archives_unpacked_into_folders_of_their_own(tmp_path: Path) -> None:
    photos(tmp_path / "Flickr8k_Dataset" / "Flicker8k_Dataset", "a.jpg")
    (tmp_path / "Flickr8k_text").mkdir()
    (tmp_path / "Flickr8k_text" / "Flickr8k.token.txt").write_text("a.jpg#0\tA dog .\n")
    assert captions_of(tmp_path) == {"a.jpg": ("A dog .",)}


def test_the_photo_with_a_number_after_its_extension(tmp_path: Path) -> None:
    photos(tmp_path / "Images", "2258277193_586949ec62.jpg")
    (tmp_path / "Flickr8k.token.txt").write_text("2258277193_586949ec62.jpg.1#0\tA dog .\n")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("2258277193_586949ec62.jpg.1\n")
    (photo,) = read_corpus(tmp_path).split("train")
    assert (photo.name, photo.captions) == ("2258277193_586949ec62.jpg", ("A dog .",))


def test_official_lists(tmp_path: Path) -> None:
    names = [f"{letter}.jpg" for letter in "abcde"]
    text = "image,caption\n" + "".join(f"{name},A dog\n" for name in names)
    folder = kaggle(tmp_path, text, *names)
    lists = folder / "Flickr8k_text"
    lists.mkdir()
    # "c.jpg" stands in two lists: held out, not trained on.
    (lists / "Flickr_8k.trainImages.txt").write_text("a.jpg\nc.jpg\nnowhere.jpg\n")
    (lists / "Flickr_8k.devImages.txt").write_text("b.jpg\r\nc.jpg\r\n")
    (lists / "Flickr_8k.testImages.txt").write_text("d.jpg")
    corpus = read_corpus(folder, seed=7)
    split = {name: [photo.name for photo in corpus.split(name)] for name in SPLITS}
    assert split == {
        "train": ["a.jpg"],
        "dev": ["b.jpg", "c.jpg"],
        "test": ["d.jpg"],
        "rest": ["e.jpg"],
    }
    assert corpus.how == "official lists"
    assert corpus.record()["photos"] == {"train": 1, "dev": 2, "test": 1, "rest": 1}


def test_lists_of_another_data_set(tmp_path: Path) -> None:
    folder = kaggle(tmp_path, "a.jpg,A dog\n", "a.jpg")
    (folder / "Flickr_8k.trainImages.txt").write_text("z.jpg\n")
    with pytest.raises(CaptionerError, match="name none of its photos"):
        read_corpus(folder)


def test_seeded_split_is_by_photo_and_repeatable(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(40)]
    text = "image,caption\n" + "".join(f"{name},Dog {n}\n" for n in range(5) for name in names)
    folder = kaggle(tmp_path, text, *names)
    first, again, other = (read_corpus(folder, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.how == "seeded by photo, seed 0"
    assert first.record()["photos"] == {"train": 30, "dev": 5, "test": 5, "rest": 0}
    assert first.record()["captions"] == {"train": 150, "dev": 25, "test": 25, "rest": 0}
    assert first.split("dev") != other.split("dev")
    assert all(len(photo.captions) == 5 for photo in first.photos)


def test_absent_photos_are_one_warning(tmp_path: Path) -> None:
    text = "a.jpg,A dog\n" + "".join(f"{n}.jpg,A cat\n" * 5 for n in range(9))
    corpus = read_corpus(kaggle(tmp_path, text, "a.jpg", "nobody_said_anything.jpg"))
    assert [photo.name for photo in corpus.photos] == ["a.jpg"]
    (warning,) = corpus.warnings
    assert "9 photos (0.jpg, 1.jpg, 2.jpg, …)" in warning


def test_lines_without_words_are_one_warning(tmp_path: Path) -> None:
    text = "a.jpg,A dog\na.jpg, .\na.jpg,\n"
    corpus = read_corpus(kaggle(tmp_path, text, "a.jpg"))
    assert corpus.photos[0].captions == ("A dog",)
    assert "2 lines" in corpus.warnings[0]


def test_a_caption_file_by_itself(tmp_path: Path) -> None:
    folder = kaggle(tmp_path / "pets", "a.jpg,A dog\n", "a.jpg")
    (folder / "more.txt").write_text("image,caption\na.jpg,Something else\n")
    corpus = read_corpus(folder / "more.txt")
    assert (corpus.name, corpus.photos[0].captions) == ("pets/more.txt", ("Something else",))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match=r"captions\.txt or Flickr8k\.token\.txt \(Flickr8k\)"):
        read_corpus(tmp_path)
    (tmp_path / "captions.txt").write_text("a.jpg,A dog\n")
    with pytest.raises(CaptionerError, match="no folder of photos"):
        read_corpus(tmp_path)
    (tmp_path / "Images").mkdir()
    with pytest.raises(CaptionerError, match=r"names 1 photos and none .*Images"):
        read_corpus(tmp_path)
    (tmp_path / "captions.txt").write_text("image,caption\n")
    with pytest.raises(CaptionerError, match="contains no captions"):
        read_corpus(tmp_path)
    (tmp_path / "captions.txt").write_bytes(b"a.jpg,A caf\xe9\n")
    with pytest.raises(CaptionerError, match="not UTF-8"):
        read_corpus(tmp_path)


def test_find_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPTIONER_DATA", raising=False)
    with pytest.raises(UsageError, match=r"adityajn105/flickr8k.*jxie/flickr8k.*--download"):
        find_data()
    with pytest.raises(UsageError, match="does not exist"):
        find_data(tmp_path / "nowhere")
    monkeypatch.setenv("CAPTIONER_DATA", str(tmp_path))
    assert find_data() == tmp_path
    other = tmp_path / "other"
    other.mkdir()
    assert find_data(other) == other


def test_sentences_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "sentences.txt"
    file.write_text("A dog.\n\n...\n a cat sleeps \n")
    assert read_sentences(file) == ("A dog.", "a cat sleeps")
    file.write_text("...\n")
    with pytest.raises(CaptionerError, match="no sentences"):
        read_sentences(file)
    with pytest.raises(CaptionerError, match="cannot be read"):
        read_sentences(tmp_path / "absent.txt")


def test_objects_of_annotated_photos(tmp_path: Path) -> None:
    file = tmp_path / "objects.json"
    file.write_text('{"a.jpg": ["dog", "person"], "b.jpg": []}')
    assert read_objects(file) == {"a.jpg": {"dog", "person"}, "b.jpg": frozenset()}
    for content in ('["dog"]', '{"a.jpg": "dog"}', '{"a.jpg": [""]}'):
        file.write_text(content)
        with pytest.raises(CaptionerError, match="does not list the objects"):
            read_objects(file)
    file.write_text("dog")
    for broken in (file, tmp_path / "absent.json"):
        with pytest.raises(CaptionerError, match="cannot be read"):
            read_objects(broken)


def test_samples_are_named_by_class(tmp_path: Path) -> None:
    for name in ("n02123045_tabby.jpg", "n02690373_airliner.png", "notes.txt", "n1.jpg"):
        (tmp_path / name).touch()
    found = read_samples(tmp_path)
    assert [class_of(sample.path) for sample in found] == ["n02123045", "n02690373"]
    assert not found[0].captions
    (tmp_path / "n02123045_again.jpg").touch()
    with pytest.raises(CaptionerError, match="one photo for each"):
        read_samples(tmp_path)
