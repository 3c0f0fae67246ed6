"""Training of the word head and the joint space, together, on features or through the encoder.

*Word head*: multi-label classification. The soft label of a word stem is the share of the photo's
captions that use it; concepts have the probabilities of a teacher (distillation).
*Joint space*: photos and captions as unit vectors, trained with InfoNCE (van den Oord et al. 2018)
in both directions, as in CLIP: a photo is closer to its own caption than to those of other photos.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from captioner.fusion import standardise
from captioner.model import head_networks
from captioner.model.backend import keras, layers, ops, runtime
from captioner.model.vocabulary import stem, words
from captioner.training.corpora import Example
from captioner.training.feature_files import release
from captioner.types import FloatArray, HalfArray

IntArray = npt.NDArray[np.int32]
BAG_SIZE = 24
"""Words of a caption that the joint space uses; further words are ignored."""
DIMENSIONS = 256
"""Of the joint space."""
# Never keywords, and no labels of the word head.
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
    """Vocabularies of the heads: stems for the word head, words for the joint space.

    Both come from training captions alone.
    """

    stems: tuple[str, ...]
    display_words: tuple[str, ...]
    """For each stem its most frequent word: what a keyword shows."""
    words: tuple[str, ...]
    """Word 0 is padding."""
    concepts: tuple[str, ...] = ()
    """WordNet ids of the ImageNet classes in the columns after the stems."""
    objects: tuple[str, ...] = ()
    """Names of the annotated objects in the columns after the concepts."""

    @classmethod
    def from_captions(
        cls, captions: Sequence[str], concepts: Sequence[str] = (), objects: Sequence[str] = ()
    ) -> Lexicon:
        """Keep stems used eight times or more, words used twice or more, most frequent first."""
        counts = Counter(word for caption in captions for word in words(caption))
        forms: dict[str, Counter[str]] = {}
        for word, count in counts.items():
            # Porter stems "is" to "i": a stem that a stop word shares is no label either.
            if stem(word) not in STOP_STEMS and not word.isdigit():
                forms.setdefault(stem(word), Counter())[word] += count
        frequent = sorted(
            (-group.total(), name) for name, group in forms.items() if group.total() >= 8
        )
        known = sorted((-count, word) for word, count in counts.items() if count >= 2)
        return cls(
            tuple(name for _, name in frequent),
            tuple(forms[name].most_common(1)[0][0] for _, name in frequent),
            ("", *(word for _, word in known)),
            tuple(concepts),
            tuple(objects),
        )

    @classmethod
    def of(cls, record: Mapping[str, Sequence[str]]) -> Lexicon:
        """Read the content of a bundle's `lexicon.json`."""
        return cls(
            tuple(record["stems"]),
            tuple(record["surfaces"]),
            tuple(record["words"]),
            tuple(record.get("concepts", ())),
            tuple(record.get("objects", ())),
        )

    def record(self) -> dict[str, tuple[str, ...]]:
        """Return the content of a bundle's `lexicon.json`."""
        return {
            "stems": self.stems,
            "surfaces": self.display_words,
            "words": self.words,
            "concepts": self.concepts,
            "objects": self.objects,
        }

    @property
    def columns(self) -> int:
        """Outputs of the word head: stems, then concepts, then objects."""
        return len(self.stems) + len(self.concepts) + len(self.objects)

    def stem_shares(self, examples: Sequence[Example]) -> HalfArray:
        """Share of each photo's captions that use each stem, 0 to 1, float16 (photos, stems)."""
        column = {name: number for number, name in enumerate(self.stems)}
        # Half as much memory as one array in float32, converted at the end.
        out = np.zeros((len(examples), len(self.stems)), np.float16)
        for row, example in enumerate(examples):
            shares = np.zeros(len(self.stems), np.float32)
            for caption in example.captions:
                for name in {stem(word) for word in words(caption)} & column.keys():
                    shares[column[name]] += 1 / len(example.captions)
            out[row] = shares
        return out

    def bags(self, captions: Sequence[str]) -> IntArray:
        """Bags of words: word numbers of each caption, int32 (captions, BAG_SIZE), 0-padded."""
        ids = {word: number for number, word in enumerate(self.words)}
        out = np.zeros((len(captions), BAG_SIZE), np.int32)
        for row, caption in enumerate(captions):
            found = [ids[word] for word in words(caption) if word in ids][:BAG_SIZE]
            out[row, : len(found)] = found
        return out


