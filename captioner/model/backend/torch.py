"""Keras on PyTorch: eager, in inference mode; to compile layer by layer takes longer than it saves.

Keras' layout, (N, h, w, C), is PyTorch's memory format `channels_last`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from captioner.model.backend.interface import Device
from captioner.types import FloatArray, PixelArray

if TYPE_CHECKING:
    import keras

label = "PyTorch"
install = "pip install 'captioner[gpu-torch]'"
errors: tuple[type[Exception], ...] = (RuntimeError,)  # its own are derived from it

_MPS = "mps"
policy = "float32" if torch.backends.mps.is_available() else "mixed_bfloat16"


def jit_compile(*, fuses: bool) -> bool:
    """Never: Dynamo compiles a program for each layer of Keras, up to its limit."""
    return False


def seed_step(step: int) -> None:
    """PyTorch keeps the state of random numbers outside the model."""
    torch.manual_seed(step)


def gpus() -> Sequence[Device]:
    """CUDA's and ROCm's GPUs, or Apple's; see `interface.Runtime`."""
    try:
        if torch.backends.mps.is_available():
            free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
            return [Device(_MPS, "Apple GPU", free)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a driver that is too old
            if not torch.cuda.is_available():
                return []
        return [
            Device(
                f"gpu:{number}",
                torch.cuda.get_device_name(number),
                torch.cuda.mem_get_info(number)[0],
            )
            for number in range(torch.cuda.device_count())
        ]
    except RuntimeError:
        return []


def cpus() -> Sequence[Device]:
    """The CPU, one device."""
    return [Device("cpu:0", "CPU")]


def prepare() -> None:
    """Let cuDNN choose its algorithms by their time: almost all batches have one shape."""
    torch.backends.cudnn.benchmark = True


def replica(network: keras.Model, device: Device) -> _Eager:
    """A network on a device; see `interface.Runtime`."""
    return _Eager(network, device)


class _Eager:
    """A network that is called layer by layer, on a stream that runs behind Python."""

    def __init__(self, network: keras.Model, device: Device) -> None:
        self._network = network
        self._name = device.name
        self._device = torch.device(device.name.replace("gpu", "cuda"))
        self._copying = None
        if self._device.type == "cuda":
            self._copying = torch.cuda.Stream(self._device)

    def start(self, pixels: PixelArray) -> Any:
        """Start a batch, and the copy of its result."""
        from captioner.model.backend import keras

        with torch.inference_mode(), keras.device(self._name):
            host = torch.from_numpy(pixels)
            if self._copying is None:
                outputs = self._network(host.to(self._device), training=False)
                return {name: output.float().cpu() for name, output in outputs.items()}, None
            with torch.cuda.device(self._device):
                with torch.cuda.stream(self._copying):
                    photos = host.pin_memory().to(self._device, non_blocking=True)
                torch.cuda.current_stream().wait_stream(self._copying)
                photos.record_stream(torch.cuda.current_stream())
                outputs = {
                    name: output.float().to("cpu", non_blocking=True)
                    for name, output in self._network(photos, training=False).items()
                }
                done = torch.cuda.Event()
                done.record()
            return outputs, done

    def finish(self, started: Any) -> dict[str, FloatArray]:
        """Wait for a batch."""
        outputs, done = started
        if done is not None:
            done.synchronize()
        return {name: output.numpy() for name, output in outputs.items()}
