"""The exercises of notebook 08 do what they say, and what its text says about losses is true."""

import inspect
from itertools import islice

import numpy as np
import pytest

from captioning import findings
from captioning.findings.finding import CONFIRMED
from captioning.from_scratch import cells, checks
from captioning.from_scratch.layers import temporal_softmax_loss
from captioning.from_scratch.optimizers import SGD, Adam
from captioning.from_scratch.pooling import channel_statistics
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.from_scratch.training import fit, shuffled_batches
from captioning.tokenizer import END, PAD, START


def draw(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def changed(function, old, new):
    """Return the function with a piece of its source replaced, as a reader would."""
    source = inspect.getsource(function)
    assert source.count(old) == 1
    scope = dict(vars(inspect.getmodule(function)))
    exec(source.replace(old, new), scope)
    return scope[function.__name__]


def captions(number, words=8, vocabulary=20):
    """Return random features and as many random captions."""
    rng = np.random.default_rng(number)
    tokens = np.full((number, words + 2), PAD)
    for row, length in zip(tokens, rng.integers(3, words + 1, number), strict=True):
        row[: length + 2] = [START, *rng.integers(4, vocabulary, length), END]
    return rng.normal(size=(number, 6)).astype("float32"), tokens


def losses_of(cell, features, tokens, through_time):
    config = CaptioningRNNConfig(20, 6, cell, embedding=16, units=32, through_time=through_time)
    model = CaptioningRNN(config, *channel_statistics(features))
    return [epoch.loss for epoch in fit(model, lambda number: [(features, tokens)], 300, Adam(0.003))]


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_check_sees_the_forgotten_step_in_every_array(cell):
    gates, states = (4, 2) if cell == "lstm" else (1, 1)
    arguments = draw(3, 4, 5), *(draw(3, 2, seed=n) for n in range(states)), draw(5, 2 * gates), draw(2, 2 * gates)
    forward, backward = getattr(cells, f"{cell}_forward"), getattr(cells, f"{cell}_backward")
    for through_time in (True, False):
        found = checks.gradient_errors(
            forward, lambda *passed, flag=through_time: backward(*passed, flag), *arguments, draw(2 * gates)
        )
        assert max(found.values()) < 1e-7 if through_time else min(found.values()) > 1e-3


def test_the_forgotten_step_makes_memorizing_slower():
    features, tokens = captions(10)
    right, wrong = (losses_of("rnn", features, tokens, flag) for flag in (True, False))
    assert findings.forgotten(right, wrong).startswith(CONFIRMED)
    first = [next(number for number, loss in enumerate(losses) if loss < 0.1) for losses in (right, wrong)]
    assert first[1] > 1.3 * first[0]


def test_exercise_1_the_check_names_every_gradient():
    wrong = changed(cells.rnn_backward, "1 - states[step + 1] ** 2", "1 - states[step] ** 2")
    arguments = draw(3, 4, 5), draw(3, 2), draw(5, 2), draw(2, 2), draw(2)
    found = checks.gradient_errors(cells.rnn_forward, wrong, *arguments)
    assert min(found.values()) > 1e-3
    assert "inputs, hidden, kernel, recurrent_kernel and bias differed" in findings.gradients_agree(found, 1e-7)


def test_exercise_2_float32_hides_whether_a_gradient_is_right():
    careless = changed(checks.numeric_gradient, "array.dtype != np.float64", "False")
    w = np.array([1.0, -2.0, 0.5], dtype="float32")
    small, large = (
        checks.relative_error(3 * w**2, careless(lambda: (w**3).sum(), w, step=step)) for step in (1e-3, 0.1)
    )
    assert small > 1e-5 and large < small / 10


def gru_step_forward(inputs, hidden, kernel, recurrent_kernel, bias):
    """Advance a GRU: r and z gates, then the candidate."""
    units = hidden.shape[1]
    sums = inputs @ kernel + bias
    gates = 1 / (1 + np.exp(-sums[:, : 2 * units] - hidden @ recurrent_kernel[:, : 2 * units]))
    r, z = np.split(gates, 2, axis=1)
    g = np.tanh(sums[:, 2 * units :] + (r * hidden) @ recurrent_kernel[:, 2 * units :])
    return z * hidden + (1 - z) * g, (inputs, hidden, kernel, recurrent_kernel, r, z, g)


def gru_step_backward(gradient, cache, forget=False):
    inputs, hidden, kernel, recurrent_kernel, r, z, g = cache
    gates, candidate = np.split(recurrent_kernel, [2 * hidden.shape[1]], axis=1)
    by_g = gradient * (1 - z) * (1 - g**2)
    by_reset = by_g @ candidate.T
    by_gates = np.hstack([by_reset * hidden * r * (1 - r), gradient * (hidden - g) * z * (1 - z)])
    by_sums = np.hstack([by_gates, by_g])
    by_hidden = gradient * z + by_gates @ gates.T + (0 if forget else by_reset * r)
    by_recurrent = np.hstack([hidden.T @ by_gates, (r * hidden).T @ by_g])
    return by_sums @ kernel.T, by_hidden, inputs.T @ by_sums, by_recurrent, by_sums.sum(axis=0)


def test_exercise_3_the_check_tells_when_a_gru_is_right():
    arguments = draw(3, 5), draw(3, 2), draw(5, 6), draw(2, 6), draw(6)
    assert max(checks.gradient_errors(gru_step_forward, gru_step_backward, *arguments).values()) < 1e-7
    found = checks.gradient_errors(gru_step_forward, lambda *passed: gru_step_backward(*passed, True), *arguments)
    assert [name for name, error in found.items() if error > 1e-7] == ["hidden"]


def test_exercise_4_clipping_wins_at_the_high_rate():
    """Over five orders of the batches: without clipping, how one run ends depends on the processor's rounding."""
    features, tokens = captions(64)
    epochs = shuffled_batches(features, np.arange(64), tokens, 16)
    losses = {(rate, limit): [] for rate in (0.2, 3.0) for limit in (None, 1.0)}
    for first in range(5):
        batches = ([batch] for number in range(first, first + 20) for batch in epochs(number))
        of_epoch = list(islice(batches, 60)).__getitem__
        for (rate, limit), of_runs in losses.items():
            config = CaptioningRNNConfig(20, 6, "rnn", embedding=16, units=32)
            model = CaptioningRNN(config, *channel_statistics(features))
            of_runs += [row.loss for row in fit(model, of_epoch, 60, SGD(rate), limit)]
    means = {choice: np.mean(of_runs) for choice, of_runs in losses.items()}
    assert means[3.0, None] > 1.5 * means[3.0, 1.0]
    assert means[0.2, None] < 1.1 * means[0.2, 1.0]


def test_losses_of_numpy_and_keras_are_the_same_measure():
    from captioning.training.loss import masked_crossentropy

    logits, tokens = draw(5, 10, 20), captions(5)[1]
    nats = masked_crossentropy()(tokens, logits.astype("float32"))
    assert float(nats) == pytest.approx(temporal_softmax_loss(logits, tokens, tokens != PAD)[0], rel=1e-5)
