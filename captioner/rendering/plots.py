"""Charts: where the shapes of a chart go, for the SVG that `templates/plots.html` draws.

Horizontal positions are percentages of the chart's width and vertical ones are pixels, so that a
chart fills any width while its text keeps its size. Each chart has a title, and a table of the same
numbers, for those who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TOP, BOTTOM = 18.0, 168.0
"""Of the area in which values are drawn, pixels from the upper edge."""
HEIGHT = 190
"""Of a chart with the labels below it, pixels."""
LABELS = 7
"""Labels below a chart, about: as many as a telephone has space for."""
_GAP = 0.15
"""Part of a column's width that separates it from the next."""
_PLACES = 400
"""Circles on a map, at most."""
_MARGIN = 0.08
"""Around the places on a map, of its width."""
_MIN_DEGREES = 4.0
"""Height of a map at least."""


@dataclass(frozen=True, slots=True)
class Item:
    """A number to draw, with its name."""

    label: str
    value: int
    href: str | None = None
    """Leads to what was counted."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A horizontal bar of a list."""

    item: Item
    width: float
    """Percent of the longest."""


@dataclass(frozen=True, slots=True)
class BarList:
    """A table with a bar in each row: numbers by name."""

    title: str
    heading: str
    """Of the column of names."""
    bars: tuple[Bar, ...]
    more: int
    """Further names that are not shown."""
    unit: str


@dataclass(frozen=True, slots=True)
class Shape:
    """One item of a chart whose items stand next to each other."""

    item: Item
    x: float
    """Of its left edge, percent of the chart's width."""
    width: float
    """Percent."""
    y: float
    """Of its upper edge or point, pixels."""

    @property
    def height(self) -> float:
        """Of a column, pixels."""
        return round(BOTTOM - self.y, 1)

    @property
    def middle(self) -> float:
        """Percent of the chart's width."""
        return round(self.x + self.width / 2, 3)


@dataclass(frozen=True, slots=True)
class Label:
    """A label below a chart."""

    text: str
    x: float
    """Percent of the chart's width."""
    anchor: str
    """Which part of the text is there: "start", "middle" or "end"."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with an axis: columns, or a line through points."""

    title: str
    description: str
    """What it shows, in a sentence."""
    heading: str
    """Of the column of names in its table."""
    unit: str
    kind: str
    """"columns" or "line"."""
    shapes: tuple[Shape, ...]
    labels: tuple[Label, ...]
    top: int
    """The value of the line at the upper end."""

    height: int = HEIGHT
    upper: float = TOP
    lower: float = BOTTOM

    @property
    def line(self) -> str:
        """The path of a line through the points, in a box of 1000 by the height of values."""
        points = (f"{10 * shape.middle:.1f} {shape.y - TOP:.1f}" for shape in self.shapes)
        return f"M{' L'.join(points)}"

    @property
    def area(self) -> str:
        """The path around the area below the line."""
        depth = BOTTOM - TOP
        first, last = (10 * self.shapes[at].middle for at in (0, -1))
        return f"{self.line} L{last:.1f} {depth:.1f} L{first:.1f} {depth:.1f}Z"

    @property
    def inner_height(self) -> float:
        """Of the area in which values are drawn, pixels."""
        return BOTTOM - TOP


@dataclass(frozen=True, slots=True)
class Spot:
    """A circle on a map."""

    item: Item
    x: float
    """Degrees from the map's left edge."""
    y: float
    """Degrees from its upper edge."""
    radius: float
    """Degrees; its area is in proportion to the number."""


@dataclass(frozen=True, slots=True)
class Map:
    """Places on a plain map of longitude and latitude (equirectangular)."""

    title: str
    description: str
    unit: str
    west: float
    north: float
    width: float
    height: float
    """Degrees, like all of these."""
    spots: tuple[Spot, ...]
    meridians: tuple[float, ...]
    """Lines from north to south: degrees from the left edge."""
    parallels: tuple[float, ...]
    more: int


def bar_list(
    title: str, heading: str, items: Iterable[Item], *, limit: int = 12, unit: str = "photos"
) -> BarList:
    """A list of bars in the order of the items, the first `limit` of them."""
    every = list(items)
    most = max((item.value for item in every), default=0)
    bars = [Bar(item, round(100 * item.value / most, 2) if most else 0) for item in every[:limit]]
    return BarList(title, heading, tuple(bars), max(len(every) - limit, 0), unit)


