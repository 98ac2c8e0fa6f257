"""The sentence about the heads of a Transformer: each of its outcomes, and its numbers."""

import numpy as np

from captioning import findings
from tests.test_findings_looking import WORDS, maps, photo, record


def two_heads(one, other):
    """Weights of two heads, (words, 2, regions)."""
    return np.stack([one, other], axis=1)


def test_sharp_heads_with_little_in_common_and_the_one_that_looks_at_what_is_named():
    """Head 1 is even; head 2 has 0.98 of its weight in the box at "boat", else on the other half."""
    even, sharp = np.full((6, 4), 0.25), maps(0.98, 0.02)
    said = findings.heads([record(), record(1)], [WORDS] * 2, [two_heads(even, sharp)] * 2)
    assert "even look: ×1.0 of head 1 and ×2.0 of head 2. " in said  # 0.49 x 4
    assert (
        "Two heads have 52 % of their weight in common at a word: the heads divide the work." in said
    )  # 2 (.25 + .01)
    assert "head 2 has the most weight in the box, 98 %; the mean of the heads is 74 %, an even look has 50 %." in said


def test_heads_that_look_alike_on_photos():
    said = findings.heads([photo()], [WORDS], [two_heads(maps(0.5, 0.5), maps(0.52, 0.5))])
    assert said.endswith("the heads look alike.") and "box" not in said


def test_a_single_head_is_compared_with_none():
    said = findings.heads([photo()], [WORDS], [maps(0.9, 0.9)[:, None]])
    assert said == "Mean of the largest weight of a word, in multiples of an even look: ×1.8 of head 1."


def test_empty_captions():
    assert findings.heads([photo()], [[]], [np.zeros((0, 2, 4))]) == "All captions are empty: there is no map."
    both = findings.heads([record(), record(1)], [[], WORDS], [np.zeros((0, 2, 4)), two_heads(maps(1, 0), maps(1, 0))])
    assert "head 1 has the most weight in the box, 100 %" in both
