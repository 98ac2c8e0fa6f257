"""Caption the test split with a bundle or a baseline, and score it once for all."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from captioning import metrics
from captioning.bundle import Bundle
from captioning.datasets.dataset import CaptionDataset, Record
from captioning.datasets.scenes.words import NAMES
from captioning.features import FeatureStore

# Beam width and length penalty; the validation pictures choose among them.
DECODINGS = ((1, 0.7), (3, 0.7), (3, 1.0), (5, 0.7), (5, 1.0))


def references_of(records: Sequence[Record]) -> dict:
    """Return image id -> what people wrote."""
    return {record.image_id: list(record.captions) for record in records}


def caption_records(
    bundle: Bundle, store: FeatureStore, records: Sequence[Record], beam_width: int, length_penalty: float = 0.7
) -> dict[int | str, str]:
    """Return image id -> caption for pictures that have features; see `decoding.beam_search`."""
    texts = {}
    for start in range(0, len(records), 256):
        part = records[start : start + 256]
        features = store.rows(part)
        captions = bundle.decode(features, beam_width, length_penalty=length_penalty)
        texts |= {r.image_id: bundle.tokenizer.decode(c.tokens) for r, c in zip(part, captions, strict=True)}
    return texts


def try_decodings(bundle: Bundle, store: FeatureStore, validation: Sequence[Record]) -> list[dict[str, float]]:
    """Return each of `DECODINGS` with its CIDEr on validation pictures; the test split has no say in it."""
    cider = metrics.CiderD(references_of(validation))
    rows = []
    for width, penalty in DECODINGS:
        score, _ = cider.score(caption_records(bundle, store, validation, width, penalty))
        rows.append({"beam_width": width, "length_penalty": penalty, "validation_CIDEr": float(score)})
    return rows


def evaluate(bundle: Bundle, store: FeatureStore, dataset: CaptionDataset, val_pictures: int | None = None) -> dict:
    """Score a bundle on the test split and keep `scores.json` and `captions.json` in its folder.

    Nothing is computed when both are there and belong to these weights and pictures.

    Args:
        bundle: the trained model.
        store: features of its encoder.
        dataset: validation pictures choose beam width and length penalty, test pictures are scored.
        val_pictures: at most so many validation pictures.

    Returns:
        The scores, see `metrics.report`.

    Raises:
        BundleError: see `Bundle.check_fits`.
    """
    bundle.check_fits(store, dataset)
    scores_file, captions_file = bundle.folder / "scores.json", bundle.folder / "captions.json"
    val, test = (store.readable(dataset.split(split)) for split in ("val", "test"))
    fingerprint = _fingerprint(bundle, val[:val_pictures], test)
    if scores_file.is_file() and captions_file.is_file():
        kept = json.loads(scores_file.read_text(encoding="utf-8"))
        if kept.get("fingerprint") == fingerprint:
            return kept
    tried = try_decodings(bundle, store, val[:val_pictures])
    best = max(tried, key=lambda row: row["validation_CIDEr"])
    results = caption_records(bundle, store, test, best["beam_width"], best["length_penalty"])
    decoding = {"method": "beam search"} | best | {"tried": tried}
    scores = score_results(results, test, dataset, decoding) | {"fingerprint": fingerprint}
    # COCO's results layout: `python -m captioning.metrics` scores the file too.
    rows = [{"image_id": image_id, "caption": text} for image_id, text in results.items()]
    _write(captions_file, json.dumps(rows, indent=0, ensure_ascii=False))
    _write(scores_file, json.dumps(scores, indent=1))
    return scores


def score_results(results: Mapping, records: Sequence[Record], dataset: CaptionDataset, decoding: dict) -> dict:
    """Return the whole report of one set of captions; with the truth where the pictures are drawn."""
    truth = {record.image_id: record.truth for record in records if record.truth is not None}
    return metrics.report(
        references_of(records), dict(results), dataset.captions("train"), decoding, truth=truth or None, names=NAMES
    )


def most_frequent_caption(dataset: CaptionDataset, records: Sequence[Record]) -> dict[int | str, str]:
    """Give every picture the caption that stands most often in train (ties: the first in the alphabet)."""
    counts = Counter(caption.lower().strip(" .") for caption in dataset.captions("train"))
    text = min(counts, key=lambda caption: (-counts[caption], caption))
    return {record.image_id: text for record in records}


def dealt_to_others(results: Mapping, seed: int = 0) -> dict[int | str, str]:
    """Give every picture the caption of another one: in a random circle, each to the next."""
    circle = [list(results)[index] for index in np.random.default_rng(seed).permutation(len(results))]
    return {image_id: results[before] for before, image_id in zip([circle[-1], *circle], circle, strict=False)}


def nearest_neighbour(store: FeatureStore, dataset: CaptionDataset, records: Sequence[Record]) -> dict[int | str, str]:
    """Give every picture the first caption of the train picture with the most similar features.

    Similar: cosine of the vectors (regions averaged), standardised per channel over train.
    """
    train = store.readable(dataset.split("train"))
    known, asked = (_directions(store, train, part) for part in (train, records))
    nearest = [int(np.argmax(known @ vector)) for vector in asked]
    return {record.image_id: train[index].captions[0] for record, index in zip(records, nearest, strict=True)}


def _directions(store: FeatureStore, train: Sequence[Record], records: Sequence[Record]) -> np.ndarray:
    mean, variance = store.statistics(train, averaged=True)
    vectors = store.averaged(records)[:, 0]
    vectors = (vectors - mean) / np.sqrt(variance)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _fingerprint(bundle: Bundle, val: Sequence[Record], test: Sequence[Record]) -> str:
    """Return a fingerprint of all that decides the scores."""
    digest = hashlib.sha256(bundle.weights_file.read_bytes())
    pictures = [[[record.image_id, record.captions] for record in part] for part in (val, test)]
    digest.update(json.dumps([DECODINGS, pictures]).encode())
    return digest.hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    """Write under another name first: a kill leaves no half of a file."""
    partial = path.with_suffix(".part")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
