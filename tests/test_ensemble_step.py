"""Several decoders as one step: the mean of their probabilities, whatever their states are made of."""

import math

import numpy as np
import pytest
from small_models import CONFIGS, SIZES, build, features
from toy_steps import VOCABULARY, WORDS, assert_same, hashed_step, images, log_softmax, mask, scripted_step

from captioning.decoding import Step, beam_search, ensemble, greedy, sample
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.from_scratch.weights import CaptioningRNNConfig
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.transformer import TransformerConfig
from captioning.tokenizer import END, START


def by_hand(steps, states, words):
    """The log-probabilities of every next token after some words, by plain Python, and the mean attention."""
    for token in [START, *words]:
        total, maps = [0.0] * VOCABULARY, []
        for index, step in enumerate(steps):
            logits, states[index], attention = step(np.array([token], np.int32), states[index])
            maps.append(attention[0].copy())
            total = [t + math.exp(value) for t, value in zip(total, log_softmax(logits[0]), strict=True)]
        means = [math.log(t / len(steps)) for t in total]
    return means, sum(maps) / len(maps)


def test_the_probabilities_are_the_mean_at_every_step_of_a_beam():
    steps = [hashed_step(), hashed_step(end_bonus=1, spread=0.5), hashed_step(spread=4)]
    starts = (images(7), images(7, 20), images(7, 40))
    for image, captions in enumerate(beam_search(ensemble(steps), starts, 4, 5, 0.7, return_all=True)):
        assert captions[0].score > captions[-1].score
        for caption in captions:
            tokens, total = caption.tokens + [END] * caption.finished, 0.0
            for position, token in enumerate(tokens):
                states = [images(1, first + image) for first in (0, 20, 40)]
                means, attention = by_hand(steps, states, tokens[:position])
                total += means[token]
                if position < len(caption.tokens):
                    np.testing.assert_allclose(caption.attention[position], attention, rtol=1e-12)
            assert caption.log_probability == pytest.approx(total, abs=1e-9)


def test_probabilities_are_averaged_and_not_their_logarithms():
    one, other = scripted_step([{4: 0.6, 5: 0.4}, {END: 1}]), scripted_step([{4: 0.01, 5: 0.39, 6: 0.6}, {END: 1}])
    (best, *rest) = beam_search(ensemble([one, other]), (np.zeros(1, int),) * 2, 3, 3, 0.0, return_all=True)[0]
    assert best.tokens == [5] and best.log_probability == pytest.approx(math.log(0.395))
    assert [caption.tokens for caption in rest] == [[4], [6]]  # 0.305, 0.3: one of them gives the last one 0
    assert rest[1].log_probability == pytest.approx(math.log(0.3))


@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
def test_an_ensemble_of_one_is_that_one_and_of_one_twice_nearly(decode):
    step = hashed_step(end_bonus=0.3)
    alone = decode(step, images(9), max_length=8)
    for one, other in zip(decode(ensemble([step]), (images(9),), max_length=8), alone, strict=True):
        assert_same(one, other)
    for one, other in zip(decode(ensemble([step, step]), (images(9), images(9)), max_length=8), alone, strict=True):
        assert one.tokens == other.tokens
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-12)
        np.testing.assert_allclose(one.attention, other.attention)


def test_logits_of_a_step_that_uses_its_memory_again_are_not_overwritten_by_itself():
    memory = np.zeros((1, VOCABULARY))

    def step(tokens, state):
        memory[:] = 0
        memory[0, state[0, 0]] = 100
        return Step(memory, state, memory[:, :2])

    logits = ensemble([step, step])(np.array([START]), (np.array([[4]]), np.array([[5]]))).logits
    probabilities = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert probabilities[[4, 5]] == pytest.approx([0.5, 0.5])


