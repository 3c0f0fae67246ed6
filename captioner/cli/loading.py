"""Loading a model for a command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from threading import Thread
from threading import enumerate as running
from typing import TYPE_CHECKING, Any, TypeVar, cast

from captioner.cli import console, interrupt

if TYPE_CHECKING:
    from captioner.model.describer import Model
    from captioner.model.options import DescribeOptions

_CONVERTER = "openvino.tools.ovc"
"""The part of OpenVINO that converts models of other programs: OpenVINO imports it if it is there,
and that takes as long as the rest of its imports."""
_THREAD = "loading the model"
T = TypeVar("T")


def load(options: DescribeOptions, *, start: bool = True) -> Model:
    """Load a model as `captioner.model.load` does, and warn if its precision is not available."""
    from captioner import model

    if not start:
        return interruptible(lambda: model.load(options, start=False))
    sys.modules.setdefault(_CONVERTER, cast(Any, None))  # an import of it fails
    loaded = interruptible(lambda: model.load(options), meanwhile=_import_decoding)
    _warn_of_precision(loaded, options)
    return loaded


def load_several(options: Sequence[DescribeOptions]) -> list[Model]:
    """Load models as `captioner.model.load_several` does; see `load`."""
    from captioner import model

    sys.modules.setdefault(_CONVERTER, cast(Any, None))
    loaded = interruptible(lambda: model.load_several(options), meanwhile=_import_decoding)
    _warn_of_precision(loaded[0], options[0])
    return loaded


def _warn_of_precision(loaded: Model, asked: DescribeOptions) -> None:
    if asked.precision == "bfloat16" and loaded.engine.name == "OpenVINO float32":
        console.warning("--precision bfloat16 is not supported by this CPU; using float32.")


def _import_decoding() -> None:
    """Import what opens photos, which every command that loads a model needs next."""
    import captioner.photos.read  # noqa: F401


def interruptible(work: Callable[[], T], meanwhile: Callable[[], None] = lambda: None) -> T:
    """Run a function that spends seconds in native code, where Python handles no signals.

    It runs on another thread, and `meanwhile` on this one. A signal ends the wait for it, and the
    process.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, name=_THREAD, daemon=True)
    thread.start()
    with interrupt.waiting():
        meanwhile()
        while thread.is_alive():
            thread.join(0.2)  # On Windows, Ctrl-C does not end a join without a timeout.
    if errors:
        raise errors[0]
    return results[0]


def work_continues() -> bool:
    """Whether work still runs after a signal has ended the wait for it."""
    return any(thread.name == _THREAD for thread in running())
