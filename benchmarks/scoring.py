"""Scoring 40,504 images with five references each: BLEU-1 to 4, ROUGE-L, CIDEr-D.

coco-caption needed 31 s for it, with Java, on the machine of docs/speed.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import made
from benchmarks.timing import Line
from captioning.metrics import score

TINY = {"images": 3}


def lines(images: int = 40_504, vocabulary: int = 8000) -> Iterator[Line]:
    """Yield the one line."""
    texts = made.texts(made.CAPTIONS * images, vocabulary)
    references = {n: texts[made.CAPTIONS * n : made.CAPTIONS * (n + 1)] for n in range(images)}
    results = dict(enumerate(made.texts(images, vocabulary, seed=1)))

    def scored():
        return score(references, results)

    def check():
        perfect = score(references, {n: captions[0] for n, captions in references.items()})
        assert perfect["Bleu_4"] > 0.999 and perfect["CIDEr"] > scored()["CIDEr"]

    yield Line(f"scoring {images:,} images", "", scored, None, check, aim=6)
