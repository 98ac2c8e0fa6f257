"""`captioning features`: encode all pictures ahead of the notebooks, by several processes or machines."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from captioning import settings

EPILOG = """
The notebooks do this themselves, in one process; what is made here, they find.

  captioning features                        what notebooks 03 to 09 will ask for
  captioning features --encoder mobilenet --workers 4
  captioning features --ray auto             on the Ray cluster that this machine is part of
"""


def add_options(option: Callable) -> None:
    """Add the options of `captioning features`."""
    option("--encoder", nargs="+", metavar="NAME", choices=settings.ENCODERS, help="instead of those of the notebooks")
    option("--workers", type=count, metavar="N", help="processes on this machine (default: 1)")
    option("--ray", metavar="ADDRESS", help="a Ray cluster: local, auto, or its address")


def count(text: str) -> int:
    """Return the number that an option is given."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Encode the pictures of the active dataset, as notebook 01 has left it."""
    from captioning import encoders, features
    from captioning.datasets import needs, prepare
    from captioning.features import workers

    if options.ray and options.workers and options.ray != "local":
        raise ValueError("--workers is for this machine; a Ray cluster has its own.")
    crew: workers.Crew | None = None
    if options.ray:
        import ray  # noqa: F401  told before anything is loaded

        from captioning.features import cluster

        crew = cluster.Cluster(options.ray, options.workers)
    elif (options.workers or 1) > 1:
        crew = workers.Processes(options.workers)
    project = settings.active()
    dataset = prepare.load(project)
    for name in options.encoder or needs.encoders(project):
        encoder = encoders.load(name, project.encoder_weights, project.encoders)
        folder = features.folder_of(project, name)
        store = features.extract(dataset.records, encoder, folder, crew.encoded if crew else None)
        print(f"{len(store):,} pictures have features in {folder}")
    return 0
