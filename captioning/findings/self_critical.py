"""What self-critical training shows: what samples are worth, what the reward does, and what it does to the language."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from captioning.findings.finding import Finding, claim
from captioning.findings.wording import counted, listed, percent, span
from captioning.metrics.controls import shares_differ
from captioning.training.history import History, best_epoch

# Measure -> what it is called, whether more is better (None: neither better nor worse in itself), how it is written.
MEASURES: dict[str, tuple[str, bool | None, Callable[[float], str]]] = {
    "CIDEr": ("CIDEr", True, "{:.3f}".format),
    "Bleu_4": ("BLEU-4", True, "{:.3f}".format),
    "ROUGE_L": ("ROUGE-L", True, "{:.3f}".format),
    "words": ("words per caption", None, "{:.1f}".format),
    "bad_endings": ("bad endings", False, percent),
    "vocabulary": ("words used", True, "{:.0f}".format),
    "distinct_captions": ("distinct captions", None, percent),
    "novel_captions": ("novel captions", None, percent),
    "Div_2": ("different pairs in samples", True, percent),
    "mBLEU_4": ("samples alike (mBLEU-4)", False, "{:.3f}".format),
    "exact": ("exact", True, percent),
    "pair": ("pairs of object and color", True, percent),
    "object": ("objects", True, percent),
    "colour": ("colors", True, percent),
    "place": ("place", True, percent),
    "relation": ("true relations", True, percent),
    "relations_named": ("relations named", True, "{:.0f}".format),
    "false_named": ("false names", False, percent),
    "repeats": ("named twice", False, percent),
}

STEPS = 10  # fewer gradient steps decide nothing


def sampled(rewards: np.ndarray, advantages: np.ndarray) -> Finding:
    """Tell what the samples of one picture are worth, and which of them become more probable.

    Args:
        rewards: (samples,), CIDEr-D.
        advantages: (samples,), the reward of each less the mean of the others.
    """
    raised, count = int((advantages > 0).sum()), counted(len(rewards), "sample")
    if not np.any(np.abs(advantages) > 1e-9):
        return Finding(f"All {count} are worth {rewards[0]:.2f}: this picture teaches nothing in this step.")
    return Finding(
        f"The {count} are worth {span(rewards, '.2f')}. {raised} of them {'is' if raised == 1 else 'are'} worth more "
        f"than the mean of the others and will become more probable; the advantages sum to "
        f"{abs(round(float(advantages.sum()), 6)):g}."
    )


def rewarded(history: History, parent: History) -> Finding:
    """Tell how far the reward rose on train pictures, and whether CIDEr on validation pictures rose with it.

    Args:
        history: of self-critical training.
        parent: of the training of the model that it started from; both of greedy captions of the same pictures.
    """
    first, last, kept = history[0], history[-1], history[best_epoch(history)]
    before = parent[best_epoch(parent)]["val_CIDEr"] if parent else np.nan
    gain = round(kept["val_CIDEr"], 3) - round(before, 3)
    told = "is not known for the parent"
    if np.isfinite(gain):
        told = f"went from {before:.3f} (parent) to {kept['val_CIDEr']:.3f} (epoch {kept['epoch'] + 1}, which was kept)"
    course = f"from {first['reward']:.3f} in the first epoch to {last['reward']:.3f} in the last one"
    text = f"The mean reward of samples of train pictures went {course}; CIDEr of greedy validation captions {told}."
    if last["reward"] > first["reward"] and gain <= 0:
        text += " What was learned about train pictures does not carry over to others: too few pictures, or too long."
    loss = f" The validation loss went from {first['val_loss']:.3f} to {last['val_loss']:.3f}"
    rises = last["val_loss"] > first["val_loss"]
    why = ": the words that people use are no longer the aim." if rises else "."
    return Finding(text + (loss + why if len(history) > 1 else ""))


def traded(parent: Mapping, child: Mapping, pictures: int) -> Finding:
    """Tell what got better and what got worse, and whether the reward was hacked: paid for by what it does not measure.

    Args:
        parent, child: `MEASURES` of both; with "intervals", those of some shares.
        pictures: that were captioned.
    """
    better: list[str] = []
    worse: list[str] = []
    open_: list[str] = []
    for name, (called, more, _) in MEASURES.items():
        before, after = parent.get(name), child.get(name)
        if more is None or before is None or after is None or written(name, before) == written(name, after):
            continue
        text = f"{called} {written(name, before)} -> {written(name, after)}"
        intervals = [row.get("intervals", {}).get(name) for row in (parent, child)]
        if all(intervals) and not shares_differ((before, intervals[0]), (after, intervals[1])):
            open_.append(text)
        else:
            (better if (after > before) == more else worse).append(text)
    rose = float(written("CIDEr", child["CIDEr"])) > float(written("CIDEr", parent["CIDEr"]))  # as shown
    hacked = [text for text in worse if not text.startswith("CIDEr")]
    told = [f"On {counted(pictures, 'validation picture')}, better: {listed(better or ['nothing'])}."]
    told.append(f"Worse: {listed(worse or ['nothing'])}.")
    if open_:
        told.append(f"Too small a difference to call: {listed(open_)}.")
    if rose and hacked:
        told.append("CIDEr rose; what got worse was the price.")
    elif rose:
        told.append("CIDEr rose, and nothing measured here paid for it.")
    else:
        told.append("CIDEr did not rise.")
    return Finding(" ".join(told))


def gains(differences: Sequence[float]) -> Finding:
    """Tell for how many pictures CIDEr rose or fell, from the differences, child less parent: (pictures,)."""
    values = np.asarray(differences)
    rose, fell = int((values > 1e-9).sum()), int((values < -1e-9).sum())
    return Finding(
        f"CIDEr rose for {rose} of {counted(len(values), 'picture')}, fell for {fell} and did not change for "
        f"{len(values) - rose - fell}; the mean difference is {values.mean():+.3f}, the largest gain "
        f"{values.max():+.2f}, the largest loss {values.min():+.2f}."
    )


def unfinished(with_end: np.ndarray, without: np.ndarray) -> Finding:
    """Tell what cutting captions costs them, with END as a word of the reward and without.

    Args:
        with_end, without: (captions that were cut,), by how much the reward of each changes.
    """
    if not len(with_end):
        return claim(None, "no caption here has a word that needs another one after it, so none was cut.", "")
    (lost, rise), (lost_without, rise_without) = (
        (-changes.mean(), percent(np.mean(changes > 1e-9), 0)) for changes in (with_end, without)
    )
    return claim(
        lost > lost_without,
        f"an unfinished sentence loses {lost:.2f} of its reward if END is a word of it, and {lost_without:.2f} if it "
        f"is not; cutting raises the reward of {rise} and {rise_without} of the captions.",
        "For these captions END makes no difference to what an unfinished sentence is worth.",
    )


def never_sampled(masked: float, kept: float, before: float, steps: int) -> Finding:
    """Tell whether PAD, UNK and START become more probable if they stay in the gradient.

    Args:
        masked, kept: their probability after training without them and with them, in percent.
        before: that of the parent.
        steps: gradient steps of each run; fewer than `STEPS` are too few to tell.
    """
    return claim(
        kept > masked if steps >= STEPS else None,
        f"after {counted(steps, 'step')}, along captions with a bad score, PAD, UNK and START together have "
        f"{kept:.3f} % of the probability if they stay in the gradient, and {masked:.3f} % if they do not (the parent: "
        f"{before:.3f} %).",
        "In these runs the mistake does not show.",
    )


def written(name: str, value: float | None) -> str:
    """Return a measure as the table shows it."""
    return "-" if value is None else MEASURES[name][2](value)
