"""Greedy and beam search against enumeration and against a slow beam search, on small step functions."""

import itertools
import math

import numpy as np
import pytest
from toy_steps import (
    VOCABULARY,
    WORDS,
    assert_caption,
    assert_same,
    hashed_step,
    images,
    log_softmax,
    mask,
    replay,
    scripted_step,
)

from captioning.decoding import Caption, Step, beam_search, greedy, sample
from captioning.tokenizer import END, START


def slow_beam_search(step, state, width, max_length, alpha, once=()):
    """Beam search of one image with Python lists; it never stops before max_length."""
    live, finished = [(0.0, [], state)], []
    for position in range(max_length + 1):
        ends, steps = [], []
        for beam, (total, prefix, before) in enumerate(live):
            logits, after, _ = step(np.array([prefix[-1] if prefix else START], np.int32), before)
            scores = log_softmax(logits[0])
            ends.append((-(total + scores[END]), 0, beam, END, after))
            for token in WORDS:
                if token not in once or token not in prefix:
                    steps.append((-(total + scores[token]), 1, beam, token, after))
        for negative, _, beam, token, _ in sorted(ends + steps, key=lambda item: item[:4])[:width]:
            if token == END:
                finished.append((-negative, live[beam][1], True))
        if position < max_length:
            best = sorted(steps, key=lambda item: item[:4])[:width]
            live = [(-s[0], [*live[s[2]][1], s[3]], s[4]) for s in best]
    finished.sort(key=lambda item: -item[0] / (len(item[1]) + 1) ** alpha)
    cut_off = [(total, prefix, False) for total, prefix, _ in live]
    return (finished[:width] + cut_off)[:width]


@pytest.mark.parametrize("alpha", [0, 0.7, 1])
def test_a_wide_beam_finds_what_enumeration_finds(alpha):
    step, length = hashed_step(), 3
    found = beam_search(step, images(6), 120, length, alpha, return_all=True)
    best = beam_search(step, images(6), 120, length, alpha)
    for image, captions in enumerate(found):
        every = [list(words) for n in range(length + 1) for words in itertools.product(WORDS, repeat=n)]
        scores = [replay(step, images(1, image), words, True)[0] / (len(words) + 1) ** alpha for words in every]
        order = sorted(range(len(every)), key=lambda index: -scores[index])
        ended = [caption for caption in captions if caption.finished]
        assert [caption.tokens for caption in ended] == [every[index] for index in order]
        assert best[image].score == pytest.approx(max(scores), abs=1e-9)
        cut_off = captions[len(ended) :]
        assert sorted(caption.tokens for caption in cut_off) == [words for words in every if len(words) == length]
        for caption in captions:
            assert_caption(step, images(1, image), caption, alpha)


@pytest.mark.parametrize("once", [(), (4,), (4, 6), WORDS])
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_narrow_beam_equals_the_slow_beam_search(width, once):
    step, count, length, alphas = hashed_step(spread=1.5), 10, 6, (1, 0, 0.7)
    ways = dict(beam_width=width, max_length=length, length_penalty=alphas, once=mask(once))
    found = beam_search(step, images(count), **ways, return_all=True)
    best = beam_search(step, images(count), **ways)
    for alpha, of_images, best_of in zip(alphas, found, best, strict=True):
        for image, captions in enumerate(of_images):
            expected = slow_beam_search(step, images(1, image), width, length, alpha, once)
            assert [(c.tokens, c.finished) for c in captions] == [(words, ended) for _, words, ended in expected]
            assert_same(best_of[image], captions[0])
            for caption in captions:
                assert_caption(step, images(1, image), caption, alpha)


@pytest.mark.parametrize("return_all", [False, True])
@pytest.mark.parametrize("end_bonus", [-1, 0.5, 2])
def test_several_penalties_in_one_search_equal_their_own_searches(end_bonus, return_all):
    step, alphas = hashed_step(vocabulary=9, end_bonus=end_bonus), (0.7, 0, 2, 1, 0.7)
    for width, once in [(1, None), (3, None), (4, mask([4, 5], 9))]:
        found = beam_search(step, images(11), width, 8, alphas, once, return_all)
        assert len(found) == len(alphas)
        tokens = set()
        for alpha, captions in zip(alphas, found, strict=True):
            own = beam_search(step, images(11), width, 8, alpha, once, return_all)
            tokens.add(str([c.tokens for c in itertools.chain(*own)] if return_all else [c.tokens for c in own]))
            for one, other in zip(captions, own, strict=True):
                if not return_all:
                    one, other = [one], [other]
                for a, b in zip(one, other, strict=True):
                    assert_same(a, b)
        assert len(tokens) > 1 or width == 1  # the penalties do choose