@dataclass(frozen=True, slots=True)
class TrainingTargets:
    """What the heads learn from each photo: soft labels, and its captions as bags of words."""

    examples: tuple[Example, ...]
    labels: HalfArray
    """float16 (photos, stems + concepts + objects), 0 to 1: the share of the photo's captions that
    use each stem, zeros if it has none; the teacher's probability of each concept; 1 for each
    object in an annotated photo."""
    captioned: FloatArray
    """(photos,): 1 for photos with captions, 0 for those without."""
    annotated: FloatArray
    """(photos,): 1 for photos whose objects are known, 0 for others."""
    bags: tuple[IntArray, ...]
    """For each photo its captions, int32 (captions, BAG_SIZE)."""

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        lexicon: Lexicon,
        concepts: HalfArray | None = None,
        objects: Mapping[str, Container[str]] | None = None,
    ) -> TrainingTargets:
        """Make the targets of photos with captions or, to learn concepts alone, without.

        Parameters
        ----------
        concepts
            (photos, concepts): the teacher's probability of each of the lexicon's concepts.
        objects
            The objects in each annotated photo, by its name.
        """
        objects = objects or {}
        marked = [
            [name in objects.get(example.name, ()) for name in lexicon.objects]
            for example in examples
        ]
        parts = [
            lexicon.stem_shares(examples),
            *([] if concepts is None else [concepts]),
            np.array(marked, np.float16).reshape(len(examples), len(lexicon.objects)),
        ]
        return cls(
            tuple(examples),
            np.concatenate(parts, axis=1) if concepts is not None or lexicon.objects else parts[0],
            np.array([bool(example.captions) for example in examples], np.float32),
            np.array([example.name in objects for example in examples], np.float32),
            tuple(lexicon.bags(example.captions) for example in examples),
        )

    def __len__(self) -> int:
        return len(self.examples)

    def sentences(
        self, rows: npt.NDArray[np.intp], others: npt.NDArray[np.intp], random: np.random.Generator
    ) -> IntArray:
        """Sample one caption of each of `rows`, then of each of `others`, as bags of words.

        A photo without captions gets one of a photo that is in neither list.

        Returns
        -------
        int32 (rows + others, BAG_SIZE).
        """
        outside = np.setdiff1d(np.flatnonzero(self.captioned), np.concatenate([rows, others]))
        if not len(outside):
            outside = np.flatnonzero(self.captioned)
        owners = [
            row if len(self.bags[row]) else random.choice(outside)
            for row in np.concatenate([rows, others])
        ]
        return np.stack([self.bags[row][random.integers(len(self.bags[row]))] for row in owners])


class Heads(keras.Model):
    """Word head and joint space over an optional encoder, with their losses.

    Takes a dictionary: `photo`, features (N, D) or, with an encoder, pixels; `bags`
    (M, BAG_SIZE), M >= N, where caption n belongs to photo n and those after N to other photos;
    `captioned` (N,), 0 for photos without a caption of their own; `annotated` (N,), 0 for photos
    whose objects are not known. The target (N, columns) are the labels of `TrainingTargets`.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        feature_size: int,
        encoder: keras.Model | None = None,
        *,
        word_weight: float = 0.1,
    ) -> None:
        super().__init__(name="heads" if encoder is None else "encoder")
        self.encoder = encoder
        self.stems = len(lexicon.stems)
        self.objects = len(lexicon.objects)
        self.words = head_networks.word_head(feature_size, lexicon.columns)
        self.image = head_networks.joint_image(feature_size, DIMENSIONS)
        self.text = head_networks.joint_text(len(lexicon.words), BAG_SIZE, DIMENSIONS)
        self.logit_scale = layers.Dense(
            1, use_bias=False, kernel_initializer="ones", name="logit_scale"
        )
        self.logit_scale.build((None, 1))
        self._word_weight = word_weight

    def start_from_prior(self, targets: TrainingTargets) -> None:
        """Initialise the word head's biases with the log-odds of each label's mean."""
        prior = targets.labels.mean(0, dtype=np.float32)
        if self.objects:
            known = targets.labels[targets.annotated > 0, -self.objects :]
            prior[-self.objects :] = known.mean(0, dtype=np.float32) if len(known) else 0
        prior = np.clip(prior, 1e-5, 1 - 1e-5)
        self.words.get_layer("stems").bias.assign(np.log(prior / (1 - prior)))

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Logits (N, columns), and embeddings of photos (N, 256) and captions (M, 256)."""
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
        # PyTorch's trainer of Keras passes arrays of NumPy on as they are.
        captioned = ops.convert_to_tensor(x["captioned"])
        count = ops.sum(captioned) + 1e-6
        word_loss = ops.sum(captioned * ops.sum(entropy[:, : self.stems], axis=-1)) / count
        concepts = entropy[:, self.stems : entropy.shape[1] - self.objects]
        concept_loss = ops.mean(ops.sum(concepts, axis=-1))
        if self.objects:
            annotated = ops.convert_to_tensor(x["annotated"])
            known = ops.sum(annotated * ops.sum(entropy[:, -self.objects :], axis=-1))
            concept_loss += known / (ops.sum(annotated) + 1e-6)
        photos = ops.shape(y_pred["image"])[0]
        # The inverse temperature begins at 16, and is learnt as exp(3 w - 0.23): a scale at which
        # Adam moves it well.
        scale = ops.exp(3.0 * self.logit_scale.kernel[0, 0] - 0.23)
        cosine = scale * ops.matmul(y_pred["image"], ops.transpose(y_pred["text"]))
        own = ops.arange(photos)
        to_text = keras.losses.sparse_categorical_crossentropy(own, cosine, from_logits=True)
        to_photo = keras.losses.sparse_categorical_crossentropy(
            own, ops.transpose(cosine[:, :photos]), from_logits=True
        )
        contrast = ops.sum(captioned * (to_text + to_photo)) / count
        return self._word_weight * (word_loss + concept_loss) + contrast

    def compile_for(self, rate: float, decay: float = 0.01) -> None:
        """AdamW, gradients clipped; compiled where that pays."""
        self.compile(
            optimizer=keras.optimizers.AdamW(rate, weight_decay=decay, global_clipnorm=1.0),
            jit_compile=runtime().jit_compile(fuses=self.encoder is not None),
        )


