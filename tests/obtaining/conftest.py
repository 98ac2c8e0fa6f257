"""A server on the loopback address that offers what the real ones do."""

import re

import pytest

from tests import originals
from tests.server import Server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        monkeypatch.setenv("CAPTIONING_MIRROR", server.url(originals.MIRROR))
        server.patch = monkeypatch
        yield server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("captioning.fetching.asking.SLOWNESS", 0.0)


@pytest.fixture
def mb():
    """Return a function that reads a row of the cost: MB to fetch, MB of disk."""

    def row(text, what):
        (line,) = [line for line in text.splitlines() if line.startswith(what)]
        return tuple(float(number.replace(",", "")) for number in re.findall(r"(-?[\d,.]+) MB", line)[:2])

    return row
