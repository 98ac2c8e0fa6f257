"""A server with one file, and a way to fetch it without waiting."""

import pytest

from captioning.fetching.download import fetch
from tests.download.served import BODY


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("CAPTIONING_MIRROR", raising=False)


@pytest.fixture
def server(server):
    server.files["/a"] = BODY
    return server


@pytest.fixture
def get(server, tmp_path):
    """Fetch /a without waiting; `get.waits` are the waits it asked for."""

    def get(path="/a", name="a", **options):
        options = {"timeout": 5.0, "sleep": get.waits.append} | options
        return fetch(server.url(path), tmp_path / name, **options)

    get.waits = []
    return get
