"""The Keras decoders: what holds for every kind, against independent definitions."""

import random
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import captioning.quiet  # noqa: F401
from captioning import decoding, models
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.gru import GRUDecoder
from captioning.models.merge import MergeDecoder
from captioning.tokenizer import END, PAD, START
from captioning.training.loss import masked_crossentropy, word_sums
from tests.small_models import BY_KIND, CONFIGS, SIZES, build, features, tokens


def unrolled(model, inputs):
    """Return the logits of single steps in a row, one caption at a time."""
    batch, captions, steps = inputs["tokens"].shape
    logits = np.empty((batch, captions, steps, SIZES["vocabulary"]), np.float32)
    for caption in range(captions):
        state = model.initial_state(inputs["features"])
        for position in range(steps):
            now, state, _ = model.step(inputs["tokens"][:, caption, position], state)
            logits[:, caption, position] = now
    return logits


@BY_KIND
def test_teacher_forcing_equals_the_steps_in_a_row(config):
    model = build(config, seed=3)
    inputs = {"features": features(), "tokens": tokens()}
    np.testing.assert_allclose(model(inputs), unrolled(model, inputs), atol=1e-5)


@pytest.mark.parametrize("config", [*CONFIGS, replace(CONFIGS[1], restart=True)])
def test_the_gradients_of_teacher_forcing_are_those_of_the_steps_in_a_row(config):
    """Also where the loop back is written out, as that of Bahdanau's GRU."""
    model, rows = build(config, seed=3), tokens(steps=4)
    factors = tf.random.stateless_normal((3, 2, 4, 11), (1, 2))
    with tf.GradientTape(persistent=True) as tape:
        together = tf.reduce_sum(factors * model({"features": features(), "tokens": rows}))
        states = [model.initial_state(features())] * 2
        one_by_one = 0.0
        for position in range(4):
            steps = [model.step(rows[:, caption, position], state) for caption, state in enumerate(states)]
            states = [step.state for step in steps]
            one_by_one += sum(tf.reduce_sum(factors[:, k, position] * step.logits) for k, step in enumerate(steps))
    pairs = (tape.gradient(value, model.trainable_variables) for value in (together, one_by_one))
    for variable, one, other in zip(model.trainable_variables, *pairs, strict=True):
        one, other = (tf.convert_to_tensor(array) for array in (one, other))
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4, err_msg=variable.path)


@BY_KIND
def test_the_compiled_step_equals_the_plain_one(config):
    model = build(config, seed=3)
    initial_state, step = model.compile_step()
    plain = model.step(np.array([START, 5, 6]), model.initial_state(features()))
    compiled = step(np.array([START, 5, 6]), initial_state(features().astype(np.float16).astype(np.float32)))
    again = step(np.array([START, 5]), tf.nest.map_structure(lambda a: np.asarray(a)[:2], initial_state(features())))
    np.testing.assert_allclose(compiled.logits, plain.logits, atol=1e-2)
    np.testing.assert_allclose(again.logits, plain.logits[:2], atol=1e-5)


@BY_KIND
def test_another_image_changes_the_logits_at_every_step(config):
    model = build(config, seed=3)
    one, other = (np.asarray(model({"features": features(seed=seed), "tokens": tokens()})) for seed in (0, 9))
    assert (np.abs(one - other).max(axis=-1) > 1e-4).all()


@BY_KIND
def test_an_earlier_prediction_does_not_see_later_words(config):
    model = build(config, seed=3)
    changed = tokens()
    changed[..., 4:] = 7
    one, other = (np.asarray(model({"features": features(), "tokens": t})) for t in (tokens(), changed))
    np.testing.assert_allclose(one[..., :4, :], other[..., :4, :], atol=1e-6)


@BY_KIND
def test_features_are_standardised_inside_the_model(config):
    model = build(config, seed=3)
    plain = np.asarray(model({"features": features(), "tokens": tokens()}))
    mean, deviation = np.arange(6, dtype=np.float32), np.arange(1, 7, dtype=np.float32)
    model.scale_features(mean, deviation**2)
    scaled = model({"features": features() * deviation + mean, "tokens": tokens()})
    np.testing.assert_allclose(scaled, plain, atol=1e-4)


