"""Chance and spread."""

import numpy as np
import pytest

from captioning.metrics import CiderD, bootstrap_interval, paired_bootstrap, shuffled_cider
from captioning.metrics.controls import _derangement, share_interval, shares_differ, shuffles

REFERENCES = {image: [f"word{image} thing{image} runs near place{image}"] for image in range(6)}
PERFECT = {image: texts[0] for image, texts in REFERENCES.items()}


@pytest.mark.parametrize("size", [2, 3, 10, 101])
def test_a_derangement_moves_every_place(size):
    for seed in range(5):
        places = _derangement(size, seed)
        assert sorted(places) == list(range(size))
        assert not np.any(places == np.arange(size))


def test_shuffled_cider_is_what_the_captions_get_on_other_images():
    cider = CiderD(REFERENCES)
    assert cider.score(PERFECT)[0] == pytest.approx(10)
    assert shuffled_cider(cider, PERFECT) == 0  # the only words in common, "runs near", are in every image
    same = dict.fromkeys(REFERENCES, "word1 thing1 runs")
    assert shuffled_cider(cider, same) == pytest.approx(cider.score(same)[0])
    with pytest.raises(ValueError, match="only one image"):
        shuffled_cider(cider, {0: "a"})


def test_bootstrap_interval_of_a_normal_sample():
    scores = np.random.default_rng(3).normal(5, 2, 400)
    low, high = bootstrap_interval(scores)
    # 1.96 standard errors of 2 / sqrt(400) on both sides
    assert low == pytest.approx(scores.mean() - 0.196, abs=0.03)
    assert high == pytest.approx(scores.mean() + 0.196, abs=0.03)
    assert bootstrap_interval(scores) == (low, high)


def test_bootstrap_interval_of_equal_scores_and_of_none():
    assert bootstrap_interval([2.0, 2.0]) == (2.0, 2.0)
    with pytest.raises(ValueError, match="shape"):
        bootstrap_interval([])


def test_interval_of_a_share():
    """Known values: R's binom.wilson(8, 10), and Newcombe (1998), table II, 56 of 70 against 48 of 80."""
    assert share_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share_interval(1, 50) == pytest.approx((0.9287, 1), abs=1e-4)
    assert share_interval(0, 50) == pytest.approx((0, 0.0713), abs=1e-4)
    one, other = ((share, share_interval(share, count)) for share, count in ((0.8, 70), (0.6, 80)))
    assert shares_differ(one, other) and shares_differ(other, one)
    assert not shares_differ(one, (0.7, share_interval(0.7, 80))) and not shares_differ(one, one)


def test_shuffles_are_what_the_shuffled_cider_scores():
    references = {image: [f"a w{image % 3} b{image % 2} dog", "a cat"] for image in range(9)}
    results = {image: f"a w{image % 3} b{image % 2} x{image}" for image in references}
    shuffled = list(shuffles(results))
    assert len(shuffled) == 5
    for texts in shuffled:
        assert sorted(texts.values()) == sorted(results.values())
        assert all(texts[image] != results[image] for image in results)
    metric = CiderD(references)
    each = [metric.score(texts)[0] for texts in shuffled]
    assert len(set(each)) > 1 and shuffled_cider(metric, results) == pytest.approx(np.mean(each))


def test_paired_bootstrap_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(1)
    hard = rng.normal(5, 2, 300)  # the same images are hard for both
    one, other = hard + 0.1 + rng.normal(0, 0.2, 300), hard + rng.normal(0, 0.2, 300)
    assert bootstrap_interval(one)[0] < bootstrap_interval(other)[1]
    lead = paired_bootstrap(one, other)
    assert lead.mean == pytest.approx(one.mean() - other.mean())
    half = 1.96 * np.std(one - other) / np.sqrt(300)
    assert (lead.low, lead.high) == pytest.approx((lead.mean - half, lead.mean + half), abs=0.004)
    assert (lead.low, lead.high) == bootstrap_interval(one - other)
    assert paired_bootstrap([3.0, 0.0], [0.0, 1.0]) == (1.0, -1.0, 3.0)
    with pytest.raises(ValueError, match="same images"):
        paired_bootstrap([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="shape"):
        paired_bootstrap([], [])


def test_resamples_are_drawn_one_after_the_other():
    """As from one table of all of them, so that the kept intervals stay as they are."""
    scores = np.random.default_rng(2).normal(size=31)
    means = scores[np.random.default_rng(0).integers(31, size=(1000, 31))].mean(axis=1)
    assert bootstrap_interval(scores) == tuple(np.quantile(means, [0.025, 0.975]))
