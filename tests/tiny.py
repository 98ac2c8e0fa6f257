"""A dataset of colored squares with captions, and features for it without any CNN."""

import numpy as np
from PIL import Image

from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.features import FeatureStore
from captioning.features.index import Entry
from captioning.images import RESIZE
from captioning.tokenizer import Tokenizer
from captioning.words import tokenize, write

COLOURS = ("red", "green", "blue", "white", "black")
SHAPES = ("square", "field", "wall", "flag")


def tiny_dataset(folder, pictures=20, captions=2, splits=("train",)):
    """Write plain pictures and return their records; picture i is of split i modulo the splits."""
    records = []
    for number in range(pictures):
        colour, shape = COLOURS[number % 5], SHAPES[number // 5 % 4]
        file = folder / f"{number:03d}.png"
        Image.new("RGB", (8, 8), colour).save(file)
        texts = (f"a {colour} {shape}", f"one {shape} that is {colour}", f"the {shape} is {colour} number{number}")
        records.append(Record(number, file, texts[:captions], splits[number % len(splits)]))
    return CaptionDataset("tiny", tuple(records))


def tokenizer_of(dataset):
    """Fit a tokenizer on all captions of the train split."""
    return Tokenizer.fit(dataset.captions("train"))


def captions_of(record, tokenizer):
    """Return the record's captions as the tokenizer gives them back."""
    return [write(tokenize(caption)) for caption in record.captions]


def store_of(dataset, folder, regions=4, channels=6, identity=None):
    """Write features that hold the colour and the shape of a picture, and open them."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(9, regions, channels))
    features = [
        directions[record.image_id % 5] + directions[5 + record.image_id // 5 % 4] + 0.01 * random.normal(size=(1, 1))
        for record in dataset.records
    ]
    target = folder / "features" / "mobilenet-tiny"
    tiny = {
        "encoder": "mobilenet", "layer": "conv_pw_13_relu", "weights": "random", "weights_hash": "0" * 16,
        "image_size": 224, "resize": RESIZE, "preprocessing": "RGB in [-1, 1]", "regions": regions,
        "channels": channels,
    }  # fmt: skip
    store = FeatureStore.for_writing(target, tiny | (identity or {}))
    store.add([Entry(store.key(r), row.astype(np.float16)) for r, row in zip(dataset.records, features, strict=True)])
    return FeatureStore(target)
