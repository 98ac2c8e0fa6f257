"""Captions of a beam ranked by what was said of near pictures, and words that people say twice."""

import numpy as np
import pytest

from captioning.decoding import Caption, may_repeat, once_mask, rerank
from captioning.tokenizer import END, PAD, START, UNK, Tokenizer


def caption(words, log_probability, finished=True):
    return Caption(list(range(4, 4 + words)), log_probability, log_probability, finished, np.ones((words, 2)))


# The mean log-probability of a token, END included: -1, -0.5, -2.
CAPTIONS = [caption(1, -2.0), caption(3, -2.0), caption(2, -6.0)]
SIMILARITY = np.array([[0.1, 0.3, 0.2], [0.0, 0.2, 0.8], [0.6, 0.4, 0.1]])


@pytest.mark.parametrize(
    ("k", "mix", "scores"),
    [
        (1, 0, {2: 0.6, 0: 0.1, 1: 0.0}),
        (2, 0, {2: 0.5, 0: 0.2, 1: 0.1}),
        (3, 0, {2: 1.1 / 3, 1: 1.0 / 3, 0: 0.2}),
        (99, 0, {2: 1.1 / 3, 1: 1.0 / 3, 0: 0.2}),  # there are only three pictures
        (3, 0.1, {1: 1.0 / 3 - 0.05, 2: 1.1 / 3 - 0.2, 0: 0.2 - 0.1}),
        (1, 0.5, {1: -0.25, 0: 0.1 - 0.5, 2: 0.6 - 1.0}),
    ],
)
def test_captions_are_ranked_by_similarity_and_log_probability(k, mix, scores):
    ranked = rerank(CAPTIONS, SIMILARITY, k, mix)
    for found, (index, score) in zip(ranked, scores.items(), strict=True):
        assert found.score == pytest.approx(score, abs=1e-12) and isinstance(found.score, float)
        assert found._replace(score=0)[:4] == CAPTIONS[index]._replace(score=0)[:4]
        assert found.attention is CAPTIONS[index].attention
    assert [c.score for c in CAPTIONS] == [-2, -2, -6]  # as they were


def test_ties_stay_in_order_and_cut_off_captions_come_last():
    captions = [caption(2, -3.0), caption(3, -4.0, finished=False), caption(2, -3.0), caption(2, -3.0)]
    ranked = rerank(captions, [[0.5], [2.0], [0.5], [0.7]], 1, 0.1)
    assert [found.attention for found in ranked] == [captions[index].attention for index in (3, 0, 2, 1)]


def test_a_caption_alone_an_empty_one_and_none_at_all_are_fine():
    (only,) = rerank([caption(0, -0.5)], [[0.25, 0.75]], 2, 1.0)
    assert only.score == 0.5 - 0.5 and only.tokens == []
    assert rerank([caption(0, 0.0, finished=False)], [[0.2]], 1, 1.0)[0].score == 0.2  # no term in its sum
    assert rerank([], np.zeros((0, 3)), 2, 0.1) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must be a whole number"),
        ({"k": 2.0}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"mix": -0.1}, "mix must be a number of at least 0"),
        ({"mix": np.nan}, "mix must be a number"),
        ({"mix": np.inf}, "mix must be a number"),
        ({"mix": "0.1"}, "mix must be a number"),
        ({"similarity": SIMILARITY[:2]}, r"\(3 candidates.*not \(2, 3\)"),
        ({"similarity": SIMILARITY[0]}, r"not \(3,\)"),
        ({"similarity": SIMILARITY[:, :0]}, r"not \(3, 0\)"),
        ({"similarity": SIMILARITY * np.nan}, "NaN"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        rerank(CAPTIONS, **{"similarity": SIMILARITY, "k": 2, "mix": 0.1} | change)


def test_words_that_enough_captions_hold_twice_may_repeat():
    captions = [["a", "cat", "on", "a", "mat"]] * 10 + [["a", "cat"]] * 20  # "a": 10 of 30
    captions += [["the", "dog", "the", "dog", "the"]] * 10 + [["the", "dog"]] * 240  # 10 of 250: a share of 0.04
    captions += [["dog"]]  # which has 10 of 251
    captions += [["rare", "rare"]] * 9 + [[]]  # nine captions may be chance
    assert may_repeat(iter(captions)) == ["a", "the"]
    assert may_repeat([]) == []
    assert may_repeat([["Hund", "Hund"]] * 10) == ["Hund"]  # in any language


def test_all_other_words_may_occur_once():
    tokenizer = Tokenizer(["a", "cat", "the"])
    mask = once_mask(tokenizer, ["the", "a", "unknown"])
    assert mask.dtype == bool and mask.shape == (len(tokenizer),)
    assert [tokenizer.word(token) for token in np.flatnonzero(mask)] == ["cat"]
    assert not mask[[PAD, UNK, START, END]].any()
    assert once_mask(tokenizer, []).sum() == 3
    assert once_mask(tokenizer, None) is None
