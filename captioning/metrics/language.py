"""How captions are written: their length, endings, words, and how much several captions of a picture differ.

A score by references misses this: training on CIDEr-D lets captions end in "with a" and say the same of all pictures.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean

from captioning.metrics.bleu import corpus_bleu
from captioning.metrics.controls import share_interval
from captioning.metrics.ngrams import ReferenceNgrams
from captioning.metrics.references import ImageId, some_images, words_of
from captioning.words import tokenize

# A noun ends a tenth or more of the train captions that have it among their last four words, "on" 2 to 4 %, "in" 0.3 %,
# "a" none (COCO, Flickr8k). By this rule 0.5 to 1.1 % of people's captions end badly, and half of those cut short.
_TAIL, _SELDOM = 4, 0.07


def bad_endings(train_captions: Iterable[str]) -> frozenset[str]:
    """Return the words that practically never end a caption, as "a", "with" and "on": those that need another word.

    Asked are the captions with the word among their last four words: does it end them? With 95 % confidence less than
    7 % of them, see `share_interval`; a rare word is not judged. No list of words: it works in any language.
    """
    near: Counter[str] = Counter()
    last: Counter[str] = Counter()
    for text in train_captions:
        tail = tokenize(text)[-_TAIL:]
        near.update(set(tail))
        last.update(tail[-1:])
    return frozenset(word for word, count in near.items() if share_interval(last[word] / count, count)[1] < _SELDOM)


def language(results: Mapping[ImageId, str], endings: Collection[str]) -> dict[str, float]:
    """Describe one raw caption per picture.

    Returns:
        `words`: mean length in words. `bad_endings`: share of the captions whose last word is one of `endings`, see
        `bad_endings`. `vocabulary`: number of different words in all captions.
    """
    captions = tokenized(results)
    return {
        "words": fmean(map(len, captions)),
        "bad_endings": sum(caption[-1] in endings for caption in captions if caption) / len(captions),
        "vocabulary": len(set(chain.from_iterable(captions))),
    }


def diversity(samples: Mapping[ImageId, Sequence[str]]) -> dict[str, float]:
    """Tell how much several captions of the same picture differ (Shetty et al. 2017, section 5).

    Args:
        samples: image id -> raw captions, of all pictures equally many, at least two.

    Returns:
        `Div_1` and `Div_2`: different words (pairs of words) of a picture's captions, divided by the number of their
        words (as Li et al. 2016), mean over pictures; higher is more diverse. `mBLEU_4`: corpus BLEU-4 of the captions
        against the others of their picture, mean over the first, second, ... of each; 1 where all are the same.

    Raises:
        ValueError: no picture, or one with another number of captions than the first or less than two.
    """
    counts = {image: len(texts) for image, texts in samples.items()}
    most = max(counts.values(), default=0)
    if odd := [image for image, count in counts.items() if count != most or count < 2]:
        raise ValueError(
            f"Diversity needs equally many captions of each picture, two or more; not: {some_images(odd)}."
        )
    if not counts:
        raise ValueError("There is no caption to look at: the samples are empty.")
    pictures = [[words_of(tokenize(text)) for text in texts] for texts in samples.values()]
    scores = {f"Div_{order}": fmean(_distinct(captions, order) for captions in pictures) for order in (1, 2)}
    return scores | {"mBLEU_4": fmean(_mutual_bleu(pictures, number) for number in range(most))}


def _distinct(captions: Sequence[Sequence[str]], order: int) -> float:
    ngrams = {tuple(words[i : i + order]) for words in captions for i in range(len(words) - order + 1)}
    return len(ngrams) / max(1, sum(map(len, captions)))


def _mutual_bleu(pictures: Sequence[Sequence[Sequence[str]]], number: int) -> float:
    others = [[*captions[:number], *captions[number + 1 :]] for captions in pictures]
    return corpus_bleu(ReferenceNgrams(others), [captions[number] for captions in pictures])[3]


def distinct_captions(results: Mapping[ImageId, str]) -> float:
    """Return the share of different captions among all, compared after tokenization."""
    captions = tokenized(results)
    return len(set(captions)) / len(captions)


def novel_captions(results: Mapping[ImageId, str], train_captions: Iterable[str]) -> float:
    """Return the share of captions that are not word for word in train, compared after tokenization.

    An empty caption is not novel.
    """
    captions = tokenized(results)
    wanted = set(captions)
    copied = {caption for text in train_captions if (caption := tuple(tokenize(text))) in wanted} | {()}
    return sum(caption not in copied for caption in captions) / len(captions)


def tokenized(results: Mapping[ImageId, str]) -> list[tuple[str, ...]]:
    """Return the tokens of each caption; a ValueError where there is none."""
    if not results:
        raise ValueError("There is no caption to look at: the results are empty.")
    return [tuple(tokenize(caption)) for caption in results.values()]
