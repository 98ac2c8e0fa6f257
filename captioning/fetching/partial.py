"""A file that is being made: its bytes in `.part`, and whose bytes they are in `.part.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from captioning.files import beside, write_json


class Partial:
    """The bytes of a file that have come so far, and the identity of the file that they belong to."""

    def __init__(self, target: Path):
        self.target = target
        self.path, self.note = beside(target, ".part"), beside(target, ".part.json")

    def size(self) -> int:
        """Return the number of bytes that are there; 0 without a partial file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def identity(self, url: str) -> dict:
        """Return the identity noted for these bytes; empty when they must not be continued from this address."""
        try:
            identity = json.loads(self.note.read_text(encoding="utf-8"))
            total = identity["total"]
            usable = identity["url"] == url and {"etag", "modified"} <= identity.keys()
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return {}
        return identity if usable and (total is None or self.size() <= total) else {}

    def start_over(self, identity: dict) -> None:
        """Drop the bytes, and only then note whose bytes come next, if that can be told: a kill between is no harm."""
        self.forget()
        self.path.write_bytes(b"")
        if any(identity.get(name) is not None for name in ("etag", "modified", "total")):
            write_json(self.note, identity, indent=None)

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
