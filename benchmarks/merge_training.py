"""Training the merge model: one pass over whole captions against one sample per prefix, in one run.

    python benchmarks/merge_training.py

Both compute the same loss (checked first) and do whole training steps (loss, gradients, AdamW) on the same 32 pictures
with 5 captions of 12 words. One pass runs the LSTM over a caption once, where prefixes run it over every beginning, and
maps a picture once; the softmax over the vocabulary costs both the same, so the ratio falls as the vocabulary grows.
"""

import time

import captioning.quiet  # noqa: F401

# isort: split
import numpy as np
import tensorflow as tf

from captioning import models
from captioning.models.merge import MergeConfig, MergeDecoder
from captioning.tokenizer import END, PAD, START
from captioning.training import fit
from captioning.training.config import TrainingConfig
from captioning.training.loss import masked_crossentropy

PICTURES, CAPTIONS, WORDS = 32, 5, 12
# Vocabulary and channels of the image vector, as the series has them.
SIZES = {
    "scenes, VGG16": (105, 4096),
    "1,684 photos of COCO, MobileNet": (1571, 768),
    "all of COCO, VGG16": (10000, 4096),
}


def main() -> None:
    """Measure and print."""
    print(f"{'captions/s':34}{'vocabulary':>11}{'one pass':>10}{'prefixes':>10}{'ratio':>7}")
    for name, (vocabulary, channels) in SIZES.items():
        whole, prefixes = samples(vocabulary, channels)
        model = models.build(MergeDecoder, MergeConfig(vocabulary=vocabulary, regions=1, channels=channels))
        losses = [float(loss(model, *batch)) for loss, batch in ((whole_loss, whole), (prefix_loss, prefixes))]
        np.testing.assert_allclose(*losses, rtol=1e-5)
        rates = [rate(model, whole_loss, whole), rate(model, prefix_loss, prefixes)]
        print(f"{name:34}{vocabulary:11}{rates[0]:10.0f}{rates[1]:10.0f}{rates[0] / rates[1]:7.1f}", flush=True)


def samples(vocabulary: int, channels: int) -> tuple[tuple, tuple]:
    """Return random captions whole, and as one sample per prefix, padded in front to one length; each with targets."""
    random = np.random.default_rng(0)
    tokens = random.integers(4, vocabulary, (PICTURES, CAPTIONS, WORDS + 2), dtype=np.int32)
    tokens[..., 0], tokens[..., -1] = START, END
    features = random.normal(size=(PICTURES, 1, channels)).astype(np.float32)
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


def rate(model, loss, batch, repeats: int = 5) -> float:
    """Return captions per second of whole training steps: loss, gradients, optimizer."""
    fit.set_optimizer(model, TrainingConfig(), steps=100)
    weights = model.trainable_variables

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(model, *batch, training_now=True)
        model.optimizer.apply_gradients(zip(tape.gradient(value, weights), weights, strict=True))
        return value

    step()
    started = time.perf_counter()
    for _ in range(repeats):
        step().numpy()
    return repeats * PICTURES * CAPTIONS / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
