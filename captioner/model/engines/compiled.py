"""Compiled OpenVINO graphs kept in files, each checked by its digest before it is used.

A graph that was damaged on disk would run all the same, and give noise. A file's name is a digest
of what the graph was made from and for: it is found without being made, and only by the same
encoder, translator, OpenVINO and CPU. The files may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_DIGEST_SIZE = 32
_ENDING = ".graph"


def compile_cached(
    core: Any, source: str, translated: Callable[[], Any], options: Mapping[str, Any], folder: Path
) -> Any:
    """Compile a graph for the CPU, or take it from the cache folder.

    A file there is its content's digest and the graph. It is replaced in one step, so that several
    processes may do this at once. What cannot be read, or is damaged, is compiled again; where the
    folder cannot be written, nothing is cached.

    Parameters
    ----------
    core
        OpenVINO's `Core`.
    source
        Identifies what `translated` returns: different for any two graphs that differ.
    translated
        Makes the graph; called only if the cache does not have it.
    options
        OpenVINO's, for compiling.
    """
    file = folder / f"{_key(core, source, options)}{_ENDING}"
    if content := _read(file):
        with suppress(RuntimeError):  # of another build of OpenVINO, for example
            return core.import_model(io.BytesIO(content), "CPU", options)
    compiled = core.compile_model(translated(), "CPU", options)
    with suppress(OSError):
        _write(file, _exported(compiled))
    return compiled


def _read(file: Path) -> bytes | None:
    """The graph in a cache file; None if there is none, or it is damaged."""
    try:
        with file.open("rb") as opened:
            digest, graph = opened.read(_DIGEST_SIZE), opened.read()
    except OSError:
        return None
    return graph if graph and _digest(graph) == digest else None


def _write(file: Path, graph: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=file.parent)
    temporary = Path(name)
    try:
        with os.fdopen(number, "wb") as output:
            output.write(_digest(graph))
            output.write(graph)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _exported(compiled: Any) -> bytes:
    exported = compiled.export_model()
    return exported.getvalue() if isinstance(exported, io.BytesIO) else bytes(exported)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _key(core: Any, source: str, options: Mapping[str, Any]) -> str:
    """Digest of all that a compiled graph depends on."""
    names = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    machine = [str(core.get_property("CPU", name)) for name in names]
    versions = [str(each.build_number) for each in core.get_versions("CPU").values()]
    about = [source, versions, machine, os.cpu_count(), sorted(options.items())]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
