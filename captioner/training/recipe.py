"""From photos with captions to a bundle: `captioner train`, part by part, each resumable.

Encoder → int8 graph → features → word head and joint space → decoders → what is chosen on dev.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self

import keras
import numpy as np
from safetensors.numpy import load_file, save_file
from threadpoolctl import threadpool_limits

from captioner import __version__
from captioner.errors import CaptionerError
from captioner.model import bundle as bundles
from captioner.model import decoders as decoder_kinds
from captioner.model import destination, head_networks
from captioner.model.bundle import Bundle
from captioner.model.candidates import CandidateGenerator, GenerationConfig
from captioner.model.concepts import Concepts
from captioner.model.decoders import merge
from captioner.model.decoders.ensemble import combine
from captioner.model.decoders.merge import Sizes
from captioner.model.heads import JointSpace, WordHead
from captioner.model.rerank import EVIDENCE, Candidate, ConfidenceModel
from captioner.model.vocabulary import Vocabulary, sentence
from captioner.training import tuning
from captioner.training.concepts import table_of, teach
from captioner.training.corpora import class_of
from captioner.training.decoders import (
    PRESETS,
    SentenceBatches,
    coverage,
    fit_decoder,
    language_batches,
)
from captioner.training.encoders import calibrated, fit_encoder, fit_heads, starting_encoder
from captioner.training.fit import Metrics, Plan
from captioner.training.heads import Lessons, Lexicon
from captioner.training.kinds import fit_kinds
from captioner.training.metrics import cider
from captioner.training.run import Arrays, Eye, Run
from captioner.training.wordnet import LICENCE
from captioner.types import Features, FloatArray, HalfArray, SearchVectors


@dataclass(slots=True)
class Made:
    """The parts of a bundle as they come to be."""

    vocabulary: Vocabulary
    lexicon: Lexicon
    encoder: TrainedEncoder
    words: Arrays = field(default_factory=dict)
    joint: Arrays = field(default_factory=dict)
    concepts: Concepts = field(default_factory=lambda: Concepts(table_of(())))
    decoders: list[Arrays] = field(default_factory=list)
    sizes: list[Sizes] = field(default_factory=list)
    """Of each decoder."""
    settings: GenerationConfig = field(default_factory=GenerationConfig)
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Bundle) -> Self:
        """The parts of a bundle, its decoders still to come."""
        lexicon = source.json(bundles.LEXICON)
        return cls(
            Vocabulary(source.json(bundles.VOCABULARY)),
            Lexicon(**{name: tuple(some) for name, some in lexicon.items()}),
            TrainedEncoder.read(source),
            source.arrays(bundles.WORDS), source.arrays(bundles.JOINT),
            sizes=[decoder_kinds.sizes(decoder) for decoder in source.manifest["decoders"]],
            settings=GenerationConfig.from_manifest(source.manifest["describe"]),
        )  # fmt: skip

    @property
    def head(self) -> WordHead:
        """The word head in NumPy."""
        return WordHead(self.words, self.lexicon.stems, self.lexicon.surfaces)

    @property
    def space(self) -> JointSpace:
        """The joint space in NumPy."""
        return JointSpace(self.joint, self.lexicon.words)

    def speaking(self) -> dict[str, Arrays]:
        """The decoders by the files they go to."""
        return {bundles.decoder_file(n): arrays for n, arrays in enumerate(self.decoders, 1)}

    def candidates(
        self, decoders: Sequence[Arrays], features: FloatArray, beams: int | None = None
    ) -> list[list[Candidate]]:
        """What these decoders can say of photos (N, 2048), best first."""
        generator = CandidateGenerator(
            combine([merge.stepper(arrays) for arrays in decoders]),
            self.vocabulary, self.head, self.space,
            replace(self.settings, beam_width=beams or self.settings.beam_width),
        )  # fmt: skip
        # Of many small products each is done before a second thread wakes up.
        with threadpool_limits(1, user_api="blas"):
            return generator.candidates(
                Features(features), self.head.hidden(features), self.space.image(features)
            )


def train(run: Run, out: Path, bundled: Callable[[Path | None], Bundle], command: str) -> Bundle:
    """Train all parts and write the bundle.

    Parameters
    ----------
    out
        The bundle's folder: absent or empty, or an earlier bundle where the run is forced.
    bundled
        Opens a bundle; the one that ships for None.
    command
        As typed, for the record.

    Raises
    ------
    CaptionerError
        Where the corpus has too few photos to train on or to measure on, or too few captions.
    """
    options = run.options
    destination.check(out, force=run.force)
    run.begin()
    captions = run.captions()
    concepts = [class_of(sample.path) for sample in run.samples]
    vocabulary = Vocabulary.from_captions(captions)
    lexicon = Lexicon.from_captions(captions, concepts)
    if not lexicon.stems:
        raise CaptionerError(
            f"{run.corpus.name} has too few captions: no word stands in them eight times.",
            "Add photos with captions; a few hundred are a beginning.",
        )
    run.report(
        f"{len(run.train):,} photos to train on, {len(run.dev):,} to measure on; "
        f"{len(vocabulary):,} words, {100 * coverage(vocabulary, captions):.1f} % of all spoken"
    )
    lessons = _lessons(run, lexicon)
    made = _see(run, vocabulary, lexicon, lessons, bundled)
    eye = Eye.of(run, made.encoder)
    heads = fit_heads(run, lexicon, lessons, eye, 2, "heads")
    made.words = head_networks.word_head_arrays(heads.words)
    usual = lessons.targets[: len(run.train)].mean(0, dtype=np.float32)
    made.words["stems.usual"] = np.log(np.maximum(usual, 1e-4))
    made.joint = head_networks.joint_arrays(heads.image, heads.text)
    made.concepts = Concepts(table_of(run.samples))
    if run.samples:
        hidden = made.head.hidden(eye.features(lessons.examples, 2).astype(np.float32))
        told = lessons.targets[:, len(lexicon.stems) :]
        made.words |= fit_kinds(hidden, told, made.concepts, seed=options.seed)
    _speak(run, made, lessons, eye)
    manifest = _choose(run, made, eye)
    manifest["training"] = {
        "command": command,
        "options": asdict(options),
        "data": [corpus.record() for corpus in run.corpora],
        "sentences without photos": len(run.sentences),
        "concepts": len(run.samples),
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
            **made.encoder.arrays,
            bundles.WORDS: made.words,
            bundles.JOINT: made.joint,
            **made.speaking(),
        },
        texts={
            **made.encoder.texts,
            bundles.VOCABULARY: made.vocabulary.tokens,
            bundles.LEXICON: asdict(made.lexicon),
            bundles.CONCEPTS: table_of(run.samples),
            bundles.CONCEPTS_LICENCE: LICENCE.read_text("utf-8"),
        },
        force=run.force,
    )


def _lessons(run: Run, lexicon: Lexicon) -> Lessons:
    """What is to be learnt of each photo, the teacher's part of it kept in the run's folder."""
    if not run.samples:
        return Lessons.of(run.train, lexicon)
    file = run.work / "concepts.safetensors"
    if run.options.resume and file.is_file():
        told = load_file(file)["concepts"]
    else:
        run.report(f"asking the published encoder for {len(run.samples)} concepts")
        eye = Eye.of(run, starting_encoder(run.options.teacher, run.options.size))
        told = teach(eye, run.samples, run.train, table_of(run.samples))
        save_file({"concepts": told}, file)
    return Lessons.of((*run.train, *run.samples), lexicon, told)


def _see(
    run: Run,
    vocabulary: Vocabulary,
    lexicon: Lexicon,
    lessons: Lessons,
    bundled: Callable[[Path | None], Bundle],
) -> Made:
    """Encoder and graph, from a bundle as they are, or made."""
    options = run.options
    if options.encoder == "bundled" or Path(options.encoder).is_dir():
        source = bundled(None if options.encoder == "bundled" else Path(options.encoder))
        encoder = TrainedEncoder.read(source)
        if not options.fine_tune and source.size == options.size:
            record: dict[str, Any] = {"encoder": source.manifest["training"]}
            return Made(vocabulary, lexicon, encoder, record=record)
        encoder = replace(encoder, size=options.size)
    else:
        encoder = starting_encoder(options.encoder, options.size)
    record = {}
    if options.fine_tune:
        encoder, record["encoder"] = fit_encoder(run, lexicon, lessons, encoder)
    return Made(vocabulary, lexicon, calibrated(run, encoder), record=record)


def _speak(run: Run, made: Made, lessons: Lessons, eye: Eye) -> None:
    """Train the decoders."""
    options = run.options
    sizes = PRESETS[options.preset]
    features = eye.features(lessons.examples, 2)[: len(run.train)]
    dev = eye.features(run.dev)
    measure = listener(run, made, dev)
    dev_batches = SentenceBatches(dev, run.dev, made.vocabulary, seed=0)
    language = _language(run, made)
    for number in range(1, options.decoders + 1):
        seed = options.seed + number - 1
        batches = SentenceBatches(
            features, run.train, made.vocabulary, times=run.times, apart=run.apart, seed=seed
        )
        arrays, history = fit_decoder(
            batches, made.vocabulary, sizes,
            Plan(options.decoder_epochs, batches.steps, options.decoder_rate),
            dev=dev_batches, measure=measure, start=language, seed=seed,
            folder=run.work / f"decoder-{number}", resume=options.resume, report=run.report,
        )  # fmt: skip
        run.show(history, f"decoder-{number}")
        made.decoders.append(arrays)
        made.sizes.append(sizes)
        made.record[f"decoder-{number}"] = {"seed": seed, "history": history}


def listener(run: Run, made: Made, dev: HalfArray) -> Callable[[Arrays], Metrics]:
    """What measures a decoder by what the bundle would say of dev photos with it, at eight beams.

    Parameters
    ----------
    dev
        Features of the dev photos (N, views, 2048).
    """
    seen = dev[:, 0].astype(np.float32)
    references = {example.name: example.captions for example in run.dev}

    def measure(arrays: Arrays) -> Metrics:
        said = [found[0].words for found in made.candidates([arrays], seen, beams=8)]
        named = {e.name: sentence(words) for e, words in zip(run.dev, said, strict=True)}
        used = {word for words in said for word in words}
        return {"cider": cider(named, references), "words": float(len(used))}

    return measure


def _language(run: Run, made: Made) -> Arrays | None:
    """A decoder that has read sentences without photos; the merge keeps the two apart."""
    if not run.sentences:
        return None
    options = run.options
    batches = language_batches(
        run.sentences, made.vocabulary, options.seed, made.encoder.feature_size
    )
    held_out = [example.captions[0] for example in run.dev]
    arrays, history = fit_decoder(
        batches, made.vocabulary, PRESETS[options.preset],
        Plan(1, batches.steps, options.decoder_rate),
        dev=language_batches(held_out, made.vocabulary, 0, made.encoder.feature_size),
        measure=lambda arrays: {},
        metric="likelihood", seed=options.seed,
        folder=run.work / "language", resume=options.resume, report=run.report,
    )  # fmt: skip
    made.record["language"] = {"history": history}
    return arrays


def choose_sentences(run: Run, made: Made, eye: Eye) -> dict[str, Any]:
    """Who speaks, how sentences are chosen, how far they are trusted: the manifest's parts."""
    choice = _choose_speakers(run, made, eye)
    made.settings = replace(made.settings, **choice)
    return {
        "decoders": [
            {"kind": merge.kind, "file": file, **asdict(sizes)}
            for file, sizes in zip(made.speaking(), made.sizes, strict=True)
        ],
        "describe": made.settings.manifest(),
        "confidence": _confidence(run, made, eye),
    }


