"""Search: by the model's measures, by words, by phrases, by similarity, with any query."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_descriptions import description, failure, query_plan
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from captioner.errors import UsageError
from captioner.index import Index
from captioner.index.ranking import ExamplePhoto
from captioner.types import Description, FloatArray, HalfArray, QueryPlan


def planner(query: str) -> QueryPlan | None:
    """A model that knows one word, measured by the first number of the word vectors."""
    return query_plan((0, 0), (1, 0)) if "dog" in query.lower() else None


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        yield index


def names(index: Index, query: str, *, model: str | None = "m", **options: bool) -> list[str]:
    hits = index.search(query, planner=planner if model else None, model_id=model, **options)
    return [Path(hit.path).name for hit in hits]


def described(name: str, caption: str, dog: float) -> Description:
    return description(name, caption, words=[dog, 0])


def test_measures_rank_all_photos(index: Index) -> None:
    index.store(
        [described(name, "A field.", dog) for name, dog in zip("abc", [0, 9, 3], strict=True)], "m"
    )
    hits = index.search("Dog!", planner=planner, model_id="m")
    assert [Path(hit.path).name for hit in hits] == ["b", "c", "a"]
    assert hits[0].score > 0.9
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert index.search("dog", planner=planner, model_id="m", limit=2) == hits[:2]


def test_words_decide_between_photos_of_equal_measures(index: Index) -> None:
    index.store(
        [described("a", "A field.", 5), described("b", "A dog.", 5), described("c", "A cat.", 0)],
        "m",
    )
    assert names(index, "dog") == ["b", "a", "c"]


def test_words_unknown_to_the_model_search_text_only(index: Index) -> None:
    index.store([described("a", "A field.", 5), described("b", "A unicorn.", 0)], "m")
    assert names(index, "unicorns") == ["b"]
    assert names(index, "dragon") == []


def test_photos_of_another_model_are_found_by_their_text(index: Index) -> None:
    index.store([described(str(number), "A field.", number) for number in range(20)], "m")
    index.store([described("old dog", "A dog.", 0), described("old cat", "A cat.", 9)], "old")
    found = names(index, "dog", model="m", exact=False)
    assert "old dog" in found[:3]
    assert "old cat" not in found
    assert names(index, "dog", model=None) == ["old dog"]
    assert index.model_ids() == ["m", "old"]


def test_more_shared_words_and_keywords_rank_higher(index: Index) -> None:
    index.store(
        [
            description("one", "A dog on a sofa."),
            description("both", "A dog on a beach."),
            description("keyword", "A man.", keywords=["beach"]),
            description("none", "A horse."),
            description("also none", "A car."),
        ],
        "m",
    )
    found = names(index, "dogs, beaches", model=None)
    assert found[0] == "both"
    assert set(found) == {"one", "both", "keyword"}


def test_stop_words_find_nothing_unless_alone(index: Index) -> None:
    index.store([description("a", "A man on a bench."), description("b", "A dog in a car.")], "m")
    assert names(index, "a dog on the sofa", model=None) == ["b"]
    assert names(index, "on a", model=None) == ["a", "b"]


def test_other_captions_are_searched_but_not_shown(index: Index) -> None:
    index.store([description("a", "A dog runs.", "A beagle runs."), description("b")], "m")
    assert [hit.caption for hit in index.search("beagle")] == ["A dog runs."]
    assert index.search('"beagle"') == []
    assert index.search("beagle", exact=True) == []


def test_quoted_words_must_be_in_the_caption(index: Index) -> None:
    index.store(
        [
            described("a", "A black dog runs on white snow.", 1),
            described("b", "A white dog runs past a black car.", 9),
            described("c", "Snow.", 9),
        ],
        "m",
    )
    assert names(index, "dog") == ["b", "c", "a"]
    assert names(index, 'dog "black dog"') == ["a"]
    assert names(index, "“black dog”") == ["a"]
    assert names(index, '"snow" "black" dog') == ["a"]
    assert names(index, 'dog "black') == ["b", "a"]
    assert names(index, '"dog snow"') == []


def test_exact_finds_captions_with_all_the_words(index: Index) -> None:
    index.store(
        [
            described("a", "A dog runs.", 0),
            described("b", "A dog sleeps.", 9),
            description("c", "A man.", keywords=["dog", "running"]),
            described("long", "A dog that is brown and old runs over a wide green field.", 0),
        ],
        "m",
    )
    assert names(index, "dog running", exact=True) == ["a", "long"]
    assert names(index, "dog & running!", exact=True) == ["a", "long"]
    assert names(index, '"runs over" dog', exact=True) == ["long"]
    assert names(index, "dog unicorn", exact=True) == []


def test_missing_and_failed_photos_are_left_out(index: Index) -> None:
    index.store([described(name, "A dog.", 1) for name in "abc"], "m")
    index.store([failure("b")], "m")
    index._connection.execute(
        "UPDATE photos SET missing_since = '2026' WHERE path = ?", [b"/photos/a"]
    )
    index._connection.commit()
    assert names(index, "dog") == names(index, "dog", exact=True) == ["c"]
    assert [hit.path for hit in index.similar(np.ones(2, np.float16), "m")] == ["/photos/c"]
    assert index.counts().missing == 1


def test_equal_photos_keep_their_order(index: Index) -> None:
    order = ["m", "z", "a", "k", "b"]
    index.store([described(name, "A dog.", 1) for name in order], "m")
    index.store([described("z", "A dog.", 1)], "m")
    for exact in (False, True):
        assert names(index, "dog", exact=exact) == order
    assert [Path(hit.path).name for hit in index.similar(np.ones(2, np.float16), "m")] == order


@pytest.mark.parametrize("query", ["", " \n\t", '""', '" "', '"', "\0", "\udcff"])
def test_an_empty_query_is_a_usage_error(index: Index, query: str) -> None:
    with pytest.raises(UsageError, match="the query is empty"):
        index.search(query)


HOSTILE = [
    "dog*", "^dog", "-dog", "dog NOT cat", "AND", "NEAR(dog cat, 5)", "caption:dog", "{caption} :",
    "(dog", "dog) OR (1", "'; DROP TABLE photos; --", 'a"b"c', '"dog"cat', "dog\0cat", "\udcff dog",
    "🐕", "!!!", "%", "caf\u00e9", "cafe\u0301", "\u202edog", "dog " * 3000, '"dog" ' * 300,
]  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Index.open(tmp_path_factory.mktemp("index") / "captioner.db", write=True) as index:
        index.store([described("a", "A dog AND a cat.", 1), described("b", "A café.", 0)], "m")
        yield index


def check_any_query(index: Index, query: str, *, exact: bool) -> None:
    try:
        hits = index.search(query, planner=planner, model_id="m", exact=exact)
    except UsageError:
        surrogates = "\ud800-\udfff"
        assert re.fullmatch(rf'[\s\0"“”„{surrogates}]*', query)
    else:
        assert all(hit.score is None or 0 <= hit.score <= 1 for hit in hits)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("query", HOSTILE)
def test_no_query_is_a_syntax_error(small: Index, query: str, exact: bool) -> None:
    check_any_query(small, query, exact=exact)


SURROGATES = st.characters(categories=["Cs"])
SYNTAX = st.sampled_from(
    ['"', "(", ")", "*", ":", "^", "+", "-", "{", "}", " ", "NOT", "AND", "\0"]
)
QUERIES = st.one_of(st.text(), st.lists(st.text() | SYNTAX | SURROGATES).map("".join))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(query=QUERIES, exact=st.booleans())
@example(query='"', exact=False)
def test_no_text_at_all_is_a_syntax_error(small: Index, query: str, exact: bool) -> None:
    check_any_query(small, query, exact=exact)


@pytest.mark.parametrize(("query", "name"), [("CAFE", "b"), ("cafés", "b"), ("AND cats", "a")])
def test_accents_case_endings_and_operators_do_not_matter(
    small: Index, query: str, name: str
) -> None:
    assert names(small, query, model=None)[0] == name


def test_similar_ranks_by_cosine(index: Index) -> None:
    embeddings = {"same": (1, 0), "near": (0.8, 0.6), "across": (0, 1), "opposite": (-1, 0)}
    index.store([description(name, joint=embedding) for name, embedding in embeddings.items()], "m")
    index.store([description("of another model", joint=(1, 0))], "old")
    wanted: HalfArray = np.array([1, 0], np.float16)
    hits = index.similar(wanted, "m")
    assert [Path(hit.path).name for hit in hits] == list(embeddings)
    assert [round(hit.score, 2) for hit in hits] == [1, 0.8, 0, 0]
    others = index.similar(wanted, "m", exclude=Path("/photos/same"), limit=1)
    assert [Path(hit.path).name for hit in others] == ["near"]
    assert len(index.similar(wanted, "m", exclude=Path("/photos/nowhere"))) == 4
    assert index.similar(wanted, "unheard of") == []


def test_an_empty_index_finds_nothing(index: Index) -> None:
    assert names(index, "dog") == names(index, "dog", exact=True) == []


def test_searching_loads_no_engine_nor_sqlite_utils(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store([described("a", "A dog.", 1)], "m")
    code = (
        "import sys; from pathlib import Path; from captioner.index import Index\n"
        "with Index.open(Path(sys.argv[1])) as index: print(len(index.search('dog')))\n"
        "print(*{'sqlite_utils', 'keras', 'tensorflow', 'openvino', 'typer'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split("\n") == ["1", "", ""]


def test_a_search_sees_one_state_of_the_index(tmp_path: Path) -> None:
    """A writer deletes descriptions between the statements of a search."""
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as writer:
        writer.store([described("a", "A dog.", 1), described("b", "A dog.", 2)], "m")

    def measure(cosine: FloatArray, logits: FloatArray) -> FloatArray:
        with Index.open(path, write=True) as writer:
            writer.store([failure("a"), failure("b")], "m")
        return cosine + logits

    with Index.open(path) as reader:
        interrupted = replace(query_plan((0, 0), (1, 0)), measure=measure)
        assert len(reader.search("dog", planner=lambda query: interrupted, model_id="m")) == 2
        assert reader.search("dog", planner=planner, model_id="m") == []
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_example_ranks_but_words_decide_how_likely_a_hit_is(index: Index) -> None:
    index.store([description("near", joint=(1, 0)), description("Zanzibar", joint=(0, 1))], "m")
    example = ExamplePhoto(np.array([1, 0], np.float16), Path("/elsewhere.jpg"))
    unknown = index.search(
        "zanzibar", planner=lambda _: None, model_id="m", min_score=0.03, example=example
    )
    assert [Path(hit.path).name for hit in unknown] == ["Zanzibar"]
    others = index.search("-zanzibar", planner=lambda _: None, model_id="m", example=example)
    assert [(Path(hit.path).name, round(hit.score or 0)) for hit in others] == [("near", 1)]
