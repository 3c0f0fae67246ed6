"""Words of captions as keywords: things and actions."""

from __future__ import annotations

import pytest

from captioner.keywords import ACTIONS
from captioner.model.word_classes import keyword_form, word_class


@pytest.mark.parametrize(
    "word",
    """dog beach building swing kitchen people dogs park mountain dress crowd
    beard face fish cross brush nurse cook surf windsurfer skateboard skis""".split(),
)
def test_things(word: str) -> None:
    assert word_class(word) == "thing"


@pytest.mark.parametrize("word", ["running", "runs", "jumps", "sleeping", "dances"])
def test_actions(word: str) -> None:
    assert word_class(word) == "action"


@pytest.mark.parametrize("word", ["white", "standing", "stands", "wearing", "large", "several"])
def test_looks_and_positions_make_no_keyword(word: str) -> None:
    assert word_class(word) is None


def test_actions_are_shown_in_their_form_in_ing() -> None:
    assert [keyword_form(word) for word in ("runs", "jumping", "skateboard", "cross")] == [
        "running", "jumping", "skateboard", "cross",
    ]  # fmt: skip
    assert all(word.endswith("ing") and word_class(word) == "action" for word in ACTIONS)
