"""From photos with captions to a bundle: `captioner train`, part by part, each resumable.

Encoder → int8 graph → features → word head and joint space → decoders → what is chosen on dev.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from captioner import __version__
from captioner.errors import CaptionerError, UsageError
from captioner.model import bundle as bundles
from captioner.model import networks, openvino
from captioner.model.bundle import Bundle
from captioner.model.decoder import MergeDecoder
from captioner.model.heads import JointSpace, WordHead
from captioner.model.rerank import Narrator, Settings
from captioner.model.vocabulary import Vocabulary, sentence
from captioner.training import tuning
from captioner.training.decoders import PRESETS, SentenceBatches, coverage, fit_decoder
from captioner.training.features import load_square
from captioner.training.finetune import PixelBatches
from captioner.training.fit import Metrics, Plan, fit
from captioner.training.heads import DevRanks, FeatureBatches, Heads, Lessons, Lexicon, adopt
from captioner.training.metrics import cider
from captioner.training.run import Arrays, Eye, Run
from captioner.types import SearchVectors

CALIBRATION = 300
"""Training photos that set the ranges of the int8 graph."""


def starting_encoder(choice: str) -> Arrays:
    """Published weights: Keras' own for "imagenet", else those in a Keras weights file."""
    if choice == "imagenet":
        return networks.encoder_arrays(networks.imagenet_encoder(224))
    if not Path(choice).is_file():
        raise UsageError(
            f"no encoder at {choice}: it is neither a bundle nor a weights file.",
            "Use --encoder imagenet, --encoder bundled, or the path of one.",
        )
    return networks.encoder_arrays(networks.imagenet_encoder(224, weights=choice))


def fit_heads(run: Run, lexicon: Lexicon, lessons: Lessons, eye: Eye, views: int, part: str) -> Heads:
    """Word head and joint space on features of an encoder as it is."""
    options = run.options
    keras.utils.set_random_seed(options.seed)
    heads = Heads(lexicon)
    features = eye.features(lessons.examples, views)
    times = np.ones(len(lessons), np.float32)
    times[: len(run.train)] = run.times
    batches = FeatureBatches(features, lessons, times=times, seed=options.seed)
    dev = eye.features(run.dev)[:, 0].astype(np.float32)
    ranks = DevRanks(run.dev, lexicon)
    plan = Plan(options.head_epochs, batches.steps, 1.5e-3)
    heads.compile_for(plan.learning_rate)
    heads(batches(0, 0)[0])  # builds every variable
    heads.expect(lessons)
    fit(
        heads, batches, plan,
        validate=lambda: ranks(heads, dev), metric="both_r10",
        folder=run.work / part, resume=options.resume, report=run.report,
    )  # fmt: skip
    return heads


def fit_encoder(
    run: Run, lexicon: Lexicon, lessons: Lessons, arrays: Arrays
) -> tuple[Arrays, list[Metrics]]:
    """Train the encoder's last blocks on words, concepts and sentences; its weights and its curve.

    The heads learn first, on the encoder as it is: random heads would only spoil it.
    """
    options = run.options
    eye = Eye.float32(run, arrays, options.fine_tune_size)
    heads = fit_heads(run, lexicon, lessons, eye, 1, "warm-up")
    keras.utils.set_random_seed(options.seed)
    encoder = networks.encoder(options.fine_tune_size)
    networks.set_encoder(encoder, arrays)
    networks.freeze_below(encoder, options.fine_tune)
    whole = Heads(lexicon, encoder)
    batches = PixelBatches(lessons, photo_size=options.fine_tune_size, seed=options.seed)
    plan = Plan(options.fine_tune_epochs, batches.steps, options.fine_tune_rate)
    whole.compile_for(plan.learning_rate)
    whole(batches(0, 0)[0])  # builds every variable
    adopt(whole, heads)
    ranks = DevRanks(run.dev, lexicon)
    wider = DevRanks(run.wider_dev, lexicon) if run.wider_dev else None

    def validate() -> Metrics:
        eye = Eye.float32(run, networks.encoder_arrays(encoder), options.size)
        measured = ranks(whole, eye.features(run.dev)[:, 0].astype(np.float32))
        if wider:
            found = wider(whole, eye.features(run.wider_dev)[:, 0].astype(np.float32))
            measured |= {f"wider_{name}": value for name, value in found.items()}
        return measured

    history = fit(
        whole, batches, plan,
        validate=validate, metric="both_r10",
        folder=run.work / "encoder", resume=options.resume, report=run.report,
    )  # fmt: skip
    run.show(history, "encoder")
    return networks.encoder_arrays(encoder), history