def columns(
    title: str, description: str, heading: str, items: Sequence[Item], *, unit: str = "photos",
    ends: str = "",
) -> Chart:  # fmt: skip
    """A chart of columns next to each other, such as a histogram.

    Parameters
    ----------
    ends
        Label of the right end of the axis, if labels name the left edges of the columns; otherwise
        they name their middles.
    """
    return _chart(title, description, heading, items, unit, "columns", ends)


def line(
    title: str, description: str, heading: str, items: Sequence[Item], *, unit: str = "photos"
) -> Chart:
    """A chart of a line through points, such as years."""
    return _chart(title, description, heading, items, unit, "line", "")


def _chart(
    title: str, description: str, heading: str, items: Sequence[Item], unit: str, kind: str,
    ends: str,
) -> Chart:  # fmt: skip
    top = _round_up(max((item.value for item in items), default=0))
    width = 100 / max(len(items), 1)
    gap = width * _GAP if kind == "columns" else 0
    shapes = tuple(
        Shape(
            item,
            round(number * width + gap / 2, 3),
            round(width - gap, 3),
            round(BOTTOM - (BOTTOM - TOP) * item.value / top, 1),
        )
        for number, item in enumerate(items)
    )
    return Chart(
        title, description, heading, unit, kind, shapes, tuple(_labels(items, width, ends)), top
    )


def _labels(items: Sequence[Item], width: float, ends: str) -> Iterable[Label]:
    step = max(1, math.ceil(len(items) / LABELS))
    last = (len(items) - 1) // step * step
    for number in range(0, len(items), step):
        at = number * width if ends else (number + 0.5) * width
        anchor = "middle"
        if at < 4:
            anchor, at = "start", at if ends else 0.0
        elif not ends and number == last and at > 96:
            anchor, at = "end", 100.0
        yield Label(
            items[number].label if not ends else _first(items[number]), round(at, 3), anchor
        )
    if ends and items:
        yield Label(ends, 100.0, "end")


def _first(item: Item) -> str:
    """The beginning of a range: "0.2" of "0.2 to 0.3"."""
    return item.label.split(" ")[0]


def _round_up(number: int) -> int:
    """The next number that is 1, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    if number <= 1:
        return 1
    power = 10 ** (len(str(number)) - 1)
    return next(times * power for times in (1, 2, 3, 4, 5, 6, 8, 10) if times * power >= number)


def place_map(
    title: str, description: str, places: Iterable[tuple[float, float, Item]], *,
    unit: str = "photos",
) -> Map:  # fmt: skip
    """A map of places, given by latitude and longitude in degrees, those with most photos first.

    It shows the part of the world that they are in, twice as wide as high.
    """
    every = list(places)
    shown = every[:_PLACES]
    north = max((place[0] for place in shown), default=90.0)
    south = min((place[0] for place in shown), default=-90.0)
    west = min((place[1] for place in shown), default=-180.0)
    east = max((place[1] for place in shown), default=180.0)
    height = max((north - south), (east - west) / 2, _MIN_DEGREES) * (1 + 2 * _MARGIN)
    height = min(height, 180.0)
    width = 2 * height
    middle_north, middle_east = (north + south) / 2, (west + east) / 2
    upper = min(max(middle_north + height / 2, height - 90), 90.0)
    left = min(max(middle_east - width / 2, -180.0), 180.0 - width)
    most = max((place[2].value for place in shown), default=1)
    spots = [
        Spot(
            item,
            round(longitude - left, 4),
            round(upper - latitude, 4),
            round(width * (0.006 + 0.02 * math.sqrt(item.value / most)), 4),
        )
        # Small circles are drawn last, above large ones.
        for latitude, longitude, item in shown
    ]
    step = next(degrees for degrees in (1, 2, 5, 10, 15, 30) if width / degrees <= 12)
    return Map(
        title,
        description,
        unit,
        round(left, 4),
        round(upper, 4),
        round(width, 4),
        round(height, 4),
        tuple(spots),
        tuple(round(at - left, 4) for at in _multiples(left, left + width, step)),
        tuple(round(upper - at, 4) for at in _multiples(upper - height, upper, step)),
        len(every) - len(shown),
    )


def _multiples(start: float, end: float, step: int) -> range:
    return range(math.ceil(start / step) * step, math.floor(end) + 1, step)
