"""Sentences about self-critical training: they say what came out, in every case that can come out."""

import numpy as np
import pytest

from captioning import findings
from captioning.findings.finding import CONFIRMED, DENIED, OPEN


def test_samples_of_one_picture():
    rewards = np.array([0.5, 1.5, 4.0])
    said = findings.sampled(rewards, rewards - (rewards.sum() - rewards) / 2)
    assert said.startswith("The 3 samples are worth 0.50 to 4.00. 1 of them is worth more than the mean of the others")
    assert said.endswith("the advantages sum to 0.")
    assert "teaches nothing" in findings.sampled(np.ones(2), np.zeros(2))


def history(rewards, ciders, losses):
    rows = zip(rewards, ciders, losses, strict=True)
    return [{"epoch": k, "reward": r, "val_CIDEr": c, "val_loss": v} for k, (r, c, v) in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "before", "said", "unsaid"),
    [
        (([1, 2], [0.5, 0.6], [1, 2]), 0.4, "from 0.400 (parent) to 0.600 (epoch 2, which was kept)", "carry over"),
        (([1, 2], [0.4, 0.3], [1, 2]), 0.4, "does not carry over to others", "paid"),
        (([2, 1], [0.4, 0.3], [1, 2]), 0.4, "went from 2.000 in the first epoch to 1.000", "carry over"),
        (([1, 2], [0.4, 0.5], [2, 1]), 0.4, "The validation loss went from 2.000 to 1.000.", "no longer the aim"),
        (([1, 2], [0.4, 0.5], [1, 2]), 0.4, "no longer the aim", "carry over"),
        (([1, 2], [0.4, 0.5], [1, 2]), None, "is not known for the parent", "carry over"),
        (([1], [0.4], [1]), 0.3, "to 0.400 (epoch 1, which was kept).", "validation loss"),
    ],
)
def test_the_reward_and_what_it_brings(rows, before, said, unsaid):
    parent = [{"val_CIDEr": before, "val_loss": 1.0}] if before else []
    assert said in (text := findings.rewarded(history(*rows), parent)) and unsaid not in text


PARENT = {"CIDEr": 1.0, "Bleu_4": 0.3, "words": 9.0, "vocabulary": 70, "bad_endings": 0.01, "exact": 0.5}
PARENT |= {"relation": 0.8, "relations_named": 91, "intervals": {"exact": [0.4, 0.6]}}


@pytest.mark.parametrize(
    ("change", "said", "unsaid"),
    [
        ({"CIDEr": 1.5}, "better: CIDEr 1.000 -> 1.500. Worse: nothing. CIDEr rose, and nothing", "Too small"),
        ({"CIDEr": 1.5, "vocabulary": 40}, "Worse: words used 70 -> 40. CIDEr rose; what got", "nothing"),
        ({"CIDEr": 0.9, "Bleu_4": 0.4}, "better: BLEU-4 0.300 -> 0.400. Worse: CIDEr", "price"),
        ({"CIDEr": 0.9}, "better: nothing. Worse: CIDEr 1.000 -> 0.900. CIDEr did not rise.", "price"),
        ({"CIDEr": 1.5, "bad_endings": 0.1}, "Worse: bad endings 1.0 % -> 10.0 %", "nothing"),
        ({"CIDEr": 1.5, "words": 5.0}, "Worse: nothing.", "words per"),
        ({"exact": 0.55, "intervals": {"exact": [0.45, 0.65]}}, "Too small a difference to call: exact", "price"),
        ({"CIDEr": 2, "exact": 0.9, "intervals": {"exact": [0.8, 1]}}, "-> 2.000 and exact 50.0", "Too small"),
        ({"CIDEr": 2, "relation": None, "relations_named": 0}, "Worse: relations named 91 -> 0.", "true relations"),
        ({"CIDEr": 1.0001}, "better: nothing. Worse: nothing. CIDEr did not rise", "price"),
    ],
)  # fmt: skip
def test_what_was_traded(change, said, unsaid):
    text = findings.traded(PARENT, PARENT | change, 200)
    assert said in text and unsaid not in text and text.startswith("On 200 validation pictures, better: ")


def test_every_measure_is_written_as_the_table_shows_it():
    shown = {name: findings.written(name, 0.5) for name in findings.MEASURES}
    assert shown["CIDEr"] == "0.500" and shown["exact"] == shown["Div_2"] == "50.0 %" and shown["words"] == "0.5"
    assert findings.written("vocabulary", 70) == "70" and findings.written("relation", None) == "-"


def test_gains_and_losses():
    said = findings.gains([0.5, -0.25, 0.0])
    assert said.startswith(
        "CIDEr rose for 1 of 3 pictures, fell for 1 and did not change for 1; the mean difference is +0.083"
    )


@pytest.mark.parametrize(
    ("with_end", "without", "start", "said"),
    [
        (
            [-1.0, -0.5],
            [-0.5, 0.2],
            CONFIRMED,
            "loses 0.75 of its reward if END is a word of it, and 0.15 if it is not",
        ),
        ([-1.0, -0.5], [-0.5, 0.2], CONFIRMED, "raises the reward of 0 % and 50 % of the captions."),
        ([-0.5], [-0.5], DENIED, "END makes no difference"),
        ([], [], OPEN, "no caption here has a word that needs another one after it, so none was cut."),
    ],
)
def test_what_an_unfinished_sentence_costs(with_end, without, start, said):
    text = findings.unfinished(np.array(with_end), np.array(without))
    assert text.startswith(start) and said in text and "nan" not in text


@pytest.mark.parametrize(
    ("kept", "steps", "start"), [(0.2, 12, CONFIRMED), (0.1, 12, DENIED), (0.2, 2, OPEN), (0.1, 2, OPEN)]
)
def test_whether_what_is_never_sampled_becomes_more_probable(kept, steps, start):
    """A few steps decide nothing, whichever way they went."""
    text = findings.never_sampled(0.15, kept, 0.46, steps)
    assert text.startswith(f"{start}after {steps} steps, ") and f"{kept:.3f} % of the probability if they stay" in text
    assert ("the mistake does not show" in text) == (start == DENIED)