class _Voice(NamedTuple):
    """Decoders that speak together, and how their sentences are best chosen."""

    numbers: tuple[int, ...]
    """Of the decoders, counted from 0."""
    weights: dict[str, Any]
    ciders: dict[str, float]
    """On dev, by the weights, of all that were tried with this length exponent."""

    @property
    def worth(self) -> float:
        """CIDEr with the best weights."""
        return max(self.ciders.values())


def _choose_speakers(run: Run, made: Made, eye: Eye) -> dict[str, Any]:
    """Keep the best decoder, or all where they are better together; how to choose its sentences.

    Each decoder more takes as much time again for every photo.
    """
    seen = eye.features(run.dev)[:, 0].astype(np.float32)
    every = tuple(range(len(made.decoders)))
    voices: dict[str, _Voice] = {}
    for numbers in dict.fromkeys([*((one,) for one in every), every]):
        name = "decoder " + " and ".join(str(one + 1) for one in numbers)
        found = made.candidates([made.decoders[one] for one in numbers], seen)
        weights, table = tuning.choose_rerank(found, run.dev)
        near = f"{weights['length_penalty']:g} "
        ciders = {key: cider for key, cider in table.items() if key.startswith(near)}
        voices[name] = _Voice(numbers, weights, ciders)
        run.report(f"{name}: choice among candidates {weights}: CIDEr {voices[name].worth}")
    *_, together = voices.values()
    best = max(list(voices.values())[: len(every)], key=lambda voice: voice.worth)
    if together.worth > best.worth + tuning.NEGLIGIBLE:
        best = together
    made.record["chosen on dev"] = {
        "speak": [one + 1 for one in best.numbers],
        "rerank": {name: voice.ciders for name, voice in voices.items()},
    }
    made.decoders = [made.decoders[one] for one in best.numbers]
    made.sizes = [made.sizes[one] for one in best.numbers]
    return best.weights


