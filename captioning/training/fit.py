"""Train a decoder: stopped by the captions' CIDEr, resumable to the bit after a kill."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import captioning.quiet  # noqa: F401 (before `batches` imports Keras)
from captioning import devices, models
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
from captioning.training.loop import AdamW, OneEpoch, by_words, train_epochs
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
        return self._captions.caption if devices.is_chief(self.model.distribute_strategy) else "(on the first machine)"

    def on_train_begin(self, logs=None):
        """Compile the step once, for all epochs."""
        self._compiled = self.model.compile_step()

    def on_epoch_end(self, epoch, logs=None):
        """Caption and score; of several machines, on the first one."""
        strategy = self.model.distribute_strategy
        score = self._captions.score(*self._compiled) if devices.is_chief(strategy) else 0.0
        logs["val_CIDEr"] = float(devices.summed(strategy, score))


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
    """Train from the first weights, or from where an earlier run in the folder was interrupted.

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

    def learner(first: int) -> OneEpoch:
        return by_words(model, train, range(first, config.epochs), config.label_smoothing, config.mask_padding)

    common = (model, train, validation, tokenizer, config, folder, callbacks, stop_after, name)
    return run(*common, learner, train.captions_per_epoch)


def run(
    model: Decoder,
    train: CaptionBatches,
    validation: CaptionBatches,
    tokenizer: Tokenizer,
    config: TrainingConfig | SelfCriticalConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback],
    stop_after: int | None,
    name: str,
    learner: Callable[[int], OneEpoch],
    captions: int,
    start: Path | None = None,
) -> History:
    """Do what all training runs share: hold the folder, resume, log, validate, keep snapshots and the best weights.

    Args:
        model, train, validation, tokenizer, config, folder, callbacks, stop_after, name: see `fit`.
        learner: makes what trains one epoch, see `loop.train_epochs`, of the number of the first that is to be done.
        captions: trained on in one epoch, for the log.
        start: a file of weights to start from; None: the model's first ones.

    Returns:
        The history, a row per epoch. The model has the best weights.

    Raises:
        StaleError: the folder holds another run.
    """
    strategy, identity = model.distribute_strategy, (asdict(model.config), asdict(config), code_digest(type(model)))
    chief = devices.is_chief(strategy)
    alone = training_in(Path(folder), *identity) if chief else contextlib.nullcontext()
    with model.computing_in(config.precision), alone, devices.together(strategy):
        set_optimizer(model, config, train.steps_per_epoch * config.epochs)
        snapshots = Snapshots(folder, config)
        first_epoch = snapshots.restore(model)
        devices.agree(strategy, [*identity, first_epoch], snapshots.folder)
        if start and not first_epoch:
            with without_optimizer(model):
                models.load_weights(model, start)
        if not is_complete(snapshots.history, config):
            most = min(config.epochs, stop_after or config.epochs)
            log = TrainingLog(run_name(name, snapshots.folder, model.kind), captions, most, first_epoch)
            free, interrupts = ValidationCaptions(validation, tokenizer), Interruptible()
            row = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: log.row(snapshots.history, free.caption))
            board = [keras.callbacks.TensorBoard(snapshots.folder / "logs", write_graph=False)] * chief
            # The order matters: val_CIDEr must be in the logs before the others read them.
            after_each_epoch = [free, snapshots, row, *board, *callbacks, interrupts]
            if config.averaging:
                after_each_epoch.insert(0, AveragedWeights(swapped=first_epoch > 0))
            with interrupts.listening():
                of_run = (range(first_epoch, most), train.steps_per_epoch, learner(first_epoch))
                train_epochs(model, *of_run, validation, after_each_epoch)
            report_end(snapshots.history, config)
        if chief:
            with without_optimizer(model):
                model.load_weights(snapshots.weights)
        devices.take_from_chief(model)
    return snapshots.history


def set_optimizer(model: Decoder, config: TrainingConfig | SelfCriticalConfig, steps: int) -> None:
    """Give a model AdamW, whose rate rises over 5 % of the steps and follows a cosine to 0.

    Args:
        model: the decoder.
        config: how it is trained.
        steps: of the whole run.
    """
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        config.learning_rate / 10, max(1, steps - warmup), warmup_target=config.learning_rate, warmup_steps=warmup
    )
    with model.distribute_strategy.scope():
        averaging = {"use_ema": bool(config.averaging), "ema_momentum": config.averaging}
        optimizer = AdamW(schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm, **averaging)
        if model.training_precision == "float16":  # small gradients would be 0 in it
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        model.optimizer = optimizer
