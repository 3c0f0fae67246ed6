"""(a) Captions a second: captioner in one warm process against a loop in the style of its seeds.

The loop, on Keras and TensorFlow: read one photo; `predict` of the encoder at batch 1; then for
each word one `predict` of the decoder over the whole prefix, arg-max, and a linear scan of the
vocabulary for the word, until the end mark. Both run on the CPU, from one bundle, on the same
photos.

What differs from the seeds, so that the captions can be compared:

- The encoder takes the bundle's size. A second loop takes the seeds' 299 pixels, for its rate only.
- The prefix is padded to 32 tokens on the right, as the decoder was trained, not on the left, and
  the prediction is read at the last word's position. It costs the same: one pass of the LSTM over
  32 tokens, one product with the vocabulary.
- captioner's rules hold: no mark but the end is said, no word twice in a row, no empty sentence.

What favours the loop: its graphs are traced before the clock runs, its photos are read by
captioner's own reader, and where the bundle has several decoders, one `predict` asks them all.

In each repeat captioner does all photos and the loop a part of its own, so that in the end it has
captioned all of them once. captioner's model is loaded anew each time, off the clock, its engine
warmed up: the decoder remembers the prefixes that it has read, and photos seen before would flatter
it. Greedy captions of both in float32 are compared before anything is printed; where too few are
equal, there is no ratio.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import common
from captioner.app_paths import bundle_folder
from captioner.execution import describe
from captioner.model import DescribeOptions, load
from captioner.model.bundle import VOCABULARY, Bundle
from captioner.model.encoders import TrainedEncoder
from captioner.model.encoders.xception import feature_size
from captioner.model.vocabulary import END, PAD, START, UNKNOWN, sentence
from captioner.photos.read import read
from captioner.types import Failure, Photo

LENGTH = 32
"""Tokens of a padded prefix."""
AGREEMENT = 0.98
"""Share of captions that must be equal: float32 sums in another order turn a few ties."""
LITERAL_SHARE = 4
"""The loop at 299 pixels is timed on one in so many of the loop's photos."""


class SeedLoop:
    """One photo at a time, one word at a time.

    Parameters
    ----------
    size
        Side of the encoder's square, pixels.
    """

    def __init__(self, bundle: Bundle, size: int) -> None:
        self.size = size
        self.tokens: list[str] = bundle.json(VOCABULARY)
        self.longest = min(int(bundle.manifest["describe"]["longest"]), LENGTH - 1)
        self.encoder = TrainedEncoder.read(bundle, int8=False).network(size)
        self.decoder = next_word(bundle, len(self.tokens))

    def caption(self, photo: Photo) -> str:
        """The greedy caption of a photo."""
        pixels = read(photo, self.size).rgb
        feature = self.encoder.predict(pixels[None], verbose=0)
        prefix = [START]
        said: list[str] = []
        while len(said) < self.longest:
            padded = np.array([prefix + [PAD] * (LENGTH - len(prefix))], np.int32)
            p = self.decoder.predict({"feature": feature, "tokens": padded}, verbose=0)[0]
            p[[PAD, START, UNKNOWN, prefix[-1]]] = 0
            if not said:
                p[END] = 0
            best = int(p.argmax())
            if best == END:
                break
            prefix.append(best)
            said.append(next(word for number, word in enumerate(self.tokens) if number == best))
        return sentence(said)


def next_word(bundle: Bundle, vocabulary: int) -> Any:
    """Feature (N, 2048) and tokens (N, LENGTH) → probability of the next word (N, V), in Keras."""
    import keras
    from keras import ops

    from captioner.model import decoders
    from captioner.model.decoders import merge

    feature = keras.Input((feature_size,), name="feature")
    tokens = keras.Input((LENGTH,), dtype="int32", name="tokens")
    last = ops.sum(ops.cast(tokens != PAD, "int32"), axis=1) - 1
    predictions = []
    for entry in bundle.manifest["decoders"]:
        trained = merge.network(vocabulary, decoders.sizes(entry), feature_size)
        merge.set_arrays(trained, bundle.arrays(entry["file"]))
        layer = trained.get_layer
        states = layer("lstm")(layer("embedding")(tokens))
        state = ops.einsum("ntu,nt->nu", states, ops.one_hot(last, LENGTH))
        predictions.append(
            ops.softmax(layer("output")(layer("fusion")(state + layer("image")(feature))))
        )
    return keras.Model({"feature": feature, "tokens": tokens}, sum(predictions) / len(predictions))


