"""Caption the test split with a model, and score it; captions are kept, scores always computed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from captioning import bundle, experiments, features, metrics
from captioning.bundle import Bundle, BundleError, Captioner, Ensemble
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.evaluation.choosing import Consensus, choose_consensus, choose_decoding, choose_members
from captioning.evaluation.kept import KeptCaptions
from captioning.evaluation.near import NearPictures
from captioning.evaluation.scoring import score_results
from captioning.features import FeatureStore
from captioning.files import DamagedError, write_json
from captioning.provenance import StaleError
from captioning.settings import Project

ENSEMBLE = "ensemble"
CONSENSUS, RERANKED = " + consensus", "captions_consensus.json"
SAMPLES = 5  # captions per picture whose diversity is measured


class Stores(dict):
    """The features of a project by the name of their encoder, opened when they are asked for."""

    def __init__(self, project: Project):
        super().__init__()
        self._project = project

    def __missing__(self, encoder: str) -> FeatureStore:
        return self.setdefault(encoder, FeatureStore(features.folder_of(self._project, encoder)))


def readable(captioner: Captioner, stores: Mapping[str, FeatureStore], records: Sequence[Record]) -> Sequence[Record]:
    """Return the records whose pictures have features of all encoders of a captioner."""
    for name in captioner.encoder_names:
        records = stores[name].readable(records)
    return records


def evaluate(
    captioner: Captioner,
    stores: Mapping[str, FeatureStore],
    dataset: CaptionDataset,
    val_pictures: int | None = None,
    near: NearPictures | None = None,
    **more: object,
) -> dict:
    """Score a captioner on the test split; write `scores.json`, `captions.json` and `captions_consensus.json`.

    Validation pictures, at most `val_pictures`, choose how captions are searched and reranked, test pictures are
    scored. `more` are further fields of `decoding`.

    Returns:
        The scores, see `score_results`; `consensus`, the same of the reranked captions; `oracle_CIDEr`, of the best
        captions of the beams that they are chosen from; `samples`, the diversity of captions drawn at random.
    """
    captioner.check_fits(stores, dataset)
    val, test = (readable(captioner, stores, dataset.split(split)) for split in ("val", "test"))
    val, near = val[:val_pictures], near or NearPictures(captioner.folder.parent, stores, dataset)
    kept = KeptCaptions(captioner, stores)
    chosen = choose_decoding(kept, val, dataset)
    if not chosen["validation_CIDEr"]:
        used = f"beam width {chosen['beam_width']} is used"
        print(f"{captioner.name}: CIDEr on validation is 0 for every decoding and cannot choose one: {used}.")
    rule = choose_consensus(kept, near, val, chosen)
    decoding = {"method": "beam search"} | chosen | {"consensus": rule} | more
    (captions,) = kept.best(test, chosen["beam_width"], [chosen["length_penalty"]], chosen["may_repeat"])
    results = kept.texts(test, captions)
    consensus = Consensus(kept, near, test, rule["encoder"], chosen)
    reranked = consensus.captions(rule["k"], rule["mix"])
    scores = score_results(results, test, dataset, decoding)
    scores["consensus"] = score_results(reranked, test, dataset, {"method": "consensus"} | rule)
    scores["oracle_CIDEr"] = consensus.oracle()
    drawn = [kept.texts(test, each) for each in kept.samples(test, SAMPLES)]
    scores["samples"] = metrics.diversity({image_id: [texts[image_id] for texts in drawn] for image_id in results})
    for name, texts in (("captions.json", results), (RERANKED, reranked)):
        # COCO's results layout: `python -m captioning.metrics` scores the file too.
        rows = [{"image_id": image_id, "caption": text} for image_id, text in texts.items()]
        write_json(captioner.folder / name, rows, indent=0)
    write_json(captioner.folder / "scores.json", scores)
    return scores


def evaluate_all(
    project: Project, dataset: CaptionDataset, val_pictures: int | None = None
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Score every finished experiment of a project, and an ensemble of some of them, see `evaluate`.

    What does not fit what is here now is left out, with a line that says why; a FileNotFoundError if all of it.

    Returns:
        Name -> scores, and name -> captions of the test split (image id -> text). Beside each model, there is
        "<name> + consensus".
    """
    stores = Stores(project)
    near = NearPictures(project.checkpoints, stores, dataset)
    scores: dict[str, dict] = {}
    models: list[Bundle] = []
    for folder in experiments.find(project.checkpoints):
        with _left_out(folder.name):
            model = bundle.load_one(folder)
            scores[folder.name] = evaluate(model, stores, dataset, val_pictures, near)
            models.append(model)
    if not scores:
        raise FileNotFoundError(f"No experiment in {project.checkpoints} fits the data: run a model notebook again.")
    if len(models) > 1:
        with _left_out(ENSEMBLE):
            folder = project.checkpoints / ENSEMBLE
            models.sort(key=lambda model: -scores[model.name]["decoding"]["validation_CIDEr"])
            val: Sequence[Record] = dataset.split("val")
            for model in models:
                val = readable(model, stores, val)
            may_repeat = scores[models[0].name]["decoding"]["may_repeat"]
            members, tried = choose_members(models, stores, val[:val_pictures], folder, may_repeat)
            if len(members) > 1:
                ensemble = Ensemble.write(folder, members)
                scores[ENSEMBLE] = evaluate(ensemble, stores, dataset, val_pictures, near, members=tried)
            elif (folder / "members.json").is_file():
                print(f"{ENSEMBLE}: left out, no other model has the best one's vocabulary. Its old folder stays.")
    return _with_consensus(project, scores)


def _with_consensus(project: Project, scores: Mapping[str, dict]) -> tuple[dict[str, dict], dict[str, dict]]:
    """Return scores and captions, the reranked ones beside the others under a name of their own."""
    rows, results = {}, {}
    for name, row in scores.items():
        for added, file, part in (("", "captions.json", row), (CONSENSUS, RERANKED, row["consensus"])):
            rows[name + added] = part
            results[name + added] = metrics.read_results(project.checkpoints / name / file)
    return rows, results


@contextmanager
def _left_out(name: str) -> Iterator[None]:
    """Name what does not fit what is here now; continue without it."""
    try:
        yield
    except (BundleError, StaleError, DamagedError, features.FeatureError, FileNotFoundError) as error:
        print(f"{name}: left out. {error}")
