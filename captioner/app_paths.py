"""Where captioner keeps things: the database, what may be thrown away, and the bundle it ships."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from captioner.errors import UsageError

PACKAGE = Path(__file__).resolve().parent
CACHE_BYTES = 256 << 20
"""Free space that a disk must have for a cache on it. A compiled graph takes some 50 MB."""

_PLATFORM: str = sys.platform
_SET = "Set CAPTIONER_HOME to a folder, or name the database with --db or CAPTIONER_DB."


def expanded(path: str | Path) -> Path:
    """A path with a leading `~` or `~user` replaced by that home folder.

    Shells do this, but systemd, compose files and Windows do not.

    Raises
    ------
    UsageError
        If there is no such home folder.
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
        If it begins with `~` and there is no such home folder.
    """
    value = os.environ.get(name)
    try:
        return expanded(value) if value else None
    except UsageError as error:
        raise UsageError(f"{name}={error.reason}", error.remedy) from error


def home_folder() -> Path | None:
    """This user's home folder, whether it exists or not; None if it is unknown.

    HOME may be unset, as in cron jobs and containers, empty or relative: then it is the one in the
    list of users, in which the user of a container may be missing.
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
    # As platformdirs does, which takes relative and empty ones as they are.
    variable, below_home = (
        ("XDG_CACHE_HOME", ".cache") if kind == "cache" else ("XDG_DATA_HOME", ".local/share")
    )
    above = from_environment(variable)
    if above is None or not above.is_absolute():  # to be ignored, says the standard
        home = home_folder()
        above = home and home / below_home
    return above and above / "captioner"


def _lacking_home(folder: Path) -> Path | None:
    """The home folder that does not exist, if a folder is to be in it.

    Accounts of services have one like /nonexistent, which is not to be made, even by root.
    """
    home = home_folder()
    if home and folder.is_relative_to(home) and not os.path.isdir(home):  # noqa: PTH112 (may raise)
        return home
    return None


def data_folder() -> Path:
    """Holds the database. `CAPTIONER_HOME` moves it, and the cache with it.

    Raises
    ------
    UsageError
        If there is no home folder to have it in.
    """
    if chosen := from_environment("CAPTIONER_HOME"):
        return chosen
    folder = _user_folder("data")
    if folder is None:
        raise UsageError("there is no home folder to keep the database in.", _SET)
    if home := _lacking_home(folder):
        raise UsageError(f"the home folder {home} does not exist: no place for a database.", _SET)
    return folder


def cache_folder() -> Path | None:
    """Compiled graphs and extracted features: all of it can be made again.

    None if there is no home folder to have it in.
    """
    home = from_environment("CAPTIONER_HOME")
    return home / "cache" if home else _user_folder("cache")


def usable_cache(name: str) -> Path | None:
    """A folder in the cache that exists and can be written to; None if there can be none."""
    folder = cache_folder()
    if folder is None:
        return None
    import shutil

    folder /= name
    if _lacking_home(folder):
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < CACHE_BYTES:
            return None
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def database_path() -> Path:
    """`CAPTIONER_DB`, else `captioner.db` in the data folder.

    Raises
    ------
    UsageError
        If there is no home folder to have it in.
    """
    return from_environment("CAPTIONER_DB") or data_folder() / "captioner.db"


def bundle_folder(chosen: Path | None = None) -> Path:
    """The bundle to use: the one chosen, else `CAPTIONER_MODEL`, else the one that ships.

    Raises
    ------
    UsageError
        Where the folder holds no bundle.
    """
    named = chosen or from_environment("CAPTIONER_MODEL")
    # A wheel carries the bundle inside the package; a checkout has it beside.
    candidates = [named] if named else [PACKAGE / "weights/base", PACKAGE.parent / "weights/base"]
    for folder in candidates:
        if os.path.isfile(folder / "bundle.json"):  # noqa: PTH113 (is_file may raise)
            return folder
    raise UsageError(
        f"no model at {candidates[-1]}: it has no bundle.json.",
        "Name a bundle with --model, or make one with `captioner train`.",
    )
