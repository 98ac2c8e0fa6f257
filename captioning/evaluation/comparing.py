"""Scores side by side: seeds, pairs of models, and what the gain of a consensus comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from captioning import bundle, metrics
from captioning.datasets.records import Record
from captioning.evaluation.choosing import Consensus
from captioning.evaluation.evaluating import CONSENSUS
from captioning.evaluation.kept import KeptCaptions
from captioning.evaluation.near import NearPictures
from captioning.provenance import digest

FEWER = 4  # of so many train pictures one is left, to see what their number does


def plain(rows: Mapping[str, dict]) -> dict[str, dict]:
    """Return the rows without reranked captions."""
    return {name: row for name, row in rows.items() if not name.endswith(CONSENSUS)}


def by_seed(checkpoints: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the experiments that differ in nothing but the seed: name of the first -> names, two or more."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if (checkpoints / name / "settings.json").is_file():
            settings = bundle.read_settings(checkpoints / name)
            rest = {k: v for k, v in settings.items() if k not in ("finished", "weights_folder")}
            for part in ("model", "training", "batches"):  # the NumPy models have their seed in the first two
                rest[part] = {field: value for field, value in settings[part].items() if field != "seed"}
            groups.setdefault(digest(rest), []).append(name)
    return {group[0]: group for group in groups.values() if len(group) > 1}


def leads(per_picture: Mapping[str, np.ndarray]) -> dict[tuple[str, str], metrics.controls.Estimate]:
    """Compare each model with each that comes after it, on the same pictures: (one, other) -> lead of one."""
    pairs = combinations(per_picture, 2)
    return {pair: metrics.paired_bootstrap(*(per_picture[name] for name in pair)) for pair in pairs}


def rankings(
    kept: KeptCaptions, near: NearPictures, records: Sequence[Record], decoding: dict
) -> tuple[dict[str, dict], float]:
    """Rank the same beams by the captions of other and of fewer train pictures, to see what a consensus lives on.

    Args:
        kept, near, records: see `Consensus`.
        decoding: of the model's scores.

    Returns:
        How they are ranked -> captions (image id -> text): by the model alone, by the train pictures nearest to the
        picture, to another picture, and by the nearest of one in `FEWER` train pictures. And the CIDEr of the best
        caption of each beam.
    """
    rule = decoding["consensus"]
    consensus = Consensus(kept, near, records, rule["encoder"], decoding)
    store, k = kept.stores[rule["encoder"]], rule["k"]
    known = near.neighbors(rule["encoder"])
    fewer = replace(known, vectors=known.vectors[::FEWER], captions=known.captions[::FEWER])
    nearest = {
        "captions near the picture": consensus.nearest,
        f"the same, 1 train picture in {FEWER}": FEWER * fewer.nearest(store.averaged(records), k),
        "captions near another picture": np.roll(consensus.nearest, 1, axis=0),
    }
    ranked = {"the model alone": consensus.candidates()[0]}
    for name, pictures in nearest.items():
        ranked[name] = consensus.captions(k, rule["mix"], consensus.similarity_to(pictures))
    return ranked, consensus.oracle()
