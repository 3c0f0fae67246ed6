"""The choice among a beam's candidates."""

from __future__ import annotations

import numpy as np

from captioner.model.heads import WordHead
from captioner.model.rerank import Candidate, Narrator, Settings, _without_stutter, ranked
from captioner.model.vocabulary import END, MARKS, Vocabulary


def candidate(text: str, log_p: float, cosine: float = 0.0, support: float = 0.0) -> Candidate:
    return Candidate(tuple(text.split()), log_p, cosine, support, 0.5, 0.1)


def test_weights_decide_between_fluent_and_fitting():
    fluent = candidate("a man", -1.0)
    near = candidate("a dog", -2.0, cosine=0.5)
    seen = candidate("a ball", -2.0, support=6.0)
    assert ranked([near, seen, fluent], 0.0, 0.0, 0.0)[0] is fluent
    assert ranked([near, seen, fluent], 0.0, 3.0, 0.0)[0] is near
    assert ranked([near, seen, fluent], 0.0, 3.0, 0.5)[0] is seen


def test_a_long_sentence_is_not_less_fluent_for_its_length():
    short, long = candidate("a man", -3.0), candidate("a man on a small boat", -4.0)
    assert ranked([long, short], 0.0, 0.0, 0.0)[0] is short
    assert ranked([long, short], 1.0, 0.0, 0.0)[0] is long


def test_of_a_photo_are_said_common_words_and_those_that_the_head_sees():
    tokens = [*MARKS, "a", "the", "dog", "dogs", "boat", "tree", "car"]
    stems = {"dog": -1.0, "boat": 2.0, "tree": 1.0, "car": 0.0}
    arrays = {
        "hidden.kernel": np.eye(4, dtype=np.float32), "hidden.bias": np.zeros(4, np.float32),
        "stems.kernel": np.eye(4, dtype=np.float32), "stems.bias": np.zeros(4, np.float32),
    }  # fmt: skip
    head = WordHead(arrays, list(stems), list(stems))
    vocabulary = Vocabulary(tokens)
    hidden = np.array([[*stems.values()], [3, 0, -1, 1]], np.float32)

    def said(common: int, telling: int) -> list[set[str]]:
        settings = Settings(common=common, telling=telling)
        narrator = Narrator(None, vocabulary, head, None, settings)  # type: ignore[arg-type]
        rows = narrator.sayable(hidden)
        assert (rows[:, 0] == END).all()
        return [{tokens[number] for number in row[1:]} for row in rows.tolist()]

    assert said(2, 2) == [{"a", "the", "boat", "tree"}, {"a", "the", "dog", "dogs"}]
    assert said(2, 100) == [set(tokens[4:])] * 2
    assert said(100, 3) == [set(tokens[4:])] * 2


def test_a_stutter_is_left_out_unless_there_is_nothing_else():
    stutter = candidate("a white and white dog", -1.0)
    plain = candidate("a white and black dog", -2.0)
    twice = candidate("a brown dog and a brown dog run", -2.0)
    again = candidate("a plate of food on a plate", -2.0)
    other = candidate("a dog and a cat", -2.0)
    assert _without_stutter([stutter, plain, twice, again, other]) == [plain, other]
    assert _without_stutter([stutter]) == [stutter]
