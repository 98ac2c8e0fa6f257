"""Train the from-scratch captioner: shuffled batches, epochs, checkpoints; NumPy only."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captioning.from_scratch.optimizers import Optimizer, clip_gradients
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.tokenizer import PAD
from captioning.training.archive import copy_into, read_arrays, write_arrays

Batches = Callable[[int], Iterable[tuple[np.ndarray, np.ndarray]]]


class Epoch(NamedTuple):
    """What `fit` reports after each pass over the captions."""

    number: int  # from 1
    loss: float  # nats per word, mean over the words of the epoch, with dropout
    gradient_norm: float  # mean over the updates, before clipping


def shuffled_batches(
    features: np.ndarray, images: np.ndarray, tokens: np.ndarray, batch_size: int, seed: int = 0
) -> Batches:
    """Return the batches of an epoch as a function of its number: the same number, the same batches.

    Captions of about the same length go together, so that little padding is computed: the shuffled captions are
    sorted by length within groups of 20 batches, and the batches are shuffled again.

    Args:
        features: (images, channels) or (images, regions, channels), one row per image.
        images: (captions,), the row of the image that each caption describes.
        tokens: (captions, steps), START ... END PAD.
        batch_size: captions per batch; the last one of an epoch may be smaller.
        seed: of the shuffling.
    """
    lengths = (tokens != PAD).sum(axis=1)

    def epoch(number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng((seed, number))
        order = rng.permutation(len(tokens))
        groups = np.split(order, range(20 * batch_size, len(order), 20 * batch_size))
        order = np.concatenate([group[np.argsort(lengths[group], kind="stable")] for group in groups])
        for start in rng.permutation(np.arange(0, len(order), batch_size)):
            rows = order[start : start + batch_size]
            yield features[images[rows]], tokens[rows]

    return epoch


def fit(
    model: CaptioningRNN,
    batches: Batches,
    epochs: int,
    optimizer: Optimizer,
    clip_norm: float | None = 5.0,
    start: int = 0,
) -> Iterator[Epoch]:
    """Train, and yield after each epoch: the caller plots, scores, saves, or breaks to stop early.

    Dropout is drawn from the seed of the model and the number of updates, the batches from the number of the epoch:
    a run that resumes from a checkpoint gives the same bits as one that was never stopped.

    Args:
        model, optimizer: changed in place.
        batches: from the number of an epoch to its (features, tokens), for example `shuffled_batches`.
        epochs: number of epochs of the whole training.
        clip_norm: clip the global norm of the gradients to it; None does not clip.
        start: number of epochs that are done already, from `load_checkpoint`.

    Raises:
        FloatingPointError: the loss or a gradient is not finite.
        ValueError: an epoch without batches.
    """
    for number in range(start, epochs):
        history = []
        for features, tokens in batches(number):
            rng = np.random.default_rng((model.config.seed, optimizer.updates))
            loss, gradients = model.loss(features, tokens, rng)
            norm = clip_gradients(gradients, clip_norm)
            if not np.isfinite(loss + norm):
                raise FloatingPointError(
                    f"Loss {loss}, gradient norm {norm} after {optimizer.updates} updates: "
                    "lower the learning rate or clip_norm."
                )
            optimizer.update(model.parameters, gradients)
            history.append((loss, norm, (tokens[:, 1:] != PAD).sum()))
        if not history:
            raise ValueError("The epoch has no batch: is the list of captions empty?")
        losses, norms, words = np.array(history).T
        yield Epoch(number + 1, float(np.average(losses, weights=words)), float(norms.mean()))


def save_checkpoint(path: Path | str, model: CaptioningRNN, optimizer: Optimizer, epoch: int) -> None:
    """Write model, optimizer state and the number of epochs done in ONE file, so that they always belong together."""
    state = {f"optimizer/{name}": values for name, values in optimizer.state.items()}
    counts = {"epoch": np.array(epoch), "updates": np.array(optimizer.updates)}
    write_arrays(path, model.arrays() | state | counts)


def load_checkpoint(path: Path | str, optimizer: Optimizer) -> tuple[CaptioningRNN, int]:
    """Read a checkpoint that `save_checkpoint` wrote: the model and the epochs done, which are the `start` of `fit`.

    The optimizer is a new one with the same settings; its state is filled in.

    Raises:
        ValueError: the file is no checkpoint of such a model and optimizer.
    """
    arrays = read_arrays(path)
    model = CaptioningRNN.from_arrays(arrays, path)
    if not {"epoch", "updates"} <= set(arrays):
        raise ValueError(f"{path} holds a model without optimizer state: load it with CaptioningRNN.load.")
    optimizer.updates, optimizer.state = int(arrays["updates"]), {}
    optimizer.prepare(model.parameters)
    copy_into(optimizer.state, arrays, "optimizer/", path)
    return model, int(arrays["epoch"])
