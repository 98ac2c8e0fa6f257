"""The devices that a model is trained on: one, all of this machine, or those of several machines."""

import contextlib
import functools
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from captioning.environment import of_process
from captioning.provenance import StaleError, digest
from captioning.quiet import keras, machines
from captioning.quiet import tensorflow as tf

SIDE = 2000  # of the matrices that a device is tried with


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Give the context in which a model to be trained is built, so that all devices in force have a copy of it.

    Where CAPTIONING_DEVICES and TF_CONFIG are not set, that is one device, or the strategy that is entered already.
    """
    strategy = machines() or (_all_devices() if of_process("DEVICES") == "all" else None)
    if strategy is None or tf.distribute.has_strategy():
        yield
        return
    with together(strategy), strategy.scope():
        yield


@functools.cache
def _all_devices() -> tf.distribute.Strategy | None:
    """Return the strategy for all GPUs of this machine; None where there is one device."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices]) if len(devices) > 1 else None


def report() -> str:
    """Return what is installed, and a line per CPU and GPU with the time in which it multiplies two large matrices."""
    versions = f"Python {platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}"
    found = [versions, *map(_tried, [*tf.config.list_physical_devices("CPU"), *tf.config.list_physical_devices("GPU")])]
    if not tf.config.list_physical_devices("GPU"):
        found.append("TensorFlow has found no GPU: everything is computed on the CPU.")
    return "\n".join(found)


def _tried(device: "tf.config.PhysicalDevice") -> str:
    """Return a line about a device; the first multiplication starts it, the second is timed."""
    named = device.name.removeprefix("/physical_device:")
    what = tf.config.experimental.get_device_details(device).get("device_name") or f"{os.cpu_count()} cores"
    with tf.device(named):
        matrix = tf.random.uniform((SIDE, SIDE))
        for _ in range(2):
            started = time.perf_counter()
            total = float(tf.reduce_sum(matrix @ matrix))
            seconds = time.perf_counter() - started
    assert 0 < total < SIDE**3
    return f"{named}, {what}: {SIDE:,} x {SIDE:,} numbers multiplied in {1000 * seconds:.1f} ms"


def is_chief(strategy: Any) -> bool:
    """Tell whether this process writes what training with this strategy makes: of several machines, the first one."""
    return strategy is None or strategy is not machines() or bool(strategy.extended.should_checkpoint)


def summed(strategy: Any, value: np.ndarray | float) -> np.ndarray:
    """Return the sum of what the machines give, arrays of one shape; all of them wait for each other."""
    value = np.asarray(value)
    if machines() is not strategy:
        return value
    here = len(strategy.extended.worker_devices)  # the first of them gives it

    def of_device(context: Any) -> tf.Tensor:
        return tf.constant(value if context.replica_id_in_sync_group % here == 0 else np.zeros_like(value))

    of_devices = strategy.experimental_distribute_values_from_function(of_device)
    return strategy.reduce(tf.distribute.ReduceOp.SUM, of_devices, axis=None).numpy()


def take_from_chief(model: keras.Model) -> None:
    """Give a model on all machines the weights that it has on the first one."""
    strategy = model.distribute_strategy
    if machines() is strategy:
        for weight in model.weights:
            value = np.array(weight)
            weight.assign(summed(strategy, value if is_chief(strategy) else np.zeros_like(value)))  # 0 x NaN is NaN


def agree(strategy: tf.distribute.Strategy, run: Any, folder: Path) -> None:
    """Raise a StaleError on all machines where one is about to train another run than the first one.

    `run` are JSON values: what decides how the run goes, and where it resumes.
    """
    mine = int(digest(run)[:12], 16)  # as many bits as a float keeps
    of_chief = summed(strategy, float(mine * is_chief(strategy)))
    if summed(strategy, float(mine != of_chief)):
        raise StaleError(
            f"The machines of TF_CONFIG are not about to train the same: one has other settings or other code, or sees "
            f"another {folder}. Give all of them the same version, settings and disk (CAPTIONING_HOME)."
        )


@contextlib.contextmanager
def together(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Raise a ConnectionError where another machine is gone; TensorFlow notices it within seconds."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if machines() is not strategy:
            raise
        raise ConnectionError(
            "Another machine of TF_CONFIG is gone: its process was ended, or the network fails. Start Python (the "
            "notebook's kernel) again on all of them and run the same: training resumes after the last whole epoch."
        ) from error