def quantised(run: Run, arrays: Arrays) -> Path:
    """The encoder as int8 graph in the run's folder; its `.xml`."""
    file = run.work / bundles.GRAPH
    if run.options.resume and file.is_file():
        return file
    run.report(f"quantising the encoder on {CALIBRATION} training photos")
    random = np.random.default_rng(run.options.seed)
    chosen = random.permutation(len(run.train))[:CALIBRATION]
    photos = [load_square(run.train[row].path, run.options.size) for row in chosen]
    openvino.save(openvino.quantise(openvino.build(arrays, run.options.size), photos), file)
    return file


@dataclass(slots=True)
class Made:
    """The parts of a bundle as they come to be."""

    vocabulary: Vocabulary
    lexicon: Lexicon
    encoder: Arrays
    graph: Path
    words: Arrays = field(default_factory=dict)
    joint: Arrays = field(default_factory=dict)
    decoders: list[Arrays] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def head(self) -> WordHead:
        """The word head in NumPy."""
        return WordHead(self.words, self.lexicon.stems, self.lexicon.surfaces)

    @property
    def space(self) -> JointSpace:
        """The joint space in NumPy."""
        return JointSpace(self.joint, self.lexicon.words)

    def narrator(self, decoders: Sequence[Arrays]) -> Narrator:
        """What says sentences with these decoders."""
        decoder = MergeDecoder(decoders)
        return Narrator(decoder, self.vocabulary, self.head, self.space, self.settings)


def train(run: Run, out: Path, bundled: Callable[[Path | None], Bundle], command: str) -> Bundle:
    """Train all parts and write the bundle.

    Parameters
    ----------
    out
        The bundle's folder; replaced as a whole at the very end.
    bundled
        Opens a bundle; the one that ships for None.
    command
        As typed, for the record.

    Raises
    ------
    CaptionerError
        Where the corpus has no photos to train on or none to measure on.
    """
    options = run.options
    if len(run.train) < 2 or len(run.dev) < 2:
        raise CaptionerError(
            f"{run.corpus.name} has {len(run.train)} photos to train on and {len(run.dev)} to "
            "measure on.",
            "Both need two at least: see how the split was made with `captioner evaluate`.",
        )
    run.begin()
    captions = run.captions()
    vocabulary, lexicon = Vocabulary.from_captions(captions), Lexicon.from_captions(captions)
    if not lexicon.stems:
        raise CaptionerError(
            f"{run.corpus.name} has too few captions: no word stands in them eight times.",
            "Add photos with captions; a few hundred are a beginning.",
        )
    run.report(
        f"{len(run.train):,} photos to train on, {len(run.dev):,} to measure on; "
        f"{len(vocabulary):,} words, {100 * coverage(vocabulary, captions):.1f} % of all spoken"
    )
    made = _see(run, vocabulary, lexicon, bundled)
    identity = bundles.checksum(made.graph.with_suffix(".bin"))
    engine = openvino.OpenVINOEngine(openvino.read(made.graph), precision="int8", batch_size=16)
    eye = Eye(run, engine, identity, options.size)
    heads = fit_heads(run, lexicon, eye, 2, "heads")
    made.words = networks.word_head_arrays(heads.words)
    usual = np.log(np.maximum(lexicon.shares(run.train).mean(0, dtype=np.float32), 1e-4))
    made.words["stems.usual"] = usual
    made.joint = networks.joint_arrays(heads.image, heads.text)
    _speak(run, made, eye)
    manifest = _choose(run, made, eye)
    manifest["training"] = {
        "command": command,
        "options": asdict(options),
        "data": run.corpus.record(),
        "versions": {
            "captioner": __version__,
            **{name: version(name) for name in ("keras", "openvino", "numpy")},
            keras.backend.backend(): version(keras.backend.backend()),
        },
        "python": platform.python_version(),
        **made.record,
    }
    return bundles.write(
        out,
        manifest,
        arrays={
            bundles.ENCODER: made.encoder,
            bundles.WORDS: made.words,
            bundles.JOINT: made.joint,
            **{bundles.decoder_file(n): d for n, d in enumerate(made.decoders, 1)},
        },
        texts={
            bundles.VOCABULARY: made.vocabulary.tokens,
            bundles.LEXICON: asdict(made.lexicon),
        },
        files={
            bundles.GRAPH: made.graph,
            bundles.GRAPH_WEIGHTS: made.graph.with_suffix(".bin"),
        },
    )


