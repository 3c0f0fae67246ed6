"""The typed data that passes between the stages: `walk → decode → encode → describe → store`.

Each stage takes the previous stage's type and yields its own, or a `Failure` instead. All are
frozen, so that values can be shared by threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.float16]
PixelArray = npt.NDArray[np.uint8]

_INT64_MAX = 2**63 - 1
"""The largest integer of SQLite, and of NumPy's int64."""


def _int64(number: int) -> int:
    """The nearest integer in the range of a database column and of an int64 array.

    File systems have modification times up to the year 2446, but nanoseconds since 1970 in 64 bits
    end in 2262.
    """
    return min(max(number, -_INT64_MAX), _INT64_MAX)


class Sidecar(NamedTuple):
    """A metadata file next to a photo (XMP, or Google Takeout's JSON), as the walk found it."""

    name: str
    """File name, in the photo's folder."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time, nanoseconds since 1970."""


class Photo:
    """A photo's file as the walk found it, not opened yet. Immutable.

    Parameters
    ----------
    path
        The path as the user gave it, extended by what the walk found below it. May hold surrogate
        escapes. Kept as text (`path_str`); `path` creates the `Path` on first use, because creating
        one takes longer than finding the file, and most photos of a library are unchanged and need
        none.
    size
        Bytes.
    mtime_ns
        Modification time, nanoseconds since 1970.
    sidecars
        In order of precedence.
    """

    __slots__ = ("_path", "mtime_ns", "path_str", "sidecars", "size")

    def __init__(
        self, path: Path | str, size: int, mtime_ns: int, sidecars: tuple[Sidecar, ...] = ()
    ) -> None:
        self.path_str: Final = path if isinstance(path, str) else os.fspath(path)
        self.size: Final = size
        self.mtime_ns: Final = mtime_ns
        self.sidecars: Final = sidecars
        self._path: Path | None = None

    @classmethod
    def of(
        cls, path: Path | str, status: os.stat_result, sidecars: tuple[Sidecar, ...] = ()
    ) -> Self:
        """A photo with the size and modification time in its `stat` result."""
        return cls(path, _int64(status.st_size), _int64(status.st_mtime_ns), sidecars)

    @property
    def path(self) -> Path:
        """The path as a `Path`."""
        if self._path is None:
            self._path = Path(self.path_str)
        return self._path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Photo) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"Photo({self.path_str!r}, {self.size}, {self.mtime_ns})"

    def _identity(self) -> tuple[str, int, int]:
        return self.path_str, self.size, self.mtime_ns


@dataclass(slots=True)
class Listing:
    """Consecutive photos of one folder, as columns: names, sizes, modification times.

    Most photos of a library are unchanged; for them no object is created beyond these columns.
    Iterating yields a `Photo` each.
    """

    prefix: str
    """What precedes each name in its path: the folder with a separator, or empty for the current
    folder."""
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Bytes."""
    mtimes_ns: list[int] = field(default_factory=list)
    """Nanoseconds since 1970."""
    sidecars: dict[str, tuple[Sidecar, ...]] = field(default_factory=dict)
    """By the names of the photos that have sidecars."""

    @classmethod
    def of(cls, photo: Photo) -> Self:
        """A listing of a single photo."""
        name = os.path.basename(photo.path_str)  # noqa: PTH119 (text)
        prefix = photo.path_str[: len(photo.path_str) - len(name)]
        sidecars = {name: photo.sidecars} if photo.sidecars else {}
        return cls(prefix, [name], [photo.size], [photo.mtime_ns], sidecars)

    def add(self, name: str, status: os.stat_result, sidecars: tuple[Sidecar, ...] = ()) -> None:
        """Append a file of the folder, given its `stat` result."""
        self.names.append(name)
        self.sizes.append(_int64(status.st_size))
        self.mtimes_ns.append(_int64(status.st_mtime_ns))
        if sidecars:
            self.sidecars[name] = sidecars

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Photo]:
        for name, size, mtime_ns in zip(self.names, self.sizes, self.mtimes_ns, strict=True):
            yield Photo(self.prefix + name, size, mtime_ns, self.sidecars.get(name, ()))


FACTS_VERSION = 1
"""Version of the rules for reading `Facts`; 0 before titles, and dates and coordinates of XMP."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a photo from its metadata, EXIF, XMP, IPTC and sidecars; None if unknown."""

    taken_at: str | None = None
    """Local time of the camera's clock, ISO 8601 without offset: "2024-05-06T07:08:09"."""
    taken_offset: str | None = None
    """Offset of that clock from UTC: "+02:00"."""
    camera: str | None = None
    """Maker and model, the maker not repeated: "Canon EOS R6"."""
    lens: str | None = None
    latitude: float | None = None
    """Degrees, north positive."""
    longitude: float | None = None
    """Degrees, east positive."""
    caption: str | None = None
    """Human-authored: placeholders of cameras and captioner's own captions do not count."""
    keywords: tuple[str, ...] = ()
    """Human-authored, in the file's order."""
    title: str | None = None
    """Human-authored: from XMP, IPTC, EXIF, PNG or a sidecar."""
    others: tuple[str, ...] = ()
    """Further captions, titles, alternative texts and place names, for search only."""


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A photo decoded to the model input: upright sRGB, resized to a square."""

    photo: Photo
    rgb: PixelArray
    """uint8 (size, size, 3), sRGB."""
    width: int
    """Of the upright original, pixels."""
    height: int
    """Of the upright original, pixels."""
    format: str
    """Pillow's name of the file format, "JPEG", "PNG", …, or "RAW"."""
    content_hash: bytes
    """BLAKE2b-160 of the whole file, 20 bytes: identifies moved files and identical copies."""
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What an encoder computes from N photos, float32."""

    pooled: FloatArray
    """(N, D): one vector a photo."""
    grid: FloatArray | HalfArray | None = None
    """(N, h, w, C): the feature map, for decoders that attend to it; None if not computed. From a
    cache it may be float16."""

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, rows: slice | Sequence[int]) -> Features:
        """The features of some of the photos."""
        return Features(self.pooled[rows], None if self.grid is None else self.grid[rows])


@dataclass(frozen=True, slots=True)
class Caption:
    """A generated sentence about a photo."""

    text: str
    """Begins with a capital, ends with a full stop, and has no special tokens."""
    confidence: float
    """Calibrated probability that the sentence fits its photo, 0 to 1."""
    log_probability: float
    """Natural logarithm of the decoder's probability of its tokens, END included."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word for something in the photo, with its probability; the caption may not use it."""

    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class SearchVectors:
    """The vectors of a photo that queries are compared with; of N photos when stacked."""

    embedding: HalfArray
    """(256,) or (N, 256): in the joint space of photos and sentences, of unit length."""
    word_hidden: HalfArray
    """(H,) or (N, H): the word head's hidden layer, from which the logits of words are computed."""


