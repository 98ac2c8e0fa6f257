"""The test split captioned once and scored always: nothing stale, nothing chosen on it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import bundle, evaluation, metrics
from captioning.bundle import Neighbors
from captioning.datasets.scenes.words import NAMES
from captioning.decoding import Caption, Step
from captioning.evaluation import choosing, ensembles
from captioning.evaluation.baselines import _mean, most_frequent_caption, nearest_neighbor
from captioning.evaluation.choosing import BEAM, DECODINGS, MIXES, NEIGHBORS
from captioning.features import folder_of
from captioning.metrics import cider, grounding
from captioning.provenance import StaleError
from captioning.tokenizer import END
from tests.bundles import finished, made_in, start
from tests.tiny import store_of, tiny_dataset

WALL = "a white wall"
GRID = [(width, penalty) for width, penalties in DECODINGS.items() for penalty in penalties]


@pytest.fixture
def made(tmp_path):
    return made_in(tmp_path)


class Parrot:
    """A captioner without a model: says what a function of record, width, penalty and once gives, and notes it."""

    encoder_names = ("mobilenet",)
    max_length = 8

    def __init__(self, made, say, made_from="parrot"):
        self.folder, self.name, self.made_from = made.project.checkpoints / "parrot", "parrot", {"weights": made_from}
        self.tokenizer, self._say, self.asked = made.tokenizer, say, []

    def check_fits(self, stores, dataset):
        pass

    def rows(self, stores, records):
        return records

    def decode(self, records, beam_width, length_penalty, once, return_all):
        self.asked.append((records[0].split, len(records), beam_width, tuple(length_penalty), once is not None))
        given = [[self._say(r, beam_width, p, once is not None) for r in records] for p in length_penalty]
        return [[self._beam(texts) if return_all else self._beam(texts)[0] for texts in each] for each in given]

    def _beam(self, texts):
        texts = [texts] if isinstance(texts, str) else texts
        tokens = [self.tokenizer.encode(text)[1:-1] for text in texts]
        return [Caption(each, -1.0 - place, -1.0 - place, True, None) for place, each in enumerate(tokens)]

    def initial_state(self, records):
        self.asked.append(("samples", len(records)))
        return np.zeros((len(records), 1))

    def step(self, tokens, state):
        return Step(np.eye(1, len(self.tokenizer), END).repeat(len(tokens), 0) * 9, state, None)


def evaluate(made, captioner, pictures=None):
    return evaluation.evaluate(captioner, {"mobilenet": made.store}, made.dataset, pictures)


def told(parrot, name="captions.json"):
    return metrics.read_results(parrot.folder / name)


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("best", [GRID[0], GRID[3], GRID[-1]])
def test_the_decoding_is_chosen_on_validation(made, best, once):
    """With words once at most; then the best of these without that limit, too."""

    def say(record, *decoding):
        if decoding == (*best, once):
            return record.captions[0]
        return record.captions[0] + " wall" if decoding == (*best, True) else "the"

    parrot = Parrot(made, say)
    scores, test = evaluate(made, parrot), made.dataset.split("test")
    chosen = scores["decoding"]
    assert (chosen["beam_width"], chosen["length_penalty"], chosen["may_repeat"] is not None) == (*best, once)
    rows = [(row["beam_width"], row["length_penalty"], row["words_once"]) for row in chosen["tried"]]
    assert rows == [*((*cell, True) for cell in GRID), (*best, False)]
    assert chosen["validation_CIDEr"] == max(row["validation_CIDEr"] for row in chosen["tried"])
    assert scores["Bleu_1"] == pytest.approx(1) and told(parrot) == {r.image_id: r.captions[0] for r in test}
    assert json.loads((parrot.folder / "scores.json").read_text()) == scores
    val = [each[2:] for each in parrot.asked if each[0] == "val" and each[2] != BEAM]
    assert val == [*((width, penalties, True) for width, penalties in DECODINGS.items()), (best[0], best[1:], False)]
    tested = [each[2:] for each in parrot.asked if each[0] == "test" and each[2] != BEAM]
    assert tested == [(best[0], best[1:], once)]


def test_how_sure_the_model_is_of_validation_captions_is_kept(made):
    """Of a caption of three words and END, and of one of four."""
    parrot = Parrot(made, lambda record, *decoding: WALL if record.image_id == 2 else f"{WALL} wall")
    val = made.dataset.split("val")
    assert evaluate(made, parrot)["decoding"]["confidences"] == [-0.25] + [-0.2] * (len(val) - 1)


@pytest.mark.parametrize("said, caption", [(True, "the"), (False, None)])
def test_a_validation_that_says_nothing_is_named(said, caption, made, capsys):
    evaluate(made, Parrot(made, lambda record, *decoding: caption or record.captions[0]))
    assert ("CIDEr on validation is 0 for every decoding" in capsys.readouterr().out) == said


def test_a_second_evaluation_decodes_nothing(made):
    parrot = Parrot(made, lambda record, *decoding: [record.captions[0], WALL])
    first = evaluate(made, parrot)
    assert ("samples", 5) in parrot.asked
    parrot.asked.clear()
    assert evaluate(made, parrot) == first and parrot.asked == []


def test_a_change_of_the_metrics_changes_the_scores_and_decodes_nothing(made, monkeypatch):
    parrot = Parrot(made, lambda record, *decoding: record.captions[0])
    first = evaluate(made, parrot)
    parrot.asked.clear()
    score = cider.CiderD.score_tokens
    monkeypatch.setattr(cider.CiderD, "score_tokens", lambda *a: (score(*a)[0] + 1, score(*a)[1]))
    assert evaluate(made, parrot)["CIDEr"] == pytest.approx(first["CIDEr"] + 1) and parrot.asked == []


def test_what_captions_are_compared_with_is_read_again(made):
    parrot = Parrot(made, lambda record, *decoding: WALL)
    first = evaluate(made, parrot)
    parrot.asked.clear()
    records = tuple(replace(r, captions=(WALL,)) if r.split == "test" else r for r in made.dataset.records)
    second = evaluate(replace(made, dataset=replace(made.dataset, records=records)), parrot)
    assert second["Bleu_1"] == pytest.approx(1) != first["Bleu_1"] and parrot.asked == []


@pytest.mark.parametrize("change", ["weights", "pictures", "photos", "decodings"])
def test_what_is_stale_is_decoded_again(made, change, tmp_path, monkeypatch):
    parrot = Parrot(made, lambda record, *decoding: WALL)
    evaluate(made, parrot)
    asked = [each for each in parrot.asked if each[0] != "samples"]
    parrot.asked.clear()
    if change == "weights":
        parrot.made_from = {"weights": "others"}
        evaluate(made, parrot)
        assert [each for each in parrot.asked if each[0] != "samples"] == asked
    elif change == "pictures":
        evaluate(made, parrot, 3)
        assert {each[:2] for each in parrot.asked} == {("val", 3)} and len(parrot.asked) == 5
    elif change == "decodings":
        monkeypatch.setitem(DECODINGS, 3, (0.7, 0.8, 1.0))
        evaluate(made, parrot)
        assert [each[2:] for each in parrot.asked] == [(3, (0.8,), True)]
    else:
        records = tuple(replace(r, content="e" * 32) if r.split == "test" else r for r in made.dataset.records)
        dataset = replace(made.dataset, records=records)
        evaluate(replace(made, dataset=dataset, store=store_of(dataset, tmp_path / "other")), parrot)
        assert {each[0] for each in parrot.asked} == {"test", "samples"}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"captions": {}}', '{"made_from": 1, "captions": {}}', '["a", "b"]']
)
def test_kept_captions_that_are_damaged_are_made_again(made, content, capsys):
    parrot = Parrot(made, lambda record, *decoding: WALL)
    first, asked = evaluate(made, parrot), list(parrot.asked)
    if "a" in content and content.startswith("["):  # the rows of a key
        kept = json.loads((parrot.folder / "decoded.json").read_text())
        content = json.dumps(kept | {"captions": dict.fromkeys(kept["captions"], json.loads(content))})
    (parrot.folder / "decoded.json").write_text(content)
    parrot.asked.clear()
    assert evaluate(made, parrot) == first and parrot.asked == asked
    assert "decoded.json is damaged" in capsys.readouterr().out


# Consensus


def test_the_consensus_finds_what_people_wrote_of_similar_pictures(made, monkeypatch):
    """The features hold color and shape: the nearest train pictures have the caption that the model puts second."""
    monkeypatch.setattr(choosing, "NEIGHBORS", (5, 20))  # train has fewer than 20
    parrot = Parrot(made, lambda record, *decoding: ["a black flag", f"a {record.captions[0].split()[1]} square"])
    scores = evaluate(made, parrot)
    rule, test = scores["decoding"]["consensus"], made.dataset.split("test")
    assert set(told(parrot).values()) == {"a black flag"}
    right = {r.image_id: f"a {r.captions[0].split()[1]} square" for r in test if "black" not in r.captions[0]}
    assert right.items() <= told(parrot, "captions_consensus.json").items()
    assert scores["consensus"]["CIDEr"] > scores["CIDEr"] and scores["consensus"]["decoding"]["k"] == rule["k"]
    assert rule["validation_CIDEr"] > scores["decoding"]["validation_CIDEr"] and rule["encoder"] == "mobilenet"
    assert scores["oracle_CIDEr"] >= scores["consensus"]["CIDEr"]
    assert rule["neighbors"] == Neighbors.read(next(made.project.checkpoints.glob("neighbors-mobilenet-*.npz"))).digest


@pytest.mark.parametrize("clearly", [True, False])
def test_the_usual_consensus_stays_unless_another_is_clearly_better(made, clearly, monkeypatch):
    """The log-probability puts a right caption first, on all validation pictures or on one; their neighbors a wall."""
    val = made.dataset.split("val")
    say = lambda record, *_: [record.captions[0] if clearly or record is val[0] else WALL, WALL]  # noqa: E731
    monkeypatch.setattr(Neighbors, "similarity", lambda self, beams, *_: [np.array([[0.0], [0.1]])] * len(beams))
    rule = evaluate(made, Parrot(made, say))["decoding"]["consensus"]
    assert (rule["k"], rule["mix"]) == ((NEIGHBORS[0], 1.0) if clearly else (NEIGHBORS[0], MIXES[0]))


def test_a_bundle_gives_the_reranked_captions_that_were_scored(made):
    folder, model = finished(made, "numpy_lstm")
    generator = np.random.default_rng(0)
    for array in model.parameters.values():
        array[:] = generator.normal(size=array.shape)
    model.parameters["output_bias"][END] += 2
    model.save(folder / "model.npz")
    evaluate(made, bundle.load(folder))
    loaded, test = bundle.load(folder), made.dataset.split("test")
    for consensus, file in ((False, "captions.json"), (True, "captions_consensus.json")):
        given = loaded.decode_chosen(made.store.rows(test), consensus=consensus)
        texts = [loaded.tokenizer.decode(caption.tokens) for caption in given]
        assert texts == list(metrics.read_results(folder / file).values()) and len(set(texts)) > 1


@pytest.mark.parametrize("change", ["captions", "damage", "nothing"])
def test_neighbors_are_made_once(made, change, capsys):
    near = evaluation.NearPictures(made.project.checkpoints, {"mobilenet": made.store}, made.dataset)
    first, (file,) = near.neighbors("mobilenet"), made.project.checkpoints.glob("neighbors-mobilenet-*.npz")
    before = file.stat().st_mtime_ns
    dataset = made.dataset
    if change == "captions":
        dataset = replace(dataset, records=tuple(replace(r, captions=(WALL,)) for r in dataset.records))
    elif change == "damage":
        file.write_bytes(b"PK")
    again = evaluation.NearPictures(made.project.checkpoints, {"mobilenet": made.store}, dataset)
    assert (again.neighbors("mobilenet").digest == first.digest) == (change != "captions")
    assert (file.stat().st_mtime_ns == before) == (change != "damage")  # what others were evaluated with stays
    assert len(list(file.parent.glob("neighbors-*.npz"))) == 1 + (change == "captions")
    assert ("made again" in capsys.readouterr().out) == (change == "damage")


def test_rankings_by_near_and_other_pictures(made):
    say = lambda record, *decoding: ["a black flag", record.captions[0], "the wall"]  # noqa: E731
    parrot, test = Parrot(made, say), made.dataset.split("test")
    decoding = evaluate(made, parrot)["decoding"]
    kept = evaluation.KeptCaptions(parrot, {"mobilenet": made.store})
    near = evaluation.NearPictures(made.project.checkpoints, {"mobilenet": made.store}, made.dataset)
    ranked, best = evaluation.rankings(kept, near, test, decoding)
    alone, mine, fewer, other = ranked.values()
    assert mine == told(parrot, "captions_consensus.json") and set(alone.values()) == {"a black flag"}
    assert alone.keys() == fewer.keys() == other.keys() and best == pytest.approx(
        np.mean(metrics.CiderD(evaluation.references_of(test)).score({r.image_id: r.captions[0] for r in test})[1])
    )


# Several models


def test_the_best_set_on_validation_captions_together(made, monkeypatch, tmp_path):
    """A alone is no ensemble; B makes it worse, C better, E not better; D has other words; F is too late."""
    right = {("A",): 5, ("A", "B"): 1, ("A", "B", "C"): 4, ("A", "B", "C", "E"): 4}
    val = made.dataset.split("val")

    class Kept:
        def __init__(self, captioner, stores, *file):
            self.names = tuple(m.name for m in getattr(captioner, "members", [captioner]))

        def best(self, records, width, penalties, may_repeat):
            assert may_repeat == ["a"]
            return [self.names] * len(penalties)

        def texts(self, records, names):
            return {r.image_id: r.captions[0] if i < right[names] else "x" for i, r in enumerate(records)}

    monkeypatch.setattr(ensembles, "KeptCaptions", Kept)
    monkeypatch.setattr(ensembles, "MOST", 4)
    models = [SimpleNamespace(name=n, tokenizer=n == "D", made_from={}) for n in "ABDCEF"]
    members, tried = ensembles.choose_members(models, {}, val, tmp_path, ["a"])
    assert [m.name for m in members] == ["A", "B", "C"]
    assert [(row["member"], row["added"]) for row in tried] == [("A", True), ("B", True), ("C", True), ("E", False)]


def test_experiments_that_differ_in_the_seed_are_grouped(made):
    names = [finished(made, "numpy_lstm", batches={"seed": seed})[0].name for seed in (0, 1)]
    other = finished(made, "numpy_lstm", units=6, batches={"seed": 0})[0].name
    assert evaluation.by_seed(made.project.checkpoints, [*names, other, "ensemble"]) == {names[0]: names}


def test_leads_are_those_of_the_same_pictures():
    hard = np.random.default_rng(0).normal(0, 5, 40)
    found = evaluation.leads({"A": hard + 1, "B": hard, "C": hard[::-1]})
    assert list(found) == [("A", "B"), ("A", "C"), ("B", "C")]
    assert found["A", "B"].low == pytest.approx(1) and found["B", "C"].low < 0 < found["B", "C"].high


def test_other_splits_or_features_than_those_trained_with_are_refused(made, tmp_path):
    """Under another split the test pictures may have been trained on."""
    loaded = bundle.load(finished(made, "numpy_lstm")[0])
    swapped = {"train": "test", "test": "train", "val": "val"}
    records = tuple(replace(r, split=swapped[r.split]) for r in made.dataset.records)
    with pytest.raises(StaleError, match=r"data\.\w+ was .*08_rnn_from_scratch"):
        evaluate(replace(made, dataset=replace(made.dataset, records=records)), loaded)
    other = store_of(made.dataset, tmp_path / "other", identity={"weights": "imagenet"})
    with pytest.raises(StaleError, match=r"encoder\.weights was 'random' and is now 'imagenet'"):
        evaluate(replace(made, store=other), loaded)


def test_every_model_and_an_ensemble_and_what_does_not_fit(made, capsys, monkeypatch):
    """A line says what is left out and why; a second evaluation gives the same."""
    kept = [finished(made, "numpy_lstm")[0].name, finished(made, "numpy_rnn")[0].name]
    torn, _ = finished(made, units=6)
    (torn / "model.weights.h5").write_bytes(b"half")
    nameless, _ = finished(made, "numpy_rnn", units=8)
    (nameless / "tokenizer.json").write_text("{}")
    start(made, units=7)
    monkeypatch.setattr("captioning.features.folder_of", lambda project, encoder: made.store.folder)
    monkeypatch.setattr(
        "captioning.evaluation.evaluating.choose_members",
        lambda models, *_: (models, [{"member": m.name} for m in models]),
    )
    scores, results = evaluation.evaluate_all(made.project, made.dataset)
    names = [name + part for name in (*kept, "ensemble") for part in ("", " + consensus")]
    assert list(scores) == list(results) == names and list(evaluation.plain(scores)) == names[::2]
    assert set(bundle.load(made.project.checkpoints / "ensemble").made_from) == set(kept)
    printed = capsys.readouterr().out
    assert f"{torn.name}: left out. " in printed and "does not fit" in printed
    assert f"{nameless.name}: left out. " in printed and "tokenizer.json is not a tokenizer file" in printed
    assert "bahdanau-mobilenet-units-7: left out, its training is unfinished." in printed
    monkeypatch.setattr(bundle.Captioner, "decode", None)
    assert evaluation.evaluate_all(made.project, made.dataset) == (scores, results)


def test_when_nothing_fits_it_is_an_error(made):
    finished(made, "numpy_lstm")
    assert folder_of(made.project, "mobilenet") != made.store.folder  # no features there
    with pytest.raises(FileNotFoundError, match=r"No experiment .* fits the data"):
        evaluation.evaluate_all(made.project, made.dataset)


# Baselines


def neighbors_of(made):
    return Neighbors.make(made.store, made.dataset.split("train"), made.dataset)


def test_the_nearest_neighbor_gives_the_caption_of_an_equal_picture(made):
    train = made.dataset.split("train")
    results = nearest_neighbor(neighbors_of(made), made.store, train)
    assert results == {record.image_id: record.captions[0] for record in train}


def test_the_nearest_neighbor_is_not_decided_by_one_large_channel(tmp_path):
    dataset = tiny_dataset(tmp_path, pictures=4, splits=("train", "train", "train", "test"))
    rows = np.array([[100, 1, 0], [-100, -1, 1], [100, -1, -1], [-20, 1, 0]], np.float16)
    store = store_of(dataset, tmp_path / "other", regions=1, channels=3)
    (shard,) = store.folder.glob("rows-*.f16")
    shard.write_bytes(rows.tobytes())
    results = nearest_neighbor(Neighbors.make(store, dataset.split("train"), dataset), store, dataset.split("test"))
    assert results == {3: dataset.records[0].captions[0]}


def test_the_most_frequent_caption_is_one_for_all(made):
    doubled = replace(made.dataset.records[0], captions=("A Flag.", "a flag"))
    dataset = replace(made.dataset, records=(doubled, *made.dataset.records[1:]))
    assert set(most_frequent_caption(dataset, dataset.split("test")).values()) == {"a flag"}


def test_the_shuffled_baseline_is_the_shuffled_score_of_the_best_model(made):
    """One quantity, one number: the row and the column."""
    test = made.dataset.split("test")
    best = {record.image_id: record.captions[0] for record in test}
    sets = evaluation.baselines(neighbors_of(made), made.store, made.dataset, test, best)
    assert [len(each) for each in sets.values()] == [1, 1, 5]
    row = evaluation.score_sets(sets["best model, shuffled"], test, made.dataset, "shuffled")
    scores = evaluation.score_results(best, test, made.dataset, {})
    assert row["CIDEr"] == pytest.approx(scores["shuffled_CIDEr"])
    assert row["shuffled_CIDEr"] is None and row["decoding"] == {"method": "shuffled"}
    assert "best model, shuffled" not in evaluation.baselines(
        neighbors_of(made), made.store, made.dataset, test[:1], best
    )


def test_the_mean_of_reports_holds_every_number():
    truth = {"place": "lake", "objects": [{"object": "boat", "colour": "red", "unseen": True}]}
    rows = [
        grounding({1: truth, 2: truth}, {1: first, 2: "a lake"}, NAMES)
        for first in ("a red boat", "a red boat and a boat on a lake", "")
    ]
    mean = _mean(rows)
    assert mean["exact"] == mean["unseen"]["exact"] == pytest.approx(1 / 6)
    assert mean["place"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert mean["intervals"]["exact"] == pytest.approx(np.mean([row["intervals"]["exact"] for row in rows], axis=0))
    assert mean["relation"] is None and mean["false_named"] == 0  # of the captions that name something


# Truth


@pytest.mark.parametrize(
    "text, mark",
    [
        ("A red boat on a lake.", "✓ right"),
        ("a violet house", "✗ no violet house here; red boat missing"),
        ("a red boat and a red boat in the desert to the right", "✗ red boat named twice; no desert here"),
        ("a red house and a red house", "✗ no red house here; red house named twice"),
        ("a red boat on the right", "✗ not on the right"),
        ("", "✗ red boat missing"),
    ],
)
def test_a_caption_is_checked_where_the_truth_is_known(made, text, mark):
    truth = {"place": "lake", "objects": [{"object": "boat", "colour": "red", "box": [0.1, 0.1, 0.3, 0.3]}]}
    record = made.dataset.records[0]
    assert evaluation.check(replace(record, truth=truth), text) == mark
    assert evaluation.check(record, text) == ""
