"""The application's paths: database, data and cache folders, and the model bundle."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from captioner.errors import UsageError

PACKAGE = Path(__file__).resolve().parent
MIN_FREE_BYTES = 256 << 20
"""Free disk space required for a cache. A compiled graph takes some 50 MB."""

_PLATFORM: str = sys.platform
_REMEDY = "Set CAPTIONER_HOME to a folder, or name the database with --db or CAPTIONER_DB."


def expanded(path: str | Path) -> Path:
    """A path with a leading `~` or `~user` expanded to that home folder.

    Shells expand it, but systemd, compose files and Windows do not.

    Raises
    ------
    UsageError
        If that home folder is unknown.
    """
    text = os.fspath(path)
    if not text.startswith("~"):
        return Path(path)
    first, _, rest = text.replace(os.sep, "/", 1).partition("/")
    if first == "~":
        if home := home_folder():
            return home / rest
    elif (there := Path(os.path.expanduser(first))).is_absolute():  # noqa: PTH111 (does not raise)
        return there / rest
    raise UsageError(f"{text}: the home folder of {first} is unknown.", "Give the whole path.")


def from_environment(name: str) -> Path | None:
    """The path in an environment variable, its `~` expanded; None if unset or empty.

    Raises
    ------
    UsageError
        If it begins with `~` and that home folder is unknown.
    """
    value = os.environ.get(name)
    try:
        return expanded(value) if value else None
    except UsageError as error:
        raise UsageError(f"{name}={error.reason}", error.remedy) from error


def home_folder() -> Path | None:
    """This user's home folder, which may not exist; None if it is unknown.

    HOME may be unset, as in cron jobs and containers, empty or relative. Then the password database
    is used, in which the user of a container may be missing.
    """
    if _PLATFORM == "win32":
        home = os.path.expanduser("~")  # noqa: PTH111 (does not raise)
    else:
        home = os.environ.get("HOME", "")
        if not os.path.isabs(home):  # noqa: PTH117
            try:
                import pwd

                home = pwd.getpwuid(os.getuid()).pw_dir
            except (ImportError, KeyError, OSError):
                return None
    return Path(home) if os.path.isabs(home) else None  # noqa: PTH117


def _user_folder(kind: str) -> Path | None:
    """The platform's folder for a user's data or cache; None if the home folder is unknown."""
    if _PLATFORM in ("win32", "darwin"):
        import platformdirs

        find = platformdirs.user_cache_dir if kind == "cache" else platformdirs.user_data_dir
        folder = Path(find("captioner", appauthor=False))
        return folder if folder.is_absolute() else None
    # As in platformdirs, which however accepts relative and empty paths.
    variable, below_home = (
        ("XDG_CACHE_HOME", ".cache") if kind == "cache" else ("XDG_DATA_HOME", ".local/share")
    )
    base = from_environment(variable)
    if base is None or not base.is_absolute():  # the XDG specification ignores relative paths
        home = home_folder()
        base = home and home / below_home
    return base and base / "captioner"


def _missing_home(folder: Path) -> Path | None:
    """The home folder if `folder` would be in it and it does not exist; None otherwise.

    Service accounts have one such as /nonexistent, which must not be created, even by root.
    """
    home = home_folder()
    if home and folder.is_relative_to(home) and not os.path.isdir(home):  # noqa: PTH112 (may raise)
        return home
    return None


def data_folder() -> Path:
    """The folder of the database. `CAPTIONER_HOME` moves it together with the cache.

    Raises
    ------
    UsageError
        If there is no home folder for it.
    """
    if chosen := from_environment("CAPTIONER_HOME"):
        return chosen
    folder = _user_folder("data")
    if folder is None:
        raise UsageError("there is no home folder for the database.", _REMEDY)
    if home := _missing_home(folder):
        raise UsageError(f"the home folder {home} does not exist.", _REMEDY)
    return folder


def cache_folder() -> Path | None:
    """The folder of compiled graphs and extracted features, which can be computed again.

    None if there is no home folder for it.
    """
    home = from_environment("CAPTIONER_HOME")
    return home / "cache" if home else _user_folder("cache")


def usable_cache(name: str) -> Path | None:
    """A subfolder of the cache, created if missing; None if it cannot be written to."""
    folder = cache_folder()
    if folder is None:
        return None
    import shutil

    folder /= name
    if _missing_home(folder):
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
            return None
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def database_path() -> Path:
    """The path of the database: `CAPTIONER_DB`, or `captioner.db` in the data folder.

    Raises
    ------
    UsageError
        If there is no home folder for it.
    """
    return from_environment("CAPTIONER_DB") or data_folder() / "captioner.db"


def bundle_folder(chosen: Path | None = None) -> Path:
    """The model bundle: `chosen`, or `CAPTIONER_MODEL`, or the one that ships with captioner.

    Raises
    ------
    UsageError
        If the folder holds no bundle.
    """
    named = chosen or from_environment("CAPTIONER_MODEL")
    # In a wheel the bundle is inside the package, in a checkout next to it.
    candidates = [named] if named else [PACKAGE / "weights/base", PACKAGE.parent / "weights/base"]
    for folder in candidates:
        if os.path.isfile(folder / "bundle.json"):  # noqa: PTH113 (is_file may raise)
            return folder
    raise UsageError(
        f"no model at {candidates[-1]}: it has no bundle.json.",
        "Name a bundle with --model, or make one with `captioner train`.",
    )
