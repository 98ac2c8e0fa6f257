"""Train the from-scratch captioner until its captions get no better; resumes to the bit after a kill."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from captioning.datasets.records import Record
from captioning.decoding.steps import require_whole
from captioning.from_scratch.optimizers import Adam, cosine_decay
from captioning.from_scratch.pooling import channel_statistics
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.from_scratch.training import fit, load_checkpoint, save_checkpoint, shuffled_batches
from captioning.provenance import StaleError, code_digest, difference
from captioning.tokenizer import END, PAD, Tokenizer
from captioning.training.folder import run_name, tidy, training_in
from captioning.training.free_running import PICTURES, FreeRunning
from captioning.training.history import (
    History,
    best_epoch,
    finished,
    is_complete,
    read_history,
    report_end,
    write_history,
)
from captioning.training.log import TrainingLog

if TYPE_CHECKING:
    from captioning.features import FeatureStore  # needs TensorFlow


@dataclass(frozen=True)
class NumpyTrainingConfig:
    """How a from-scratch captioner is trained."""

    epochs: int = 10  # at most
    patience: int = 4  # epochs without a better one before it stops
    learning_rate: float = 2e-3  # at its highest; follows a cosine down to 0
    weight_decay: float = 0.01
    batch: int = 64  # captions
    clip_norm: float = 5.0  # of the whole gradient
    seed: int = 0  # of the order of the captions

    def __post_init__(self):
        """Refuse a run of no epochs, and batches of nothing."""
        require_whole("epochs", self.epochs, 1)
        require_whole("batch", self.batch, 1)


class CaptionArrays(NamedTuple):
    """The captions of one split and the vectors of their pictures."""

    features: np.ndarray  # (pictures, channels) float32, raw
    images: np.ndarray  # (captions,): the row of the picture that each caption describes
    tokens: np.ndarray  # (captions, steps), START ... END PAD


def caption_arrays(
    records: Sequence[Record], store: FeatureStore, tokenizer: Tokenizer, max_words: int = 20
) -> CaptionArrays:
    """Gather all captions of a split in memory, and one vector per picture, the mean over its regions.

    Pictures without features are left out; a ValueError where none has any. Captions of more than `max_words` are cut,
    and then have no END to learn from.
    """
    records = store.readable(records)
    if not records:
        raise ValueError("No picture of the split has features: look at notebooks 01 and 03.")
    features = store.averaged(records)[:, 0]
    images = np.repeat(np.arange(len(records)), [len(record.captions) for record in records])
    tokens = tokenizer.encode_batch(text for record in records for text in record.captions)[:, : max_words + 2]
    if tokens.shape[1] == max_words + 2:
        tokens[tokens[:, -1] != END, -1] = PAD
    return CaptionArrays(features, images, tokens)


class Validation:
    """Scores a captioner on the validation split: true words for the loss, its own words for CIDEr."""

    def __init__(self, records: Sequence[Record], store: FeatureStore, tokenizer: Tokenizer, max_words: int = 20):
        """Gather the captions as `caption_arrays` does; the first `PICTURES` are captioned."""
        records = store.readable(records)
        self._captions = caption_arrays(records, store, tokenizer, max_words)
        self._free = FreeRunning(records[:PICTURES], self._captions.features[:PICTURES], tokenizer, max_words)

    @property
    def caption(self) -> str:
        """What the model last scored says about the first picture."""
        return self._free.caption

    def score(self, model: CaptioningRNN) -> dict[str, float]:
        """Return val_loss (nats per word), val_accuracy and val_CIDEr (greedy decoding)."""
        features, images, tokens = self._captions
        parts = [slice(start, start + 256) for start in range(0, len(tokens), 256)]
        words = [np.count_nonzero(tokens[part, 1:] != PAD) for part in parts]
        scores = [model.score(features[images[part]], tokens[part]) for part in parts]
        loss, accuracy = np.average(scores, axis=0, weights=words).tolist()
        return {"val_loss": loss, "val_accuracy": accuracy, "val_CIDEr": self._free.score(*model.compile_step())}


def fit_best(
    config: CaptioningRNNConfig,
    training: NumpyTrainingConfig,
    captions: CaptionArrays,
    validation: Validation,
    folder: Path,
) -> tuple[CaptioningRNN, History]:
    """Train with Adam, keep the weights of the best epoch; an interrupted run resumes where it was.

    Args:
        config, training: of the model, and how it is trained.
        captions: of the train split; mean and deviation of the features are fitted on them.
        validation: scores each epoch.
        folder: the bundle: gets the best weights (`model.npz`), `history.csv`, `training.json` and, while it is
            unfinished, `last/`.

    Returns:
        The model with the best weights, and one row per epoch: epoch, loss, val_loss, val_accuracy, val_CIDEr,
        gradient_norm, seconds.

    Raises:
        StaleError: the folder holds another run.
    """
    with training_in(folder, asdict(config), asdict(training), code_digest(CaptioningRNN)):
        weights = folder / "model.npz"
        name = run_name("", Path(folder), f"numpy_{config.cell}")
        history = finished(weights, training) or _train(config, training, captions, validation, weights, name)
        tidy(folder)
        return CaptioningRNN.load(weights), history


def _train(
    config: CaptioningRNNConfig,
    training: NumpyTrainingConfig,
    captions: CaptionArrays,
    validation: Validation,
    weights: Path,
    name: str,
) -> History:
    """Train to the end, from the first weights or from the last whole epoch."""
    written, checkpoint = weights.with_name("history.csv"), weights.parent / "last" / "checkpoint.npz"
    steps = -(-len(captions.tokens) // training.batch) * training.epochs
    # The rate rises over 5 % of the steps, as in `training.fit.set_optimizer`.
    optimizer = Adam(cosine_decay(training.learning_rate, steps, max(1, steps // 20)), training.weight_decay)
    batches = shuffled_batches(*captions, batch_size=training.batch, seed=training.seed)
    if checkpoint.is_file():
        model, done = load_checkpoint(checkpoint, optimizer)
        if found := difference(asdict(model.config), asdict(config)):
            raise StaleError(f"{checkpoint} is of another model: {found}. Delete {weights.parent} and train again.")
        history = read_history(written)[:done]
    else:
        model, history = CaptioningRNN(config, *channel_statistics(captions.features)), []
    log, began = TrainingLog(name, len(captions.tokens), training.epochs, len(history)), time.perf_counter()
    for epoch in fit(model, batches, training.epochs, optimizer, training.clip_norm, start=len(history)):
        row = {"epoch": epoch.number - 1, "loss": epoch.loss, **validation.score(model)}
        began, seconds = time.perf_counter(), time.perf_counter() - began  # with validation, as the Keras runs count
        history.append(row | {"gradient_norm": epoch.gradient_norm, "seconds": seconds})
        if best_epoch(history) == len(history) - 1:
            model.save(weights)
        write_history(written, history)
        save_checkpoint(checkpoint, model, optimizer, len(history))  # last: a kill before makes the epoch run again
        log.row(history, validation.caption)
        if is_complete(history, training):
            break
    report_end(history, training)
    return history