@BY_KIND
def test_weights_and_statistics_survive_the_disk(config, tmp_path):
    model = build(config, seed=3)
    model.scale_features(np.full(6, 2, np.float32), np.full(6, 9, np.float32))
    model.save_weights(tmp_path / "model.weights.h5")
    other = build(config, seed=4)
    other.load_weights(tmp_path / "model.weights.h5")
    inputs = {"features": features(), "tokens": tokens()}
    np.testing.assert_allclose(other(inputs), model(inputs), atol=1e-6)


@BY_KIND
def test_padding_changes_neither_loss_nor_accuracy(config):
    model = build(config, seed=3)
    rows = tokens(steps=7)
    rows[0, 0, 4:] = [END, PAD, PAD]
    padded = np.concatenate([rows, np.full((3, 2, 5), PAD, np.int32)], axis=-1)
    results = [
        word_sums(model, {"features": features(), "tokens": t[..., :-1]}, t[..., 1:], training=False)
        for t in (rows, padded)
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_the_loss_is_the_mean_of_minus_log_probability_over_the_words():
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 3, 5))
    targets = np.array([[4, 1, 3], [3, PAD, PAD]])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = [(0, 0), (0, 1), (0, 2), (1, 0)]
    for smoothing in (0.0, 0.1):
        by_hand = [-(1 - smoothing) * log_p[i, j, targets[i, j]] - smoothing * log_p[i, j].mean() for i, j in chosen]
        loss = masked_crossentropy(smoothing)(targets, logits.astype(np.float32))
        assert float(loss) == pytest.approx(np.mean(by_hand), abs=1e-5)


def test_without_the_mask_padding_is_in_the_loss():
    logits, targets = np.zeros((1, 2, 5), np.float32), np.array([[4, PAD]])
    logits[..., PAD] = 5
    right, wrong = (float(masked_crossentropy(0.0, mask)(targets, logits)) for mask in (True, False))
    assert wrong < right


def test_one_vector_serves_the_region_model_and_regions_the_vector_model():
    one = BahdanauConfig(**(SIZES | {"regions": 1}), attention=3)
    model = build(one)
    step = model.step(np.array([START]), model.initial_state(features(1)[:, :1]))
    np.testing.assert_allclose(step.attention, [[1.0]])
    many = build(CONFIGS[0])
    mean = features().mean(axis=1, keepdims=True)
    np.testing.assert_allclose(many.initial_state(features())[0], many.initial_state(mean)[0], atol=1e-6)


def test_every_weight_but_the_statistics_gets_a_gradient():
    for config in CONFIGS:
        model = build(config, seed=3)
        with tf.GradientTape() as tape:
            loss = masked_crossentropy()(tokens(seed=5), model({"features": features(), "tokens": tokens()}))
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            assert gradient is not None and np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.path


@BY_KIND
def test_dropout_is_on_in_training_alone(config):
    inputs = {"features": features(), "tokens": tokens()}
    model = build(replace(config, dropout=0.5), seed=3)
    one, other, plain = (np.asarray(model(inputs, training=training)) for training in (True, True, False))
    assert not np.allclose(one, other) and not np.allclose(one, plain)
    np.testing.assert_array_equal(plain, model(inputs))
    without = build(replace(config, dropout=0.0), seed=3)
    np.testing.assert_array_equal(without(inputs, training=True), without(inputs))


@pytest.mark.parametrize("model_class", models.CLASSES.values(), ids=models.CLASSES)
def test_the_first_weights_are_those_of_keras_seeded_as_a_whole(model_class):
    config = next(config for config in CONFIGS if type(config) is model_class.config_class)
    keras.utils.set_random_seed(5)
    expected = model_class(config)
    expected.build()
    for one, other in zip(expected.own_variables, models.build(model_class, config, 5).own_variables, strict=True):
        np.testing.assert_array_equal(one, other)
    other = models.build(model_class, config, 6)
    assert any((a != b).any() for a, b in zip(expected.get_weights(), other.get_weights(), strict=True))


def test_building_leaves_the_random_numbers_alone():
    def drawn():
        return random.random(), np.random.random(), float(tf.random.uniform(())), float(keras.random.uniform(()))

    keras.utils.set_random_seed(1)
    expected = drawn()
    keras.utils.set_random_seed(1)
    build(CONFIGS[0], seed=3)
    assert drawn() == expected
    random.seed(1)
    with pytest.raises(ValueError, match="units"):  # fails half way
        models.build(GRUDecoder, replace(CONFIGS[0], units="many"))
    assert random.random() == random.Random(1).random()


