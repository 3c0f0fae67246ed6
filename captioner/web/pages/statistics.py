"""The page "Statistics": charts of the library; each bar leads to the photos that it counts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.index import Counts, Distributions, Place
from captioner.index.distributions import CONFIDENCE_BINS
from captioner.rendering import plots
from captioner.rendering.plots import Item
from captioner.rendering.templates import counted, text
from captioner.web.responses import page, workspace_of
from captioner.web.workspace import Workspace

TITLE = "Statistics"

FEW_YEARS = 3
"""With fewer, months are drawn instead."""
KEYWORDS = 24


class _Memory:
    """The distributions of each combination of databases, until one of their files changes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[tuple[Path, ...], tuple[object, Distributions]] = {}

    def get(self, workspace: Workspace) -> Distributions:
        key, now = workspace.databases, workspace.version()
        with self._lock:
            if key not in self._known or self._known[key][0] != now:
                with workspace.reader() as reader:
                    found = [index.distributions() for index in reader.indexes]
                self._known[key] = now, Distributions.combined(found)
            return self._known[key][1]


_memory = _Memory()


def statistics(request: Request) -> Response:
    """The page."""
    workspace = workspace_of(request)
    with workspace.reader() as reader:
        counts = [index.counts() for index in reader.indexes]
    found = _memory.get(workspace)
    return page(
        request,
        "statistics.html",
        tiles=_tiles(counts, found),
        photos=found.photos,
        when=_when(found),
        confidence=_confidence(found),
        places=_places(found.places),
        lists=[
            one
            for one in (
                _bars("Keywords", "Keyword", "keyword", found.keywords, KEYWORDS),
                _bars("Cameras", "Camera", "camera", found.cameras, quoted=True),
                _bars("Lenses", "Lens", "lens", found.lenses, quoted=True),
                _bars("Folders", "Folder", "in", found.folders),
            )
            if one.bars
        ],
    )


def search_address(**filters: object) -> str:
    """The address of the grid that shows the photos which match some filters."""
    return f"/?{urlencode({name: _bytes(value) for name, value in filters.items()})}"


def _bytes(value: object) -> bytes:
    # Names of folders may be no valid text.
    return os.fsencode(str(value))


def _tiles(counts: Sequence[Counts], found: Distributions) -> list[tuple[str, str]]:
    placed = sum(place.photos for place in found.places)
    return [
        (name, f"{number:,}")
        for name, number in (
            ("photos", sum(one.photos for one in counts)),
            ("described", found.photos),
            ("with a date", sum(found.months.values())),
            ("with a place", placed),
            ("could not be read", sum(one.failed for one in counts)),
            ("missing", sum(one.missing for one in counts)),
        )
    ]


def _when(found: Distributions) -> plots.Chart | None:
    years = found.years
    if len(years) >= FEW_YEARS:
        items = [
            Item(year, number, search_address(after=year, before=f"{int(year) + 1:04}"))
            for year, number in years.items()
        ]
        heading, title = "Year", "Photos by year taken"
    elif years:
        items = [
            Item(month, found.months.get(month, 0), search_address(after=month, before=after))
            for month, after in _months(list(found.months))
        ]
        heading, title = "Month", "Photos by month taken"
    else:
        return None
    first, last = items[0].label, items[-1].label
    about = f"{counted(sum(years.values()))} with a date, from {first} to {last}."
    return plots.line(title, about, heading, items)


def _months(known: Sequence[str]) -> list[tuple[str, str]]:
    """All months from the first to the last one, each with the month after it."""
    first, last = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (known[0], known[-1]))

    def spell(month: int) -> str:
        return f"{month // 12:04}-{month % 12 + 1:02}"

    return [(spell(month), spell(month + 1)) for month in range(first, last + 1)]


def _confidence(found: Distributions) -> plots.Chart | None:
    total = sum(found.confidence)
    if not total:
        return None
    width = 100 // CONFIDENCE_BINS
    items = [
        Item(
            f"{width * bin_} % to {width * (bin_ + 1)} %",
            number,
            search_address(
                confidence=f"{bin_ / CONFIDENCE_BINS:g},{(bin_ + 1) / CONFIDENCE_BINS:g}"
            ),
        )
        for bin_, number in enumerate(found.confidence)
    ]
    about = f"How likely the model's sentence is to fit, of {counted(total)} that have one."
    return plots.columns(
        "Photos by confidence of the caption", about, "Confidence", items, ends="100 %"
    )


def _places(places: Sequence[Place]) -> plots.Map | None:
    if not places:
        return None
    items = [
        (
            place.latitude,
            place.longitude,
            Item(
                _spell_position(place),
                place.photos,
                search_address(
                    near=f"{place.latitude:.5f},{place.longitude:.5f},{place.kilometres + 0.01:.2f}"
                ),
            ),
        )
        for place in places
    ]
    about = (
        f"Circles where {counted(sum(place.photos for place in places))} were taken: "
        "the larger, the more photos. North is up."
    )
    return plots.place_map("Places", about, items)


def _spell_position(place: Place) -> str:
    north = f"{abs(place.latitude):.2f}° {'N' if place.latitude >= 0 else 'S'}"
    east = f"{abs(place.longitude):.2f}° {'E' if place.longitude >= 0 else 'W'}"
    return f"{north}, {east}"


def _bars(
    title: str, heading: str, name: str, counts: Mapping[str, int], limit: int = 12,
    *, quoted: bool = False,
) -> plots.BarList:  # fmt: skip
    items = [
        Item(
            text(label),
            number,
            search_address(**{name: f'"{label}"' if quoted else label}),
        )
        for label, number in counts.items()
    ]
    return plots.bar_list(title, heading, items, limit=limit)


ROUTES = [Route("/statistics", statistics)]
