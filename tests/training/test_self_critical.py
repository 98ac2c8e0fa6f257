"""Self-critical training: the samples, the reward, the baseline, the exact gradient; resumed to the bit."""

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import captioning.quiet  # noqa: F401
from captioning import models
from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.quiet import keras
from captioning.tokenizer import END, PAD, SPECIAL, START, UNK, Tokenizer
from captioning.training import fit, self_critical
from captioning.training.config import SelfCriticalConfig, TrainingConfig
from captioning.training.history import is_complete, read_history
from captioning.training.reward import Reward, advantages
from captioning.training.sampling import compile_sampler, log_policy
from tests.small_models import BY_KIND, build, features
from tests.small_training import KillAfter, Killed, assert_same_weights, parts, scores_only
from tests.tiny import tiny_dataset

CONFIG = SelfCriticalConfig(epochs=2, patience=9, learning_rate=0.01, samples=3, averaging=0.3)
LONGER = replace(CONFIG, epochs=10, samples=8)  # the mean reward of an epoch's few samples is noisy
WORDS, STEPS = 2, 3  # of the tiny model below; a caption is cut after STEPS tokens


# The gradient


@pytest.fixture(scope="module")
def tiny():
    """A model of two words and END with its features, all its captions and what each of them is worth."""
    model = models.build(BahdanauDecoder, BahdanauConfig(4 + WORDS, 2, 3, embedding=2, units=3, attention=2, dropout=0))
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:  # far from uniform
        variable.assign(random.normal(size=variable.shape))
    ids = [END, *range(4, 4 + WORDS)]
    rows = {row for row in itertools.product(ids, repeat=STEPS)}
    whole = sorted(
        {(*row[: row.index(END) + 1], *[PAD] * (STEPS - 1 - row.index(END))) if END in row else row for row in rows}
    )
    return model, random.normal(size=(1, 2, 3)).astype(np.float32), np.array(whole), random.uniform(size=len(whole))


def probabilities(model, features, captions):
    """Return the probability of each caption, step by step, of the ids that a caption consists of."""
    state = model.initial_state(np.repeat(features, len(captions), axis=0))
    allowed = np.array([END, *range(4, 4 + WORDS)])
    before, total = np.full(len(captions), START), tf.ones(len(captions))
    for step in range(captions.shape[1]):
        logits, state, _ = model.step(before, state)
        chances = tf.exp(tf.gather(logits, allowed, axis=1))
        column = np.searchsorted(allowed, np.where(captions[:, step] == PAD, END, captions[:, step]))
        chosen = tf.gather(chances, column, axis=1, batch_dims=1) / tf.reduce_sum(chances, axis=1)
        total = total * tf.where(captions[:, step] == PAD, 1.0, chosen)
        before = captions[:, step]
    return total


def gradient_of(model, function):
    with tf.GradientTape() as tape:
        value = function()
    return np.concatenate([np.ravel(tf.convert_to_tensor(g)) for g in tape.gradient(value, model.trainable_variables)])


def estimated(tiny, samples, only_words=True):
    """Return the mean gradient over all tuples of `samples` captions, each tuple as probable as it is."""
    model, picture, captions, rewards = tiny
    chance = probabilities(model, picture, captions).numpy().astype(np.float64)
    tuples = np.array(list(itertools.product(range(len(captions)), repeat=samples)))
    of_tuples = chance[tuples].prod(axis=1)
    advantage = advantages(rewards[tuples])
    np.testing.assert_allclose(advantage.sum(axis=1), 0, atol=1e-12)
    # The loss is linear in the advantage, so that all tuples fit into one row for each caption.
    weights = np.zeros(len(captions))
    np.add.at(weights, tuples, of_tuples[:, None] * advantage / samples)
    tokens = np.concatenate([np.full((len(captions), 1), START), captions[:, :-1]], axis=1)

    def loss():
        logits = model({"features": picture, "tokens": tokens[None]})
        return self_critical.policy_loss(logits, captions[None], len(captions) * weights[None], only_words)

    return -gradient_of(model, loss)


@pytest.mark.parametrize("samples", [2, 3])
def test_the_expected_gradient_is_that_of_the_expected_reward(tiny, samples):
    model, picture, captions, rewards = tiny
    assert float(tf.reduce_sum(probabilities(model, picture, captions))) == pytest.approx(1, abs=1e-6)
    exact = gradient_of(model, lambda: tf.reduce_sum(probabilities(model, picture, captions) * rewards))
    assert np.abs(exact).max() > 0.01
    np.testing.assert_allclose(estimated(tiny, samples), exact, atol=2e-6)


def test_with_other_ids_in_the_policy_it_is_not(tiny):
    assert np.abs(estimated(tiny, 2, only_words=False) - estimated(tiny, 2)).max() > 0.01


