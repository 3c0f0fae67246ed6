"""`captioner train-cider`: trains the decoders of a bundle further on CIDEr-D."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import typer

from captioner.cli import options as shared
from captioner.cli import training
from captioner.training.config import SelfCriticalConfig

_DEFAULT = SelfCriticalConfig()


class TrainCiderCommand(training.TrainingCommand):
    """`captioner train-cider`, with the earlier names of its options."""

    earlier: ClassVar = {
        **training.TrainingCommand.earlier,
        "--sharpness": "--inverse-temperature",
        "--metric-share": "--rl-weight",
        "--nearness": "--similarity-reward",
    }


COMMAND = TrainCiderCommand


def train_cider(
    ctx: typer.Context,
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="Folder of the bundle to start from. [default: CAPTIONER_MODEL, or the bundle "
            "that ships with captioner]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Write the finished bundle to this folder.")
    ] = Path("captioner-model"),
    data: training.Data = None,
    language: shared.Language = None,
    columns: shared.Columns = None,
    extra_data: training.ExtraData = None,
    extra_style: training.ExtraStyle = None,
    extra_weight: training.ExtraWeight = None,
    epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Epochs for each decoder.")
    ] = _DEFAULT.epochs,
    rate: Annotated[
        float, typer.Option(min=1e-7, metavar="RATE", help="Peak learning rate.")
    ] = _DEFAULT.learning_rate,
    samples: Annotated[
        int, typer.Option(min=2, max=100, metavar="N", help="Captions to sample per photo.")
    ] = _DEFAULT.samples,
    inverse_temperature: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="X",
            help="Inverse temperature of sampling: higher values favour more probable captions.",
        ),
    ] = _DEFAULT.inverse_temperature,
    rl_weight: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="WEIGHT",
            help="Weight of the policy gradient in the loss; cross-entropy on the reference "
            "captions gets the rest.",
        ),
    ] = _DEFAULT.rl_weight,
    similarity_reward: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="WEIGHT",
            help="Weight, in the reward, of the cosine similarity of caption and photo in the "
            "joint space.",
        ),
    ] = _DEFAULT.similarity_reward,
    dropout: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.9,
            metavar="RATE",
            help="Dropout rate. [default: as when the decoders were first trained]",
        ),
    ] = _DEFAULT.dropout,
    seed: training.Seed = _DEFAULT.seed,
    config: training.Config = None,
    resume: training.Resume = False,
    work: training.Work = None,
    force: training.Force = False,
    quiet: shared.Quiet = False,
    log_file: shared.LogFile = None,
) -> None:
    """Train a bundle's decoders further, to raise their CIDEr, and write a new bundle.

    This is self-critical sequence training (Rennie et al., 2017): the decoders caption the photos
    of --data themselves, and captions with a higher CIDEr-D become more probable. Encoder, keywords
    and search stay as they are in BUNDLE.
    """
    from captioner.app_paths import bundle_folder, usable_cache
    from captioner.cli import console
    from captioner.model.bundle import Bundle
    from captioner.training.corpora import find_data
    from captioner.training.outputs import Outputs

    console.configure_output(quiet=quiet, log_file=log_file)
    training.require(
        "--extra-data or --extra-style", bool(extra_data or extra_style), extra_weight=extra_weight
    )
    outputs = Outputs.of(out, work, force=force, resume=resume)
    data = find_data(data)
    training.check_outputs(outputs, {"--data": data, "BUNDLE": bundle}, extra_data, extra_style)
    corpora = training.read_data(data, extra_data, extra_style, language=language, columns=columns)
    outputs.check_photos(photo.path.parent for one in corpora.all for photo in one.photos)
    source = Bundle.open(bundle_folder(bundle))

    training.load_backend()
    from captioner.training.run import SelfCriticalRun
    from captioner.training.selfcritical import train_self_critical

    run = SelfCriticalRun(
        corpus=corpora.main,
        config=SelfCriticalConfig(
            bundle=source.model_id,
            epochs=epochs,
            learning_rate=rate,
            samples=samples,
            inverse_temperature=inverse_temperature,
            rl_weight=rl_weight,
            similarity_reward=similarity_reward,
            dropout=dropout,
            seed=seed,
            **training.specified(extra_weight=extra_weight),
        ),
        work=outputs.work,
        cache=usable_cache("features") or outputs.work / "features",
        progress=training.TerminalProgress(),
        command=training.command_line(),
        settings=training.options_used(ctx),
        extra_data=corpora.extra,
        extra_style=corpora.extra_style,
        resume=resume,
        force=force,
    )
    training.summarise(train_self_critical(run, out, source), data)
