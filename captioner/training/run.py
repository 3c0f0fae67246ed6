"""One run of training: its data, its options, where it works, and how it looks at photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from captioner.errors import CaptionerError
from captioner.model.encoders import TrainedEncoder
from captioner.model.engines.openvino import OpenVINOEngine
from captioner.training import curves
from captioner.training.corpora import Corpus, Example
from captioner.training.features import digest, extract
from captioner.training.fit import Metrics, Report
from captioner.training.outputs import OPTIONS, check_work
from captioner.types import FloatArray, HalfArray

Arrays = dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Critical:
    """How decoders are trained further on what their own sentences are worth."""

    of: str
    """The model_id of the bundle that they come from."""
    samples: int = 5
    """Sentences drawn for each photo."""
    sharpness: float = 2.0
    """To what power probabilities are taken while drawing: see `captioner.model.beam.sample`.
    Label smoothing leaves every word of the vocabulary a little; their sum spoils a sentence."""
    metric_share: float = 0.7
    """Of the loss; the rest is that of people's captions."""
    nearness: float = 0.0
    """Weight of the cosine of sentence and photo in the joint space, beside CIDEr-D."""
    dropout: float | None = None
    """While learning; that of the decoders' first training if None."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `captioner train` was asked for."""

    encoder: str = "bundled"
    """"imagenet", "bundled", or the path of a bundle or a Keras weights file."""
    teacher: str = "imagenet"
    """What knows the concepts: "imagenet", or the path of a Keras weights file."""
    fine_tune: int = 0
    """Blocks of Xception, counted from the top, to train further; 0 leaves it as it is."""
    fine_tune_epochs: int = 5
    fine_tune_rate: float = 1.5e-4
    fine_tune_size: int = 192
    """Side of the augmented photos, pixels."""
    size: int = 224
    """Side of the square that the finished encoder takes."""
    wider_times: float = 1.0
    """How often a photo of the other corpora counts beside one of the first."""
    head_epochs: int = 12
    preset: str = "base"
    """Sizes of the decoders: a key of `captioner.training.decoders.PRESETS`."""
    decoders: int = 1
    """How many decoders, each with a seed of its own, speak together."""
    decoder_epochs: int = 8
    decoder_rate: float = 2e-3
    seed: int = 1
    resume: bool = False
    critical: Critical | None = None
    """Train the decoders of a bundle further on the metric, and nothing else."""


@dataclass(frozen=True)
class Run:
    """One training run: its data, its options, and the folder it works in."""

    corpus: Corpus
    options: Options
    work: Path
    """Checkpoints and curves: what `--resume` goes on from."""
    cache: Path
    """Extracted features, shared by runs."""
    report: Report
    wider: tuple[Corpus, ...] = ()
    """More photos to learn from: all but the dev split of each."""
    asides: tuple[Corpus, ...] = ()
    """Yet more, captioned in another manner of speech, which decoders are not to take up."""
    sentences: tuple[str, ...] = ()
    """Captions without photos, for the decoders' language."""
    samples: tuple[Example, ...] = ()
    """One photo a concept, each named by its concept."""
    force: bool = False
    """Replace an earlier bundle, and the checkpoints of an earlier run."""

    @cached_property
    def train(self) -> tuple[Example, ...]:
        """Photos to learn from."""
        more = (photo for corpus in self.corpora[1:] for photo in corpus.photos)
        return (*self.corpus.split("train"), *(photo for photo in more if photo.split != "dev"))

    @property
    def corpora(self) -> tuple[Corpus, ...]:
        """All that there is to learn from, the one that is measured on first."""
        return (self.corpus, *self.wider, *self.asides)

    @property
    def times(self) -> FloatArray:
        """How often each of `train` counts."""
        first = len(self.corpus.split("train"))
        times = np.full(len(self.train), self.options.wider_times, np.float32)
        times[:first] = 1
        return times

    @property
    def apart(self) -> frozenset[Path]:
        """Photos captioned in another manner of speech."""
        return frozenset(photo.path for corpus in self.asides for photo in corpus.photos)

    @property
    def dev(self) -> tuple[Example, ...]:
        """Photos to measure on and to choose by."""
        return self.corpus.split("dev")

    @property
    def wider_dev(self) -> tuple[Example, ...]:
        """Photos of the wider corpora that are held out."""
        return tuple(photo for corpus in self.corpora[1:] for photo in corpus.split("dev"))

    def captions(self) -> list[str]:
        """Of the training photos."""
        return [caption for example in self.train for caption in example.captions]

    def begin(self) -> None:
        """Make the folder, or see that it is this run's that is to be resumed.

        Raises
        ------
        CaptionerError
            Where the corpus has no photos to train on or none to measure on, or the folder holds
            other files, or a run with other options.
        """
        if len(self.train) < 2 or len(self.dev) < 2:
            raise CaptionerError(
                f"{self.corpus.name} has {len(self.train)} photos to train on and {len(self.dev)} "
                "to measure on.",
                "Both need two at least: see how the split was made with `captioner evaluate`.",
            )
        before = check_work(self.work, resume=self.options.resume, force=self.force)
        ours = {k: v for k, v in asdict(self.options).items() if k != "resume"}
        ours["data"] = [corpus.record() for corpus in self.corpora]
        if self.options.resume and before:
            # Before 0.2 the data were not recorded.
            before.setdefault("data", ours["data"])
            other = sorted(key for key in ours if ours[key] != before.get(key))
            if other:
                raise CaptionerError(
                    f"the run in {self.work} had other options: {', '.join(other)}.",
                    "Resume with the options that run had, or name another folder with --work.",
                )
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            file = self.work / OPTIONS
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(ours, indent=2) + "\n", "utf-8")
            partial.replace(file)
        except OSError as error:
            raise CaptionerError(
                f"{self.work} cannot hold the checkpoints: {error.strerror or error}.",
                "Make room, or name another folder with --work.",
            ) from error

    def show(self, history: Sequence[Metrics], part: str) -> None:
        """Curves of one part: in the terminal, and as PNG in the run's folder."""
        for line in curves.lines(history):
            self.report(line)
        curves.draw(history, part, self.work / f"{part}.png")


@dataclass(frozen=True, slots=True)
class Eye:
    """An encoder at work, and what names it."""

    run: Run
    engine: OpenVINOEngine
    identity: str
    size: int
    feature_size: int

    @classmethod
    def of(cls, run: Run, trained: TrainedEncoder) -> Eye:
        """In int8 with activation ranges; in float32 without, for weights still changing."""
        ranges = trained.activation_ranges
        precision = "float32" if ranges is None else "int8"
        engine = OpenVINOEngine(trained, precision=precision, batch_size=16)
        identity = digest({**trained.weights, **(ranges or {})})
        return cls(run, engine, identity, trained.size, trained.feature_size)

    def features(self, examples: Sequence[Example], views: int = 1) -> HalfArray:
        """float16 (photos, views, feature size)."""
        return extract(
            [example.path for example in examples],
            self.engine,
            self.identity,
            size=self.size,
            feature_size=self.feature_size,
            views=views,
            cache=self.run.cache,
            report=self.run.report,
        )
