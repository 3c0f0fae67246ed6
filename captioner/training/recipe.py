"""Training of a whole bundle: the stages of `captioner train` in order, each resumable."""

from __future__ import annotations

from pathlib import Path

from captioner.model import destination
from captioner.model.decoders import needs_grid
from captioner.training.run import Run
from captioner.training.stages.decoders import architectures, train_decoders
from captioner.training.stages.encoder import OpenBundle, prepare_encoder
from captioner.training.stages.heads import train_heads
from captioner.training.stages.parts import BundleParts
from captioner.training.stages.selection import select_captioning, select_search
from captioner.training.stages.targets import training_targets
from captioner.training.stages.vocabulary import build_vocabularies
from captioner.training.stages.writing import Result, write_bundle


def train(run: Run, out: Path, open_bundle: OpenBundle) -> Result:
    """Train all parts and write the bundle.

    Parameters
    ----------
    out
        The bundle's folder: absent or empty, or an earlier bundle if the run is forced.
    open_bundle
        Opens the bundle that the encoder comes from.

    Raises
    ------
    CaptionerError
        If there are too few photos to train on or to measure on, or too few captions.
    """
    destination.check(out, force=run.force)
    run.begin()
    with run.recorded("train", out) as recording:
        result = _train(run, out, open_bundle)
        recording.finish(result.cider)
    return result


def _train(run: Run, out: Path, open_bundle: OpenBundle) -> Result:
    vocabularies = build_vocabularies(run)
    targets = training_targets(run, vocabularies.lexicon)
    encoder = prepare_encoder(run, vocabularies.lexicon, targets, open_bundle)
    kinds = [kind for kind, _ in architectures(run.config.decoders)]
    extractor = encoder.extractor(run, grid=needs_grid(*kinds))
    heads = train_heads(run, vocabularies.lexicon, targets, extractor)
    parts = BundleParts(vocabularies.decoder, heads)
    decoders = train_decoders(run, parts, targets, extractor)
    captioning = select_captioning(run, parts, decoders.decoders, extractor)
    search = select_search(run, captioning.parts, extractor)
    record = encoder.record | decoders.record()
    return write_bundle(run, out, encoder, captioning, search, record)