def copy_heads(to: Heads, source: Heads) -> None:
    """Copy the heads' weights, not the encoder's."""
    for part in ("words", "image", "text", "logit_scale"):
        getattr(to, part).set_weights(getattr(source, part).get_weights())


class FeatureBatches:
    """Random photos with extracted features, each with one of its captions: batches for `fit`.

    Parameters
    ----------
    features
        float16 (photos, views, D).
    sample_weights
        float32 (photos,): relative probability of sampling each photo; all the same if None.
    """

    def __init__(
        self,
        features: HalfArray,
        targets: TrainingTargets,
        *,
        sample_weights: FloatArray | None = None,
        size: int = 512,
        seed: int,
    ) -> None:
        self.features, self.targets, self.size, self.seed = features, targets, size, seed
        sample_weights = (
            np.ones(len(targets), np.float32) if sample_weights is None else sample_weights
        )
        self.chance = sample_weights.astype(np.float64) / sample_weights.sum(dtype=np.float64)
        self.steps = max(1, round(5 * float(sample_weights.sum()) / size))
        """An epoch samples each photo about five times, as often as it has captions."""

    def __call__(self, epoch: int, step: int) -> tuple[dict[str, Any], FloatArray]:
        """A batch of distinct photos, so that no caption in it belongs to two of them."""
        random = np.random.default_rng([self.seed, epoch, step])
        count = min(self.size, len(self.targets))
        rows = random.choice(len(self.targets), count, replace=False, p=self.chance)
        views = random.integers(self.features.shape[1], size=len(rows))
        photo = self.features[rows, views].astype(np.float32)
        release(self.features)
        return (
            {
                "photo": photo,
                "bags": self.targets.sentences(rows, rows[:0], random),
                "captioned": self.targets.captioned[rows],
                "annotated": self.targets.annotated[rows],
            },
            self.targets.labels[rows].astype(np.float32),
        )


class DevRanks:
    """Retrieval on dev: how well the heads find a photo by one of its captions, among all."""

    def __init__(self, examples: Sequence[Example], lexicon: Lexicon) -> None:
        captions = [caption for example in examples for caption in example.captions]
        self.owner = np.repeat(np.arange(len(examples)), [len(e.captions) for e in examples])
        self.bags = lexicon.bags(captions)
        column = {name: number for number, name in enumerate(lexicon.stems)}
        self.query_stems = np.zeros((len(captions), len(lexicon.stems)), np.float32)
        for row, caption in enumerate(captions):
            for word in words(caption):
                if stem(word) in column:
                    self.query_stems[row, column[stem(word)]] = 1
        self.shares = lexicon.stem_shares(examples).astype(np.float32)

    def __call__(self, heads: Heads, features: FloatArray) -> dict[str, float]:
        """R@1 and R@10 of both heads and of their fusion, its median rank, and the word loss."""
        images = heads.image.predict(features, batch_size=512, verbose=0)
        texts = heads.text.predict(self.bags, batch_size=4096, verbose=0)
        logits = heads.words.predict(features, batch_size=512, verbose=0)[:, : heads.stems]
        log_p = -np.logaddexp(0, -logits)
        joint = texts @ images.T
        stem_scores = self.query_stems @ (log_p - log_p.mean(0)).T
        loss = np.logaddexp(0, logits) - logits * self.shares
        ranks = {
            "joint": self._ranks(joint),
            "words": self._ranks(stem_scores),
            "both": self._ranks(0.6 * standardise(joint) + 0.4 * standardise(stem_scores)),
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
