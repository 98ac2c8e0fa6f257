"""Train with `Model.fit`: stopped by the captions' CIDEr, resumable to the bit after a kill."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import captioning.quiet  # noqa: F401 (before `batches` imports Keras)
from captioning import models
from captioning.batches import CaptionBatches
from captioning.models.decoder import Decoder
from captioning.provenance import code_digest
from captioning.quiet import keras
from captioning.tokenizer import Tokenizer
from captioning.training.averaging import AveragedWeights
from captioning.training.config import SelfCriticalConfig, TrainingConfig
from captioning.training.folder import run_name, training_in
from captioning.training.free_running import PICTURES, FreeRunning
from captioning.training.history import History, is_complete, report_end
from captioning.training.interrupts import Interruptible
from captioning.training.log import TrainingLog
from captioning.training.loss import MaskedAccuracy, WordLoss, masked_crossentropy
from captioning.training.snapshots import Snapshots, without_optimizer


class ValidationCaptions(keras.callbacks.Callback):
    """Captions the first validation pictures after each epoch, and adds `val_CIDEr` to the logs."""

    def __init__(self, batches: CaptionBatches, tokenizer: Tokenizer):
        super().__init__()
        records, store = batches.records[:PICTURES], batches.store
        features = store.averaged(records) if batches.regions < store.regions else store.rows(records)
        self._captions = FreeRunning(records, features, tokenizer, batches.max_words)

    @property
    def caption(self) -> str:
        """What the model last said about the first picture."""
        return self._captions.caption

    def on_train_begin(self, logs=None):
        """Compile the step once, for all epochs."""
        self._compiled = self.model.compile_step()

    def on_epoch_end(self, epoch, logs=None):
        """Caption and score."""
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
    name: str = "",
) -> History:
    """Train with `Model.fit`: from the first weights, or from where an earlier run in the folder was interrupted.

    Args:
        model: built; its features scaled. Whatever it was used for before changes nothing.
        train: batches of the train split.
        validation: batches of the validation split.
        tokenizer: to write the validation captions out.
        config: how.
        folder: the bundle: gets the best weights, `last/`, `history.csv` and TensorBoard's `logs/`.
        callbacks: more of them, for example a test's.
        stop_after: train only so many of the epochs, with the rate of the whole run: for comparing beginnings.
        name: what the log calls the run; otherwise that of the experiment, or the kind of the model.

    Returns:
        One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, val_CIDEr, seconds; both losses in nats per
        word, without label smoothing. The model has the best weights.

    Raises:
        StaleError: the folder holds another run.
    """

    def epochs(first: int, most: int, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        model.fit(
            train.training(first, config.epochs),
            steps_per_epoch=train.steps_per_epoch,
            initial_epoch=first,
            epochs=most,
            validation_data=validation.evaluation(),
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )

    captions = sum(min(train.captions, len(record.captions)) for record in train.records)
    loss = masked_crossentropy(config.label_smoothing, config.mask_padding)
    compile_model(model, config, train.steps_per_epoch * config.epochs, loss)
    return run(model, validation, tokenizer, config, folder, callbacks, stop_after, name, epochs, captions)


def run(
    model: Decoder,
    validation: CaptionBatches,
    tokenizer: Tokenizer,
    config: TrainingConfig | SelfCriticalConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback],
    stop_after: int | None,
    name: str,
    epochs: Callable[[int, int, Sequence[keras.callbacks.Callback]], None],
    captions: int,
    start: Path | None = None,
) -> History:
    """Do what all training runs share: hold the folder, resume, log, validate, keep snapshots and the best weights.

    Args:
        model: compiled.
        validation, tokenizer, config, folder, callbacks, stop_after, name: see `fit`.
        epochs: trains from the first epoch that is to be done up to a last one, and calls the callbacks.
        captions: trained on in one epoch, for the log.
        start: a file of weights to start from; None: the model's first ones.

    Returns:
        The history, a row per epoch. The model has the best weights.

    Raises:
        StaleError: the folder holds another run.
    """
    with training_in(Path(folder), asdict(model.config), asdict(config), code_digest(type(model))):
        snapshots = Snapshots(folder, config)
        first_epoch = snapshots.restore(model)
        if start and not first_epoch:
            with without_optimizer(model):
                models.load_weights(model, start)
        if not is_complete(snapshots.history, config):
            most = min(config.epochs, stop_after or config.epochs)
            log = TrainingLog(run_name(name, snapshots.folder, model.kind), captions, most, first_epoch)
            free, interrupts = ValidationCaptions(validation, tokenizer), Interruptible()
            row = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: log.row(snapshots.history, free.caption))
            board = keras.callbacks.TensorBoard(snapshots.folder / "logs", write_graph=False)
            # The order matters: val_CIDEr must be in the logs before the others read them.
            after_each_epoch = [free, snapshots, row, board, *callbacks, interrupts]
            if config.averaging:
                after_each_epoch.insert(0, AveragedWeights(swapped=first_epoch > 0))
            with interrupts.listening():
                epochs(first_epoch, most, after_each_epoch)
            report_end(snapshots.history, config)
        with without_optimizer(model):
            model.load_weights(snapshots.weights)
    return snapshots.history


def compile_model(
    model: Decoder, config: TrainingConfig | SelfCriticalConfig, steps: int, loss: Callable | None = None
) -> None:
    """Compile with AdamW, whose rate rises over 5 % of the steps and follows a cosine to 0.

    Args:
        model: the decoder.
        config: how it is trained.
        steps: of the whole run.
        loss: of targets and logits; None: the masked cross-entropy.
    """
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        config.learning_rate / 10, max(1, steps - warmup), warmup_target=config.learning_rate, warmup_steps=warmup
    )
    with model.distribute_strategy.scope():
        averaging = {"use_ema": bool(config.averaging), "ema_momentum": config.averaging}
        optimizer = keras.optimizers.AdamW(
            schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm, **averaging
        )
        # Keras's own average of the loss over batches is hidden by the metric of the same name, which is over words.
        metrics = [WordLoss(), MaskedAccuracy()]
        model.compile(optimizer=optimizer, loss=loss or masked_crossentropy(), metrics=metrics, jit_compile=False)
        # Only now: with float16, `compile` wraps it in one that scales the loss and has variables of its own.
        model.optimizer.build(model.trainable_variables)
