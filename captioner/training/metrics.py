"""Metrics of captions and of retrieval, on plain lower-case words.

Captions: BLEU (Papineni et al., 2002), ROUGE-L (Lin, 2004), CIDEr (Vedantam et al., 2015) and
METEOR (Denkowski and Lavie, 2014), all computed by `pycocoevalcap`. Its tokenizer needs Java and is
not used: captions are split by `captioner.model.vocabulary.words`, so that neither punctuation nor
special tokens count. Retrieval: recall at k, median rank, mean average precision, precision at 5.

Everything is × 100, as papers print it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from captioner.errors import CaptionerError
from captioner.model.vocabulary import words
from captioner.types import FloatArray

Ranking = Callable[[str], FloatArray]
"""Scores of all photos for a query: float32 (N,), larger is better, -inf for a photo not found.
Photos with equal scores count in the order that is worst for the search."""

Sentences = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Scores:
    """How well captions match the references, all photos of a split together; × 100."""

    bleu: tuple[float, float, float, float]
    """BLEU-1 to BLEU-4 of the corpus, brevity against the closest reference."""
    rouge: float
    """ROUGE-L."""
    cider: float
    """Mean of `photo_cider`, 0 to 1,000. Document frequencies come from the references given, so
    it is comparable only with scores on the same photos."""
    meteor: float | None
    """None if it could not be computed; `note` says why."""
    photo_cider: Mapping[str, float]
    """CIDEr of each photo by name."""
    words_used: int
    """Distinct words in all captions."""
    different_captions: int
    note: str = ""

    def record(self) -> dict[str, float | int | None]:
        """All figures but those of single photos, for JSON, rounded to two decimals."""
        bleu = {f"bleu_{n}": round(value, 2) for n, value in enumerate(self.bleu, 1)}
        return {
            **bleu,
            "rouge_l": round(self.rouge, 2),
            "cider": round(self.cider, 2),
            "meteor": None if self.meteor is None else round(self.meteor, 2),
            "photos": len(self.photo_cider),
            "words_used": self.words_used,
            "different_captions": self.different_captions,
        }


def caption_scores(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> Scores:
    """All metrics of captions against references, both by photo name.

    Raises
    ------
    CaptionerError
        If `pycocoevalcap` is not installed.
    ValueError
        If a photo has no reference with a word in it.
    """
    candidates, targets = _sentences(predictions, references)
    bleu_scorer, cider_scorer, rouge_scorer, meteor_scorer = scorers()
    bleu, _ = bleu_scorer().compute_score(targets, candidates, verbose=0)
    rouge, _ = rouge_scorer().compute_score(targets, candidates)
    _, photo_cider = cider_scorer().compute_score(targets, candidates)
    meteor, note = _meteor(meteor_scorer, targets, candidates)
    by_photo = {
        name: 100 * float(value) for name, value in zip(candidates, photo_cider, strict=True)
    }
    return Scores(
        bleu=(100 * bleu[0], 100 * bleu[1], 100 * bleu[2], 100 * bleu[3]),
        rouge=100 * float(rouge),
        cider=sum(by_photo.values()) / len(by_photo),
        meteor=meteor,
        photo_cider=by_photo,
        words_used=len({word for (sentence,) in candidates.values() for word in sentence.split()}),
        different_captions=len({sentence for (sentence,) in candidates.values()}),
        note=note,
    )


def cider(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> float:
    """CIDEr alone, as in `caption_scores`: fast enough for every epoch of training."""
    by_photo = photo_cider(predictions, references)
    return sum(by_photo.values()) / len(by_photo)


def photo_cider(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """CIDEr of each photo by name, as in `caption_scores`."""
    candidates, targets = _sentences(predictions, references)
    _, cider_scorer, _, _ = scorers()
    _, each = cider_scorer().compute_score(targets, candidates)
    return {name: 100 * float(value) for name, value in zip(candidates, each, strict=True)}


def _sentences(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> tuple[Sentences, Sentences]:
    candidates = {name: [" ".join(words(caption))] for name, caption in predictions.items()}
    targets = {
        name: [plain for text in references[name] if (plain := " ".join(words(text)))]
        for name in predictions
    }
    missing = [name for name, sentences in targets.items() if not sentences]
    if missing or not candidates:
        raise ValueError(f"no reference captions for {missing[0] if missing else 'no photos'}")
    return candidates, targets


def scorers() -> tuple[Any, Any, Any, Any]:
    """Import `pycocoevalcap`'s classes for BLEU, CIDEr, ROUGE-L and METEOR.

    Raises
    ------
    CaptionerError
        If it is not installed. Call this before captioning any photos.
    """
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.meteor.meteor import Meteor
        from pycocoevalcap.rouge.rouge import Rouge
    except ModuleNotFoundError as error:
        raise CaptionerError(
            f"measuring captions needs {error.name}, which is not installed.",
            "Run pip install 'captioner[eval]'.",
        ) from error
    return Bleu, Cider, Rouge, Meteor


def _meteor(scorer: Any, targets: Sentences, candidates: Sentences) -> tuple[float | None, str]:
    if shutil.which("java") is None:
        return None, "METEOR is not computed: it needs Java, and there is no java on PATH."
    meteor = scorer()
    try:
        mean, _ = meteor.compute_score(targets, candidates)
    except (OSError, ValueError):
        # Its __del__ waits for the lock that it still holds, and fails on a broken pipe.
        meteor.lock.release()
        with suppress(OSError):
            meteor.meteor_p.stdin.close()
        return None, "METEOR is not computed: java exited before it answered."
    return 100 * float(mean), ""


class Difference(NamedTuple):
    """Mean difference between two systems, with its 95 % confidence interval."""

    mean: float
    low: float
    """2.5th percentile of the resampled means."""
    high: float
    """97.5th percentile."""
    p: float
    """Two-sided p-value of no difference: twice the share of resampled means on the other side of
    0, or on it, and never 0."""


_DRAWS = 1 << 22
"""Numbers that are drawn at once."""


def paired_bootstrap(
    a: Mapping[str, float], b: Mapping[str, float], seed: int = 0, resamples: int = 10_000
) -> Difference:
    """Mean difference a - b of per-photo scores with its 95 % confidence interval (Koehn, 2004).

    Photos are resampled, and their scores stay as they are: CIDEr's document frequencies remain
    those of all the photos.

    Raises
    ------
    ValueError
        If the two do not score the same photos.
    """
    if a.keys() != b.keys() or not a:
        raise ValueError("a paired comparison needs the scores of the same photos")
    differences = np.array([a[name] - b[name] for name in sorted(a)])
    random = np.random.default_rng(seed)
    step = max(1, _DRAWS // len(differences))
    means = np.concatenate(
        [
            random.choice(differences, (min(step, resamples - done), len(differences))).mean(axis=1)
            for done in range(0, resamples, step)
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    # One more than counted: the observed sample is one of those that could have been drawn.
    other_side = 1 + min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    p = min(1.0, 2 * other_side / (resamples + 1))
    return Difference(float(differences.mean()), float(low), float(high), p)


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall of queries that have one relevant photo each; shares of queries × 100."""

    at_1: float
    at_5: float
    at_10: float
    median_rank: float
    """1 is first."""
    queries: int


