"""The Keras decoders: steps, masks and attention against independent definitions."""

import random
import sys
import types
from dataclasses import asdict, dataclass, replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import captioning.quiet  # noqa: F401
from captioning import decoding, models
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.bilstm import BiLSTMConfig
from captioning.models.gru import GRUConfig, GRUDecoder
from captioning.models.merge import MergeConfig, MergeDecoder
from captioning.tokenizer import END, PAD, START
from captioning.training import fit
from captioning.training.config import TrainingConfig
from captioning.training.loss import masked_crossentropy

SIZES = {"vocabulary": 11, "regions": 4, "channels": 6, "embedding": 5, "units": 7}
CONFIGS = [
    GRUConfig(**SIZES, dropout=0.5),
    BahdanauConfig(**SIZES, attention=3, dropout=0.5),
    MergeConfig(**SIZES, dropout=0.5),
    BiLSTMConfig(**SIZES, attention=3, dropout=0.5, longest=8),
]
CLASS_OF = {model.config_class: model for model in models.CLASSES.values()}
BY_KIND = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: CLASS_OF[type(config)].kind)


def build(config, seed=0):
    return models.build(CLASS_OF[type(config)], config, seed)


def features(batch=3, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, SIZES["regions"], SIZES["channels"])).astype(np.float32)


def tokens(batch=3, captions=2, steps=6, seed=1):
    rows = np.random.default_rng(seed).integers(4, SIZES["vocabulary"], (batch, captions, steps), dtype=np.int32)
    rows[..., 0] = START
    return rows


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
    fit.compile_model(model, TrainingConfig(), steps=10)
    rows = tokens(steps=7)
    rows[0, 0, 4:] = [END, PAD, PAD]
    padded = np.concatenate([rows, np.full((3, 2, 5), PAD, np.int32)], axis=-1)
    results = [
        model.evaluate({"features": features(), "tokens": t[..., :-1]}, t[..., 1:], verbose=0, return_dict=True)
        for t in (rows, padded)
    ]
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], abs=1e-5)
    assert results[0]["accuracy"] == pytest.approx(results[1]["accuracy"], abs=1e-6)


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


