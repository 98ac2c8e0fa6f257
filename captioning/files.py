"""Files that are whole or not there, one writer at a time, and space on the disk before writing."""

import errno
import gc
import json
import os
import shutil
import tokenize
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, Protocol

from filelock import FileLock, Timeout

SPARE = 16 * 1024 * 1024  # bytes of the disk that are left free
# What NumPy raises where an .npy or .npz is damaged: its zip, its header, or the size that it claims.
NO_ARRAYS = (
    zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, tokenize.TokenError, SyntaxError, ValueError, TypeError,
    AttributeError, OverflowError, MemoryError,
)  # fmt: skip
_NO_LOCKS_HERE = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)


class BusyError(RuntimeError):
    """Another process or thread is making the same file."""


class NoSpaceError(OSError):
    """The disk is too small for what is about to be written; the message says by how much, and the way out."""

    def __str__(self) -> str:
        return str(self.strerror)


class DamagedError(ValueError):
    """A file does not hold what it should; the message names it and the way out."""


class Readable(Protocol):
    """What reads like a `Path`: a file on the disk, in a zip, or in a packed model."""

    def exists(self) -> bool: ...

    def is_file(self) -> bool: ...

    def read_bytes(self) -> bytes: ...


def beside(target: Path, ending: str) -> Path:
    """Return the path of a companion of a file, for example its `.part`."""
    return target.with_name(target.name + ending)


def folded(path: PurePath | str) -> str:
    """Return what Windows and macOS take a name for: neither letter case nor Unicode form matters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


@contextmanager
def write_atomically(path: Path | str) -> Iterator[Path]:
    """Give a path to write to; what was written takes the place of `path` when the block ends without an error.

    A kill or an error leaves the file as it was. The name given ends like the file's own, since some writers choose
    their format by it. The folder is made where it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"partial-{os.getpid()}-{path.name}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8 with line feeds, whole or not at all."""
    with write_atomically(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path | str, content: Any, indent: int | None = 1) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


def read_json(path: Readable | str, way_out: str, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Read a JSON file in UTF-8 or UTF-16, with or without a byte order mark.

    Args:
        way_out: the end of the error's message, for example "Run notebooks/01_download.ipynb again."
        hook: makes an object of its pairs; a dictionary where there is none. It refuses them with ValueError.

    Raises:
        DamagedError: it is not JSON.
        FileNotFoundError: it is not there.
    """
    content, collects = (Path(path) if isinstance(path, str) else path).read_bytes(), gc.isenabled()
    gc.disable()  # nothing of it is garbage, and looking through millions of objects again and again takes minutes
    try:
        return json.loads(content, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:  # of the decoding and of JSON
        raise DamagedError(f"{path} is damaged ({error}). {way_out}") from error
    finally:
        if collects:
            gc.enable()


def free_space(folder: Path | str) -> int:
    """Return the free bytes of the disk on which a folder is, or would be."""
    folder = Path(folder).absolute()
    return shutil.disk_usage(next(parent for parent in (folder, *folder.parents) if parent.exists())).free


def require_space(folder: Path | str, needed: float, what: str, way_out: str) -> None:
    """Raise a NoSpaceError where a disk has no space for so many bytes, and a little more.

    Args:
        folder: where they go; need not exist.
        needed: bytes still to be written.
        what: the beginning of the error's message, for example "The features".
        way_out: its end, for example "set a smaller CAPTIONING_LIMIT".
    """
    folder, free = Path(folder).absolute(), free_space(folder)
    if needed and needed + SPARE > free:
        amounts = f"needs {needed / 1e6:,.0f} MB of the disk, {free / 1e6:,.0f} MB are free in {folder}"
        raise NoSpaceError(errno.ENOSPC, f"{what} {amounts}: free some, or {way_out}.")


@contextmanager
def only_one(target: Path, wait: bool = False) -> Iterator[None]:
    """Hold the right to make a file or folder: a lock beside it, which ends with the process that holds it.

    On a file system without locks it is not held, and nothing is said. Where another process or thread holds it, wait
    and say so, or raise a BusyError.
    """
    name = beside(target, ".part.lock")
    lock = FileLock(name, fallback_to_soft=False)  # a soft lock would outlive a kill
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not wait:
            raise BusyError(f"{target} is being made by another process: wait for it.") from None
        print(f"{target.name} is being made by another process: waiting for it.", flush=True)
        lock.acquire(poll_interval=0.2)
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
        name.unlink(missing_ok=True)
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(PermissionError):  # Windows removes no open file; filelock does it there
                name.unlink(missing_ok=True)
            lock.release()
