"""A loaded bundle at work: pixels to features, features to captions, keywords and vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

from captioner.errors import UsageError
from captioner.model.bundle import (
    CONCEPTS,
    JOINT,
    LEXICON,
    VOCABULARY,
    WORDS,
    Bundle,
)
from captioner.model.concepts import Concepts
from captioner.model.decoder import MergeDecoder
from captioner.model.engines import Engine, start_engine
from captioner.model.heads import JointSpace, WordHead
from captioner.model.rerank import Candidate, Narrator, Settings, confidence
from captioner.model.vocabulary import Vocabulary, sentence
from captioner.places import bundle_folder
from captioner.types import (
    Caption,
    DecodedPhoto,
    Description,
    FloatArray,
    PixelArray,
    SearchVectors,
)


class Model:
    """A bundle and an engine: the `captioner.types.Describer` of this package."""

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        settings: Settings,
        alternatives: int,
        keywords: int,
        min_confidence: float | None,
    ) -> None:
        lexicon = bundle.json(LEXICON)
        self.bundle, self.engine = bundle, engine
        self.model_id, self.encoder_id = bundle.model_id, bundle.encoder_id
        self.size, self.batch_size = bundle.size, engine.batch_size
        self.head = WordHead(bundle.arrays(WORDS), lexicon["stems"], lexicon["surfaces"])
        self.concepts = Concepts(bundle.json(CONCEPTS))
        self.space = JointSpace(bundle.arrays(JOINT), lexicon["words"])
        decoder = MergeDecoder([bundle.arrays(file) for file in bundle.decoders])
        vocabulary = Vocabulary(bundle.json(VOCABULARY))
        self.narrator = Narrator(decoder, vocabulary, self.head, self.space, settings)
        # The engine keeps every core busy: NumPy's threads would only spin beside it.
        self._threads = ThreadpoolController()
        self._confidence = bundle.manifest["confidence"]
        self._least = (
            self._confidence.get("least", 0.0) if min_confidence is None else min_confidence
        )
        self._alternatives, self._keywords = alternatives, keywords

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[FloatArray]:
        """Features of each batch, in order; see `captioner.types.Describer`."""
        return (features.pooled for features in self.engine.encode(batches))

    def describe(self, pixels: Sequence[DecodedPhoto], features: FloatArray) -> list[Description]:
        """Captions, keywords and search vectors; see `captioner.types.Describer`."""
        with self._threads.limit(limits=1, user_api="blas"):
            return self._describe(pixels, features)

    def _describe(self, pixels: Sequence[DecodedPhoto], features: FloatArray) -> list[Description]:
        places = self.space.image(features)
        hidden = self.head.hidden(features)
        sentences = self.narrator.candidates(features, hidden, places)
        spoken = self.head.keywords(hidden, self._keywords)
        keywords = self.concepts.keywords(self.head.concepts(hidden), spoken, self._keywords)
        return [
            Description(
                photo=one.photo,
                width=one.width,
                height=one.height,
                format=one.format,
                content_hash=one.content_hash,
                captions=self._trusted(sentences[row]),
                keywords=keywords[row],
                feature=features[row].astype(np.float16),
                vectors=SearchVectors(
                    places[row].astype(np.float16), hidden[row].astype(np.float16)
                ),
                facts=one.facts,
            )
            for row, one in enumerate(pixels)
        ]

    def _trusted(self, candidates: Sequence[Candidate]) -> tuple[Caption, ...]:
        captions = map(self._caption, candidates[: self._alternatives])
        return tuple(caption for caption in captions if caption.confidence >= self._least)

    def _caption(self, candidate: Candidate) -> Caption:
        return Caption(
            sentence(candidate.words),
            round(confidence(candidate, self._confidence), 4),
            round(candidate.log_probability, 4),
        )


def load(
    bundle: Path | None,
    *,
    device: str,
    precision: str,
    beams: int | None,
    alternatives: int,
    batch_size: int | None,
    keywords: int,
    min_confidence: float | None,
) -> Model:
    """Open a bundle and start an engine; `captioner.model.load` explains and defaults all of it."""
    opened = Bundle.open(bundle_folder(bundle))
    settings = Settings(**opened.manifest["describe"])
    beams = settings.beams if beams is None else beams
    if beams < 1:
        raise UsageError(
            f"--beams {beams}: at least one sentence has to be kept.", "Use 1 or more."
        )
    settings = replace(settings, beams=max(beams, alternatives))
    engine = start_engine(opened, device, precision, batch_size)
    return Model(opened, engine, settings, alternatives, keywords, min_confidence)
