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


def mostly_val(many):
    """Return a dataset of which every ninth picture is of the train split."""
    split = {record.image_id: "val" if record.image_id % 9 else "train" for record in many}
    return CaptionDataset("tiny", tuple(dataclasses.replace(r, split=split[r.image_id]) for r in many))


def test_a_large_split_shares_the_memory_of_the_dataset(many):
    dataset = mostly_val(many)
    assert dataset.records == dataset.first(None).records  # unpacks all of them
    tracemalloc.start()
    part = dataset.split("val")
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [r.image_id for r in part] == [n for n in range(len(many)) if n % 9] and memory < 20 * len(many)


def test_a_small_part_does_not_unpack_the_whole(many):
    dataset = mostly_val(many)
    few = dataset.split("train")
    module._unpacked.cache_clear()
    assert few == [dataclasses.replace(r, split="train") for r in many[::9]]
    assert module._unpacked.cache_info().misses == 1


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
