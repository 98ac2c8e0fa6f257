"""Caption the test split with a bundle or a baseline, and score it; captions are kept, scores always computed."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from captioning import bundle, experiments, features, metrics
from captioning.bundle import Bundle, BundleError
from captioning.datasets.dataset import CaptionDataset, Record
from captioning.datasets.scenes.words import NAMES
from captioning.features import FeatureStore
from captioning.files import DamagedError, read_json, write_json
from captioning.metrics.controls import shuffles
from captioning.metrics.grounding import Reading
from captioning.metrics.lexicon import Lexicon
from captioning.provenance import StaleError, content_digest, difference, digest
from captioning.settings import Project

TOGETHER = 1024  # train pictures compared at a time
# Beam width and length penalty; the validation pictures choose among them. Width 1 without penalty is greedy decoding:
# with one, the search would go past the first END, and a longer caption could win.
DECODINGS = ((1, 0.0), (3, 0.7), (3, 1.0), (5, 0.7), (5, 1.0))
_LEXICON = Lexicon(NAMES)


def references_of(records: Sequence[Record]) -> dict:
    """Return image id -> what people wrote."""
    return {record.image_id: list(record.captions) for record in records}


def caption_records(
    bundle: Bundle, store: FeatureStore, records: Sequence[Record], beam_width: int, length_penalty: float
) -> list[tuple[str, float]]:
    """Return the caption of each picture that has features, and its mean log-probability per word.

    Args:
        bundle, store: the model, and the features of its encoder.
        records: the pictures.
        beam_width, length_penalty: see `decoding.beam_search`.
    """
    parts = (records[start : start + 256] for start in range(0, len(records), 256))
    decoded = (bundle.decode(store.rows(part), beam_width, length_penalty=length_penalty) for part in parts)
    return [(bundle.tokenizer.decode(c.tokens), round(c.per_word, 4)) for captions in decoded for c in captions]


class KeptCaptions:
    """The captions that a bundle has given so far, in `decoded.json`: none is decoded twice, and none that is stale."""

    def __init__(self, bundle: Bundle, store: FeatureStore):
        """Take the bundle, and the features that it captions."""
        self._bundle, self._store, self._file = bundle, store, bundle.folder / "decoded.json"
        self._made_from = {
            "format": 2,
            "weights": content_digest(bundle.weights_file.read_bytes()),
            "tokenizer": digest(bundle.tokenizer.vocabulary),
            "class": bundle.settings["class"]["code"],
            "max_length": bundle.max_length,
        }
        self._kept: dict[str, list[tuple[str, float]]] = {}
        try:
            kept = read_json(self._file, "")
            if not difference(kept["made_from"], self._made_from):
                self._kept = {
                    key: [(str(text), float(sure)) for text, sure in rows] for key, rows in kept["captions"].items()
                }
        except FileNotFoundError:
            pass
        except (DamagedError, KeyError, TypeError, AttributeError, ValueError):
            print(f"{self._file} is damaged: the pictures are captioned again.")

    def of(self, records: Sequence[Record], beam_width: int, length_penalty: float) -> dict[int | str, str]:
        """Return image id -> caption, decoded only where it is not kept.

        Args:
            records: pictures with features.
            beam_width, length_penalty: see `decoding.beam_search`.
        """
        rows = self._rows(records, beam_width, length_penalty)
        return {record.image_id: text for record, (text, _) in zip(records, rows, strict=True)}

    def confidences(self, records: Sequence[Record], beam_width: int, length_penalty: float) -> list[float]:
        """Return the mean log-probability per word of each of these captions, in ascending order."""
        return sorted(sure for _, sure in self._rows(records, beam_width, length_penalty))

    def _rows(self, records: Sequence[Record], beam_width: int, length_penalty: float) -> list[tuple[str, float]]:
        key = f"beam {beam_width}, length penalty {length_penalty:g}, features {self._store.digest(records)}"
        if len(self._kept.get(key, ())) != len(records):
            self._kept[key] = caption_records(self._bundle, self._store, records, beam_width, length_penalty)
            write_json(self._file, {"made_from": self._made_from, "captions": self._kept}, indent=0)
        return self._kept[key]


def try_decodings(kept: KeptCaptions, validation: Sequence[Record]) -> list[dict[str, float]]:
    """Return each of `DECODINGS` with its CIDEr on validation pictures; the test split has no say in it."""
    cider = metrics.CiderD(references_of(validation))
    tried = [(width, penalty, cider.score(kept.of(validation, width, penalty))[0]) for width, penalty in DECODINGS]
    return [dict(zip(("beam_width", "length_penalty", "validation_CIDEr"), row, strict=True)) for row in tried]


def evaluate(bundle: Bundle, store: FeatureStore, dataset: CaptionDataset, val_pictures: int | None = None) -> dict:
    """Score a bundle on the test split and write `scores.json` and `captions.json` into its folder.

    Args:
        bundle: the trained model.
        store: features of its encoder.
        dataset: validation pictures choose beam width and length penalty, test pictures are scored.
        val_pictures: at most so many validation pictures.

    Returns:
        The scores, see `metrics.report`.

    Raises:
        StaleError: see `Bundle.check_fits`.
    """
    bundle.check_fits({store.identity["encoder"]: store}, dataset)
    val, test = (store.readable(dataset.split(split)) for split in ("val", "test"))
    kept = KeptCaptions(bundle, store)
    val = val[:val_pictures]
    tried = try_decodings(kept, val)
    best = max(tried, key=lambda row: row["validation_CIDEr"])
    if not best["validation_CIDEr"]:
        used = f"beam width {best['beam_width']} is used"
        print(f"{bundle.name}: CIDEr on validation is 0 for every decoding and cannot choose one: {used}.")
    chosen = best["beam_width"], best["length_penalty"]
    results = kept.of(test, *chosen)
    decoding = {"method": "beam search"} | best | {"tried": tried, "confidences": kept.confidences(val, *chosen)}
    scores = score_results(results, test, dataset, decoding)
    # COCO's results layout: `python -m captioning.metrics` scores the file too.
    rows = [{"image_id": image_id, "caption": text} for image_id, text in results.items()]
    write_json(bundle.folder / "captions.json", rows, indent=0)
    write_json(bundle.folder / "scores.json", scores)
    return scores


def evaluate_all(
    project: Project, dataset: CaptionDataset, val_pictures: int | None = None
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Score every finished experiment; one that does not fit what is here now is left out, with a line that says why.

    Args:
        project: holds the experiments and the features.
        dataset, val_pictures: as for `evaluate`.

    Returns:
        Name -> scores, and name -> captions of the test split (image id -> text).

    Raises:
        FileNotFoundError: there is no finished experiment, or none of them fits.
    """
    scores, results = {}, {}
    for folder in experiments.find(project.checkpoints):
        try:
            captioner = bundle.load(folder)
            store = FeatureStore(features.folder_of(project, captioner.settings["encoder"]["encoder"]))
            scores[folder.name] = evaluate(captioner, store, dataset, val_pictures)
            results[folder.name] = metrics.read_results(folder / "captions.json")
        except (BundleError, StaleError, DamagedError, features.FeatureError, FileNotFoundError) as error:
            print(f"{folder.name}: left out. {error}")
    if not scores:
        raise FileNotFoundError(f"No experiment in {project.checkpoints} fits the data: run a model notebook again.")
    return scores, results


