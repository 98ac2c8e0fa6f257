"""Fetch what datasets consist of: archives that are unpacked, and photos one by one."""

import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeGuard, TypeVar

from captioning.datasets.dataset import DatasetError
from captioning.fetching.download import URLS, DownloadError, fetch, fetch_many
from captioning.fetching.unpack import unpack
from captioning.files import only_one
from captioning.images import open_image
from captioning.settings import SettingError

# What official files call their photos. Names that Windows keeps for devices would be written to these.
_BARE = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[a-z0-9_](?:[a-z0-9_.-]{0,198}[a-z0-9_-])?", re.I | re.A
)
NEAR = 256  # pixels: JPEGs are decoded at a fraction of their size, all their bytes are read nevertheless
Content = TypeVar("Content")


@dataclass(frozen=True)
class Wanted:
    """How much of a dataset is asked for, and in what form."""

    limit: int | None = None  # photos; None for all
    long_side: int = 512  # pixels; larger photos of Open Images are shrunk when they arrive
    delete_zips: bool = False  # once they are unpacked
    missing_share: float = 0.01  # of the photos asked for that may be missing; a single one always may
    again: frozenset[Path] = frozenset()  # photos that are here and broken

    def __post_init__(self) -> None:
        if type(self.long_side) is not int or self.long_side < 1:
            raise SettingError(f"LONG_SIDE={self.long_side!r}: give a whole number of pixels, 1 or more.")
        if not isinstance(self.missing_share, int | float) or not 0 <= self.missing_share <= 1:
            raise SettingError(f"MISSING_SHARE={self.missing_share!r}: give a number from 0 to 1, 0.01 for 1 %.")


def is_bare(name: object) -> TypeGuard[str]:
    """Return whether this is a file's name and nothing else: ASCII letters, digits, `_`, `-` and `.`, no device."""
    return isinstance(name, str) and bool(_BARE.fullmatch(name))


def bare_name(name: object, file: Path, endings: Sequence[str] = ("",)) -> str:
    """Return a name from a downloaded file if it is a bare one with one of these endings, which are in lower case.

    Raises:
        DatasetError: it could lead out of the folder of photos, or is no name of a photo.
    """
    if not is_bare(name) or not name.lower().endswith(tuple(endings)):
        raise DatasetError(
            f"{file} names a photo {str(name)[:80]!r}. Such a name is refused, since it could lead to another folder. "
            "The file is not the official one: delete it, check CAPTIONING_MIRROR if you set it, and run 01 again."
        )
    return name


def note_of(archive: Path) -> Path:
    """Return the file that says that an archive has been unpacked; it lists photos that are broken or missing in it."""
    return archive.with_name(f".{archive.stem}.unpacked")


def is_done(archive: Path, again: Collection[Path] = ()) -> bool:
    """Return whether an archive has been unpacked, and has none of the photos that are missing or broken."""
    try:
        hopeless = note_of(archive).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return {photo.relative_to(archive.parent).as_posix() for photo in again} <= {*hopeless}


def fetch_archive(
    name: str,
    folder: Path,
    *,
    only: str = "*",
    delete: bool = False,
    retries: int = 5,
    again: Callable[[], Collection[Path]] = list,
) -> None:
    """Fetch a zip and unpack it beside itself; what exists is kept, also when the zip has been deleted since.

    Args:
        name: in `URLS`; a zip that is fetched must be of the size and the sum there. A damaged one is fetched again.
        folder: gets the zip under its own name, its contents, and `note_of` it at the end of the work.
        only: pattern of the entries to unpack.
        again: returns the photos that are missing or broken; for them a deleted zip is fetched again, if they are not
            so in it. It is asked once more after waiting for another notebook, which may have brought them.

    Raises:
        DownloadError: it cannot be had, or is not the published one.
        UnpackError: it is damaged or not to be trusted.
    """
    archive = folder / URLS[name]["url"].rpartition("/")[2]
    if not is_done(archive, again()):  # else nothing is written: the folder may be read-only
        folder.mkdir(parents=True, exist_ok=True)
        with only_one(note_of(archive), wait=True):
            if not is_done(archive, now := again()):
                _fetch_and_unpack(name, archive, only, retries, now)
    if delete:
        archive.unlink(missing_ok=True)


