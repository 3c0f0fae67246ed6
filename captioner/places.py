"""Where captioner keeps things: the database, what may be thrown away, and the bundle it ships."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from captioner.errors import UsageError

PACKAGE = Path(__file__).resolve().parent


def data_folder() -> Path:
    """Holds the database. `CAPTIONER_HOME` moves it, and the cache with it."""
    home = os.environ.get("CAPTIONER_HOME")
    return Path(home) if home else Path(platformdirs.user_data_dir("captioner", appauthor=False))


def cache_folder() -> Path:
    """Compiled graphs and extracted features: all of it can be made again."""
    home = os.environ.get("CAPTIONER_HOME")
    if home:
        return Path(home) / "cache"
    return Path(platformdirs.user_cache_dir("captioner", appauthor=False))


def database_path() -> Path:
    """`CAPTIONER_DB`, else `captioner.db` in the data folder."""
    chosen = os.environ.get("CAPTIONER_DB")
    return Path(chosen) if chosen else data_folder() / "captioner.db"


def bundle_folder(chosen: Path | None = None) -> Path:
    """The bundle to use: the one chosen, else `CAPTIONER_MODEL`, else the one that ships.

    Raises
    ------
    UsageError
        Where the folder holds no bundle.
    """
    named = chosen or (
        Path(os.environ["CAPTIONER_MODEL"]) if "CAPTIONER_MODEL" in os.environ else None
    )
    # A wheel carries the bundle inside the package; a checkout has it beside.
    candidates = [named] if named else [PACKAGE / "weights/base", PACKAGE.parent / "weights/base"]
    for folder in candidates:
        if (folder / "bundle.json").is_file():
            return folder
    raise UsageError(
        f"no model at {candidates[-1]}: it has no bundle.json.",
        "Name a bundle with --model, or make one with `captioner train`.",
    )
