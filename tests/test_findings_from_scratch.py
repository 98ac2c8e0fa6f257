"""Sentences of notebook 08: every branch reads rightly."""

import pytest

from captioning.findings import clipping, forgotten, gradients_agree, memorized, of_each
from captioning.findings.finding import CONFIRMED, DENIED


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        ({"inputs": 3e-13}, "inputs agreed with X: relative error 3e-13, below 1e-07."),
        ({"inputs": 3e-13, "bias": 2e-11}, "inputs and bias agreed with X: relative error 3e-13 to 2e-11, below "
         "1e-07."),
        ({"bias": 0.5}, "bias differed from X: relative error 0.5, not below 1e-07."),
        ({"bias": 0.5, "kernel": 1.0, "hidden": 1e-12}, "hidden agreed with X: relative error 1e-12, "
         "below 1e-07. bias and kernel differed from X: relative error 0.5 to 1, not below 1e-07."),
        ({"bias": float("nan")}, "bias differed from X: relative error nan, not below 1e-07."),
        ({"a": 0.5, "b": float("nan")}, "a and b differed from X: relative error nan, not below 1e-07."),
        ({"a": 0.0}, "a agreed with X: relative error 0, below 1e-07."),
        ({str(n): 1e-9 for n in range(9)}, "9 arrays agreed with X: relative error 1e-09, below 1e-07."),
    ],
)  # fmt: skip
def test_arrays_that_agree_and_arrays_that_differ(errors, sentence):
    assert gradients_agree(errors, 1e-7, "X") == sentence


def test_each_model_is_named():
    assert of_each({"RNN": "Right.", "LSTM": "Wrong."}) == "RNN: Right. LSTM: Wrong."


@pytest.mark.parametrize(
    ("losses", "repeated", "verdict", "sentence"),
    [
        ([4.0, 0.05, 0.01], 50, CONFIRMED, "RNN: the loss went from 4.00 to 0.010 nats per word in 3 updates, "
         "below 0.1 from update 2 on; captions reproduced word for word: 50 of 50."),
        ([4.0, 0.05, 0.2], 50, DENIED, "from 4.00 to 0.200 nats per word in 3 updates; captions reproduced "
         "word for word: 50 of 50."),
        ([4.0, 0.05, 0.01], 1, DENIED, "word for word: 1 of 50."),
        ([4.0], 0, DENIED, "in 1 update; captions reproduced word for word: 0 of 50."),
    ],
)  # fmt: skip
def test_memorized_means_a_low_loss_and_every_caption(losses, repeated, verdict, sentence):
    said = memorized({"RNN": losses}, {"RNN": repeated}, captions=50)
    assert said.startswith(verdict) and sentence in said
    assert ("wrong gradient" in said) == (verdict == DENIED)


def test_one_run_that_fails_denies_the_claim_of_both():
    losses = {"RNN": [4.0, 0.01], "LSTM": [4.0, 0.01]}
    assert memorized(losses, {"RNN": 1, "LSTM": 0}, captions=1).startswith(DENIED)
    assert "word for word: 1 of 1." in memorized(losses, {"RNN": 1, "LSTM": 1}, captions=1)


@pytest.mark.parametrize(
    ("right", "wrong", "verdict", "sentence"),
    [
        ([4.0, 0.05, 0.01, 0.01], [4.0, 1.0, 1.0, 0.05], CONFIRMED, "fell below 0.1 nats per word at update 2; "
         "without it, the loss fell below 0.1 nats per word at update 4, after 2.0 times as many updates."),
        ([4.0, 0.05], [4.0, 1.0], CONFIRMED, "without it, the loss did not fall below 0.1 nats per word in 2 updates."),
        ([4.0, 0.05], [4.0, 0.05], DENIED, "without it, the loss fell below 0.1 nats per word at update 2. "),
        ([4.0, 1.0, 0.05], [4.0, 0.05, 0.01], DENIED, "at update 3; without it, the loss fell below 0.1 nats per word "
         "at update 2. "),
        ([4.0], [4.0], DENIED, "with the gradient from the next step, the loss did not fall below 0.1 nats per word in "
         "1 update; without it, the loss did not fall"),
        ([4.0, 1.0], [4.0, 0.05], DENIED, "without it, the loss fell below 0.1 nats per word at update 2. "),
    ],
)  # fmt: skip
def test_what_the_forgotten_step_costs(right, wrong, verdict, sentence):
    said = forgotten(right, wrong)
    assert said.startswith(verdict) and sentence in said


@pytest.mark.parametrize(
    ("losses", "one", "both"),
    [
        ([9.0, 9.0], "1 of 2 updates had a gradient longer than 1, the longest 7.0; "
         "the loss ended at 9.00 nats per word.", " The lowest loss at the end is that of the run clipped to 1."),
        ([9.0, 2.0], "ended at 2.00 nats per word.", " The lowest loss at the end is that of the run not clipped."),
        ([9.0, 3.0], "ended at 3.00 nats per word.", " Their losses end at the same value."),
        ([9.0], "1 of 1 update had a gradient longer than 1, the longest 7.0; then the loss or "
         "the gradient was not a finite number, and the run ended.", ""),
        ([], "the first loss or gradient was not a finite number.", ""),
    ],
)  # fmt: skip
def test_clipping_tells_of_both_runs(losses, one, both):
    runs = {"not clipped": losses, "clipped to 1": [5.0, 3.0]}
    said = clipping({name: [7.0, 0.5][: len(values)] for name, values in runs.items()}, runs, limit=1.0, updates=2)
    assert said.startswith("The run not clipped: ") and f"{one} The run clipped to 1: 1 of 2 updates" in said
    assert said.endswith(f"the loss ended at 3.00 nats per word.{both}")


def test_a_long_run_ends_at_the_mean_of_its_last_tenth():
    losses = [9.0] * 18 + [1.0, 2.0]
    said = clipping({"clipped": [0.5] * 20}, {"clipped": losses}, limit=1.0, updates=20)
    assert "0 of 20 updates" in said and "ended at 1.50 nats per word (mean of 2 updates)." in said
