"""Let an interrupt stop training wherever it falls."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from captioning.quiet import keras


class Interruptible(keras.callbacks.Callback):
    """Raises KeyboardInterrupt at the next batch where the one of Python has been swallowed.

    While TensorFlow traces a step, Python code runs inside of callbacks from C++ and of destructors, in which an
    exception is printed as "ignored": training would run on.
    """

    asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take note of interrupts inside the block, beside what is done about them anyway."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield  # signals arrive elsewhere, or are ignored on purpose
            return

        def note(number, frame):
            self.asked = True
            before(number, frame)

        signal.signal(signal.SIGINT, note)
        try:
            yield
            self.stop_if_asked()
        except Exception as error:  # TensorFlow may have made one of its own errors of the interrupt
            if self.asked:
                raise KeyboardInterrupt from error
            raise
        finally:
            signal.signal(signal.SIGINT, before)

    def stop_if_asked(self, *_, **__) -> None:
        """Raise the interrupt again."""
        if self.asked:
            raise KeyboardInterrupt

    on_epoch_begin = on_epoch_end = stop_if_asked
    on_train_batch_begin = on_train_batch_end = stop_if_asked
    on_test_batch_begin = on_test_batch_end = stop_if_asked
