"""Many records in little memory, which behave as a list of them."""

import dataclasses
import pickle
import tracemalloc

import numpy as np
import pytest

from captioning.datasets import records as module
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import TOGETHER, UNPACKED, Record, Records
from captioning.provenance import FileState


@pytest.fixture
def many(tmp_path):
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(900)]

    def record(number):
        texts = tuple(" ".join(random.choice(words, 10)) for _ in range(5))
        state = FileState(number, 17 * number, 23 * number)
        split = ("train", "val", "test")[number % 3]
        return Record(number, tmp_path / f"{number:08}.jpg", texts, split, {"place": number}, f"{number:032x}", state)

    return [record(number) for number in range(3 * TOGETHER + 5)]


def test_they_are_those_that_were_packed(many):
    packed = Records.of(iter(many))
    assert len(packed) == len(many) and [*packed] == many and packed == many and packed == tuple(many)
    assert [packed[place] for place in (0, TOGETHER, -1, np.int64(7))] == [many[p] for p in (0, TOGETHER, -1, 7)]
    assert packed != many[1:] and packed != [*many[:-1], dataclasses.replace(many[-1], split="test")]
    assert packed != 7 and not Records.of([]) and many[300] in packed
    assert Records.of(packed) is packed and pickle.loads(pickle.dumps(packed)) == many
    with pytest.raises(IndexError):
        packed[len(many)]


def test_parts_of_them_are_parts_of_the_list(many):
    packed, odd = Records.of(many), [number % 2 == 1 for number in range(len(many))]
    for part in (slice(3), slice(250, 600), slice(None, None, -7), slice(-2, None), slice(9, 2)):
        assert packed[part] == many[part]
    assert packed.where(odd) == many[1::2] and packed.where(iter(odd))[::-1][:5] == many[1::2][::-1][:5]
    assert packed[::-1].where(odd)[3] == many[::-1][1::2][3]
    for wrong in (odd[1:], [*odd, True]):
        with pytest.raises(IndexError):
            packed.where(wrong)


def test_the_splits_of_a_dataset_share_its_memory(many):
    dataset = CaptionDataset("tiny", Records.of(many))
    tracemalloc.start()
    parts = [dataset.split(name) for name in ("train", "val", "test")]
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(part) for part in parts] == [258, 258, 257] and parts[1] == many[1::3]
    assert memory / len(many) < 2000 * UNPACKED * TOGETHER / len(many) + 20  # what stays unpacked, and numbers


def test_they_take_a_quarter_of_the_memory_of_a_list(many):
    module._unpacked.cache_clear()
    content = pickle.dumps(many)
    tracemalloc.start()
    plain = pickle.loads(content)
    as_list, _ = tracemalloc.get_traced_memory()
    packed = Records.of(plain)
    del plain
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert packed == many and memory < as_list / 4


def test_few_blocks_stay_unpacked(many, monkeypatch):
    packed = Records.of([dataclasses.replace(many[0], image_id=n) for n in range((UNPACKED + 3) * TOGETHER)])
    module._unpacked.cache_clear()
    assert sum(1 for _ in packed) == len(packed)
    found = module._unpacked.cache_info()
    assert (found.misses, found.currsize) == (UNPACKED + 3, UNPACKED)
    assert [packed[n].image_id for n in (-1, -5, -TOGETHER)] == [len(packed) - n for n in (1, 5, TOGETHER)]
    assert module._unpacked.cache_info().misses == UNPACKED + 3