class TestBahdanau:
    config = CONFIGS[1]

    def step_in_float64(self, model, words, state):
        """Recompute one step from the definitions, with plain NumPy."""
        weights = {variable.path.split("/", 1)[1]: np.asarray(variable, np.float64) for variable in model.weights}
        hidden, keys, values = (np.asarray(array, np.float64) for array in state)
        query = hidden @ weights["attention/query_projection/kernel"] + weights["attention/query_projection/bias"]
        energies = np.tanh(query[:, None] + keys) @ weights["attention/score/kernel"][:, 0]
        attention = np.exp(energies) / np.exp(energies).sum(axis=1, keepdims=True)
        context = np.einsum("br,brc->bc", attention, values)
        embedded = weights["embedding/embeddings"][words]
        x = np.concatenate([embedded, context], axis=1) @ weights["gru/kernel"] + weights["gru/bias"][0]
        h = hidden @ weights["gru/recurrent_kernel"] + weights["gru/bias"][1]
        units = hidden.shape[1]
        update, reset = (1 / (1 + np.exp(-(x + h)[:, units * k : units * (k + 1)])) for k in (0, 1))
        candidate = np.tanh(x[:, 2 * units :] + reset * h[:, 2 * units :])
        hidden = update * hidden + (1 - update) * candidate
        seen = np.concatenate([embedded, hidden, context], axis=1)
        mixed = np.tanh(seen @ weights["mixture/kernel"] + weights["mixture/bias"])
        return mixed @ weights["logits/kernel"] + weights["logits/bias"], hidden, attention

    def test_a_step_equals_the_float64_definition(self):
        model = build(self.config, seed=3)
        for variable in model.trainable_variables:  # biases too, so that a forgotten one shows
            variable.assign(np.random.default_rng(variable.shape[0]).normal(size=variable.shape, scale=0.5))
        words = np.array([START, 5, 9])
        state = model.initial_state(features())
        logits, hidden, attention = self.step_in_float64(model, words, state)
        step = model.step(words, state)
        np.testing.assert_allclose(step.logits, logits, atol=1e-5)
        np.testing.assert_allclose(step.state[0], hidden, atol=1e-5)
        np.testing.assert_allclose(step.attention, attention, atol=1e-6)

    def test_attention_sums_to_one_and_differs_between_words(self):
        model = build(self.config, seed=3)
        state = model.initial_state(features())
        first = model.step(np.array([START] * 3), state)
        second = model.step(np.array([7] * 3), first.state)
        np.testing.assert_allclose(np.sum(first.attention, axis=1), 1, atol=1e-6)
        assert np.abs(np.asarray(first.attention) - np.asarray(second.attention)).max() > 1e-5

    def test_the_context_is_the_region_that_is_attended_to(self):
        attention = build(self.config, seed=3).attention
        random = np.random.default_rng(0)
        query, keys, values = (
            random.normal(size=shape).astype(np.float32) for shape in ((2, 1, 7), (2, 4, 3), (2, 4, 7))
        )
        attention.score.kernel.assign(100 * np.sign(attention.score.kernel))
        keys[:, 2] = 9 * np.sign(attention.score.kernel)[:, 0]  # beyond doubt
        context, weights = attention(query, keys, values)
        np.testing.assert_allclose(np.asarray(weights)[:, 0, 2], 1, atol=1e-3)
        np.testing.assert_allclose(np.asarray(context)[:, 0], values[:, 2], atol=1e-2)

    def test_the_order_of_the_regions_moves_the_attention_and_not_the_words(self):
        model = build(self.config, seed=3)
        one = np.zeros((1, 4, 6), np.float32)
        one[0, 1] = 3
        moved = one[:, [1, 0, 2, 3]]
        here, there = (model.step(np.array([START]), model.initial_state(array)) for array in (one, moved))
        np.testing.assert_allclose(here.logits, there.logits, atol=1e-5)
        np.testing.assert_allclose(np.asarray(here.attention)[:, [1, 0, 2, 3]], there.attention, atol=1e-6)

    def test_the_restart_flag_forgets_the_state(self):
        """With it, the words before the last one only act through the attention's query."""
        right, wrong = (build(replace(self.config, restart=flag), seed=3) for flag in (False, True))
        for model in (right, wrong):
            model.attention.query_projection.kernel.assign(np.zeros((7, 3)))
        long, short = tokens(steps=4), tokens(steps=4)
        long[..., 1] = 9
        short[..., 1] = 8
        for model, equal in ((right, False), (wrong, True)):
            one, other = (np.asarray(model({"features": features(), "tokens": t})) for t in (long, short))
            assert np.allclose(one[..., 3, :], other[..., 3, :], atol=1e-6) == equal


