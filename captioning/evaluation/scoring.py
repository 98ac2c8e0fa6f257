"""Score captions against what people wrote, and against the truth where it is known."""

from collections.abc import Mapping, Sequence

from captioning import metrics
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.metrics.grounding import Reading


def references_of(records: Sequence[Record]) -> dict:
    """Return image id -> what people wrote."""
    return {record.image_id: list(record.captions) for record in records}


def check(record: Record, text: str) -> str:
    """Tell whether a caption is true, and why not; empty where the truth is not known, as on photos.

    Checked are the things with their colors, the place, and left, right, middle and height; not sizes, nor the light.
    """
    if record.truth is None:
        return ""
    problems = Reading(record.truth, text, image=record.image_id).problems()
    return f"✗ {'; '.join(problems[:2])}" if problems else "✓ right"


def score_results(results: Mapping, records: Sequence[Record], dataset: CaptionDataset, decoding: dict) -> dict:
    """Return all that `scores.json` holds for one set of captions.

    Returns:
        The scores of `metrics.score`, with `decoding` (how the captions were made), `shuffled_CIDEr` (None, with the
        reason beside it, for a single image), `distinct_captions`, `novel_captions`, `language` and, of pictures drawn
        here, `grounding`.
    """
    cider = metrics.CiderD(references_of(records))
    scores = metrics.score(cider, results)
    scores |= {
        "decoding": dict(decoding),
        "shuffled_CIDEr": metrics.shuffled_cider(cider, results) if len(records) > 1 else None,
        "distinct_captions": metrics.distinct_captions(results),
        "novel_captions": metrics.novel_captions(results, dataset.captions("train")),
    }
    if len(records) == 1:
        scores["shuffled_CIDEr_reason"] = "There is one image only: its caption cannot be shuffled to another."
    if truth := {record.image_id: record.truth for record in records if record.truth is not None}:
        scores["grounding"] = metrics.grounding(truth, results)
    return scores | {"language": metrics.language(results, dataset.once("train", metrics.bad_endings))}
