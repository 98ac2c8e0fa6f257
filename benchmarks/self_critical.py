"""An epoch of self-critical training on 1,684 photos with 5 samples each: sampled, scored by CIDEr-D, learned from.

Timed on a part of the photos and told for all of them. There is no usual way in TensorFlow to compare with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import captioning.quiet  # noqa: F401

# isort: split
import keras
import numpy as np

from benchmarks import made
from benchmarks.timing import Line
from captioning import models
from captioning.batches import CaptionBatches
from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.tokenizer import END
from captioning.training import fit
from captioning.training.config import SelfCriticalConfig
from captioning.training.self_critical import Learner

PHOTOS = 1684  # those of COCO val2014 that the series is tried on
SIZES = {"vocabulary": 1571, "regions": 49, "channels": 768, "units": 320}  # as notebook 05 has it
TINY = {"sizes": {"vocabulary": 40, "regions": 4, "channels": 6, "units": 7, "embedding": 5}, "pictures": 4}


def lines(sizes: dict = SIZES, pictures: int = 320, batch: int = 16) -> Iterator[Line]:
    """Yield the one line."""
    model = models.build(BahdanauDecoder, BahdanauConfig(**sizes))
    # A trained model's captions have some ten words; one with its first weights would hardly ever say END.
    bias = np.array(model.logits.bias)
    bias[END] = np.log(sizes["vocabulary"] / 10)
    model.logits.bias.assign(bias)
    with tempfile.TemporaryDirectory() as folder:
        records = made.records(pictures, sizes["vocabulary"])
        store = made.store(Path(folder), records, sizes["regions"], sizes["channels"])
        words = made.tokenizer(sizes["vocabulary"])
        train = CaptionBatches(records, store, words, batch_size=batch, max_words=20)
        config = SelfCriticalConfig(learning_rate=1e-9)  # so that the captions stay as long as they are
        fit.set_optimizer(model, config, 1000)
        learner = Learner(model, train, words, config)
        model.stop_training, calls = False, keras.callbacks.CallbackList([], model=model)

        def epoch():
            return learner.epoch(0, calls)

        def check():
            once, again = epoch(), epoch()
            assert abs(once["words"] - again["words"]) < 0.1 and 0 <= once["reward"] <= 10
            line.more |= {"words per caption": float(once["words"])}

        line = Line("self-critical epoch, 1,684 photos", "", epoch, None, check, pictures / PHOTOS, aim=20)
        yield line
