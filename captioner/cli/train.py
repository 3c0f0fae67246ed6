"""`captioner train`: a model of one's own, from photos with captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


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
            help="More photos with captions to learn from, in the same layouts; repeatable. "
            "What is chosen is chosen on --data alone.",
        ),
    ] = None,
    aside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Like --wider, for captions in another manner of speech: what they name is "
            "learnt, how they say it is not; repeatable.",
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
        int, typer.Option(min=1, max=8, metavar="N", help="Decoders that speak together.")
    ] = 1,
    epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passes over the captions for each decoder.")
    ] = 8,
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
) -> None:
    """Train a model on photos with captions and write it as a bundle.

    What works on Flickr8k works on your own photos: a folder Images/ and a captions.txt with the
    columns image and caption. Each step is kept; --resume goes on where a run was stopped.
    """
    import sys

    from captioner.cli import console
    from captioner.model.bundle import Bundle
    from captioner.places import bundle_folder, cache_folder
    from captioner.training.corpora import find_data, read_corpus, read_samples, read_sentences

    if download is not None:
        from captioner.training.download import download as fetch

        fetch(download)
        data = download
    corpus = read_corpus(find_data(data))
    more = tuple(read_corpus(place) for place in wider or ())
    apart = tuple(read_corpus(place) for place in aside or ())
    for warning in (warning for one in (corpus, *more, *apart) for warning in one.warnings):
        console.note(warning)
    samples = read_samples(concepts) if concepts else ()

    from captioner.training.recipe import train as run_recipe
    from captioner.training.run import Options, Run

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
        decoder_epochs=epochs,
        seed=seed,
        resume=resume,
    )
    run = Run(
        corpus=corpus,
        options=options,
        work=work or out.with_name(f"{out.name}-training"),
        cache=cache_folder() / "features",
        report=console.note,
        wider=more,
        asides=apart,
        sentences=read_sentences(sentences) if sentences else (),
        samples=samples,
    )
    command = " ".join(["captioner", *sys.argv[1:]])
    bundle = run_recipe(run, out, lambda folder: Bundle.open(bundle_folder(folder)), command)
    console.line(str(bundle.folder))
