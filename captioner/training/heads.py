"""The word head and the joint space, learnt together, on features or through the encoder.

*Word head*: the probability of each word stem, taught the share of a photo's captions that use it.
*Joint space*: photos and sentences as vectors, taught by InfoNCE (van den Oord et al. 2018) that a
photo lies nearer to its own sentence than to other photos' sentences, and the other way round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from captioner.model import head_networks
from captioner.model.vocabulary import stem, words
from captioner.model.xception import FEATURES
from captioner.training.corpora import Example
from captioner.types import FloatArray, HalfArray

IntArray = npt.NDArray[np.int32]
BAG = 24
"""Words of a sentence that the joint space looks at."""
DIMENSIONS = 256
# Words that say nothing about a photo: no keyword, no target of the word head.
STOP_WORDS = frozenset(
    """a about above across after against all along also amongst an and another any are around as at
    away be because before behind being below beside between by can each for from front has have he
    her his in inside into is it its just near next no not of off on one onto or other out outside
    over past several she side so some that the their them there they this through to together
    toward towards two under up very what where which while who with""".split()
)


STOP_STEMS = frozenset(map(stem, STOP_WORDS))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of the heads: stems for the word head, words for the joint space.

    Both from training captions alone.
    """

    stems: tuple[str, ...]
    surfaces: tuple[str, ...]
    """For each stem the word that a person most often writes: what a keyword shows."""
    words: tuple[str, ...]
    """Number 0 is no word."""
    concepts: tuple[str, ...] = ()
    """WordNet ids of the ImageNet classes that the word head tells after its stems."""

    @classmethod
    def from_captions(cls, captions: Sequence[str], concepts: Sequence[str] = ()) -> Lexicon:
        """Stems seen eight times or more, words seen twice or more, most frequent first."""
        counts = Counter(word for caption in captions for word in words(caption))
        surfaces: dict[str, Counter[str]] = {}
        for word, count in counts.items():
            # Porter makes "is" an "i": a stem that a stop word shares is no target either.
            if stem(word) not in STOP_STEMS and not word.isdigit():
                surfaces.setdefault(stem(word), Counter())[word] += count
        kept = sorted(
            (-group.total(), name) for name, group in surfaces.items() if group.total() >= 8
        )
        known = sorted((-count, word) for word, count in counts.items() if count >= 2)
        return cls(
            tuple(name for _, name in kept),
            tuple(surfaces[name].most_common(1)[0][0] for _, name in kept),
            ("", *(word for _, word in known)),
            tuple(concepts),
        )

    def shares(self, examples: Sequence[Example]) -> HalfArray:
        """Share of each photo's captions that use each stem, float16 (photos, stems)."""
        column = {name: number for number, name in enumerate(self.stems)}
        out = np.zeros((len(examples), len(self.stems)), np.float32)
        for row, example in enumerate(examples):
            for caption in example.captions:
                for name in {stem(word) for word in words(caption)} & column.keys():
                    out[row, column[name]] += 1 / len(example.captions)
        return out.astype(np.float16)

    def bags(self, captions: Sequence[str]) -> IntArray:
        """Word numbers of each sentence, int32 (sentences, BAG), 0 where there is none."""
        ids = {word: number for number, word in enumerate(self.words)}
        out = np.zeros((len(captions), BAG), np.int32)
        for row, caption in enumerate(captions):
            known = [ids[word] for word in words(caption) if word in ids][:BAG]
            out[row, : len(known)] = known
        return out


