"""The concepts: how the table is made, what words of a query mean, and which become keywords."""

from __future__ import annotations

import json

import numpy as np
import pytest

from captioner.model.concepts import Concepts, log_any
from captioner.training import wordnet
from captioner.types import Keyword

SHIPPED = json.loads(wordnet.TABLE.read_text("utf-8"))


@pytest.fixture(scope="module")
def concepts():
    return Concepts(SHIPPED)


def named(concepts, query):
    return {concepts.names[row] for row in concepts.expand(query)}


def photo(concepts, **shown):
    """Probabilities of one photo: those given by name, with "_" for a space, and else little."""
    out = np.full((1, len(concepts)), 1e-4, np.float32)
    for name, probability in shown.items():
        out[0, concepts.names.index(name.replace("_", " "))] = probability
    return out


def keyword_words(concepts, probability, *words, count=8):
    (found,) = concepts.keywords(probability, [[Keyword(w, p) for w, p in words]], count)
    return [keyword.word for keyword in found]


def test_the_shipped_table_has_a_thousand_concepts_with_names_and_parents_in_order():
    assert len(SHIPPED["concepts"]) == len({c["wnid"] for c in SHIPPED["concepts"]}) == 1000
    assert all(c["name"] and c["names"] for c in SHIPPED["concepts"])
    for number, kind in enumerate(SHIPPED["kinds"]):
        assert all(parent > number for parent in kind["parents"])
    assert "Princeton University" in SHIPPED["source"]
    assert "PRINCETON" in wordnet.LICENCE.read_text("utf-8")
    assert wordnet.TABLE.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("query", "some", "but_not"),
    [
        ("animal", {"zebra", "tench", "ladybug"}, {"airliner"}),
        ("vehicle", {"airliner", "taxi", "bullet train"}, {"zebra"}),
        ("food", {"pizza", "banana", "espresso"}, {"teapot"}),
        ("dog", {"beagle", "pug", "dalmatian"}, {"timber wolf", "tabby"}),
        ("bird", {"ostrich", "rooster", "king penguin"}, {"zebra"}),
        ("fruit", {"banana", "lemon", "Granny Smith"}, {"broccoli"}),
        ("furniture", {"rocking chair", "bookcase"}, {"castle"}),
        ("tool", {"hammer", "screwdriver"}, {"banana"}),
        ("instrument", {"banjo", "violin"}, {"assault rifle"}),
        ("building", {"barn", "palace"}, {"hammer"}),
        ("boat", {"canoe", "gondola"}, {"airliner"}),
        ("clothing", {"kimono", "sock"}, {"pillow"}),
    ],
)
def test_a_hypernym_means_all_concepts_below_it(concepts, query, some, but_not):
    found = named(concepts, query)
    assert some <= found
    assert not but_not & found


def test_names_synonyms_and_plurals_mean_a_concept(concepts):
    assert named(concepts, "golden retriever") == {"golden retriever"}
    assert named(concepts, "Golden Retrievers") == {"golden retriever"}
    assert named(concepts, "tv") == {"television"}
    assert named(concepts, "cell phones") == named(concepts, "cellphone") == {"mobile phone"}
    assert named(concepts, "buses") == named(concepts, "bus") >= {"school bus"}
    assert named(concepts, "knives") == named(concepts, "knife") >= {"cleaver"}
    assert named(concepts, "mice") == {"computer mouse"}


def test_ambiguous_names_mean_both_and_rare_senses_nothing(concepts):
    wnids = [SHIPPED["concepts"][row]["wnid"] for row in concepts.expand("crane")]
    assert wnids == ["n02012849", "n03126707"]  # the bird and the machine
    assert named(concepts, "cardigan") == {"Cardigan", "cardigan"}
    assert len(concepts.expand("maillot")) == 2
    assert named(concepts, "plane") == {"airliner"}
    assert named(concepts, "oranges") == {"orange"}  # whose stem an orangutan has too
    assert not concepts.expand("flying")
    assert not concepts.expand("zeppelins")
    assert not concepts.expand("")


def test_a_word_that_names_nothing_means_the_names_that_it_is_part_of(concepts):
    assert named(concepts, "toilet") == {"toilet seat", "toilet tissue"}


def test_a_query_is_cut_into_the_longest_names(concepts):
    terms = concepts.terms("Two golden retrievers, an ice cream and a hot-dog")
    assert [" ".join(term.words) for term in terms if term.rows] == [
        "golden retrievers",
        "ice cream",
        "hot-dog",
    ]
    assert [" ".join(term.words) for term in terms if not term.rows] == ["two", "an", "and", "a"]


