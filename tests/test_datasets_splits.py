"""Splits of our own go by the contents of the photos; splits that were used are kept."""

import dataclasses
import itertools
import json
import random
from pathlib import Path

import pytest

from captioning.datasets import splits
from captioning.datasets.dataset import UNSPLIT, CaptionDataset, DatasetError
from captioning.datasets.records import Record
from captioning.datasets.splits import FEWEST, HASH, WISHED
from captioning.files import DamagedError
from captioning.provenance import content_digest
from tests.originals import splits_of

NAMES = ("train", "val", "test")


def picture(number, content=None, split=UNSPLIT):
    return Record(
        number, Path(f"{number}.jpg"), ("a caption",), split, content=content or content_digest(b"%d" % number)
    )


def unsplit(numbers, name="own"):
    return CaptionDataset(name, tuple(picture(number) for number in numbers), splits_from=HASH)


def split(count, source):
    """Pictures with splits from a source; each source gives another picture to the test."""
    test = len(source) % count
    records = (picture(n, split="test" if n == test else NAMES[n % 2]) for n in range(count))
    return CaptionDataset("own", tuple(records), splits_from=source)


def counts(dataset):
    return [len(dataset.split(name)) for name in NAMES]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data" / "splits.json"


@pytest.fixture
def settled(file):
    """Settle a dataset and write its splits down, as notebook 01 does."""

    def settled(dataset, choice="official"):
        dataset = splits.settle(dataset, file, choice)
        splits.write(file, choice, dataset)
        return dataset

    return settled


def test_a_tenth_is_for_the_test_and_a_tenth_of_the_rest_for_validation(settled):
    train, val, test = counts(settled(unsplit(range(4000))))
    assert (train, val, test) == (
        pytest.approx(3240, rel=0.05),
        pytest.approx(360, rel=0.15),
        pytest.approx(400, rel=0.15),
    )


def test_a_larger_limit_changes_no_split(file):
    few, many = (splits_of(splits.settle(unsplit(range(limit)), file, "official")) for limit in (100, 200))
    assert few.items() <= many.items()


def test_a_copy_falls_on_the_side_of_its_photo(settled):
    both = [*unsplit(range(100)).records, *(picture(100 + n, content_digest(b"%d" % n)) for n in range(100))]
    dataset = settled(CaptionDataset("own", tuple(both), splits_from=HASH))
    of = splits_of(dataset)
    assert all(of[n] == of[100 + n] for n in range(100)) and splits.leaks(dataset) == []


def test_few_photos_are_enough_from_three_on(file):
    for count, seed in itertools.product(range(3, 40), range(20)):
        numbers = random.Random(seed).sample(range(10_000), count)
        dataset = splits.settle(unsplit(numbers), file, "official")
        least = WISHED if count >= 5 else FEWEST
        assert all(len(dataset.split(name)) >= least[name] for name in NAMES), splits_of(dataset)
        assert counts(dataset) == {3: [1, 1, 1], 5: [1, 2, 2]}.get(count, counts(dataset))


def test_no_known_photo_moves_for_what_is_only_wished(settled):
    for count in range(3, 12):
        few = splits_of(settled(unsplit(range(count), name=f"{count}")))
        more = settled(unsplit(range(count + 1)))
        assert few.items() <= splits_of(more).items() and not more.findings


def test_photos_that_filled_a_split_stay_there_when_more_come(settled):
    few = splits_of(settled(unsplit(range(5))))
    assert few.items() <= splits_of(settled(unsplit(range(300)))).items()
    assert splits_of(settled(unsplit(range(5)))) == few
    assert counts(settled(unsplit(range(300, 305)), "90/10")) == [1, 2, 2]  # another choice knows nothing of them


