"""The typed data that passes between the rooms: `walk → decode → encode → describe → store`.

Each stage takes the type before it and yields the next one, or a `Failure` in its place. All are
frozen, so that a value may cross threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.float16]
PixelArray = npt.NDArray[np.uint8]

_LARGEST = 2**63 - 1
"""Of SQLite's integers, and of NumPy's."""


def _int64(number: int) -> int:
    """The nearest number that a database column or an int64 array can hold.

    File systems keep modification times up to the year 2446; nanoseconds since 1970 in 64 bits
    end in 2262.
    """
    return min(max(number, -_LARGEST), _LARGEST)


class Sidecar(NamedTuple):
    """A file beside a photo that says something about it, as the walk found it."""

    name: str
    """In the photo's folder."""
    size: int
    """Bytes."""
    mtime_ns: int


class Photo:
    """A file found by the walk; nothing of it has been opened yet. Not to be changed.

    Parameters
    ----------
    path
        As the person gave it, with what the walk found below it. May hold surrogate escapes. Text
        becomes a `Path` when that is asked for: making one takes longer than finding the file,
        and most photos of a library are as they were and need none.
    size
        Bytes.
    sidecars
        Most important first.
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
        """A file with the size and the modification time that `stat` reports of it."""
        return cls(path, _int64(status.st_size), _int64(status.st_mtime_ns), sidecars)

    @property
    def path(self) -> Path:
        """Where it is."""
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
    """Photos of one folder that the walk found one after the other.

    Most photos of a library are as they were, and nothing is made of them but the entries here.
    """

    prefix: str
    """The beginning of their paths, to which a name is added; may be empty."""
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Bytes."""
    mtimes_ns: list[int] = field(default_factory=list)
    sidecars: dict[str, tuple[Sidecar, ...]] = field(default_factory=dict)
    """By the names of the photos that have such."""

    @classmethod
    def of(cls, photo: Photo) -> Self:
        """The listing of one photo."""
        name = os.path.basename(photo.path_str)  # noqa: PTH119 (text)
        prefix = photo.path_str[: len(photo.path_str) - len(name)]
        sidecars = {name: photo.sidecars} if photo.sidecars else {}
        return cls(prefix, [name], [photo.size], [photo.mtime_ns], sidecars)

    def add(self, name: str, status: os.stat_result, sidecars: tuple[Sidecar, ...] = ()) -> None:
        """Add a file of the folder, with what `stat` reports of it."""
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
"""Of the rules by which `Facts` are read; 0 before titles, XMP's dates and places were."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the camera and people wrote about a photo. What is not there is None."""

    taken_at: str | None = None
    """Local time as the camera's clock had it, ISO 8601 without offset: "2024-05-06T07:08:09"."""
    taken_offset: str | None = None
    """Of that clock from UTC: "+02:00"."""
    camera: str | None = None
    """Maker and model, the maker once: "Canon EOS R6"."""
    lens: str | None = None
    latitude: float | None = None
    """Degrees, north positive."""
    longitude: float | None = None
    """Degrees, east positive."""
    caption: str | None = None
    """A person's: placeholders that cameras write do not count."""
    keywords: tuple[str, ...] = ()
    """A person's, in the file's order."""
    title: str | None = None
    """A person's: of XMP, IPTC, or of a sidecar."""
    others: tuple[str, ...] = ()
    """Further captions and titles of people, from places that count less: for search alone."""


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A decoded photo, upright, squashed to the model's square."""

    photo: Photo
    rgb: PixelArray
    """uint8 (size, size, 3), sRGB."""
    width: int
    """Of the upright original, pixels."""
    height: int
    format: str
    """What the content is, in Pillow's words: "JPEG", "PNG", …"""
    content_hash: bytes
    """BLAKE2b-160 of the whole file: recognises moved files and identical copies."""
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What an encoder computes from N photos, float32."""

    pooled: FloatArray
    """(N, D): one vector a photo."""
    grid: FloatArray | None = None
    """(N, h, w, C): the feature map before pooling, for attention; None if not computed."""

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, rows: slice) -> Features:
        """The features of some of the photos."""
        return Features(self.pooled[rows], None if self.grid is None else self.grid[rows])


@dataclass(frozen=True, slots=True)
class Caption:
    """One sentence about a photo."""

    text: str
    """A clean sentence: capital first, full stop last, no marks of the model."""
    confidence: float
    """How far to trust it, 0 to 1: calibrated probability that the sentence fits its photo."""
    log_probability: float
    """Natural logarithm of the decoder's probability of the words, end mark included."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word that the model sees in the photo, whether or not the sentence uses it."""

    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class SearchVectors:
    """What a query is compared with. One row a photo when stacked."""

    embedding: HalfArray
    """(256,) or (N, 256): the photo in the joint space, of unit length."""
    word_hidden: HalfArray
    """(H,) or (N, H): the word head's hidden layer; a query's words read their logits off it."""


