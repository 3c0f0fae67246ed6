"""Compiled OpenVINO graphs kept in files, each checked by its digest before it is used.

A graph that was damaged on disk would run all the same, and give noise.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

_DIGEST_SIZE = 32
_ENDING = ".graph"


def compile_cached(core: Any, model: Any, options: dict[str, Any], folder: Path | None) -> Any:
    """Compile a graph for the CPU, or take it from the cache folder.

    A file there is its content's digest and the graph. It is replaced in one step, so that several
    processes may do this at once. What cannot be read, or is damaged, is compiled again; where the
    folder cannot be written, nothing is cached.
    """
    if folder is None:
        return core.compile_model(model, "CPU", options)
    file = folder / f"{_key(core, model, options)}{_ENDING}"
    if content := _read(file):
        with suppress(RuntimeError):  # of another build of OpenVINO, for example
            return core.import_model(io.BytesIO(content), "CPU", options)
    compiled = core.compile_model(model, "CPU", options)
    with suppress(OSError):
        _write(file, _exported(compiled))
    return compiled


def _read(file: Path) -> bytes | None:
    """The graph in a cache file; None if there is none, or it is incomplete."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, graph = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
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


def _key(core: Any, model: Any, options: dict[str, Any]) -> str:
    """Digest of all that a compiled graph depends on."""
    found = hashlib.sha256()
    names = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    machine = [str(core.get_property("CPU", name)) for name in names]
    versions = [str(each.build_number) for each in core.get_versions("CPU").values()]
    about = [versions, machine, os.cpu_count(), sorted(options.items())]
    found.update(json.dumps(about).encode())
    place: dict[str, int] = {}  # names that OpenVINO gave differ from one time to the next
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        inputs = [
            (place[port.get_node().get_friendly_name()], port.get_index())
            for port in node.input_values()
        ]
        place[node.get_friendly_name()] = len(place)
        attributes = sorted((name, str(value)) for name, value in node.get_attributes().items())
        found.update(json.dumps([kind, inputs, attributes]).encode())
        if kind == "Constant":
            weights: Any = np.ascontiguousarray(node.data)
            found.update(weights)
    return found.hexdigest()[:32]