@pytest.mark.parametrize("emptied", ["val", "test", "train"])
def test_a_split_that_loses_its_photos_is_filled_from_the_others(emptied, settled):
    before = settled(unsplit(range(8)))
    gone = {record.image_id for record in before.split(emptied)}
    after = settled(unsplit(number for number in range(8) if number not in gone))
    changed = {number for number, name in splits_of(after).items() if splits_of(before)[number] != name}
    assert all(len(after.split(name)) >= FEWEST[name] for name in NAMES)
    assert len(changed) == FEWEST[emptied]
    assert len(after.findings["known pictures that fill a split with too few"]) == len(changed)
    new = settled(unsplit(number for number in range(9) if number not in gone))
    assert splits_of(after).items() <= splits_of(new).items() and not new.findings


def test_a_new_photo_fills_a_split_before_a_known_one(settled, file):
    before = settled(unsplit(range(8)))
    gone = {record.image_id for record in before.split("val")}
    after = settled(unsplit(number for number in range(8 + len(gone)) if number not in gone))
    assert not after.findings and {r.image_id for r in after.split("val")} <= {8, 9, 10}


def test_a_photo_that_was_renamed_keeps_its_split(settled):
    few = settled(unsplit(range(5))).records
    renamed = tuple(dataclasses.replace(r, image_id=f"new-{r.image_id}", split=UNSPLIT) for r in few)
    more = (*renamed, *unsplit(range(5, 300)).records)
    again = splits_of(settled(CaptionDataset("own", more, splits_from=HASH)))
    assert [again[f"new-{r.image_id}"] for r in few] == [r.split for r in few]


def test_splits_of_our_own_need_the_contents(file):
    bare = dataclasses.replace(unsplit(range(3)).records[0], content="")
    with pytest.raises(ValueError, match=r"call `prepare\.check` first"):
        splits.settle(CaptionDataset("own", (bare,), splits_from=HASH), file, "official")


@pytest.mark.parametrize("before", ["Karpathy", HASH])
@pytest.mark.parametrize("now", ["halved", HASH])
def test_splits_from_another_source_are_not_taken_for_known_pictures(before, now, settled, file):
    if before == now:
        return
    make = {
        "Karpathy": lambda n: split(n, "Karpathy"),
        "halved": lambda n: split(n, "halved"),
        HASH: lambda n: unsplit(range(n)),
    }
    first = splits_of(settled(make[before](30)))
    alone = splits_of(splits.settle(make[now](60), file.with_name("other.json"), "official"))
    for _ in range(2):  # the second time, too
        again = settled(make[now](60))
        assert first.items() <= splits_of(again).items()
        assert {n: name for n, name in splits_of(again).items() if n >= 30} == {n: alone[n] for n in range(30, 60)}
        ((what, names),) = again.findings.items()
        assert f"kept from {before!r}, not from {now!r}" in what and f"delete {file}" in what
        assert len(names) == sum(alone[n] != first[n] for n in range(30)) > 0
    file.unlink()
    assert splits_of(settled(make[now](60))) == alone


def test_the_same_source_has_the_last_word(settled):
    dataset = settled(split(10, "captions file"))
    edited = dataclasses.replace(dataset.records[0], split="test")
    assert edited.split != dataset.records[0].split
    again = settled(dataclasses.replace(dataset, records=(edited, *dataset.records[1:])))
    assert again.records[0].split == "test" and not again.findings


def test_pictures_that_are_not_there_now_are_not_forgotten(settled, file):
    first = splits_of(settled(split(30, "Karpathy")))
    settled(split(20, "Karpathy"))
    assert json.loads(file.read_text())["official"] == {
        "from": "Karpathy",
        "assigned": {str(n): s for n, s in first.items()},
    }


def test_drawn_splits_are_not_written_down(settled, file):
    drawn = split(10, "")
    assert settled(drawn) == drawn and not file.exists()


@pytest.mark.parametrize(
    "content",
    ["[]", '{"official": 1}', '{"official": {"from": "x", "assigned": {"1": "dev"}}}', '{"official": {"a": 1}}'],
)
def test_another_layout_is_named(content, file):
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(DatasetError, match=r"splits\.json is not in its layout\. Delete it"):
        splits.settle(unsplit(range(9)), file, "official")
    file.write_text("{")
    with pytest.raises(DamagedError, match=r"splits\.json is damaged .* Delete it"):
        splits.settle(unsplit(range(9)), file, "official")