def speak_anew(
    run: Run,
    made: Made,
    eye: Eye,
    source: Bundle,
    *,
    out: Path,
    way: str,
    command: str,
) -> Bundle:
    """Write a bundle with the decoders that were made and all else of another one.

    Which of them speak, and how sentences are chosen and trusted, is chosen anew.

    Parameters
    ----------
    out
        The bundle's folder: absent or empty, or an earlier bundle where the run is forced.
    way, command
        How the decoders were made, and what was typed, for the record.
    """
    spoken = choose_sentences(run, made, eye)
    record = {
        "command": command,
        "options": asdict(run.options),
        "data": [corpus.record() for corpus in run.corpora],
        **made.record,
    }
    before = source.manifest["training"]
    times = sum(key.split(",")[0] == way for key in before)
    key = f"{way}, {times + 1}" if times else way
    return bundles.write(
        out, {**source.manifest, **spoken, "training": {**before, key: record}},
        arrays=made.speaking(), texts={},
        copies=[
            source.path(name) for name in source.manifest["files"] if name not in source.decoders
        ],
        force=run.force,
    )  # fmt: skip


def _choose(run: Run, made: Made, eye: Eye) -> dict[str, Any]:
    """What is chosen on dev, as the manifest's parts."""
    options = run.options
    spoken = choose_sentences(run, made, eye)
    seen = eye.features(run.dev)[:, 0].astype(np.float32)
    places, hidden = made.space.image(seen), made.head.hidden(seen)
    vectors = SearchVectors(places.astype(np.float16), hidden.astype(np.float16))
    search, shares = tuning.choose_search(
        made.head, made.space, made.concepts, vectors, run.dev, seed=options.seed
    )
    run.report(f"search {search}: {shares}")
    made.record["chosen on dev"]["search"] = shares
    return {
        "input": {
            "size": options.size,
            "resize": "the whole photo squashed to a square, Pillow bicubic with antialiasing",
        },
        "encoder": dict(made.encoder.manifest),
        **spoken,
        "search": search,
    }


