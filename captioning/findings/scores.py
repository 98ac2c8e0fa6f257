"""What tables and figures of scores show: who is ahead of whom, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from captioning.findings.finding import Finding
from captioning.findings.wording import counted, listed
from captioning.metrics.controls import bootstrap_interval, share_interval, shares_differ

COLUMNS = {"colour": "color"}  # the measures' names as read by people
NO_TRUTH = "What these photos show is written down nowhere, so that no caption is checked here."
Scores = Mapping[str, Mapping]


def scored(scores: Scores) -> Finding:
    """Tell which experiments are scored, and on how many pictures."""
    (images, *_) = {row["images"] for row in scores.values()}
    number = f"{counted(len(scores), 'experiment')} {'is' if len(scores) == 1 else 'are'}"
    return Finding(f"{number} scored on {counted(images, 'test picture')}: {listed(scores)}.")


def decodings(scores: Scores) -> Finding:
    """Tell which decoding validation chose for each model, and what it gains over greedy decoding there."""
    chosen: dict[str, list[str]] = {}
    gains, silent = [], []
    for name, row in scores.items():
        tried = row["decoding"]["tried"]
        chosen.setdefault(decoding_name(row["decoding"]), []).append(name)
        gains.append(row["decoding"]["validation_CIDEr"] - tried[0]["validation_CIDEr"])
        silent += [] if any(each["validation_CIDEr"] for each in tried) else [name]
    text = "; ".join(f"{decoding} for {listed(names)}" for decoding, names in chosen.items())
    low, high = f"{min(gains):.3f}", f"{max(gains):.3f}"
    span = low if low == high else f"{low} to {high}"
    text = f"Validation chose (beam width/length penalty) {text}. "
    text += f"Over greedy decoding, the choice gains {span} CIDEr on validation."
    if silent:
        text += f" CIDEr is 0 for every decoding of {listed(silent)}: there, nothing was chosen."
    return Finding(text)


def decoding_name(decoding: Mapping) -> str:
    """Return "greedy", or beam width and length penalty as "5/0.7"."""
    width, penalty = decoding["beam_width"], decoding["length_penalty"]
    return "greedy" if width == 1 and not penalty else f"{width}/{penalty:g}"


def comparison(scores: Scores, per_picture: Mapping[str, np.ndarray], baselines: Iterable[str]) -> Finding:
    """Tell which models are ahead of which baselines by CIDEr, and which baselines lead by another score.

    Args:
        scores: name -> row of the table; models and baselines.
        per_picture: name -> CIDEr of each picture, in the same order.
        baselines: names of those that are baselines.
    """
    baselines = list(baselines)
    models = [name for name in scores if name not in baselines]
    parts, others = [], []
    for base in baselines:
        ahead, behind, unclear = _against(base, models, per_picture)
        remarks = [f"{listed(unclear)} not distinguishable"] if unclear else []
        remarks += [f"{listed(behind)} behind it"] if behind else []
        parts.append(f'ahead of "{base}": {_who(ahead, models)}' + (f" ({'; '.join(remarks)})" if remarks else ""))
        for measure in ("Bleu_4", "ROUGE_L"):
            if lower := [name for name in models if scores[name][measure] <= scores[base][measure]]:
                others.append(f'by {measure}, "{base}" is not below {listed(lower)}')
    text = f"By CIDEr, with 95 % intervals of the paired differences: {'; '.join(parts)}. Without intervals: "
    return Finding(f"{text}{'; '.join(others) or 'by Bleu_4 and ROUGE_L, every model is above every baseline'}.")


def _who(names: Sequence[str], models: Sequence[str]) -> str:
    return "every model" if len(names) == len(models) else listed(names or ["no model"])


def ranking(per_picture: Mapping[str, np.ndarray]) -> Finding:
    """Tell by how much the model of the highest mean CIDEr is ahead of each other one, on the same pictures."""
    best, *others = sorted(per_picture, key=lambda name: -per_picture[name].mean())
    pictures = len(per_picture[best])
    if not others or pictures < 2:
        return Finding(f"{counted(1 + len(others), 'model')} on {counted(pictures, 'picture')}: no order can be told.")
    parts, unclear = [], []
    for name in others:
        difference = per_picture[best] - per_picture[name]
        low, high = bootstrap_interval(difference)
        parts.append(f"{difference.mean():.3f} over {name} ({low:.3f} to {high:.3f})")
        unclear += [name] if low <= 0 else []
    text = (
        f"{best} has the highest CIDEr, {per_picture[best].mean():.3f}. Its lead, with the 95 % interval of the paired "
    )
    text += f"difference: {listed(parts)}. "
    return Finding(text + (f"Not distinguishable from it: {listed(unclear)}." if unclear else "No interval holds 0."))


def truth(scores: Scores, baselines: Iterable[str]) -> Finding:
    """Tell who says the truth most often, who repeats things, and which models do not beat which baselines."""
    known, models = _checked(scores, baselines)
    if not known:
        return Finding(NO_TRUTH)
    order = sorted(models, key=lambda name: -known[name]["exact"])
    text = f"Exact: {_share(known, order[0], 'exact')}"
    if len(order) > 1:
        apart = shares_differ(*(_with_interval(known[name], "exact") for name in order[:2]))
        text += f", then {_share(known, order[1], 'exact')}, {'' if apart else 'not '}distinguishable"
    most = max(models, key=lambda name: known[name]["repeats"])
    text += f". Repeats: at most {_share(known, most, 'repeats')}."
    sided = [name for name in models if known[name]["relation"] is not None]
    better = [name for name in sided if known[name]["intervals"]["relation"][0] > 0.5]
    if sided:
        text += f" Relation: above 50 %, what guessing left or right gives, for {listed(better or ['no model'])}."
    above = _above(known, models, [name for name in known if name not in models])
    return Finding(" ".join(filter(None, (text, above, _unseen(known, models)))))


def _above(known: Scores, models: Sequence[str], baselines: Sequence[str]) -> str:
    """Tell which models are distinguishably above which baselines, by which shares."""
    parts: dict[str, list[str]] = {}  # what is said -> of which baselines
    for base in baselines:
        groups: dict[str, list[str]] = {}
        for measure in ("exact", "pair", "object", "colour"):
            names = [name for name in models if _is_above(known[name], known[base], measure)]
            groups.setdefault(_who(names, models), []).append(COLUMNS.get(measure, measure))
        said = "; ".join(f"{who} by {listed(measures)}" for who, measures in groups.items())
        parts.setdefault(said, []).append(f'"{base}"')
    return " ".join(f"Distinguishably above {listed(bases)}: {said}." for said, bases in parts.items())


def _is_above(row: Mapping, base: Mapping, measure: str) -> bool:
    if row[measure] is None or base[measure] is None or row[measure] <= base[measure]:
        return False
    return shares_differ(_with_interval(row, measure), _with_interval(base, measure))


def _unseen(known: Scores, models: Sequence[str]) -> str:
    """Tell whether models name the pairs of unseen combinations less often than the other pairs."""
    verdicts: dict[str, list[str]] = {}
    for name in models:
        row, few = known[name], known[name]["unseen"]
        count = row["n"]["pair"] - few["n"]["pair"] if few else 0
        pictures = row["n"]["place"] - few["n"]["place"] if few else 0
        if not count or not pictures:
            return "Unseen and other combinations are not both in this test split."
        rest = (row["n"]["pair"] * row["pair"] - few["n"]["pair"] * few["pair"]) / count
        apart = shares_differ((rest, share_interval(rest, pictures)), _with_interval(few, "pair"))
        verdict = "not distinguishable" if not apart else "lower" if few["pair"] < rest else "higher"
        verdicts.setdefault(verdict, []).append(f"{name} ({few['pair']:.1%} v {rest:.1%})")
        text = f"Pairs of unseen combinations (n = {few['n']['pair']}) against the others (n = {count}): "
    return text + "; ".join(f"{verdict} for {listed(names)}" for verdict, names in verdicts.items()) + "."


def orders(scores: Scores, baselines: Iterable[str]) -> Finding:
    """Tell where the order of the models by CIDEr differs from that by exact captions."""
    known, models = _checked(scores, baselines)
    if len(models) < 2:
        return Finding("One model has no order." if known else "Without truth, there is no figure.")
    first, second = sorted(models, key=lambda name: -scores[name]["CIDEr"])[:2]
    text = f"By CIDEr {second} has {_ratio(scores[second]['CIDEr'], scores[first]['CIDEr'])} of the score of {first}"
    text += f", by exact captions {_ratio(known[second]['exact'], known[first]['exact'])}. "
    pairs = list(combinations(models, 2))
    swapped = [
        (one, other) if scores[one]["CIDEr"] > scores[other]["CIDEr"] else (other, one)
        for one, other in pairs
        if (scores[one]["CIDEr"] - scores[other]["CIDEr"]) * (known[one]["exact"] - known[other]["exact"]) < 0
    ]
    if not swapped:
        return Finding(f"{text}The two orders agree for every pair of models.")
    told = [f"{one} before {other} by CIDEr, behind it by exact" for one, other in swapped]
    return Finding(
        f"{text}The two orders differ for {len(swapped)} of {counted(len(pairs), 'pair')}: {'; '.join(told)}."
    )


def _against(base: str, models: Sequence[str], per_picture: Mapping[str, np.ndarray]) -> tuple[list[str], ...]:
    """Return the models that are ahead of a baseline, behind it, and neither."""
    groups: tuple[list[str], ...] = [], [], []
    for name in models:
        low, high = bootstrap_interval(per_picture[name] - per_picture[base])
        alone = len(per_picture[base]) < 2
        groups[2 if alone or low <= 0 <= high else 0 if low > 0 else 1].append(name)
    return groups


def _checked(scores: Scores, baselines: Iterable[str]) -> tuple[dict[str, Mapping], list[str]]:
    known = {name: row["grounding"] for name, row in scores.items() if row.get("grounding")}
    return known, [name for name in known if name not in set(baselines)]


def _with_interval(row: Mapping, measure: str) -> tuple[float, Sequence[float]]:
    return row[measure], row["intervals"][measure]


def _share(known: Scores, name: str, measure: str) -> str:
    share, (low, high) = _with_interval(known[name], measure)
    return f"{name} {share:.1%} of {counted(round(known[name]['n'][measure]), 'caption')} ({low:.0%} to {high:.0%})"


def _ratio(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "no share"
