"""Text to ids and back; special ids that no text can produce."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from captioning.files import DamagedError
from captioning.provenance import StaleError
from captioning.tokenizer import END, PAD, SPECIAL, START, UNK, Tokenizer, words

CAPTIONS = ["A man rides a red bike.", "a man, a dog & a ball", "The dog's ball is red!"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man rides a BIKE.", "a man rides a bike"),
        ("  two\n\ttabs\r\nand   lines ", "two tabs and lines"),
        ("the dog's ball isn't ’round’ `here`", "the dogs ball isnt round here"),
        ("black-and-white, snow_board; #9 (2nd)", "black and white snow board 9 2nd"),
        ("Ein Café in Zürich", "ein café in zürich"),
        ("cafe\u0301", "caf\u00e9"),  # two ways to write one letter
        ("ΣΟΦΌΣ Привет 你好 12", "σοφός привет 你好 12"),
        ("हिन्दी में", "हिन्दी में"),  # vowel signs are marks, not letters
        ("emoji 🐶 dog™", "emoji dog"),
        ("", ""),
        ("... --- !!!", ""),
    ],
)
def test_words(caption, expected):
    assert words(caption) == expected.split()


def test_words_are_stable():
    """What comes out goes in again unchanged, whatever the letters: else a vocabulary could not be loaded."""
    chance = random.Random(0)
    for _ in range(3000):
        letters = [chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x20000)))) for _ in range(8)]
        letters[3:3] = chance.choice(("'", " ", "\u0301", "İ", "ᄀ'ᅡ", ""))
        for word in words("".join(letters)):
            assert words(word) == [word]


def test_the_most_frequent_words_come_first_and_ties_are_alphabetical():
    counts = Counter(word for caption in CAPTIONS for word in words(caption))
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert tokenizer.vocabulary[:2] == ("a", "ball") and set(tokenizer.vocabulary) == set(counts)
    keys = [(-counts[word], word) for word in tokenizer.vocabulary]
    assert keys == sorted(keys)


def test_the_order_of_the_captions_does_not_matter():
    assert Tokenizer.fit(CAPTIONS) == Tokenizer.fit(CAPTIONS[::-1]) == Tokenizer.fit(iter(CAPTIONS))


def test_rare_words_are_unknown():
    tokenizer = Tokenizer.fit(CAPTIONS, minimum_count=2)
    assert tokenizer.vocabulary == ("a", "ball", "man", "red")
    assert tokenizer.encode("a red dog") == [START, 4, 7, UNK, END]


def test_the_largest_vocabulary():
    assert Tokenizer.fit(CAPTIONS, maximum_size=3).vocabulary == Tokenizer.fit(CAPTIONS).vocabulary[:3]
    assert len(Tokenizer.fit(CAPTIONS, maximum_size=3)) == 7


def test_no_word_left_is_an_error():
    for captions, count in ((CAPTIONS, 6), ([], 1), (["..."], 1)):
        with pytest.raises(ValueError, match=f"occurs {count} times or more: lower minimum_count"):
            Tokenizer.fit(captions, minimum_count=count)


@pytest.mark.parametrize("size", [0, -1])
def test_a_vocabulary_needs_a_size(size):
    with pytest.raises(ValueError, match=f"maximum_size={size}: give 1 or more"):
        Tokenizer.fit(CAPTIONS, maximum_size=size)


def test_known_captions_come_back_word_for_word():
    tokenizer = Tokenizer.fit(CAPTIONS)
    for caption in CAPTIONS:
        assert tokenizer.decode(tokenizer.encode(caption)) == " ".join(words(caption))


def test_ids_come_back():
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert [tokenizer.word(token) for token in range(4)] == list(SPECIAL) == ["<pad>", "<unk>", "<start>", "<end>"]
    for token in range(4, len(tokenizer)):
        assert tokenizer.encode(tokenizer.word(token)) == [START, token, END]


def test_an_unknown_word_is_shown_as_such():
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert tokenizer.decode(tokenizer.encode("a zebra rides")) == "a <unk> rides"


@pytest.mark.parametrize("caption", ["<start> <pad>", "<end>a<end>", "<unk> <START> < pad >", "a <end> man"])
def test_no_text_makes_a_special_id(caption):
    ids = Tokenizer.fit([*CAPTIONS, "start end pad unk <start> <end> <pad> <unk>"]).encode(caption)
    assert ids[0] == START and ids[-1] == END and min(ids[1:-1]) >= len(SPECIAL)


def test_a_caption_without_words():
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert tokenizer.encode("!") == [START, END] and tokenizer.decode([START, END]) == ""


def test_decoding_stops_at_the_first_end_and_skips_padding():
    tokenizer = Tokenizer.fit(CAPTIONS)
    a, ball = 4, 5
    assert tokenizer.decode([START, a, PAD, ball, END, a, END]) == "a ball"
    assert tokenizer.decode(np.array([a, ball, a], np.int64)) == "a ball a"
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("token", [-1, 14])
def test_an_id_outside_the_vocabulary_is_an_error(token):
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert len(tokenizer) == 14
    with pytest.raises(ValueError, match=f"Token id {token} is outside the vocabulary of 14 ids"):
        tokenizer.decode([START, token, END])


def test_a_batch_is_padded_to_its_longest():
    tokenizer = Tokenizer.fit(CAPTIONS)
    tokens = tokenizer.encode_batch(["a", "a ball a", ""])
    assert tokens.dtype == np.int32
    assert tokens.tolist() == [[START, 4, END, PAD, PAD], [START, 4, 5, 4, END], [START, END, PAD, PAD, PAD]]


def test_a_batch_of_nothing():
    assert Tokenizer.fit(CAPTIONS).encode_batch([]).shape == (0, 0)


def test_the_file_gives_the_same_tokenizer(tmp_path):
    tokenizer = Tokenizer.fit([*CAPTIONS, "Café हिन्दी İstanbul"])
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded == tokenizer and loaded.encode("Café हिन्दी man") == tokenizer.encode("Café हिन्दी man")
    assert "café" in (tmp_path / "tokenizer.json").read_text(encoding="utf-8")


def test_the_file_tells_what_it_was_fitted_on(tmp_path):
    tokenizer = Tokenizer.fit(CAPTIONS, minimum_count=2, maximum_size=5)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json", iter(CAPTIONS))
    assert (loaded.fitted_on, loaded.minimum_count, loaded.maximum_size) == (tokenizer.fitted_on, 2, 5)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    assert content["fitted_on"] == tokenizer.fitted_on == Tokenizer.fit(CAPTIONS).fitted_on
    assert (content["minimum_count"], content["maximum_size"]) == (2, 5)


@pytest.mark.parametrize("other", [[], CAPTIONS[1:], [*CAPTIONS[:-1], "another"]])
def test_a_tokenizer_of_other_captions_is_refused(other, tmp_path):
    Tokenizer.fit(CAPTIONS).save(tmp_path / "tokenizer.json")
    with pytest.raises(StaleError, match=r"tokenizer\.json is out of date: .*Run notebooks/02_explore\.ipynb again"):
        Tokenizer.load(tmp_path / "tokenizer.json", other)
    Tokenizer.load(tmp_path / "tokenizer.json")  # the copy of a trained model: nothing to compare with


def test_a_tokenizer_of_unknown_captions_is_refused_where_they_matter(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(content())  # as an earlier version wrote it
    assert Tokenizer.load(tmp_path / "tokenizer.json") == Tokenizer(["a"])
    with pytest.raises(StaleError, match="02_explore"):
        Tokenizer.load(tmp_path / "tokenizer.json", CAPTIONS)


def test_a_kill_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    Tokenizer.fit(CAPTIONS).save(tmp_path / "tokenizer.json")
    monkeypatch.setattr("captioning.files.os.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Tokenizer(["b"]).save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json") == Tokenizer.fit(CAPTIONS)


def test_other_words_or_another_order_is_another_tokenizer():
    assert Tokenizer(["a", "b"]) == Tokenizer(("a", "b"))
    assert Tokenizer(["a", "b"]) != Tokenizer(["b", "a"]) and Tokenizer(["a"]) != ["a"]


def content(special=SPECIAL, vocabulary=("a",)):
    return json.dumps({"special": special, "vocabulary": vocabulary}).encode()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"{", r"tokenizer\.json is damaged.*02_explore"),
        (b"\xff\xfe", r"tokenizer\.json is damaged"),
        (b"[1, 2]", "is not a tokenizer file"),
        (b'{"vocabulary": []}', "is not a tokenizer file.*special"),
        (content(vocabulary=None), "is not a tokenizer file"),
        (content(vocabulary=[5]), "is not a tokenizer file"),
        (content(special=None), "is not a tokenizer file"),
        (content(special=["<pad>", "<start>", "<end>", "<unk>"]), "other special tokens"),
        (content(vocabulary=["a", "a"]), "same word twice"),
        (content(vocabulary=["Two words", "<end>"]), "Not words"),
    ],
)
def test_a_wrong_file_is_refused(written, message, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(written)
    with pytest.raises(DamagedError, match=message):
        Tokenizer.load(tmp_path / "tokenizer.json")
