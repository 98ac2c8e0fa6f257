"""A photo at an address: fetched when it is read, within limits, from public hosts only."""

from __future__ import annotations

import re
from dataclasses import dataclass

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # how an address begins; no drive of Windows does


@dataclass(frozen=True)
class WebPhoto:
    """A photo at an http or https address; like a file open for reading, it is fetched when it is read."""

    address: str
    allow_private: bool = False  # also from hosts of this machine and its local network

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.address

    def read(self, limit: int = -1) -> bytes:
        """Fetch it.

        Raises:
            ValueError: it cannot be fetched; the message names the address and the reason.
        """
        raise NotImplementedError
