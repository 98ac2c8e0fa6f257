"""Encoding on a Ray cluster."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from captioning.datasets.records import Record
from captioning.encoders import Encoder
from captioning.features.index import Entry
from captioning.features.shards import FeatureError
from captioning.features.workers import AHEAD, TRIES, Crew, Worker, WorkerEnded


class Cluster(Crew):
    """Tasks of a Ray cluster; its machines have this package installed and see the photos under the same paths."""

    part = 512

    def __init__(self, address: str, count: int | None = None):
        """Name the cluster: "local" (started here, with `count` workers), "auto", or an address of `ray.init`."""
        self.address, self.count = address, count

    @contextmanager
    def _team(self, encoder: Encoder) -> Iterator[tuple]:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its makers
        ours: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if self.address == "local":
            ours |= {"num_cpus": self.count, "include_dashboard": False}
        try:
            if self.address not in ("local", "auto"):  # else Ray asks for minutes
                host, _, port = self.address.removeprefix("ray://").rpartition(":")
                socket.create_connection((host, int(port)), timeout=10).close()
            import ray

            ray.init(self.address, **ours)
        except ImportError:
            raise
        except Exception as error:  # Ray raises a bare Exception where a machine is too slow
            raise FeatureError(
                f"No Ray cluster answers at {self.address} ({' '.join(str(error).split())[:200]}). Start one with "
                "`ray start --head`, or use --ray local."
            ) from error
        try:
            there = ray.cluster_resources()
            gpus = int(there.get("GPU", 0))
            task = ray.remote(max_retries=TRIES - 1, num_cpus=1, num_gpus=1 if gpus else 0)(_encode_in_task)
            held = [ray.put(pickle.dumps(encoder))]  # in a list, a task is given the reference, not the encoder

            def result(reference: Any) -> tuple[list[Entry], str]:
                try:
                    return ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except ray.exceptions.RayError as error:
                    raise WorkerEnded from error

            yield lambda *part: task.remote(held, *part), result, AHEAD * max(1, gpus or int(there.get("CPU", 1)))
        finally:
            ray.shutdown()


def _encode_in_task(held: list, records: Sequence[Record], alive: bool) -> tuple[list[Entry], str]:
    """Encode a part in a task of Ray, for which a worker process of it may have the encoder already."""
    import ray

    if Worker.held != held[0].hex():
        Worker.prepare(1)
        Worker.encoder, Worker.held = pickle.loads(ray.get(held[0])), held[0].hex()
    return Worker.encode(records, alive)
