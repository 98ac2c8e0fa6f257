"""Experiments side by side: named by what differs, trained further, listed, deleted by name only."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from captioning import bundle, experiments
from captioning.bundle import BundleError
from captioning.files import BusyError, only_one
from captioning.provenance import StaleError, content_digest
from captioning.tokenizer import Tokenizer
from captioning.training.config import SelfCriticalConfig, TrainingConfig
from tests.bundles import finished, start

# Names


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"units": 9}, "units-9"),
        ({"restart": True}, "restart"),
        ({"dropout": 0.25, "units": 9}, "units-9-dropout-0.25"),
        ({"training": TrainingConfig(epochs=3, mask_padding=False)}, "epochs-3-no_mask_padding"),
        ({"batches": {"max_words": 50, "seed": 1}}, "max_words-50-seed-1"),
    ],
)
def test_a_folder_is_named_by_what_differs(made, change, name):
    start(made)
    assert start(made, **change).name == f"bahdanau-mobilenet-{name}"


def test_many_differences_do_not_make_an_endless_name(made):
    start(made)
    many = {"units": 9, "dropout": 0.1, "embedding": 7, "attention": 8, "restart": True}
    name = start(made, training=TrainingConfig(epochs=1, patience=2), **many).name
    assert re.fullmatch(r"bahdanau-mobilenet(-[a-z_]+-[\d.]+){3}-[0-9a-f]{4}", name)


def test_two_experiments_of_one_name_are_numbered(made, tmp_path):
    start(made)
    one, two = (replace(made, tokenizer=Tokenizer([*made.tokenizer.vocabulary[:-1], word])) for word in ("x", "y"))
    assert [start(one).name, start(two).name, start(one).name] == [
        "bahdanau-mobilenet-other-words",
        "bahdanau-mobilenet-other-words-2",
        "bahdanau-mobilenet-other-words",
    ]


def test_a_name_of_ones_own(made):
    folder = start(made, name="mine")
    assert folder.name == "bahdanau-mobilenet-mine"
    assert start(made, name="mine", units=9).name == "bahdanau-mobilenet-mine-units-9"
    assert start(made) == folder  # the same settings: not trained twice
    for name in ("../elsewhere", "a b", "", "a/b"):
        with pytest.raises(ValueError, match=r"NAME = .* use letters"):
            start(made, name=name)


# Trained further


def further(made, parent, training=None, name=None):
    """Start self-critical training of a parent; return its folder."""
    captioner = bundle.load(parent)
    config, data = captioner.model.config, (made.dataset, made.tokenizer, made.store)
    training = training or SelfCriticalConfig()
    settings = experiments.settings_for(type(captioner.model), config, training, *data, parent=captioner)
    return experiments.start(made.project, settings, made.tokenizer, name)


def test_a_model_trained_further_is_an_experiment_that_knows_its_parent(made, capsys):
    parent, _ = finished(made)
    folder = further(made, parent)
    assert folder.name == "bahdanau-mobilenet-sc"
    weights = content_digest((parent / "model.weights.h5").read_bytes())
    assert bundle.read_settings(folder)["parent"] == {"name": "bahdanau-mobilenet", "weights": weights}
    assert "parent" not in bundle.read_settings(parent)
    assert further(made, parent) == folder and "training resumes" in capsys.readouterr().out
    assert further(made, parent, SelfCriticalConfig(samples=3)).name == "bahdanau-mobilenet-sc-samples-3"
    assert further(made, parent, name="mine").name == "bahdanau-mobilenet-sc"  # the same settings
    assert start(made) == parent


def test_another_parent_is_said_in_the_name_and_its_weights_count(made):
    parent, _ = finished(made)
    other, _ = finished(made, units=9, dropout=0.2)
    first = further(made, parent)
    assert further(made, other).name == f"bahdanau-mobilenet-sc-from-{other.name}"
    shutil.copy(finished(made, seed=3, batches={"seed": 3})[0] / "model.weights.h5", parent)
    assert further(made, parent).name == "bahdanau-mobilenet-sc-other-parent" != first.name


def parent_of(made, name):
    return experiments.parent(made.project.checkpoints, {"mobilenet": made.store}, made.dataset, name).folder


def test_the_parent_is_the_best_keras_model_of_all_or_of_a_kind_or_the_one_that_is_named(made, tmp_path):
    for name in (None, "bahdanau"):
        with pytest.raises(FileNotFoundError, match="no trained model"):
            experiments.parent(tmp_path, {}, made.dataset, name)
    one, two = finished(made)[0], finished(made, units=9)[0]
    of_numpy, open_one, best = finished(made, "numpy_lstm")[0], start(made, units=8), finished(made, "gru")[0]
    child = further(made, one)
    shutil.copy(one / "model.weights.h5", child)
    experiments.finish(child)
    for folder, cider in ((one, 0.2), (two, 0.4), (of_numpy, 0.9), (open_one, 0.9), (child, 0.9), (best, 0.5)):
        (folder / "history.csv").write_text(f"epoch,val_loss,val_CIDEr,seconds\n0,3.0,{cider},60.0\n")
        score(folder, validation=1 - cider, test=0.1)  # what an evaluation finds later picks no other parent
    for name, expected in {None: best, "bahdanau": two, one.name: one, child.name: child, best.name: best}.items():
        assert parent_of(made, name) == expected
    whys = {of_numpy.name: "NumPy model", "numpy_lstm": "NumPy model", open_one.name: "unfinished"}
    for name, why in (whys | {"typo": "no such experiment", "transformer": "none of that kind"}).items():
        with pytest.raises(ValueError, match=f"PARENT = '{name}': .*{why}.* Use None or one of: {one.name}, .*gru"):
            parent_of(made, name)


def test_a_parent_fits_what_is_here_now(made, tmp_path):
    """The better model is of photos that have been changed since, the best one of code: neither is a parent."""
    one, two, three = (finished(made, units=units)[0] for units in (5, 9, 10))
    for folder, cider in ((one, 0.2), (two, 0.4), (three, 0.5)):
        (folder / "history.csv").write_text(f"epoch,val_loss,val_CIDEr,seconds\n0,3.0,{cider},60.0\n")
    for folder, section, field in ((two, "data", "features"), (three, "class", "code")):
        settings = json.loads((folder / "settings.json").read_text())
        settings[section][field] = "of another time"
        (folder / "settings.json").write_text(json.dumps(settings))
    for name in (None, "bahdanau"):
        assert parent_of(made, name) == one
    with pytest.raises(StaleError, match=r"data\.features was 'of another time'"):
        parent_of(made, two.name)
    shutil.rmtree(one)
    with pytest.raises(BundleError, match="trained with other code"):
        parent_of(made, "bahdanau")


# Listed and deleted


def test_the_table_lists_all_with_scores_minutes_and_disk(made):
    folder, _ = finished(made)
    (folder / "history.csv").write_text("epoch,val_loss,val_CIDEr,seconds\n0,3.0,0.5,60.0\n1,2.9,0.25,30.0\n")
    (folder / "scores.json").write_text(json.dumps({"CIDEr": 0.75}))
    start(made, units=9)
    (made.project.checkpoints / "old").mkdir()
    (made.project.checkpoints / "old" / "settings.json").write_text('{"kind": "gru", "finished": true}')
    head, one, two, old = experiments.table(made.project.checkpoints).splitlines()
    assert head.split() == ["experiment", "epochs", "val", "CIDEr", "test", "CIDEr", "minutes", "MB"]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    assert one.split() == ["bahdanau-mobilenet", "2", "0.500", "0.750", "1.5", f"{size:.1f}"]
    assert two.startswith("bahdanau-mobilenet-units-9") and two.endswith("unfinished")
    assert old.startswith("old ") and old.endswith("of another version")


@pytest.mark.parametrize("name", ["scores.json", "history.csv"])
@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"CIDEr": null}', "epoch,val_CIDEr\n0,x"])
def test_a_damaged_file_is_a_remark_in_the_table(made, name, content):
    damaged, _ = finished(made)
    start(made, units=9)
    (damaged / name).write_text(content if name == "scores.json" else "epoch,seconds\n" + content)
    _, one, two = experiments.table(made.project.checkpoints).splitlines()
    assert f"{name} is damaged" in one and "damaged" not in two and two.endswith("unfinished")


def test_only_what_is_named_is_deleted(made, capsys):
    kept, gone = finished(made)[0], start(made, units=9)
    with pytest.raises(ValueError, match=r"no experiment 'typo'; there are: bahdanau-mobilenet, "):
        experiments.delete(made.project.checkpoints, [gone.name, "typo"])
    assert gone.is_dir()
    experiments.delete(made.project.checkpoints, [])
    experiments.delete(made.project.checkpoints, [gone.name])
    assert not gone.exists() and kept.is_dir()
    assert "bahdanau-mobilenet-units-9: deleted" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no experiment"):
        experiments.delete(made.project.checkpoints, ["../checkpoints/bahdanau-mobilenet"])


def test_what_is_being_trained_is_not_deleted(made):
    folder, _ = finished(made)
    with only_one(folder / "training"), pytest.raises(BusyError, match="by another process"):
        experiments.delete(made.project.checkpoints, [folder.name])
    assert (folder / "model.weights.h5").is_file()


def test_only_finished_experiments_are_found_and_the_others_named(made, capsys):
    folder, of_numpy = finished(made)[0], finished(made, "numpy_lstm")[0]
    start(made, "gru")
    (folder.parent / "torn").mkdir()
    (folder.parent / "torn" / "settings.json").write_text("{")
    capsys.readouterr()
    assert experiments.find(made.project.checkpoints) == [folder, of_numpy]
    printed = capsys.readouterr().out
    assert "gru-mobilenet: left out, its training is unfinished." in printed
    assert "torn: left out." in printed and "torn/settings.json is damaged" in printed


def test_the_best_is_that_of_the_highest_validation_score(made, tmp_path, capsys):
    for ask in (experiments.best, experiments.find):
        with pytest.raises(FileNotFoundError, match=r"no trained model.*04_gru_decoder"):
            ask(tmp_path)
    start(made)
    with pytest.raises(FileNotFoundError, match="no trained model"):
        experiments.best(made.project.checkpoints)
    one, two, three = (finished(made, units=units)[0] for units in (6, 7, 8))
    (one.parent / "torn").mkdir()
    (one.parent / "torn" / "settings.json").write_text("{")
    capsys.readouterr()

    def best():
        return experiments.best(made.project.checkpoints)

    assert best() == one  # nothing is known: the first by name
    history = "epoch,val_loss,val_CIDEr,seconds\n0,3.0,{},60.0\n1,2.9,0.25,30.0\n"
    (two / "history.csv").write_text(history.format(0.5))
    assert best() == two
    score(one, validation=0.4, test=0.9)
    assert best() == two  # not by the test split
    score(three, validation=0.6, test=0.1)
    assert best() == three
    score(two, validation=0.55, test=0.1)  # of the chosen decoding: the history does not count any more
    (two / "history.csv").write_text(history.format(0.7))
    assert best() == three
    for damaged in ("{", "[]", '{"decoding": {"validation_CIDEr": null}}'):
        (three / "scores.json").write_text(damaged)
        (three / "history.csv").write_text("damaged")
        assert best() == two
    assert capsys.readouterr().out == ""


def score(folder, validation, test):
    """Write the scores of an evaluation."""
    (folder / "scores.json").write_text(json.dumps({"CIDEr": test, "decoding": {"validation_CIDEr": validation}}))


def test_a_finished_experiment_keeps_nothing_that_only_resuming_needs(made):
    folder, _ = finished(made)
    (folder / "last").mkdir()
    (folder / "last" / "checkpoint.npz").write_bytes(b"optimizer")
    (folder / "partial-1-model.weights.h5").write_bytes(b"half")
    experiments.finish(folder)
    assert not (folder / "last").exists() and not list(folder.glob("partial-*"))
    assert bundle.load(folder).settings["finished"]
