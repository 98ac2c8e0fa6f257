"""Self-critical training: raise the probability of sampled captions that score above the picture's other samples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from captioning.batches import CaptionBatches
from captioning.models.decoder import Decoder
from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import END, PAD, START, Tokenizer
from captioning.training.config import SelfCriticalConfig
from captioning.training.fit import run
from captioning.training.history import History
from captioning.training.loop import OneEpoch, dense
from captioning.training.loss import predict_places, word_places
from captioning.training.reward import Reward, advantages
from captioning.training.sampling import compile_sampler, log_policy

ops = keras.ops


def policy_loss(logits, samples, advantage, only_words: bool = True):
    """Return the loss whose gradient is that of REINFORCE: - advantage x log p(caption), the mean over captions.

    Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning" (1992);
    Rennie et al., "Self-critical Sequence Training for Image Captioning" (2017).

    Args:
        logits: (pictures, samples, steps, vocabulary).
        samples: the ids drawn, (pictures, samples, steps), with PAD after END.
        advantage: (pictures, samples).
        only_words: see `log_policy`; what the sampler never draws must have no probability here either, or that of
            captions that are made less probable moves there.
    """
    log_p = log_policy(logits, only_words)
    chosen = ops.take_along_axis(log_p, ops.expand_dims(samples, -1), axis=-1)[..., 0]
    # Not a product: PAD has a log-probability of -1e9.
    of_captions = ops.sum(ops.where(ops.not_equal(samples, PAD), chosen, 0.0), axis=-1)
    return -ops.mean(ops.cast(advantage, "float32") * of_captions)


def samples_loss(model: Decoder, features, samples, advantage, training: bool, only_words: bool = True):
    """Return `policy_loss` of a model's samples, computed for their words alone: three of four places may be PAD.

    Args:
        model: the decoder.
        features: (pictures, regions, channels).
        samples, advantage, only_words: see `policy_loss`.
        training: whether dropout is on.
    """
    tokens = tf.concat([tf.fill(tf.shape(samples[..., :1]), START), samples[..., :-1]], axis=-1)
    places = word_places(samples)
    logits = predict_places(model, {"features": features, "tokens": tokens}, places, training)
    of_words = tf.broadcast_to(advantage[..., None], tf.shape(samples))
    words, of_words = (tf.gather(tf.reshape(array, [-1]), places) for array in (samples, of_words))
    # Each word as a caption of its own; the mean is over as many.
    loss = policy_loss(logits[None, :, None], words[None, :, None], of_words[None], only_words)
    return loss * tf.cast(tf.size(words) / tf.size(advantage), tf.float32)


class Learner:
    """Samples, scores and learns, batch by batch; nothing is drawn ahead, so samples come from the weights of now."""

    def __init__(self, model: Decoder, train: CaptionBatches, tokenizer: Tokenizer, config: SelfCriticalConfig):
        """Take a compiled model, and the pictures; see `fit`."""
        self._train = train
        self._reward = Reward(train.records, tokenizer, config.end_in_reward)
        self._sample = compile_sampler(model, config.samples, train.max_words)

        pictures = tf.TensorSpec((None, model.config.regions, model.config.channels), tf.float32)
        of_samples = tf.TensorSpec((None, config.samples, None), tf.int32)  # one graph for samples of any length

        @tf.function(input_signature=[pictures, of_samples, tf.TensorSpec((None, config.samples), tf.float32)])
        def learn(features, samples, advantage):
            with tf.GradientTape() as tape:
                loss = samples_loss(model, features, samples, advantage, config.dropout, config.only_words)
                scaled = model.optimizer.scale_loss(loss)  # with float16
            variables = model.trainable_variables
            model.optimizer.apply(dense(tape.gradient(scaled, variables), variables), variables)

        self._learn = learn

    def epoch(self, epoch: int, calls: keras.callbacks.CallbackList) -> dict[str, float]:
        """Train on every picture once; return the mean reward and the mean number of words of all samples."""
        with calls.model.computing_in(calls.model.training_precision):
            return self._epoch(epoch, calls)

    def _epoch(self, epoch: int, calls: keras.callbacks.CallbackList) -> dict[str, float]:
        train, rewards, words = self._train, [], []
        for step, (pictures, features) in enumerate(train.pictures(epoch)):
            calls.on_train_batch_begin(step)
            features = tf.cast(features, tf.float32)
            # The same again after a kill: a function of the seed and of how many steps came before.
            samples = self._sample(features, (train.seed, epoch * train.steps_per_epoch + step))
            of_samples = self._reward(samples, pictures)
            self._learn(features, samples, advantages(of_samples).astype(np.float32))
            rewards.append(of_samples.ravel())
            words.append((samples > END).sum(axis=-1).ravel())
            calls.on_train_batch_end(step)
            if calls.model.stop_training:
                break
        return {"reward": np.concatenate(rewards).mean(), "words": np.concatenate(words).mean()}


def fit(
    model: Decoder,
    weights: Path,
    train: CaptionBatches,
    validation: CaptionBatches,
    tokenizer: Tokenizer,
    config: SelfCriticalConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    stop_after: int | None = None,
    name: str = "",
) -> History:
    """Train a trained model further, by the CIDEr-D of captions that it samples for train pictures.

    Args:
        model: of the parent's class and settings. Whatever it was used for before changes nothing.
        weights: the file of the parent's, from which training starts.
        train, validation, tokenizer, folder, callbacks, stop_after, name: see `training.fit.fit`.
        config: how.

    Returns:
        One row per epoch: epoch, reward (mean CIDEr-D of all samples), words (mean number of their words), val_loss,
        val_accuracy, val_CIDEr, seconds. The model has the best weights.

    Raises:
        StaleError: the folder holds another run.
        ValueError: fewer than two samples, or several devices.
    """
    if config.samples < 2:
        raise ValueError(f"samples={config.samples}: give 2 or more, since each is compared with the others.")
    if model.distribute_strategy.num_replicas_in_sync > 1:
        raise ValueError(
            "Self-critical training runs on one device: build the model with models.build(..., alone=True)."
        )

    def learner(first: int) -> OneEpoch:
        return Learner(model, train, tokenizer, config).epoch

    common = (model, train, validation, tokenizer, config, folder, callbacks, stop_after, name)
    return run(*common, learner, captions=config.samples * len(train.records), start=weights)
