"""How sure an order is: pairs of models, seeds, people; and what captions are like beside their scores."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from captioning.findings.finding import Finding
from captioning.findings.reranking import MEASURES
from captioning.findings.wording import counted, listed, percent, span
from captioning.metrics.controls import Estimate


def pairs(leads: Mapping[tuple[str, str], Estimate]) -> Finding:
    """Tell how many pairs of models are in a sure order, and which have the smallest lead among those."""
    if not leads:
        return Finding("One model has no order.")
    sure = {pair: lead for pair, lead in leads.items() if lead.sign}
    text = f"In an order that 95 % of the resamples keep: {len(sure)} of {counted(len(leads), 'pair')}."
    if sure:
        (one, other), lead = min(sure.items(), key=lambda item: abs(item[1].mean))
        text += f" The closest of these: {one} and {other}, {abs(lead.mean):.3f} apart."
    return Finding(text)


def seeds(groups: Mapping[str, Sequence[str]], scores: Mapping[str, Mapping]) -> Finding:
    """Tell mean and deviation of experiments that differ in the seed only.

    Args:
        groups: name of the first -> names of all, see `evaluation.by_seed`.
        scores: name -> row of the table.
    """
    if not groups:
        return Finding("No experiment was trained with several seeds: how much is due to chance is not known here.")
    said = []
    for first, names in groups.items():
        values = {measure: [scores[name][measure] for name in names] for measure in MEASURES}
        each = ", ".join(f"{measure} {fmean(row):.3f} ± {stdev(row):.3f}" for measure, row in values.items())
        said.append(f"{first}, {len(names)} seeds: {each}")
    return Finding(f"Mean and deviation (n - 1): {'; '.join(said)}.")


def people(crowd: Mapping | None, models: Mapping[str, Mapping]) -> Finding:
    """Tell which models score above people, each against equally many references, see `metrics.leave_one_out`."""
    if crowd is None:
        return Finding("Some pictures have fewer than four references: too few to score one against the others.")
    above = {m: [name for name, row in models.items() if row[m] > crowd[m]] for m in MEASURES}
    said = "; ".join(f"by {measure} {listed(names or ['no model'])}" for measure, names in above.items())
    scored = ", ".join(f"{measure} {crowd[measure]:.3f}" for measure in MEASURES)
    return Finding(f"People: {scored}. Above them: {said}.")


def languages(scores: Mapping[str, Mapping]) -> Finding:
    """Tell which model ends most captions badly, which repeats itself most, and how much better a beam's best is.

    Args:
        scores: name -> row of the table, with `language`, `samples` and `oracle_CIDEr`.
    """
    worst = max(scores, key=lambda name: scores[name]["language"]["bad_endings"])
    narrow = max(scores, key=lambda name: scores[name]["samples"]["mBLEU_4"])
    gains = [row["oracle_CIDEr"] - row["CIDEr"] for row in scores.values()]
    words = [row["language"]["words"] for row in scores.values()]
    bad = scores[worst]["language"]["bad_endings"]
    endings = f"Most bad endings: {worst} ({percent(bad)})" if bad else "No caption ends badly"
    return Finding(
        f"Mean length: {span(words, '.1f')} words. {endings}. Samples of one picture are most alike for {narrow} "
        f"(mBLEU {scores[narrow]['samples']['mBLEU_4']:.2f}). The best caption of a beam, if it were known, has "
        f"{span(gains, '.3f')} CIDEr more than the caption given."
    )


def pair_cell(lead: Estimate | None) -> str:
    """Return a lead times 100, as "+1.2", with "?" where its 95 % interval holds 0; nothing where there is none."""
    return "" if lead is None else f"{100 * lead.mean:+.1f}" + (" " if lead.sign else "?")
