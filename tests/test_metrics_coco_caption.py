"""The numbers of coco-caption on an example of our own: see `compute_expected.py` beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from captioning.metrics import CiderD, References, read_references, read_results, score, tokenize
from captioning.metrics.rouge import rouge_l

EXAMPLE = Path(__file__).parent / "data" / "coco_caption"
REFERENCES, RESULTS = read_references(EXAMPLE / "references.json"), read_results(EXAMPLE / "results.json")
EXPECTED = json.loads((EXAMPLE / "expected.json").read_text(encoding="utf-8"))


def test_the_example_has_what_is_hard():
    assert len(REFERENCES) == len(RESULTS) == 20 and all(len(captions) == 5 for captions in REFERENCES.values())
    lengths = [len(tokens.split()) for tokens in EXPECTED["tokens_of_results"].values()]
    assert lengths.count(0) == 1 and lengths.count(1) == 2
    text = " ".join(caption for captions in REFERENCES.values() for caption in captions)
    assert all(mark in text for mark in [*",'-127\"&$éU.(", "--", "..."])


@pytest.mark.parametrize("name", EXPECTED["scores"])
def test_every_score_is_that_of_coco_caption(name):
    assert score(REFERENCES, RESULTS)[name] == pytest.approx(EXPECTED["scores"][name], abs=1e-9, rel=0)


def test_every_picture_has_the_scores_of_coco_caption():
    assert list(map(int, EXPECTED["CIDEr_of_images"])) == list(REFERENCES)
    cider = CiderD(REFERENCES).score(RESULTS)[1]
    np.testing.assert_allclose(cider, list(EXPECTED["CIDEr_of_images"].values()), atol=1e-9, rtol=0)
    prepared = References(REFERENCES)
    rouge = [rouge_l(*pair) for pair in zip(prepared.tokens_of(RESULTS), prepared.tokens, strict=True)]
    np.testing.assert_allclose(rouge, list(EXPECTED["ROUGE_L_of_images"].values()), atol=1e-9, rtol=0)


@pytest.mark.parametrize("image", REFERENCES)
def test_every_sentence_has_the_tokens_of_the_java_tokenizer(image):
    assert [" ".join(tokenize(caption)) for caption in REFERENCES[image]] == EXPECTED["tokens_of_references"][
        str(image)
    ]
    assert " ".join(tokenize(RESULTS[image])) == EXPECTED["tokens_of_results"][str(image)]
