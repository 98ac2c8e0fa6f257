"""Imports TensorFlow without its start-up notes: import this room before any other that needs TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # notes of later moments; warnings and errors stay

# Every new model is traced anew, which TensorFlow takes for a mistake after the fifth.
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


with _without_stderr():
    import tensorflow.keras

    tensorflow.config.list_physical_devices()  # looks for GPUs, which has notes of its own
    # On some CPUs the first compiled transposition of integers has a note, too; it is given once.
    tensorflow.function(tensorflow.transpose)(tensorflow.zeros((2, 3), tensorflow.int32))
