"""A compiled step answers a search inside; the captions are those of the plain search around the same model."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from small_models import BY_KIND, CONFIGS, SIZES, build, features

from captioning import models
from captioning.decoding import beam_search, ensemble, greedy
from captioning.models.bahdanau import BahdanauDecoder
from captioning.models.compiled import CompiledStep, _best_words
from captioning.models.together import Together
from captioning.tokenizer import END

PICTURES, LENGTH = 14, 7
SEEDS = 2, 3, 1, 48, 2  # of weights with which captions of every kind end after 0 to 7 words


def lively(config, seed=0):
    """Return a model whose captions differ, and end at different times."""
    model, random = build(config, seed), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(scale=0.6, size=variable.shape))
    return model


def plain(step):
    """Hide that a step answers itself."""
    return lambda tokens, state: step(tokens, state)


def assert_equal(one, other):
    assert (one.tokens, one.finished) == (other.tokens, other.finished)
    assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
    assert one.score == pytest.approx(other.score, abs=1e-4)
    assert (one.attention is None) == (other.attention is None)
    if one.attention is not None:
        np.testing.assert_allclose(one.attention, other.attention, atol=1e-5)


@BY_KIND
def test_the_captions_of_every_decoder_equal_those_of_the_plain_search(config):
    start, step = lively(config, SEEDS[CONFIGS.index(config)]).compile_step()
    state = start(features(PICTURES))
    found = greedy(step, state, LENGTH)
    assert len({len(caption.tokens) for caption in found}) > 2  # they leave the batch at different times
    for one, other in zip(found, greedy(plain(step), state, LENGTH), strict=True):
        assert_equal(one, other)
    once = np.arange(SIZES["vocabulary"]) > 6
    for width, banned in ((2, None), (3, once), (9, once)):  # 9: more than there are words
        options = dict(beam_width=width, max_length=LENGTH, length_penalty=[0, 0.7], once=banned, return_all=True)
        found, expected = beam_search(step, state, **options), beam_search(plain(step), state, **options)
        for of_image, others in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
            assert len(of_image) == len(others)
            for one, other in zip(of_image, others, strict=True):
                assert_equal(one, other)


def test_decoders_compiled_together_caption_as_the_ensemble_of_their_steps_does():
    members = [lively(config, seed) for config, seed in zip(CONFIGS, SEEDS, strict=True)]
    steps = [member.compile_step() for member in members]
    state = tuple(start(features(PICTURES)) for start, _ in steps)
    together, by_definition = CompiledStep(Together(members)), ensemble([step for _, step in steps])
    options = dict(beam_width=3, max_length=LENGTH, length_penalty=0.7, return_all=True)
    found, expected = beam_search(together, state, **options), beam_search(by_definition, state, **options)
    assert len({len(captions[0].tokens) for captions in found}) > 1
    for one, other in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
        assert_equal(one, other)
    of_picture = Together(members).of_picture(state)
    assert of_picture == tuple(model.of_picture(part) for model, part in zip(members, state, strict=True))


def test_equal_words_are_in_the_order_of_their_ids():
    model = build(CONFIGS[0])
    model.logits.kernel.assign(tf.zeros_like(model.logits.kernel))
    start, step = model.compile_step()
    (captions,) = beam_search(step, start(features(1)), 3, 3, 0.0, return_all=True)
    assert [caption.tokens for caption in captions] == [[], [4], [5]]  # END first


@pytest.mark.parametrize("vocabulary", [9, 64, 65, 1000])
def test_the_best_words_are_those_of_a_stable_sort(vocabulary):
    random = np.random.default_rng(vocabulary)
    banned = np.column_stack([random.integers(0, 12, 40), random.integers(END + 1, vocabulary, 40)])
    for logits in (random.integers(0, 5, (12, vocabulary)), random.normal(size=(12, vocabulary))):  # many ties, none
        allowed = logits.astype(np.float32)
        allowed[:, : END + 1] = -np.inf
        allowed[tuple(banned.T)] = -np.inf
        for count in (1, 3, 5):
            expected = np.argsort(-allowed, axis=1, kind="stable")[:, :count]
            scores, words = _best_words(tf.constant(logits, tf.float32), tf.constant(banned, tf.int32), count)
            np.testing.assert_array_equal(scores, np.take_along_axis(allowed, expected, axis=1))
            np.testing.assert_array_equal(
                np.where(np.isinf(scores), -1, words), np.where(np.isinf(scores), -1, expected)
            )


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[3], CONFIGS[4]], ids=["bahdanau", "bilstm", "transformer"])
def test_what_belongs_to_a_picture_is_kept_once(config):
    model = build(config)
    start, step = model.compile_step()
    state = start(features(PICTURES))
    reader, rows = step.begin(state, 3, None), np.arange(PICTURES)
    reader.best(np.zeros((PICTURES, 0), np.int32), rows, 1)
    pairs = list(zip(tf.nest.flatten(model.of_picture(state)), tf.nest.flatten(state), strict=True))
    assert 0 < sum(fixed for fixed, _ in pairs) < len(pairs)
    reader.best(np.full((3 * PICTURES, 1), 5, np.int32), np.repeat(rows, 3), 3)
    kept = np.array([1, 4])
    reader.best(np.full((6, 2), 5, np.int32), (3 * kept[:, None] + [2, 0, 0]).ravel(), 3)
    for (fixed, before), after in zip(pairs, tf.nest.flatten(reader._state), strict=True):
        assert len(after) == (2 if fixed else 6)
        if fixed:
            np.testing.assert_array_equal(after, tf.gather(before, kept))


class OwnStep(BahdanauDecoder):
    """A step that knows nothing of rows side by side."""

    def step(self, tokens, state):
        hidden, _, values = state
        step = super().step(tokens, state)
        return step._replace(logits=step.logits + tf.reduce_sum(values * hidden[:, None], axis=(1, 2))[:, None] ** 2)


def test_a_subclass_with_a_step_of_its_own_gets_a_row_per_prefix():
    start, step = models.build(OwnStep, CONFIGS[1]).compile_step()
    state = start(features(4))
    for one, other in zip(beam_search(step, state, 3, 5), beam_search(plain(step), state, 3, 5), strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_an_error(value):
    model = build(CONFIGS[0])
    bias = np.array(model.logits.bias)
    bias[END + 2] = value
    model.logits.bias.assign(bias)
    start, step = model.compile_step()
    for decode in (greedy, beam_search):
        with pytest.raises(ValueError, match="diverged"):
            decode(step, start(features()))


def test_once_must_be_of_the_vocabulary_and_the_words_fit_the_model():
    start, step = build(replace(CONFIGS[3], longest=4)).compile_step()
    with pytest.raises(ValueError, match="bool array of the 11 words"):
        beam_search(step, start(features()), once=np.ones(10, bool))
    with pytest.raises(tf.errors.InvalidArgumentError, match="room for 3 words"):
        beam_search(step, start(features()), 2, 7)
