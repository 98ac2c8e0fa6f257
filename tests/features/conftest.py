"""Shards of four pictures, and a tiny encoder to make them."""

import pytest
from tiny_encoder import noise_records, tiny_encoder

from captioning import features


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(features, "SHARD", 4)


@pytest.fixture
def encoder():
    return tiny_encoder()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tiny-last-random"


@pytest.fixture
def photos(tmp_path):
    return lambda count: noise_records(tmp_path / "photos", count)
