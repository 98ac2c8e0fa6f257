"""Sentences about training: they say what came out, in every case that can come out."""

import math
import re

import numpy as np
import pytest

from captioning import findings
from captioning.findings.finding import CONFIRMED, DENIED
from captioning.findings.wording import percent

NAN = math.nan


def history(val_losses, ciders, losses=None, accuracies=None, val_accuracy=0.5):
    rows = []
    for epoch, (val_loss, cider) in enumerate(zip(val_losses, ciders, strict=True)):
        row = {"epoch": epoch, "loss": 3.0 - epoch if losses is None else losses[epoch], "val_loss": val_loss}
        row |= {"val_accuracy": val_accuracy, "val_CIDEr": cider}
        rows.append(row if accuracies is None else row | {"accuracy": accuracies[epoch]})
    return rows


def told(*args, **options):
    return findings.curves({"a GRU": history(*args, **options)})


@pytest.mark.parametrize(
    ("rows", "said", "unsaid"),
    [
        (([2.0, 1.0], [0.1, 0.2]), "epoch 2 of 2 was kept, with CIDEr 0.200 and validation loss 1.000.", "after that"),
        (([2.0, 1.0], [0.1, 0.2]), "lowest after the last epoch: no overfitting yet.", "after that"),
        (([2.0, 1.0], [0.3, 0.2]), "epoch 1 of 2 was kept, with CIDEr 0.300 and validation loss 2.000.", "after that"),
        (([1.0, 2.0], [0.3, 0.2]), "lowest after epoch 1 (1.000) and ended at 2.000", "no overfitting"),
        (([1.0, 2.0], [0.3, 0.2]), "from 3.000 to 2.000: overfitting. CIDEr was not higher after that.", "highest"),
        (([1.0, 2.0], [0.2, 0.3]), "CIDEr was highest after that.", "not higher"),
        (([1.5, 1.0, 2.0], [0.3, 0.1, 0.2]), "CIDEr was not higher after that.", "highest"),
        (([1.0, 1.009], [0.2, 0.3]), "too small a rise to speak of overfitting", ": overfitting"),
        (([1.0, 2.0], [0.2, 0.3], [2.0, 2.5]), "loss did not fall, so this is not overfitting", ": overfitting"),
        (([1.0, 2.0], [0.2, 0.3], [2.0, 1.9999]), "to 2.000: the training loss did not fall", ": overfitting"),
        (([1.0, 2.0], [0.0, 0.0]), "was kept, by its validation loss (1.000), because CIDEr was", "after that"),
        (([2.0, 1.0], [NAN, NAN]), "because CIDEr was never above 0. The validation loss", "after that"),
        (([1.0, 2.0], [0.3, NAN]), "from 3.000 to 2.000: overfitting.", "nan"),
        (([1.0], [0.3]), "epoch 1 of 1 was kept, with CIDEr 0.300 and validation loss 1.000. One epoch", "low"),
        (([1.0, NAN], [0.3, 0.1]), "not a finite number after 1 of 2 epochs. Before, it was lowest after", "nan"),
        (([2.0, 1.0, NAN, math.inf], [0.1] * 4), "not a finite number after 2 of 4 epochs. Before, it was", "inf"),
        (([NAN, 1.0], [0.1, 0.2]), "not a finite number after 1 of 2 epochs. The validation loss was lowest", "nan"),
        (([NAN, 1.0], [0.2, 0.1]), "epoch 1 of 2 was kept, with CIDEr 0.200. The", "nan"),
        (([NAN, NAN], [0.1, 0.2]), "a GRU: the validation loss is not a finite number after any epoch", "kept"),
    ],
)  # fmt: skip
def test_one_run_in_every_case(rows, said, unsaid):
    assert said in (text := told(*rows)) and text.startswith("a GRU: ")
    assert unsaid not in text.split("Training is measured")[0]


@pytest.mark.parametrize(
    ("accuracy", "val_accuracy", "said"),
    [
        (0.4394, 0.3756, "43.9 % in training and 37.6 % in validation, 6.3 points higher in training."),
        (0.3, 0.4, "30.0 % in training and 40.0 % in validation, 10.0 points lower in training."),
        (0.4, 0.4, "40.0 % in training and 40.0 % in validation."),
        (None, 0.4, "loss"),
    ],
)
def test_the_gap_between_training_and_validation_at_the_kept_epoch(accuracy, val_accuracy, said):
    accuracies = None if accuracy is None else [0.9, accuracy]
    text = told([2.0, 1.0], [0.1, 0.2], accuracies=accuracies, val_accuracy=val_accuracy)
    assert said in text and ("At the kept epoch" in text) == (accuracy is not None)


