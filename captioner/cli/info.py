"""`captioner info`: installed versions, the model and engine in use, database and folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner import __version__
from captioner.cli import console, options
from captioner.errors import CaptionerError

if TYPE_CHECKING:
    from captioner.model.options import DescribeOptions

LIBRARIES = (
    "openvino",
    "keras",
    "tensorflow",
    "numpy",
    "pillow",
    "pi-heif",
    "rawpy",
    "sqlite-utils",
)


def info(
    *,
    database: options.Database = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
    as_json: options.Json = False,
) -> None:
    """Show versions, model, engine, database and folders.

    Anything missing or broken is reported in its place. --json prints one object, including
    everything that the bundle records about its training.
    """
    from captioner.model.options import DescribeOptions

    facts = {
        "versions": _versions(),
        "model": _or_error(lambda: _bundle(model)),
        "engine": _or_error(
            lambda: _engine(DescribeOptions(bundle=model, device=device, precision=precision))
        ),
        "database": _or_error(lambda: _database(database)),
        "folders": _or_error(_folders),
    }
    if as_json:
        console.json_line(facts)
        return
    if record := facts["model"].get("training"):
        facts["model"]["training"] = {name: record[name] for name in ("command", "data")}
    for line in _lines(facts):
        console.line(line)


def _versions() -> dict[str, str | None]:
    import platform
    import sqlite3
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {
        "captioner": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
    }
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _bundle(chosen: Path | None) -> dict[str, Any]:
    from captioner.app_paths import bundle_folder
    from captioner.model.bundle import Bundle

    bundle = Bundle.open(bundle_folder(chosen))
    return {
        "folder": str(bundle.folder),
        "id": bundle.model_id,
        "input_size": bundle.size,
        "encoder": bundle.manifest["encoder"]["kind"],
        "decoders": len(bundle.decoders),
        "decoder_kinds": [entry["kind"] for entry in bundle.manifest["decoders"]],
        "training": bundle.manifest["training"],
    }


def _engine(how: DescribeOptions) -> dict[str, Any]:
    # Started for real: that it starts is what somebody who looks here wants to know.
    from captioner.model import load

    describer = load(how)
    return {"name": describer.engine.name, "batch_size": describer.batch_size}


def _database(chosen: Path | None) -> dict[str, Any]:
    from captioner.app_paths import database_path
    from captioner.index import Index

    with Index.open(chosen or database_path()) as index:
        counts = index.counts()
        return {
            "file": str(index.path),
            "photos": counts.photos,
            "described": counts.described,
            "failed": counts.failed,
            "missing": counts.missing,
            "ignored": counts.ignored,
            "described_by": index.model_ids(),
        }


def _folders() -> dict[str, str]:
    from captioner.app_paths import cache_folder, data_folder, usable_cache

    cache = cache_folder()
    folders = {"data": str(data_folder())}
    if not cache:
        return {**folders, "cache_error": "there is no home folder"}
    folders["cache"] = str(cache)
    if not usable_cache("openvino"):
        folders["cache_error"] = "not used: it is not writable, or the disk is full"
    return folders


def _or_error(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return read()
    except CaptionerError as error:
        return {"error": str(error)}


def _lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Nested facts as indented lines; a nested mapping of plain facts on one line."""
    width = max((len(name) for name in facts), default=0)
    for key, fact in facts.items():
        name = key.replace("_", " ")
        if isinstance(fact, list) and any(isinstance(inner, Mapping) for inner in fact):
            yield f"{indent}{name}"
            yield from (f"{indent}  {_format(inner)}" for inner in fact)
            continue
        if isinstance(fact, Mapping) and (not indent or _is_deep(fact)):
            yield f"{indent}{name}"
            yield from _lines(fact, indent + "  ")
        else:
            yield f"{indent}{name:<{width}}  {_format(fact)}"


def _is_deep(fact: Mapping[str, Any]) -> bool:
    return any(isinstance(inner, Mapping | list) for inner in fact.values())


def _format(fact: object) -> str:
    match fact:
        case None:
            return "not installed"
        case Mapping():
            return ", ".join(f"{name} {_format_nested(inner)}" for name, inner in fact.items())
        case list():
            return ", ".join(map(_format_nested, fact)) or "nothing"
        case bool():
            return "yes" if fact else "no"
        case int():
            return f"{fact:,}"
        case _:
            return str(fact)


def _format_nested(fact: object) -> str:
    return f"({_format(fact)})" if isinstance(fact, Mapping | list) else _format(fact)
