"""The loop behind all training: one for a single device, several devices and several machines.

Keras's `Model.fit` is not used: it fails on several machines, and clips the gradient of each device by itself.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

import captioning.quiet  # noqa: F401 (before `batches` imports Keras)
from captioning.batches import CaptionBatches
from captioning.models.decoder import Decoder
from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.training.interrupts import Interruptible
from captioning.training.loss import WordSums, count_words, word_sums

OneEpoch = Callable[[int, keras.callbacks.CallbackList], dict[str, float]]
_SUM = tf.distribute.ReduceOp.SUM
_NOTHING = np.zeros(3)


class AdamW(keras.optimizers.AdamW):
    """Keras's, for gradients that are summed over the devices already: what is clipped is the whole gradient."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def train_epochs(
    model: Decoder,
    epochs: range,
    steps: int,
    one_epoch: OneEpoch,
    validation: CaptionBatches,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train, validate and call the callbacks as Keras would, until the last epoch or `model.stop_training`.

    Args:
        model: with an optimizer.
        epochs: numbers of the epochs to be done.
        steps: batches in each.
        one_epoch: trains for the epoch of a number, calls the callbacks' hooks of batches, and returns its logs.
        validation: batches of the validation split; their scores are in the logs as `val_loss` and `val_accuracy`.
        callbacks: of Keras, or of readers; hooks of batches get the logs of the epoch so far.
    """
    calls = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=epochs.stop, steps=steps)
    evaluate = compile_evaluation(model)
    model.stop_training = False
    calls.on_train_begin()
    for epoch in epochs:
        calls.on_epoch_begin(epoch)
        logs = one_epoch(epoch, calls)
        scores = evaluate(validation, calls)
        calls.on_epoch_end(epoch, logs | {f"val_{name}": value for name, value in scores.items()})
        if model.stop_training:
            break
    calls.on_train_end()


def by_words(
    model: Decoder, train: CaptionBatches, epochs: range, label_smoothing: float, mask_padding: bool
) -> OneEpoch:
    """Return what trains one epoch with teacher forcing, for `train_epochs`; logs: nats per word, share guessed right.

    Args:
        model: with an optimizer.
        train: batches of the train split.
        epochs: all that may be asked for, in this order: batches are read ahead, over the end of an epoch, too.
        label_smoothing, mask_padding: see `word_sums`.
    """
    step, batches = _compile_training(model, label_smoothing, mask_padding), None

    def one_epoch(epoch: int, calls: keras.callbacks.CallbackList) -> dict[str, float]:
        nonlocal batches
        if batches is None:
            batches = _distributed(model, lambda shares: train.training(epochs.start, epochs.stop, shares))
        totals, watched = _NOTHING, any(map(_reads_batches, calls.callbacks))
        for number in range(train.steps_per_epoch):
            calls.on_train_batch_begin(number)
            totals = step(batches, totals)
            calls.on_train_batch_end(number, _means(totals) if watched else None)
            if model.stop_training:
                break
        return _means(totals)

    return one_epoch


def compile_evaluation(model: Decoder) -> Callable[..., dict[str, float]]:
    """Return a function of batches that gives the nats per word and the share of words guessed right, without dropout.

    It takes a CallbackList, too, and calls its hooks.
    """
    strategy = model.distribute_strategy

    def replica(inputs, targets):
        return _reported(word_sums(model, inputs, targets, training=False))

    @tf.function(jit_compile=model.jit)
    def one_batch(batch):
        return strategy.reduce(_SUM, strategy.run(replica, args=batch), axis=None)

    @tf.function(reduce_retracing=True)
    def step(batches, totals):
        return totals + tf.cast(one_batch(next(batches)), tf.float64)

    def evaluate(split: CaptionBatches, calls: keras.callbacks.CallbackList | None = None) -> dict[str, float]:
        calls = calls or keras.callbacks.CallbackList()
        calls.on_test_begin()
        batches, totals = _distributed(model, split.evaluation), _NOTHING
        for number in range(split.steps_per_epoch):
            calls.on_test_batch_begin(number)
            totals = step(batches, totals)
            calls.on_test_batch_end(number)
        scores = _means(totals)
        calls.on_test_end(scores)
        return scores

    return evaluate


def _compile_training(model: Decoder, label_smoothing: float, mask_padding: bool) -> Callable:
    """Return a step: takes the batches and the totals so far, trains on the next batch, returns the new totals."""
    strategy, optimizer, variables = model.distribute_strategy, model.optimizer, model.trainable_variables
    alone = strategy.num_replicas_in_sync == 1

    @tf.function(jit_compile=model.jit and not alone)  # alone, all of the step is compiled by XLA
    def differentiate(inputs, targets, words):
        with model.computing_in(model.training_precision), tf.GradientTape() as tape:
            sums = word_sums(model, inputs, targets, True, label_smoothing, mask_padding)
            loss = optimizer.scale_loss(sums.trained / tf.maximum(words, 1.0))
        return dense(tape.gradient(loss, variables), variables), _reported(sums)

    def replica(inputs, targets):
        # Divided by the words of all devices, whose gradients then add up to that of the mean over the whole batch.
        context = tf.distribute.get_replica_context()
        words = context.all_reduce(_SUM, count_words(targets, mask_padding))
        gradients, reported = differentiate(inputs, targets, words)
        optimizer.apply(context.all_reduce(_SUM, gradients), variables)
        return reported

    @tf.function(jit_compile=model.jit and alone)
    def one_batch(batch):
        return strategy.reduce(_SUM, strategy.run(replica, args=batch), axis=None)

    @tf.function(reduce_retracing=True)
    def step(batches, totals):
        return totals + tf.cast(one_batch(next(batches)), tf.float64)

    return step


def dense(gradients: Sequence, variables: Sequence) -> list:
    """Return gradients as whole arrays, that of a weight that the model leaves out as zeros.

    Of an embedding's, Keras would take the norm before rows of the same word are added up.
    """
    pairs = zip(gradients, variables, strict=True)
    return [tf.zeros(variable.shape) if of is None else tf.convert_to_tensor(of) for of, variable in pairs]


def _reported(sums: WordSums):
    return tf.stack([sums.nats, sums.correct, sums.words])


def _means(totals) -> dict[str, float]:
    nats, correct, words = totals.numpy()
    return {"loss": nats / words, "accuracy": correct / words}


def _distributed(model: Decoder, dataset_of: Callable[[Sequence[slice]], tf.data.Dataset]) -> Iterator:
    """Return the batches of a model's devices: each reads its own share of the pictures of every batch."""

    def dataset(context):
        devices = context.num_replicas_in_sync // context.num_input_pipelines  # of this machine
        first = context.input_pipeline_id * devices
        shares = [slice(number, None, context.num_replicas_in_sync) for number in range(first, first + devices)]
        return dataset_of(shares)

    return iter(model.distribute_strategy.distribute_datasets_from_function(dataset))


def _reads_batches(callback: keras.callbacks.Callback) -> bool:
    """Tell whether a callback may read the logs of a batch; without one, no step waits for its numbers."""
    default = keras.callbacks.Callback.on_train_batch_end, keras.callbacks.Callback.on_batch_end
    if isinstance(callback, Interruptible) or getattr(callback, "update_freq", "") == "epoch":  # TensorBoard's
        return False
    hooks = callback.on_train_batch_end, callback.on_batch_end
    return not all(getattr(hook, "__func__", hook) in default for hook in hooks)
