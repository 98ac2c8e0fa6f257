"""CIDEr-D against a slow version written from the paper and coco-caption's constants."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from captioning.metrics import CiderD, References

WORDS = ["a", "man", "dog", "boat", "red", "on", "the", "street", "with", "of"]


def grams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def by_definition(references, pairs, end=()):
    """Equation 5 of Vedantam et al. 2015: min-clipped tf-idf cosine times a Gaussian of the length difference.

    The pairs are (image, words) in any combination; `end` is appended to every reference.
    """
    split = {image: [[*text.split(), *end] for text in texts] for image, texts in references.items()}
    frequency = Counter()
    for texts in split.values():
        frequency.update({gram for words in texts for n in range(1, 5) for gram in grams(words, n)})

    def vector(words, n):
        idf = {gram: math.log(len(split) / max(1, frequency[gram])) for gram in grams(words, n)}
        return {gram: count * idf[gram] for gram, count in grams(words, n).items()}

    scores = []
    for image, candidate in pairs:
        texts, total = split[image], 0.0
        for words in texts:
            delta = max(len(candidate) - 1, 0) - max(len(words) - 1, 0)
            for n in range(1, 5):
                mine, theirs = vector(candidate, n), vector(words, n)
                product = sum(min(mine[g], theirs.get(g, 0)) * theirs.get(g, 0) for g in mine)
                norm = math.sqrt(sum(x * x for x in mine.values()) * sum(x * x for x in theirs.values()))
                total += (product / norm if norm else 0) * math.exp(-(delta**2) / (2 * 6.0**2)) / 4
        scores.append(10 * total / len(texts))
    return scores


def random_captions(seed, images=30):
    rng = random.Random(seed)
    references = {
        image: [" ".join(rng.choices(WORDS, k=rng.randint(1, 12))) for _ in range(rng.randint(1, 5))]
        for image in range(images)
    }
    results = {}
    for image, texts in references.items():
        words = rng.choice(texts).split()
        words[rng.randrange(len(words))] = rng.choice([*WORDS, "unknown", "boat boat", "strange unknown"])
        results[image] = " ".join(words + rng.choice([[], ["unknown", "unknown"], ["unknown", "strange"], words]))
    return references, results


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_definition(seed):
    references, results = random_captions(seed)
    mean, scores = CiderD(references).score(results)
    expected = by_definition(references, [(image, results[image].split()) for image in references])
    np.testing.assert_allclose(scores, expected, atol=1e-10)
    assert mean == pytest.approx(np.mean(expected))
    assert max(expected) > 1


def test_repeating_the_only_reference_scores_ten():
    references = {"x": ["a red boat on a lake"], "y": ["the dog sleeps under some tree"], "z": ["two kites fly"]}
    scores = CiderD(references).score({"x": "A red boat on a lake.", "y": "dog", "z": ""})[1]
    assert scores[0] == pytest.approx(10)
    assert 0 < scores[1] < 5
    assert scores[2] == 0


def test_document_frequencies_stay_those_of_the_references():
    references, results = random_captions(1)
    metric = CiderD(references)
    first = metric.score(results)[1]
    metric.score(dict.fromkeys(references, "unknown words everywhere"))
    np.testing.assert_array_equal(metric.score(results)[1], first)


def test_scores_follow_the_order_of_the_references():
    references, results = random_captions(2)
    backwards = dict(reversed(results.items()))
    np.testing.assert_array_equal(CiderD(references).score(results)[1], CiderD(references).score(backwards)[1])


def test_takes_prepared_references_and_counts_a_fraction_as_two_words():
    references = {1: ["1 1/2 apples lie on it"], 2: ["some dog"]}
    prepared = References(references)
    assert CiderD(prepared).score({1: "1 1/2 apples lie on it", 2: "x"})[1][0] == pytest.approx(10)
    assert CiderD(prepared).score({1: "1/2", 2: "x"})[0] == CiderD(references).score({1: "1/2", 2: "x"})[0] > 0


def test_one_image_scores_zero():
    # log(1 image) = 0 is every weight there is.
    assert CiderD({1: ["a dog"]}).score({1: "a dog"})[0] == 0


def random_pairs(seed):
    """References, candidates of many kinds, and pairs in which a candidate occurs for many images or for none."""
    references, results = random_captions(seed)
    rng = random.Random(seed)
    candidates = [text.split() for text in results.values()]
    candidates += [[], ["unknown"], ["a"], ["strange", "unknown"] * 3, rng.choice(list(references.values()))[0].split()]
    pairs = [(rng.randrange(len(candidates) - 1), rng.randrange(len(references))) for _ in range(400)]
    return references, candidates, *np.transpose(pairs)


@pytest.mark.parametrize("together", [4096, 7])
def test_pairs_equal_the_definition(monkeypatch, together):
    monkeypatch.setattr("captioning.metrics.cider._TOGETHER", together)
    references, candidates, candidate, image = random_pairs(5)
    scores = CiderD(references).score_pairs(candidates, candidate, image)
    expected = by_definition(references, [(i, candidates[c]) for c, i in zip(candidate, image, strict=True)])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)
    assert (scores > 0.1).sum() > 200
    assert not scores[candidate == len(candidates) - 5].any()  # the empty one


def test_each_candidate_is_counted_once(monkeypatch):
    metric = CiderD({1: ["a dog runs"], 2: ["some cat"]})
    seen, count = [], metric.references.ngrams.count
    monkeypatch.setattr(metric.references.ngrams, "count", lambda words: seen.extend(words) or count(words))
    assert len(metric.score_pairs([["a", "dog"], ["1\xa01/2"]], [0] * 50 + [1], [0] * 51)) == 51
    assert seen == [["a", "dog"], ["1", "1/2"]]


def test_no_pair_at_all_and_pairs_that_are_not_there():
    metric = CiderD({1: ["a dog runs"], 2: ["some cat"]})
    assert metric.score_pairs([], [], []).shape == (0,)
    for candidate, image in (([0, 1], [0, 0]), ([0], [2]), ([0], [-1]), ([-1], [0]), ([0, 0], [1]), ([[0]], [[0]])):
        with pytest.raises(ValueError, match="indices from 0 to"):
            metric.score_pairs([["a"]], candidate, image)
    with pytest.raises(ValueError, match="indices"):
        metric.score_tokens([["a"], ["b"], ["c"]])


def test_with_an_end_a_caption_that_stops_early_scores_less():
    kinds = ("a dog with a kite", "some dog near a kite"), ("two cats sleep", "cats on a bed"), ("a red boat",)
    references = {image: kinds[image % 3] for image in range(20)}
    metric = CiderD(References(references, end="<end>"))
    whole = ["a", "dog", "with", "a", "kite"]
    early = whole[:-1]
    candidates = [[*whole, "<end>"], whole, [*early, "<end>"], early, ["<end>"]]
    scores = metric.score_pairs(candidates, range(5), [3] * 5)
    expected = by_definition(references, [(3, words) for words in candidates], end=["<end>"])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)
    assert scores[0] > scores[1] > 0
    assert 0 < scores[2] < scores[3]  # END after "with a" is in no reference
    without = CiderD(references).score_pairs([whole, early], [0, 1], [3, 3])
    assert scores[2] / scores[0] < without[1] / without[0]
    assert scores[4] == 0  # every caption ends: the token alone has no weight
    for end in ("", "two words", "a\n"):
        with pytest.raises(ValueError, match="one token"):
            References(references, end=end)
