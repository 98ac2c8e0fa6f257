"""Sampled captions: the frequencies of enumeration, the nucleus, independence and seeds."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from toy_steps import (
    assert_caption,
    assert_same,
    hashed_step,
    images,
    scripted_step,
)

from captioning.decoding import sample
from captioning.tokenizer import END


def assert_frequencies(observed, expected, draws):
    """Check counts against probabilities: chi-square within 4.5 deviations of its mean (its seed is fixed)."""
    assert set(observed) <= set(expected)
    chi_square = sum((observed[key] - p * draws) ** 2 / (p * draws) for key, p in expected.items())
    freedom = len(expected) - 1
    assert chi_square < freedom + 4.5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_have_the_right_frequencies(temperature):
    probabilities = {0: 0.2, END: 0.1, 4: 0.4, 5: 0.05, 6: 0.25}
    draws = 20_000
    captions = sample(scripted_step([probabilities]), np.zeros(draws, int), 1, temperature, seed=5)
    weights = {token: probabilities[token] ** (1 / temperature) for token in (END, 4, 5, 6)}
    expected = {token: weight / sum(weights.values()) for token, weight in weights.items()}
    observed = Counter(caption.tokens[0] if caption.tokens else END for caption in captions)
    assert_frequencies(observed, expected, draws)
    assert set(observed) == set(expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.55, 0.75, 0.93, 0.999, 1])
def test_a_nucleus_is_what_enumeration_finds(top_p, temperature):
    probabilities = {0: 0.2, END: 0.1, 4: 0.4, 5: 0.05, 6: 0.25}
    draws = 5_000
    captions = sample(scripted_step([probabilities]), np.zeros(draws, int), 1, temperature, 5, top_p)
    weights = {token: probabilities[token] ** (1 / temperature) for token in (END, 4, 5, 6)}  # temperature, then top_p
    sets = [s for n in range(1, 5) for s in itertools.combinations(weights, n)]
    enough = [s for s in sets if sum(weights[t] for t in s) >= (top_p - 1e-9) * sum(weights.values())]
    fewest = [s for s in enough if len(s) == min(map(len, enough))]
    best = max(fewest, key=lambda s: sum(weights[t] for t in s))
    expected = {token: weights[token] / sum(weights[t] for t in best) for token in best}
    observed = Counter(caption.tokens[0] if caption.tokens else END for caption in captions)
    assert set(observed) == set(expected)
    if len(expected) > 1:
        assert_frequencies(observed, expected, draws)
    for caption in captions[:20]:
        tokens = caption.tokens + [END] * caption.finished
        assert caption.log_probability == pytest.approx(sum(math.log(probabilities[token]) for token in tokens))


def test_samples_at_two_positions_are_independent():
    probabilities = {4: 0.5, 5: 0.2, 6: 0.3}
    captions = sample(scripted_step([probabilities]), np.zeros(20_000, int), 2, seed=1)
    expected = {(a, b): p * q for a, p in probabilities.items() for b, q in probabilities.items()}
    assert_frequencies(Counter(tuple(caption.tokens) for caption in captions), expected, 20_000)


def test_samples_are_seeded_and_do_not_depend_on_later_rows():
    step = hashed_step()
    captions = sample(step, images(12), 8, seed=3)
    assert len({len(caption.tokens) for caption in captions}) > 2
    for one, other in zip(captions, sample(step, images(12), 8, seed=3), strict=True):
        assert_same(one, other)
    for one, other in zip(captions, sample(step, images(5), 8, seed=3), strict=False):
        assert_same(one, other)
    assert [c.tokens for c in captions] != [c.tokens for c in sample(step, images(12), 8, seed=4)]
    for image, caption in enumerate(sample(step, images(12), 8, temperature=3, top_p=0.9)):
        assert_caption(step, images(1, image), caption, 0)  # the model's own probability, temperature 1
