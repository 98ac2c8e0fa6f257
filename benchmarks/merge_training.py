"""Training the merge model: one pass over whole captions against one sample per prefix, in one run.

    python benchmarks/merge_training.py

Both do whole training steps (loss, gradients, AdamW) on the same 32 pictures with 5 captions each; prints captions per
second and the ratio. One pass maps a picture once; a sample per prefix carries its picture's vector along.
"""

import time

import numpy as np
import tensorflow as tf

import captioning.quiet  # noqa: F401
from captioning import models, training
from captioning.models.merge import MergeConfig
from captioning.tokenizer import END, PAD, START

PICTURES, CAPTIONS, WORDS, VOCABULARY, CHANNELS = 32, 5, 12, 2000, 4096


def main() -> None:
    """Measure and print."""
    random = np.random.default_rng(0)
    tokens = random.integers(4, VOCABULARY, (PICTURES, CAPTIONS, WORDS + 2), dtype=np.int32)
    tokens[..., 0], tokens[..., -1] = START, END
    features = random.normal(size=(PICTURES, 1, CHANNELS)).astype(np.float32)
    rates = {
        "one pass": rate(one_pass_loss, features, tokens[..., :-1], tokens[..., 1:]),
        "prefix by prefix": rate(prefix_loss, *expanded(features, tokens)),
    }
    for name, value in rates.items():
        print(f"{name:17}{value:8.0f} captions/s")
    print(f"ratio {rates['one pass'] / rates['prefix by prefix']:.1f} at {WORDS} words")


def expanded(features: np.ndarray, tokens: np.ndarray):
    """Return one sample per prefix, padded in front to one length, and the word after each."""
    steps = tokens.shape[2] - 1
    rows = tokens.reshape(-1, steps + 1)
    prefixes = np.full((len(rows), steps, steps), PAD, np.int32)
    for t in range(steps):
        prefixes[:, t, steps - t - 1 :] = rows[:, : t + 1]
    return np.repeat(features, CAPTIONS * steps, axis=0), prefixes.reshape(-1, steps), rows[:, 1:].reshape(-1)


def one_pass_loss(model, features, tokens, targets):
    """All prefixes of a caption out of one run of the LSTM."""
    logits = model({"features": features, "tokens": tokens}, training=True)
    return training.masked_crossentropy()(targets, logits)


def prefix_loss(model, features, prefixes, targets):
    """A run of the LSTM for every prefix, one prediction at its end: as most merge models are trained."""
    image, *zeros = model.initial_state(features, training=True)
    words = model.word_dropout(model.embedding(prefixes), training=True)
    hidden = model.lstm(words, initial_state=zeros)[:, -1]
    return training.masked_crossentropy()(targets, model.logits(model.joint(image + hidden)))


def rate(loss, *batch, repeats: int = 5) -> float:
    """Return captions per second of whole training steps: loss, gradients, optimizer."""
    model = models.build(MergeConfig(vocabulary=VOCABULARY, regions=1, channels=CHANNELS))
    training.compile_model(model, training.TrainingConfig(), steps=100)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(model, *batch)
        model.optimizer.apply_gradients(
            zip(tape.gradient(value, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return value

    step()
    started = time.perf_counter()
    for _ in range(repeats):
        step().numpy()
    return repeats * PICTURES * CAPTIONS / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