class TestMerge:
    config = CONFIGS[2]

    def test_one_pass_equals_the_prefix_by_prefix_expansion(self):
        """Same summed loss and same gradients as one sample per prefix, as most merge models are trained."""
        model = build(self.config, seed=3)
        rows = tokens(steps=7)
        rows[0, 0, 4:] = [END, PAD, PAD]
        inputs, targets = rows[..., :-1], rows[..., 1:]

        with tf.GradientTape() as tape:
            one_pass = masked_crossentropy()(targets, model({"features": features(), "tokens": inputs}))
        together = tape.gradient(one_pass, model.trainable_variables)

        with tf.GradientTape() as tape:
            losses = []
            for image, caption, length in np.argwhere(targets != PAD):
                prefix = inputs[image, caption, : length + 1][None, None]
                logits = model({"features": features()[image : image + 1], "tokens": prefix})[0, 0, -1]
                losses.append(-tf.nn.log_softmax(logits)[targets[image, caption, length]])
            expanded = tf.add_n(losses) / len(losses)
        apart = tape.gradient(expanded, model.trainable_variables)

        assert float(one_pass) == pytest.approx(float(expanded), abs=1e-5)
        for one, other in zip(together, apart, strict=True):
            np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=1e-5)

    def test_the_lstm_never_sees_the_picture(self):
        model = build(self.config, seed=3)
        one, other = (model.step(np.array([START, 5, 6]), model.initial_state(features(seed=s))) for s in (0, 9))
        np.testing.assert_array_equal(one.state[1], other.state[1])

    def test_the_keras_file_loads_in_safe_mode_and_gives_the_same_logits(self, tmp_path):
        model = build(self.config, seed=3)
        model.scale_features(np.full(6, 2, np.float32), np.full(6, 9, np.float32))
        model.functional().save(tmp_path / "merge.keras")
        loaded = keras.saving.load_model(tmp_path / "merge.keras", safe_mode=True)
        rows = tokens(captions=1)
        logits = loaded({"features": features(), "tokens": rows[:, 0]})
        np.testing.assert_allclose(logits, model({"features": features(), "tokens": rows})[:, 0], atol=1e-5)


class TestBiLSTM:
    config = CONFIGS[3]

    def prefix_by_prefix(self, model, rows):
        """Return logits and attention from Keras's own layers on every prefix alone, attention in NumPy."""
        units, depth = self.config.units, self.config.attention
        _, _, keys, values = (np.asarray(array) for array in model.initial_state(features()))
        backward = keras.layers.LSTM(units, return_sequences=True, go_backwards=True)
        backward.build((None, None, self.config.embedding))
        backward.cell.set_weights(model.backward.get_weights())
        logits, attention = [], []
        for length in range(1, rows.shape[1] + 1):
            embedded = model.embedding(rows[:, :length])
            ahead = np.asarray(model.forward(embedded))
            back = np.asarray(backward(embedded))[:, ::-1]  # back to reading order
            queries = np.asarray(model.query_projection(np.concatenate([ahead, back], -1)))
            scores = np.exp(np.einsum("bpd,brd->bpr", queries, keys) / depth**0.5)
            weights = (scores / scores.sum(-1, keepdims=True)).mean(axis=1)
            context = np.einsum("br,brd->bd", weights, values)
            joint = model.joint(np.concatenate([ahead[:, -1], back[:, 0], context], -1))
            logits.append(np.asarray(model.logits(joint)))
            attention.append(weights)
        return np.stack(logits, 1), np.stack(attention, 1)

    def test_it_equals_keras_layers_on_every_prefix_alone(self):
        model = build(self.config, seed=3)
        rows = tokens(captions=1)
        logits, attention = self.prefix_by_prefix(model, rows[:, 0])
        np.testing.assert_allclose(model({"features": features(), "tokens": rows})[:, 0], logits, atol=1e-5)
        state = model.initial_state(features())
        for position in range(rows.shape[2]):
            step, state, weights = model.step(rows[:, 0, position], state)
            np.testing.assert_allclose(step, logits[:, position], atol=1e-5)
            np.testing.assert_allclose(weights, attention[:, position], atol=1e-6)

    def test_padding_after_the_words_gets_no_attention(self):
        """The state has room for 8 words: what is behind the prefix changes nothing."""
        model = build(self.config, seed=3)
        words, count, keys, values = model.initial_state(features())
        littered = np.asarray(words).copy()
        littered[:, 1:] = 9
        clean = model.step(np.array([START] * 3), (words, count, keys, values))
        other = model.step(np.array([START] * 3), (littered, count, keys, values))
        np.testing.assert_allclose(clean.logits, other.logits, atol=1e-6)
        np.testing.assert_allclose(np.sum(clean.attention, axis=1), 1, atol=1e-6)

    def test_the_image_branch_gets_a_gradient_from_every_picture(self):
        model = build(self.config, seed=3)
        pictures = tf.Variable(features())
        with tf.GradientTape() as tape:
            step = model.step(np.array([START, 5, 6]), model.initial_state(pictures))
            loss = tf.reduce_sum(step.logits**2)
        assert (np.abs(tape.gradient(loss, pictures)).max(axis=(1, 2)) > 1e-6).all()

    def test_the_blind_flag_blinds_the_model(self):
        """A sum over the softmax's own axis: other pictures, same captions, and no gradient for the image."""
        model = build(replace(self.config, blind=True), seed=3)
        one, other = (np.asarray(model({"features": features(seed=s), "tokens": tokens()})) for s in (0, 9))
        np.testing.assert_array_equal(one, other)


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
    config = model_class.config_class(**SIZES)
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


