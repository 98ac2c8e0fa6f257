"""A file that is being made: its bytes in `.part`, whose bytes they are in `.part.json`, and a lock."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, two runs that make the same file are not told apart.
    fcntl = None


class BusyError(RuntimeError):
    """Another process is making the same file."""


def beside(target: Path, ending: str) -> Path:
    """Return the path of a companion of a file, for example its `.part`."""
    return target.with_name(target.name + ending)


@contextmanager
def only_one(target: Path) -> Iterator[None]:
    """Hold the right to make one file: a lock beside it, which ends with the process that holds it.

    Args:
        target: the file; its folder exists.

    Raises:
        BusyError: another process holds it.
    """
    name = beside(target, ".part.lock")
    lock = _lock(name, target) if fcntl else None
    try:
        yield
    finally:
        if lock is not None:
            name.unlink(missing_ok=True)
            os.close(lock)


def _lock(name: Path, target: Path) -> int:
    while True:
        lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(name)):
                return lock
        except FileNotFoundError:  # its last holder has removed it since: take a new one
            pass
        except BlockingIOError:
            os.close(lock)
            raise BusyError(f"{target} is being made by another process: wait for it.") from None
        os.close(lock)


class Partial:
    """The bytes of a file that have come so far, and the identity of the file that they belong to."""

    def __init__(self, target: Path):
        self.target = target
        self.path, self.note = beside(target, ".part"), beside(target, ".part.json")

    def size(self) -> int:
        """Return the number of bytes that are there; 0 without a partial file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def identity(self, url: str) -> dict:
        """Return the identity noted for these bytes; empty when they must not be continued.

        Args:
            url: where they would be continued from; bytes from elsewhere are not.
        """
        try:
            identity = json.loads(self.note.read_text(encoding="utf-8"))
            total = identity["total"]
            usable = identity["url"] == url and {"etag", "modified"} <= identity.keys()
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return {}
        return identity if usable and (total is None or self.size() <= total) else {}

    def start_over(self, identity: dict) -> None:
        """Drop the bytes, and only then note whose bytes come next: a kill in between does no harm.

        Args:
            identity: `url`, `etag`, `modified`, `total`; nothing is noted when the last three are all None.
        """
        self.forget()
        self.path.write_bytes(b"")
        if any(identity.get(name) is not None for name in ("etag", "modified", "total")):
            draft = beside(self.note, ".new")
            draft.write_text(json.dumps(identity), encoding="utf-8")
            os.replace(draft, self.note)

    def forget(self) -> None:
        """Drop the identity: what is there is not continued any more."""
        self.note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the file its name; the bytes reach the disk before. The note goes with `tidy`."""
        with open(self.path, "r+b") as part:
            os.fsync(part.fileno())
        os.replace(self.path, self.target)

    def tidy(self) -> None:
        """Leave nothing behind that cannot be continued."""
        if self.size() == 0 or not self.note.exists():
            self.forget()
            self.path.unlink(missing_ok=True)