def test_a_term_needs_few_rows_however_much_it_means(concepts):
    def entries(query, known=lambda word: False):
        return [row for term in concepts.terms(query, known) for row in term.rows]

    (animal,) = entries("animals")
    assert animal >= len(concepts)  # a hypernym, numbered after the concepts
    members = np.flatnonzero(concepts.hypernyms[:, animal - len(concepts)])
    assert set(members) == set(concepts.expand("animal"))
    assert entries("zebra") == concepts.expand("zebra")
    names = {name for kind in SHIPPED["kinds"] for name in kind["names"]}
    assert max(len(entries(name)) for name in names) <= 8
    assert entries("toilet") == concepts.expand("toilet")
    assert entries("toilet", known=lambda word: word == "toilet") == []


def test_every_concept_is_found_by_the_name_it_shows(concepts):
    lost = [name for row, name in enumerate(concepts.names) if row not in concepts.expand(name)]
    assert not lost


def test_keywords_are_probable_concepts_without_their_hypernyms(concepts):
    probability = photo(concepts, airliner=0.9, beagle=0.6, pug=0.2)
    assert keyword_words(concepts, probability) == ["airliner", "beagle"]
    assert keyword_words(concepts, probability, count=1) == ["airliner"]


def test_a_hypernym_is_a_keyword_where_the_concept_is_uncertain(concepts):
    probability = photo(concepts, beagle=0.25, pug=0.25, basset=0.25)
    (found,) = concepts.keywords(probability, [[]], 8)
    assert [keyword.word for keyword in found] == ["dog"]
    assert found[0].probability == pytest.approx(1 - 0.75**3, abs=0.02)


def test_concepts_named_by_caption_words_are_left_out(concepts):
    probability = photo(concepts, beagle=0.25, pug=0.25, zebra=0.8)
    assert keyword_words(concepts, probability, ("dogs", 0.9), ("grass", 0.5)) == [
        "dogs",
        "zebra",
        "grass",
    ]
    probability = photo(concepts, taxi=0.8, studio_couch=0.8)
    assert keyword_words(concepts, probability, ("cab", 0.9)) == ["cab", "studio couch"]


def test_log_any_is_the_probability_of_at_least_one():
    random = np.random.default_rng(0)
    logits = random.normal(-2, 2, (50, 7)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert np.exp(log_any(logits)) == pytest.approx(1 - np.prod(1 - p, axis=1), rel=1e-5)
    assert log_any(np.full((1, 1), -30, np.float32)) == pytest.approx([-30], rel=1e-5)
    assert np.isfinite(log_any(np.array([[-200.0], [200.0]], np.float32))).all()


def test_the_table_is_made_from_wordnets_files(tmp_path):
    """A dog of two breeds, a crane of two senses, and a tube whose sixth sense is a pipe."""
    synsets = {
        "00000001": (["entity"], [], "@"),
        "00000002": (["dog", "domestic_dog"], ["00000001"], "@"),
        "00000003": (["beagle"], ["00000002"], "@"),
        "00000004": (["wolf"], ["00000002"], "@"),
        "00000005": (["crane"], ["00000001"], "@"),
        "00000006": (["Crane", "Hart_Crane"], ["00000001"], "@i"),
        "00000007": (["hose", "tube"], ["00000001"], "@"),
    }
    lines = [
        f"{offset} 05 n {len(names):02x} {' '.join(f'{name} 0' for name in names)} "
        f"{len(above):03d} {' '.join(f'{kind} {to} n 0000' for to in above)} | a gloss | of two"
        for offset, (names, above, kind) in synsets.items()
    ]
    licence = "  1 This software and database is being provided to you\n"
    (tmp_path / "data.noun").write_text(licence + "\n".join(lines) + "\n")
    senses = {
        "beagle": "00000003", "crane": "00000006 00000005", "dog": "00000002",
        "domestic_dog": "00000002", "hart_crane": "00000006", "hose": "00000007",
        "tube": "00000091 00000092 00000093 00000007", "wolf": "00000004",
    }  # fmt: skip
    index = [
        f"{name} n {len(of.split())} 1 @ {len(of.split())} 0 {of}" for name, of in senses.items()
    ]
    (tmp_path / "index.noun").write_text(licence + "\n".join(index) + "\n")
    (tmp_path / "noun.exc").write_text("wolves wolf\n")
    made = wordnet.table(
        wordnet.WordNet.read(tmp_path), ["n00000003", "n00000004", "n00000005", "n00000007"]
    )
    assert made["concepts"] == [
        {"wnid": "n00000003", "name": "beagle", "names": ["beagle"], "parents": [0]},
        {"wnid": "n00000004", "name": "wolf", "names": ["wolf", "wolves"], "parents": [0]},
        {"wnid": "n00000005", "name": "crane", "names": ["crane"], "parents": []},
        {"wnid": "n00000007", "name": "hose", "names": ["hose"], "parents": []},
    ]
    assert made["kinds"] == [
        {"wnid": "n00000002", "name": "dog", "names": ["dog", "domestic dog"], "parents": []}
    ]
