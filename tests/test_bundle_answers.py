"""Answers: candidates without repetition, and the share of validation captions of which the model was less sure."""

import numpy as np
import pytest

from captioning.bundle.answers import Candidate, answer
from captioning.decoding import Caption
from captioning.tokenizer import Tokenizer

TOKENIZER = Tokenizer(["a", "dog", "runs"])
A, DOG, RUNS = 4, 5, 6


def caption(tokens, log_probability, finished=True):
    return Caption(tokens, log_probability, log_probability, finished, np.eye(len(tokens), 4))


def test_a_text_that_was_found_twice_is_one_candidate():
    found = [caption([A, DOG], -3.0), caption([A, DOG], -2.0, finished=False), caption([RUNS], -4.0)]
    assert answer(found, 3, TOKENIZER, None, False).candidates == (
        Candidate("a dog", -3.0, -1.0),
        Candidate("runs", -4.0, -2.0),
    )
    assert len(answer(found, 1, TOKENIZER, None, False).candidates) == 1
    assert answer(found[0], 1, TOKENIZER, None, False) == answer(found, 1, TOKENIZER, None, False)


@pytest.mark.parametrize(
    ("validation", "below"),
    [(None, None), ([], None), ([-2.0, -1.5, -1.0, -0.5], 0.5), ([-0.5], 0.0), ([-9.0, -8.0], 1.0)],
)
def test_how_many_validation_captions_lie_below(validation, below):
    assert answer(caption([A, DOG], -3.0), 1, TOKENIZER, validation, False).below == below


def test_words_and_attention_on_request():
    told = answer(caption([A, DOG], -3.0), 1, TOKENIZER, None, True)
    assert told.words == ("a", "dog") and told.attention.shape == (2, 4)
    assert str(told) == told.caption == "a dog"
    blind = answer(caption([A], -3.0)._replace(attention=None), 1, TOKENIZER, None, True)
    assert blind.attention is None and blind.words == ("a",)
    assert answer(caption([A, DOG], -3.0), 1, TOKENIZER, None, False) != told  # and arrays are not compared
