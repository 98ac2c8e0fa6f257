"""All scores of one set of captions: what coco-caption prints, and what `scores.json` holds."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from captioning.metrics.bleu import corpus_bleu
from captioning.metrics.cider import CiderD
from captioning.metrics.controls import bootstrap_interval, shuffled_cider
from captioning.metrics.grounding import Names, Truth, grounding
from captioning.metrics.language import distinct_captions, novel_captions
from captioning.metrics.references import ImageId, References, words_of
from captioning.metrics.rouge import rouge_l
from captioning.words import units

METEOR_REASON = (
    "METEOR 1.5 needs Java and its paraphrase table; other programs of that name give other numbers, so none is used."
)
SPICE_REASON = "SPICE needs Java, a scene-graph parser and a database; none is used instead."


def score(references: References | Mapping[ImageId, Sequence[str]], results: Mapping[ImageId, str]) -> dict:
    """Score one caption per image with the numbers of coco-caption.

    Args:
        references: image id -> raw reference captions (any number from one on), or the same already tokenized.
        results: image id -> raw caption, of the same images; an empty one scores 0 and is counted.

    Returns:
        `images`, `Bleu_1` to `Bleu_4`, `ROUGE_L`, `CIDEr`, `CIDEr_interval` (95 %, see `bootstrap_interval`), `METEOR`
        and `SPICE` (None, with the reason beside them), `empty_captions`; `units`, where characters are scored.
    """
    return _scores(CiderD(references), results)


def _scores(cider: CiderD, results: Mapping[ImageId, str]) -> dict:
    references = cider.references
    captions = references.tokens_of(results)
    bleu = corpus_bleu(references.ngrams, [words_of(tokens) for tokens in captions])
    mean_cider, per_image = cider.score_tokens(captions)
    rouge = [rouge_l(tokens, image) for tokens, image in zip(captions, references.tokens, strict=True)]
    return {
        "images": len(captions),
        **{f"Bleu_{order}": value for order, value in enumerate(bleu, start=1)},
        "ROUGE_L": fmean(rouge),
        "CIDEr": mean_cider,
        "CIDEr_interval": list(bootstrap_interval(per_image)),
        "METEOR": None,
        "METEOR_reason": METEOR_REASON,
        "SPICE": None,
        "SPICE_reason": SPICE_REASON,
        "empty_captions": sum(not tokens for tokens in captions),
        **({"units": units.CHARACTERS} if references.marked else {}),
    }


def report(
    references: References | Mapping[ImageId, Sequence[str]],
    results: Mapping[ImageId, str],
    train_captions: Iterable[str],
    decoding: Mapping[str, Any],
    truth: Mapping[ImageId, Truth] | None = None,
    names: Names | None = None,
) -> dict:
    """Collect everything that `scores.json` holds for one model.

    Args:
        references, results: as in `score`.
        train_captions: the raw captions of the train split.
        decoding: how the captions were made, for example {"method": "beam search", "beam_width": 3}.
        truth, names: on scenes, what is in each picture and the words for it, see `grounding`.

    Returns:
        The scores of `score`, with `decoding`, `shuffled_CIDEr` (None, with the reason beside it, for a single image),
        `distinct_captions`, `novel_captions` and, on scenes, `grounding`; ready for JSON.
    """
    cider = CiderD(references)
    scores = _scores(cider, results)
    scores |= {
        "decoding": dict(decoding),
        "shuffled_CIDEr": shuffled_cider(cider, results) if scores["images"] > 1 else None,
        "distinct_captions": distinct_captions(results),
        "novel_captions": novel_captions(results, train_captions),
    }
    if scores["images"] == 1:
        scores["shuffled_CIDEr_reason"] = "There is one image only: its caption cannot be shuffled to another."
    if truth is not None:
        scores["grounding"] = grounding(truth, results, names or {})
    return scores