def test_several_penalties_cost_the_steps_of_the_longest_search():
    step, sizes = counted(hashed_step(end_bonus=0.5))
    counts = []
    for alpha in (0, 1, (0, 1), (1, 0, 0.5)):
        sizes.clear()
        beam_search(step, images(16), 3, 20, alpha)
        counts.append(sum(sizes))
    assert counts[0] < counts[1] == counts[2] == counts[3]
    assert beam_search(step, images(0), 3, 20, [0, 1]) == [[], []]
    (only,) = beam_search(step, images(2), 3, 20, np.array([0.5]))
    assert_same(only[0], beam_search(step, images(2), 3, 20, 0.5)[0])


@pytest.mark.parametrize("once", [(4,), (5, 6), WORDS])
def test_what_may_occur_once_occurs_once_and_the_best_such_caption_is_found(once):
    step, length = hashed_step(end_bonus=-1), 4
    free = beam_search(step, images(6), 121, length, 0.7)
    found = beam_search(step, images(6), 121, length, 0.7, mask(once))
    every = [list(words) for n in range(length + 1) for words in itertools.product(WORDS, repeat=n)]
    allowed = [words for words in every if all(words.count(token) < 2 for token in once)]
    differs = 0
    for image, caption in enumerate(found):
        scores = [replay(step, images(1, image), words, True)[0] / (len(words) + 1) ** 0.7 for words in allowed]
        assert caption.tokens == allowed[int(np.argmax(scores))] and caption.finished
        assert_caption(step, images(1, image), caption, 0.7)  # the model's own probability, not renormalized
        differs += caption.tokens != free[image].tokens
    assert differs


def test_once_leaves_end_and_the_words_of_other_prefixes_alone():
    step = scripted_step([{4: 0.6, 5: 0.4}, {4: 0.9, 5: 0.1}, {END: 1.0}])
    (captions,) = beam_search(step, np.zeros(1, int), 2, 3, 0.0, np.ones(VOCABULARY, bool), return_all=True)
    assert [caption.tokens for caption in captions] == [[5, 4], [4, 5]]
    for caption in beam_search(hashed_step(end_bonus=-50), images(5), 3, 8, 0.7, np.ones(VOCABULARY, bool)):
        assert sorted(caption.tokens) == list(WORDS) and caption.finished  # no word is left: END


@pytest.mark.parametrize("alpha", [0, 0.7, 1])
def test_a_batch_equals_one_image_at_a_time(alpha):
    step, count = hashed_step(end_bonus=0.5), 13
    decoders = [
        lambda state: greedy(step, state, 12),
        lambda state: beam_search(step, state, 3, 12, alpha),
        lambda state: beam_search(step, state, 4, 12, alpha, once=mask([4, 5])),
    ]
    for decode in decoders:
        together = decode(images(count))
        assert len({len(caption.tokens) for caption in together}) > 2  # they leave the batch at different times
        for image, caption in enumerate(together):
            assert_same(caption, decode(images(1, image))[0])


def test_one_beam_without_normalization_is_greedy():
    step = hashed_step(end_bonus=-0.5)
    ended = set()
    for one, other in zip(beam_search(step, images(30), 1, 5, 0), greedy(step, images(30), 5), strict=True):
        assert_same(one, other)
        ended.add(one.finished)
    assert ended == {True, False}


def test_greedy_takes_the_likeliest_allowed_token():
    step = hashed_step(end_bonus=-0.5)
    for image, caption in enumerate(greedy(step, images(40), 6)):
        words, state = [], images(1, image)
        while True:
            logits, state, _ = step(np.array([words[-1] if words else START], np.int32), state)
            token = max(range(END, VOCABULARY), key=lambda index: logits[0][index])
            if token == END or len(words) == 6:
                break
            words.append(token)
        assert (caption.tokens, caption.finished) == (words, token == END)
        assert_caption(step, images(1, image), caption, 0)


def test_a_long_caption_overtakes_an_early_end():
    # One word and an end: log(.2) / 2 = -.80. The end at once: log(.6) = -.51. Five words: log(.2) / 6 = -.27.
    script = [{END: 0.6, 4: 0.2, 5: 0.1, 6: 0.1}, {4: 1.0}, {4: 1.0}, {4: 1.0}, {4: 1.0}, {END: 1.0}]
    step, start = scripted_step(script), np.zeros(2, int)
    for width in (1, 2, 3):
        for caption in beam_search(step, start, width, 5, 1.0):
            assert caption.tokens == [4] * 5 and caption.finished
            assert caption.score == pytest.approx(math.log(0.2) / 6)
        assert [caption.tokens for caption in beam_search(step, start, width, 5, 0.0)] == [[], []]
    assert beam_search(step, start, 2, 4, 1.0)[0].tokens == []  # no room for the END of the long one


def counted(step):
    """Return the step and the list of the batch sizes that it is called with."""
    sizes = []

    def counting(tokens, state):
        sizes.append(len(tokens))
        return step(tokens, state)

    return counting, sizes


