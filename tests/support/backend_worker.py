"""Describes a folder of photos on a Keras back end, on two devices of the CPU, and prints JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(folder: Path) -> None:
    backend = os.environ["KERAS_BACKEND"]
    if backend == "jax":
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

    from captioner.execution import describe
    from captioner.model import DescribeOptions, load
    from captioner.model.backend import keras, runtime
    from captioner.model.encoders import TrainedEncoder
    from captioner.model.engines.keras import KerasEngine
    from captioner.photos.walk import walk

    if backend == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    assert keras.backend.backend() == backend
    model = load(DescribeOptions(device="cpu", keywords=0, min_confidence=0), start=False)
    devices = list(runtime().cpus())
    if backend == "torch":  # has one CPU: two replicas on it
        devices *= 2
    trained = TrainedEncoder.read(model.bundle, int8=False)
    model.engine = KerasEngine(trained, batch_size=3, devices=devices)
    results = list(describe(walk([folder]), model))
    print(
        json.dumps(
            {
                "engine": model.engine.name,
                "devices": [device.name for device in model.engine.devices],
                "gpus": len(runtime().gpus()),
                "tensorflow": sys.modules.get("tensorflow") is not None,
                "rows": [
                    [one.photo.path.name, one.captions[0].text, one.feature.tolist()]
                    for one in results
                ],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
