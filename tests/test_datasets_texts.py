"""What nobody sees in a caption is dropped and told; what a script needs stays."""

import time

import pytest

from captioning.datasets import texts
from captioning.datasets.texts import ENTITIES, INVISIBLE, MARKERS, Findings, usable


def cleaned(value):
    findings = Findings(list)
    return usable(value, "captions.csv, line 3", findings), dict(findings)


@pytest.mark.parametrize("text", ["a do{}g runs", "{}a dog runs", "a dog runs{}", "a {} dog runs", "a{} dog runs"])
def test_invisible_characters_are_dropped_and_told(text):
    characters = "\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff\ufe0e\ufe0f\u00ad"
    for character in characters + "\x00\x07\x1b\x7f\x9d\U000e0041\U000e0100\ud83d":
        caption, findings = cleaned(text.format(character))
        assert caption == "a dog runs", ascii(character)
        (told,) = findings.pop(INVISIBLE)
        assert told.startswith(f"captions.csv, line 3: U+{ord(character):04X} in ") and not findings
        told.encode()


@pytest.mark.parametrize(
    "text",
    [
        "نمی‌دانم او کجاست",  # Persian: a joiner that keeps letters apart
        "क्‍ष और क्‌ष",  # Hindi: half forms
        "ශ්‍රී ලංකාව",  # Sinhala
        "a family 👨‍👩‍👧 at the sea",
        "ខ្ញុំ\u200bស្រលាញ់\u200bខ្មែរ",  # Khmer: the end of a word
        "Café, naïve, 狗在跑, Ελλάδα, 100 % [sic] <3 Q&A R&D; the start and the end",
        "A stop sign reads: [STOP]",
    ],
)
def test_what_a_script_needs_stays(text):
    assert cleaned(text) == (text, {})


def test_a_caption_of_nothing_visible_is_empty():
    assert cleaned("\ufe0f\u200d") == (
        "",
        {INVISIBLE: ["captions.csv, line 3: U+FE0F, U+200D in \"<U+FE0F><U+200D>\""],
         texts.EMPTY: ["captions.csv, line 3: \"<U+FE0F><U+200D>\""]},
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "startseq a dog endseq", "StartSeq a dog endseq.", "<start> a dog <end>", "<s>a dog</s>",
        "[CLS]a dog[SEP] [PAD]", "<bos> a dog <eos> <pad> <pad>",
        "<|startoftext|>a dog<|endoftext|>", "&lt;start&gt; a dog &lt;end&gt;",
    ],
)  # fmt: skip
def test_markers_of_other_programs_are_dropped_at_the_ends(text):
    caption, findings = cleaned(text)
    assert caption.rstrip(".") == "a dog" and findings[MARKERS][0].startswith("captions.csv, line 3: ")


def test_entities_are_read_as_their_characters():
    caption, findings = cleaned("Tom &amp; Jerry&#39;s caf&eacute;, Q&A; AT&T")
    assert caption == "Tom & Jerry's café, Q&A; AT&T" and list(findings) == [ENTITIES]


def test_long_gaps_take_no_time():
    start = time.process_time()
    assert cleaned("é" + 50_000 * " " + "a" + 50_000 * "\u00a0" + "[")[0] == "é a [" and time.process_time() - start < 1
