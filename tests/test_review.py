"""Reviewing: suggestions from stored features, disagreements, decisions and their undoing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fake_descriptions import description

from captioner.errors import CaptionerError, UsageError
from captioner.index import Index
from captioner.model.describer import Suggestion
from captioner.review import Disagreement, DisagreementFinder, Review, suggestions
from captioner.types import Caption, FloatArray

WORDS = ("dog", "cat", "boat", "grass")


@dataclass
class FakeModel:
    """Says, and trusts from 0.5 on, the word that a photo's first number is; likes none else."""

    model_id: str = "model"
    encoder_id: str = "encoder"
    shift: int = 0
    described: int = 0

    def suggestions(self, features: FloatArray) -> list[list[Suggestion]]:
        self.described += len(features)
        return [
            [
                Suggestion(Caption(f"A {WORDS[(int(row[0]) + self.shift) % 4]}.", 0.9, -1.0),
                           0.5, 0.5, trusted=row[1] == 0),
                Suggestion(Caption("A thing.", 0.1, -9.0), 0.1, 0.1, trusted=False),
            ]
            for row in features
        ]  # fmt: skip

    def sentence_vectors(self, sentences: list[str]) -> FloatArray:
        """Dogs and cats are rather like each other."""
        axes = np.eye(4, dtype=np.float32)
        axes[1] = (0.5, np.sqrt(0.75), 0, 0)
        return axes[[WORDS.index(one[2:-1]) for one in sentences]]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Four photos whose features begin with 0 to 3; the last one's captions are not trusted."""
    opened = Index.open(tmp_path / "captioner.db", write=True)
    for position, word in enumerate(WORDS):
        feature = np.array([position, position == 3], np.float16)
        one = replace(description(f"{position}.jpg", f"A {word}."), feature=feature)
        caption = Caption(f"A {word}.", 0.9 - position / 10, -1.0)
        opened.store([replace(one, captions=(caption,))], "model", "encoder")
    return opened


def photo(index: Index, name: str):
    [entry] = index.photos_at(Path("/photos") / name)
    return index.details(entry.id)


def test_suggestions_come_from_stored_features(index: Index) -> None:
    found = suggestions(index, photo(index, "1.jpg"), FakeModel())
    assert [one.caption.text for one in found] == ["A cat.", "A thing."]


def test_features_of_another_encoder_are_of_no_use(index: Index) -> None:
    with pytest.raises(CaptionerError, match=r"would have to read the photo.*--recaption"):
        suggestions(index, photo(index, "1.jpg"), FakeModel(encoder_id="another"))
    with pytest.raises(CaptionerError, match="no features"):
        suggestions(index, replace(photo(index, "1.jpg"), encoder_id=None), FakeModel())


def test_disagreements_begin_with_the_greatest(index: Index) -> None:
    first, second = FakeModel(), FakeModel("other", shift=1)
    finder = DisagreementFinder(first, second)
    assert finder.take(lambda _: False) is None
    finder.advance(index, 2)
    assert (finder.examined, finder.finished) == (2, False)
    boat = Disagreement(0.0, photo(index, "1.jpg").id, "A cat.", "A boat.")
    assert finder.take(lambda _: False) == boat
    cat = finder.take(lambda one: one == boat.photo)
    assert cat == Disagreement(0.5, photo(index, "0.jpg").id, "A dog.", "A cat.")
    finder.advance(index, 10)
    finder.advance(index, 10)
    assert (finder.examined, finder.finished) == (4, True)
    assert first.described == 0  # its captions are stored
    grass = finder.take(lambda one: one in {boat.photo, cat.photo})
    assert grass
    assert grass.photo == photo(index, "2.jpg").id
    assert finder.take(lambda _: True) is None


