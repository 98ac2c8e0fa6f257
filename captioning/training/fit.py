"""Train with `Model.fit`: stopped by the captions' CIDEr, resumable to the bit after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from captioning.batches import CaptionBatches
from captioning.models.decoder import Decoder
from captioning.tokenizer import Tokenizer
from captioning.training.config import TrainingConfig
from captioning.training.free_running import FreeRunning
from captioning.training.history import is_complete
from captioning.training.loss import MaskedAccuracy, masked_crossentropy
from captioning.training.snapshots import Snapshots, finish_rename


class ValidationCaptions(keras.callbacks.Callback):
    """Captions validation pictures after each epoch, and adds `val_CIDEr` to the logs."""

    def __init__(self, batches: CaptionBatches, tokenizer: Tokenizer, pictures: int = 200):
        """Take the validation batches, of which the first `pictures` are captioned."""
        super().__init__()
        records = batches.records[:pictures]
        store = batches.store
        features = store.averaged(records) if batches.regions < store.regions else store.rows(records)
        self._captions = FreeRunning(records, features, tokenizer, batches.max_words)

    def on_train_begin(self, logs=None):
        """Compile the step once, for all epochs."""
        self._compiled = self.model.compile_step()

    def on_epoch_end(self, epoch, logs=None):
        """Caption, show and score."""
        logs["val_CIDEr"] = self._captions.score(*self._compiled)


def fit(
    model: Decoder,
    train: CaptionBatches,
    validation: CaptionBatches,
    tokenizer: Tokenizer,
    config: TrainingConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    stop_after: int | None = None,
) -> list[dict[str, float]]:
    """Train with `Model.fit`; a run that was broken off goes on where it was.

    Args:
        model: built; its features scaled.
        train: batches of the train split.
        validation: batches of the validation split.
        tokenizer: to write the validation captions out.
        config: how.
        folder: the bundle: gets the best weights, `last/`, `history.csv` and TensorBoard's `logs/`.
        callbacks: more of them, for example a test's.
        stop_after: train only so many of the epochs, with the rate of the whole training: for comparing beginnings.

    Returns:
        One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, val_CIDEr, seconds; both losses with label
        smoothing. The model has the best weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    snapshots = Snapshots(folder, config)
    compile_model(model, config, steps=train.steps_per_epoch * config.epochs)
    finish_rename(folder)
    first_epoch = snapshots.restore(model)
    if not is_complete(snapshots.history, config):
        if first_epoch:
            print(f"Going on after epoch {first_epoch} of at most {config.epochs}.")
        model.fit(
            train.training(first_epoch, config.epochs),
            steps_per_epoch=train.steps_per_epoch,
            initial_epoch=first_epoch,
            epochs=min(config.epochs, stop_after or config.epochs),
            validation_data=validation.evaluation(),
            # The order matters: val_CIDEr must be in the logs before the others read them.
            callbacks=[
                ValidationCaptions(validation, tokenizer),
                snapshots,
                keras.callbacks.TensorBoard(folder / "logs", write_graph=False),
                *callbacks,
            ],
            shuffle=False,
            verbose=2,
        )
    model.load_weights(folder / "model.weights.h5")
    return snapshots.history


def compile_model(model: Decoder, config: TrainingConfig, steps: int) -> None:
    """Compile with the masked loss and AdamW, whose rate rises over 5 % of the steps and follows a cosine to 0."""
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        config.learning_rate / 10, max(1, steps - warmup), warmup_target=config.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm)
    optimizer.build(model.trainable_variables)
    loss = masked_crossentropy(config.label_smoothing, config.mask_padding)
    model.compile(optimizer=optimizer, loss=loss, metrics=[MaskedAccuracy()], jit_compile=False)
