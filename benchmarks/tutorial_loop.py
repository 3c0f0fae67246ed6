"""(a) Captions per second: captioner compared with the usual tutorial loop in Keras.

The baseline is how tutorials caption photos ("Image Caption Generator with CNN & LSTM"), on Keras
and TensorFlow: read one photo; `predict` of the encoder with batch size 1; then for each word one
`predict` of the decoder over the whole prefix, arg-max, and a linear search of the vocabulary for
the word, until the end token. Both run on the CPU, with the same bundle and the same photos.

The baseline differs from the tutorials in three points, so that captions can be compared:

- The encoder takes the bundle's input size. A second baseline takes 299 pixels, for its rate only.
- The prefix is padded to 32 tokens on the right, as the decoder was trained, not on the left, and
  the prediction is read at the last word's position. The cost is the same: one pass of the LSTM
  over 32 tokens, one product with the vocabulary.
- captioner's rules apply: no special token but the end, no word twice in a row, no empty sentence.

In favour of the baseline: its graphs are traced before the measurement, its photos are read by
captioner's own reader, and if the bundle has several decoders, one `predict` evaluates them all.

In each repeat captioner captions all photos, and the baseline a different part of them, so that in
the end it has captioned all of them once. captioner's model is loaded again for each repeat, and
its engine warmed up, both outside the measurement: the decoder caches prefixes, so that photos
captioned before would be faster. Greedy captions of both in float32 are compared before anything is
printed; if too few are equal, there is no ratio.
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
from captioner.model.candidates import GenerationConfig
from captioner.model.encoders import TrainedEncoder
from captioner.model.encoders.xception import feature_size
from captioner.model.vocabulary import END, PAD, START, UNKNOWN, sentence
from captioner.photos.read import read
from captioner.types import Failure, Photo

LENGTH = 32
"""Tokens of a padded prefix."""
AGREEMENT = 0.98
"""Share of captions that must be equal: float32 sums in another order decide a few ties."""
PUBLISHED_SIZE_SHARE = 4
"""The baseline at 299 pixels is timed on one in so many of the baseline's photos."""


class TutorialLoop:
    """The baseline: one photo at a time, one word at a time.

    Parameters
    ----------
    size
        Width and height of the encoder's input, pixels.
    """

    def __init__(self, bundle: Bundle, size: int) -> None:
        self.size = size
        self.tokens: list[str] = bundle.json(VOCABULARY)
        config = GenerationConfig.from_manifest(bundle.manifest["describe"])
        self.max_length = min(config.max_length, LENGTH - 1)
        self.encoder = TrainedEncoder.read(bundle, int8=False).network(size)
        self.decoder = next_word(bundle, len(self.tokens))

    def caption(self, photo: Photo) -> str:
        """The greedy caption of a photo."""
        pixels = read(photo, self.size).rgb
        feature = self.encoder.predict(pixels[None], verbose=0)
        prefix = [START]
        words: list[str] = []
        while len(words) < self.max_length:
            padded = np.array([prefix + [PAD] * (LENGTH - len(prefix))], np.int32)
            p = self.decoder.predict({"feature": feature, "tokens": padded}, verbose=0)[0]
            p[[PAD, START, UNKNOWN, prefix[-1]]] = 0
            if not words:
                p[END] = 0
            best = int(p.argmax())
            if best == END:
                break
            prefix.append(best)
            words.append(next(word for number, word in enumerate(self.tokens) if number == best))
        return sentence(words)


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
    """Captions per second of captioner with a newly loaded model, and the captions."""
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
        sys.exit("the baseline needs TensorFlow: pip install tensorflow")
    bundle = Bundle.open(bundle_folder(options.model))
    with common.photos(options.photos, options.count) as photos:
        measure(bundle, photos, min(options.repeats, options.count), as_json=options.json)


def measure(bundle: Bundle, photos: Sequence[Photo], repeats: int, *, as_json: bool) -> None:
    texts_of: dict[str, dict[Photo, str]] = {}

    def all_photos(name: str, **options: Any) -> Callable[[int], float]:
        def work(repeat: int) -> float:
            rate, texts = captions(photos, bundle=bundle.folder, **options)
            texts_of[name] = dict(zip(photos, texts, strict=True))
            return rate

        return work

    def portion(name: str, size: int, share: int = 1) -> Callable[[int], float]:
        loop = TutorialLoop(bundle, size)
        loop.caption(photos[0])  # traces its graphs

        def work(repeat: int) -> float:
            own = photos[repeat::repeats]
            own = own[: max(1, len(own) // share)]
            start = perf_counter()
            texts = [loop.caption(photo) for photo in own]
            elapsed = perf_counter() - start
            texts_of.setdefault(name, {}).update(zip(own, texts, strict=True))
            return len(own) / elapsed

        return work

    baseline, published = (
        f"tutorial loop, {size} px" for size in (bundle.size, common.PUBLISHED_SIZE)
    )
    exact, greedy = "captioner, greedy, float32", "captioner, greedy, int8"
    rates = common.side_by_side(
        repeats,
        {
            baseline: portion(baseline, bundle.size),
            exact: all_photos(exact, precision="float32", beam_width=1),
            published: portion(published, common.PUBLISHED_SIZE, PUBLISHED_SIZE_SHARE),
            greedy: all_photos(greedy, beam_width=1),
            (shipped := "captioner as shipped"): all_photos(shipped),
        },
    )

    def agreeing(name: str) -> int:
        return sum(texts_of[name].get(photo) == texts_of[baseline][photo] for photo in photos)

    if agreeing(exact) < AGREEMENT * len(photos):
        for photo in photos:
            if texts_of[exact][photo] != texts_of[baseline][photo]:
                print(photo.path, texts_of[baseline][photo], texts_of[exact][photo], sep="\n  ")
        sys.exit(
            f"only {agreeing(exact)} of {len(photos)} greedy captions are equal to the baseline's: "
            "the two do not do the same work, and no ratio is printed."
        )
    rows: list[common.Row] = [
        {
            "configuration": name,
            "captions/s": median(rates[name]),
            **common.ratio(rates[name], rates[baseline], "× tutorial loop"),
            f"× {common.PUBLISHED_SIZE} px": common.ratio(rates[name], rates[published])["ratio"],
            "equal captions": None if name == published else agreeing(name) / len(photos),
        }
        for name in rates
    ]
    notes = [
        f"{agreeing(exact)} of {len(photos)} greedy float32 captions are equal to the baseline's.",
        f"{len(photos)} photos, {repeats} repeats: in each, captioner captions all of them, the "
        f"baseline {len(photos) // repeats}, and at {common.PUBLISHED_SIZE} px one in "
        f"{PUBLISHED_SIZE_SHARE} of those.",
    ]
    common.report("Captions per second in one warm process", rows, notes, as_json=as_json)


if __name__ == "__main__":
    common.run(main)