def _fetch_and_unpack(name: str, archive: Path, only: str, retries: int, again: Collection[Path]) -> None:
    inodes = {photo: photo.stat().st_ino for photo in again if photo.is_file() and not photo.is_symlink()}
    for photo in inodes:
        os.utime(photo, (0, 0))  # so that unpacking compares its bytes

    def bring() -> None:
        try:
            if not archive.exists():
                fetch(path=archive, retries=retries, **URLS[name])
        except DownloadError as error:
            way_out = " If you have it from elsewhere and trust it, unpack it and set CAPTIONING_ROOT to its folder."
            raise DownloadError(f"{error}{way_out if len(URLS[name]) > 1 else ''}") from error

    fetch_readable(bring, partial(unpack, archive, archive.parent, only=only), [archive])
    hopeless = [photo for photo in again if not photo.exists() or photo.stat().st_ino == inodes.get(photo)]
    with note_of(archive).open("a", encoding="utf-8") as note:
        note.writelines(f"{photo.relative_to(archive.parent).as_posix()}\n" for photo in hopeless)


def fetch_readable(fetch: Callable[[], object], read: Callable[[], Content], files: Sequence[Path]) -> Content:
    """Fetch files and return what `read` makes of them; if they are damaged, delete them and do both once more."""
    fetch()
    try:
        return read()
    except (FileNotFoundError, ValueError) as error:
        print(f"{error} It is fetched again now.")
    for file in files:
        file.unlink(missing_ok=True)
    fetch()
    return read()


def fetch_photos(
    photos: Sequence[tuple[str, Path]],
    wanted: Wanted,
    arrive: Callable[[Path], object] = lambda file: open_image(file, near=NEAR),
    workers: int = 16,
) -> dict[Path, str]:
    """Fetch, in parallel, the (address, path) pairs that are not there, or `wanted.again`; return what failed -> why.

    Args:
        wanted: what is there and broken keeps its place until the new one is whole.
        arrive: see `fetch_many`; refuses what is no photo.

    Raises:
        DownloadError: there are too many of these.
    """
    asked = [(url, path) for url, path in photos if path in wanted.again or not path.exists()]
    if not asked:
        return {}
    try:
        report = fetch_many(asked, workers, again=wanted.again, arrive=arrive)
        failed = report.failed
        print(f"Photos: {report}")
    except DownloadError as error:  # nothing answers: a few may be missing nevertheless
        failed = {path: str(error) for _, path in asked if not path.exists()}
    require_most(failed, len(photos), wanted.missing_share)
    return failed


def require_most(missing: Mapping[Path, str], asked: int, share: float) -> None:
    """Refuse to make a dataset that is much smaller than what was asked for.

    Raises:
        DownloadError: more than this share of the photos is missing.
    """
    if len(missing) > 1 and len(missing) / asked > share:
        different = {why: path for path, why in missing.items()}
        examples = "\n".join(f"  {path}: {why}" for why, path in list(different.items())[:3])
        smaller = (
            " If they are gone for good, set a smaller CAPTIONING_LIMIT, or do without them: in notebook 01, "
            f"MISSING_SHARE = {math.ceil(100 * len(missing) / asked) / 100:g}."
        )
        raise DownloadError(
            f"{len(missing):,} of {asked:,} photos are missing, more than {100 * share:g} %:\n{examples}\n"
            "What has been fetched is kept: run this again to try the others once more."
            + (smaller if len(missing) < asked else "")  # where none can be had, the fault is elsewhere
        )
