"""Spelling correction: unknown words are replaced by the nearest that some photo has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_descriptions import description
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captioner.errors import UsageError
from captioner.index import Index

PIECES = ("baech", '"', "*", "\0", "\udcff", "_", "ßßß", "ﬃx", "\U0010ffff" * 3)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("index") / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store(
            [
                description("a", "Two horses run on a beach.", keywords=["skateboarding"]),
                description("b", "A beautiful motorcycle.", "A café in the snow."),
            ],
            "m",
        )
    with Index.open(path) as reader:
        yield reader


@pytest.mark.parametrize(
    ("query", "corrected", "corrections"),
    [
        ("a horrse", "a horses", {"horrse": "horses"}),
        ("Motorcicle on the baech", "motorcycle on the beach", None),
        ("skatebording", "skateboarding", None),
        ("beutiful café", "beautiful café", {"beutiful": "beautiful"}),
        ("horse running beaches", "horse running beaches", {}),
        ("runing", "run", {"runing": "run"}),
        ("zebra", "zebra", {}),
        ("xylophone on a beach", "xylophone on a beach", {}),
        ('"baech"', '"baech"', {}),
        ("of bx 12345", "of bx 12345", {}),
        ("dog* (baech", "dog* (beach", {"baech": "beach"}),
    ],
)
def test_nearest_words(
    index: Index, query: str, corrected: str, corrections: dict[str, str] | None
) -> None:
    found, changed = index.respell(query, lambda word: word == "zebra")
    assert found == corrected
    assert corrections is None or changed == corrections


def test_an_empty_query_is_a_usage_error(index: Index) -> None:
    with pytest.raises(UsageError, match="the query is empty"):
        index.respell(" ", lambda word: False)


def test_an_empty_index_corrects_nothing(tmp_path: Path) -> None:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        assert index.respell("baech", lambda word: False) == ("baech", {})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text() | st.lists(st.sampled_from(PIECES)).map(" ".join))
def test_no_query_is_an_error(index: Index, query: str) -> None:
    try:
        index.respell(query, lambda word: False)
    except UsageError as error:
        assert "the query is empty" in str(error)
