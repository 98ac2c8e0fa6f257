"""Letters, digits and signs are those of coco-caption's tokenizer (see data/ptb/compute_expected.py)."""

import json
import unicodedata
from pathlib import Path

import pytest

from captioning.words import letters, ptb, tokenize

DATA = Path(__file__).parent / "data" / "ptb"
TABLE = json.loads((DATA / "letters.json").read_text(encoding="utf-8"))
SENTENCES = json.loads((DATA / "sentences.json").read_text(encoding="utf-8"))


def as_is(text):
    """The tokens of a text in the Unicode form in which it is."""
    return " ".join(token for token in ptb._lex(text) if token not in ptb.PUNCTUATION)


def members(ranges):
    """Return the runs of characters that hexadecimal ranges name."""
    ends = [[int(end, 16) for end in run.split("-")] for run in ranges.split()]
    return [[chr(code) for code in range(run[0], run[-1] + 1)] for run in ends]


RUNS = {name: members(ranges) for name, ranges in TABLE["ranges"].items()}
LISTED = {each for runs in RUNS.values() for run in runs for each in run}.union(TABLE["own"])
PLANE = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
RUNS["nothing"] = [[each for each in PLANE if each not in LISTED]]


@pytest.mark.parametrize("joint", ["bb", "5"])
@pytest.mark.parametrize("name", RUNS)
def test_the_class_of_every_character_of_the_basic_plane(name, joint):
    """Joined by letters or digits, all characters of a class make one word, or words with a sign or nothing between."""
    around = {"sign": " {} ", "nothing": " "}.get(name, "{}")
    for run in RUNS[name]:
        expected = joint.join(["", *(around.replace("{}", each) for each in run), ""])
        if (name, joint) == ("mark", "5"):
            expected = f"5 {expected[1:]}"  # no word begins with a digit and a mark
        # In a word the lower case depends on the neighbors (the Greek sigma).
        expected = " ".join(part.lower() for part in expected.split(" ") if part)
        assert as_is(joint.join(["", *run, ""])) == expected, f"{name} {ord(run[0]):x}-{ord(run[-1]):x}"


@pytest.mark.parametrize("name", RUNS)
def test_each_class_in_every_context(name):
    ends = {each for run in RUNS[name] for each in (run[0], run[-1])}
    for context, pattern in zip(TABLE["contexts"], TABLE["patterns"][name], strict=True):
        for each in ends:
            assert as_is(context.replace("{}", each)) == pattern.replace("{}", each.lower()), f"{ord(each):x}"


def test_characters_of_their_own_in_every_context():
    for each, expected in TABLE["own"].items():
        assert [as_is(context.replace("{}", each)) for context in TABLE["contexts"]] == expected, f"{ord(each):x}"


@pytest.mark.parametrize("each", "😀𠀀𝒳\U000e0100")
def test_nothing_above_the_basic_plane_is_known(each):
    assert letters.class_of(each) == letters.NOTHING
    assert [as_is(context.replace("{}", each)) for context in TABLE["contexts"]] == TABLE["patterns"]["nothing"]


def test_sentences_in_both_unicode_forms():
    """Both forms give the reference's tokens of the composed one; without composing them, each form its own."""
    for sentence, composed, decomposed in SENTENCES:
        nfc, nfd = (unicodedata.normalize(form, sentence) for form in ("NFC", "NFD"))
        assert " ".join(tokenize(nfc)).split() == " ".join(tokenize(nfd)).split() == composed.split()
        assert (as_is(nfc).split(), as_is(nfd).split()) == (composed.split(), decomposed.split())


def test_variants_of_han_characters_are_not_composed_away():
    assert tokenize("\uf900a \ufa19 e\u0301") == ["\uf900a", "\ufa19", "\u00e9"]
