"""Optimizers, batches and epochs; a stopped training run resumes bit for bit the same."""

from functools import partial

import numpy as np
import pytest

from captioning import decoding
from captioning.from_scratch.optimizers import SGD, Adam, clip_gradients, cosine_decay
from captioning.from_scratch.pooling import channel_statistics
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.from_scratch.training import fit, load_checkpoint, save_checkpoint, shuffled_batches
from captioning.tokenizer import END, PAD, START
from tests.numpy_cases import CELLS, draw, make_model


def training(cell="lstm", count=10, **settings):
    """A model and batches of ten made captions of four images."""
    rng = np.random.default_rng(4)
    tokens = np.full((count, 6), PAD)
    for row in tokens:
        length = rng.integers(1, 5)
        row[: length + 2] = [START, *rng.integers(4, 9, length), END]
    settings = {"dropout": 0.3, "dtype": "float32"} | settings
    model = make_model(cell, **settings)
    return model, shuffled_batches(draw(4, 5), rng.integers(0, 4, count), tokens, batch_size=4)


@pytest.mark.parametrize("make", [partial(SGD, 0.1), partial(Adam, cosine_decay(0.01, 18, 2), 0.01)])
@pytest.mark.parametrize("cell", CELLS)
def test_a_restarted_training_gives_the_same_bits(make, cell, tmp_path):
    path = tmp_path / "last.npz"
    (straight, batches), optimizer = training(cell), make()
    whole = list(fit(straight, batches, 6, optimizer))
    (model, _), first = training(cell), make()
    parts = []
    for epoch in fit(model, batches, 6, first):
        parts.append(epoch)
        if epoch.number == 4:
            save_checkpoint(path, model, first, epoch.number)
            break
    again = make()
    model, start = load_checkpoint(path, again)
    parts += fit(model, batches, 6, again, start=start)
    assert parts == whole and [epoch[0] for epoch in parts] == [1, 2, 3, 4, 5, 6]
    assert again.updates == optimizer.updates == 18
    for name, values in straight.parameters.items():
        np.testing.assert_array_equal(values, model.parameters[name])
    for name, values in optimizer.state.items():
        np.testing.assert_array_equal(values, again.state[name])
    with pytest.raises(ValueError, match="optimizer/"):
        load_checkpoint(path, Adam() if isinstance(again, SGD) else SGD(0.1))


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_optimizers_equal_keras(name):
    keras = pytest.importorskip("keras")
    ours, theirs = {
        "SGD": (SGD(0.1), keras.optimizers.SGD(0.1)),
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
    model, batches = training(dropout=0.0)
    whole = [np.concatenate(parts) for parts in zip(*batches(0), strict=True)]
    epoch = next(fit(model, batches, 1, SGD(0.0)))
    assert epoch.loss == pytest.approx(model.loss(*whole)[0], rel=1e-6)


def test_training_reports_norms_and_stops_with_an_error_when_it_diverges():
    model, batches = training()
    epoch = next(fit(model, batches, 1, SGD(0.1), clip_norm=1e-3))
    assert epoch.gradient_norm > 1e-3 and epoch.loss > 0
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
    model = CaptioningRNN(CaptioningRNNConfig(40, 16, cell, embedding=16, units=32), *channel_statistics(features))
    batches = shuffled_batches(features, np.arange(50), tokens, batch_size=25)
    *_, last = fit(model, batches, 80, Adam(0.03), clip_norm=5.0)
    assert last.loss < 0.1
    captions = decoding.greedy(model.step, model.initial_state(features), 12)
    assert [c.tokens for c in captions] == [
        row[(row != PAD) & (row != START) & (row != END)].tolist() for row in tokens
    ]