def test_no_attention_counts_for_nothing_and_other_regions_give_none():
    def looking(regions):
        def step(tokens, state):
            maps = None if regions is None else np.arange(len(tokens) * regions).reshape(-1, regions)
            return Step(np.zeros((len(tokens), VOCABULARY)), state, maps)

        return step

    def attention(*regions):
        states = tuple(np.zeros(2) for _ in regions)
        return ensemble([looking(count) for count in regions])(np.array([4, 4]), states).attention

    np.testing.assert_array_equal(attention(3, None, 3), np.arange(6).reshape(2, 3))
    assert attention(3, 4) is None and attention(None, None) is None


def test_keras_and_numpy_decoders_decode_together():
    """States of tensors and of arrays, nested, of one another's batch; the beam reorders all of them."""
    models = [build(config) for config in CONFIGS if isinstance(config, BahdanauConfig | TransformerConfig)]
    config = CaptioningRNNConfig(vocabulary=SIZES["vocabulary"], channels=SIZES["channels"], cell="lstm")
    scratch, pictures = CaptioningRNN(config), features(2)
    parts = [(model.initial_state, model.step) for model in (*models, scratch)]
    steps = [step for _, step in parts]

    def start(rows):
        return tuple(initial_state(pictures[rows]) for initial_state, _ in parts)

    once = mask([5, 6], SIZES["vocabulary"])
    found = beam_search(ensemble(steps), start(slice(None)), 2, 4, 0.7, once)
    assert all(type(token) is int for caption in found for token in caption.tokens)
    assert len({str(caption.tokens) for caption in found}) > 1
    for image, caption in enumerate(found):
        states, total = list(start(slice(image, image + 1))), 0.0
        words = caption.tokens + [END] * caption.finished
        for read, written in zip([START, *words], words, strict=False):
            chances = []
            for index, step in enumerate(steps):
                logits, states[index], _ = step(np.array([read], np.int32), states[index])
                chances.append(math.exp(log_softmax(np.asarray(logits)[0])[written]))
            total += math.log(sum(chances) / len(chances))
        assert caption.log_probability == pytest.approx(total, abs=1e-4)


def test_what_one_decoder_finds_impossible_another_may_say_and_nothing_is_an_error():
    step = ensemble([scripted_step([{4: 1.0}, {END: 1.0}]), scripted_step([{5: 1.0}, {END: 1.0}])])
    (captions,) = beam_search(step, (np.zeros(1, int),) * 2, 3, 3, 0.0, return_all=True)
    assert [caption.tokens for caption in captions] == [[4], [5]]
    assert captions[0].log_probability == pytest.approx(math.log(0.5))
    step = ensemble([scripted_step([{0: 1.0}]), scripted_step([{1: 0.5, 2: 0.5}])])
    with pytest.raises(ValueError, match=r"At position 0 .* -inf"):
        beam_search(step, (np.zeros(1, int),) * 2)


@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_decoder_whose_logits_are_no_numbers_is_named(decode, bad):
    plain = hashed_step()

    def broken(tokens, state):
        step = plain(tokens, state)
        step.logits[-1, WORDS[0]] = bad
        return step

    with pytest.raises(ValueError, match=r"Decoder 2 of 3 .* NaN or infinity.*learning rate"):
        decode(ensemble([plain, broken, plain]), (images(3),) * 3)


@pytest.mark.parametrize(
    ("steps", "states", "message"),
    [
        ([hashed_step(), hashed_step(9)], (images(2), images(2)), r"Decoder 2 .*\(2, 9\).*\(2, 7\).*one vocabulary"),
        ([hashed_step(), hashed_step()], (images(2),), "2 steps has a tuple of as many states, not 1"),
        ([hashed_step()], [images(2)], "tuple of as many states, not list"),
        ([lambda tokens, state: Step(np.zeros(7), state)] * 2, (images(2), images(2)), r"Decoder 1 .*\(7,\)"),
    ],
)
def test_decoders_and_states_that_do_not_fit_are_an_error(steps, states, message):
    with pytest.raises(ValueError, match=message):
        ensemble(steps)(np.full(2, START, np.int32), states)


def test_an_ensemble_of_none_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        ensemble([])
