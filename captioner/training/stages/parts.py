"""What captions are generated with during training: the parts of a bundle that decoders share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from threadpoolctl import threadpool_limits

from captioner.model import bundle as bundles
from captioner.model.bundle import Bundle
from captioner.model.candidates import CandidateGenerator, GenerationConfig
from captioner.model.decoders import Stepper
from captioner.model.decoders.ensemble import combine
from captioner.model.rerank import Candidate
from captioner.model.vocabulary import Vocabulary
from captioner.training.stages.heads import TrainedHeads
from captioner.types import Features


@dataclass(frozen=True, slots=True)
class BundleParts:
    """The parts of a bundle that captions are generated with, except the decoders."""

    vocabulary: Vocabulary
    heads: TrainedHeads
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    """Of beam search and reranking."""

    @classmethod
    def of(cls, bundle: Bundle) -> BundleParts:
        """Read the parts of a bundle, without its reranker: that is fitted to its decoders."""
        generation = GenerationConfig.from_manifest(bundle.manifest["describe"])
        return cls(
            Vocabulary(bundle.json(bundles.VOCABULARY)),
            TrainedHeads.of(bundle),
            replace(generation, reranker=None, other_style=False, fallback_style=False),
        )

    def candidates(
        self, steppers: Sequence[Stepper], features: Features, beam_width: int | None = None
    ) -> list[list[Candidate]]:
        """Candidate captions of photos, best first.

        Parameters
        ----------
        steppers
            Of each decoder of the ensemble.
        features
            Of N photos, with their maps if a decoder reads them.
        beam_width
            None: what `generation` says.
        """
        head, space = self.heads.word_head, self.heads.joint_space
        config = replace(self.generation, beam_width=beam_width or self.generation.beam_width)
        generator = CandidateGenerator(combine(steppers), self.vocabulary, head, space, config)
        # For many small products, waking a second thread costs more than it computes.
        with threadpool_limits(1, user_api="blas"):
            return generator.candidates(
                features, head.hidden(features.pooled), space.image(features.pooled)
            )
