"""The photos of the screenshots: real ones whose licences allow it, from Debian and from PyPI.

    python docs/demo_photos.py FOLDER

downloads Debian packages with apt-get (which must be there), takes photos out of them and out of
scikit-image and scikit-learn, if they are installed, and writes them into FOLDER as JPEGs, with
CREDITS.md, which names the author, licence and source of each. Dates and cameras are made up; the
places are where the monuments stand.
"""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

PACKAGES = ("gcompris-qt-data", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04")
RESOURCES = ("categorization", "explore_world_animals")
"""Resource files of GCompris, each photo of which Debian lists with its author."""
FREE = re.compile(r"CC0|CC-BY(-SA)?-[1-4]|public-domain")

WALLPAPERS = (
    "Dragonfly_by_Bolly", "Picture_0B_by_freespace", "Picture_1A_by_freespace",
    "Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi", "friends_by_Aitzol_Berasategi",
    "greentock_by_Peter_Nerlich", "life_by_Aitzol_Berasategi",
    "picosdeeuropa_by_Aitzol_Berasategi", "seeding_by_Clements_Engelhardt",
    "sunset_by_Aitzol_Berasategi", "Bridge_by_Sander_Klootwijk", "Kleiber_by_Lukas_Baubkus",
)  # fmt: skip
"""Those of Lomiri that are photos."""

SAMPLES = {
    "skimage/data/astronaut.png": ("NASA", "public-domain"),
    "skimage/data/chelsea.png": ("Stefan van der Walt", "CC0-1.0"),
    "skimage/data/coffee.png": ("Rachel Michetti", "CC0-1.0"),
    "skimage/data/rocket.jpg": ("SpaceX", "CC0-1.0"),
    "sklearn/datasets/images/china.jpg": ("Daniel Büchele", "CC-BY-2.0"),
    "sklearn/datasets/images/flower.jpg": ("vultilion", "CC-BY-2.0"),
}
"""Photos in Python packages, with their authors and licences."""

PLACES = {
    "arcDeTriomphe": (48.8617, 2.3329), "bayterek": (51.1283, 71.4305),
    "brandenburgGate": (52.5163, 13.3777), "burj": (25.1972, 55.2744),
    "christTheRedeemer": (-22.9519, -43.2105), "colosseum": (41.8902, 12.4922),
    "eiffelTower": (48.8584, 2.2945), "empireState": (40.7484, -73.9857),
    "greatPyramid": (29.9792, 31.1342), "greatWall": (40.4319, 116.5704),
    "IndiaGate": (28.6129, 77.2295), "kutubMinar": (28.5245, 77.1855),
    "leaningTowerOfPisa": (43.7230, 10.3966), "mountRushmore": (43.8791, -103.4591),
    "operaHouse": (-33.8568, 151.2153), "parthenon": (37.9715, 23.7267),
    "statueOfLiberty": (40.6892, -74.0445), "tajMahal": (27.1751, 78.0421),
    "usCapitol": (38.8899, -77.0091), "victoriaMemorial": (51.5019, -0.1406),
    "zimniPalace": (59.9398, 30.3146),
    "picosdeeuropa_by_Aitzol_Berasategi": (43.1950, -4.8510),
    "aitzgorri_by_Aitzol_Berasategi": (42.9510, -2.3240),
    "rocket": (28.5618, -80.5772), "china": (39.9990, 116.2710),
}  # fmt: skip

CAMERAS = (("Canon", "EOS 40D"), ("NIKON", "D7000"), ("Apple", "iPhone 13"), ("Fujifilm", "X100V"))


@dataclass(frozen=True)
class DemoPhoto:
    """A photo with what is owed to its author."""

    name: str
    data: bytes
    author: str
    licence: str
    source: str


def main(folder: Path) -> None:
    """Write the photos and CREDITS.md into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        photos = sorted((*_from_debian(Path(scratch)), *_samples()), key=lambda photo: photo.name)
    rows = []
    for number, photo in enumerate(photos):
        _write(folder, photo, number)
        rows.append(f"| {photo.name} | {photo.author} | {photo.licence} | {photo.source} |")
    head = "| photo | author | licence | source |\n|---|---|---|---|\n"
    (folder / "CREDITS.md").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(photos)} photos in {folder}")


def _from_debian(scratch: Path) -> Iterator[DemoPhoto]:
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=scratch, check=True)
    for package in scratch.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, scratch / "root"], check=True)
    share = scratch / "root/usr/share"
    credits = {}
    for package in PACKAGES:
        credits |= _credits((share / "doc" / package / "copyright").read_text(encoding="utf-8"))
    for resource in RESOURCES:
        file = share / f"gcompris-qt/rcc/{resource}.rcc"
        for path, data in _resources(file.read_bytes()):
            name, known = Path(path).stem, credits.get(Path(path).stem)
            if (
                known
                and path.endswith(".webp")
                and not re.search("/(tools|others|fishes/fish[12][3-9])", path)
            ):
                yield DemoPhoto(name, data, *known)
    for name in WALLPAPERS:
        [file] = (share / "backgrounds").glob(f"{name}.*")
        author, licence, _ = credits[name]
        yield DemoPhoto(name, file.read_bytes(), author, licence, "Lomiri wallpapers")


def _credits(text: str) -> dict[str, tuple[str, str, str]]:
    """Author, licence and source by a photo's name, of a Debian copyright file; only free ones."""
    found = {}
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^(\w+): *(.*(?:\n .*)*)", paragraph, re.MULTILINE))
        if "Files" in fields and FREE.match(fields["License"]):
            author = re.sub(r"^[\d., ]+|,? \d{4}$|\n.*", "", fields["Copyright"])
            for name in re.findall(r"([^/\s]+)\.(?:jpe?g|png)", fields["Files"]):
                found[name] = (
                    author.replace('"', "").strip(),
                    fields["License"],
                    fields.get("Comment", "").strip(),
                )
    return found


def _resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files in a resource file of Qt, with their paths."""
    _, version, tree, contents, names = struct.unpack_from(">4sIIII", data)
    size = 14 + 8 * (version >= 2)

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * size
        offset, flags = struct.unpack_from(">IH", data, at)
        (length,) = struct.unpack_from(">H", data, names + offset)
        text = data[names + offset + 6 :][: 2 * length].decode("utf-16-be")
        path = f"{folder}/{text}" if node else ""
        if flags & 2:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
        else:
            (start,) = struct.unpack_from(">I", data, at + 10)
            start += contents
            (length,) = struct.unpack_from(">I", data, start)
            content = data[start + 4 : start + 4 + length]
            yield path, zlib.decompress(content[4:]) if flags & 1 else content

    return walk(0, "")


def _samples() -> Iterator[DemoPhoto]:
    for path, (author, licence) in SAMPLES.items():
        package, _, inside = path.partition("/")
        spec = find_spec(package)
        if spec and spec.origin:
            file = Path(spec.origin).parent / inside
            yield DemoPhoto(file.stem, file.read_bytes(), author, licence, package)


def _write(folder: Path, photo: DemoPhoto, number: int) -> None:
    image = Image.open(io.BytesIO(photo.data)).convert("RGB")
    image.thumbnail((2400, 2400))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = CAMERAS[number * 7 % 11 % len(CAMERAS)]
    trip, day = divmod(number, 12)  # a dozen photos within a month
    year, month, day = 2025 - trip * 5 % 7, 1 + trip * 7 % 12, 1 + 2 * day
    exif.get_ifd(0x8769)[0x9003] = (
        f"{year}:{month:02}:{day:02} {9 + number % 9:02}:{number % 60:02}:00"
    )
    if place := PLACES.get(photo.name):
        exif[0x8825] = {
            1: "N" if place[0] >= 0 else "S", 2: (abs(place[0]), 0.0, 0.0),
            3: "E" if place[1] >= 0 else "W", 4: (abs(place[1]), 0.0, 0.0),
        }  # fmt: skip
    path = folder / str(year) / f"{photo.name}.jpg"
    path.parent.mkdir(exist_ok=True)
    image.save(path, quality=88, exif=exif, comment=b"")  # some have a program's comment


if __name__ == "__main__":
    main(Path(sys.argv[1]))