def test_one_call_per_position_and_no_call_too_many():
    step, sizes = counted(scripted_step([{END: 0.6, 4: 0.3, 5: 0.1}]))
    beam_search(step, np.zeros(4, int), 3, 20, 0.0)
    assert sizes == [4]  # nothing can beat the first END
    step, sizes = counted(scripted_step([{END: 0.5, 4: 0.5}]))
    beam_search(step, np.zeros(4, int), 3, 20, 0.0)
    assert sizes == [4]  # nor would what can only equal it be taken
    step, sizes = counted(scripted_step([{4: 0.6, 5: 0.4}]))
    beam_search(step, np.zeros(4, int), 3, 6, 0.0)
    assert sizes == [4, *[12] * 6]  # six words, and a look for the END; at first one prefix each
    step, sizes = counted(hashed_step(end_bonus=0.5))
    beam_search(step, images(16), 3, 20, 0.7)
    assert len(sizes) <= 21 and set(sizes) <= {16, 48, 24, 12, 6, 3} and len(set(sizes)) > 1


@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
def test_an_immediate_end_gives_an_empty_caption(decode):
    def step(tokens, state):
        logits = np.full((len(tokens), VOCABULARY), -np.inf)
        logits[:, END] = 3.0
        return Step(logits, state, np.ones((len(tokens), 5)) / 5)

    for caption in decode(step, np.zeros((3, 2))):
        assert caption[:4] == ([], 0.0, 0.0, True)
        assert caption.attention.shape == (0, 5)


@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
def test_a_caption_cut_off_at_max_length_is_unfinished(decode):
    step = scripted_step([{4: 1.0}, {5: 1.0}, {6: 1.0}, {END: 1.0}])
    for length, finished in [(1, False), (2, False), (3, True), (4, True)]:
        (caption,) = decode(step, np.zeros(1, int), max_length=length)
        assert caption == Caption([4, 5, 6][:length], 0.0, 0.0, finished, None)


def test_a_cut_off_caption_counts_its_words_only():
    (caption,) = beam_search(scripted_step([{4: 0.9, END: 0.1}]), np.zeros(1, int), 1, 4, 1.0)
    assert not caption.finished
    assert caption.log_probability == pytest.approx(4 * math.log(0.9))
    assert caption.score == pytest.approx(math.log(0.9))


def test_finished_captions_rank_before_cut_off_ones():
    step = scripted_step([{4: 0.9, END: 0.1}])
    (captions,) = beam_search(step, np.zeros(1, int), 2, 2, 0.0, return_all=True)
    assert [(c.tokens, c.finished) for c in captions] == [([], True), ([4], True)]
    (captions,) = beam_search(step, np.zeros(1, int), 4, 1, 0.0, return_all=True)
    assert [(c.tokens, c.finished) for c in captions] == [([], True), ([4], True), ([4], False)]


def test_banned_tokens_never_appear_but_count_in_the_softmax():
    script = [{0: 0.3, 1: 0.2, 2: 0.2, 4: 0.2, 5: 0.1}, {0: 0.5, 1: 0.1, 2: 0.3, END: 0.1}]
    step, start = scripted_step(script), np.zeros(50, int)
    for decode in (greedy, sample, beam_search):
        for caption in decode(step, start):
            assert caption.tokens in ([4], [5]) and caption.finished
            chosen = 0.2 if caption.tokens == [4] else 0.1
            assert caption.log_probability == pytest.approx(math.log(chosen * 0.1))


def test_ties_go_to_the_end_then_to_the_better_prefix_then_to_the_lower_id():
    def step(tokens, state):
        return Step(np.zeros((len(tokens), VOCABULARY)), state, None)

    assert greedy(step, np.zeros(1))[0].tokens == []
    (captions,) = beam_search(step, np.zeros(1), 3, 3, 0.0, return_all=True)
    assert [caption.tokens for caption in captions] == [[], [4], [5]]
    step = scripted_step([{4: 0.25, 5: 0.25, 6: 0.25}])
    (captions,) = beam_search(step, np.zeros(1, int), 4, 2, 0.0, return_all=True)
    assert [caption.tokens for caption in captions] == [[4, 4], [4, 5], [4, 6], [5, 4]]


def test_an_empty_batch_gives_no_captions():
    for decode in (greedy, sample, beam_search):
        assert decode(hashed_step(), images(0)) == []


@pytest.mark.parametrize(
    ("decode", "name", "values"),
    [
        (beam_search, "beam_width", (0, -1, 2.0, True)),
        (beam_search, "max_length", (0, 1.5)),
        (beam_search, "length_penalty", (-0.1, math.nan, math.inf, "1", None, [], [0.7, -1], [[0.7]])),
        (beam_search, "once", ([4], [True] * VOCABULARY, np.ones(VOCABULARY), np.ones(VOCABULARY - 1, bool))),
        (greedy, "max_length", (0, None)),
        (sample, "max_length", (0,)),
        (sample, "temperature", (0, -1, math.nan, math.inf)),
        (sample, "top_p", (0, -0.1, 1.1, math.nan, "0.9")),
    ],
)
def test_bad_arguments_are_named(decode, name, values):
    for value in values:
        with pytest.raises(ValueError, match=name):
            decode(hashed_step(), images(2), **{name: value})
