"""Shards of four pictures, a tiny encoder to make them, and photos as the photo check leaves them."""

import pytest
from tiny_encoder import noise_records, tiny_encoder

from captioning.features import making, store


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store, "SHARD", 4)
    monkeypatch.setattr(making, "FLUSH", 16)


@pytest.fixture
def encoder():
    return tiny_encoder()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tiny-last-random"


@pytest.fixture
def photos(tmp_path):
    return lambda count: noise_records(tmp_path / "photos", count)


@pytest.fixture
def one_after_the_other(monkeypatch):
    """Batches go through the CNN in their order, for encoders that do something else at each call."""
    monkeypatch.setattr(making, "RUNS", 1)
