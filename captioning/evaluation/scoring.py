"""Score captions against what people wrote, and against the truth where it is known."""

from collections.abc import Mapping, Sequence

from captioning import metrics
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.datasets.scenes.words import NAMES
from captioning.metrics.grounding import Reading
from captioning.metrics.lexicon import Lexicon

_LEXICON = Lexicon(NAMES)


def references_of(records: Sequence[Record]) -> dict:
    """Return image id -> what people wrote."""
    return {record.image_id: list(record.captions) for record in records}


def check(record: Record, text: str) -> str:
    """Tell whether a caption is true, and why not; empty where the truth is not known, as on photos.

    Checked are the things with their colors, the place, and left, right, middle and height; not sizes, nor the light.
    """
    if record.truth is None:
        return ""
    problems = Reading(record.truth, text, _LEXICON, record.image_id).problems()
    return f"✗ {'; '.join(problems[:2])}" if problems else "✓ right"


def score_results(results: Mapping, records: Sequence[Record], dataset: CaptionDataset, decoding: dict) -> dict:
    """Return the whole report of one set of captions, with their `language`; with the truth of pictures drawn here."""
    truth = {record.image_id: record.truth for record in records if record.truth is not None}
    train = dataset.captions("train")
    scores = metrics.report(references_of(records), dict(results), train, decoding, truth=truth or None, names=NAMES)
    return scores | {"language": metrics.language(results, dataset.once("train", metrics.bad_endings))}
