"""Captions written back as people write, and split into the same tokens again."""

import gzip
import json
import random
import unicodedata
from itertools import islice

import pytest

from captioning.words import tokenize, write, writing
from tests.originals import REAL, needs_real
from tests.test_words_letters import SENTENCES
from tests.test_words_ptb import RULES

CAPTIONS = [caption for caption, _ in RULES.values()] + [
    unicodedata.normalize(form, sentence) for sentence, *_ in SENTENCES for form in ("NFC", "NFD")
]


@pytest.mark.parametrize(
    ("caption", "written"),
    [
        ("A man's dog can't swim.", "a man's dog can't swim"),
        ("Two t-shirts, don’t touch!", "two t-shirts don't touch"),
        ("I can not and cannot", "i cannot and cannot"),
        ("gonna lemme 'twas y'all", "gonna lemme 'twas y'all"),
        ("1 1/2 cups at 5:30pm", "1 1/2 cups at 5:30 pm"),
        ("$5 (or 50%) [#1] 10°", "$5 (or 50%) [#1] 10°"),
        ("wow!! :) (555) 123-4567", "wow!! :) (555) 123-4567"),
        ("Miss. AT&T and Mr. O'Brien", "Miss. AT&T and mr. o'brien"),
        ("1½ cups, 10, 1000, 1000", "1  1/2 cups 10  1000 1000"),
        ("vitamin C., no., x", "vitamin c. no., x"),
        ("क-का DİYARBAKIR-İZMİR", "क-का DİYARBAKIR-İZMİR"),
        ("<unk> a dog", "<unk> a dog"),
        ("", ""),
    ],
)
def test_as_people_write(caption, written):
    assert write(tokenize(caption)) == written


def test_what_is_written_is_split_into_the_same_tokens():
    for caption in CAPTIONS:
        tokens = tokenize(caption)
        assert tokenize(write(tokens)) == tokens, caption


def test_any_sequence_of_tokens_is_split_into_the_same_tokens():
    """What a model may say: tokens in any order."""
    bound = {"'t", "y'", "gonna", "gotta"}  # they exist before certain tokens only: "'twas", "y'all", "gonna's"
    known = sorted({token for caption in CAPTIONS for token in tokenize(caption)} - bound)
    chance = random.Random(0)
    for _ in range(1500):
        tokens = chance.choices(known, k=chance.randint(1, 9))
        assert tokenize(write(tokens)) == tokens, write(tokens)


def test_any_two_tokens():
    lefts = ["on", "man", "5", "80s", "u.s.", "-lrb-", "'s", "1\u00a01/2", "100"]
    rights = ["n't", "'s", "1/2", "1000", "123456", "-rrb-", "%", "c.", "no.", "!!", "्"]
    for left, right in ((left, right) for left in lefts for right in rights):
        for tokens in ([left, right], ["a", left, right, "dog"]):
            assert tokenize(write(tokens)) == tokens


def test_a_token_that_no_text_gives_is_written_and_the_rest_comes_back():
    """The lexer knows "'t" only before "was" and "is"."""
    assert write(["a", "'t", "man", "'s", "1", "1/2"]) == "a 't man's 1  1/2"


@needs_real
def test_real_captions():
    entries = json.loads(gzip.decompress((REAL / "metrics" / "captions_val2014.json.gz").read_bytes()))["annotations"]
    for entry in islice(entries, 0, None, 20):
        tokens = tokenize(entry["caption"])
        assert tokenize(write(tokens)) == tokens


def test_the_rules_as_data_say_which_words_are_joined():
    words = ["a", "can", "not", "-lrb-", "dog", "-rrb-", "'s", "n't"]
    found = writing.rules(words)
    assert found["spellings"] == ["a", "can", "not", "(", "dog", ")", "'s", "n't"]
    assert found["close"] == [5, 6, 7] and found["open"] == [3] and [1, 2] in found["pairs"]
    pairs = [("a", "dog"), ("dog", "'s"), ("can", "not"), ("-lrb-", "dog"), ("dog", "-rrb-"), ("'s", "n't")]
    for left, right in ([words.index(word) for word in pair] for pair in pairs):
        joined = (left in found["open"] or right in found["close"]) != ([left, right] in found["pairs"])
        text = found["spellings"][left] + ("" if joined else " ") + found["spellings"][right]
        assert text == write([words[left], words[right]])
