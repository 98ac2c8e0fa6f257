"""Imports TensorFlow and Keras without start-up notes and ready to train: import it before anything that needs them."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # notes of later moments; warnings and errors stay
# Of a GPU only what is needed: a kernel left open would else hold all of its memory.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# Every new model is traced again, which TensorFlow takes for a mistake after the fifth.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: the notes come from C++, before its log level can be set."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


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


_choose_backend()
with _without_stderr():
    import keras
    import tensorflow

    tensorflow.config.list_physical_devices()  # looks for GPUs, which has notes of its own; starts nothing

if keras.config.image_data_format() != "channels_last":
    print("keras.json says 'channels_first': this series has the channels last, and sets Keras to that.")
    keras.config.set_image_data_format("channels_last")


@functools.cache
def start_quietly() -> None:
    """Have a note that some CPUs give at the first compiled transposition of integers; this starts TensorFlow."""
    with _without_stderr():
        tensorflow.function(tensorflow.transpose)(tensorflow.zeros((2, 3), tensorflow.int32))


__all__ = ["keras", "start_quietly", "tensorflow"]
