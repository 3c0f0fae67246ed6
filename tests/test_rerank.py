"""The choice among a beam's candidates."""

from __future__ import annotations

from captioner.model.rerank import Candidate, _without_stutter, ranked


def candidate(text: str, fluency: float, cosine: float = 0.0, support: float = 0.0) -> Candidate:
    return Candidate(tuple(text.split()), 0.0, fluency, cosine, support, 0.5)


def test_weights_decide_between_fluent_and_fitting():
    fluent = candidate("a man", -1.0)
    near = candidate("a dog", -2.0, cosine=0.5)
    seen = candidate("a ball", -2.0, support=6.0)
    assert ranked([near, seen, fluent], 0.0, 0.0)[0] is fluent
    assert ranked([near, seen, fluent], 3.0, 0.0)[0] is near
    assert ranked([near, seen, fluent], 3.0, 0.5)[0] is seen


def test_a_stutter_is_left_out_unless_there_is_nothing_else():
    stutter = candidate("a white and white dog", -1.0)
    plain = candidate("a white and black dog", -2.0)
    again = candidate("a dog and a dog", -2.0)
    assert _without_stutter([stutter, plain, again]) == [plain, again]
    assert _without_stutter([stutter]) == [stutter]
