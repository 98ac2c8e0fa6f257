"""Files that are whole or not there, and one writer at a time."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, two runs that make the same file are not told apart.
    fcntl = None

_NO_LOCKS_HERE = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)


class BusyError(RuntimeError):
    """Another process is making the same file."""


class DamagedError(ValueError):
    """A file does not hold what it should; the message names it and the way out."""


def beside(target: Path, ending: str) -> Path:
    """Return the path of a companion of a file, for example its `.part`."""
    return target.with_name(target.name + ending)


@contextmanager
def write_atomically(path: Path | str) -> Iterator[Path]:
    """Give a path to write to; what was written takes the place of `path` when the block ends without an error.

    A kill or an error leaves the file as it was. The name given ends like the file's own, since some writers choose
    their format by it.

    Args:
        path: the file; its folder is made where it is missing.
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


def read_json(path: Path | str, way_out: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        way_out: the end of the error's message, for example "Run notebooks/01_download.ipynb again."

    Raises:
        DamagedError: it is not JSON in UTF-8.
        FileNotFoundError: it is not there.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # of the decoding and of JSON
        raise DamagedError(f"{path} is damaged ({error}). {way_out}") from error


@contextmanager
def only_one(target: Path, wait: bool = False) -> Iterator[None]:
    """Hold the right to make a file or folder: a lock beside it, which ends with the process that holds it.

    Args:
        target: what is made; the folder around it exists.
        wait: wait for another holder, and say so, instead of raising an error.

    Raises:
        BusyError: another process holds it.
    """
    name = beside(target, ".part.lock")
    lock = _lock(name, target, wait) if fcntl else None
    try:
        yield
    finally:
        if lock is not None:
            name.unlink(missing_ok=True)
            os.close(lock)


def _lock(name: Path, target: Path, wait: bool) -> int | None:
    """Return the descriptor that holds the lock, or None on a file system without locks."""
    told = False
    while True:
        lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(name)):
                return lock
        except FileNotFoundError:  # its last holder has removed it since: take a new one
            pass
        except BlockingIOError:
            if not wait:
                os.close(lock)
                raise BusyError(f"{target} is being made by another process: wait for it.") from None
            if not told:
                print(f"{target.name} is being made by another process: waiting for it.", flush=True)
                told = True
            time.sleep(0.2)
        except OSError as error:
            os.close(lock)
            name.unlink(missing_ok=True)
            if error.errno in _NO_LOCKS_HERE:
                return None
            raise
        os.close(lock)
