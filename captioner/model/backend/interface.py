"""The interface of a back end's module: its devices, and networks that run on one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from captioner.types import FloatArray, PixelArray

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Device:
    """A processor that a back end can use."""

    name: str
    """As `keras.device` takes it: "gpu:0", "cpu:0"."""
    label: str
    """Its model, such as "NVIDIA H200"."""
    free_memory: int | None = None
    """Bytes; None if that is unknown."""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return not self.name.startswith("cpu")


class Replica(Protocol):
    """A network on one device, for batches of one shape."""

    def start(self, pixels: PixelArray) -> Any:
        """Copy a batch (N, size, size, 3) to the device and start encoding it.

        On a GPU it returns before that is done, and the copy overlaps with the batch before.
        """
        ...

    def finish(self, started: Any) -> dict[str, FloatArray]:
        """Wait for what `start` returned: the network's outputs by name, float32."""
        ...


class Runtime(Protocol):
    """One module for each back end of Keras."""

    label: str
    """Its name as its authors write it."""
    install: str
    """The command that installs it for GPUs."""
    policy: str
    """Keras' dtype policy for GPUs."""
    errors: tuple[type[Exception], ...]
    """What it raises if a device fails or runs out of memory."""

    def jit_compile(self, *, fuses: bool) -> bool:
        """Keras' `jit_compile` for the training steps of a model.

        Parameters
        ----------
        fuses
            Whether it is a convolutional network, which gains from fused layers on GPUs.
        """
        ...

    def seed_step(self, step: int) -> None:
        """Make the random numbers of a training step depend on the step, if nothing else does.

        A run that is resumed then has the same ones.
        """
        ...

    def gpus(self) -> Sequence[Device]:
        """All GPUs that it sees; empty if there are none, or their drivers do not work."""
        ...

    def cpus(self) -> Sequence[Device]:
        """The CPU; more than one device if the back end was told to divide it."""
        ...

    def prepare(self) -> None:
        """Settings that precede the first use of a device, such as the cache of compiled code."""
        ...

    def replica(self, network: keras.Model, device: Device) -> Replica:
        """A network that was built on a device, ready to run; its output is a dictionary."""
        ...
