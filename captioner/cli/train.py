"""`captioner train`: trains a model on your own photos with captions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from captioner.cli import options as shared
from captioner.cli import training
from captioner.errors import UsageError
from captioner.training.config import (
    DecoderConfig,
    EncoderConfig,
    EncoderName,
    HeadConfig,
    PresetName,
    TrainingConfig,
)

if TYPE_CHECKING:
    from captioner.training.corpora import Example

_DEFAULT = TrainingConfig()


class TrainCommand(training.TrainingCommand):
    """`captioner train`, which refers users of `--self-critical` to `captioner train-cider`."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse the options of `captioner train-cider`."""
        names = {word.partition("=")[0] for word in args}
        if "--self-critical" in names:
            raise UsageError(
                "--self-critical is now a separate command.",
                f"Run: {_as_train_cider(args)}",
            )
        if wrong := sorted(names & _OF_TRAIN_CIDER):
            raise UsageError(
                f"{wrong[0]} is an option of `captioner train-cider`, not of `captioner train`.",
                "See captioner train-cider --help. To start from the encoder of a bundle, use "
                "--encoder BUNDLE.",
            )
        return super().parse_args(ctx, args)


COMMAND = TrainCommand
_OF_TRAIN_CIDER = frozenset(
    "--from --samples --sharpness --inverse-temperature --metric-share --rl-weight --nearness "
    "--similarity-reward --dropout".split()
)


def _as_train_cider(args: Sequence[str]) -> str:
    """The command line of `captioner train --self-critical`, as it is typed today."""
    import shlex

    from captioner.cli.train_cider import COMMAND as TRAIN_CIDER

    words = [training.renamed(word, TRAIN_CIDER.earlier) for word in args]
    words = [word for word in words if word != "--self-critical"]
    bundle: list[str] = []
    for at, word in enumerate(words):
        if word == "--from":
            bundle = words[at + 1 : at + 2]
            del words[at : at + 2]
            break
        if word.startswith("--from="):
            bundle = [words.pop(at).partition("=")[2]]
            break
    return shlex.join(["captioner", "train-cider", *bundle, *words])


