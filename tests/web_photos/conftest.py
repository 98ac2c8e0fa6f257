"""A server, and how long it is waited for."""

import pytest

from captioning.fetching import photo
from captioning.fetching.photo import is_public
from tests.web_photos.hosts import PNG


@pytest.fixture
def server(server):
    server.files["/dog.png"] = PNG
    return server


@pytest.fixture
def as_public(monkeypatch):
    """Count the server as one of the internet."""
    monkeypatch.setattr(photo, "is_public", lambda address: address == "127.0.0.1" or is_public(address))


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(photo, "LONGEST", 0.25)
    monkeypatch.setattr(photo, "SILENCE", 0.2)
