"""The page of a comparison: its tables, and what all systems say about the photos it shows."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser
from pathlib import Path

import colour_describer
import fake_descriptions
import pytest
import tiny_bundles

pytest.importorskip("jinja2")

from captioner.training.comparison import Comparison, Measurement, SystemResult
from captioner.training.comparison_sheet import comparison_sheet
from captioner.training.corpora import Example
from captioner.training.evaluation import Evaluation
from captioner.training.metrics import Recall, Scores

NASTY = "<script>alert('1 & 2')</script>\""


def measured(folder: Path, seed: int, captions: dict[str, tuple[str, float]]) -> Measurement:
    """A bundle that gives each photo a caption with a CIDEr."""
    examples = []
    for name in captions:
        colour_describer.photo(folder / "photos" / name, "red")
        examples.append(Example(folder / "photos" / name, (f"Reference of {name} {NASTY}",), "dev"))
    cider = {name: value for name, (_, value) in captions.items()}
    evaluation = Evaluation(
        tuple(examples),
        tuple(fake_descriptions.description(name, text) for name, (text, _) in captions.items()),
        Scores((60, 40, 30, 20), 45, 50, None, cider, 100, 50, "METEOR left out."),
        Recall(10, 40, 50, 8, 10),
        {},
    )
    bundle = tiny_bundles.write(folder / f"b{seed}", seed=seed, options={"epochs": 1})
    return Measurement.of(bundle, evaluation)


class Page(HTMLParser):
    """The names of the photos in each group, and the text of each element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.groups: dict[str, list[str]] = {}
        self.texts: list[tuple[str, str]] = []
        self.cells: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.links += [value for key in ("src", "href") if (value := found.get(key))]
        if tag == "section" and (name := found.get("id")):
            self.groups[name] = []
        if tag not in ("meta", "img"):
            self._open.append((tag, found.get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1][0], data.strip()))
            if self._open[-1] == ("p", "name"):
                list(self.groups.values())[-1].append(data)


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Nine photos; the second system is much better on 3 and worse on 8."""
    names = [f"{number}.jpg" for number in range(9)]
    first = {name: (f"A first {n}.", 10.0 * n) for n, name in enumerate(names)}
    second = {name: (f"A second {n}.", 10.0 * n) for n, name in enumerate(names)}
    second["3.jpg"] = ("A much better one.", 95.0)
    second["8.jpg"] = (f"A worse one {NASTY}.", 40.0)
    third = {**second, "2.jpg": ("Only mine.", 20.0)}
    results = (
        SystemResult("alone", (measured(tmp_path, 1, first),), 30.0),
        SystemResult(NASTY, (measured(tmp_path, 2, second), measured(tmp_path, 3, third))),
    )
    return Comparison.of(results, resamples=100)


def page(comparison: Comparison, **options: int) -> tuple[str, Page]:
    text = comparison_sheet(comparison, title=f"pets {NASTY}", about=["Beam width 3"], **options)
    return text, Page(text)


def test_photos_of_each_group(comparison: Comparison) -> None:
    _, found = page(comparison, count=2)
    assert found.groups["apart"] == ["3.jpg", "8.jpg"]
    # By the mean of the systems: 7 has 70, 3 has 62.5, 8 and 6 have 60.
    assert found.groups["best"] == ["7.jpg", "3.jpg"]
    assert found.groups["worst"] == ["1.jpg", "0.jpg"]
    assert set(found.groups["between"]) < {f"{n}.jpg" for n in (2, 4, 5, 6, 8)}
    assert page(comparison, count=2)[0] == page(comparison, count=2)[0]


def test_each_photo_has_the_captions_of_all_systems(comparison: Comparison) -> None:
    _, found = page(comparison)
    texts = [text for tag, text in found.texts if tag in ("dt", "dd", "b", "small")]
    at = texts.index("A first 3.") - 1
    assert texts[at : at + 6] == ["alone", "A first 3.", "30", NASTY, "A much better one.", "95"]
    assert texts[at + 6] == "2 of 2"
    split = texts.index("Only mine.")
    assert texts[split - 3 : split + 3] == [
        "A second 2.", "20", "1 of 2", "Only mine.", "20", "1 of 2",
    ]  # fmt: skip
    assert ("li", f"Reference of 3.jpg {NASTY}") in found.texts


def test_tables_and_bundles(comparison: Comparison) -> None:
    _, found = page(comparison)
    cells = [text for tag, text in found.texts if tag in ("td", "th")]
    assert {"CIDEr", "95 % interval", "R@10", "photos/s", f"{NASTY} (2)", "30.0"} <= set(cells)
    ids = [m.bundle.model_id for result in comparison.results for m in result.measurements]
    assert set(ids) < set(cells)
    assert ("p", "METEOR left out.") in found.texts
    assert ("p", "Beam width 3") in found.texts


def test_one_file_that_loads_nothing(comparison: Comparison) -> None:
    text, found = page(comparison)
    assert "script" not in found.tags
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in found.links)
    assert any(link.startswith("data:") for link in found.links)
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in text


def test_one_system_does_not_differ(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "photos/4.jpg").unlink()
    _, found = page(Comparison.of(comparison.results[:1], resamples=100))
    assert found.groups.keys() == {"best", "between", "worst"}
    assert sum(map(len, found.groups.values())) == 9
    assert sum(link.startswith("data:") for link in found.links) == 8
