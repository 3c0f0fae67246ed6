"""A long short-term memory cell in NumPy, as Keras computes it (Hochreiter, Schmidhuber 1997)."""

from __future__ import annotations

import numpy as np

from captioner.types import FloatArray


def lstm_step(gates: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
    """One step of the cell.

    Parameters
    ----------
    gates
        (R, 4U): input, forget, candidate and output, before their activations.
    c
        The cell state before (R, U).

    Returns
    -------
    The new h and the new c, (R, U) each.
    """
    input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=1)
    c = sigmoid(forget_gate) * c + sigmoid(input_gate) * np.tanh(candidate)
    return sigmoid(output_gate) * np.tanh(c), c


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x))."""
    # By tanh: it cannot overflow, and NumPy's is vectorised.
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)
