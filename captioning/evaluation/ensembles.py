"""Which models caption together: members are added one after the other as long as validation pictures gain."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from captioning import metrics
from captioning.bundle import Bundle, Ensemble
from captioning.datasets.dataset import Record
from captioning.evaluation.kept import KeptCaptions
from captioning.evaluation.scoring import references_of
from captioning.features import FeatureStore

MOST, TRIED = 5, 7  # members; models that may become one, since each try costs as much as all members
DECODING = 3, (0.7, 1.0)  # beam width and length penalties that members are chosen with


def choose_members(
    models: Sequence[Bundle],
    stores: Mapping[str, FeatureStore],
    val: Sequence[Record],
    folder: Path,
    may_repeat: list[str] | None = None,
) -> tuple[list[Bundle], list[dict]]:
    """Choose which models caption together, by greedy forward selection (Caruana et al. 2004).

    The first model is a member; each of the others, in their order, becomes one if CIDEr on validation pictures is
    higher with it than without. Models with other words than the first are left out, and all after the first `TRIED`.

    Args:
        models: the one with the highest CIDEr on validation pictures first.
        stores: the features of their encoders, by name.
        val: validation pictures with features in all of them.
        folder: the ensemble's; `tried.json` there keeps the captions.
        may_repeat: the words that a caption may hold twice; None: all.

    Returns:
        The members, and what was tried, in order: `member`, `validation_CIDEr` with it, whether it was `added`.
    """
    cider = metrics.CiderD(references_of(val))
    models = [model for model in models if model.tokenizer == models[0].tokenizer]
    made_from = {model.name: model.made_from for model in models}
    members, tried, best = [], [], -1.0
    for model in models[:TRIED]:
        if len(members) == MOST:
            break
        if members:
            together = Ensemble(folder, (*members, model))
            kept = KeptCaptions(together, stores, folder / "tried.json", made_from)
        else:
            kept = KeptCaptions(model, stores)
        score = max(cider.score(kept.texts(val, each))[0] for each in kept.best(val, *DECODING, may_repeat))
        tried.append({"member": model.name, "validation_CIDEr": score, "added": score > best})
        if score > best:
            members, best = [*members, model], score
    return members, tried
