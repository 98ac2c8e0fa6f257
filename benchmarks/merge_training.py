"""Training the merge model: one pass over whole captions against one sample per prefix, as most merge models do.

Both compute the same loss and do whole training steps (loss, gradients, AdamW) on the same 32 pictures with 5 captions
of 12 words. One pass runs the LSTM over a caption once, where prefixes run it over every beginning, and maps a picture
once; the softmax over the vocabulary costs both the same, so the ratio falls as the vocabulary grows.
"""

from __future__ import annotations

from collections.abc import Iterator

import captioning.quiet  # noqa: F401

# isort: split
import numpy as np
import tensorflow as tf

from benchmarks.timing import Line
from captioning import models
from captioning.models.merge import MergeConfig, MergeDecoder
from captioning.tokenizer import END, PAD, START
from captioning.training import fit
from captioning.training.config import TrainingConfig
from captioning.training.loss import masked_crossentropy

CAPTIONS, WORDS = 5, 12
# Vocabulary and channels of the image vector, as the series has them.
SIZES = {
    "scenes, VGG16": (105, 4096),
    "1,684 photos, MobileNet": (1571, 768),
    "all of COCO, VGG16": (10000, 4096),
}
TINY = {"sizes": {"tiny": (12, 6)}, "pictures": 2}


def lines(sizes: dict = SIZES, pictures: int = 32) -> Iterator[Line]:
    """Yield a line per size."""
    for name, (vocabulary, channels) in sizes.items():
        whole, prefixes = samples(vocabulary, channels, pictures)
        model = models.build(MergeDecoder, MergeConfig(vocabulary=vocabulary, regions=1, channels=channels))
        ours, usual = training_step(model, whole_loss, whole), training_step(model, prefix_loss, prefixes)

        def check(model=model, whole=whole, prefixes=prefixes, ours=ours, usual=usual):
            np.testing.assert_allclose(whole_loss(model, *whole), prefix_loss(model, *prefixes), rtol=1e-5)
            ours(), usual()

        yield Line(
            f"merge training, {name}",
            "captions",
            ours,
            usual,
            check,
            3 * pictures * CAPTIONS,
            against="a sample per prefix",
        )


def samples(vocabulary: int, channels: int, pictures: int) -> tuple[tuple, tuple]:
    """Return random captions whole, and as one sample per prefix, padded in front to one length; each with targets."""
    random = np.random.default_rng(0)
    tokens = random.integers(4, vocabulary, (pictures, CAPTIONS, WORDS + 2), dtype=np.int32)
    tokens[..., 0], tokens[..., -1] = START, END
    features = random.normal(size=(pictures, 1, channels)).astype(np.float32)
    steps = WORDS + 1
    rows = tokens.reshape(-1, steps + 1)
    prefixes = np.full((len(rows), steps, steps), PAD, np.int32)
    for t in range(steps):
        prefixes[:, t, steps - t - 1 :] = rows[:, : t + 1]
    repeated = np.repeat(features, CAPTIONS * steps, axis=0)
    return (
        (features, tokens[..., :-1], tokens[..., 1:]),
        (repeated, prefixes.reshape(-1, steps), rows[:, 1:].reshape(-1)),
    )


def whole_loss(model, features, tokens, targets, training_now=False):
    """All prefixes of a caption out of one run of the LSTM."""
    logits = model({"features": features, "tokens": tokens}, training=training_now)
    return masked_crossentropy()(targets, logits)


def prefix_loss(model, features, prefixes, targets, training_now=False):
    """A run of the LSTM for every prefix, one prediction at its end: as most merge models are trained."""
    image, *zeros = model.initial_state(features, training=training_now)
    words = model.word_dropout(model.embedding(prefixes), training=training_now)
    hidden = model.lstm(words, mask=prefixes != PAD, initial_state=zeros)[:, -1]
    return masked_crossentropy()(targets, model.logits(model.joint(image + hidden)))


def training_step(model, loss, batch):
    """Return a function that takes three whole training steps: loss, gradients, optimizer."""
    weights = model.trainable_variables
    fit.set_optimizer(model, TrainingConfig(), steps=100)
    optimizer = model.optimizer

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(model, *batch, training_now=True)
        optimizer.apply_gradients(zip(tape.gradient(value, weights), weights, strict=True))
        return value

    return lambda: [step().numpy() for _ in range(3)]
