"""All scores of one set of captions that coco-caption prints."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from captioning.metrics.bleu import corpus_bleu
from captioning.metrics.cider import CiderD
from captioning.metrics.controls import bootstrap_interval
from captioning.metrics.references import ImageId, words_of
from captioning.metrics.rouge import rouge_l
from captioning.words import units

METEOR_REASON = (
    "METEOR 1.5 needs Java and its paraphrase table; other programs of that name give other numbers, so none is used."
)
SPICE_REASON = "SPICE needs Java, a scene-graph parser and a database; none is used instead."


def score(references: CiderD | Mapping[ImageId, Sequence[str]], results: Mapping[ImageId, str]) -> dict:
    """Score one caption per image with the numbers of coco-caption.

    Args:
        references: image id -> raw reference captions (any number from one on), or a metric fitted on them.
        results: image id -> raw caption, of the same images; an empty one scores 0 and is counted.

    Returns:
        `images`, `Bleu_1` to `Bleu_4`, `ROUGE_L`, `CIDEr`, `CIDEr_interval` (95 %, see `bootstrap_interval`), `METEOR`
        and `SPICE` (None, with the reason beside them), `empty_captions`; `units`, where characters are scored.
    """
    cider = references if isinstance(references, CiderD) else CiderD(references)
    known = cider.references
    captions = known.tokens_of(results)
    bleu = corpus_bleu(known.ngrams, [words_of(tokens) for tokens in captions])
    mean_cider, per_image = cider.score_tokens(captions)
    rouge = [rouge_l(tokens, image) for tokens, image in zip(captions, known.tokens, strict=True)]
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
        **({"units": units.CHARACTERS} if known.marked else {}),
    }
