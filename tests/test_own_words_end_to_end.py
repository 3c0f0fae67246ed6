"""A person's words, wherever they stand in or beside a photo, find it before anything else does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import exif_block, iptc_block, jpeg_with, packet, picture, png
from processes import ROOT, run

from captioner.index import Index
from captioner.model.query import load_planner

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
    ),
]

PHOTOS = 1000
WHO = (
    "Anna Boris Carla Dmitri Elena Farid Greta Hassan Ingrid Jonas Katya Luigi Mireille Nikos Olga "
    "Pablo Quentin Rosa Sven Tamara Ulrich Vera Wanda Xavier Yusuf Zoe Agnes Bruno Celia Dario "
    "Edith Fabian Gudrun Henrik Iris Jakob Klara Leon Marta Noah"
).split()
# Words that the model knows and captions use stand beside names that nobody but the person knows.
WHAT = (
    "baking bread|playing chess|on the beach|riding a bicycle|at the lake|in the snow|"
    "with the dog|climbing a rock|at the market|in a red car|with a guitar|feeding ducks|"
    "jumping on a trampoline|eating ice cream|in the garden|flying a kite|at the wedding|"
    "catching a ball|reading a newspaper|on a horse|in the kitchen|swimming|with grandmother|"
    "on the swing|in front of the church"
).split("|")
QUERIES = [f"{who} {what}" for what, who in itertools.product(WHAT, WHO)][:PHOTOS]


def alt(name: str, text: str) -> str:
    return f'<{name}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{name}>'


def bag(name: str, *words: str) -> str:
    return f"<{name}><rdf:Bag>{''.join(f'<rdf:li>{w}</rdf:li>' for w in words)}</rdf:Bag></{name}>"


def in_sidecar(stem: Path, text: str) -> Path:
    photo = stem.with_suffix(".jpg")
    photo.with_name(photo.name + ".xmp").write_bytes(packet(alt("dc:description", text)))
    return photo


def in_sidecar_of_stem(stem: Path, text: str) -> Path:
    stem.with_suffix(".xmp").write_bytes(packet(alt("dc:title", text)))
    return stem.with_suffix(".jpg")


def in_takeout(stem: Path, text: str) -> Path:
    photo = stem.with_suffix(".jpg")
    about = {
        "title": photo.name,
        "description": text,
        "photoTakenTime": {"timestamp": "1400000000", "formatted": "13.05.2014"},
        "geoData": {"latitude": 0.0, "longitude": 0.0},
    }
    photo.with_name(photo.name + ".supplemental-metadata.json").write_text(json.dumps(about))
    return photo


def with_bytes(suffix: str, build: Callable[[str], bytes]) -> Callable[[Path, str], Path]:
    def made(stem: Path, text: str) -> Path:
        photo = stem.with_suffix(suffix)
        photo.write_bytes(build(text))
        return photo

    return made


def in_names(stem: Path, text: str) -> Path:
    return stem.with_name(f"{text.lower().replace(' ', '_')}-{stem.name}.jpg")


def in_folder(stem: Path, text: str) -> Path:
    (stem.parent / text).mkdir()
    return stem.parent / text / f"{stem.name}.jpg"


SOURCES: tuple[Callable[[Path, str], Path], ...] = (
    in_sidecar,
    in_sidecar_of_stem,
    in_takeout,
    with_bytes(".jpg", lambda text: jpeg_with(xmp=packet(alt("dc:description", text)))),
    with_bytes(".jpg", lambda text: jpeg_with(xmp=packet(bag("dc:subject", *text.split())))),
    with_bytes(".jpg", lambda text: jpeg_with(photoshop=iptc_block((2, 120, text.encode())))),
    with_bytes(".jpg", lambda text: jpeg_with(photoshop=iptc_block((2, 25, text.encode())))),
    with_bytes(".jpg", lambda text: jpeg_with(exif=exif_block({0x010E: text}))),
    with_bytes(".png", lambda text: png((b"tEXt", b"Description\0" + text.encode()))),
    with_bytes(".png", lambda text: png((b"iTXt", b"Title\0\0\0\0\0" + text.encode()))),
    in_names,
    in_folder,
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """The home of an index over a thousand photos, and which photo each text belongs to."""
    folder, home = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("home")
    wanted: dict[str, Path] = {}
    for number, text in enumerate(QUERIES):
        source = SOURCES[number % len(SOURCES)]
        photo = source(folder / f"IMG_{number:04d}", text)
        if not photo.exists():
            photo.write_bytes(picture("JPEG"))
        # No two alike: copies of one photo are one hit.
        colour = (number % 256, number // 256 * 60, number * 7 % 256)
        if photo.suffix == ".jpg":
            _append_colour(photo, colour)
        wanted[text] = photo
    done = run("index", folder, home=home)
    assert done.returncode == 0, done.stderr
    return home, wanted


def _append_colour(photo: Path, colour: tuple[int, int, int]) -> None:
    """Make the file one of its own by bytes after its end, which every reader passes over."""
    photo.write_bytes(photo.read_bytes() + bytes(colour))


def test_each_photo_is_found_first_by_its_own_words(
    library: tuple[Path, dict[str, Path]],
) -> None:
    home, wanted = library
    model_id, rank = load_planner()
    lost = []
    with Index.open(home / "captioner.db") as index:
        assert index.counts().described == PHOTOS
        for text, photo in wanted.items():
            hits = index.search(text, planner=rank, model_id=model_id, limit=3)
            if not hits or hits[0].path != str(photo):
                lost.append((text, photo.name, [Path(hit.path).name for hit in hits]))
    assert not lost, f"{len(lost)} of {PHOTOS} not found first: {lost[:5]}"


def test_the_person_is_named_as_the_source(library: tuple[Path, dict[str, Path]]) -> None:
    home, wanted = library
    text, photo = next(iter(wanted.items()))
    done = run("search", "--json", text, home=home)
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["path"], first["caption"], first["source"]) == (str(photo), text, "person")
