"""Xception's layout and the names of its weights, shared by every engine that builds it.

Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017; the layout is
that of `keras.applications.Xception` without its classifier.
"""

from __future__ import annotations

from dataclasses import dataclass

FEATURES = 2048
EPSILON = 1e-3
"""Of every batch normalisation."""


@dataclass(frozen=True, slots=True)
class Block:
    """Blocks 2 to 14: separable convolutions, with or without a shortcut around them."""

    number: int
    filters: tuple[int, ...]
    shortcut: str
    """"convolution" (the block halves the picture), "identity", or "" for none."""
    relu_first: bool = True
    """Whether a ReLU stands before the first convolution, and not after each."""


BLOCKS = (
    Block(2, (128, 128), "convolution", relu_first=False),
    Block(3, (256, 256), "convolution"),
    Block(4, (728, 728), "convolution"),
    *(Block(number, (728, 728, 728), "identity") for number in range(5, 13)),
    Block(13, (728, 1024), "convolution"),
    Block(14, (1536, 2048), ""),
)
COUNT = 14
"""Blocks in all; block 1 is two plain convolutions."""
