"""The page of an evaluation: whole, well formed, self-contained, and safe to open."""

import base64
import hashlib
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.training.corpora import Example
from captioner.training.evaluation import Evaluation
from captioner.training.metrics import Recall, RetrievalPrecision, Scores
from captioner.training.sheet import SIDE, sheet
from captioner.types import Caption, Description, Keyword, Photo, SearchVectors

NASTY = "<script>alert('1 & 2')</script>\""


def evaluation(folder: Path, count: int, names: str = "photo {}.png") -> Evaluation:
    """Photos numbered by their CIDEr."""
    examples, descriptions = [], []
    for number in range(count):
        path = folder / names.format(number)
        Image.new("RGBA", (60, 40), (number, 0, 0, 200)).save(path, "PNG")
        examples.append(Example(path, (f"Reference {number} {NASTY}",), "dev"))
        descriptions.append(
            Description(
                photo=Photo(path, 1, 1),
                width=60,
                height=40,
                format="PNG",
                content_hash=b"",
                captions=(Caption(f"Caption {number} {NASTY}", 0.25, -9.0),),
                keywords=(Keyword(NASTY, 0.5),),
                feature=np.zeros(2048, np.float16),
                vectors=SearchVectors(np.zeros(256, np.float16), np.zeros(8, np.float16)),
            )
        )
    return Evaluation(
        examples=tuple(examples),
        descriptions=tuple(descriptions),
        scores=Scores(
            bleu=(61.14, 40.0, 30.0, 21.2),
            rouge=43.9,
            cider=55.5,
            meteor=None,
            photo_cider={example.name: float(n) for n, example in enumerate(examples)},
            words_used=287,
            different_captions=759,
            note="METEOR left out.",
        ),
        recall=Recall(17.2, 42.6, 56.1, 8, 5 * count),
        precisions={"queries.jsonl": {"captioner search": RetrievalPrecision(24.4, 28.1, 200, 3)}},
    )


class Page(HTMLParser):
    """Tags in order, text of each element, and whether all that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data))

    def captions(self) -> list[int]:
        return [int(text.split()[1]) for _, text in self.texts if text.startswith("Caption ")]


def test_best_between_and_worst(tmp_path: Path) -> None:
    text = sheet(evaluation(tmp_path, 20), title="pets, dev", about=["Model 1234"], count=4)
    page = Page(text)
    shown = page.captions()
    assert shown[:4] == [19, 18, 17, 16]
    assert shown[-4:] == [3, 2, 1, 0]
    assert len(shown) == len(set(shown)) == 12
    assert shown[4:8] == sorted(shown[4:8], reverse=True)
    assert page.open == []
    again = sheet(evaluation(tmp_path, 20), title="pets, dev", about=["Model 1234"], count=4)
    assert text == again
    for figure in ("61.1", "55.5", "43.9", "17.2", "56.1", "24.4", "28.1", "METEOR left out."):
        assert figure in text


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_photos_are_shown_once_each(tmp_path: Path, count: int) -> None:
    page = Page(sheet(evaluation(tmp_path, count), title="", about=[]))
    assert page.captions() == list(range(count))[::-1]


def test_nothing_is_taken_for_markup_and_nothing_is_loaded(tmp_path: Path) -> None:
    text = sheet(evaluation(tmp_path, 3), title=NASTY, about=[NASTY])
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    [(_, policy)] = [
        (tag, attrs["content"])
        for tag, attrs in page.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    assert not [attrs for _, attrs in page.tags if "style" in attrs]
    assert {("h1", NASTY), ("p", NASTY), ("li", NASTY), ("li", f"Reference 0 {NASTY}")} <= set(
        page.texts
    )
    links = [
        value for _, attrs in page.tags for key, value in attrs.items() if key in ("src", "href")
    ]
    assert all(link and link.startswith(("data:image/jpeg;base64,", "#")) for link in links)


def test_photos_are_small_and_upright(tmp_path: Path) -> None:
    made = evaluation(tmp_path, 1, "photo {}.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (900, 600), (0, 90, 0))
    turned.save(made.examples[0].path, "JPEG", exif=exif)
    page = Page(sheet(made, title="", about=[]))
    (source,) = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert source is not None
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as small:
        assert small.format == "JPEG"
        assert max(small.size) == SIDE
        assert small.height > small.width


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    try:
        made = evaluation(tmp_path, 1, "caf\udce9 {}.png")
    except OSError:
        pytest.skip("this file system takes no such names")
    text = sheet(made, title="", about=[])
    assert "caf\\xe9 0.png" in text
    text.encode()
