"""What tables and figures of scores show: who is ahead of whom, and what cannot be told apart."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from captioning.findings.finding import NO_TRUTH, Finding
from captioning.findings.wording import counted, listed, percent, span
from captioning.metrics.controls import paired_bootstrap, share_interval, shares_differ

Scores = Mapping[str, Mapping]


def scored(scores: Scores) -> Finding:
    """Tell which experiments are scored, and on how many pictures."""
    images = [row["images"] for row in scores.values()]
    fewest = f"{min(images):,} to " if min(images) < max(images) else ""  # features may lack some pictures
    text = f"Scored on {fewest}{counted(max(images), 'test picture')}: {listed(scores)}."
    if any("units" in row for row in scores.values()):
        text += " Characters are scored, since the references have no spaces between words: not comparable with scores"
        text += " of words."
    return Finding(text)


def decodings(scores: Scores) -> Finding:
    """Tell which decoding validation chose for each model, and what it gains over greedy, and words once over not."""
    chosen: dict[str, list[str]] = {}
    gains, free, silent = [], [], []
    for name, row in scores.items():
        tried = [each["validation_CIDEr"] for each in row["decoding"]["tried"]]
        chosen.setdefault(decoding_name(row["decoding"]), []).append(name)
        gains.append(row["decoding"]["validation_CIDEr"] - tried[0])
        free.append(tried[-1] - max(tried[:-1]))
        silent += [] if any(tried) else [name]
    text = "; ".join(f"{decoding} for {listed(names)}" for decoding, names in chosen.items())
    text = f"Validation chose {text} (beam width/length penalty), {span(gains, '.3f')} CIDEr above greedy decoding."
    text += f" The best with words once, searched again without that rule: {span(free, '+.3f')} CIDEr."
    if silent:
        text += f" CIDEr is 0 for every decoding of {listed(silent)}: there, nothing was chosen."
    return Finding(text)


def decoding_name(decoding: Mapping) -> str:
    """Return "greedy", or beam width and length penalty as "5/0.7"; "once" where words of content fall once at most."""
    width, penalty = decoding["beam_width"], decoding["length_penalty"]
    once = decoding.get("words_once", decoding.get("may_repeat") is not None)
    return ("greedy" if width == 1 and not penalty else f"{width}/{penalty:g}") + " once" * once


def comparison(scores: Scores, per_picture: Mapping[str, np.ndarray], baselines: Iterable[str]) -> Finding:
    """Tell which models are ahead of which baselines by CIDEr, and which are not above them by another score.

    Args:
        scores: name -> row of the table; models and baselines.
        per_picture: name -> CIDEr of each picture, in the same order.
        baselines: names of those that are baselines.
    """
    baselines = list(baselines)
    models = [name for name in scores if name not in baselines]
    parts: dict[str, list[str]] = {}  # what is said -> of which baselines
    others = []
    for base in baselines:
        groups: dict[str, list[str]] = {"ahead": [], "behind it": [], "not distinguishable": []}
        for name in models:
            groups[_place(per_picture[name], per_picture[base])].append(name)
        ahead = _who(groups.pop("ahead"), models)
        remarks = "; ".join(f"{listed(names)} {place}" for place, names in groups.items() if names)
        parts.setdefault(ahead + (f" ({remarks})" if remarks else ""), []).append(f'"{base}"')
        for measure in ("Bleu_4", "ROUGE_L"):
            if lower := [name for name in models if scores[name][measure] <= scores[base][measure]]:
                others.append(f'{listed(lower)} not above "{base}" by {measure}')
    said = "; ".join(f"ahead of {listed(bases)}: {who}" for who, bases in parts.items())
    text = f"By CIDEr, with 95 % intervals of the paired differences, {said}. Without intervals, "
    return Finding(f"{text}{'; '.join(others) or 'every model is above every baseline by Bleu_4 and ROUGE_L'}.")


def _place(model: np.ndarray, baseline: np.ndarray) -> str:
    """Tell whether a model is ahead of a baseline, from their scores on each picture."""
    sign = paired_bootstrap(model, baseline).sign if len(model) > 1 else 0
    return ("not distinguishable", "ahead", "behind it")[sign]


def _who(names: Sequence[str], models: Sequence[str]) -> str:
    return "every model" if 1 < len(names) == len(models) else listed(names or ["no model"])


def ranking(per_picture: Mapping[str, np.ndarray]) -> Finding:
    """Tell by how much the model of the highest mean CIDEr leads, and which cannot be distinguished from it."""
    best, *others = sorted(per_picture, key=lambda name: -per_picture[name].mean())
    pictures = len(per_picture[best])
    if not others or pictures < 2:
        return Finding(
            f"{counted(1 + len(others), 'model')} on {counted(pictures, 'picture')}: no order can be determined."
        )
    leads = {name: paired_bootstrap(per_picture[best], per_picture[name]) for name in others}
    lead, unclear = leads[others[0]], [name for name in others if leads[name].sign < 1]
    return Finding(
        f"{best} has the highest CIDEr, {per_picture[best].mean():.3f}. Its lead over {others[0]} is "
        f"{lead.mean:.3f} (95 % interval of the paired difference {lead.low:.3f} to {lead.high:.3f}). "
        f"Not distinguishable from it: {listed(unclear or ['no model'])}."
    )


def truth(scores: Scores, baselines: Iterable[str]) -> Finding:
    """Tell who says the truth most often, who repeats things, and which models do not beat which baselines."""
    known, models = _checked(scores, baselines)
    if not known:
        return Finding(NO_TRUTH)
    first, *others = sorted(models, key=lambda name: -known[name]["exact"])
    text = f"Exact: {_share(known, first, 'exact')}"
    if others:
        apart = "" if _differ(known[first], known[others[0]], "exact") else "not "
        text += f", then {_share(known, others[0], 'exact')}, {apart}distinguishable"
    above: dict[str, list[str]] = {}
    for base in [name for name in known if name not in models]:
        more = [name for name in models if known[name]["exact"] > known[base]["exact"]]
        clearly = [name for name in more if _differ(known[name], known[base], "exact")]
        above.setdefault(_who(clearly, models), []).append(f'"{base}"')
    if above:
        text += ". Clearly more exact captions than "
        text += "; than ".join(f"{listed(bases)}: {who}" for who, bases in above.items())
    most = max(models, key=lambda name: known[name]["repeats"])
    text += f". Most repeats: {_share(known, most, 'repeats')}."
    if sided := [name for name in models if known[name]["relation"] is not None]:
        better = [name for name in sided if known[name]["intervals"]["relation"][0] > 0.5]
        text += f" Relation: above the 50 % of a guess for {listed(better or ['no model'])}."
    return Finding(f"{text} {_unseen(known, models)}")


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
        apart = shares_differ((rest, share_interval(rest, pictures)), (few["pair"], few["intervals"]["pair"]))
        verdict = "not distinguishable" if not apart else "lower" if few["pair"] < rest else "higher"
        verdicts.setdefault(verdict, []).append(f"{name} ({percent(few['pair'])} v {percent(rest)})")
    said = "; ".join(f"{verdict} for {listed(names)}" for verdict, names in verdicts.items())
    return f"Pairs of unseen combinations (n = {few['n']['pair']}) against the others (n = {count}): {said}."


def orders(scores: Scores, baselines: Iterable[str]) -> Finding:
    """Tell where the order of the models by CIDEr differs from that by exact captions."""
    known, models = _checked(scores, baselines)
    if len(models) < 2:
        return Finding("One model has no order." if known else NO_TRUTH)
    models.sort(key=lambda name: -scores[name]["CIDEr"])
    cider, exact = (
        percent(values[1] / values[0], 0) if values[0] else "no share"
        for values in ([scores[name]["CIDEr"] for name in models], [known[name]["exact"] for name in models])
    )
    text = f"By CIDEr {models[1]} has {cider} of the score of {models[0]}, by exact captions {exact}. "
    swapped = [
        f"{one} before {other} by CIDEr, behind it by exact"
        for one, other in combinations(models, 2)
        if scores[one]["CIDEr"] > scores[other]["CIDEr"] and known[one]["exact"] < known[other]["exact"]
    ]
    if not swapped:
        return Finding(f"{text}No pair of models has the opposite order by the two.")
    return Finding(f"{text}The two orders differ for {counted(len(swapped), 'pair')}: {'; '.join(swapped)}.")


def _checked(scores: Scores, baselines: Iterable[str]) -> tuple[dict[str, Mapping], list[str]]:
    known = {name: row["grounding"] for name, row in scores.items() if row.get("grounding")}
    return known, [name for name in known if name not in set(baselines)]


def _differ(row: Mapping, other: Mapping, measure: str) -> bool:
    return shares_differ(*((each[measure], each["intervals"][measure]) for each in (row, other)))


def _share(known: Scores, name: str, measure: str) -> str:
    share, (low, high) = known[name][measure], known[name]["intervals"][measure]
    return f"{name} {percent(share)} (n = {known[name]['n'][measure]:.0f}, {percent(low, 0)} to {percent(high, 0)})"
