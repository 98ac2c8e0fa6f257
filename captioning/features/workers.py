"""Encoding by several processes: others compute, one writes, in order."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, ClassVar

from captioning.datasets.records import Record
from captioning.encoders import Encoder
from captioning.features import making
from captioning.features.index import UNSEEN, Entry
from captioning.features.shards import FeatureError
from captioning.quiet import tensorflow as tf

TRIES = 3  # of a part of the pictures whose worker ends before it is done
AHEAD = 2  # parts per worker that are given out; bounds what waits for its turn in memory


class Crew(ABC):
    """Workers that encode pictures in parts; what comes of a part does not depend on who does it."""

    part: int  # pictures that are given out together

    def encoded(
        self, records: Sequence[Record], encoder: Encoder, alive: bool
    ) -> Generator[tuple[Sequence[Record], list[Entry]], None, None]:
        """Yield records with what came of them, in order; see `making.encoded`.

        Raises:
            FeatureError: a worker does not see a photo, or a part has ended its worker `TRIES` times.
        """
        parts = [records[start : start + self.part] for start in range(0, len(records), self.part)]
        waiting: deque[Sequence[Record]] = deque(parts)
        given: deque[tuple[Sequence[Record], Any]] = deque()  # parts, and what the workers promise for each
        with self._team(encoder) as (submit, result, window):
            tries = 0
            while waiting or given:
                try:
                    while waiting and len(given) < window:
                        # Only the first part of a new folder may say that the encoder sees nothing at all.
                        given.append((waiting[0], submit(waiting[0], alive or waiting[0] is not parts[0])))
                        waiting.popleft()
                    entries, host = result(given[0][1])
                except WorkerEnded as error:
                    tries += 1
                    part = [*(part for part, _ in given), *waiting][0]
                    if tries == TRIES:
                        raise FeatureError(
                            f"Workers have ended {TRIES} times while they encoded {len(part)} pictures from "
                            f"{part[0].file} on: is memory short? Use fewer workers. All that was written is kept."
                        ) from error
                    print("A worker has ended before it was done: its pictures are encoded again.", flush=True)
                    waiting.extendleft(part for part, _ in reversed(given))
                    given.clear()
                    continue
                part, tries = given.popleft()[0], 0
                for record, entry in zip(part, entries, strict=True):
                    if entry.mark == UNSEEN and os.path.isfile(record.file):
                        raise FeatureError(
                            f"The worker on {host} does not see {record.file}, which is seen here: the photos must be "
                            "on a drive that all machines share, under the same path."
                        )
                yield part, entries

    @abstractmethod
    @contextmanager
    def _team(self, encoder: Encoder) -> Iterator[tuple]:
        """Give a function that starts a part, one that waits for its entries and host, and how many may be started."""


class WorkerEnded(Exception):
    """A worker is gone, and with it what it was doing."""


class Processes(Crew):
    """Processes of this machine, which share its processors; of several GPUs each takes one."""

    part = 64

    def __init__(self, count: int):
        self.count = count

    @contextmanager
    def _team(self, encoder: Encoder) -> Iterator[tuple]:
        context, held = multiprocessing.get_context("spawn"), pickle.dumps(encoder)
        pools: list[ProcessPoolExecutor] = []
        options = held, max(1, (os.cpu_count() or 1) // self.count), context.Value("i", 0)

        def submit(part: Sequence[Record], alive: bool) -> Any:
            if not pools:
                pools.append(ProcessPoolExecutor(self.count, context, _start, options))
            try:
                return pools[0].submit(Worker.encode, part, alive)
            except BrokenProcessPool as error:
                return broken(error)

        def result(future: Any) -> tuple[list[Entry], str]:
            try:
                return future.result()
            except BrokenProcessPool as error:
                return broken(error)

        def broken(error: BrokenProcessPool) -> Any:
            pools.pop().shutdown()  # one that is gone takes all with it
            raise WorkerEnded from error

        try:
            yield submit, result, AHEAD * self.count
        finally:
            for pool in pools:
                pool.shutdown(cancel_futures=True)


class Worker:
    """What a worker process holds while it lives: the encoder, which takes seconds to build."""

    encoder: ClassVar[Encoder]
    held: ClassVar[str] = ""

    @classmethod
    def encode(cls, records: Sequence[Record], alive: bool) -> tuple[list[Entry], str]:
        """Encode a part; return what came of each picture, and the name of this machine."""
        entries = [entry for _, some in making.encoded(records, cls.encoder, alive) for entry in some]
        return entries, socket.gethostname()

    @classmethod
    def prepare(cls, threads: int) -> None:
        """Use so many threads; before TensorFlow starts."""
        making.THREADS = threads
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _start(encoder: bytes, threads: int, counter: Any) -> None:
    """Prepare a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the process that writes, and that one ends this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Worker.prepare(threads)
    with counter.get_lock():
        number, counter.value = counter.value, counter.value + 1
    if gpus := tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices(gpus[number % len(gpus)], "GPU")
    Worker.encoder = pickle.loads(encoder)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even killed."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