@dataclass(frozen=True)
class WiderConfig(GRUConfig):
    extra: int = 3


class WiderDecoder(GRUDecoder):
    """As a reader would define one in a cell."""

    config_class = WiderConfig

    def __init__(self, config):
        super().__init__(config)
        self.more = keras.layers.Dense(config.extra, name="more")
        self.back = keras.layers.Dense(config.vocabulary, name="back")

    def unroll(self, tokens, state, training=False):
        return self.back(self.more(super().unroll(tokens, state, training)))


class TestClassesOfOnesOwn:
    def test_a_subclass_is_built_found_and_its_weights_fit_it_alone(self, tmp_path, monkeypatch):
        model = models.build(WiderDecoder, WiderConfig(**SIZES), seed=3)
        assert type(model) is WiderDecoder and model.kind == "gru" and model.averaged
        main = types.SimpleNamespace(WiderDecoder=WiderDecoder)
        monkeypatch.setitem(sys.modules, "__main__", main)
        found = models.find_class("WiderDecoder", "__main__")
        config = models.config_from(found, {**SIZES, "dropout": 0.5, "extra": 3})
        model.save_weights(tmp_path / "model.weights.h5")
        loaded = models.build(found, config, seed=4)
        models.load_weights(loaded, tmp_path / "model.weights.h5")
        inputs = {"features": features(), "tokens": tokens()}
        np.testing.assert_array_equal(loaded(inputs), model(inputs))
        with pytest.raises(ValueError, match=r"holds 21 arrays, a GRUDecoder has 17"):
            models.load_weights(build(CONFIGS[0]), tmp_path / "model.weights.h5")
        build(CONFIGS[0]).save_weights(tmp_path / "base.weights.h5")
        with pytest.raises(ValueError, match=r"holds 17 arrays, a WiderDecoder has 21"):
            models.load_weights(loaded, tmp_path / "base.weights.h5")

    def test_the_class_comes_first_and_the_config_is_its_own(self):
        with pytest.raises(TypeError, match=r"takes the class first.*GRUConfig"):
            models.build(CONFIGS[0], 3)
        with pytest.raises(TypeError, match="GRUDecoder takes a GRUConfig, not a MergeConfig"):
            models.build(GRUDecoder, CONFIGS[2])
        with pytest.raises(TypeError, match="config_class = WiderConfig"):
            models.build(GRUDecoder, WiderConfig(**SIZES))

    def test_unknown_and_missing_fields_are_named(self):
        fields = asdict(CONFIGS[0])
        assert models.config_from(GRUDecoder, fields) == CONFIGS[0]
        with pytest.raises(ValueError, match=r"GRUConfig has the fields .*; unknown or missing: layers, units"):
            models.config_from(GRUDecoder, {n: v for n, v in fields.items() if n != "units"} | {"layers": 3})

    def test_classes_of_the_package_are_found_by_name(self):
        for model in models.CLASSES.values():
            assert models.find_class(model.__qualname__, model.__module__) is model
        kinds = {name: model.kind for name, model in models.CLASSES.items()}
        assert sorted(kinds.values()) == ["bahdanau", "bilstm", "gru", "merge"]
        with pytest.raises(ValueError, match=r"no decoder 'Transformer'; known: GRUDecoder"):
            models.find_class("Transformer", "captioning.models.transformer")

    @pytest.mark.parametrize(
        ("name", "module"),
        [
            ("Missing", "__main__"),
            ("Path", "pathlib"),
            ("run", "subprocess"),
            ("CONFIGS", __name__),
            ("DecoderConfig", "captioning.models.decoder"),
            ("it.<locals>.Hidden", "__main__"),
        ],
    )
    def test_nothing_but_a_decoder_is_found(self, name, module):
        with pytest.raises(ValueError, match=name):
            models.find_class(name, module)

    def test_nothing_is_imported_because_a_file_names_it(self, tmp_path, monkeypatch):
        (tmp_path / "trap.py").write_text("raise SystemExit")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ValueError, match="run the cell that defines it"):
            models.find_class("Trap", "trap")
        assert "trap" not in sys.modules


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


