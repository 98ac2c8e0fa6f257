"""Training the Bahdanau decoder: whole steps against the public tutorials' loop over 50 padded places.

Both have 64 x 2048 regions, 512 units, an embedding of 256, attention 512, 5,000 words, features in memory and
batches of 65 captions of COCO's lengths: 13 pictures with 5 captions each. Our batches are taken evenly from a whole
epoch, from the shortest captions to the longest. Ours also drops out, decays weights and clips gradients.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import captioning.quiet  # noqa: F401

# isort: split
import keras
import numpy as np
import tensorflow as tf

from benchmarks import made
from benchmarks.timing import Line, has_bfloat16, seconds_of
from benchmarks.usual.attention_tutorial import PLACES, Tutorial, copied
from captioning import models
from captioning.batches import POOL, CaptionBatches
from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.training import fit, loop
from captioning.training.config import TrainingConfig
from captioning.training.loss import word_sums

SIZES = {"vocabulary": 5000, "regions": 64, "channels": 2048, "embedding": 256, "units": 512, "attention": 512}
TINY = {
    "sizes": {"vocabulary": 40, "regions": 4, "channels": 6, "embedding": 5, "units": 8, "attention": 7},
    "pictures": 4, "batch": 2, "steps": 1, "places": 4, "cut": 2,
}  # fmt: skip


def lines(
    sizes: dict = SIZES, pictures: int = 832, batch: int = 13, steps: int = 12, places: int = PLACES, cut: int = 48
) -> Iterator[Line]:
    """Yield float32, and bfloat16 where the processor has it, both against the tutorials' float32.

    Args:
        sizes: of the model.
        pictures: of the epoch.
        batch: pictures per batch.
        steps: batches of the epoch that one call of ours trains on.
        places: of the tutorials' captions.
        cut: words after which captions are cut.
    """
    with tempfile.TemporaryDirectory() as folder:
        records = made.records(pictures, sizes["vocabulary"])
        store = made.store(Path(folder), records, sizes["regions"], sizes["channels"])
        words = made.tokenizer(sizes["vocabulary"])
        # As of all of COCO.
        batches = CaptionBatches(records, store, words, batch_size=batch, max_words=cut, pool=POOL)
        by_length = sorted(batches.epoch(0), key=lambda pair: pair[1].shape[-1])
    chosen = [by_length[(2 * n + 1) * len(by_length) // (2 * steps)] for n in range(steps)]
    copies = [copied(inputs["features"], inputs["tokens"], targets, places) for inputs, targets in chosen[::6]]
    tutorial = Tutorial(BahdanauConfig(**sizes))
    first = {}
    for policy, aim in (("float32", 8.0), ("mixed_bfloat16", 11.0)):
        if policy == "float32" or has_bfloat16():
            with precision(policy):
                model = models.build(BahdanauDecoder, BahdanauConfig(**sizes))
            yield _line(policy, aim, model, tutorial, chosen, copies, first)


def _line(policy, aim, model, tutorial, chosen, copies, first) -> Line:
    ours = trainer(model, chosen)

    def usual():
        for features, captions in copies:
            tutorial.train_step(features, captions)

    def check():
        tutorial.take_weights(model)
        of_ours = nats_per_word(model, *chosen[0])
        np.testing.assert_allclose(tutorial.loss(*copies[0]), of_ours, rtol=1e-4 if policy == "float32" else 2e-2)
        first_batch = trainer(model, chosen[:1])
        line.more["seconds of the first step"] = seconds_of(first_batch)
        if "usual" not in first:
            first["usual"] = seconds_of(lambda: tutorial.train_step(*copies[0]))
        line.more["seconds of the usual first step"] = first["usual"]
        ours()

    captions = sum(targets.shape[0] * targets.shape[1] for _, targets in chosen)
    of_usual = sum(len(captions) for _, captions in copies)
    name = policy.removeprefix("mixed_")
    line = Line(f"Bahdanau training, {name}", "captions", ours, usual, check, captions, of_usual, aim, "the tutorials")
    return line


class Chosen:
    """Batches in memory, as the training loop asks for them."""

    def __init__(self, batches: list):
        self.batches, self.steps_per_epoch = batches, len(batches)

    def training(self, first_epoch: int, epochs: int, shares=None) -> tf.data.Dataset:
        """Return the batches, again for each epoch."""
        inputs, targets = self.batches[0]
        tokens = tf.TensorSpec((None, targets.shape[1], None), targets.dtype)
        features = tf.TensorSpec((None, *inputs["features"].shape[1:]), inputs["features"].dtype)
        specs = {"features": features, "tokens": tokens}, tokens
        repeated = (batch for _ in range(first_epoch, epochs) for batch in self.batches)
        return tf.data.Dataset.from_generator(lambda: repeated, output_signature=specs).prefetch(2)


def trainer(model, batches: list):
    """Return a function that trains on these batches."""
    chosen, numbers = Chosen(batches), itertools.count()
    fit.set_optimizer(model, TrainingConfig(), 10_000)
    one_epoch = loop.by_words(model, chosen, range(10_000), TrainingConfig.label_smoothing, True)
    model.stop_training, calls = False, keras.callbacks.CallbackList([], model=model)
    return lambda: one_epoch(next(numbers), calls)


def nats_per_word(model, inputs, targets) -> float:
    """Return the loss of a batch, without dropout."""
    sums = word_sums(model, inputs, targets, training=False)
    return float(sums.nats) / float(sums.words)


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build models in this precision."""
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(kept)
