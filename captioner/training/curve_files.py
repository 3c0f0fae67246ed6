"""Learning curves as files while a part is trained: a CSV table, and events for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Metrics = Mapping[str, float]

CURVES = "curves.csv"
EVENTS = "events.out.tfevents.*"


class CurveFiles:
    """The curves of one part in its folder, written again after every epoch.

    A run that is resumed writes the epochs of its checkpoint again, so that none is there twice.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._events: Any = None
        self._written = 0

    def write(self, history: Sequence[Metrics]) -> None:
        """Write all epochs so far.

        Raises
        ------
        OSError
            If the disk is full.
        """
        if not history:
            return
        file = self._folder / CURVES
        partial = file.with_suffix(".partial")
        partial.write_text(table(history), "utf-8")
        partial.replace(file)
        if self._events is None:
            self._events = _event_writer(self._folder)
        if self._events:
            for metrics in history[self._written :]:
                _write_event(self._events, metrics)
            self._written = len(history)

    def close(self) -> None:
        """Close the file of events."""
        if self._events:
            self._events.close()


def table(history: Sequence[Metrics]) -> str:
    """A CSV table of one row for each epoch, with all figures that were ever measured."""
    names = list(dict.fromkeys(name for metrics in history for name in metrics))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def read(folder: Path) -> dict[str, list[dict[str, float]]]:
    """The curves of all parts in a run's folder: the figures of each epoch, by part."""
    found: dict[str, list[dict[str, float]]] = {}
    for file in sorted(folder.glob(f"*/{CURVES}")):
        with suppress(OSError, ValueError, csv.Error):
            rows = csv.DictReader(io.StringIO(file.read_text("utf-8")))
            found[file.parent.name] = [
                {name: float(value) for name, value in row.items() if value} for row in rows
            ]
    return found


def remove(folder: Path) -> None:
    """Remove the curves of an earlier run from its folder."""
    for file in _files(folder):
        file.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    for pattern in (CURVES, EVENTS):
        yield from folder.glob(f"*/{pattern}")


def _event_writer(folder: Path) -> Any:
    """TensorFlow's writer of events; False without TensorFlow."""
    for file in folder.glob(EVENTS):
        file.unlink(missing_ok=True)
    try:
        import tensorflow
    except ImportError:  # on JAX or PyTorch alone
        return False
    return tensorflow.summary.create_file_writer(str(folder))


def _write_event(writer: Any, metrics: Metrics) -> None:
    import tensorflow
    from tensorflow.core.framework import summary_pb2 as messages

    # As tf.summary.scalar would write them, which is in TensorBoard and not in TensorFlow.
    plugin = messages.SummaryMetadata.PluginData(plugin_name="scalars")
    scalar = messages.SummaryMetadata(
        plugin_data=plugin, data_class=messages.DataClass.DATA_CLASS_SCALAR
    )
    with writer.as_default(step=int(metrics.get("epoch", 0))):
        for name, value in metrics.items():
            if name != "epoch":
                data = tensorflow.constant(value, "float32")
                tensorflow.summary.write(name, data, metadata=scalar)
    writer.flush()