@dataclass(frozen=True, slots=True)
class Lessons:
    """What the heads are to learn of each photo of a list."""

    examples: tuple[Example, ...]
    targets: HalfArray
    """(photos, stems + concepts): share of captions that use each stem, zeros without captions;
    probability of each concept."""
    captioned: FloatArray
    """(photos,): 1 with captions, 0 without."""
    bags: tuple[IntArray, ...]
    """For each photo its sentences (n, BAG)."""

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        lexicon: Lexicon,
        concepts: HalfArray | None = None,
    ) -> Lessons:
        """Of photos with captions or, for their concepts alone, without.

        Parameters
        ----------
        concepts
            (photos, concepts): the probability of each of the lexicon's concepts.
        """
        shares = lexicon.shares(examples)
        return cls(
            tuple(examples),
            shares if concepts is None else np.concatenate([shares, concepts], axis=1),
            np.array([bool(example.captions) for example in examples], np.float32),
            tuple(lexicon.bags(example.captions) for example in examples),
        )

    def __len__(self) -> int:
        return len(self.examples)

    def sentences(
        self, rows: npt.NDArray[np.intp], others: npt.NDArray[np.intp], random: np.random.Generator
    ) -> IntArray:
        """One sentence of each of `rows`, then of each of `others`, (rows + others, BAG).

        A photo without one borrows the sentence of another that is in neither list.
        """
        strangers = np.setdiff1d(np.flatnonzero(self.captioned), np.concatenate([rows, others]))
        if not len(strangers):
            strangers = np.flatnonzero(self.captioned)
        owners = [
            row if len(self.bags[row]) else random.choice(strangers)
            for row in np.concatenate([rows, others])
        ]
        return np.stack([self.bags[row][random.integers(len(self.bags[row]))] for row in owners])


class Heads(keras.Model):
    """Word head and joint space over an optional encoder, with their losses.

    Takes a dictionary: `photo`, features (N, 2048) or, with an encoder, pixels; `bags` (M, BAG),
    M >= N, sentence n being photo n's and those after N other photos'; `captioned` (N,), 0 where a
    photo has no sentence of its own. The target (N, stems + concepts) is that of `Lessons`.
    """

    def __init__(
        self, lexicon: Lexicon, encoder: keras.Model | None = None, *, word_weight: float = 0.1
    ) -> None:
        super().__init__(name="heads" if encoder is None else "encoder")
        self.encoder = encoder
        self.stems = len(lexicon.stems)
        self.words = head_networks.word_head(FEATURES, self.stems + len(lexicon.concepts))
        self.image = head_networks.joint_image(FEATURES, DIMENSIONS)
        self.text = head_networks.joint_text(len(lexicon.words), BAG, DIMENSIONS)
        self.sharpness = layers.Dense(
            1, use_bias=False, kernel_initializer="ones", name="sharpness"
        )
        self.sharpness.build((None, 1))
        self._word_weight = word_weight

    def expect(self, lessons: Lessons) -> None:
        """Begin at what is usual of each stem and concept: only the differences must be learnt."""
        usual = np.clip(lessons.targets.mean(0, dtype=np.float32), 1e-5, 1 - 1e-5)
        self.words.get_layer("stems").bias.assign(np.log(usual / (1 - usual)))

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Logits of stems (N, stems), and vectors of photos (N, 256) and of sentences (M, 256)."""
        feature = inputs["photo"]
        if self.encoder is not None:
            # Batch normalisation is frozen, and Xception has no dropout.
            feature = self.encoder(feature, training=False)
        return {
            "words": self.words(feature, training=training),
            "image": self.image(feature, training=training),
            "text": self.text(inputs["bags"], training=training),
        }

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Weighted sum of the word head's cross-entropy and InfoNCE in both directions."""
        logits = y_pred["words"]
        target = ops.cast(y, "float32")
        entropy = ops.relu(logits) - logits * target + ops.softplus(-ops.abs(logits))
        captioned = x["captioned"]
        told = ops.sum(captioned) + 1e-6
        word_loss = ops.sum(captioned * ops.sum(entropy[:, : self.stems], axis=-1)) / told
        concept_loss = ops.mean(ops.sum(entropy[:, self.stems :], axis=-1))
        photos = ops.shape(y_pred["image"])[0]
        # A temperature of 1/16 to begin with, learnt as exp(3 w - 0.23) so that Adam moves it well.
        scale = ops.exp(3.0 * self.sharpness.kernel[0, 0] - 0.23)
        cosine = scale * ops.matmul(y_pred["image"], ops.transpose(y_pred["text"]))
        own = ops.arange(photos)
        to_text = keras.losses.sparse_categorical_crossentropy(own, cosine, from_logits=True)
        to_photo = keras.losses.sparse_categorical_crossentropy(
            own, ops.transpose(cosine[:, :photos]), from_logits=True
        )
        contrast = ops.sum(captioned * (to_text + to_photo)) / told
        return self._word_weight * (word_loss + concept_loss) + contrast

    def compile_for(self, rate: float, decay: float = 0.01) -> None:
        """AdamW, gradients clipped; no XLA, which is slower on CPUs."""
        self.compile(
            optimizer=keras.optimizers.AdamW(rate, weight_decay=decay, global_clipnorm=1.0),
            jit_compile=False,
        )


