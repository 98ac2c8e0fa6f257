"""The from-scratch captioner: gradients, its own step, dropout, decoding, files."""

import numpy as np
import pytest

from captioning import decoding
from captioning.from_scratch.optimizers import Adam
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.from_scratch.training import load_checkpoint
from captioning.tokenizer import END, PAD, START
from tests.numpy_cases import CELLS, draw, make_model

TOKENS = np.array(
    [[START, 4, 5, 6, END], [START, 7, END, PAD, PAD], [START, 4, 4, END, PAD], [START, END, PAD, PAD, PAD]]
)


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


def test_dropout_is_seeded_and_off_without_a_generator():
    model, plain, features = make_model(dropout=0.5), make_model(), draw(4, 5)
    assert model.loss(features, TOKENS)[0] == plain.loss(features, TOKENS)[0]
    first, second, other = (model.loss(features, TOKENS, np.random.default_rng(s))[0] for s in (0, 0, 1))
    assert first == second != other
    assert plain.loss(features, TOKENS, np.random.default_rng(0))[0] == plain.loss(features, TOKENS)[0]


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