def test_bad_captions_lose_no_probability_to_what_no_caption_consists_of(tiny):
    """Logits of PAD, UNK and START get no gradient at all; without the mask they get what a bad caption loses."""
    logits = tf.Variable(np.zeros((1, 1, 1, 4 + WORDS), np.float32))
    for only_words in (True, False):
        with tf.GradientTape() as tape:
            loss = self_critical.policy_loss(logits, np.array([[[4]]]), np.array([[-1.0]]), only_words)
        moved = -tape.gradient(loss, logits).numpy()[0, 0, 0]
        assert np.all((moved[[PAD, UNK, START]] > 0) != only_words) and moved[4] < 0 < moved[5]


# The samples


def test_captions_are_drawn_as_often_as_they_are_probable(tiny):
    model, picture, captions, _ = tiny
    chance = probabilities(model, picture, captions).numpy()
    drawn = compile_sampler(model, 4000, STEPS - 1)(np.repeat(picture, 2, axis=0), (0, 0))
    assert drawn.shape == (2, 4000, STEPS)
    for of_picture in drawn:
        counts = Counter(map(tuple, of_picture.tolist()))
        assert counts.keys() <= set(map(tuple, captions.tolist()))
        found = np.array([counts[tuple(row)] for row in captions.tolist()]) / 4000
        np.testing.assert_allclose(found, chance, atol=4 * np.sqrt(0.25 / 4000))
    assert (drawn[0] != drawn[1]).any()


@BY_KIND
def test_every_model_samples_words_and_end_alone_the_same_for_the_same_seed(config):
    model = build(config)
    raw = features(3)[:, :1] if model.averaged else features(3)
    raw = raw if config.regions == raw.shape[1] else np.repeat(raw[:, :1], config.regions, axis=1)
    sample = compile_sampler(model, 4, 6)
    drawn = sample(raw, (7, 1))
    assert drawn.shape[:2] == (3, 4) and 1 <= drawn.shape[2] <= 7
    for row in drawn.reshape(12, -1).tolist():
        words = row[: row.index(END) + 1] if END in row else row
        assert all(token >= END for token in words) and set(row[len(words) :]) <= {PAD}
    np.testing.assert_array_equal(drawn, sample(raw, (7, 1)))
    assert drawn.shape != (other := sample(raw, (7, 2))).shape or (drawn != other).any()
    before = np.concatenate([np.full((3, 4, 1), START, np.int32), drawn[..., :-1]], axis=-1)
    both = [log_policy(model({"features": raw, "tokens": before})).numpy()]
    initial_state, step = model.compile_step()
    state = tf.nest.map_structure(lambda array: tf.repeat(array, 4, axis=0), initial_state(raw))
    rows = []
    for column in before.reshape(12, -1).T:
        logits, state, _ = step(column, state)
        rows.append(log_policy(logits).numpy())
    both.append(np.stack(rows, axis=1).reshape(both[0].shape))
    real = drawn != PAD  # the pass that learns sees the very probabilities that were drawn from
    np.testing.assert_allclose(both[0][real], both[1][real], atol=1e-4)


def test_samples_come_from_the_weights_of_now(tiny):
    model, picture, _, _ = tiny
    sample = compile_sampler(model, 50, STEPS - 1)
    before, bias = sample(picture, (0, 0)), model.logits.bias
    kept = np.array(bias)
    bias.assign(np.where(np.arange(4 + WORDS) == 5, 99.0, 0.0))
    assert (sample(picture, (0, 0)) == 5).all()
    bias.assign(kept)
    np.testing.assert_array_equal(sample(picture, (0, 0)), before)


# The reward


def cider_by_hand(candidate, references, corpus):
    """CIDEr-D of words, of the definition; corpus: the references of all pictures."""

    def ngrams(words, order):
        return Counter(tuple(words[k : k + order]) for k in range(len(words) - order + 1))

    def vector(words, order):
        holding = lambda gram: sum(any(gram in ngrams(w, order) for w in of_picture) for of_picture in corpus)  # noqa: E731
        return {g: n * (math.log(len(corpus)) - math.log(max(1, holding(g)))) for g, n in ngrams(words, order).items()}

    total = 0.0
    for reference in references:
        for order in range(1, 5):
            mine, theirs = vector(candidate, order), vector(reference, order)
            product = sum(min(mine[g], theirs[g]) * theirs[g] for g in mine.keys() & theirs.keys())
            norm = math.sqrt(sum(v**2 for v in mine.values()) * sum(v**2 for v in theirs.values()))
            closeness = math.exp(-((max(len(candidate) - 1, 0) - (len(reference) - 1)) ** 2) / 72)
            total += (product / norm if norm else 0) * closeness / 4
    return 10 * total / len(references)