@pytest.mark.parametrize(
    ("best", "said"),
    [
        ({"one": 0.1, "other": 0.2}, "The highest CIDEr is that of other: 0.100 (one), 0.200 (other)."),
        ({"one": 0.2001, "other": 0.2004}, "The highest CIDEr of all runs is the same: 0.200 (one), 0.200 (other)."),
        ({"a": 0.2, "b": 0.2, "c": 0.1}, "The highest CIDEr is that of a and b: "),
        ({"one": 0.1, "silent": 0.0}, ""),
    ],
)
def test_several_runs_are_compared_where_cider_says_something(best, said):
    runs = {name: history([2.0, 1.0], [0.0, cider]) for name, cider in best.items()}
    text = findings.curves(runs)
    assert all(f"{name}: epoch " in text for name in runs)
    assert said in text and ("The highest CIDEr" in text) == bool(said)


def test_the_remark_about_dropout_is_made_once():
    runs = {name: history([2.0, 1.0], [0.1, 0.2]) for name in "ab"}
    assert findings.curves(runs).count("with dropout, if any") == 1


def test_padding_makes_the_loss_of_one_model_look_better_or_not():
    nats, padding = np.array([3.0, 5.0, 0.5, 0.5]), np.array([False, False, True, True])
    text = findings.padding_in_one_loss(nats, padding)
    assert text.startswith(CONFIRMED) and "4.000 nats per word over words, and 2.250 over words and padding" in text
    assert "50 % of all positions are padding" in text
    assert findings.padding_in_one_loss(np.array([1.0, 2.0]), np.array([False, True])).startswith(DENIED)
    assert findings.padding_in_one_loss(np.ones(2), np.zeros(2, bool)).startswith(DENIED)
    assert findings.padding_in_one_loss(np.array([1.0, 0.9999]), np.array([False, True])).startswith(DENIED)


@pytest.mark.parametrize(
    ("masked", "unmasked", "begins"),
    [(0.5, 0.4, CONFIRMED), (0.4, 0.5, DENIED), (0.5, 0.5, DENIED), (0.5004, 0.5001, DENIED)],
)
def test_padding_in_training_slows_the_learning_of_words_or_not(masked, unmasked, begins):
    rows = [
        {"epoch": 0, "val_accuracy": value, "val_CIDEr": cider} for value, cider in ((masked, 1.0), (unmasked, 2.0))
    ]
    text = findings.padding_in_training(*rows)
    assert text.startswith(f"{begins}after 1 epoch the model")
    assert f"{percent(unmasked)} of the next words correctly, the one with padding masked {percent(masked)}" in text
    assert "CIDEr is 2.000 and 1.000." in text
    assert "after 4 epochs the" in findings.padding_in_training(*({**row, "epoch": 3} for row in rows))


@pytest.mark.parametrize(
    ("by_caption", "by_picture", "begins"),
    [
        ([0.2, 0.4, 0.5, 0.6], [0.2, 0.35, 0.4, 0.4], CONFIRMED),
        ([0.1, 0.3, 0.5, 0.6], [0.2, 0.35, 0.4, 0.4], CONFIRMED),  # halfway it was the other way round
        ([0.2, 0.4, 0.5, 0.6], [0.2, 0.2, 0.4, 0.4], DENIED),  # not more than halfway
        ([0.2, 0.2, 0.3, 0.3], [0.2, 0.3, 0.4, 0.35], DENIED),  # never
        ([0.2], [0.1], DENIED),  # one epoch shows no growth
    ],
)
def test_a_split_by_caption_flatters_more_with_more_epochs_or_not(by_caption, by_picture, begins):
    text = findings.split_by_caption(by_caption, by_picture, held_out=True)
    assert text.startswith(begins) and "held out" in text and "Too few" not in text
    gap = round(100 * by_caption[-1], 1) - round(100 * by_picture[-1], 1)
    assert f"The difference is {gap:.1f} points; after epoch {(len(by_caption) + 1) // 2} it was" in text


def test_without_a_second_caption_nothing_is_said_to_be_held_out():
    text = findings.split_by_caption([0.2, 0.4, 0.6], [0.2, 0.3, 0.3], held_out=False)
    assert "60.0 % on captions trained on" in text and "Too few pictures have a second caption" in text
    assert not re.search("captions held out", text)