def adopt(to: Heads, source: Heads) -> None:
    """Copy the heads' weights, not the encoder's."""
    for part in ("words", "image", "text", "sharpness"):
        getattr(to, part).set_weights(getattr(source, part).get_weights())


class FeatureBatches:
    """Random photos of stored features, each with one of its sentences: batches for `fit`.

    Parameters
    ----------
    features
        float16 (photos, views, 2048).
    times
        How often each photo is drawn beside the others; once each if not given.
    """

    def __init__(
        self,
        features: HalfArray,
        lessons: Lessons,
        *,
        times: FloatArray | None = None,
        size: int = 512,
        seed: int,
    ) -> None:
        self.features, self.lessons, self.size, self.seed = features, lessons, size, seed
        times = np.ones(len(lessons), np.float32) if times is None else times
        self.chance = times.astype(np.float64) / times.sum(dtype=np.float64)
        self.steps = max(1, round(5 * float(times.sum()) / size))
        """An epoch shows each photo about five times, once a sentence."""

    def __call__(self, epoch: int, step: int) -> tuple[dict[str, Any], FloatArray]:
        """Batch of distinct photos: no sentence of the batch is another photo's own."""
        random = np.random.default_rng([self.seed, epoch, step])
        count = min(self.size, len(self.lessons))
        rows = random.choice(len(self.lessons), count, replace=False, p=self.chance)
        views = random.integers(self.features.shape[1], size=len(rows))
        return (
            {
                "photo": self.features[rows, views].astype(np.float32),
                "bags": self.lessons.sentences(rows, rows[:0], random),
                "captioned": self.lessons.captioned[rows],
            },
            self.lessons.targets[rows].astype(np.float32),
        )


class DevRanks:
    """How well the heads find a dev photo from one of its sentences, among all dev photos."""

    def __init__(self, examples: Sequence[Example], lexicon: Lexicon) -> None:
        captions = [caption for example in examples for caption in example.captions]
        self.owner = np.repeat(np.arange(len(examples)), [len(e.captions) for e in examples])
        self.bags = lexicon.bags(captions)
        column = {name: number for number, name in enumerate(lexicon.stems)}
        self.asked = np.zeros((len(captions), len(lexicon.stems)), np.float32)
        for row, caption in enumerate(captions):
            for word in words(caption):
                if stem(word) in column:
                    self.asked[row, column[stem(word)]] = 1
        self.shares = lexicon.shares(examples).astype(np.float32)

    def __call__(self, heads: Heads, features: FloatArray) -> dict[str, float]:
        """R@1, R@10 and median rank of the joint space; the word head's loss and its R@10; both."""
        images = heads.image.predict(features, batch_size=512, verbose=0)
        texts = heads.text.predict(self.bags, batch_size=4096, verbose=0)
        logits = heads.words.predict(features, batch_size=512, verbose=0)[:, : heads.stems]
        log_p = -np.logaddexp(0, -logits)
        joint = texts @ images.T
        seen = self.asked @ (log_p - log_p.mean(0)).T
        loss = np.logaddexp(0, logits) - logits * self.shares
        ranks = {
            "joint": self._ranks(joint),
            "words": self._ranks(seen),
            "both": self._ranks(0.6 * _standardise(joint) + 0.4 * _standardise(seen)),
        }
        out = {"word_loss": float(loss.sum(1).mean())}
        for name, rank in ranks.items():
            out[f"{name}_r1"] = float((rank < 1).mean() * 100)
            out[f"{name}_r10"] = float((rank < 10).mean() * 100)
        out["both_median"] = float(np.median(ranks["both"]) + 1)
        return out

    def _ranks(self, scores: FloatArray) -> IntArray:
        own = scores[np.arange(len(scores)), self.owner][:, None]
        return (scores > own).sum(1).astype(np.int32)


def _standardise(scores: FloatArray) -> FloatArray:
    """Mean 0 and deviation 1 for each query, float32 (queries, photos)."""
    return (scores - scores.mean(1, keepdims=True)) / (scores.std(1, keepdims=True) + 1e-6)