@dataclass(frozen=True, slots=True)
class Description:
    """All that the model has to say about one photo."""

    photo: Photo
    width: int
    height: int
    format: str
    content_hash: bytes
    captions: tuple[Caption, ...]
    """Best first. Those alone that the model trusts: where it trusts none, there is none."""
    keywords: tuple[Keyword, ...]
    """Most probable first."""
    feature: HalfArray
    """(2048,): the encoder's output, kept so that a new decoder needs no pixels."""
    vectors: SearchVectors
    facts: Facts = Facts()

    @property
    def text(self) -> str:
        """The best sentence, else the keywords; empty where there is neither."""
        if self.captions:
            return self.captions[0].text
        return keyword_text(keyword.word for keyword in self.keywords)

    def __str__(self) -> str:
        """The path and the text, as a line for a person."""
        return f"{self.photo.path_str}: {self.text}"


def keyword_text(keywords: Iterable[str]) -> str:
    """Keywords as they stand where a sentence would: without its capital and its full stop."""
    return ", ".join(keywords)


@dataclass(frozen=True, slots=True)
class Failure:
    """A photo that could not be described, and why, in words for a person."""

    path: Path
    reason: str
    """One line that completes "cannot read PATH: …" and ends with the remedy where there is one."""
    photo: Photo | None = None
    """None where the trouble lies outside the file, which may succeed as it is another time."""

    def __str__(self) -> str:
        """The path and the reason, as a line for a person."""
        return f"cannot read {self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class StoredCaption:
    """What the index has to say about a photo, for writing it down elsewhere."""

    photo: Photo
    """As it was when it was described."""
    text: str | None
    """A person's where there is one, else the model's best; None where it trusts no sentence."""
    model_id: str | None
    """None for a person's."""
    confidence: float
    """As of `Caption`; 1 for a person's, 0 where there is no text."""
    keywords: tuple[str, ...]
    """Most probable first."""


@dataclass(frozen=True, slots=True)
class FileWrite:
    """One write to a file, and the way back."""

    photo: Path
    """Which photo it is about, where it was then."""
    content_hash: bytes
    """Of that photo after the write, as in `DecodedPhoto`: finds a photo that was moved."""
    path: Path
    """Of the file written, the photo or its sidecar."""
    sha256_before: bytes | None
    """SHA-256 of its content; None where there was no file."""
    sha256_after: bytes
    """SHA-256."""
    undo_patch: bytes
    """Turns the content after into the one before."""


@dataclass(frozen=True, slots=True)
class BundleIds:
    """Which weights made a description."""

    model_id: str
    """Digest of the bundle; empty for one that differs from all there are."""
    encoder_id: str
    """Digest of what makes the features: bundles with the same can share them."""


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
    """What a query looks for: along which directions, and what P measures make of these.

    Each photo is judged by itself and through few numbers, so that a search may look at all
    photos roughly and at the best of them closely.
    """

    joint_directions: FloatArray
    """(256, A): directions in the joint space."""
    word_directions: FloatArray
    """(H, B): directions in the word head's hidden layer."""
    measure: Callable[[FloatArray, FloatArray], FloatArray]
    """Of how far N photos lie along them, (N, A) and (N, B): float32 (N, P), larger is better."""
    measure_weights: FloatArray
    """(P,): what each measure counts, once it is standardised over all photos."""
    log_odds: Callable[[FloatArray], FloatArray] | None = None
    """Evidence (N, P) → (N,): calibrated log odds that a photo shows what was asked, comparable
    between queries. None where nobody calibrated them."""

    def measures(self, vectors: SearchVectors) -> FloatArray:
        """The evidence (N, P) of stacked photos (N rows)."""
        return self.measure(
            _along(vectors.embedding, self.joint_directions),
            _along(vectors.word_hidden, self.word_directions),
        )


def _along(vectors: HalfArray, directions: FloatArray) -> FloatArray:
    if not directions.size:
        return np.empty((len(vectors), 0), np.float32)
    return vectors.astype(np.float32) @ directions


QueryPlanner = Callable[[str], QueryPlan | None]
"""What a model looks for when it is asked something; None where it knows none of the words."""


class Describer(Protocol):
    """What the pipeline needs of a model."""

    @property
    def model_id(self) -> str:
        """Digest of the bundle: descriptions with the same id come from the same weights."""
        ...

    @property
    def encoder_id(self) -> str:
        """Digest of what makes the features: models with the same can share them."""
        ...

    @property
    def size(self) -> int:
        """Side of the square the encoder takes, pixels."""
        ...

    @property
    def batch_size(self) -> int:
        """Photos the engine wants at once."""
        ...

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[FloatArray]:
        """Features (n, 2048) of each batch (n, size, size, 3), in order, n at most `batch_size`.

        Pulls a few batches ahead of what it has yielded, so that the engine never waits.
        """
        ...

    def describe(self, pixels: Sequence[DecodedPhoto], features: FloatArray) -> list[Description]:
        """Captions, keywords and search vectors of decoded photos with their features (N, 2048)."""
        ...
