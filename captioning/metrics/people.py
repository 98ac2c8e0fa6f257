"""How people score by the same metrics: each reference against the others of its picture."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from captioning.metrics.bleu import corpus_bleu
from captioning.metrics.cider import CiderD
from captioning.metrics.ngrams import ReferenceNgrams
from captioning.metrics.references import ImageId, References, words_of
from captioning.metrics.rouge import rouge_l


def leave_one_out(
    references: Mapping[ImageId, Sequence[str]], results: Mapping[ImageId, str] | None = None
) -> dict[str, float]:
    """Score people, or a model as people are scored: against all references of a picture but one, each in turn.

    More references give a higher BLEU and ROUGE-L, so that a model with five of them may not be set beside people with
    four: leave one out for both. It is the usual measure of people where no caption was collected for it alone, as in
    Vedantam et al. 2015.

    Args:
        references: image id -> raw captions; pictures with a single one are left out.
        results: image id -> raw caption of each of these pictures and others. None: the caption that is left out, so
            that each person's caption is scored once.

    Returns:
        `Bleu_1` to `Bleu_4` (one corpus of all of these captions), `ROUGE_L` and `CIDEr` (mean per picture, then over
        pictures). Document frequencies are those of all references of these pictures. CIDEr-D is a mean over
        references: leaving out each once does not change a model's. A ValueError where no picture has two references.
    """
    if not (several := {image: texts for image, texts in references.items() if len(texts) != 1}):
        raise ValueError("No picture has two references: people cannot be compared with each other.")
    fitted = References(several)
    cider, ngrams = CiderD(fitted), fitted.ngrams
    if results is None:
        candidates, per_caption = list(chain.from_iterable(fitted.tokens)), cider.score_references()
    else:
        own = fitted.tokens_of({image: results[image] for image in fitted.ids if image in results})
        candidates, per_caption = [own[image] for image in ngrams.image], cider.score_tokens(own)[1][ngrams.image]
    others = [texts[:left] + texts[left + 1 :] for texts in fitted.tokens for left in range(len(texts))]
    bleu = corpus_bleu(
        ReferenceNgrams([list(map(words_of, texts)) for texts in others]), list(map(words_of, candidates))
    )
    rouge = [rouge_l(tokens, texts) for tokens, texts in zip(candidates, others, strict=True)]
    mean_rouge, mean_cider = (np.bincount(ngrams.image, each) / ngrams.captions for each in (rouge, per_caption))
    return {
        **{f"Bleu_{order}": value for order, value in enumerate(bleu, start=1)},
        "ROUGE_L": float(mean_rouge.mean()),
        "CIDEr": float(mean_cider.mean()),
    }
