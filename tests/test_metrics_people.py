"""People against each other, and a model against as many references, each corpus written out and scored by itself."""

import random

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu as nltk_bleu

from captioning.metrics import CiderD, leave_one_out
from captioning.metrics.rouge import rouge_l

WORDS = ["a", "man", "dog", "boat", "red", "on", "the", "street", "with", "of", "dog dog"]


@pytest.fixture(scope="module")
def references():
    rng = random.Random(7)
    made = {
        image: [" ".join(rng.choices(WORDS, k=rng.randint(4, 12))) for _ in range(rng.randint(2, 5))]
        for image in range(25)
    }
    return made | {"same": ["a red boat with a dog"] * 3, "single": ["a man"]}


def left_out(references):
    """(image, caption left out, the others) of every reference that has others."""
    for image, texts in references.items():
        for place in range(len(texts)):
            if len(texts) > 1:
                yield image, texts[place], texts[:place] + texts[place + 1 :]


def test_people_equal_the_definition(references):
    scores = leave_one_out(references)
    rows = list(left_out(references))
    written = [([text.split() for text in others], text.split()) for _, text, others in rows]
    for order in range(1, 5):
        expected = nltk_bleu(*zip(*written, strict=True), weights=[1 / order] * order)
        assert scores[f"Bleu_{order}"] == pytest.approx(expected, abs=1e-8)
    rouge = {image: [] for image, _, _ in rows}
    for (image, _, _), (others, words) in zip(rows, written, strict=True):
        rouge[image].append(rouge_l(words, others))
    assert scores["ROUGE_L"] == pytest.approx(np.mean([np.mean(values) for values in rouge.values()]))


def test_cider_of_people_is_the_mean_over_pairs_of_references(references):
    """A reference alone is compared by a metric with the same document frequencies: those of a set it replaces."""
    metric = CiderD({image: texts for image, texts in references.items() if len(texts) > 1})
    per_image = []
    for number, image in enumerate(metric.references.ids):
        pairs = []
        for text in references[image]:
            similar = metric.score_pairs([text.split()], [0], [number])[0] * len(references[image])
            pairs.append((similar - 10) / (len(references[image]) - 1))
        per_image.append(np.mean(pairs))
    assert per_image[-1] == pytest.approx(10)  # of three equal references
    assert leave_one_out(references)["CIDEr"] == pytest.approx(np.mean(per_image), abs=1e-9)


def test_one_word_captions_are_no_perfect_match_of_pairs():
    references = {1: ["dog", "dog"], 2: ["a red boat", "cat"]}
    # Words alone have a weight: a quarter of the orders.
    np.testing.assert_allclose(CiderD(references).score_references(), [2.5, 2.5, 0, 0], atol=1e-12)
    with pytest.raises(ValueError, match="single reference"):
        CiderD({1: ["dog"], 2: ["a", "b"]}).score_references()


def test_a_model_is_scored_against_as_many(references):
    rng = random.Random(1)
    results = {image: " ".join([*rng.choice(texts).split()[:4], "dog"]) for image, texts in references.items()}
    scores = leave_one_out(references, results)
    rows = [(image, [text.split() for text in others]) for image, _, others in left_out(references)]
    words = [results[image].split() for image, _ in rows]
    others = [texts for _, texts in rows]
    assert scores["Bleu_4"] == pytest.approx(nltk_bleu(others, words), abs=1e-8) and scores["Bleu_4"] > 0.1
    several = {image: texts for image, texts in references.items() if len(texts) > 1}
    assert scores["CIDEr"] == pytest.approx(CiderD(several).score({image: results[image] for image in several})[0])
    rouge = {image: [] for image in several}
    for (image, texts), caption in zip(rows, words, strict=True):
        rouge[image].append(rouge_l(caption, texts))
    assert scores["ROUGE_L"] == pytest.approx(np.mean([np.mean(values) for values in rouge.values()]))
    with pytest.raises(ValueError, match="No result for 1 image"):
        leave_one_out(references, {image: text for image, text in results.items() if image != "same"})


def test_needs_two_references():
    with pytest.raises(ValueError, match="No picture has two references"):
        leave_one_out({1: ["a dog"], 2: ["a cat"]})
    with pytest.raises(ValueError, match=r"without a reference caption: 1 image \(2\)"):
        leave_one_out({1: ["a dog", "the dog"], 2: []})
