"""Dataset, features and vocabulary for runs of a second."""

import pytest

import captioning.quiet  # noqa: F401
from tests.tiny import store_of, tiny_dataset, tokenizer_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    dataset = tiny_dataset(folder, splits=("train", "train", "train", "val"))
    return dataset, store_of(dataset, folder), tokenizer_of(dataset)