def captions(photos: Sequence[Photo], **options: Any) -> tuple[float, list[str]]:
    """Captions a second of captioner with a model freshly loaded, and the captions."""
    model = load(DescribeOptions(device="cpu", min_confidence=0, **options))
    blank = np.zeros((model.batch_size, model.size, model.size, 3), np.uint8)
    for _ in model.encode([blank] * 4):
        pass
    start = perf_counter()
    results = list(describe(photos, model))
    elapsed = perf_counter() - start
    texts = []
    for result in results:
        if isinstance(result, Failure):
            sys.exit(f"cannot read {result.path}: {result.reason}")
        texts.append(result.captions[0].text)
    return len(photos) / elapsed, texts


def main() -> None:
    parser = common.arguments(__doc__, count=200, repeats=5)
    options = parser.parse_args()
    if not common.keras_on_cpu():
        sys.exit("the seed-style loop needs TensorFlow: pip install tensorflow")
    bundle = Bundle.open(bundle_folder(options.model))
    with common.photos(options.photos, options.count) as photos:
        measure(bundle, photos, min(options.repeats, options.count), as_json=options.json)


def measure(bundle: Bundle, photos: Sequence[Photo], repeats: int, *, as_json: bool) -> None:
    said: dict[str, dict[Photo, str]] = {}

    def whole(name: str, **options: Any) -> Callable[[int], float]:
        def work(repeat: int) -> float:
            rate, texts = captions(photos, bundle=bundle.folder, **options)
            said[name] = dict(zip(photos, texts, strict=True))
            return rate

        return work

    def part(name: str, size: int, share: int = 1) -> Callable[[int], float]:
        loop = SeedLoop(bundle, size)
        loop.caption(photos[0])

        def work(repeat: int) -> float:
            own = photos[repeat::repeats]
            own = own[: max(1, len(own) // share)]
            start = perf_counter()
            texts = [loop.caption(photo) for photo in own]
            elapsed = perf_counter() - start
            said.setdefault(name, {}).update(zip(own, texts, strict=True))
            return len(own) / elapsed

        return work

    seed, literal = f"seed-style loop, {bundle.size} px", f"seed-style loop, {common.SEED_SIZE} px"
    exact, greedy = "captioner, greedy, float32", "captioner, greedy, int8"
    rates = common.side_by_side(
        repeats,
        {
            seed: part(seed, bundle.size),
            exact: whole(exact, precision="float32", beams=1),
            literal: part(literal, common.SEED_SIZE, LITERAL_SHARE),
            greedy: whole(greedy, beams=1),
            (shipped := "captioner as shipped"): whole(shipped),
        },
    )

    def agreeing(name: str) -> int:
        return sum(said[name].get(photo) == said[seed][photo] for photo in photos)

    if agreeing(exact) < AGREEMENT * len(photos):
        for photo in photos:
            if said[exact][photo] != said[seed][photo]:
                print(photo.path, said[seed][photo], said[exact][photo], sep="\n  ")
        sys.exit(
            f"only {agreeing(exact)} of {len(photos)} greedy captions are equal to the loop's: "
            "the two do not do the same work, and no ratio is printed."
        )
    rows: list[common.Row] = [
        {
            "configuration": name,
            "captions/s": median(rates[name]),
            **common.ratio(rates[name], rates[seed], "× seed loop"),
            f"× at {common.SEED_SIZE} px": common.ratio(rates[name], rates[literal])["ratio"],
            "equal captions": None if name == literal else agreeing(name) / len(photos),
        }
        for name in rates
    ]
    notes = [
        f"{agreeing(exact)} of {len(photos)} greedy float32 captions are equal to the loop's.",
        f"{len(photos)} photos, {repeats} repeats: in each, captioner does all of them, the loop "
        f"{len(photos) // repeats}, and at {common.SEED_SIZE} px one in {LITERAL_SHARE} of those.",
    ]
    common.report("Captions a second in one warm process", rows, notes, as_json=as_json)


if __name__ == "__main__":
    common.run(main)
