"""The loss and accuracy that training reports: means over words, without smoothing or padding."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.tokenizer import END, PAD, START
from captioning.training import fit
from captioning.training.loop import compile_evaluation
from captioning.training.loss import masked_crossentropy, word_sums
from tests.small_training import CONFIG, nats_by_hand, parts


def test_accuracy_counts_end_but_never_padding():
    logits = np.zeros((1, 1, 4, 6), np.float32)
    logits[0, 0, [0, 1, 2, 3], [5, 4, END, PAD]] = 1
    says = {"unroll": lambda *_, **__: logits, "predict_words": lambda hidden, training: hidden}
    model = SimpleNamespace(jit=False, initial_state=lambda *_, **__: None, **says)
    inputs = {"features": None, "tokens": None}
    sums = word_sums(model, inputs, np.array([[[5, 5, END, PAD]]]), training=False)
    assert (float(sums.correct), float(sums.words)) == (2, 3)


@pytest.mark.parametrize("batch", [4, 20])  # a last one that is smaller; all in one
def test_loss_and_accuracy_are_means_over_words_whatever_the_batch(made, tmp_path, batch):
    """Reported without smoothing, in training, in validation and by `evaluate`."""
    still = replace(CONFIG, epochs=1, learning_rate=1e-12, weight_decay=0.0, label_smoothing=0.3)
    uneven = tuple(  # captions of one to six words, so that batches hold different numbers of them
        replace(r, captions=(" ".join(["blue"] * (1 + r.image_id % 6)), *r.captions[1:])) for r in made[0].records
    )
    made = (replace(made[0], records=uneven), *made[1:])
    model, train, validation = parts(made, "merge", dropout=0.0, batch=batch)
    (row,) = fit.fit(model, train, validation, made[2], still, tmp_path)
    for name, batches in (("", train), ("val_", validation)):
        loss, accuracy = nats_by_hand(model, batches)
        assert row[f"{name}loss"] == pytest.approx(loss, rel=1e-5)
        assert row[f"{name}accuracy"] == pytest.approx(accuracy, abs=1e-6)
    evaluated = compile_evaluation(model)(validation)
    assert evaluated == pytest.approx({name: row[f"val_{name}"] for name in ("loss", "accuracy")})


def test_padding_that_is_trained_on_does_not_count_in_what_is_reported(made, tmp_path):
    """So that the losses of a run with this mistake and of one without it may be in one table."""
    still = replace(CONFIG, epochs=1, learning_rate=1e-12, weight_decay=0.0, mask_padding=False)
    model, train, validation = parts(made, "merge", dropout=0.0, batch=20)
    (row,) = fit.fit(model, train, validation, made[2], still, tmp_path)
    assert (next(validation.evaluation().as_numpy_iterator())[1] == PAD).any()
    for prefix, batches in (("", train), ("val_", validation)):
        assert row[f"{prefix}loss"] == pytest.approx(nats_by_hand(model, batches)[0], rel=1e-5)


def test_keras_and_numpy_report_the_same_loss_for_the_same_logits():
    """Nats per word, padding left out, no smoothing."""
    random = np.random.default_rng(0)
    model = CaptioningRNN(CaptioningRNNConfig(9, 4, "lstm", embedding=5, units=6))
    vectors, tokens = random.normal(size=(3, 4)).astype(np.float32), random.integers(3, 9, (3, 6))
    tokens[:2, 4:], tokens[:, 0] = PAD, START
    initial_state, step = model.compile_step()
    state, logits = initial_state(vectors), []
    for before in tokens.T[:-1]:
        of_step, state, _ = step(before, state)
        logits.append(of_step)
    reported = masked_crossentropy()(tokens[:, 1:], np.stack(logits, axis=1))
    assert float(reported) == pytest.approx(model.score(vectors, tokens)[0], rel=1e-5)
