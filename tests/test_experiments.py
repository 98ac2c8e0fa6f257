"""Experiments are known by all that decides how a model comes out."""

import dataclasses
from dataclasses import replace

import pytest

import captioning.quiet
from captioning import experiments
from captioning.from_scratch.early_stopping import NumpyTrainingConfig
from captioning.from_scratch.weights import CaptioningRNNConfig
from captioning.models.bahdanau import BahdanauDecoder
from captioning.models.decoder import Decoder
from captioning.provenance import StaleError
from captioning.tokenizer import Tokenizer
from captioning.training.config import SelfCriticalConfig, TrainingConfig
from tests.bundles import Made, config_of, everything_in, finished, settings_of, start
from tests.tiny import store_of


def names(made):
    return sorted(path.name for path in made.project.checkpoints.iterdir() if path.is_dir())


# Knobs changed and changed back


def test_knobs_changed_and_changed_back_leave_three_experiments(made, capsys):
    folders = [finished(made, units=units)[0] for units in (6, 4, 5)]
    before = everything_in(made.project.checkpoints)
    capsys.readouterr()
    assert start(made, units=4) == folders[1]
    assert "bahdanau-mobilenet-units-4: trained with exactly these settings; it is loaded." in capsys.readouterr().out
    assert names(made) == ["bahdanau-mobilenet", "bahdanau-mobilenet-units-4", "bahdanau-mobilenet-units-5"]
    assert experiments.find(made.project.checkpoints) == folders
    assert before == everything_in(made.project.checkpoints)


def test_an_unfinished_experiment_resumes(made, capsys):
    folder = start(made)
    assert start(made, units=9) != folder
    capsys.readouterr()
    assert start(made) == folder
    assert "bahdanau-mobilenet: training resumes" in capsys.readouterr().out


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("kind", ["bahdanau", "numpy_lstm"])
@pytest.mark.parametrize(("before", "now"), [(1, 6), (6, 3)])
def test_other_epochs_are_another_experiment_and_why_is_said(made, capsys, kind, before, now, done):
    config = NumpyTrainingConfig if kind.startswith("numpy") else TrainingConfig
    folder = (
        (finished(made, kind, training=config(epochs=before))[0])
        if done
        else start(made, kind, training=config(before))
    )
    kept = everything_in(folder)
    for patience in (config.patience, 2):
        capsys.readouterr()
        assert start(made, kind, training=config(epochs=now, patience=patience)) != folder
        said = capsys.readouterr().out
        assert f"The cosine schedule of {folder.name} is over {before} epoch{'s' * (before > 1)}, not {now}: " in said
        assert len(said.splitlines()) == 1 and said.endswith("it trains from the start.\n")
    assert kept == everything_in(folder)


def test_another_patience_is_said_to_start_from_the_start_where_the_run_is_finished(made, capsys):
    folder, more, less = start(made), TrainingConfig(patience=9), TrainingConfig(patience=1)
    capsys.readouterr()
    start(made, training=more)
    assert "from the start" not in capsys.readouterr().out
    experiments.finish(folder)
    start(made, training=less)
    assert "is finished and its optimizer's state is gone: it trains from the start." in capsys.readouterr().out


def test_another_machine_waits_for_the_first_one_and_not_for_ever(made, monkeypatch):
    folder = start(made)
    with monkeypatch.context() as other:
        other.setattr(experiments.devices, "is_chief", lambda strategy: False)
        other.setattr(experiments, "WAIT", 0.3)
        with pytest.raises(StaleError, match=r"bahdanau-mobilenet is not marked as trained.*CAPTIONING_HOME"):
            experiments.finish(folder)
    experiments.finish(folder)
    monkeypatch.setattr(experiments.devices, "is_chief", lambda strategy: False)
    experiments.finish(folder)


def test_a_new_experiment_that_differs_in_more_says_nothing_of_epochs(made, capsys):
    start(made)
    start(made, units=9, training=TrainingConfig(epochs=3))
    assert capsys.readouterr().out.splitlines()[-1] == "bahdanau-mobilenet-units-9-epochs-3: a new experiment."


def changed(field):
    """Another value of a dataclass's field."""
    value = field.default
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value / 2 + 0.125 if isinstance(value, float) else 2 * value or 1
    return {"lstm": "rnn", "float32": "float64"}[value]


CONFIGS = {model: getattr(model, "config_class", CaptioningRNNConfig) for model in Made.classes}