@dataclass(frozen=True, slots=True)
class Description:
    """The model's output for one photo, with what was read from its file."""

    photo: Photo
    width: int
    height: int
    format: str
    content_hash: bytes
    captions: tuple[Caption, ...]
    """Best first; only those above the confidence threshold, so there may be none."""
    keywords: tuple[Keyword, ...]
    """Things before actions, each most probable first."""
    feature: HalfArray
    """(D,): the encoder's pooled features, stored so that another decoder needs no pixels."""
    vectors: SearchVectors
    facts: Facts = Facts()

    @property
    def text(self) -> str:
        """The best caption, otherwise the keywords; empty if there is neither."""
        if self.captions:
            return self.captions[0].text
        return keyword_text(keyword.word for keyword in self.keywords)

    def __str__(self) -> str:
        """The path and the text, as a line to print."""
        return f"{self.photo.path_str}: {self.text}"


def keyword_text(keywords: Iterable[str]) -> str:
    """Keywords as text, separated by commas; shown if there is no caption."""
    return ", ".join(keywords)


@dataclass(frozen=True, slots=True)
class Failure:
    """A photo that could not be described, and why, in words for a person."""

    path: Path
    reason: str
    """One line that completes "cannot read PATH: …" and ends with the remedy where there is one."""
    photo: Photo | None = None
    """None if PATH leads to no photo: an unreadable folder, or nothing at all."""
    transient: bool = False
    """Whether the cause lies outside the file (a lost drive, a lack of memory), so that the same
    file may succeed another time. The index stores no transient failure."""

    def __str__(self) -> str:
        """The path and the reason, as a line for a person."""
        return f"cannot read {self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class StoredCaption:
    """The caption and keywords that the index holds of a photo, for writing them elsewhere."""

    photo: Photo
    """Its path, size and date when it was described."""
    text: str | None
    """Human-authored if there is one, else the model's best; None if it trusts no sentence."""
    model_id: str | None
    """None if human-authored."""
    confidence: float
    """As of `Caption`; 1 if human-authored, 0 if there is no text."""
    keywords: tuple[str, ...]
    """Things before actions, each most probable first."""


@dataclass(frozen=True, slots=True)
class FileWrite:
    """One write of metadata to a file, with the patch that undoes it."""

    photo: Path
    """The path of the photo that it is about, at that time."""
    content_hash: bytes
    """Of that photo after the write, as in `DecodedPhoto`: finds a photo that was moved."""
    path: Path
    """Of the file written, the photo or its sidecar."""
    sha256_before: bytes | None
    """SHA-256 of its content before; None if there was no file."""
    sha256_after: bytes
    """SHA-256 of its content after."""
    undo_patch: bytes
    """Byte splices that turn the content after into the one before."""


