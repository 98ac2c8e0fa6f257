"""What captions of near pictures and other models add: consensus reranking, and models that caption together."""

from collections.abc import Mapping

import numpy as np

from captioning.findings.finding import Finding, claim
from captioning.findings.wording import counted, listed, percent
from captioning.metrics import paired_bootstrap

MEASURES = ("CIDEr", "Bleu_4", "ROUGE_L")


def consensus(rows: Mapping[str, Mapping]) -> Finding:
    """Tell for how many models reranked captions score higher, by each measure, and what else changes.

    The rows are those of the table, by name, of models without and with " + consensus".
    """
    both = [(rows[name], rows[f"{name} + consensus"]) for name in rows if f"{name} + consensus" in rows]
    said = []
    for measure in MEASURES:
        changes = [after[measure] - before[measure] for before, after in both]
        said.append(f"{measure} {np.mean(changes):+.3f} (higher for {sum(c > 0 for c in changes)} of {len(both)})")
    text = f"Mean change from consensus: {', '.join(said)}."
    for noun, share in (("Novel", lambda row: row["novel_captions"]), ("Exact", _exact)):
        before, after = (np.array([share(row) for row in side], float) for side in zip(*both, strict=True))
        if not np.isnan(before).any():
            text += f" {noun} captions: mean {percent(np.mean(before))} before, {percent(np.mean(after))} after."
    higher = [pair for pair in both if pair[1]["CIDEr"] > pair[0]["CIDEr"]]
    shares = [(_exact(before), _exact(after)) for before, after in higher]
    if falser := sum(one is not None and other is not None and other < one for one, other in shares):
        text += (
            f" CIDEr rises and truth falls for {falser} of {counted(len(both), 'model')}: more like people, less exact."
        )
    return Finding(text)


def _exact(row: Mapping) -> float | None:
    return row["grounding"]["exact"] if row.get("grounding") else None


def together(scores: Mapping[str, Mapping]) -> Finding:
    """Tell which models caption together, and what that gains on validation pictures."""
    if "ensemble" not in scores:
        return Finding("No two models share a vocabulary, so there is no ensemble.")
    decoding = scores["ensemble"]["decoding"]
    names = [row["member"] for row in decoding["members"] if row["added"]]
    alone = scores[names[0]]["decoding"]["validation_CIDEr"]
    tried, gain = counted(len(decoding["members"]), "model"), decoding["validation_CIDEr"] - alone
    return Finding(
        f"Members: {listed(names)}, of {tried} tried. Each with its best decoding, together they have {abs(gain):.3f} "
        f"{'more' if gain >= 0 else 'less'} CIDEr on validation pictures than {names[0]} alone."
    )


def rankings(scores: Mapping[str, Mapping], per_picture: Mapping[str, np.ndarray], best: float) -> Finding:
    """Tell what the gain of a consensus is, and how much of it other or fewer train pictures give.

    Args:
        scores, per_picture: how a beam is ranked -> its scores, and its CIDEr of each picture: by the model alone,
            by near train pictures, by fewer of them, by those near another picture; in this order.
        best: CIDEr of the best captions of the beams.
    """
    alone, near, *others = scores.values()
    gains = [row["CIDEr"] - alone["CIDEr"] for row in (near, *others)]
    measures = ", ".join(f"{m} {near[m] - alone[m]:+.3f}" for m in MEASURES[1:])
    _, mine, *foreign = per_picture.values()
    leads = [paired_bootstrap(mine, values) for values in foreign]
    apart = (f"{lead.mean:.3f} (95 % interval {lead.low:.3f} to {lead.high:.3f})" for lead in leads)
    text = (
        f"reranking changes CIDEr by {gains[0]:+.3f} ({measures}); with fewer train pictures by {gains[1]:+.3f}, with "
        f"those near another picture by {gains[2]:+.3f}. The best of each beam: {best - alone['CIDEr']:+.3f}. "
        "Lead of near pictures over fewer {}, over those near another picture {}.".format(*apart)
    )
    return claim(leads[1].sign > 0, text, "What near pictures add cannot be distinguished from chance here.")
