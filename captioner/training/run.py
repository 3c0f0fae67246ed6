"""One training run: its data, its configuration, its work folder, and its feature extractor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import CaptionerError
from captioner.model.backend import runtime
from captioner.model.encoders import TrainedEncoder, digest
from captioner.model.engines import CPU_BATCH, Engine
from captioner.model.engines.keras import KerasEngine
from captioner.model.engines.openvino import OpenVINOEngine
from captioner.training import curves, experiment
from captioner.training.config import RunConfig, SelfCriticalConfig, TrainingConfig
from captioner.training.corpora import Corpus, Example
from captioner.training.features import CachedFeatures, extract
from captioner.training.fit import Metrics
from captioner.training.outputs import OPTIONS, check_work
from captioner.training.progress import Progress
from captioner.types import FloatArray, HalfArray

Arrays = dict[str, FloatArray]


@dataclass(frozen=True)
class RunBase:
    """What every training run has: its data, and where and how it works."""

    corpus: Corpus
    """The main data: its train split is learnt from, and all choices are made on its dev split."""
    config: RunConfig
    work: Path
    """Checkpoints and curves: what `--resume` continues from."""
    cache: Path
    """Extracted features, shared by runs."""
    progress: Progress
    command: str = ""
    """As typed, for the record."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All options of the command by name, for the record; empty if there is no command."""
    extra_data: tuple[Corpus, ...] = ()
    """More photos to learn from: all but the dev split of each."""
    extra_style: tuple[Corpus, ...] = ()
    """Yet more, captioned in another style, which the decoders learn as a second one."""
    sentences: tuple[str, ...] = ()
    """Captions without photos, to pre-train the decoders' language side."""
    samples: tuple[Example, ...] = ()
    """One photo per concept, named by the concept's WordNet id."""
    objects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The objects in annotated photos, by the photo's file name."""
    resume: bool = False
    """Continue from the checkpoints in `work`."""
    force: bool = False
    """Replace an earlier bundle, and the checkpoints of an earlier run."""

    @cached_property
    def train(self) -> tuple[Example, ...]:
        """Photos to learn from, those of the main data first."""
        return tuple(photo for _, photos in self._train_parts for photo in photos)

    @property
    def _train_parts(self) -> list[tuple[Corpus, tuple[Example, ...]]]:
        extra = [
            (corpus, tuple(photo for photo in corpus.photos if photo.split != "dev"))
            for corpus in self.corpora[1:]
        ]
        return [(self.corpus, self.corpus.split("train")), *extra]

    @property
    def corpora(self) -> tuple[Corpus, ...]:
        """All data, the main data first."""
        return (self.corpus, *self.extra_data, *self.extra_style)

    @property
    def sample_weights(self) -> FloatArray:
        """float32 (train photos,): how often each photo of `train` counts; by corpus."""
        usual = [1.0, *(self.config.extra_weight for _ in self.corpora[1:])]
        parts = [
            np.full(len(photos), other if corpus.weight is None else corpus.weight, np.float32)
            for (corpus, photos), other in zip(self._train_parts, usual, strict=True)
        ]
        return np.concatenate(parts)

    @property
    def other_style(self) -> frozenset[Path]:
        """Photos whose captions are in another style."""
        return frozenset(photo.path for corpus in self.extra_style for photo in corpus.photos)

    @property
    def dev(self) -> tuple[Example, ...]:
        """Photos of the main data that are held out, to measure and to choose on."""
        return self.corpus.split("dev")

    @property
    def extra_dev(self) -> tuple[Example, ...]:
        """Photos of the extra data that are held out."""
        return tuple(photo for corpus in self.corpora[1:] for photo in corpus.split("dev"))

    @property
    def object_names(self) -> tuple[str, ...]:
        """The objects that are annotated in training photos, sorted."""
        found = (self.objects.get(example.name, frozenset()) for example in self.train)
        return tuple(sorted(set[str]().union(*found)))

    def captions(self) -> list[str]:
        """All captions of the training photos."""
        return [caption for example in self.train for caption in example.captions]

    def report(self, text: str) -> None:
        """Show one line that stays."""
        self.progress.note(text)

    def begin(self) -> None:
        """Create the work folder, or check that the run in it is the one to resume.

        Raises
        ------
        CaptionerError
            If there are too few photos to train on or to measure on, or the folder holds other
            files, or a run that was begun with other options.
        """
        if len(self.train) < 2 or len(self.dev) < 2:
            raise CaptionerError(
                f"{self.corpus.name} has {len(self.train)} photos to train on and {len(self.dev)} "
                "to measure on.",
                "Each split needs at least two: add photos with captions.",
            )
        before = check_work(self.work, resume=self.resume, force=self.force)
        now = {
            "command": self.command,
            "options": self.config.options(),
            "data": {
                "--data": [self.corpus.record()],
                "--extra-data": [corpus.record() for corpus in self.extra_data],
                "--extra-style": [corpus.record() for corpus in self.extra_style],
                "--objects": self._objects_record(),
            },
        }
        if self.resume and before:
            _check_same_run(self.work, before, now)
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            file = self.work / OPTIONS
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(now, indent=2) + "\n", "utf-8")
            partial.replace(file)
        except OSError as error:
            raise CaptionerError(
                f"the checkpoints cannot be stored in {self.work}: {error.strerror or error}.",
                "Free some space, or name another folder with --work.",
            ) from error

    def recorded(self, subcommand: str, out: Path) -> AbstractContextManager[experiment.Recording]:
        """Keep the record of this run in its work folder, whatever ends it.

        Parameters
        ----------
        subcommand
            The command: "train".
        out
            The bundle's folder.
        """
        begun = experiment.begun(
            subcommand,
            out,
            command=self.command,
            seed=self.config.seed,
            options=dict(self.settings) or self.config.options(),
            config=asdict(self.config),
            data={"corpora": [corpus.record() for corpus in self.corpora]},
            devices=[device.name for device in runtime().gpus()],
        )
        return experiment.recorded(self.work, begun, resume=self.resume)

    def _objects_record(self) -> list[dict[str, Any]]:
        if not self.objects:
            return []
        names = {name for objects in self.objects.values() for name in objects}
        return [{"name": f"{len(names)} objects", "photos": {"annotated": len(self.objects)}}]

    def show(self, history: Sequence[Metrics], part: str) -> None:
        """Learning curves of one part: one line per figure, and a PNG in the work folder."""
        for line in curves.lines(history):
            self.report(line)
        curves.draw(history, part, self.work / f"{part}.png")