def train(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Write the finished bundle to this folder.")
    ] = Path("captioner-model"),
    data: training.Data = None,
    download: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Download a data set from the Hugging Face hub into this folder, and train on it.",
        ),
    ] = None,
    download_corpus: Annotated[
        Literal["flickr8k", "flickr30k", "coco"] | None,
        typer.Option(
            metavar="NAME",
            help="Data set to download: flickr8k (1.1 GB), flickr30k (4.4 GB) or coco (20 GB). "
            "[default: flickr8k]",
        ),
    ] = None,
    language: shared.Language = None,
    columns: shared.Columns = None,
    extra_data: training.ExtraData = None,
    extra_style: training.ExtraStyle = None,
    extra_weight: training.ExtraWeight = None,
    sentences: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Captions without photos, one per line: the decoders are pre-trained on them.",
        ),
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="One photo per ImageNet class, named by its WordNet id "
            "(n02691156_airliner.jpg): keywords and search for things that captions never name.",
        ),
    ] = None,
    objects: shared.Objects = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Encoder that the concepts are distilled from: imagenet (downloaded by Keras), or "
            f"a Keras weights file of Xception without its top. [default: {_DEFAULT.teacher}]",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Encoder to start from: imagenet (downloaded by Keras), bundled (from the bundle "
            "that ships with captioner), a bundle's folder, or a Keras weights file of Xception "
            "without its top. [default: bundled; imagenet if --encoder-kind or --preset says "
            "another than Xception]",
        ),
    ] = None,
    encoder_kind: Annotated[
        EncoderName | None,
        typer.Option(
            metavar="NAME",
            help="Architecture of an encoder that does not come from a bundle: "
            f"{', '.join(get_args(EncoderName))}. [default: the preset's]",
        ),
    ] = None,
    encoder_weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Published weights of the encoder, instead of downloading them: a Keras weights "
            "file of Xception or ResNet50 without its top, or of VGG16 with it.",
        ),
    ] = None,
    fine_tune: Annotated[
        int,
        typer.Option(
            min=0,
            max=17,
            metavar="N",
            help="Fine-tune the encoder's last N blocks: of 14 in Xception, 17 in ResNet50, 7 in "
            "VGG16.",
        ),
    ] = _DEFAULT.encoder.fine_tune,
    fine_tune_epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"Epochs of fine-tuning. [default: {_DEFAULT.encoder.fine_tune_epochs}]",
        ),
    ] = None,
    fine_tune_rate: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            metavar="RATE",
            help="Peak learning rate for fine-tuning. "
            f"[default: {_DEFAULT.encoder.fine_tune_rate:g}]",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="Photos per step of fine-tuning. The learning rate is for 32 and grows with the "
            "square root of N. [default: 32, and up to 256 on a GPU]",
        ),
    ] = None,
    head_epochs: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Epochs for the word head and the joint space."),
    ] = _DEFAULT.heads.epochs,
    size: Annotated[
        int,
        typer.Option(
            min=96, max=512, metavar="PIXELS", help="Width and height of the encoder's input."
        ),
    ] = _DEFAULT.encoder.size,
    preset: Annotated[
        PresetName,
        typer.Option(
            metavar="NAME",
            help="Architecture and layer sizes of the decoder, and the encoder that goes with it: "
            f"{', '.join(get_args(PresetName))} (see docs/lineage.md).",
        ),
    ] = "base",
    mix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Train decoders of this preset as well, for an ensemble of both (repeatable).",
        ),
    ] = None,
    decoders: Annotated[
        int,
        typer.Option(
            min=1,
            max=8,
            metavar="N",
            help="Train N decoders of each preset with different seeds. They are used as an "
            "ensemble if that gains half a point of CIDEr on dev; otherwise the best one is used "
            "alone.",
        ),
    ] = _DEFAULT.decoders.count,
    epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Epochs for each decoder.")
    ] = _DEFAULT.decoders.epochs,
    rate: Annotated[
        float,
        typer.Option(min=1e-7, metavar="RATE", help="Peak learning rate for the decoders."),
    ] = _DEFAULT.decoders.learning_rate,
    scheduled_sampling: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="P",
            help="Train the decoders on words of their own as well: each word is one with a "
            "probability that grows from 0 to P.",
        ),
    ] = _DEFAULT.decoders.scheduled_sampling,
    seed: training.Seed = _DEFAULT.seed,
    config: training.Config = None,
    resume: training.Resume = False,
    work: training.Work = None,
    force: training.Force = False,
    quiet: shared.Quiet = False,
    log_file: shared.LogFile = None,
) -> None:
    """Train a model on photos with captions and write it as a bundle.

    The simplest form for your own photos is that of Flickr8k: a folder Images/ and a file
    captions.txt with the columns image and caption. docs/training.md has the others. Progress is
    saved; --resume continues a run that was stopped. To train the decoders further on CIDEr, see
    `captioner train-cider`.
    """
    from captioner.app_paths import bundle_folder, usable_cache
    from captioner.cli import console
    from captioner.model.bundle import Bundle
    from captioner.training.corpora import find_data, read_objects, read_samples, read_sentences
    from captioner.training.outputs import Outputs
    from captioner.training.presets import PRESETS

    console.configure_output(quiet=quiet, log_file=log_file)
    training.require(
        "--fine-tune N", fine_tune > 0,
        fine_tune_epochs=fine_tune_epochs, fine_tune_rate=fine_tune_rate, batch_size=batch_size,
    )  # fmt: skip
    training.require("--concepts", concepts is not None, teacher=teacher)
    training.require(
        "--extra-data or --extra-style", bool(extra_data or extra_style), extra_weight=extra_weight
    )
    training.require("--download FOLDER", download is not None, download_corpus=download_corpus)
    if data is not None and download is not None:
        raise UsageError(
            "--data and --download are mutually exclusive.",
            "Omit --data to train on what --download fetches, or add it with --extra-data.",
        )
    for name in mix or ():
        if name not in PRESETS:
            raise UsageError(
                f"--mix {name}: there is no such preset.", f"Use one of: {', '.join(PRESETS)}."
            )
    source, kind = _encoder(encoder, encoder_kind, encoder_weights, PRESETS[preset].encoder)
    configured = TrainingConfig(
        encoder=EncoderConfig(
            kind=kind,
            source=source,
            size=size,
            fine_tune=fine_tune,
            batch_size=batch_size,
            **training.specified(fine_tune_epochs=fine_tune_epochs, fine_tune_rate=fine_tune_rate),
        ),
        heads=HeadConfig(epochs=head_epochs),
        decoders=DecoderConfig(
            kind=PRESETS[preset].kind,
            preset=preset,
            mixed_with=tuple(mix or ()),
            count=decoders,
            epochs=epochs,
            learning_rate=rate,
            scheduled_sampling=scheduled_sampling,
        ),
        seed=seed,
        **training.specified(teacher=teacher, extra_weight=extra_weight),
    )
    outputs = Outputs.of(out, work, download, force=force, resume=resume)
    data = download or find_data(data)
    inputs = {
        "--data": None if download else data,
        "--sentences": sentences,
        "--concepts": concepts,
        "--objects": objects,
        "--encoder": Path(source) if os.path.lexists(source) else None,
        "--teacher": Path(teacher) if teacher and os.path.lexists(teacher) else None,
    }
    training.check_outputs(outputs, inputs, extra_data, extra_style)
    if download is not None:
        _download(download, download_corpus or "flickr8k")
    corpora = training.read_data(data, extra_data, extra_style, language=language, columns=columns)
    samples: tuple[Example, ...] = read_samples(concepts) if concepts else ()
    photos = (*samples, *(photo for corpus in corpora.all for photo in corpus.photos))
    outputs.check_photos(photo.path.parent for photo in photos)

    training.load_backend()
    session = training.Session.of(ctx)
    from captioner.training.recipe import train as run_recipe
    from captioner.training.run import Run

    run = Run(
        corpus=corpora.main,
        config=configured,
        work=outputs.work,
        cache=usable_cache("features") or outputs.work / "features",
        progress=session.progress,
        command=session.command,
        settings=training.options_used(ctx),
        extra_data=corpora.extra,
        extra_style=corpora.extra_style,
        sentences=read_sentences(sentences) if sentences else (),
        samples=samples,
        objects=read_objects(objects) if objects else {},
        resume=resume,
        force=force,
    )
    result = run_recipe(run, out, lambda folder: Bundle.open(bundle_folder(folder)))
    session.done(result, data)


