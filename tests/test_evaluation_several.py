"""Several models and similar pictures: the consensus, ensembles, and what does not fit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import bundle, evaluation, metrics
from captioning.bundle import Neighbors
from captioning.evaluation import choosing
from captioning.evaluation.choosing import MIXES, NEIGHBORS
from captioning.features import folder_of
from captioning.provenance import StaleError
from tests.bundles import finished, start
from tests.parrot import WALL, Parrot, evaluate, told
from tests.tiny import store_of

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
    say = lambda record, *_: [record.captions[0] if clearly or record == val[0] else WALL, WALL]  # noqa: E731
    monkeypatch.setattr(Neighbors, "similarity", lambda self, beams, *_: [np.array([[0.0], [0.1]])] * len(beams))
    rule = evaluate(made, Parrot(made, say))["decoding"]["consensus"]
    assert (rule["k"], rule["mix"]) == ((NEIGHBORS[0], 1.0) if clearly else (NEIGHBORS[0], MIXES[0]))


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

    monkeypatch.setattr(choosing, "KeptCaptions", Kept)
    monkeypatch.setattr(choosing, "MOST", 4)
    models = [SimpleNamespace(name=n, tokenizer=n == "D", made_from={}) for n in "ABDCEF"]
    members, tried = choosing.choose_members(models, {}, val, tmp_path, ["a"])
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