@dataclass(frozen=True, slots=True)
class BundleIds:
    """Digests that identify the weights behind a description."""

    model_id: str | None
    """Digest of the bundle; None for one that differs from every stored one."""
    encoder_id: str
    """Of what features depend on: bundles with the same one can share features."""


@dataclass(frozen=True, slots=True)
class RecognisedPhoto:
    """A photo that is new by its path or date, but whose content the index knows."""

    photo: Photo
    change: Literal["same", "moved", "copied", "sidecar"]
    """Only its date is new; it was elsewhere before; it is there, too, still; only what its
    sidecars say is new."""
    source: Path
    """Where that content was, or is."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """How to score photos for a query: directions to project on, and P measures of the result.

    Each photo is scored by itself and by few numbers, so that a search can score all photos
    approximately and the best of them exactly.
    """

    joint_directions: FloatArray
    """(256, A): in the joint embedding space."""
    word_directions: FloatArray
    """(H, B): in the word head's hidden layer."""
    measure: Callable[[FloatArray, FloatArray], FloatArray]
    """From the products of N photos with them, (N, A) and (N, B): (N, P), larger is better."""
    measure_weights: FloatArray
    """(P,): of each measure, once it is standardised over all photos; see `captioner.fusion`."""
    log_odds: Callable[[FloatArray], FloatArray] | None = None
    """Measures (N, P) → (N,): calibrated log odds that a photo matches, comparable between queries.
    None if they are not calibrated."""

    def measures(self, vectors: SearchVectors) -> FloatArray:
        """The measures (N, P) of stacked photos (N rows)."""
        return self.measure(
            _along(vectors.embedding, self.joint_directions),
            _along(vectors.word_hidden, self.word_directions),
        )

    def with_photo(self, embedding: HalfArray, weight: float) -> QueryPlan:
        """The same query, and photos that look like one with this embedding.

        Their cosine is a further measure with this weight, 0 to 1; the others share the rest. The
        log odds remain those of the words.
        """
        own, log_odds = self.measure, self.log_odds

        def measure(cosines: FloatArray, logits: FloatArray) -> FloatArray:
            return np.hstack([own(cosines[:, :-1], logits), cosines[:, -1:]])

        direction = embedding.astype(np.float32)[:, None]
        total = self.measure_weights.sum()
        return QueryPlan(
            np.hstack([self.joint_directions.reshape(len(direction), -1), direction]),
            self.word_directions,
            measure,
            np.append(self.measure_weights * (1 - weight) / total, weight).astype(np.float32),
            None if log_odds is None else lambda measures: log_odds(measures[:, :-1]),
        )

    @classmethod
    def of_photo(
        cls, embedding: HalfArray, log_odds: Callable[[FloatArray], FloatArray] | None = None
    ) -> QueryPlan:
        """Photos that look like one with this embedding: by the cosine alone."""
        direction, no_words = embedding.astype(np.float32)[:, None], np.empty((0, 0), np.float32)
        weight = np.ones(1, np.float32)
        return cls(direction, no_words, lambda cosines, _: cosines, weight, log_odds)


def _along(vectors: HalfArray, directions: FloatArray) -> FloatArray:
    if not directions.size:
        return np.empty((len(vectors), 0), np.float32)
    return vectors.astype(np.float32) @ directions


QueryPlanner = Callable[[str], QueryPlan | None]
"""Plans a query; None if the model knows none of its words."""


class Describer(Protocol):
    """A model as the pipeline uses it: pixels to features, features to descriptions."""

    @property
    def model_id(self) -> str:
        """As `BundleIds.model_id`."""
        ...

    @property
    def encoder_id(self) -> str:
        """As `BundleIds.encoder_id`."""
        ...

    @property
    def size(self) -> int:
        """Width and height of the encoder's input, pixels."""
        ...

    @property
    def batch_size(self) -> int:
        """Photos per batch, at most."""
        ...

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        """Features of each batch (n, size, size, 3), in order, n at most `batch_size`.

        It pulls a few batches ahead of what it has yielded, so that the engine never waits.
        """
        ...

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        """Captions, keywords and search vectors of decoded photos with their features."""
        ...


@runtime_checkable
class PortableDescriber(Describer, Protocol):
    """A describer that can be loaded again in other processes, on this machine or another."""

    def loader(self) -> Callable[[], Describer]:
        """Loads the same describer wherever it is pickled to; starts no engine until it encodes."""
        ...

    @property
    def settings(self) -> str:
        """What descriptions depend on beside the bundle, as text."""
        ...