@pytest.mark.parametrize(("model", "config"), CONFIGS.items(), ids=lambda each: each.__name__)
def test_every_knob_of_every_model_is_part_of_its_identity(made, model, config):
    usual = config(len(made.tokenizer), channels=6, **({"regions": 4} if issubclass(model, Decoder) else {}))
    base = settings_of(made, model, usual)
    for field in dataclasses.fields(config):
        other = replace(usual, **{field.name: changed(field) if field.default is not dataclasses.MISSING else 9})
        found = experiments.difference(base, settings_of(made, model, other))
        assert found.startswith("kind was " if field.name == "cell" else f"model.{field.name} was "), field.name


@pytest.mark.parametrize(
    ("kind", "usual"),
    [("bahdanau", TrainingConfig()), ("bahdanau", SelfCriticalConfig()), ("numpy_lstm", NumpyTrainingConfig())],
)
def test_every_knob_of_the_training_is_part_of_its_identity(made, kind, usual):
    model, config = config_of(made, kind)
    base = settings_of(made, model, config, usual)
    for field in dataclasses.fields(usual):
        value = "bfloat16" if field.name == "precision" else changed(field)
        other = replace(usual, **{field.name: value})
        assert experiments.difference(base, settings_of(made, model, config, other)).startswith(
            f"training.{field.name} was "
        )


@pytest.mark.parametrize("knob", ["batch", "max_words", "seed"])
def test_the_knobs_of_the_batches_are_part_of_the_identity(made, knob):
    usual = {"batch": 4, "max_words": 20, "seed": 0}
    base = settings_of(made, batches=usual)
    assert experiments.difference(base, settings_of(made, batches=usual | {knob: 3})) == (
        f"batches.{knob} was {usual[knob]} and is now 3"
    )
    without = {name: value for name, value in usual.items() if name != knob}
    assert f"batches.{knob} was" in experiments.difference(base, settings_of(made, batches=without))  # one knob less


def other_captions(made, split):
    records = list(made.dataset.records)
    index = next(i for i, record in enumerate(records) if record.split == split)
    records[index] = replace(records[index], captions=("another thing", *records[index].captions[1:]))
    return replace(made, dataset=replace(made.dataset, records=tuple(records)))


def test_what_the_files_hold_is_part_of_the_identity(made, tmp_path):
    base = settings_of(made)
    moved = tuple(replace(r, split="val") if r.image_id == 0 else r for r in made.dataset.records)
    photo = tuple(replace(r, content="f" * 32) if r.image_id == 0 else r for r in made.dataset.records)
    photos = replace(made.dataset, records=photo)
    for other, field in [
        (other_captions(made, "train"), "data.captions"),
        (other_captions(made, "val"), "data.captions"),
        (replace(made, dataset=replace(made.dataset, records=moved)), "data.pictures"),
        (replace(made, dataset=photos, store=store_of(photos, tmp_path / "photos")), "data.features"),
        (replace(made, tokenizer=Tokenizer(made.tokenizer.vocabulary[::-1])), "tokenizer"),
        (replace(made, store=store_of(made.dataset, tmp_path / "e", identity={"weights_hash": "1" * 16})), "encoder"),
    ]:
        fields = [name for name, _, _ in experiments.differences(base, settings_of(other))]
        assert any(name.startswith(field) for name in fields), (field, fields)
    assert not experiments.difference(base, settings_of(other_captions(made, "test")))


def test_features_changed_in_place_make_another_experiment(made, tmp_path):
    folder, _ = finished(made)
    shard = next(made.store.folder.glob("rows-*.f16"))
    shard.write_bytes(bytes(255 - byte for byte in shard.read_bytes()))
    assert start(made) != folder


def test_mixed_precision_makes_another_experiment(made):
    keras = captioning.quiet.keras
    folder, _ = finished(made)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert start(made).name == "bahdanau-mobilenet-mixed_bfloat16" != folder.name
    finally:
        keras.config.set_dtype_policy("float32")


# The code of the model


class Louder(BahdanauDecoder):
    """As from a notebook's cell: another class for the same settings."""

    def step(self, tokens, state):
        step = super().step(tokens, state)
        return step._replace(logits=2 * step.logits)


def test_a_subclass_makes_another_experiment_named_by_the_class(made):
    folder, _ = finished(made)
    assert start(made, model_class=Louder).name == "bahdanau-mobilenet-Louder"
    assert start(made) == folder


def test_edited_code_makes_another_experiment(made, monkeypatch):
    folder, _ = finished(made)

    def step(self, tokens, state):
        return Decoder.step(self, tokens, state)

    step.__module__ = "__main__"
    with monkeypatch.context() as patched:
        patched.setattr(BahdanauDecoder, "step", step)
        assert start(made).name == "bahdanau-mobilenet-other-code"
    assert start(made) == folder