def test_a_restart_sets_weights_and_dropout_back_and_leaves_the_scaling():
    model = build(CONFIGS[0], seed=3)
    inputs = {"features": features(), "tokens": tokens()}
    first, words = np.array(model(inputs, training=True)), model.get_weights()
    model.scale_features(np.full(6, 2, np.float32), np.full(6, 9, np.float32))
    for variable in model.trainable_variables:
        variable.assign(variable + 1)
    model(inputs, training=True)
    model.restart()
    np.testing.assert_array_equal(model.normalization.mean, np.full((1, 1, 6), 2))
    model.scale_features(*(np.ravel(array) for array in words[:2]))
    np.testing.assert_array_equal(model(inputs, training=True), first)


def test_statistics_and_features_that_are_no_numbers_are_refused():
    model = build(CONFIGS[0])
    with pytest.raises(ValueError, match=r"not a finite number.*train split"):
        model.scale_features(np.full(6, np.nan), np.ones(6))
    initial_state, _ = model.compile_step()
    with pytest.raises(ValueError, match="Features hold NaN"):
        initial_state(features() * np.inf)


@pytest.mark.parametrize("config", CONFIGS[3:], ids=["bilstm", "transformer"])
@pytest.mark.parametrize("compiled", [False, True])
def test_more_words_than_a_state_holds_are_an_error(config, compiled):
    model = build(replace(config, longest=4))
    initial_state, step = model.compile_step() if compiled else (model.initial_state, model.step)
    state = initial_state(features())
    for _ in range(4):
        _, state, _ = step(np.array([START, 5, 6]), state)
    with pytest.raises(tf.errors.InvalidArgumentError, match="room for 3 words"):
        step(np.array([5, 5, 6]), state)
    with pytest.raises(tf.errors.InvalidArgumentError, match="room for 3 words"):
        decoding.greedy(
            lambda *now: step(*now)._replace(logits=np.tile(np.eye(11)[9], (3, 1))), initial_state(features())
        )


def test_unroll_and_the_functional_model_share_one_graph():
    """An image fed to the LSTM in one place (exercise of notebook 06) is in both."""

    class Inject(MergeDecoder):
        def read(self, tokens, state, training=False):
            image, hidden, cell = state
            return super().read(tokens, (image, hidden + image, cell), training=training)

    model = models.build(Inject, CONFIGS[2], seed=3)
    rows = tokens(captions=1)
    logits = model.functional()({"features": features(), "tokens": rows[:, 0]})
    np.testing.assert_allclose(logits, model({"features": features(), "tokens": rows})[:, 0], atol=1e-5)
    assert np.abs(logits - build(CONFIGS[2], seed=3)({"features": features(), "tokens": rows})[:, 0]).max() > 1e-3


@BY_KIND
def test_the_table_of_weights_names_every_array_with_its_axes(config):
    model = build(config)
    table = model.describe()
    assert "?" not in table and "dropout" not in table and "_cell" not in table
    assert f"{sum(int(np.prod(w.shape)) for w in model.trainable_weights):,}" == table.split()[-1]
    sizes = [int(line.split()[-1].replace(",", "")) for line in table.splitlines()[1:-1]]
    assert sum(sizes) == model.count_params() - 1  # the normalization's count
    words = next(line for line in table.splitlines() if line.startswith("embedding "))
    width = model.embedding.embeddings.shape[1]
    assert words.split() == ["embedding", "embeddings", "11", "words,", f"{width}", "numbers", f"{11 * width}"]
    assert len(set(map(len, table.splitlines()))) == 1


def test_recurrent_arrays_are_told_by_their_parts():
    table = build(CONFIGS[0]).describe()
    (kernel, recurrent, bias) = table.splitlines()[
        table.splitlines().index(next(line for line in table.splitlines() if line.startswith("gru_1"))) :
    ][:3]
    assert "5 inputs, 3 x 7 units" in kernel and "7 units, 3 x 7 units" in recurrent and "2 biases, 3 x 7" in bias
