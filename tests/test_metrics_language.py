"""Length, endings, words and differences of captions, against counts by hand."""

import math

import pytest

from captioning.metrics import bad_endings, distinct_captions, diversity, language, novel_captions

KITES = [f"a {color} kite flies on {where}" for color in ("red", "blue") for where in ("the beach", "a lake", "it")]
TRAIN = KITES * 30 + ["a man flies a kite"] * 40 + ["A place that people sit in."] * 2 + ["people lie in a boat"] * 200


def test_bad_endings_are_the_words_that_need_another_one():
    assert bad_endings(TRAIN) == {"a", "the", "on", "in", "flies", "lie"}


def test_a_word_that_seldom_ends_a_caption_is_no_bad_ending_where_it_could():
    # A man is mostly at the start, with its verb behind; where nothing follows but the end, "man" is right.
    captions = ["a man sits on a chair"] * 500 + ["a boat near a man"] * 5
    assert bad_endings(captions) == {"on", "a", "sits"}


def test_rare_words_are_not_judged():
    # 0 of n is surely below 7 % from n = 52 on: z * z / (n + z * z).
    assert 1.96**2 / (51 + 1.96**2) > 0.07 > 1.96**2 / (52 + 1.96**2)
    assert bad_endings(["one dog"] * 51) == frozenset()
    assert bad_endings(["one dog"] * 52) == {"one"}
    assert bad_endings([]) == bad_endings(["", "."]) == frozenset()


def test_works_for_a_language_without_a_word_list():
    captions = ["Ein Hund liegt auf der Wiese.", "Zwei Boote auf dem See", "Ein Kind und ein Hund", "Am See sind Boote"]
    captions += ["Der Hund sucht das Kind"]
    assert bad_endings(captions * 60) == {"liegt", "auf", "der", "dem", "und", "ein", "am", "sind", "sucht", "das"}


def test_language_of_captions():
    results = {1: "A dog with a.", 2: "a dog", 3: "", 4: "two dogs on the beach"}
    assert language(results, {"a", "on"}) == {"words": (4 + 2 + 0 + 5) / 4, "bad_endings": 1 / 4, "vocabulary": 8}


def test_distinct_words_and_pairs_per_picture():
    samples = {1: ["a red dog", "A red cat.", "a red dog"], 2: ["", "", "two"]}
    scores = diversity(samples)
    assert scores["Div_1"] == pytest.approx((4 / 9 + 1) / 2)  # a, red, dog, cat of nine words; then one of one
    assert scores["Div_2"] == pytest.approx((3 / 9 + 0) / 2)  # a red, red dog, red cat; divided by words as well
    assert diversity({1: ["", ""]})["Div_1"] == 0


def test_mutual_bleu_by_hand():
    same = ["a red dog runs", "a red dog runs"]
    assert diversity({1: same, 2: ["two cats sleep here"] * 2})["mBLEU_4"] == pytest.approx(1)
    assert diversity({1: ["a b c d", "e f g h"]})["mBLEU_4"] == pytest.approx(0, abs=1e-3)
    # As a corpus: each side matches 7 of 9 words, 5 of 7 pairs, 3 of 5 and 1 of 3; equally long.
    pair = {1: same, 2: ["a b c d x", "a b c e x"]}
    expected = math.prod([8 / 9, 5 / 7, 3 / 5, 1 / 3]) ** 0.25
    assert diversity(pair)["mBLEU_4"] == pytest.approx(expected)


@pytest.mark.parametrize("samples", [{1: ["a"]}, {1: ["a", "b"], 7: ["c"]}, {7: [], 1: ["a", "b"]}, {7: []}])
def test_diversity_needs_equally_many(samples):
    with pytest.raises(ValueError, match=r"two or more; not: 1 image \([17]\)"):
        diversity(samples)
    with pytest.raises(ValueError, match="empty"):
        diversity({})


def test_distinct_captions_compares_tokens():
    assert distinct_captions({1: "A dog.", 2: "a dog", 3: "a cat", 4: "a red dog"}) == pytest.approx(3 / 4)


def test_novel_captions_compares_tokens():
    train = ["A dog runs.", "Some cat"]
    results = {1: "a dog runs", 2: "a dog", 3: "some  cat .", 4: "", 5: "a dog", 6: "a dog runs fast"}
    assert novel_captions(results, train) == pytest.approx(3 / 6)
    assert novel_captions({1: "new"}, iter(train)) == 1


@pytest.mark.parametrize(
    "share", [distinct_captions, lambda results: novel_captions(results, []), lambda results: language(results, ())]
)
def test_no_result_at_all(share):
    with pytest.raises(ValueError, match="empty"):
        share({})
