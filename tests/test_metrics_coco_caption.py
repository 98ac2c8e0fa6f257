"""The numbers of coco-caption on an example of our own: see `compute_expected.py` beside it."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from captioning.metrics import CiderD, References, read_references, read_results, score
from captioning.metrics.rouge import rouge_l
from captioning.words import ptb, tokenize

EXAMPLE = Path(__file__).parent / "data" / "coco_caption"
REFERENCES, RESULTS = read_references(EXAMPLE / "references.json"), read_results(EXAMPLE / "results.json")
EXPECTED = json.loads((EXAMPLE / "expected.json").read_text(encoding="utf-8"))


CAPTIONS = [*(caption for captions in REFERENCES.values() for caption in captions), *RESULTS.values()]


def test_every_rule_of_the_tokenizer_splits_a_caption_of_the_example():
    """For a while, the numbers of the patterns replace the kinds of tokens."""
    used = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ptb, "_RULES", tuple((number, rule) for number, (_, rule) in enumerate(ptb._RULES)))
        patch.setattr(ptb, "_normalize", lambda number, text: used.add(number) or text)
        ptb._lex_alone.cache_clear()
        for caption in CAPTIONS:
            tokenize(caption)
    ptb._lex_alone.cache_clear()
    patterns = ptb.ptb_rules.PATTERNS
    assert patterns and [patterns[number] for number in range(len(patterns)) if number not in used] == []


def test_the_example_is_written_in_many_scripts():
    names = {unicodedata.name(letter, "").split()[0] for letter in set("".join(CAPTIONS))}
    assert {"LATIN", "CYRILLIC", "GREEK", "DEVANAGARI", "ARABIC", "HEBREW", "HANGUL", "HIRAGANA", "CJK"} <= names


def test_the_example_has_what_is_hard():
    assert len(REFERENCES) == len(RESULTS) == 44 and all(len(captions) == 5 for captions in REFERENCES.values())
    assert all(unicodedata.is_normalized("NFC", caption) for caption in CAPTIONS)
    lengths = [len(tokens.split()) for tokens in EXPECTED["tokens_of_results"].values()]
    assert 0 in lengths and 1 in lengths
    assert any(len(set(captions)) < 5 for captions in REFERENCES.values())
    assert any(RESULTS[image] in captions for image, captions in REFERENCES.items())
    text = " ".join(CAPTIONS)
    assert all(
        mark in text
        for mark in [*",'-127\"&$€½²éßñÇİạğU.([{:;…?!¿¡«“🐶", "--", "...", "http://", "1 1/2", "@e", "555-"]
    )


def test_every_score_is_that_of_coco_caption():
    found = score(REFERENCES, RESULTS)
    assert {name: found[name] for name in EXPECTED["scores"]} == pytest.approx(EXPECTED["scores"], abs=1e-9, rel=0)


def test_every_picture_has_the_scores_of_coco_caption():
    assert list(map(int, EXPECTED["CIDEr_of_images"])) == list(REFERENCES)
    cider = CiderD(REFERENCES).score(RESULTS)[1]
    np.testing.assert_allclose(cider, list(EXPECTED["CIDEr_of_images"].values()), atol=1e-9, rtol=0)
    prepared = References(REFERENCES)
    rouge = [rouge_l(*pair) for pair in zip(prepared.tokens_of(RESULTS), prepared.tokens, strict=True)]
    np.testing.assert_allclose(rouge, list(EXPECTED["ROUGE_L_of_images"].values()), atol=1e-9, rtol=0)


def test_every_sentence_has_the_tokens_of_the_java_tokenizer():
    for image, captions in REFERENCES.items():
        expected = [*EXPECTED["tokens_of_references"][str(image)], EXPECTED["tokens_of_results"][str(image)]]
        assert [" ".join(tokenize(caption)) for caption in [*captions, RESULTS[image]]] == expected
