"""A loaded bundle: pixels to features, features to captions, keywords and search vectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Self

import numpy as np
from threadpoolctl import ThreadpoolController

from captioner.app_paths import bundle_folder
from captioner.errors import UsageError
from captioner.model import decoders
from captioner.model.bundle import (
    CONCEPTS,
    JOINT,
    LEXICON,
    VOCABULARY,
    WORDS,
    Bundle,
)
from captioner.model.candidates import CandidateGenerator, GenerationConfig
from captioner.model.concepts import Concepts
from captioner.model.decoders.ensemble import combine
from captioner.model.engines import Engine, start_engine
from captioner.model.heads import JointSpace, WordHead
from captioner.model.options import DescribeOptions
from captioner.model.rerank import Candidate, ConfidenceModel
from captioner.model.vocabulary import Vocabulary, sentence, words
from captioner.types import (
    Caption,
    DecodedPhoto,
    Description,
    Features,
    FloatArray,
    PixelArray,
    SearchVectors,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a bundle that describe features: all but the encoder."""

    head: WordHead
    concepts: Concepts
    space: JointSpace
    generator: CandidateGenerator

    @classmethod
    def read(cls, bundle: Bundle, config: GenerationConfig) -> Self:
        """Read them; see `captioner.model.load` for the errors."""
        lexicon = bundle.json(LEXICON)
        head = WordHead(bundle.arrays(WORDS), lexicon["stems"], lexicon["surfaces"])
        concepts = Concepts(bundle.json(CONCEPTS))
        space = JointSpace(bundle.arrays(JOINT), lexicon["words"])
        stepper = combine(
            [
                decoders.get(entry["kind"]).stepper(bundle.arrays(entry["file"]))
                for entry in bundle.manifest["decoders"]
            ]
        )
        vocabulary = Vocabulary(bundle.json(VOCABULARY))
        generator = CandidateGenerator(stepper, vocabulary, head, space, config)
        return cls(head, concepts, space, generator)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A sentence that a model considered for a photo, with the evidence for it."""

    caption: Caption
    cosine: float
    """Of the sentence's and the photo's embeddings in the joint space."""
    mean_word_probability: float
    """Of its words, by the word head."""
    trusted: bool
    """Whether its confidence reaches the threshold."""


class Model:
    """A bundle and an engine: the `captioner.types.Describer` of this package."""

    def __init__(self, bundle: Bundle, parts: Parts, options: DescribeOptions) -> None:
        self.bundle, self._options = bundle, options
        self.model_id, self.encoder_id = bundle.model_id, bundle.encoder_id
        self.size = bundle.size
        self.head, self.concepts, self.space = parts.head, parts.concepts, parts.space
        self.generator = parts.generator
        # The engine keeps every core busy: NumPy's threads would only compete with it.
        self._threads = ThreadpoolController()
        self._confidence = ConfidenceModel.from_manifest(bundle.manifest["confidence"])
        self._threshold = (
            self._confidence.threshold if options.min_confidence is None else options.min_confidence
        )
        self._alternatives, self._keywords = options.alternatives, options.keywords

    @cached_property
    def engine(self) -> Engine:
        """What runs the encoder; started on first use, unless it is given before."""
        return _engine(self.bundle, self._options)

    @property
    def needs_grid(self) -> bool:
        """Whether a decoder reads the feature map; see `captioner.types.Describer`."""
        return self.bundle.needs_grid

    @property
    def batch_size(self) -> int:
        """Photos per batch, at most."""
        return self.engine.batch_size

    def adjusted(self, *, alternatives: int, min_confidence: float | None) -> Model:
        """The same model and engine, which returns more captions or others; see `DescribeOptions`.

        Not to be used at the same time as this one.
        """
        options = replace(self._options, alternatives=alternatives, min_confidence=min_confidence)
        parts = Parts(self.head, self.concepts, self.space, self.generator)
        other = Model(self.bundle, parts, options)
        other.engine = self.engine
        return other

    def loader(self) -> Callable[[], Model]:
        """Loads the same model in another process; see `captioner.types.PortableDescriber`."""
        options = replace(self._options, bundle=self.bundle.folder, photos=None)
        return partial(load, options, start=False)

    @property
    def settings(self) -> str:
        """What descriptions depend on beside the bundle; see `PortableDescriber`."""
        return repr(replace(self._options, bundle=None, batch_size=None, photos=None))

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        """Features of each batch, in order; see `captioner.types.Describer`.

        They have the feature map only if a decoder reads it.
        """
        return self.engine.encode(batches)

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        """Captions, keywords and search vectors; see `captioner.types.Describer`.

        Raises
        ------
        CaptionerError
            If a decoder reads the feature map, and these features have none.
        """
        if features.grid is None:
            self.bundle.check_recaptioning()
        with self._threads.limit(limits=1, user_api="blas"):
            return self._describe(pixels, features)

    def _describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        embeddings = self.space.image(features.pooled)
        hidden = self.head.hidden(features.pooled)
        captions = self._captions_of(features, hidden, embeddings)
        recognised = self.head.keywords(hidden, self._keywords)
        concepts = self.head.concept_probabilities(hidden)
        keywords = self.concepts.keywords(concepts, recognised, self._keywords)
        return [
            Description(
                photo=one.photo,
                width=one.width,
                height=one.height,
                format=one.format,
                content_hash=one.content_hash,
                captions=captions[row],
                keywords=keywords[row],
                feature=features.pooled[row].astype(np.float16),
                vectors=SearchVectors(
                    embeddings[row].astype(np.float16), hidden[row].astype(np.float16)
                ),
                facts=one.facts,
            )
            for row, one in enumerate(pixels)
        ]

    def suggestions(self, features: FloatArray) -> list[list[Suggestion]]:
        """All sentences considered for photos with these features (N, 2048), best first.

        Needs no engine. The best one that is trusted is the caption that `describe` gives, if it is
        among the first few; see `ConfidenceModel.candidates`.

        Raises
        ------
        CaptionerError
            If a decoder reads the feature map, which is not stored.
        """
        self.bundle.check_recaptioning()
        with self._threads.limit(limits=1, user_api="blas"):
            hidden, embeddings = self.head.hidden(features), self.space.image(features)
            found = self._candidates_of(Features(features), hidden, embeddings)
            return [list(map(self._suggestion, _distinct(own + more))) for own, more in found]

    def sentence_vectors(self, sentences: Sequence[str]) -> FloatArray:
        """Sentences in the joint space (N, 256), of unit length; their products are cosines."""
        return self.space.text([tuple(words(one)) for one in sentences])

    def _captions_of(
        self, features: Features, hidden: FloatArray, embeddings: FloatArray
    ) -> list[tuple[Caption, ...]]:
        """Captions of each photo with enough confidence, best first."""
        found = self._candidates_of(features, hidden, embeddings)
        return [self._captions(own) or self._captions(fallback) for own, fallback in found]

    def _candidates_of(
        self, features: Features, hidden: FloatArray, embeddings: FloatArray
    ) -> list[tuple[list[Candidate], list[Candidate]]]:
        """The candidates of each photo, and if none is confident, those in the fallback style."""
        candidates = self.generator.candidates(features, hidden, embeddings)
        found: list[tuple[list[Candidate], list[Candidate]]] = [(some, []) for some in candidates]
        unsure = [row for row, some in enumerate(candidates) if not self._captions(some)]
        if unsure and self.generator.config.fallback_style:
            fallback = self.generator.fallback(features[unsure], hidden[unsure], embeddings[unsure])
            for row, some in zip(unsure, fallback, strict=True):
                found[row] = candidates[row], some
        return found

    def _captions(self, candidates: Sequence[Candidate]) -> tuple[Caption, ...]:
        # Where the best candidate is too uncertain, a simpler one may be certain enough.
        count = max(self._alternatives, self._confidence.candidates)
        captions = map(self._caption, candidates[:count])
        sure = (caption for caption in captions if caption.confidence >= self._threshold)
        return tuple(itertools.islice(sure, self._alternatives))

    def _caption(self, candidate: Candidate) -> Caption:
        return Caption(
            sentence(candidate.words),
            round(self._confidence.confidence(candidate), 4),
            round(candidate.log_probability, 4),
        )

    def _suggestion(self, candidate: Candidate) -> Suggestion:
        caption = self._caption(candidate)
        return Suggestion(
            caption,
            round(candidate.cosine, 4),
            round(candidate.mean_word_probability, 4),
            trusted=caption.confidence >= self._threshold,
        )


def _distinct(candidates: Iterable[Candidate]) -> Iterable[Candidate]:
    """Candidates in their order, of those with the same words only the first."""
    by_words: dict[tuple[str, ...], Candidate] = {}
    for candidate in candidates:
        by_words.setdefault(candidate.words, candidate)
    return by_words.values()


def load(options: DescribeOptions, *, start: bool = True) -> Model:
    """Open a bundle and, with `start`, start an engine for it; see `captioner.model.load`."""
    bundle = Bundle.open(bundle_folder(options.bundle))
    config = GenerationConfig.from_manifest(bundle.manifest["describe"])
    width = config.beam_width if options.beam_width is None else options.beam_width
    if width < 1:
        raise UsageError(f"--beams {width}: the beam width has to be positive.", "Use 1 or more.")
    config = replace(config, beam_width=max(width, options.alternatives))
    if not options.rerank:
        config = config.of_decoder_alone()
    # At the same time: most of an engine's start leaves the interpreter to others.
    with ThreadPoolExecutor(1, "engine") as pool:
        engine = pool.submit(_engine, bundle, options) if start else None
        with ThreadpoolController().limit(limits=1, user_api="blas"):
            model = Model(bundle, Parts.read(bundle, config), options)
        if engine:
            model.engine = engine.result()
    return model


def load_several(options: Sequence[DescribeOptions]) -> list[Model]:
    """Load bundles; those that need the same of one encoder share its engine.

    See `captioner.model.load_several`.
    """
    models: list[Model] = []
    for each in options:
        model = load(each, start=False)
        same = (
            one
            for one in models
            if (one.encoder_id, one.needs_grid) == (model.encoder_id, model.needs_grid)
        )
        model.engine = other.engine if (other := next(same, None)) else model.engine
        models.append(model)
    return models


def _engine(bundle: Bundle, options: DescribeOptions) -> Engine:
    return start_engine(
        bundle,
        options.device,
        options.precision,
        options.batch_size,
        photos=options.photos,
        grid=bundle.needs_grid,
    )
