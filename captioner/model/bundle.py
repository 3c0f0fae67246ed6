"""The bundle: a folder of data files that is the whole model, checked when it is read.

`bundle.json`, the manifest, lists the other files with the SHA-256 of each. There is no pickle and
no code: weights are safetensors in float16, words are JSON. The int8 graph is built from the same
weights, with the activation ranges measured on training photos.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import CaptionerError, UsageError
from captioner.model import destination
from captioner.model.destination import MANIFEST
from captioner.types import FloatArray

FORMAT = 2
VOCABULARY, LEXICON, CONCEPTS = "vocabulary.json", "lexicon.json", "concepts.json"
CONCEPTS_LICENCE = "WORDNET-LICENSE.txt"
ENCODER, WORDS, JOINT = "encoder.safetensors", "words.safetensors", "joint.safetensors"
ACTIVATION_RANGES = "encoder-int8.safetensors"
ARCHITECTURE = "encoder.json"
"""Of the encoder. It follows from the manifest, so that it is no part of `Bundle.encoder_id`."""
_ENCODER = (ENCODER, ACTIVATION_RANGES)
LIMIT = 2**30
"""Bytes in a bundle, at most. VGG16 alone takes 268 MB."""
_SMALL = 4096
"""Arrays of up to this many numbers are stored as float32: biases, for example."""


def decoder_file(number: int) -> str:
    """File name of a decoder, numbered from 1."""
    return f"decoder-{number}.safetensors"


@dataclass(frozen=True, slots=True)
class Bundle:
    """An open bundle. Its files are read, and their checksums verified, on access."""

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Read `bundle.json`.

        Raises
        ------
        CaptionerError
            If it is missing, damaged, or of a newer format.
        """
        file = folder / MANIFEST
        try:
            manifest = json.loads(file.read_text("utf-8"))
            version = manifest["format"]
        except FileNotFoundError:
            raise UsageError(
                f"no model at {folder}: it has no {MANIFEST}.",
                "Name a bundle with --model, or train one with `captioner train`.",
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CaptionerError(f"{file} cannot be read: {error}.", _AGAIN) from None
        if not isinstance(version, int) or version > FORMAT:
            raise CaptionerError(
                f"the model at {folder} has format {version}, but this version of captioner reads "
                f"only format {FORMAT}.",
                "Upgrade captioner, or name another bundle with --model.",
            )
        if version < FORMAT:
            raise CaptionerError(
                f"the model at {folder} has format {version}, which captioner no longer reads.",
                "Train it again with `captioner train`, or name another bundle with --model.",
            )
        return cls(folder, manifest)

    @property
    def model_id(self) -> str:
        """Digest of the files and the settings that captions depend on, 12 hexadecimal digits."""
        files = self.manifest["files"]
        settings = json.dumps(self.manifest["describe"], sort_keys=True)
        text = "".join(f"{name} {files[name]}\n" for name in sorted(files)) + settings
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def encoder_id(self) -> str:
        """Digest of what features depend on, 12 hexadecimal digits.

        Bundles with the same one can share features.
        """
        files = {name: self.manifest["files"].get(name) for name in _ENCODER}
        parts = [files, self.manifest.get("input"), self.manifest.get("encoder")]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def size(self) -> int:
        """Width and height of the encoder's input, pixels."""
        return int(self.manifest["input"]["size"])

    @property
    def decoders(self) -> list[str]:
        """File names of the decoders; several are an ensemble."""
        return [decoder["file"] for decoder in self.manifest["decoders"]]

    @property
    def needs_grid(self) -> bool:
        """Whether a decoder reads the encoder's feature map, so that pooled features do not do.

        Raises
        ------
        CaptionerError
            If a decoder is of a kind that is not registered.
        """
        from captioner.model import decoders

        return decoders.needs_grid(*(entry["kind"] for entry in self.manifest["decoders"]))

    def check_recaptioning(self) -> None:
        """Check that stored features are enough to caption with.

        Raises
        ------
        CaptionerError
            If a decoder reads the feature map, which the index does not store.
        """
        if self.needs_grid:
            raise CaptionerError(
                f"the model at {self.folder} cannot caption from stored features: its decoder "
                "looks at the feature map of each photo, and the index has the pooled features "
                "alone.",
                "Index the photos themselves with it, into a database of their own: captioner "
                "index FOLDER --model MODEL --db FILE.",
            )

    def path(self, name: str) -> Path:
        """The path of one of the bundle's files, its checksum verified.

        Raises
        ------
        CaptionerError
            If the file is missing or has another checksum than `bundle.json` lists.
        """
        self._checked(name)
        return self.folder / name

    def arrays(self, name: str) -> dict[str, FloatArray]:
        """The arrays of a safetensors file by name, as float32; raises as `path`."""
        from safetensors.numpy import load

        try:
            return {
                key: value.astype(np.float32) for key, value in load(self._checked(name)).items()
            }
        except (ValueError, KeyError) as error:
            raise CaptionerError(f"{self.folder / name} cannot be read: {error}.", _AGAIN) from None

    def json(self, name: str) -> Any:
        """The content of a JSON file; raises as `path`."""
        return json.loads(self._checked(name))

    def _checked(self, name: str) -> bytes:
        file = self.folder / name
        try:
            content = file.read_bytes()
        except OSError as error:
            raise CaptionerError(f"{file} cannot be read: {error.strerror}.", _AGAIN) from None
        if hashlib.sha256(content).hexdigest() != self.manifest["files"].get(name):
            raise CaptionerError(f"{file} does not match its checksum in {MANIFEST}.", _AGAIN)
        return content


_AGAIN = "Reinstall captioner, or train the bundle again with `captioner train`."


def checksum(file: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write(
    folder: Path,
    manifest: Mapping[str, Any],
    *,
    arrays: Mapping[str, Mapping[str, FloatArray]],
    texts: Mapping[str, Any],
    copies: Iterable[Path] = (),
    force: bool = False,
) -> Bundle:
    """Write a bundle atomically: the folder is either unchanged or the new bundle.

    Parameters
    ----------
    folder
        Absent, empty or, with `force`, an earlier bundle.
    manifest
        All of `bundle.json` except `format` and `files`.
    arrays
        For each safetensors file its arrays; stored as float16, small ones as float32.
    texts
        For each JSON file its content, for each plain file its text.
    copies
        Files to copy, under their own names.

    Raises
    ------
    UsageError
        If the folder cannot be written to: see `captioner.model.destination`.
    CaptionerError
        If it is larger than `LIMIT`, or cannot be written.
    """
    from safetensors.numpy import save

    with destination.replacing(folder, force=force) as new:
        for name, group in arrays.items():
            stored = {
                key: np.ascontiguousarray(value, np.float16 if value.size > _SMALL else np.float32)
                for key, value in group.items()
            }
            (new / name).write_bytes(save(stored))
        for name, content in texts.items():
            text = content
            if not isinstance(content, str):
                text = json.dumps(content, ensure_ascii=False, indent=0) + "\n"
            (new / name).write_text(text, "utf-8")
        for file in copies:
            (new / file.name).write_bytes(file.read_bytes())
        sums = {file.name: checksum(file) for file in sorted(new.iterdir())}
        total = sum(file.stat().st_size for file in new.iterdir())
        if total > LIMIT:
            raise CaptionerError(
                f"the bundle would be {total >> 20} MiB, and {LIMIT >> 20} is the limit.",
                "Train fewer or smaller decoders.",
            )
        complete = {"format": FORMAT, **manifest, "files": sums}
        text = json.dumps(complete, ensure_ascii=False, indent=2)
        (new / MANIFEST).write_text(text + "\n", "utf-8")
    # As given, unless the path goes through a folder that does not exist: `new/../bundle`.
    return Bundle.open(folder if folder.exists() else folder.resolve())