def _encoder(
    source: str | None, kind: str | None, weights: Path | None, usual: str
) -> tuple[str, str]:
    """Where the encoder's weights come from, and its architecture.

    Parameters
    ----------
    usual
        The preset's architecture.

    Raises
    ------
    UsageError
        If the options contradict each other.
    """
    if source is not None and weights is not None:
        raise UsageError(
            "--encoder and --encoder-weights are mutually exclusive.",
            "Omit --encoder: the architecture is that of --encoder-kind.",
        )
    if source is not None and (source == "bundled" or Path(source).is_dir()):
        if kind is not None:
            raise UsageError(
                f"--encoder-kind {kind}: the encoder of a bundle has the architecture it has.",
                "Omit --encoder-kind, or use --encoder imagenet or --encoder-weights FILE.",
            )
        return source, _DEFAULT.encoder.kind
    kind = kind or usual
    if weights is not None:
        return str(weights), kind
    return source or ("bundled" if kind == _DEFAULT.encoder.kind else "imagenet"), kind


def _download(folder: Path, name: str) -> None:
    from captioner.cli import console
    from captioner.training.download import download
    from captioner.training.hub import CORPORA

    corpus = CORPORA[name]
    console.note(f"Downloading {corpus.title}, about {corpus.size}.")
    download(folder, corpus)
