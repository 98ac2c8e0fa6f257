"""What a dataset costs before it is fetched: bytes over the network, bytes on the disk, minutes."""

import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from captioning.datasets.dataset import DatasetError
from captioning.datasets.fetching import is_done
from captioning.environment import of_process
from captioning.fetching.download import URLS
from captioning.files import beside, free_space
from captioning.settings import ENCODERS, Project

RATE = 5.0  # MB per second, what many home connections give; photos one by one come no faster
NOTEBOOKS = ("vgg16", "inception_v3", "resnet50")  # the encoders of 03, of 05 and 09, and of 07 and 08


class Need(NamedTuple):
    """One thing that is fetched or made, after those before it."""

    what: str
    download: float = 0.0  # MB
    disk: float = 0.0  # MB that stay; below zero where a zip is deleted that is here already
    passing: float = 0.0  # MB of disk that it takes in addition for a while


def archive(
    name: str, zipped: float, unpacked: float, folder: Path, delete: bool, again: Collection[Path] = ()
) -> Need:
    """Return what is left of a zip to fetch and unpack.

    Args:
        zipped, unpacked: MB.
        folder: beside the zip, holds what was in it; what is there already is not written again.
        again: photos that are missing; see `fetch_archive`.
    """
    file = folder.parent / URLS[name]["url"].rpartition("/")[2]
    here, done = file.exists(), is_done(file, again)
    if done:
        return Need(name, disk=-zipped * (here and delete))
    left = 0.0 if here else max(0.0, zipped - megabytes([beside(file, ".part")]))
    files = folder.iterdir() if folder.is_dir() else ()
    written = max(0.0, unpacked - megabytes(path for path in files if path.suffix != ".part"))
    return Need(name, left, left + written - zipped * delete, zipped * delete)


def encoders(project: Project) -> tuple[str, ...]:
    """Return the encoders that the notebooks ask for."""
    return (project.encoder,) if project.encoder else NOTEBOOKS


def features(project: Project, pictures: int) -> list[Need]:
    """Return the disk that the later notebooks need for what the encoders see, less what is there."""
    needs, precision = [], of_process("PRECISION")
    kind = project.weights_kind + f"-{precision}" * (precision != "float32")  # as in `features.folder_of`
    for name in encoders(project):
        there = megabytes((project.data / "features").glob(f"{name}-*-{kind}/*"))
        size = pictures * math.prod(ENCODERS[name]) * 2 / 1e6  # float16
        needs.append(Need(f"features of {name}", disk=max(0.0, size - there)))
    return needs


def megabytes(files: Iterable[Path]) -> float:
    """Return the size of those of the files that are there."""
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def state(fetched: Sequence[Need], made: Sequence[Need], folder: Path) -> str:
    """Return a table of what will be fetched, and of what later notebooks make.

    Raises:
        DatasetError: the disk is too small for what is fetched.
    """
    download, now, most = sum(need.download for need in fetched), 0.0, 0.0
    for need in fetched:
        most = max(most, now + need.disk + need.passing)
        now += need.disk
    everything = now + sum(need.disk for need in made)
    rows = [need for need in [*fetched, *made] if need.download or round(need.disk)]
    rows.append(Need("together", download, everything))
    lines = [f"{need.what:24}{need.download:10,.0f} MB to fetch{need.disk:10,.0f} MB of disk" for need in rows]
    free = free_space(folder) / 1e6
    minutes = f"At {RATE:g} MB/s about {download / RATE / 60:,.0f} minutes, with at most {most:,.0f} MB of disk."
    lines.append(minutes if download or most else "Nothing has to be fetched.")
    lines.append(f"The data goes to {folder}, where {free:,.0f} MB are free.")
    if most > free:
        ways_out = "free some of it, set a smaller CAPTIONING_LIMIT, or DELETE_ZIPS = True in notebook 01 for zips."
        raise DatasetError("\n".join([*lines, f"The disk is too small: {ways_out}"]))
    if everything > free:
        lines.append(
            "The features of all notebooks do not fit on the disk: free some of it, set a smaller CAPTIONING_LIMIT, "
            "choose CAPTIONING_ENCODER=mobilenet, or run the notebooks of one encoder only."
        )
    return "\n".join(lines)
