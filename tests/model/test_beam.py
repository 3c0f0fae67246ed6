"""Beam search against exhaustive search, against a plain one, and against itself one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from captioner.model import beam
from captioner.model.beam import sample, search
from captioner.model.vocabulary import END, PAD, START, UNKNOWN
from captioner.types import Features


class Table:
    """A stepper of `size` tokens whose probabilities are a function of photo and prefix alone."""

    def __init__(self, size=7, probabilities=None):
        self.size = self.vocabulary_size = size
        self.probabilities = probabilities or self._random
        self.prefixes = [()]
        self.steps = []

    def _random(self, photo, prefix):
        random = np.random.default_rng([int(photo * 1000), *prefix])
        return random.dirichlet(np.full(self.size, 0.7))

    def start(self, features, shortlist):
        self.shortlist = shortlist
        return features.pooled[:, 0], np.zeros(len(features), np.intp)

    def step(self, photos, rows, prefixes, tokens):
        self.steps.append(len(rows))
        first = len(self.prefixes)
        for prefix, token in zip(prefixes, tokens, strict=True):
            assert (token == START) == (prefix == 0)
            self.prefixes.append((*self.prefixes[prefix], int(token)))
        longer = self.prefixes[first:]
        p = [self.probabilities(photos[r], longer[n][1:]) for n, r in enumerate(rows)]
        if self.shortlist is not None:
            p = [row[self.shortlist[r]] for row, r in zip(p, rows, strict=True)]
        return np.array(p, np.float32), np.arange(first, first + len(rows))


def features(photos):
    return Features(np.arange(1, photos + 1, dtype=np.float32)[:, None] / 7)


def allowed(tokens):
    """Whether a sentence, END included, keeps the rules."""
    return (
        tokens[0] != END
        and not {PAD, START, UNKNOWN} & set(tokens)
        and all(a != b for a, b in itertools.pairwise(tokens))
    )


def exhaustive(table, photo, max_length, length_penalty):
    """Every sentence there is with its score, best first."""
    found = []
    words = range(END + 1, table.size)
    for length in range(1, max_length + 1):
        for body in itertools.product(words, repeat=length):
            tokens = (*body, END)
            if allowed(tokens):
                log_p = sum(
                    np.log(np.float32(table.probabilities(photo, tokens[:n])[token]))
                    for n, token in enumerate(tokens)
                )
                found.append((log_p / len(tokens) ** length_penalty, body))
    return sorted(found, key=lambda sentence: -sentence[0])


def plain(table, photo, beam_width, max_length, length_penalty):
    """Textbook beam search, one hypothesis at a time."""
    live, found = [(0.0, ())], []
    for length in range(1, max_length + 2):
        extended = []
        for log_p, prefix in live:
            p = np.float32(table.probabilities(photo, prefix))
            for token in range(table.size):
                tokens = (*prefix, token)
                if allowed(tokens) and p[token] > 0 and (token == END or length <= max_length):
                    extended.append((log_p + np.log(np.float64(p[token])), tokens))
        extended.sort(key=lambda hypothesis: -hypothesis[0])
        best = extended[: beam_width - len(found)]
        found += [(log_p / length**length_penalty, t[:-1]) for log_p, t in best if t[-1] == END]
        live = [hypothesis for hypothesis in best if hypothesis[1][-1] != END]
    return sorted(found, key=lambda sentence: -sentence[0])


def same(sentences, expected):
    assert [s.tokens for s in sentences] == [tokens for _, tokens in expected]
    np.testing.assert_allclose([s.score for s in sentences], [x for x, _ in expected], rtol=1e-5)


@pytest.mark.parametrize("length_penalty", [0, 0.7, 1])
def test_a_beam_wide_enough_is_exhaustive_search(length_penalty):
    table = Table()
    found = search(table, features(3), beam_width=200, max_length=5, length_penalty=length_penalty)
    for photo, sentences in zip(features(3).pooled[:, 0], found, strict=True):
        expected = exhaustive(table, photo, 5, length_penalty)
        assert len(expected) == 3 * (1 + 2 + 4 + 8 + 16)
        same(sentences, expected)


@pytest.mark.parametrize("beam_width", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("size", [7, 40])
def test_it_equals_textbook_beam_search(beam_width, size):
    table = Table(size)
    found = search(table, features(9), beam_width=beam_width, max_length=6)
    for photo, sentences in zip(features(9).pooled[:, 0], found, strict=True):
        same(sentences, plain(table, photo, beam_width, 6, 0.7))


def test_only_words_of_the_photos_shortlist_are_generated():
    random = np.random.default_rng(4)
    shortlist = [[END, *random.permutation(np.arange(END + 2, 12))[:4]] for _ in range(9)]

    def probabilities(photo, prefix):
        p = Table._random(table, photo, prefix)
        p[np.setdiff1d(np.arange(12), shortlist[round(photo * 7) - 1])] = 0
        return p

    table = Table(12)
    found = search(table, features(9), beam_width=3, shortlist=np.array(shortlist), max_length=6)
    expected = search(Table(12, probabilities), features(9), beam_width=3, max_length=6)
    for some, same_some in zip(found, expected, strict=True):
        assert [s.tokens for s in some] == [s.tokens for s in same_some]
        np.testing.assert_allclose([s.score for s in some], [s.score for s in same_some])


def test_a_beam_width_of_one_is_greedy_search():
    table = Table()
    for photo, (sentence,) in zip(
        features(20).pooled[:, 0],
        search(table, features(20), beam_width=1, max_length=8),
        strict=True,
    ):
        tokens = ()
        while len(tokens) < 8:
            p = table.probabilities(photo, tokens)
            tokens += (max((t for t in range(7) if allowed((*tokens, t))), key=lambda t: p[t]),)
            if tokens[-1] == END:
                break
        assert sentence.tokens == tuple(token for token in tokens if token != END)


def test_photos_of_a_batch_do_not_affect_each_other(monkeypatch):
    together = search(Table(), features(12), beam_width=4)
    alone = [search(Table(), features(12)[n : n + 1], beam_width=4)[0] for n in range(12)]
    assert together == alone
    monkeypatch.setattr(beam, "HYPOTHESES_PER_STEP", 20)
    assert search(Table(), features(12), beam_width=4) == together
    assert search(Table(), features(0), beam_width=4) == []


def test_sentences_are_distinct_and_keep_the_rules():
    for sentences in search(Table(), features(10), beam_width=8, max_length=6):
        assert len({s.tokens for s in sentences}) == len(sentences) == 8
        assert all(allowed((*s.tokens, END)) and len(s.tokens) <= 6 for s in sentences)
        assert [s.score for s in sentences] == sorted((s.score for s in sentences), reverse=True)
        for s in sentences:
            assert s.score == s.log_probability / (len(s.tokens) + 1) ** 0.7


def test_special_tokens_and_repeated_words_are_not_generated_however_probable():
    def probabilities(photo, prefix):
        p = np.full(6, 0.01)
        p[[PAD, START, UNKNOWN]] = 0.2
        p[prefix[-1] if prefix else END] = 0.3
        return p

    (sentences,) = search(Table(6, probabilities), features(1), beam_width=3, max_length=4)
    assert [s.tokens for s in sentences] and all(allowed((*s.tokens, END)) for s in sentences)


def test_a_sentence_of_max_length_ends_with_the_probability_of_end():
    def probabilities(photo, prefix):
        p = np.full(6, 0.001)
        p[4 + len(prefix) % 2] = 0.9
        return p

    ((sentence,),) = search(Table(6, probabilities), features(1), beam_width=1, max_length=5)
    assert sentence.tokens == (4, 5, 4, 5, 4)
    assert sentence.log_probability == pytest.approx(5 * np.log(0.9) + np.log(0.001))


def test_ties_go_to_the_better_hypothesis_then_to_the_lower_word():
    table = Table(8, lambda photo, prefix: np.full(8, 1 / 8))
    found = search(table, features(5), beam_width=3, max_length=2)
    # Words 4, 5 and 6 begin; then the first of them takes all slots, with END, the lowest token,
    # and two words, whatever the photo.
    assert [[s.tokens for s in sentences] for sentences in found] == [[(4,), (4, 5), (4, 6)]] * 5


def test_words_of_probability_zero_are_never_generated():
    def probabilities(photo, prefix):
        p = np.zeros(9)
        p[[END, 4 + len(prefix)]] = 0.5
        return p

    (sentences,) = search(Table(9, probabilities), features(1), beam_width=10, max_length=3)
    assert [s.tokens for s in sentences] == [(4,), (4, 5), (4, 5, 6)]
    (none,) = search(Table(9, lambda *_: np.eye(9)[PAD]), features(1), beam_width=10)
    assert none == []


def test_work_shrinks_as_sentences_end():
    def probabilities(photo, prefix):
        p = np.full(6, 0.05)
        p[END if len(prefix) == photo * 7 else 4 + len(prefix) % 2] = 0.8
        return p

    table = Table(6, probabilities)
    search(table, features(3), beam_width=1)
    assert table.steps == [3, 3, 2, 1]


def test_each_batch_has_its_own_rows_of_the_grid(monkeypatch):
    class Grids(Table):
        def start(self, features, shortlist):
            np.testing.assert_array_equal(features.grid[:, 0, 0], features.pooled)
            return super().start(features, shortlist)

    pooled = features(12).pooled
    with_grid = Features(pooled, pooled[:, None, None])
    monkeypatch.setattr(beam, "HYPOTHESES_PER_STEP", 20)
    assert search(Grids(), with_grid, beam_width=4) == search(Table(), features(12), beam_width=4)


def draw(table, photos, samples, seed=0, **options):
    random = np.random.default_rng(seed)
    return sample(table, features(photos), samples=samples, random=random, **options)


def test_random_sentences_are_as_frequent_as_they_are_probable():
    table = Table(7)
    drawn = draw(table, 2, 4000, max_length=2, inverse_temperature=2)
    for photo, rows in zip(features(2).pooled[:, 0], drawn, strict=True):
        p = np.zeros(7)
        p[4:] = table.probabilities(photo, ())[4:] ** 2
        counts = np.bincount(rows[:, 1], minlength=7)
        np.testing.assert_allclose(counts / 4000, p / p.sum(), atol=0.03)
        for word in np.flatnonzero(counts > 500):
            then = table.probabilities(photo, (word,)) ** 2
            then[[PAD, START, UNKNOWN, word]] = 0
            after = np.bincount(rows[rows[:, 1] == word, 2], minlength=7)
            np.testing.assert_allclose(after / counts[word], then / then.sum(), atol=0.08)


def test_random_sentences_keep_the_rules(monkeypatch):
    drawn = draw(Table(9), 10, 6, max_length=5)
    assert drawn.shape == (10, 6, 7)
    for row in drawn.reshape(-1, 7).tolist():
        body = row[1 : row.index(PAD) if PAD in row else 7]
        assert row[0] == START and set(row[1 + len(body) :]) <= {PAD}
        assert allowed(body) and END not in body[:-1]
        assert body[-1] == END or len(body) == 5
    np.testing.assert_array_equal(drawn, draw(Table(9), 10, 6, max_length=5))
    assert (drawn != draw(Table(9), 10, 6, max_length=5, seed=1)).any()
    assert draw(Table(9), 0, 6).shape == (0, 6, 22)
    monkeypatch.setattr(beam, "HYPOTHESES_PER_STEP", 12)
    assert all(allowed(row[row > PAD][1:].tolist()) for row in draw(Table(9), 5, 6).reshape(-1, 22))


def test_nucleus_sampling_draws_from_the_most_probable_words_only():
    words = np.array([0, 0, 0.05, 0, 0.4, 0.3, 0.15, 0.1])

    def drawn(top_p):
        table = Table(8, lambda photo, prefix: words)
        random = np.random.default_rng(1)
        found = sample(table, features(1), samples=3000, max_length=1, top_p=top_p, random=random)[
            0, :, 1
        ]
        return np.bincount(found, minlength=8) / 3000

    # Of the words that may be first, .4, .3, .15 and .1 of .95, the first two have .74.
    for top_p, kept in (
        (0.3, [4]),
        (0.5, [4, 5]),
        (0.7, [4, 5]),
        (0.8, [4, 5, 6]),
        (1, [4, 5, 6, 7]),
    ):
        expected = np.zeros(8)
        expected[kept] = words[kept] / words[kept].sum()
        np.testing.assert_allclose(drawn(top_p), expected, atol=0.03)
