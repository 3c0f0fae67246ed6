"""Keras on one of its back ends: imported after SQLite, and without the messages that they print.

Everything that needs Keras takes it from here, inside the functions that need it if they are also
used without it: importing a back end takes seconds. KERAS_BACKEND chooses TensorFlow, JAX or
PyTorch. What Keras has no name for, such as the devices and what runs a network on one of them, is
in one module for each of the three, which `runtime` finds.

TensorFlow brings an SQLite of its own, without FTS5, which would take the place of Python's if it
were loaded first. While its libraries are loaded, they write to stderr how they were built and that
there are no CUDA drivers, whatever `TF_CPP_MIN_LOG_LEVEL` says: logging is not initialised yet.
"""

from __future__ import annotations

import logging
import os
import sqlite3  # noqa: F401  before TensorFlow: see above
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from captioner.errors import UsageError
from captioner.model.backend.interface import Runtime

__all__ = ["keras", "layers", "ops", "precision", "runtime"]

_LABELS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
"""The back ends, those first that are taken first if KERAS_BACKEND is not set."""
_INSTALL = {
    "tensorflow": "pip install tensorflow",
    "jax": "pip install jax",
    "torch": "pip install torch",
}

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# It warns of functions traced again for another batch shape, as the last batch of an epoch has.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
# It warns of a GPU for which its CUDA libraries are not installed; the engine says so itself.
logging.getLogger("jax").setLevel(logging.ERROR)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what is written to file descriptor 2, where C++ writes past `sys.stderr`."""
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _choose() -> str:
    """Set KERAS_BACKEND if it is not, and TensorFlow is not installed but another back end is.

    Raises
    ------
    UsageError
        If it names none of the three.
    """
    chosen = os.environ.get("KERAS_BACKEND")
    if not chosen:
        os.environ.pop("KERAS_BACKEND", None)
        chosen = next((name for name in _LABELS if find_spec(name)), "tensorflow")
        if chosen != "tensorflow":  # which is Keras' own default, if its settings have no other
            os.environ["KERAS_BACKEND"] = chosen
    elif chosen not in _LABELS:
        raise UsageError(
            f"KERAS_BACKEND={chosen}: captioner does not run on this back end of Keras.",
            f"Set it to {', '.join(list(_LABELS)[:-1])} or {list(_LABELS)[-1]}, or unset it.",
        )
    return chosen


def _unusable(chosen: str, reason: str) -> UsageError:
    """What to do about a back end that is not installed, or cannot be loaded."""
    label, name = _LABELS[chosen], os.environ.get("KERAS_BACKEND")
    others = [other for other in _LABELS if other != chosen and find_spec(other)]
    remedy = f", or set KERAS_BACKEND={' or '.join(others)}, which is installed" if others else ""
    what = f"KERAS_BACKEND={name}: {label}" if name else f"{label}, which Keras runs on,"
    return UsageError(f"{what} {reason}.", f"Run {_INSTALL[chosen]}{remedy}.")


def _without_tensorflow() -> None:
    """Keep Keras from importing TensorFlow, which takes seconds, only to compare types with it."""
    with suppress(ImportError, AttributeError):
        import_module("keras.src.utils.module_utils").tensorflow._available = False


_chosen = _choose()
if not find_spec("keras"):
    raise UsageError("Keras is not installed.", "Run pip install keras.")
if not find_spec(_chosen):
    raise _unusable(_chosen, "is not installed")
try:
    with _silent_stderr():
        import keras
        from keras import layers, ops

        if keras.backend.backend() != "tensorflow":
            _without_tensorflow()
except Exception as _error:
    # A back end whose libraries are missing, or of another version, fails in any way.
    _reason = next(iter(str(_error).splitlines()), "") or type(_error).__name__
    raise _unusable(_chosen, f"cannot be loaded: {_reason.rstrip('.')}") from _error


def runtime() -> Runtime:
    """Devices of the back end in use, and what runs networks on them."""
    name = f"{__name__}.{keras.backend.backend()}"
    if name in sys.modules:
        return cast(Runtime, sys.modules[name])
    with _silent_stderr():  # of drivers that are missing, when devices are first looked for
        module = cast(Runtime, import_module(name))
        module.prepare()
        module.gpus()
    return module


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build layers with this dtype policy of Keras, such as "mixed_bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


runtime()  # Whoever uses `ops` first would otherwise print that a driver is missing.
