"""Stage 7: the bundle, with the record of how it was made."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from captioner import __version__
from captioner.model import bundle as bundles
from captioner.model.backend import keras
from captioner.model.bundle import Bundle
from captioner.training.run import Arrays, Run, SelfCriticalRun
from captioner.training.stages.encoder import PreparedEncoder
from captioner.training.stages.selection import CaptionSelection, SearchSelection
from captioner.training.wordnet import LICENCE


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: the bundle, and what a person wants to know of it."""

    bundle: Bundle
    cider: float
    """CIDEr × 100 of its captions on the dev split."""
    captioned_share: float
    """Share of the dev photos whose caption reaches the confidence threshold, 0 to 1."""

    @classmethod
    def of(cls, bundle: Bundle, selection: CaptionSelection) -> Result:
        """Describe a bundle by what was chosen for it."""
        return cls(bundle, selection.cider, selection.confidence.captioned_dev_share)


def write_bundle(
    run: Run,
    out: Path,
    encoder: PreparedEncoder,
    captioning: CaptionSelection,
    search: SearchSelection,
    record: dict[str, Any],
) -> Result:
    """Write a bundle whose parts were all made by this run.

    Parameters
    ----------
    out
        Absent or empty, or an earlier bundle if the run is forced.
    record
        Of the stages, for the training record.
    """
    parts = captioning.parts
    chosen = captioning.record["chosen on dev"] | {"search": search.figures}
    manifest = {
        "input": {
            "size": encoder.trained.size,
            "resize": "the whole photo squashed to a square, Pillow bicubic with antialiasing",
        },
        "encoder": dict(encoder.trained.manifest),
        **_captioning(captioning),
        "search": search.settings,
        "training": {
            "command": run.command,
            "options": asdict(run.config),
            "data": [corpus.record() for corpus in run.corpora],
            "sentences without photos": len(run.sentences),
            "concepts": len(run.samples),
            "annotated photos": sum(example.name in run.objects for example in run.train),
            "versions": {
                "captioner": __version__,
                **{name: version(name) for name in ("keras", "openvino", "numpy")},
                keras.backend.backend(): version(keras.backend.backend()),
            },
            "python": platform.python_version(),
            **record,
            **captioning.record,
            "chosen on dev": chosen,
        },
    }
    bundle = bundles.write(
        out,
        manifest,
        arrays={
            **encoder.trained.arrays,
            bundles.WORDS: parts.heads.words,
            bundles.JOINT: parts.heads.joint,
            **_decoder_files(captioning),
        },
        texts={
            **encoder.trained.texts,
            bundles.VOCABULARY: parts.vocabulary.tokens,
            bundles.LEXICON: parts.heads.lexicon.record(),
            bundles.CONCEPTS: parts.heads.concept_table,
            bundles.CONCEPTS_LICENCE: LICENCE.read_text("utf-8"),
        },
        force=run.force,
    )
    return Result.of(bundle, captioning)


def write_with_new_decoders(
    run: SelfCriticalRun,
    out: Path,
    source: Bundle,
    captioning: CaptionSelection,
    record: dict[str, Any],
) -> Result:
    """Write a bundle with the decoders of this run and everything else of another bundle.

    Parameters
    ----------
    out, record
        As for `write_bundle`.
    """
    before = source.manifest["training"]
    times = sum(key.split(",")[0] == "self-critical" for key in before)
    key = f"self-critical, {times + 1}" if times else "self-critical"
    own = {
        "command": run.command,
        "options": asdict(run.config),
        "data": [corpus.record() for corpus in run.corpora],
        **record,
        **captioning.record,
    }
    bundle = bundles.write(
        out,
        {**source.manifest, **_captioning(captioning), "training": {**before, key: own}},
        arrays=_decoder_files(captioning),
        texts={},
        copies=[
            source.path(name) for name in source.manifest["files"] if name not in source.decoders
        ],
        force=run.force,
    )
    return Result.of(bundle, captioning)


def _decoder_files(captioning: CaptionSelection) -> dict[str, Arrays]:
    numbered = enumerate(captioning.decoders, 1)
    return {bundles.decoder_file(number): decoder.arrays for number, decoder in numbered}


def _captioning(captioning: CaptionSelection) -> dict[str, Any]:
    return {
        "decoders": [
            {"kind": decoder.kind, "file": file, **asdict(decoder.sizes)}
            for file, decoder in zip(_decoder_files(captioning), captioning.decoders, strict=True)
        ],
        "describe": captioning.parts.generation.manifest(),
        "confidence": captioning.confidence.model.manifest(),
    }
