"""What captions are generated with during training: the parts of a bundle that decoders share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from threadpoolctl import threadpool_limits

from captioner.model import bundle as bundles
from captioner.model.bundle import Bundle
from captioner.model.decoder import MergeDecoder
from captioner.model.rerank import Candidate, Narrator, Settings
from captioner.model.vocabulary import Vocabulary
from captioner.training.run import Arrays
from captioner.training.stages.heads import TrainedHeads
from captioner.types import FloatArray


@dataclass(frozen=True, slots=True)
class BundleParts:
    """The parts of a bundle that captions are generated with, except the decoders."""

    vocabulary: Vocabulary
    heads: TrainedHeads
    settings: Settings = field(default_factory=Settings)
    """Of beam search and reranking."""

    @classmethod
    def of(cls, bundle: Bundle) -> BundleParts:
        """Read the parts of a bundle."""
        return cls(
            Vocabulary(bundle.json(bundles.VOCABULARY)),
            TrainedHeads.of(bundle),
            Settings(**bundle.manifest["describe"]),
        )

    def candidates(
        self, decoders: Sequence[Arrays], features: FloatArray, beam_width: int | None = None
    ) -> list[list[Candidate]]:
        """Candidate captions of photos, best first.

        Parameters
        ----------
        decoders
            Weights of each decoder of the ensemble.
        features
            (N, 2048).
        beam_width
            In place of the settings'.
        """
        head, space = self.heads.word_head, self.heads.joint_space
        settings = replace(self.settings, beams=beam_width or self.settings.beams)
        generator = Narrator(MergeDecoder(decoders), self.vocabulary, head, space, settings)
        # For many small products, waking a second thread costs more than it computes.
        with threadpool_limits(1, user_api="blas"):
            return generator.candidates(features, head.hidden(features), space.image(features))

    def settings_record(self) -> dict[str, Any]:
        """The settings as the manifest's `describe`."""
        return asdict(self.settings)
