"""ROUGE-L against the definition with the usual table."""

import random

import pytest

from captioning.metrics.rouge import rouge_l


def words(text):
    return text.split()


def common_length(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def by_definition(candidate, references, beta=1.2):
    precision = max(common_length(candidate, r) / len(candidate) for r in references)
    recall = max(common_length(candidate, r) / len(r) for r in references)
    if precision == 0:
        return 0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(seed):
    rng = random.Random(seed)
    for _ in range(200):
        candidate, *references = (
            [rng.choice("abcdef") for _ in range(rng.choice([1, 3, 9, 70]))] for _ in range(rng.randint(2, 5))
        )
        assert rouge_l(candidate, references) == pytest.approx(by_definition(candidate, references))


def test_best_precision_and_recall_may_come_from_different_references():
    references = [words("a b"), words("a b c d x x x x")]
    # precision 4/4 from the second, recall 2/2 from the first
    assert rouge_l(words("a b c d"), references) == pytest.approx(1.0)


def test_empty_captions():
    assert rouge_l([], [["a"]]) == 0
    assert rouge_l([], [[]]) == 0
    assert rouge_l(["a"], [[]]) == 0
    assert rouge_l(["a"], [[], ["a"]]) == pytest.approx(1.0)
