"""The gradient checks themselves: right gradients pass, each kind of wrong one is seen."""

from functools import partial

import numpy as np
import pytest

from captioning.from_scratch import cells, layers
from captioning.from_scratch.checks import gradient_errors, numeric_gradient, parameter_errors, relative_error
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.tokenizer import END, PAD, START
from tests.numpy_cases import draw, recurrent_arguments


def test_the_slope_of_a_polynomial_is_exact_and_the_array_is_put_back():
    array = draw(2, 3)
    kept = array.copy()
    slope = numeric_gradient(lambda: (array**3).sum() + array[0, 1] * array[1, 2], array)
    expected = 3 * kept**2
    expected[0, 1] += kept[1, 2]
    expected[1, 2] += kept[0, 1]
    np.testing.assert_allclose(slope, expected, atol=1e-11)
    np.testing.assert_array_equal(array, kept)


def test_the_error_of_the_slope_falls_with_the_fourth_power_of_the_step():
    array = np.array([0.3])
    errors = [abs(numeric_gradient(lambda: np.exp(array[0]), array, h)[0] - np.exp(0.3)) for h in (0.2, 0.1)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.05)


def test_float32_is_refused():
    with pytest.raises(ValueError, match="float64"):
        numeric_gradient(lambda: 0.0, np.zeros(2, np.float32))


def test_relative_error_has_its_definition():
    assert relative_error(np.array([1.0, 4.0]), np.array([1.0, -2.0])) == pytest.approx(6 / 6)
    assert relative_error(np.array([3.0, 0.0]), np.array([2.0, 0.5])) == pytest.approx(1 / 5)
    with pytest.raises(ValueError, match="shapes"):
        relative_error(np.zeros(2), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="zero"):
        relative_error(np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_right_backward_pass_passes_and_a_forgetful_one_is_seen_in_every_array(cell):
    forward, backward = getattr(cells, f"{cell}_forward"), getattr(cells, f"{cell}_backward")
    right = gradient_errors(forward, backward, *recurrent_arguments(cell))
    state = ["hidden", "cell"] if cell == "lstm" else ["hidden"]
    assert list(right) == ["inputs", *state, "kernel", "recurrent_kernel", "bias"]
    assert max(right.values()) < 1e-7
    wrong = gradient_errors(forward, partial(backward, through_time=False), *recurrent_arguments(cell))
    assert min(wrong.values()) > 1e-3


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_forgetful_pass_gives_the_first_state_what_the_first_step_gives(cell):
    inputs, *rest = recurrent_arguments(cell)
    states = 2 if cell == "lstm" else 1
    by_states = draw(3, 4, 2, seed=5)
    _, cache = getattr(cells, f"{cell}_forward")(inputs, *rest)
    whole = getattr(cells, f"{cell}_backward")(by_states, cache, through_time=False)
    _, cache = getattr(cells, f"{cell}_forward")(inputs[:, :1], *rest)
    first = getattr(cells, f"{cell}_backward")(by_states[:, :1], cache)
    for of_whole, of_first in zip(whole[1 : 1 + states], first[1 : 1 + states], strict=True):
        np.testing.assert_allclose(of_whole, of_first, rtol=1e-12)


def test_every_result_counts_and_integers_are_skipped():
    made = recurrent_arguments("lstm", steps=None)

    def without_cell(by_hidden, by_cell, cache):
        return cells.lstm_step_backward(by_hidden, 0 * by_cell, cache)

    assert gradient_errors(cells.lstm_step_forward, without_cell, *made)["cell"] > 1e-3
    tokens = np.array([[4, 1, 4], [0, 4, 1]])
    found = gradient_errors(layers.embedding_forward, layers.embedding_backward, tokens, draw(7, 5))
    assert list(found) == ["table"] and found["table"] < 1e-7


def test_a_gradient_too_few_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        gradient_errors(
            layers.affine_forward, lambda g, c: layers.affine_backward(g, c)[:2], draw(3, 5), draw(5, 2), draw(2)
        )


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("dropout_seed", [None, 0])
def test_the_whole_captioner_is_checked_and_its_flag_is_a_bug(cell, dropout_seed):
    tokens = np.array([[START, 4, 5, 6, END], [START, 7, END, PAD, PAD]])
    sizes = {"embedding": 3, "units": 4, "dtype": "float64", "dropout": 0.3, "seed": 1}
    right = CaptioningRNN(CaptioningRNNConfig(9, 5, cell, **sizes))
    assert max(parameter_errors(right, draw(2, 2, 5), tokens, dropout_seed).values()) < 1e-7
    wrong = CaptioningRNN(CaptioningRNNConfig(9, 5, cell, through_time=False, **sizes))
    errors = parameter_errors(wrong, draw(2, 2, 5), tokens, dropout_seed)
    above = {name for name in errors if not name.startswith("output")}
    assert min(errors[name] for name in above) > 1e-4 and max(errors[f"output_{n}"] for n in ("kernel", "bias")) < 1e-7
