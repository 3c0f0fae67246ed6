"""`captioner train`: a model of one's own, from photos with captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from captioner.cli import options as shared
from captioner.errors import UsageError


def train(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Write the finished bundle here.")
    ] = Path("captioner-model"),
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Photos with captions, in Kaggle's or the original Flickr8k layout; "
            "CAPTIONER_DATA if not given.",
        ),
    ] = None,
    wider: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="More photos with captions to learn from, in the same layouts; may be repeated. "
            "What is chosen is chosen on --data alone.",
        ),
    ] = None,
    aside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Like --wider, for captions in another manner of speech: what they name is "
            "learnt, how they say it is not; may be repeated.",
        ),
    ] = None,
    wider_times: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="TIMES",
            help="How often a photo of --wider and --aside counts beside the others.",
        ),
    ] = 1.0,
    sentences: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Captions without photos, one a line: the decoders read them first.",
        ),
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="One photo for each ImageNet class, named by its WordNet id "
            "(n02691156_airliner.jpg): keywords and search for what captions never name.",
        ),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="What knows the concepts: imagenet (Keras fetches it), or a Keras weights file "
            "of Xception without its top.",
        ),
    ] = "imagenet",
    download: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Fetch Flickr8k into this folder first, and train on it."
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="Encoder to begin from: imagenet (Keras fetches it), bundled, a bundle's folder, "
            "or a Keras weights file of Xception without its top.",
        ),
    ] = "bundled",
    fine_tune: Annotated[
        int,
        typer.Option(
            min=0, max=14, metavar="BLOCKS", help="Train so many of Xception's 14 blocks further."
        ),
    ] = 0,
    fine_tune_epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passes over the photos while fine-tuning.")
    ] = 5,
    fine_tune_rate: Annotated[
        float, typer.Option(min=1e-6, metavar="RATE", help="Highest learning rate of fine-tuning.")
    ] = 1.5e-4,
    head_epochs: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Passes over the photos for word head and joint space."
        ),
    ] = 12,
    size: Annotated[
        int, typer.Option(min=96, max=512, metavar="PIXELS", help="Side of the encoder's square.")
    ] = 224,
    preset: Annotated[
        Literal["base", "classic"],
        typer.Option(
            help="Sizes of the decoder: base, or classic (embedding, LSTM and Dense of 256 each)."
        ),
    ] = "base",
    decoders: Annotated[
        int,
        typer.Option(
            min=1,
            max=8,
            metavar="N",
            help="Decoders to train, with seeds of their own. All speak together where that is "
            "worth half a point of CIDEr on dev, else the best alone.",
        ),
    ] = 1,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Passes over the captions for each decoder; 8, or 4 with --self-critical, "
            "if not given.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1e-7,
            metavar="RATE",
            help="Highest learning rate of the decoders; 2e-3, or 5e-5 with --self-critical, "
            "if not given.",
        ),
    ] = None,
    self_critical: Annotated[
        bool,
        typer.Option(
            "--self-critical",
            help="Train the decoders of --from further on the metric, and nothing else: sentences "
            "that they say themselves, weighed by CIDEr-D.",
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="BUNDLE",
            help="Bundle to begin from with --self-critical; the one that ships if not given.",
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            min=2, max=100, metavar="N", help="Sentences drawn for a photo with --self-critical."
        ),
    ] = 5,
    sharpness: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="POWER",
            help="To which probabilities are taken while drawing with --self-critical: the higher, "
            "the more usual the sentences.",
        ),
    ] = 2.0,
    metric_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Of the metric in what --self-critical learns; people's captions have the rest.",
        ),
    ] = 0.7,
    nearness: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="WEIGHT",
            help="Reward sentences near their photo in the joint space, too, with --self-critical.",
        ),
    ] = 0.0,
    dropout: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.9,
            metavar="SHARE",
            help="Of the decoders' units, left out while learning with --self-critical; as in "
            "their first training if not given.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of all that is random.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from this run's last checkpoint.")
    ] = False,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep checkpoints and curves here; beside the bundle, as NAME-training, "
            "if not given.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace an earlier bundle in --out, and, without --resume, the checkpoints of an "
            "earlier training in --work. Other files are never replaced.",
        ),
    ] = False,
    quiet: shared.Quiet = False,
    log_file: shared.LogFile = None,
) -> None:
    """Train a model on photos with captions and write it as a bundle.

    What works on Flickr8k works on your own photos: a folder Images/ and a captions.txt with the
    columns image and caption. Each step is kept; --resume goes on where a run was stopped.
    """
    import os
    import sys

    from captioner.app_paths import bundle_folder, cache_folder, usable_cache
    from captioner.cli import console
    from captioner.model.bundle import Bundle
    from captioner.training.corpora import find_data, read_corpus, read_samples, read_sentences
    from captioner.training.outputs import Outputs

    console.configure_output(quiet=quiet, log_file=log_file)
    if source is not None and not self_critical:
        raise UsageError(
            "--from BUNDLE has no meaning without --self-critical.",
            "To begin with the encoder of a bundle, use --encoder BUNDLE.",
        )
    outputs = Outputs.of(out, work, download, force=force, resume=resume)
    data = download or find_data(data)
    outputs.check(
        {
            "--data": None if download else data,
            "--sentences": sentences,
            "--concepts": concepts,
            "--from": source,
            **{f"--wider {place}": place for place in wider or ()},
            **{f"--aside {place}": place for place in aside or ()},
            **{
                option: Path(name)
                for option, name in (("--encoder", encoder), ("--teacher", teacher))
                if os.path.lexists(name)
            },
        },
        cache=cache_folder(),
    )
    if download is not None:
        from captioner.training.download import download as fetch

        fetch(download)
    corpus = read_corpus(find_data(data))
    more = tuple(read_corpus(place) for place in wider or ())
    apart = tuple(read_corpus(place) for place in aside or ())
    for warning in (warning for one in (corpus, *more, *apart) for warning in one.warnings):
        console.warning(f"{warning}.")
    pictured = read_samples(concepts) if concepts else ()
    outputs.check_photos(
        photo.path.parent
        for photo in (
            *pictured,
            *(photo for one in (corpus, *more, *apart) for photo in one.photos),
        )
    )

    from captioner.training.run import Critical, Options, Run

    begin = Bundle.open(bundle_folder(source)) if self_critical else None
    options = Options(
        encoder=encoder,
        teacher=teacher,
        fine_tune=fine_tune,
        fine_tune_epochs=fine_tune_epochs,
        fine_tune_rate=fine_tune_rate,
        wider_times=wider_times,
        head_epochs=head_epochs,
        size=size,
        preset=preset,
        decoders=decoders,
        decoder_epochs=epochs or (4 if begin else 8),
        decoder_rate=rate or (5e-5 if begin else 2e-3),
        seed=seed,
        resume=resume,
        critical=Critical(begin.model_id, samples, sharpness, metric_share, nearness, dropout)
        if begin
        else None,
    )
    run = Run(
        corpus=corpus,
        options=options,
        work=outputs.work,
        cache=usable_cache("features") or outputs.work / "features",
        report=console.note,
        wider=more,
        asides=apart,
        sentences=read_sentences(sentences) if sentences else (),
        samples=pictured,
        force=force,
    )
    command = " ".join(["captioner", *sys.argv[1:]])
    if begin:
        from captioner.training.selfcritical import train_further

        bundle = train_further(run, out, begin, command)
    else:
        from captioner.training.recipe import train as run_recipe

        bundle = run_recipe(run, out, lambda folder: Bundle.open(bundle_folder(folder)), command)
    console.line(str(bundle.folder))