def recall(ranks: Sequence[int]) -> Recall:
    """R@1, R@5, R@10 and median rank, from the rank of the relevant photo of each query, from 1."""
    at_1, at_5, at_10 = (100 * sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 5, 10))
    return Recall(at_1, at_5, at_10, float(median(ranks)), len(ranks))


def caption_recall(
    ranking: Ranking, names: Sequence[str], references: Mapping[str, Sequence[str]]
) -> Recall:
    """Recall with every reference caption as a query; `names` are the photos as ranked."""
    ranks = []
    for row, name in enumerate(names):
        for caption in references[name]:
            scores = ranking(caption)
            ranks.append(int(np.count_nonzero(scores >= scores[row])))
    return recall(ranks)


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query with relevance judgements: the photos that are relevant to it."""

    text: str
    relevant: frozenset[str]
    """File names."""


@dataclass(frozen=True, slots=True)
class RetrievalPrecision:
    """Precision of rankings with any number of relevant photos; × 100."""

    mean_average: float
    """mAP: the mean over queries of the average precision over the full ranking, which is the
    precision at the rank of each relevant photo, averaged over all relevant photos."""
    at_5: float
    """P@5: share of relevant photos among the first five."""
    queries: int
    left_out: int
    """Queries without a relevant photo among those that are ranked."""


def read_queries(file: Path) -> list[JudgedQuery]:
    """Read queries from lines of JSON, `{"query": "red ball", "relevant": ["a.jpg"]}`.

    Raises
    ------
    CaptionerError
        If the file cannot be read, or a line is not a query.
    """
    queries = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CaptionerError(f"cannot read queries from {file}: {error}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            queries.append(JudgedQuery(str(row["query"]), frozenset(map(str, row["relevant"]))))
        except (ValueError, KeyError, TypeError) as error:
            raise CaptionerError(
                f"{file}, line {number} is not a query.",
                'Each line should read {"query": "red ball", "relevant": ["a.jpg"]}.',
            ) from error
    if not queries:
        raise CaptionerError(f"{file} contains no queries.")
    return queries


def query_precision(
    ranking: Ranking, names: Sequence[str], queries: Sequence[JudgedQuery]
) -> RetrievalPrecision:
    """mAP and P@5 of queries over the photos in `names`, in the ranking's order.

    Raises
    ------
    CaptionerError
        If no query has a relevant photo among them.
    """
    averages, firsts = [], []
    for query in queries:
        relevant = np.array([name in query.relevant for name in names])
        if relevant.any():
            found = _in_order(ranking(query.text), relevant)
            averages.append(average_precision(found))
            firsts.append(found[:5].sum() / 5)
    if not averages:
        raise CaptionerError(
            f"none of the {len(queries)} queries names a photo of this split.",
            "Use the query file that was made for it.",
        )
    return RetrievalPrecision(
        mean_average=100 * float(np.mean(averages)),
        at_5=100 * float(np.mean(firsts)),
        queries=len(averages),
        left_out=len(queries) - len(averages),
    )


def average_precision(found: npt.NDArray[np.bool_]) -> float:
    """Average precision of one ranking; `found` (N,): is the photo at each rank relevant?"""
    ranks = np.flatnonzero(found) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def _in_order(scores: FloatArray, relevant: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Relevance by rank, best score first; among equal scores the irrelevant come first."""
    return relevant[np.lexsort((relevant, -scores))]
