"""What the rows work on: captions as long as COCO's, features and photos, all made from seeds."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.datasets.records import Record
from captioning.images import RESIZE
from captioning.tokenizer import SPECIAL, Tokenizer

# Words (tokens of the metric, without punctuation) of the 10,928 captions of 2,184 photos of COCO val2014 -> captions.
LENGTHS = {
    7: 80, 8: 1814, 9: 2377, 10: 2372, 11: 1678, 12: 1062, 13: 626, 14: 339, 15: 190, 16: 124, 17: 81, 18: 55, 19: 45,
    20: 28, 21: 18, 22: 8, 23: 7, 24: 4, 25: 6, 26: 3, 27: 1, 28: 1, 31: 1, 32: 1, 33: 2, 35: 1, 38: 4,
}  # fmt: skip
CAPTIONS = 5  # per picture


def lengths(count: int, seed: int = 0) -> np.ndarray:
    """Draw the numbers of words of so many captions."""
    chances = np.array([*LENGTHS.values()], float)
    return np.random.default_rng(seed).choice([*LENGTHS], count, p=chances / chances.sum())


@functools.cache
def tokenizer(vocabulary: int) -> Tokenizer:
    """Return a tokenizer of so many ids, the special ones included."""
    letters = str.maketrans("0123456789", "abcdefghij")
    return Tokenizer(f"q{number}".translate(letters) for number in range(vocabulary - len(SPECIAL)))


def texts(count: int, vocabulary: int, seed: int = 0) -> list[str]:
    """Return captions of COCO's lengths, whose words are as unevenly frequent as those of a language are (Zipf)."""
    random, words = np.random.default_rng(seed), tokenizer(vocabulary).vocabulary
    chances = 1 / np.arange(1, len(words) + 1)
    of_each = lengths(count, seed)
    drawn = iter(random.choice(words, of_each.sum(), p=chances / chances.sum()).tolist())
    return [" ".join(next(drawn) for _ in range(length)) for length in of_each]


def records(pictures: int, vocabulary: int, folder: Path = Path("/none"), split: str = "train") -> list[Record]:
    """Return pictures with five captions each; there are no files."""
    captions = texts(CAPTIONS * pictures, vocabulary)
    parts = (tuple(captions[CAPTIONS * n : CAPTIONS * (n + 1)]) for n in range(pictures))
    return [Record(n, folder / f"{n:012}.jpg", part, split, content=f"{n:032x}") for n, part in enumerate(parts)]


def identity(regions: int, channels: int) -> dict:
    """Return the identity of an encoder that gives random numbers."""
    return {
        "encoder": "inception_v3", "layer": "mixed10", "weights": "made", "weights_hash": "0" * 16, "image_size": 299,
        "resize": RESIZE, "preprocessing": "RGB in [-1, 1]", "regions": regions, "channels": channels,
    }  # fmt: skip


def features(pictures: int, regions: int, channels: int) -> np.ndarray:
    """Return random numbers as they come out of a rectified layer: half of them 0; float16."""
    random = np.random.default_rng(0)
    few = np.maximum(random.standard_normal((min(pictures, 64), regions, channels), np.float32), 0)
    return few.astype(np.float16)[np.arange(pictures) % len(few)]


def store(folder: Path, made: list[Record], regions: int, channels: int):
    """Write features of the records, in the order of their numbers, and open them."""
    from captioning.features import FeatureStore
    from captioning.features.shards import Entry

    target = folder / "inception_v3-made"
    written = FeatureStore.for_writing(target, identity(regions, channels))
    rows = features(min(len(made), 64), regions, channels)
    written.add([Entry(written.key(record), rows[n % len(rows)]) for n, record in enumerate(made)])
    return FeatureStore(target)


def photos(folder: Path, count: int) -> list[Record]:
    """Write JPEG files of COCO's size, 640 x 480 and about 165 KB, and return their records."""
    random, made = np.random.default_rng(0), []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).resize((640, 480), Image.BICUBIC)
        fine = np.asarray(coarse, np.int16) + random.integers(-28, 29, (480, 640, 1))
        file = folder / f"{number:012}.jpg"
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(file, quality=88)
        made.append(Record(number, file, ("a photo",), "train"))
    return made
