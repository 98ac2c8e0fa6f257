"""TensorFlow and Keras, ready to train and without start-up notes: import it before anything that needs them."""

import contextlib
import functools
import json
import logging
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # notes of later moments; warnings and errors stay
# Of a GPU only what is needed: a kernel left open would else hold all of its memory.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

PYTHON = (3, 11), (3, 13)  # the first and the last, as in pyproject.toml
NEEDED = {"tensorflow": ((2, 19), (2, 22)), "keras": ((3, 10), (4,))}  # from, below; as in pyproject.toml
INSTALL = "pip install 'tensorflow>=2.19,<2.22' 'keras>=3.10,<4'"


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: the notes come from C++, before its log level can be set."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _way_out(problem: str = "") -> str:
    """Say how to have the right TensorFlow, or why this machine cannot."""
    if (platform.system(), platform.machine()) == ("Darwin", "x86_64"):
        return "TensorFlow 2.19 does not exist for Intel Macs; on Apple silicon, use a Python for arm64."
    if not PYTHON[0] <= sys.version_info[:2] <= PYTHON[1]:
        return f"This is Python {platform.python_version()}; use 3.11, 3.12 or 3.13, for which TensorFlow exists."
    return f"{problem}. For {sys.executable}: {INSTALL}, then restart Python."


def _choose_backend() -> None:
    """Let Keras take TensorFlow, whatever the environment or keras.json say.

    Raises:
        ImportError: Keras has been imported with another backend already.
    """
    wanted = os.environ.get("KERAS_BACKEND") or "tensorflow"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "keras" in sys.modules:
        wanted = sys.modules["keras"].backend.backend()
        if wanted != "tensorflow":
            raise ImportError(
                f"Keras has been imported with the backend {wanted!r}, and this series trains with TensorFlow: set "
                "KERAS_BACKEND=tensorflow, or import captioning.quiet before keras, and restart Python."
            )
    elif wanted != "tensorflow":
        print(f"KERAS_BACKEND is {wanted!r}: this series trains with TensorFlow, and sets it to 'tensorflow'.")


def _check_versions() -> None:
    """Refuse versions that are too old, which would fail later without saying why; say that newer ones are untested."""
    found = {m.__name__: tuple(map(int, re.findall(r"\d+", m.__version__)[:2])) for m in (tensorflow, keras)}
    said = f"TensorFlow {tensorflow.__version__} and Keras {keras.__version__} are installed: "
    if any(version < NEEDED[name][0] for name, version in found.items()):
        raise ImportError(_way_out(f"{said}too old"))
    if any(version >= NEEDED[name][1] for name, version in found.items()):
        print(f"{said}newer than what this series is tested with. If anything fails: {INSTALL}.")


def _unused_gpu() -> str:
    """Return a line about an NVIDIA GPU that TensorFlow does not use; "" where there is none, or it is hidden."""
    used = tensorflow.config.list_physical_devices("GPU")  # has notes of its own; starts nothing
    here = shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")
    if used or not here or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ""
    return (
        "TensorFlow does not use the GPU of this machine: pip install 'tensorflow[and-cuda]' (on Windows, inside WSL2 "
        "only). If that is installed already, nvidia-smi shows whether the driver works."
    )


if sys.version_info < PYTHON[0]:
    raise ImportError(_way_out())
_choose_backend()
with _without_stderr():
    try:
        import keras
        import tensorflow
    except ModuleNotFoundError as error:
        raise ImportError(_way_out(str(error))) from error
    _check_versions()
    unused = _unused_gpu()
if unused:
    print(unused)
# Every new model is traced again, which TensorFlow takes for a mistake after the fifth. Its own function makes the
# logger, which in a notebook would else reset the level at the first message.
tensorflow.get_logger().setLevel(logging.ERROR)
for name, usual in {"image_data_format": "channels_last", "floatx": "float32"}.items():
    if (other := getattr(keras.config, name)()) != usual:
        print(f"Keras's {name} is {other!r}, from keras.json: this series needs {usual!r}, and sets it.")
        getattr(keras.config, f"set_{name}")(usual)


@functools.cache
def machines() -> Any:
    """Return what trains on the machines that TF_CONFIG names; None where it is not set.

    It waits for all of them. TensorFlow wants that before anything else is computed: hence here, at the first import.

    Raises:
        ImportError: TF_CONFIG cannot be used.
    """
    if not (given := os.environ.get("TF_CONFIG")):
        return None
    try:
        cluster, task = (json.loads(given)[name] for name in ("cluster", "task"))
        others = [address for addresses in cluster.values() for address in addresses]
        others.remove(cluster[task["type"]][task["index"]])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ImportError(
            f"TF_CONFIG = {given!r}: {error!r}. Give, as JSON, the cluster and which task of it this process is: "
            '{"cluster": {"worker": ["first:5000", "second:5000"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    print(f"TF_CONFIG is set: waiting for {', '.join(others) or 'nobody else'}.", flush=True)
    with _without_stderr():
        return tensorflow.distribute.MultiWorkerMirroredStrategy()


machines()


@functools.cache
def start_quietly() -> None:
    """Start TensorFlow with what makes it print a note on some CPUs, the first compiled transposition of integers."""
    with _without_stderr():
        tensorflow.function(tensorflow.transpose)(tensorflow.zeros((2, 3), tensorflow.int32))


__all__ = ["keras", "machines", "start_quietly", "tensorflow"]