def test_captions_of_a_third_model_are_not_taken_for_the_first_ones(index: Index) -> None:
    first, second = FakeModel("new", shift=2), FakeModel("other", shift=3)
    finder = DisagreementFinder(first, second)
    finder.advance(index, 1)
    found = finder.take(lambda _: False)
    assert found
    assert (found.first, found.second) == ("A boat.", "A grass.")
    assert first.described == 1


def test_models_that_cannot_be_compared() -> None:
    with pytest.raises(CaptionerError, match=r"different encoders.*read the photos themselves"):
        DisagreementFinder(FakeModel(), FakeModel("other", encoder_id="another"))
    with pytest.raises(UsageError, match="the same"):
        DisagreementFinder(FakeModel(), FakeModel())


def test_a_session(index: Index) -> None:
    review = Review()
    [first] = review.upcoming(index, "uncertain")
    assert first == photo(index, "3.jpg").id
    review.skip(photo(index, "3.jpg"))
    assert review.upcoming(index, "uncertain") == [photo(index, "2.jpg").id]
    review.decide(index, photo(index, "2.jpg"), "A boat.", "accepted")
    review.decide(index, photo(index, "1.jpg"), " Minka, our\ncat ", "corrected")
    assert photo(index, "1.jpg").caption.text == "Minka, our cat"
    assert review.upcoming(index, "uncertain") == [photo(index, "0.jpg").id]
    assert [one.outcome for one in review.decisions] == ["skipped", "accepted", "corrected"]
    undone = review.undo(index)
    assert undone
    assert undone.caption == "Minka, our cat"
    assert photo(index, "1.jpg").caption.source == "model"
    assert review.upcoming(index, "uncertain") == [photo(index, "1.jpg").id]
    review.undo(index)
    review.undo(index)
    assert review.upcoming(index, "uncertain") == [first]
    assert review.undo(index) is None


def test_undoing_keeps_what_was_there_and_what_came_later(index: Index) -> None:
    review = Review()
    cat = photo(index, "1.jpg")
    index.set_caption(cat.path, "Minka")
    review.decide(index, cat, "A cat.", "accepted")
    review.undo(index)
    assert photo(index, "1.jpg").caption.text == "Minka"
    review.decide(index, cat, "A cat.", "accepted")
    index.set_caption(cat.path, "Minka, written in another window")
    review.undo(index)
    assert photo(index, "1.jpg").caption.text == "Minka, written in another window"


def test_an_empty_caption_is_refused(index: Index) -> None:
    with pytest.raises(UsageError, match="empty"):
        Review().decide(index, photo(index, "1.jpg"), " \n", "corrected")


def test_disagreements_are_a_queue(index: Index) -> None:
    review = Review()
    finder = DisagreementFinder(FakeModel(), FakeModel("other", shift=1))
    seen = []
    while found := review.disagreement(index, finder):
        seen.append(found.likeness)
        review.skip(photo(index, index.details(found.photo).path.name))
    assert seen == [0.0, 0.0, 0.5]
    assert finder.finished


def test_a_search_for_disagreements_can_go_on_later(index: Index) -> None:
    review = Review()
    same = DisagreementFinder(FakeModel(), FakeModel("other"))
    assert review.disagreement(index, same, 2) is None
    assert (same.examined, same.finished) == (2, False)
    assert review.disagreement(index, same, 2) is None
    assert review.disagreement(index, same, 2) is None
    assert (same.examined, same.finished) == (4, True)


def test_the_given_caption_and_trusted_ones_come_first(index: Index) -> None:
    class Unsure(FakeModel):
        def suggestions(self, features: FloatArray) -> list[list[Suggestion]]:
            texts = [("A far thing.", False), ("A cat.", True), ("A boat.", True)]
            return [[Suggestion(Caption(text, 0.5, -1.0), 0.5, 0.5, sure) for text, sure in texts]]

    for model_id, first in (("model", "A boat."), ("other", "A cat.")):
        found = suggestions(index, photo(index, "2.jpg"), Unsure(model_id))
        assert found[0].caption.text == first
        assert found[-1].caption.text == "A far thing."
