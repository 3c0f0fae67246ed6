"""Charts: numbers in the right places, named for those who cannot see them, and safe."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.rendering import plots
from captioner.rendering.plots import BOTTOM, TOP, Item
from captioner.rendering.templates import environment

NASTY = '<script>alert("&")</script>'
COUNTS = st.lists(st.integers(0, 10**7), min_size=1, max_size=80)


def drawn(macro: str, chart: object) -> ET.Element:
    """A chart's HTML, which has to be well-formed XML."""
    template = '{% from "plots.html" import ' + macro + " %}<body>{{ " + macro
    template += "(chart) }}</body>" if macro == "bar_list" else "(chart, 'years') }}</body>"
    return ET.fromstring(environment().from_string(template).render(chart=chart))


def texts(of: ET.Element, tag: str) -> list[str]:
    return ["".join(one.itertext()) for one in of.iter(tag)]


@given(COUNTS)
def test_columns_are_as_high_as_their_numbers(counts: list[int]) -> None:
    chart = plots.columns("t", "d", "h", [Item(str(n), one) for n, one in enumerate(counts)])
    assert chart.top >= max(counts)
    assert len(chart.shapes) == len(counts)
    edge = 0.0
    for shape, count in zip(chart.shapes, counts, strict=True):
        assert shape.height == pytest.approx((BOTTOM - TOP) * count / chart.top, abs=0.11)
        assert shape.x >= edge
        edge = shape.x + shape.width
    assert edge <= 100.001
    assert all(0 <= label.x <= 100 for label in chart.labels)
    assert len(chart.labels) <= plots.LABELS


@given(COUNTS)
def test_bars_are_as_long_as_their_numbers(counts: list[int]) -> None:
    chart = plots.bar_list("t", "h", [Item(str(n), one) for n, one in enumerate(counts)], limit=9)
    assert len(chart.bars) + chart.more == len(counts)
    for bar in chart.bars:
        assert bar.width == pytest.approx(100 * bar.item.value / (max(counts) or 1), abs=0.01)


@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.integers(1, 10**6)), max_size=50
    )
)
def test_all_places_are_on_the_map_and_the_map_is_on_the_earth(
    places: list[tuple[float, float, int]],
) -> None:
    chart = plots.place_map("t", "d", [(n, e, Item("p", count)) for n, e, count in places])
    assert chart.width == pytest.approx(2 * chart.height, abs=0.001)
    assert -180.01 <= chart.west <= chart.west + chart.width <= 180.01
    assert -90.01 <= chart.north - chart.height <= chart.north <= 90.01
    for spot, (north, east, _) in zip(chart.spots, places, strict=True):
        assert -0.001 <= spot.x <= chart.width + 0.001
        assert -0.001 <= spot.y <= chart.height + 0.001
        assert chart.west + spot.x == pytest.approx(east, abs=0.001)
        assert chart.north - spot.y == pytest.approx(north, abs=0.001)


def test_a_line_goes_through_its_points_and_each_leads_to_its_photos() -> None:
    items = [Item("2023", 0, "/?a=1"), Item("2024", 1500, "/?a=2&b=3")]
    chart = plots.line("Years", "Photos by year.", "Year", items)
    page = drawn("plot", chart)
    assert chart.line == "M250.0 150.0 L750.0 37.5"
    links = [one for one in page.iter("a") if one.get("aria-label")]
    assert [one.get("href") for one in links] == ["/?a=1", "/?a=2&b=3"]
    assert [one.get("aria-label") for one in links] == ["2023: 0 photos", "2024: 1,500 photos"]
    assert texts(page, "td") == ["0", "1,500"]
    [svg] = [one for one in page.iter("svg") if one.get("role")]
    assert svg.get("role") == "group"
    named = {one.get("id"): "".join(one.itertext()) for one in page.iter() if one.get("id")}
    assert named[svg.get("aria-labelledby")] == "Years"
    assert named[svg.get("aria-describedby")] == "Photos by year."


def test_a_chart_without_links_is_one_picture_with_a_table() -> None:
    chart = plots.columns(
        "CIDEr", "About it.", "CIDEr", [Item("0 to 10", 3), Item("10 to 20", 1)], ends="20"
    )
    page = drawn("plot", chart)
    assert not list(page.iter("a"))
    assert [one.get("role") for one in page.iter("svg")] == ["img"]
    assert texts(page, "title") == ["0 to 10: 3 photos", "10 to 20: 1 photos"]
    assert texts(page, "th") == ["CIDEr", "photos", "0 to 10", "10 to 20"]
    assert [text for text in texts(page, "text") if text] == ["3", "0", "10", "20"]


@pytest.mark.parametrize("macro", ["bar_list", "plot", "place_map"])
def test_names_are_never_markup(macro: str) -> None:
    items = [Item(NASTY, 2, "/?camera=%3Cb%3E"), Item("caf\udce9", 1)]
    made = {
        "bar_list": plots.bar_list(NASTY, NASTY, items),
        "plot": plots.columns(NASTY, NASTY, NASTY, items),
        "place_map": plots.place_map(NASTY, NASTY, [(1.0, 2.0, one) for one in items]),
    }[macro]
    page = drawn(macro, made)
    assert not list(page.iter("script"))
    assert NASTY in texts(page, "th")
    assert "caf\\xe9" in texts(page, "th")
    assert not [name for one in page.iter() for name in one.attrib if name == "style"]


def test_nothing_to_draw_is_no_error() -> None:
    assert drawn("bar_list", plots.bar_list("t", "h", [])) is not None
    assert drawn("plot", plots.line("t", "d", "h", [])) is not None
    assert drawn("place_map", plots.place_map("t", "d", [])) is not None
