"""Which picture is for what: splits of our own, and splits that were used once and are kept."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from captioning.datasets.dataset import SPLITS, CaptionDataset, DatasetError
from captioning.datasets.records import Record
from captioning.files import read_json, write_json

HASH = "hash of the photos' contents"  # the source of our own splits
TEST, VAL = 0.9, 0.81  # of the hash: a tenth for the test, a tenth of the rest for validation
FEWEST = {"train": 1, "val": 1, "test": 1}  # pictures
WISHED = {"train": 1, "val": 2, "test": 2}  # where there are five: captions are also shuffled to *other* pictures


def settle(dataset: CaptionDataset, file: Path, choice: str) -> CaptionDataset:
    """Return the dataset with every picture in a split.

    The splits of a source take precedence, also when they were edited. Where another source than before decides, the
    pictures that are known keep their split. Our own splits go by a hash of the photo's
    contents: a limit, a new photo or a copy changes nothing.

    Args:
        dataset: checked, so that the contents are known.
        file, choice: the splits that were used, and which of them; see `write`.

    Raises:
        DamagedError: the file is not JSON.
        DatasetError: the file is not in its layout.
    """
    now, used = dataset.splits_from, _used(file, choice) if dataset.splits_from else {}
    before, assigned = used.get("from", now), used.get("assigned", {})
    if before == now != HASH:
        return dataset
    fresh = _by_content(dataset.records, {}) if now == HASH else {r.image_id: r.split for r in dataset.records}
    known = {r.image_id: assigned[_key(r, before)] for r in dataset.records if _key(r, before) in assigned}
    settled = _by_content(dataset.records, known) if now == HASH else fresh | known
    records = tuple(dataclasses.replace(record, split=settled[record.image_id]) for record in dataset.records)
    kept = [f"{name}: {split}, not {fresh[name]}" for name, split in known.items() if split != fresh[name]]
    advice = f"splits kept from {before!r}, not from {now!r}: to change that, delete {file} and run 01 again"
    moved = [f"{name}: {split}, now {settled[name]}" for name, split in known.items() if split != settled[name]]
    found = dataclasses.replace(dataset, records=records).found(advice, kept if before != now else ())
    return found.found("known pictures that fill a split with too few", moved)


def write(file: Path, choice: str, dataset: CaptionDataset) -> None:
    """Note the splits in use, beside those of other choices and of pictures that are not there now.

    Args:
        file: {choice: {"from": what has decided, "assigned": {picture: split}}}; a picture is named by the digest of
            its contents where the splits are our own, by its id elsewhere.
        choice: the value of SPLIT.
    """
    if not dataset.splits_from:
        return
    used = _used(file, choice)
    source = used.get("from", dataset.splits_from)
    assigned = used.get("assigned", {}) | {_key(r, source): r.split for r in dataset.records}
    others = read_json(file, "") if file.is_file() else {}
    write_json(file, others | {choice: {"from": source, "assigned": assigned}})


def leaks(dataset: CaptionDataset) -> list[str]:
    """Name groups of photos with the same bytes that are in more than one split."""
    groups = defaultdict(list)
    for record in dataset.records:
        if record.content:
            groups[record.content].append(record)
    torn = [group for group in groups.values() if len({record.split for record in group}) > 1]
    return [", ".join(f"{record.file.name} ({record.split})" for record in group) for group in torn]


def _used(file: Path, choice: str) -> dict:
    """Return `from` and `assigned` of one choice; empty where nothing was noted yet."""
    if not file.is_file():
        return {}
    content = read_json(file, "Delete it: then the pictures are split as if for the first time.")
    try:
        used = content.get(choice, {})
        right = not used or (isinstance(used["from"], str) and set(used["assigned"].values()) <= set(SPLITS))
    except (AttributeError, KeyError, TypeError):
        right = False
    if not right:
        raise DatasetError(f"{file} is not in its layout. Delete it: then the pictures are split for the first time.")
    return used


def _key(record: Record, source: str) -> str:
    return record.content if source == HASH else str(record.image_id)


def _by_content(records: Iterable[Record], known: Mapping[int | str, str]) -> dict[int | str, str]:
    """Return image id -> split by the hash; known pictures keep theirs, and their copies go with them.

    Where a split of a few photos would be too small, the next ones in the order of the hash fill it: new ones up to
    `WISHED`, known ones only where it would have fewer than `FEWEST`.
    """
    if any(not record.content for record in records):
        raise ValueError("Splits of our own go by the photos' contents: call `prepare.check` first.")
    fixed = {r.content: known[r.image_id] for r in records if r.image_id in known}
    split_of = {r.content: fixed.get(r.content) or _side(r.content) for r in records}
    wished = WISHED if len(split_of) >= sum(WISHED.values()) else FEWEST
    new = [content for content in split_of if content not in fixed]
    moved = _fill(split_of, new, wished) | _fill(split_of, [*fixed], FEWEST)
    return {
        r.image_id: split_of[r.content] if r.content in moved else known.get(r.image_id, split_of[r.content])
        for r in records
    }


def _fill(split_of: dict[str, str], movable: Iterable[str], fewest: Mapping[str, int]) -> set[str]:
    """Move some of these contents into splits that have too few; return those that were moved."""
    counts, moved = Counter(split_of.values()), set()
    highest_first = sorted(movable, reverse=True)
    for needy in ("test", "val", "train"):
        for content in highest_first[:: -1 if needy == "train" else 1]:
            donor = split_of[content]
            if counts[needy] < fewest[needy] and donor != needy and counts[donor] > fewest[donor]:
                split_of[content] = needy
                counts.update({needy: 1, donor: -1})
                moved.add(content)
    return moved


def _side(content: str) -> str:
    """Return the split of a digest, read as a number in [0, 1)."""
    place = int(content[:13], 16) / 16**13
    return "test" if place >= TEST else "val" if place >= VAL else "train"
