"""A corpus of small photos of one colour each, with captions that name it."""

from __future__ import annotations

from pathlib import Path

import colour_describer

COLOURS = ("red", "green", "blue")
PHOTOS = 30


def write(folder: Path) -> Path:
    """Write it in the layout of Flickr8k: 24 photos to train on, 6 to measure on."""
    rows = ["image,caption"]
    for number in range(PHOTOS):
        colour = COLOURS[number % len(COLOURS)]
        colour_describer.photo(folder / f"Images/{number:02}.jpg", colour)
        rows += [f"{number:02}.jpg,a {colour} photo", f"{number:02}.jpg,the photo is {colour}"] * 2
    (folder / "captions.txt").write_text("\n".join(rows) + "\n")
    names = [f"{number:02}.jpg\n" for number in range(PHOTOS)]
    (folder / "Flickr_8k.trainImages.txt").write_text("".join(names[6:]))
    (folder / "Flickr_8k.devImages.txt").write_text("".join(names[:6]))
    return folder


def right(captions: list[str]) -> int:
    """How many of the captions of all photos, as `Description` prints them, name the colour."""
    said = [caption.lower().split(": ")[1] for caption in sorted(captions)]
    return sum(COLOURS[number % len(COLOURS)] in text for number, text in enumerate(said))