@dataclass(frozen=True)
class Run(RunBase):
    """A run of `captioner train`."""

    config: TrainingConfig


@dataclass(frozen=True)
class SelfCriticalRun(RunBase):
    """A run of `captioner train-cider`."""

    config: SelfCriticalConfig


def _check_same_run(work: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to resume a run with other options or other data than it was begun with."""
    if "options" not in before:
        raise CaptionerError(
            f"the run in {work} was started by an earlier version of captioner.",
            "Start again with --force, or name another folder with --work.",
        )
    then: dict[str, Any] = before["options"]
    options: dict[str, Any] = now["options"]
    changed = [
        f"{name} was {_typed(then.get(name))}, and is now {_typed(options.get(name))}"
        for name in sorted({*then, *options})
        if then.get(name) != options.get(name)
    ]
    changed += [
        f"{name} was {_data(before['data'].get(name))}, and is now {_data(corpora)}"
        for name, corpora in now["data"].items()
        if (before["data"].get(name) or []) != corpora
    ]
    if changed:
        begun = before.get("command") or "those that it was started with"
        raise CaptionerError(
            f"the run in {work} was started with other options: {'; '.join(changed)}.",
            f"Resume it with the same options ({begun}), or name another folder with --work.",
        )


def _typed(value: object) -> str:
    return (
        "not given" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"
    )


def _data(corpora: Sequence[dict[str, Any]] | None) -> str:
    named = (f"{one['name']} ({sum(one['photos'].values()):,} photos)" for one in corpora or ())
    return ", ".join(named) or "not given"


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """An encoder on the fastest engine, its features cached under a name for its weights."""

    run: RunBase
    engine: Engine
    identity: str
    size: int
    feature_size: int
    grid_shape: tuple[int, int, int] | None = None
    """Of the feature maps; None if it does not compute them."""

    @classmethod
    def of(cls, run: RunBase, trained: TrainedEncoder, *, grid: bool = False) -> FeatureExtractor:
        """Start the encoder: in int8, or if its weights still change on a GPU or in float32.

        Weights that still change are not calibrated.

        Parameters
        ----------
        grid
            Compute the feature map as well.
        """
        identity = digest(trained.weights)
        engine: Engine
        if calibration := trained.calibration:
            engine = OpenVINOEngine(trained, precision="int8", batch_size=CPU_BATCH, grid=grid)
            identity += f" {calibration.weight_bits} {digest(calibration.activation_ranges)}"
        elif gpus := runtime().gpus():
            engine = KerasEngine(trained, devices=gpus, grid=grid)
            identity += f" {runtime().policy}"
        else:
            engine = OpenVINOEngine(trained, precision="float32", batch_size=CPU_BATCH, grid=grid)
        shape = trained.encoder.grid_shape(trained.size) if grid else None
        return cls(run, engine, identity, trained.size, trained.feature_size, shape)

    def features(self, examples: Sequence[Example], views: int = 1) -> HalfArray:
        """Pooled features of photos, float16 (photos, views, feature size)."""
        return self.cached(examples, views).pooled

    def cached(self, examples: Sequence[Example], views: int = 1) -> CachedFeatures:
        """Features of photos, with their maps if the encoder was started with them."""
        return extract(
            [example.path for example in examples],
            self.engine,
            self.identity,
            size=self.size,
            feature_size=self.feature_size,
            grid_shape=self.grid_shape,
            views=views,
            cache=self.run.cache,
            progress=self.run.progress,
        )