@pytest.mark.parametrize("end", [True, False])
def test_the_reward_is_cider_with_end_as_a_word_and_frequencies_of_train(tmp_path, end):
    dataset = tiny_dataset(tmp_path, pictures=12, splits=("train", "train", "val"))
    train, tokenizer = dataset.split("train"), Tokenizer.fit(dataset.captions("train"))
    mark = [SPECIAL[END]] * end
    corpus = [[caption.split() + mark for caption in record.captions] for record in train]
    rows = [tokenizer.encode(train[3].captions[0])[1:], tokenizer.encode(train[0].captions[1])[1:-1], [END]]
    width = max(map(len, rows))
    samples = np.array([[row + [PAD] * (width - len(row)) for row in rows]] * 2)
    found = Reward(train, tokenizer, end)(samples, np.array([3, 0]))
    finished = [True, False, True]
    for picture, of_picture in zip((3, 0), found, strict=True):
        for row, done, reward in zip(rows, finished, of_picture, strict=True):
            words = [tokenizer.word(token) for token in row if token != END] + mark * done
            assert reward == pytest.approx(cider_by_hand(words, corpus[picture], corpus), abs=1e-9)


def test_a_finished_caption_is_worth_more_than_one_without_its_end(tmp_path):
    train = tiny_dataset(tmp_path).split("train")
    tokenizer = Tokenizer.fit(caption for record in train for caption in record.captions)
    whole = tokenizer.encode(train[2].captions[0])[1:]
    hanging = [*whole[:-1], *tokenizer.encode("a")[1:-1]]
    samples = np.array([[whole, [*whole[:-1], PAD]]])
    complete, cut = Reward(train, tokenizer)(samples, np.array([2]))[0]
    assert complete > cut
    complete, cut = Reward(train, tokenizer, end=False)(samples, np.array([2]))[0]
    assert complete == cut and len(hanging) == len(whole)


# The run


@pytest.fixture(scope="module")
def parent(made, tmp_path_factory):
    """Weights that a training run of the usual kind has left."""
    model, train, validation = parts(made, "bahdanau", dropout=0.1)
    config = TrainingConfig(epochs=5, learning_rate=0.02, label_smoothing=0.0)
    folder = tmp_path_factory.mktemp("parent")
    last = keras.callbacks.ModelCheckpoint(folder / "last.weights.h5", save_weights_only=True)
    fit.fit(model, train, validation, made[2], config, folder / "run", [last])
    model.load_weights(folder / "last.weights.h5")
    model.optimizer = None
    model.save_weights(folder / "parent.weights.h5")
    return folder / "parent.weights.h5"


def run(made, parent, folder, config=CONFIG, callbacks=(), stop_after=None, **more):
    model, train, validation = parts(made, "bahdanau", **{"dropout": 0.1} | more)
    own = (made[2], config, folder, callbacks, stop_after)
    return model, self_critical.fit(model, parent, train, validation, *own)


@pytest.fixture(scope="module")
def whole(made, parent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return *run(made, parent, folder), folder


def test_the_rows_say_what_was_trained(made, parent, whole, capsys):
    _, history, folder = whole
    assert read_history(folder / "history.csv") == history
    names = {"epoch", "reward", "words", "val_loss", "val_accuracy", "val_CIDEr", "seconds"}
    assert history[0].keys() == names and is_complete(history, CONFIG)
    assert run(made, parent, folder, callbacks=[KillAfter(0)])[1] == history  # finished: nothing is run again


def test_a_kill_and_a_new_process_change_nothing(made, parent, whole, tmp_path):
    model, history, _ = whole
    with pytest.raises(Killed):
        run(made, parent, tmp_path, callbacks=[KillAfter(1)])
    resumed, again = run(made, parent, tmp_path)
    assert scores_only(history) == scores_only(again)
    assert_same_weights(model, resumed)


def test_an_interrupted_first_epoch_starts_again_from_the_parent(made, parent, whole, tmp_path):
    model, train, validation = parts(made, "bahdanau", dropout=0.1)
    with pytest.raises(Killed):
        self_critical.fit(model, parent, train, validation, made[2], CONFIG, tmp_path, [KillAfter(0)])
    history = self_critical.fit(model, parent, train, validation, made[2], CONFIG, tmp_path, (), 1)
    assert scores_only(history) == scores_only(whole[1])[:1]


CHANGES = {"dropout": True, "end_in_reward": False, "only_words": False}  # the others: see test_fit


@pytest.mark.parametrize("setting", CHANGES)
def test_every_setting_of_its_own_matters(made, parent, whole, tmp_path, setting):
    _, other = run(made, parent, tmp_path, replace(CONFIG, **{setting: CHANGES[setting]}), stop_after=1)
    assert other[0]["val_loss"] != whole[1][0]["val_loss"]


def test_one_sample_has_no_others_to_be_compared_with(made, parent, tmp_path):
    with pytest.raises(ValueError, match="samples=1: give 2 or more"):
        run(made, parent, tmp_path, replace(CONFIG, samples=1))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_reward_rises(made, parent, tmp_path, precision):
    _, history = run(made, parent, tmp_path, replace(LONGER, precision=precision))
    rewards = [row["reward"] for row in history]
    assert np.isfinite([row["val_loss"] for row in history]).all()
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.1