STRANGER = 0.25
"""What a sentence about another photo counts beside a photo's own, when the score is calibrated."""


def _confidence(run: Run, made: Made, eye: Eye) -> dict[str, float]:
    """Weights of the score, and the least score to show a sentence with.

    They are chosen on held-out photos of all corpora, the weights with two sentences for each.

    The one that the model says of it; and the one that it says of another photo, for what happens
    on photos unlike all of these.
    """
    photos = (*run.dev, *run.wider_dev)
    features = eye.features(photos)[:, 0].astype(np.float32)
    hidden, places = made.head.hidden(features), made.space.image(features)
    own = [found[0] for found in made.candidates(made.decoders, features)]
    others = [own[row].words for row in np.roll(np.arange(len(photos)), len(photos) // 2)]
    cosines = np.einsum("nd,nd->n", places, made.space.text(others)).tolist()
    judged = made.head.evidence(hidden, [[words] for words in others])
    strange = [
        Candidate(words, 0.0, cosine, *one[0])
        for words, cosine, one in zip(others, cosines, judged, strict=True)
    ]
    both = [*own, *strange]
    evidence = np.array([[getattr(c, name) for name in EVIDENCE] for c in both], np.float32)
    right = np.array(
        [tuning.fits(c.words, p.captions) for c, p in zip(both, (*photos, *photos), strict=True)],
        np.float32,
    )
    weight = np.repeat(np.array([1, STRANGER], np.float32), len(photos))
    fitted = tuning.calibrate(evidence, right, weight).tolist()
    model = ConfidenceModel(*fitted)
    scores = np.array([model.confidence(candidate) for candidate in own], np.float32)
    made.record["reliability"] = {
        "first corpus": tuning.reliability(scores[: len(run.dev)], right[: len(run.dev)]),
        "wider": tuning.reliability(scores[len(run.dev) :], right[len(run.dev) : len(photos)]),
    }
    fit = right[: len(photos)]
    least = tuning.trusted(scores, fit)
    shown = scores >= least
    made.record["shown"] = {
        "share": round(float(shown.mean()), 3),
        "fits": round(float(fit[shown].mean()), 3) if shown.any() else None,
    }
    run.report(f"sentences are shown from a score of {least:g} on: {100 * shown.mean():.0f} %")
    return replace(model, threshold=least).manifest()
