"""The from-scratch captioner against numerical gradients, Keras, its own step, and a stopped training."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from captioning import decoding
from captioning import numpy_layers as layers
from captioning.numpy_rnn import CaptioningRNN, CaptioningRNNConfig, channel_statistics
from captioning.numpy_training import (
    SGD,
    Adam,
    clip_gradients,
    cosine_decay,
    fit,
    load_checkpoint,
    save_checkpoint,
    shuffled_batches,
)
from captioning.tokenizer import END, PAD, START, UNK

CELLS = ("rnn", "lstm")
BATCH, STEPS, CHANNELS, UNITS = 3, 4, 5, 2


def draw(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def recurrent_arguments(cell, steps=None, batch=BATCH):
    """Inputs, first state and weights of a cell, float64; with `steps` of a whole sequence."""
    gates, states = (4, 2) if cell == "lstm" else (1, 1)
    inputs = draw(batch, CHANNELS) if steps is None else draw(batch, steps, CHANNELS)
    state = [draw(batch, UNITS, seed=i + 1) for i in range(states)]
    return [inputs, *state, draw(CHANNELS, gates * UNITS), draw(UNITS, gates * UNITS), draw(gates * UNITS)]


def slope(function, array):
    """The gradient of a scalar function by an array: five-point differences, exact to about 1e-12."""
    result, h = np.zeros_like(array), 1e-3
    for place in np.ndindex(array.shape):
        kept, values = array[place], {}
        for k in (-2, -1, 1, 2):
            array[place] = kept + k * h
            values[k] = function()
        array[place] = kept
        result[place] = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
    return result


def assert_gradient(analytic, numeric, limit=1e-7):
    assert analytic.shape == numeric.shape
    scale = np.abs(analytic).max() + np.abs(numeric).max()
    assert scale > 1e-6, "a gradient that is zero tests nothing"
    assert np.abs(analytic - numeric).max() / scale < limit


def make_layer_cases():
    yield "affine", layers.affine_forward, layers.affine_backward, [draw(3, 4, 5), draw(5, 2), draw(2)], 1
    for cell in CELLS:
        outputs = 2 if cell == "lstm" else 1
        step = getattr(layers, f"{cell}_step_forward"), getattr(layers, f"{cell}_step_backward")
        run = getattr(layers, f"{cell}_forward"), getattr(layers, f"{cell}_backward")
        yield f"{cell}_step", *step, recurrent_arguments(cell), outputs
        yield f"{cell}", *run, recurrent_arguments(cell, STEPS), 1


@pytest.mark.parametrize(
    "forward, backward, arguments, outputs", [pytest.param(*c[1:], id=c[0]) for c in make_layer_cases()]
)
def test_backward_passes_are_the_numerical_gradients(forward, backward, arguments, outputs):
    *results, cache = forward(*arguments)
    assert len(results) == outputs
    weights = [draw(*result.shape, seed=9 + i) for i, result in enumerate(results)]
    gradients = backward(*weights, cache)
    assert len(gradients) == len(arguments)

    def total():
        return sum((w * r).sum() for w, r in zip(weights, forward(*arguments), strict=False))

    for argument, gradient in zip(arguments, gradients, strict=True):
        assert_gradient(gradient, slope(total, argument))


def test_softmax_loss_and_its_gradient():
    logits, targets = draw(BATCH, STEPS, 6), np.random.default_rng(1).integers(0, 6, (BATCH, STEPS))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], bool)
    loss, gradient = layers.temporal_softmax_loss(logits, targets, mask)
    terms = [
        -np.log(np.exp(logits[b, t, targets[b, t]]) / np.exp(logits[b, t]).sum())
        for b in range(BATCH)
        for t in range(STEPS)
        if mask[b, t]
    ]
    assert loss == pytest.approx(sum(terms) / 7, rel=1e-12)
    assert_gradient(gradient, slope(lambda: layers.temporal_softmax_loss(logits, targets, mask)[0], logits))
    assert (gradient[~mask] == 0).all()


def test_softmax_loss_of_huge_logits_is_finite_and_no_word_is_an_error():
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], np.float32)
    loss, gradient = layers.temporal_softmax_loss(logits, np.array([0, 0]), np.ones(2, bool))
    assert loss == pytest.approx(5e3)
    np.testing.assert_allclose(gradient, [[0, 0], [-0.5, 0.5]])
    with pytest.raises(ValueError, match="No target"):
        layers.temporal_softmax_loss(logits, np.array([0, 0]), np.zeros(2, bool))


def test_embedding_backward_sums_over_repeated_tokens():
    tokens, gradient = np.array([[4, 1, 4], [0, 4, 1]]), draw(2, 3, 5)
    result, cache = layers.embedding_forward(tokens, draw(7, 5))
    expected = np.zeros((7, 5))
    np.add.at(expected, tokens, gradient)
    np.testing.assert_allclose(layers.embedding_backward(gradient, cache), expected, rtol=1e-14)
    assert (result[0, 0] == result[1, 1]).all()


def test_dropout_keeps_the_mean_and_its_backward_pass_uses_the_same_mask():
    inputs = np.ones((200, 200))
    result, cache = layers.dropout_forward(inputs, 0.3, np.random.default_rng(0))
    assert np.unique(result) == pytest.approx([0, 1 / 0.7], rel=1e-6)
    assert (result == 0).mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(layers.dropout_backward(inputs, cache), result)
    assert layers.dropout_forward(inputs, 0.3, None)[0] is inputs


@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_equals_its_steps_in_a_row(cell):
    inputs, *rest = recurrent_arguments(cell, STEPS)
    state, weights = rest[:-3], rest[-3:]
    states, _ = getattr(layers, f"{cell}_forward")(inputs, *state, *weights)
    for step in range(STEPS):
        *state, _ = getattr(layers, f"{cell}_step_forward")(inputs[:, step], *state, *weights)
        np.testing.assert_allclose(states[:, step], state[0], rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_saturated_gates_do_not_overflow():
    arguments = [a.astype(np.float32) * 1e4 for a in recurrent_arguments("lstm", STEPS)]
    states, cache = layers.lstm_forward(*arguments)
    assert np.isfinite(states).all()
    assert all(np.isfinite(g).all() for g in layers.lstm_backward(np.ones_like(states), cache))


@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gradients_equal_keras(cell):
    keras, tf = pytest.importorskip("keras"), pytest.importorskip("tensorflow")
    arguments = [a.astype(np.float32) for a in recurrent_arguments(cell, steps=7, batch=4)]
    states, cache = getattr(layers, f"{cell}_forward")(*arguments)
    weight = draw(*states.shape, seed=3).astype(np.float32)
    gradients = getattr(layers, f"{cell}_backward")(weight, cache)

    kind = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}[cell]
    layer = kind(UNITS, return_sequences=True)
    inputs, *state = map(tf.constant, arguments[:-3])
    layer.build(inputs.shape)
    layer.set_weights(arguments[-3:])
    with tf.GradientTape() as tape:
        tape.watch([inputs, *state])
        expected = layer(inputs, initial_state=state)
        total = tf.reduce_sum(expected * weight)
    sources = [inputs, *state, *(w.value for w in layer.trainable_weights)]
    np.testing.assert_allclose(states, expected, atol=1e-5)
    for gradient, reference in zip(gradients, tape.gradient(total, sources), strict=True):
        assert_gradient(gradient, reference.numpy(), 1e-5)


TOKENS = np.array(
    [[START, 4, 5, 6, END], [START, 7, END, PAD, PAD], [START, 4, 4, END, PAD], [START, END, PAD, PAD, PAD]]
)


def make_model(cell="lstm", **settings):
    settings = {"vocabulary": 9, "channels": 5, "embedding": 3, "units": 4, "dtype": "float64", "seed": 2} | settings
    model = CaptioningRNN(CaptioningRNNConfig(cell=cell, **settings), draw(5), np.abs(draw(5, seed=1)) + 0.5)
    for name, values in model.parameters.items():  # large enough for every gradient to matter
        values += 0.3 * draw(*values.shape, seed=len(name))
    return model


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("seed", [None, 0], ids=["plain", "dropout"])
def test_gradients_of_the_whole_captioner(cell, seed):
    model = make_model(cell, dropout=0.3, word_dropout=0.3)
    features = draw(4, 2, 5)

    def loss():
        return model.loss(features, TOKENS, None if seed is None else np.random.default_rng(seed))

    gradients = loss()[1]
    assert set(gradients) == set(model.parameters)
    for name, values in model.parameters.items():
        assert_gradient(gradients[name], slope(lambda: loss()[0], values))


@pytest.mark.parametrize("cell", CELLS)
def test_loss_is_the_summed_log_probability_of_the_steps(cell):
    model, features = make_model(cell), draw(4, 2, 5)
    state, total = model.initial_state(features), 0.0
    for step in range(TOKENS.shape[1] - 1):
        logits, state, attention = model.step(TOKENS[:, step], state)
        assert attention is None
        scores = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        target = TOKENS[:, step + 1]
        total -= scores[np.arange(4), target][target != PAD].sum()
    assert model.loss(features, TOKENS)[0] == pytest.approx(total / 10, rel=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_neither_loss_nor_gradients(cell):
    model, features = make_model(cell), draw(4, 5)
    longest = np.concatenate([TOKENS[:1], np.full((1, 3), PAD)], axis=1)
    longest[0, 1:8] = [4, 5, 6, 7, 8, 5, END]

    def mean(batches):  # of separate batches, each weighted by its number of words
        counts = [np.count_nonzero(tokens[:, 1:]) for _, tokens in batches]
        results = [model.loss(*batch) for batch in batches]
        loss = np.dot(counts, [loss for loss, _ in results]) / sum(counts)
        return loss, {
            name: sum(n * g[name] for n, (_, g) in zip(counts, results, strict=True)) / sum(counts)
            for name in model.parameters
        }

    padded = np.concatenate([np.pad(TOKENS[1:], ((0, 0), (0, 3))), longest])
    order = np.array([1, 2, 3, 0])
    expected = mean(
        [(features[i : i + 1], TOKENS[i : i + 1, : np.argmax(TOKENS[i] == END) + 1]) for i in (1, 2, 3)]
        + [(features[:1], longest)]
    )
    for tokens in (padded, np.pad(padded, ((0, 0), (0, 4)))):
        loss, gradients = model.loss(features[order], tokens)
        assert loss == pytest.approx(expected[0], rel=1e-12)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, expected[1][name], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_first_weights_follow_keras(cell):
    weights = CaptioningRNN(CaptioningRNNConfig(9, 5, cell, units=4)).parameters
    recurrent = weights["recurrent_kernel"]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-6)
    forget = [0] * 4 + [1] * 4 + [0] * 8
    np.testing.assert_array_equal(weights["bias"], forget if cell == "lstm" else [0] * 4)
    assert np.abs(weights["output_kernel"]).max() == pytest.approx(np.sqrt(6 / 13), rel=0.1)


@pytest.mark.parametrize("cell, arrays", [("rnn", 1), ("lstm", 2)])
def test_initial_state_averages_regions_and_standardises(cell, arrays):
    model = make_model(cell, dtype="float32")
    model.channel_mean += 30  # the mean of 49 numbers around 30 needs more than the 11 bits of float16
    features = (30 + draw(3, 49, 5)).astype(np.float16)
    state = model.initial_state(features)
    assert [part.shape for part in state] == [(3, 4)] * arrays and state[0].dtype == np.float32
    mean = features.astype(np.float64).mean(axis=1)
    image = (mean - model.channel_mean) / model.channel_deviation
    expected = np.tanh(image @ model.parameters["image_kernel"] + model.parameters["image_bias"])
    np.testing.assert_allclose(np.concatenate(state, axis=1), expected, atol=1e-5)
    for part, other in zip(model.initial_state(mean), state, strict=True):
        np.testing.assert_allclose(part, other, atol=1e-5)


def test_statistics_of_the_pooled_features_and_a_channel_that_never_varies():
    features = draw(50, 4, 5).astype(np.float16) * 5e-4 + np.float16(0.01)
    features[..., 3] = 0.25
    mean, deviation = channel_statistics(features)
    pooled = features.astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(mean, pooled.mean(axis=0))
    np.testing.assert_allclose(deviation, np.sqrt(((pooled - mean) ** 2).mean(axis=0)), atol=1e-12)
    model = CaptioningRNN(CaptioningRNNConfig(9, 5), mean, deviation)
    image = model._standardised(features)
    np.testing.assert_allclose(image.std(axis=0), [1, 1, 1, 0, 1], atol=1e-3)
    assert (model._standardised(features + np.float16(1))[:, 3] == 0).all()


@pytest.mark.parametrize("settings", [{"dropout": 0.5}, {"word_dropout": 0.5}])
def test_dropout_is_seeded_and_off_without_a_generator(settings):
    model, plain, features = make_model(**settings), make_model(), draw(4, 5)
    assert model.loss(features, TOKENS)[0] == plain.loss(features, TOKENS)[0]
    first, second, other = (model.loss(features, TOKENS, np.random.default_rng(s))[0] for s in (0, 0, 1))
    assert first == second != other
    assert plain.loss(features, TOKENS, np.random.default_rng(0))[0] == plain.loss(features, TOKENS)[0]


def test_word_dropout_replaces_its_share_by_unk_and_never_start():
    tokens = np.full((100, 101), 5)
    tokens[:, 0] = START
    dropped = make_model(word_dropout=0.2)._drop_words(tokens, np.random.default_rng(0))
    assert (dropped[:, 0] == START).all() and set(np.unique(dropped[:, 1:])) == {UNK, 5}
    assert (dropped[:, 1:] == UNK).mean() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("cell", CELLS)
def test_beam_search_and_sampling_run_on_it(cell):
    model, features = make_model(cell, seed=5), 3 * draw(6, 5)
    batched = decoding.beam_search(model.step, model.initial_state(features), 3, 6)
    for row, caption in enumerate(batched):
        alone = decoding.beam_search(model.step, model.initial_state(features[row : row + 1]), 3, 6)[0]
        assert caption.tokens == alone.tokens and caption.score == pytest.approx(alone.score)
        if caption.finished:
            tokens = np.array([[START, *caption.tokens, END]])
            loss, _ = model.loss(features[row : row + 1], tokens)
            assert caption.log_probability == pytest.approx(-loss * (tokens.shape[1] - 1))
    assert any(caption.finished for caption in batched)
    first, same, other = (model.sample(features, max_length=6, seed=s) for s in (0, 0, 1))
    assert [c.tokens for c in first] == [c.tokens for c in same] != [c.tokens for c in other]


def test_wrong_arguments_are_named():
    model = make_model()
    for match, call in {
        "channels": lambda: model.initial_state(draw(2, 6)),
        "shape": lambda: model.initial_state(draw(5)),
        "not finite": lambda: model.initial_state(np.full((2, 5), np.nan)),
        "outside the vocabulary": lambda: model.loss(draw(1, 5), np.array([[START, 9, END]])),
        "outside the vocabulary ": lambda: model.loss(draw(1, 5), np.array([[START, -1, END]])),
        "2 images": lambda: model.loss(draw(2, 5), TOKENS),
        "No target": lambda: model.loss(draw(1, 5), np.array([[START, PAD]])),
        "No target is": lambda: model.loss(draw(1, 5), np.array([[PAD, PAD]])),
        "known cells: rnn, lstm": lambda: make_model("gru"),
        "float32 or float64": lambda: make_model(dtype="float16"),
        "below 1": lambda: make_model(dropout=1.0),
        "at least 1": lambda: make_model(units=0),
        "5 finite numbers": lambda: CaptioningRNN(model.config, np.zeros(4)),
    }.items():
        with pytest.raises(ValueError, match=match.strip()):
            call()


@pytest.mark.parametrize("cell", CELLS)
def test_saving_keeps_every_bit(cell, tmp_path):
    model, path = make_model(cell, dropout=0.25), tmp_path / "model.npz"
    model.save(path)
    loaded = CaptioningRNN.load(path)
    assert loaded.config == model.config
    for part, other in zip(model.initial_state(draw(2, 5)), loaded.initial_state(draw(2, 5)), strict=True):
        np.testing.assert_array_equal(part, other)
    for name, values in model.parameters.items():
        np.testing.assert_array_equal(values, loaded.parameters[name])
        assert values.dtype == loaded.parameters[name].dtype
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def test_damaged_or_foreign_files_are_refused(tmp_path):
    path = tmp_path / "model.npz"
    make_model().save(path)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match="without optimizer state"):
        load_checkpoint(path, Adam())
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model.npz"):
            CaptioningRNN.load(path)
    arrays = make_model().arrays()
    arrays["parameters/bias"] = arrays["parameters/bias"][:1]  # would broadcast
    extra = make_model().arrays() | {"parameters/attention": np.zeros(2)}
    for wrong in (arrays, extra, {"x": np.zeros(2)}, {"x": np.array([{}], object)}):
        np.savez(path, **wrong)
        with pytest.raises(ValueError, match=r"model.npz"):
            CaptioningRNN.load(path)


def training(cell="lstm", count=10, **settings):
    """A model and batches of ten made captions of four images."""
    rng = np.random.default_rng(4)
    tokens = np.full((count, 6), PAD)
    for row in tokens:
        length = rng.integers(1, 5)
        row[: length + 2] = [START, *rng.integers(4, 9, length), END]
    settings = {"dropout": 0.3, "word_dropout": 0.2, "dtype": "float32"} | settings
    model = make_model(cell, **settings)
    return model, shuffled_batches(draw(4, 5), rng.integers(0, 4, count), tokens, batch_size=4)


@pytest.mark.parametrize("make", [partial(SGD, 0.1, momentum=0.9), partial(Adam, cosine_decay(0.01, 18, 2), 0.01)])
@pytest.mark.parametrize("cell", CELLS)
def test_a_restarted_training_gives_the_same_bits(make, cell, tmp_path):
    path = tmp_path / "last.npz"
    (straight, batches), optimizer = training(cell), make()
    whole = [epoch[:-1] for epoch in fit(straight, batches, 6, optimizer)]
    (model, _), first = training(cell), make()
    parts = []
    for epoch in fit(model, batches, 6, first):
        parts.append(epoch[:-1])
        if epoch.number == 4:
            save_checkpoint(path, model, first, epoch.number)
            break
    again = make()
    model, start = load_checkpoint(path, again)
    parts += [epoch[:-1] for epoch in fit(model, batches, 6, again, start=start)]
    assert parts == whole and [epoch[0] for epoch in parts] == [1, 2, 3, 4, 5, 6]
    assert again.updates == optimizer.updates == 18
    for name, values in straight.parameters.items():
        np.testing.assert_array_equal(values, model.parameters[name])
    for name, values in optimizer.state.items():
        np.testing.assert_array_equal(values, again.state[name])
    with pytest.raises(ValueError, match="optimizer/"):
        load_checkpoint(path, Adam() if isinstance(again, SGD) else SGD())


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_optimizers_equal_keras(name):
    keras = pytest.importorskip("keras")
    ours, theirs = {
        "SGD": (SGD(0.1, momentum=0.9), keras.optimizers.SGD(0.1, momentum=0.9)),
        "AdamW": (Adam(0.01, weight_decay=0.1), keras.optimizers.AdamW(0.01, weight_decay=0.1, epsilon=1e-8)),
    }[name]
    parameters = {"kernel": draw(3, 4).astype(np.float32)}
    variable = keras.Variable(parameters["kernel"])
    for step in range(5):
        gradient = draw(3, 4, seed=step).astype(np.float32)
        ours.update(parameters, {"kernel": gradient})
        theirs.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    np.testing.assert_allclose(parameters["kernel"], keras.ops.convert_to_numpy(variable), rtol=1e-5, atol=1e-6)


def test_weight_decay_spares_biases_and_cosine_decay_has_its_shape():
    parameters = {"kernel": np.ones((2, 2)), "bias": np.ones(2)}
    Adam(0.1, weight_decay=0.5).update(parameters, {k: np.zeros_like(v) for k, v in parameters.items()})
    assert (parameters["bias"] == 1).all() and parameters["kernel"] == pytest.approx(0.95)
    rate = cosine_decay(2.0, updates=14, warmup=4)
    assert [rate(u) for u in (0, 3, 4, 9, 14, 20)] == pytest.approx([0.4, 1.6, 2.0, 1.0, 0.0, 0.0])


def test_clipping_scales_all_gradients_together_and_returns_the_norm_before():
    gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    assert clip_gradients(gradients, None) == clip_gradients(gradients, 5.0) == 5.0
    assert gradients["a"][0] == 3.0
    assert clip_gradients(gradients, 1.0) == 5.0
    assert gradients["a"][0] == pytest.approx(0.6) and gradients["b"][0, 0] == pytest.approx(0.8)
    assert clip_gradients({"a": np.full(4, 1e25, np.float32)}, 1.0) == pytest.approx(2e25)


def test_batches_hold_every_caption_once_with_its_image():
    features, images = np.arange(30.0)[:, None], np.random.default_rng(0).permutation(np.repeat(np.arange(30), 5))
    tokens = np.stack([np.full(150, START), images, np.arange(150) + 4, np.full(150, END)], axis=1)
    batches = shuffled_batches(features, images, tokens, batch_size=4, seed=1)
    first, second = list(batches(0)), list(batches(1))
    for epoch in (first, second):
        assert sorted(np.concatenate([t[:, 2] for _, t in epoch])) == list(range(4, 154))
        assert all((f[:, 0] == t[:, 1]).all() for f, t in epoch)
        assert sorted(len(t) for _, t in epoch) == [2] + [4] * 37
    assert all((a[1] == b[1]).all() for a, b in zip(first, batches(0), strict=True))
    assert any(a[1].shape != b[1].shape or (a[1] != b[1]).any() for a, b in zip(first, second, strict=True))


def test_batches_put_captions_of_one_length_together():
    lengths = np.random.default_rng(0).integers(2, 20, 400)
    tokens = np.where(np.arange(20) < lengths[:, None], 5, PAD)
    spread = [np.ptp((t != PAD).sum(axis=1)) for _, t in shuffled_batches(draw(400, 1), np.arange(400), tokens, 10)(0)]
    assert np.mean(spread) < 3


def test_the_loss_of_an_epoch_is_the_mean_over_its_words():
    model, batches = training(dropout=0.0, word_dropout=0.0)
    whole = [np.concatenate(parts) for parts in zip(*batches(0), strict=True)]
    epoch = next(fit(model, batches, 1, SGD(0.0)))
    assert epoch.loss == pytest.approx(model.loss(*whole)[0], rel=1e-6)


def test_training_reports_norms_and_stops_with_an_error_when_it_diverges():
    model, batches = training()
    epoch = next(fit(model, batches, 1, SGD(0.1), largest_norm=1e-3))
    assert epoch.clipped == 1 and epoch.largest_norm >= epoch.gradient_norm > 1e-3 and epoch.loss > 0
    model.parameters["output_kernel"][0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="learning rate"):
        list(fit(model, batches, 1, SGD(0.1)))
    with pytest.raises(ValueError, match="no batch"):
        list(fit(model, lambda number: [], 1, SGD(0.1)))


@pytest.mark.parametrize("cell", CELLS)
def test_fifty_captions_are_learned_by_heart(cell):
    rng = np.random.default_rng(0)
    features, tokens = rng.normal(size=(50, 16)), np.full((50, 10), PAD)
    for row in tokens:
        length = rng.integers(4, 9)
        row[: length + 2] = [START, *rng.integers(4, 40, length), END]
    model = CaptioningRNN(CaptioningRNNConfig(40, 16, cell, embedding=24, units=48), *channel_statistics(features))
    batches = shuffled_batches(features, np.arange(50), tokens, batch_size=25)
    *_, last = fit(model, batches, 150, Adam(0.01), largest_norm=5.0)
    assert last.loss < 0.1
    captions = decoding.greedy(model.step, model.initial_state(features), 12)
    assert [c.tokens for c in captions] == [
        row[(row != PAD) & (row != START) & (row != END)].tolist() for row in tokens
    ]


def test_imports_without_tensorflow():
    code = (
        "import sys, captioning.numpy_rnn, captioning.numpy_training; "
        "sys.exit(' '.join({'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