def _see(
    run: Run,
    vocabulary: Vocabulary,
    lexicon: Lexicon,
    bundled: Callable[[Path | None], Bundle],
) -> Made:
    """Encoder and graph, from a bundle as they are, or made."""
    options = run.options
    source = None
    if options.encoder == "bundled" or Path(options.encoder).is_dir():
        source = bundled(None if options.encoder == "bundled" else Path(options.encoder))
        arrays = source.arrays(bundles.ENCODER)
        if not options.fine_tune and source.size == options.size:
            source.path(bundles.GRAPH_WEIGHTS)
            record: dict[str, Any] = {"encoder": source.manifest["training"]}
            return Made(vocabulary, lexicon, arrays, source.path(bundles.GRAPH), record=record)
    else:
        arrays = starting_encoder(options.encoder)
    record = {}
    if options.fine_tune:
        arrays, record["encoder"] = fit_encoder(run, lexicon, arrays)
    return Made(vocabulary, lexicon, arrays, quantised(run, arrays), record=record)


def _speak(run: Run, made: Made, eye: Eye) -> None:
    """Train the decoders."""
    options = run.options
    sizes = PRESETS[options.preset]
    features, dev = eye.features(run.train, 2), eye.features(run.dev)
    seen = dev[:, 0].astype(np.float32)
    hidden, places = made.head.hidden(seen), made.space.image(seen)
    references = {example.name: example.captions for example in run.dev}
    dev_batches = SentenceBatches(dev, run.dev, made.vocabulary, seed=0)
    quick = replace(made.settings, beams=8)
    for number in range(1, options.decoders + 1):
        seed = options.seed + number - 1

        def measure(arrays: Arrays) -> Metrics:
            narrator = made.narrator([arrays])
            narrator.settings = quick
            found = narrator.candidates(seen, hidden, places)
            said = {e.name: sentence(f[0].words) for e, f in zip(run.dev, found, strict=True)}
            return {"cider": cider(said, references)}

        batches = SentenceBatches(features, run.train, made.vocabulary, seed=seed)
        arrays, history = fit_decoder(
            batches, made.vocabulary, sizes,
            Plan(options.decoder_epochs, batches.steps, options.decoder_rate),
            dev=dev_batches, measure=measure, seed=seed,
            folder=run.work / f"decoder-{number}", resume=options.resume, report=run.report,
        )  # fmt: skip
        run.show(history, f"decoder-{number}")
        made.decoders.append(arrays)
        made.record[f"decoder-{number}"] = {"seed": seed, "history": history}


def _choose(run: Run, made: Made, eye: Eye) -> dict[str, Any]:
    """What is chosen on dev, as the manifest's parts."""
    options = run.options
    seen = eye.features(run.dev)[:, 0].astype(np.float32)
    places, hidden = made.space.image(seen), made.head.hidden(seen)
    found = made.narrator(made.decoders).candidates(seen, hidden, places)
    chosen, weights = tuning.choose_rerank(found, run.dev)
    made.settings = replace(made.settings, joint=chosen["joint"], support=chosen["support"])
    best = tuning.best(found, **chosen)
    said = made.space.text([candidate.words for candidate in best])
    others = np.roll(np.arange(len(best)), len(best) // 2)
    confidence = tuning.calibrate(
        np.einsum("nd,nd->n", places, said), np.einsum("nd,nd->n", places, said[others])
    )
    vectors = SearchVectors(places.astype(np.float16), hidden.astype(np.float16))
    search, shares = tuning.choose_search(
        made.head, made.space, vectors, run.dev, seed=options.seed
    )
    run.report(f"choice among candidates {chosen}: CIDEr {weights}")
    run.report(f"search {search}: {shares}")
    made.record["chosen on dev"] = {"rerank": weights, "search": shares}
    return {
        "input": {
            "size": options.size,
            "resize": "the whole photo squashed to a square, Pillow bicubic with antialiasing",
        },
        "encoder": {"kind": "xception", "output": "log(1 + average pooled), 2048"},
        "decoders": [
            {"kind": "merge", "file": bundles.decoder_file(n), **asdict(PRESETS[options.preset])}
            for n in range(1, len(made.decoders) + 1)
        ],
        "describe": asdict(made.settings),
        "confidence": confidence,
        "search": search,
    }
