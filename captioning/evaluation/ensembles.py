"""Which models caption together: the best ones on validation pictures, as many of them as do best there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from captioning import metrics
from captioning.bundle import Bundle, Ensemble
from captioning.datasets.dataset import Record
from captioning.evaluation.kept import KeptCaptions
from captioning.evaluation.scoring import references_of
from captioning.features import FeatureStore

MOST = 6  # members
DECODING = 3, (0.7, 1.0)  # beam width and length penalties that members are chosen with


def choose_members(
    models: Sequence[Bundle],
    stores: Mapping[str, FeatureStore],
    val: Sequence[Record],
    folder: Path,
    may_repeat: list[str] | None = None,
) -> tuple[list[Bundle], list[dict]]:
    """Choose which models caption together: the first two, three, ... of `models`, whichever do best on validation.

    So the models are compared as one row of sets. Adding or rejecting them one by one compares more often, and takes
    what is luck on a few hundred pictures for a reason. Models with other words than the first are left out.

    Args:
        models: the one with the highest CIDEr on validation pictures first.
        stores, val: the features of their encoders, by name, and validation pictures that have all of them.
        folder: the ensemble's; `tried.json` there keeps the captions.
        may_repeat: the words that a caption may hold twice; None: all.

    Returns:
        The members, and what was tried, in order: `member`, `validation_CIDEr` of all up to it, whether it was `added`.
    """
    cider = metrics.CiderD(references_of(val))
    models = [model for model in models if model.tokenizer == models[0].tokenizer]
    made_from = {model.name: model.made_from for model in models}
    scores = []
    for count in range(1, min(len(models), MOST) + 1):
        if count > 1:
            together = Ensemble(folder, tuple(models[:count]))
            kept = KeptCaptions(together, stores, folder / "tried.json", made_from)
        else:
            kept = KeptCaptions(models[0], stores)
        scores.append(max(cider.score(kept.texts(val, each))[0] for each in kept.best(val, *DECODING, may_repeat)))
    size = 2 + int(np.argmax(scores[1:])) if len(scores) > 1 else 1
    rows = enumerate(zip(models, scores, strict=False))
    tried = [{"member": m.name, "validation_CIDEr": score, "added": place < size} for place, (m, score) in rows]
    return list(models[:size]), tried
