"""BLEU against nltk and against hand-counted cases."""

import math
import random

import pytest
from nltk.translate.bleu_score import corpus_bleu as nltk_bleu

from captioning.metrics.bleu import corpus_bleu
from captioning.metrics.ngrams import ReferenceNgrams

WORDS = ["a", "man", "dog", "boat", "red", "on", "the", "street", "with", "of"]


def words(text):
    return text.split()


def random_corpus(seed, images=60):
    rng = random.Random(seed)
    references = [
        [[rng.choice(WORDS) for _ in range(rng.randint(1, 14))] for _ in range(rng.randint(1, 6))]
        for _ in range(images)
    ]
    candidates = []
    for captions in references:
        # nltk counts an n-gram where the caption is too short for one: at least four words.
        own = [*rng.choice(captions), *rng.choices(WORDS, k=3)]
        own[rng.randrange(len(own))] = rng.choice([*WORDS, "unknown"])
        candidates.append(own * rng.choice([1, 1, 2]))
    return references, candidates


@pytest.mark.parametrize("seed", range(4))
def test_equals_nltk(seed):
    references, candidates = random_corpus(seed)
    ours = corpus_bleu(ReferenceNgrams(references), candidates)
    for order in range(1, 5):
        theirs = nltk_bleu(references, candidates, weights=[1 / order] * order)
        assert ours[order - 1] == pytest.approx(theirs, abs=1e-8)


def test_counts_are_clipped_at_one_reference():
    # "the" twice at most in one reference, though three times over both.
    references = [[words("the cat the"), words("the mat")]]
    assert corpus_bleu(ReferenceNgrams(references), [words("the the the")])[0] == pytest.approx(2 / 3)


def test_brevity_penalty_takes_the_closest_reference_and_the_shorter_of_two():
    references = [[words("a b c d"), words("a b c d e f g"), words("a b")]]
    assert corpus_bleu(ReferenceNgrams(references), [words("a b c")])[0] == pytest.approx(1.0)  # 2, not 4
    penalty = math.exp(1 - 4 / 4)
    assert corpus_bleu(ReferenceNgrams(references), [words("a b c d")])[3] == pytest.approx(penalty)
    references = [[words("a b c d e f")]]
    assert corpus_bleu(ReferenceNgrams(references), [words("a b c")])[0] == pytest.approx(math.exp(1 - 6 / 3))


def test_no_match_and_no_caption_give_almost_nothing():
    ngrams = ReferenceNgrams([[words("a b c")], [words("d")]])
    assert max(corpus_bleu(ngrams, [["x", "y"], ["z"]])) < 1e-3
    assert corpus_bleu(ngrams, [[], []]) == pytest.approx([0.0] * 4, abs=1e-6)