def check(record: Record, text: str) -> str:
    """Tell whether a caption is true, and why not; empty where the truth is not known, as on photos.

    Checked are the things with their colors, the place, and left, right, middle and height; not sizes, nor the light.
    """
    if record.truth is None:
        return ""
    problems = Reading(record.truth, text, _LEXICON, record.image_id).problems()
    return f"✗ {'; '.join(problems[:2])}" if problems else "✓ right"


def score_results(results: Mapping, records: Sequence[Record], dataset: CaptionDataset, decoding: dict) -> dict:
    """Return the whole report of one set of captions; with the truth where the pictures are drawn."""
    truth = {record.image_id: record.truth for record in records if record.truth is not None}
    return metrics.report(
        references_of(records), dict(results), dataset.captions("train"), decoding, truth=truth or None, names=NAMES
    )


def baselines(
    store: FeatureStore, dataset: CaptionDataset, records: Sequence[Record], best: Mapping
) -> dict[str, list[dict]]:
    """Return what every model has to be compared with: name -> sets of captions, whose scores are averaged.

    Args:
        store: features in which the nearest train picture is looked for.
        dataset: its train captions are used.
        records: the pictures to be captioned.
        best: captions of the best model, which are shuffled five times, as for `shuffled_CIDEr`; a single picture has
            no such baseline.
    """
    made = {
        "most frequent caption": [most_frequent_caption(dataset, records)],
        f"nearest, {store.identity['encoder']}": [nearest_neighbor(store, dataset, records)],
    }
    return made | ({"best model, shuffled": list(shuffles(best))} if len(records) > 1 else {})


def score_sets(sets: Sequence[Mapping], records: Sequence[Record], dataset: CaptionDataset, name: str) -> dict:
    """Return the mean of the reports of several sets of captions; what is not a number is that of the first."""
    reports = [score_results(results, records, dataset, {"method": name}) for results in sets]
    return reports[0] if len(reports) == 1 else _mean(reports) | {"shuffled_CIDEr": None}


def _mean(values: list):
    known = [value for value in values if value is not None]
    if not known or isinstance(known[0], str):
        return known[0] if known else None
    if isinstance(known[0], dict):
        return {key: _mean([value[key] for value in known]) for key in known[0]}
    if isinstance(known[0], list):
        return [_mean(list(column)) for column in zip(*known, strict=True)]
    return float(np.mean(known))


def most_frequent_caption(dataset: CaptionDataset, records: Sequence[Record]) -> dict[int | str, str]:
    """Give every picture the most frequent caption of train (ties: the first in the alphabet)."""
    counts = Counter(caption.lower().strip(" .") for caption in dataset.captions("train"))
    text = min(counts, key=lambda caption: (-counts[caption], caption))
    return {record.image_id: text for record in records}


def nearest_neighbor(store: FeatureStore, dataset: CaptionDataset, records: Sequence[Record]) -> dict[int | str, str]:
    """Give every picture the first caption of the train picture with the most similar features.

    Similar: cosine of the vectors (regions averaged), standardized per channel over train. The train features are read
    once, in pieces.
    """
    train = store.readable(dataset.split("train"))
    scale = store.statistics(train, averaged=True)
    asked = _directions(store, records, *scale)
    best, nearest = np.full(len(records), -np.inf, np.float32), np.zeros(len(records), int)
    for start in range(0, len(train), TOGETHER):
        similar = asked @ _directions(store, train[start : start + TOGETHER], *scale).T
        column = similar.argmax(axis=1)
        value = similar[np.arange(len(records)), column]
        nearest = np.where(value > best, start + column, nearest)
        best = np.maximum(value, best)
    return {record.image_id: train[index].captions[0] for record, index in zip(records, nearest, strict=True)}


def _directions(store: FeatureStore, records: Sequence[Record], mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    vectors = (store.averaged(records)[:, 0] - mean) / np.sqrt(variance)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
