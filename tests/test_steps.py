"""The parts of one decoding step, and steps that break their contract."""

import numpy as np
import pytest
from toy_steps import VOCABULARY, assert_same, hashed_step, images

from captioning.decoding import Step, beam_search, greedy, sample
from captioning.decoding.steps import draw, largest, nucleus, survivors
from captioning.tokenizer import END


def test_the_batch_is_halved_and_keeps_everything_open():
    assert survivors(np.array([True] * 4 + [False] * 3)).tolist() == [0, 1, 2, 3]
    assert survivors(np.array([True] * 5 + [False] * 2)).tolist() == list(range(7))
    assert survivors(np.array([False, False, True, False, False, False, True])).tolist() == [2, 6]
    assert survivors(np.array([False, True, False, False])).tolist() == [1]
    assert survivors(np.array([], bool)).tolist() == []


@pytest.mark.parametrize("columns", [3, 40, 47, 48, 49, 97, 1000])
def test_the_largest_scores_are_those_of_a_stable_sort(columns):
    random = np.random.default_rng(columns)
    rough = random.integers(0, 5, (20, columns)).astype(float)  # many ties
    missing = np.where(random.random((20, columns)) < 0.97, -np.inf, random.normal(size=(20, columns)))
    for scores in (rough, missing, random.normal(size=(20, columns)), -np.sort(-missing)):
        expected = np.argsort(-scores, axis=1, kind="stable")[:, :3]
        np.testing.assert_array_equal(largest(scores, 3), expected)


def test_a_nucleus_holds_as_few_of_the_likeliest_as_reach_the_probability():
    random = np.random.default_rng(0)
    rough = random.integers(1, 4, (50, 40)).astype(float)  # many ties
    steep = random.random((50, 40)) ** 9 * (random.random((50, 40)) < 0.5)
    for weights in (rough, steep):
        for probability in (0.0011, 0.2003, 0.5007, 0.9011, 0.9999):
            with np.errstate(divide="ignore"):
                scores = np.log(weights) + 5  # not normalized
            kept = nucleus(scores, probability)
            for row, before, after in zip(weights, scores, kept, strict=True):
                order = np.argsort(-row, kind="stable")
                sums = np.cumsum(row[order]) / row.sum()
                expected = order[: np.searchsorted(sums, probability - 1e-12) + 1]
                assert sorted(np.flatnonzero(after > -np.inf)) == sorted(expected)
                np.testing.assert_array_equal(after[expected], before[expected])
    nothing = nucleus(np.full((2, 5), -np.inf), 0.5)
    assert np.isneginf(nothing).all()  # which the caller tells about


def test_a_draw_at_the_edge_never_takes_what_is_impossible():
    with np.errstate(divide="ignore"):
        scores = np.log([[0, 0.3, 0, 0.7, 0], [0, 0, 1e-300, 3.0, 0]])
    assert draw(scores, np.zeros(2)).tolist() == [1, 2]
    assert draw(scores, np.full(2, 1 - 2**-53)).tolist() == [3, 3]


class Tensor:
    """What a compiled step returns: an array that has to be converted before NumPy can index it."""

    def __init__(self, values):
        self.values, self.shape = np.asarray(values), np.shape(values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_tensors_are_converted_and_left_alone_while_the_batch_is_whole():
    plain, kinds = hashed_step(end_bonus=-9), []

    def step(tokens, state):
        kinds.append(type(state[0]))
        state = np.asarray(state[0]), (np.asarray(state[1][0]),)
        logits, (prefix, (words,)), attention = plain(tokens, state)
        return Step(Tensor(logits), (Tensor(prefix), (Tensor(words),)), Tensor(attention.copy()))

    for decode in (greedy, sample, beam_search):
        for one, other in zip(decode(step, images(4)), decode(plain, images(4)), strict=True):
            assert_same(one, other)
    kinds.clear()
    greedy(step, images(1), 4)
    assert kinds == [np.ndarray, Tensor, Tensor, Tensor, Tensor][: len(kinds)] and len(kinds) > 1


@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s._replace(logits=s.logits * np.nan), "diverged"),
        (lambda s: s._replace(logits=s.logits + np.eye(*s.logits.shape) * 1e300 * 1e300), "NaN or infinity"),
        (lambda s: s._replace(logits=s.logits[:, None]), "logits"),
        (lambda s: s._replace(logits=s.logits[:, :END]), "logits"),
        (lambda s: s._replace(logits=np.repeat(s.logits, 2, axis=0)), "logits"),
        (lambda s: s._replace(attention=s.attention[:, None]), "attention"),
        (lambda s: s._replace(attention=s.attention[:-1]), "attention"),
        (lambda s: s._replace(state=list(s.state)), "nested tuple"),
        (lambda s: s._replace(state=(s.state[0], (s.state[1][0][:-1],))), "nested tuple"),
        (lambda s: s._replace(state=s.state[0][:-1]), "rows"),
        (lambda s: s._replace(logits=np.where(np.arange(VOCABULARY) < END, 0, -np.inf) + 0 * s.logits), "-inf"),
    ],
)
def test_a_step_that_breaks_its_contract_is_an_error(decode, change, message):
    plain = hashed_step()
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        decode(lambda tokens, state: change(plain(tokens, state)), images(3))


@pytest.mark.parametrize("state", [(), None, 3.0, [np.zeros((2, 1))], (np.zeros(2), np.zeros(3)), (np.zeros(()),)])
def test_a_state_that_is_no_nested_tuple_of_arrays_is_an_error(state):
    with pytest.raises(ValueError, match="nested tuple"):
        beam_search(hashed_step(), state)