@BY_KIND
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_near_and_decodes(config, policy):
    """Features beyond float16's numbers are scaled before they are cast."""
    large, plain = features() * 1e5, build(config, seed=3)
    keras.config.set_dtype_policy(policy)
    try:
        mixed = build(config, seed=3)
    finally:
        keras.config.set_dtype_policy("float32")
    for model in (plain, mixed):
        model.scale_features(np.zeros(6, np.float32), np.full(6, 1e10, np.float32))
    inputs = {"features": large, "tokens": tokens()}
    np.testing.assert_allclose(np.asarray(mixed(inputs), np.float32), plain(inputs), atol=0.05)
    results = []
    for model in (plain, mixed):
        initial_state, step = model.compile_step()
        logits, state, attention = step(np.array([START, 5, 6]), initial_state(large))
        logits, state, attention = step(np.array([4, 5]), decoding.steps.take(state, np.array([0, 2])))
        assert logits.dtype == "float32" and (attention is None or attention.dtype == "float32")
        results.append(np.asarray(logits))
        assert len(decoding.beam_search(step, initial_state(large), 2, max_length=7)) == 3
    np.testing.assert_allclose(*results, atol=0.05)


def test_the_loss_of_float16_logits_is_computed_in_float32():
    logits = np.random.default_rng(0).normal(size=(64, 9, 300)).astype(np.float16)
    targets = np.random.default_rng(1).integers(1, 300, (64, 9))
    loss = masked_crossentropy(0.1)(targets, tf.constant(logits))
    assert loss.dtype == "float32"
    assert float(loss) == pytest.approx(float(masked_crossentropy(0.1)(targets, logits.astype(np.float32))), rel=1e-6)


def test_statistics_and_features_that_are_no_numbers_are_refused():
    model = build(CONFIGS[0])
    with pytest.raises(ValueError, match=r"not a finite number.*train split"):
        model.scale_features(np.full(6, np.nan), np.ones(6))
    initial_state, _ = model.compile_step()
    with pytest.raises(ValueError, match="Features hold NaN"):
        initial_state(features() * np.inf)


@pytest.mark.parametrize("compiled", [False, True])
def test_more_words_than_the_bilstm_holds_are_an_error(compiled):
    model = build(replace(CONFIGS[3], longest=4))
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
    assert words.split() == ["embedding", "embeddings", "11", "words,", "5", "numbers", "55"]
    assert len(set(map(len, table.splitlines()))) == 1


def test_recurrent_arrays_are_told_by_their_parts():
    table = build(CONFIGS[0]).describe()
    (kernel, recurrent, bias) = table.splitlines()[
        table.splitlines().index(next(line for line in table.splitlines() if line.startswith("gru_1"))) :
    ][:3]
    assert "5 inputs, 3 x 7 units" in kernel and "7 units, 3 x 7 units" in recurrent and "2 biases, 3 x 7" in bias
