"""What every model has to be compared with: captions without vision, without a language model, of people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from captioning.bundle import Neighbors
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.evaluation.scoring import score_results
from captioning.features import FeatureStore
from captioning.metrics.controls import shuffles


def baselines(
    neighbors: Neighbors, store: FeatureStore, dataset: CaptionDataset, records: Sequence[Record], best: Mapping
) -> dict[str, list[dict]]:
    """Return what every model has to be compared with: name -> sets of captions, whose scores are averaged.

    Args:
        neighbors, dataset: the train pictures and captions.
        store: features in which the nearest of them is looked for.
        records: the pictures to be captioned.
        best: captions of the best model, which are shuffled five times, as for `shuffled_CIDEr`.
    """
    made = {
        "most frequent caption": [most_frequent_caption(dataset, records)],
        f"nearest, {store.identity['encoder']}": [nearest_neighbor(neighbors, store, records)],
    }
    return made | ({"best model, shuffled": list(shuffles(best))} if len(records) > 1 else {})


def most_frequent_caption(dataset: CaptionDataset, records: Sequence[Record]) -> dict[int | str, str]:
    """Give every picture the most frequent caption of train (ties: the first in the alphabet)."""
    counts = Counter(caption.lower().strip(" .") for caption in dataset.captions("train"))
    text = min(counts, key=lambda caption: (-counts[caption], caption))
    return {record.image_id: text for record in records}


def nearest_neighbor(neighbors: Neighbors, store: FeatureStore, records: Sequence[Record]) -> dict[int | str, str]:
    """Give every picture the first caption of the train picture with the most similar features."""
    nearest = neighbors.nearest(store.averaged(records), 1)[:, 0]
    return {record.image_id: neighbors.captions[index][0] for record, index in zip(records, nearest, strict=True)}


def score_sets(sets: Sequence[Mapping], records: Sequence[Record], dataset: CaptionDataset, name: str) -> dict:
    """Return the mean of the reports of several sets of captions; what is not a number is that of the first."""
    reports = [score_results(results, records, dataset, {"method": name}) for results in sets]
    return reports[0] if len(reports) == 1 else _mean(reports) | {"shuffled_CIDEr": None}


def _mean(values: list) -> Any:
    known = [value for value in values if value is not None]
    if not known or isinstance(known[0], str):
        return known[0] if known else None
    if isinstance(known[0], dict):
        return {key: _mean([value[key] for value in known]) for key in known[0]}
    if isinstance(known[0], list):
        return [_mean(list(column)) for column in zip(*known, strict=True)]
    return float(np.mean(known))
