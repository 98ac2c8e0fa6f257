"""Chance, spread and novelty."""

import numpy as np
import pytest

from captioning.metrics import CiderD, bootstrap_interval, distinct_captions, novel_captions, shuffled_cider
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
    assert CiderD(REFERENCES).score(PERFECT)[0] == pytest.approx(10)
    shuffled = shuffled_cider(REFERENCES, PERFECT)
    assert shuffled == 0  # the only words in common, "runs near", are in every image
    same = dict.fromkeys(REFERENCES, "word1 thing1 runs")
    assert shuffled_cider(REFERENCES, same) == pytest.approx(CiderD(REFERENCES).score(same)[0])


def test_shuffled_cider_is_the_mean_over_its_seeds():
    references = {image: [f"a w{image % 3} b{image % 2} dog", "a cat"] for image in range(9)}
    results = {image: f"a w{image % 3} b{image % 2}" for image in references}
    metric = CiderD(references)
    single = [shuffled_cider(metric, results, seeds=[seed]) for seed in range(5)]
    assert len(set(single)) > 1
    assert shuffled_cider(references, results) == pytest.approx(np.mean(single))
    assert shuffled_cider(references, results) == shuffled_cider(metric, results)


def test_shuffled_cider_refuses_what_it_cannot_shuffle():
    with pytest.raises(ValueError, match="only one image"):
        shuffled_cider({1: ["a"]}, {1: "a"})
    with pytest.raises(ValueError, match="seed"):
        shuffled_cider(REFERENCES, PERFECT, seeds=[])


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
    assert shuffled_cider(references, results) == pytest.approx(np.mean([metric.score(t)[0] for t in shuffled]))


def test_distinct_captions_compares_tokens():
    assert distinct_captions({1: "A dog.", 2: "a dog", 3: "a cat", 4: "a red dog"}) == pytest.approx(3 / 4)


def test_novel_captions_compares_tokens():
    train = ["A dog runs.", "Some cat"]
    results = {1: "a dog runs", 2: "a dog", 3: "some  cat .", 4: "", 5: "a dog", 6: "a dog runs fast"}
    assert novel_captions(results, train) == pytest.approx(3 / 6)
    assert novel_captions({1: "new"}, iter(train)) == 1


@pytest.mark.parametrize("share", [distinct_captions, lambda results: novel_captions(results, [])])
def test_no_result_at_all(share):
    with pytest.raises(ValueError, match="empty"):
        share({})
