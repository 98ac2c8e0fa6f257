"""Runs that are killed, interrupted, damaged, repeated or changed: they resume to the bit or are refused."""

import json
import shutil
import threading
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning.files import DamagedError
from captioning.models.gru import GRUDecoder
from captioning.provenance import StaleError
from captioning.training import fit
from captioning.training.archive import read_arrays
from captioning.training.folder import tidy, training_in
from captioning.training.history import read_history
from captioning.training.interrupts import Interruptible
from tests.bundles import everything_in
from tests.small_training import (
    CLASSES,
    CONFIG,
    KillAfter,
    Killed,
    assert_same_weights,
    in_new_process,
    kill,
    parts,
    run,
    scores_only,
)


def test_two_epochs_a_kill_and_two_more_equal_four_to_the_bit(made, tmp_path):
    """The other kinds: see the one with mixed precision."""
    whole, history = run(made, tmp_path / "whole", "bahdanau")
    kill(made, tmp_path / "broken", "bahdanau")
    resumed, resumed_history = run(made, tmp_path / "broken", "bahdanau")
    assert scores_only(history) == scores_only(resumed_history)
    last = [read_arrays(tmp_path / name / "last" / "checkpoint.npz") for name in ("whole", "broken")]
    assert list(last[0]) == list(last[1])
    for name in last[0].keys() - {"history"}:  # which holds the seconds
        np.testing.assert_array_equal(last[0][name], last[1][name])
    assert_same_weights(whole, resumed)


def test_a_finished_training_is_not_run_again_and_its_beginning_is_that_of_the_whole(made, tmp_path):
    _, beginning = run(made, tmp_path / "beginning", stop_after=2)
    model, history = run(made, tmp_path / "whole")
    assert scores_only(beginning) == scores_only(history)[:2]
    for with_last in (True, False):
        assert (tmp_path / "whole" / "last").exists() == with_last
        loaded, again = run(made, tmp_path / "whole", callbacks=[KillAfter(0)])
        assert again == history
        assert_same_weights(model, loaded)
        tidy(tmp_path / "whole")
    (tmp_path / "whole" / "training.json").unlink()
    with pytest.raises(StaleError, match="nothing says of which run"):
        run(made, tmp_path / "whole")


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_with_another_run_is_refused_and_kept(made, tmp_path, finished):
    if finished:
        run(made, tmp_path)
        tidy(tmp_path)
    else:
        kill(made, tmp_path, after=1)
    before = everything_in(tmp_path)
    for then, named in (
        ({"kind": "gru"}, "code was"),
        ({"config": replace(CONFIG, epochs=2)}, "training.epochs was 4 and is now 2"),
        ({"dropout": 0.2}, "model.dropout was 0.3 and is now 0.2"),
    ):
        with pytest.raises(StaleError, match=f"{tmp_path.name}.*{named}.*Run all cells again"):
            run(made, tmp_path, **then)
        assert before == everything_in(tmp_path)


def test_a_snapshot_of_edited_code_is_refused(made, tmp_path, monkeypatch):
    kill(made, tmp_path, "gru", after=1)

    def edited(self, config):
        GRUDecoder.__init__(self, config)
        self.map_vector = keras.layers.Dense(config.units, use_bias=False, name="map_vector")

    wider = type("GRUDecoder", (GRUDecoder,), {"__init__": edited, "__qualname__": "GRUDecoder"})
    monkeypatch.setitem(CLASSES, "gru", wider)
    with pytest.raises(StaleError, match="holds another training run: code was"):
        run(made, tmp_path, "gru")


def test_a_damaged_snapshot_is_named(made, tmp_path):
    kill(made, tmp_path, after=1)
    (tmp_path / "last" / "checkpoint.npz").write_bytes(b"PK")
    with pytest.raises(DamagedError, match=r"checkpoint.npz is damaged.*Delete"):
        run(made, tmp_path)


def test_patience_is_remembered_after_a_kill(made, tmp_path, monkeypatch):
    scores = iter([0.5, 0.3, 0.2, 0.1])
    monkeypatch.setattr(fit.FreeRunning, "score", lambda *_: next(scores))
    config = replace(CONFIG, epochs=9, patience=2)
    kill(made, tmp_path, config=config)
    _, history = run(made, tmp_path, config=config)
    assert len(history) == 3


def test_the_last_snapshot_survives_a_full_disk(made, tmp_path, monkeypatch):
    kill(made, tmp_path)
    snapshot, kept = tmp_path / "last" / "checkpoint.npz", read_history(tmp_path / "history.csv")
    before = snapshot.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            run(made, tmp_path)
    assert snapshot.read_bytes() == before and not list(tmp_path.rglob("partial-*"))
    _, history = run(made, tmp_path)
    assert history[:2] == kept and len(history) == 4


def test_whatever_was_run_before_training_starts_from_its_first_weights(made, tmp_path):
    undisturbed, history = run(made, tmp_path / "undisturbed", config=replace(CONFIG, epochs=2))
    short, folder = replace(CONFIG, epochs=2), tmp_path / "used"
    model, train, validation = parts(made)

    def again(config=short, folder=folder, callbacks=()):
        return fit.fit(model, train, validation, made[2], config, folder, callbacks)

    with pytest.raises(Killed):  # interrupted in the first epoch, the Train cell run again
        again(callbacks=[KillAfter(0)])
    assert scores_only(again()) == scores_only(history)
    assert_same_weights(model, undisturbed)
    again(replace(CONFIG, epochs=3), tmp_path / "longer")  # the epochs changed, and changed back
    shutil.rmtree(folder)  # the bundle deleted
    assert scores_only(again()) == scores_only(history)
    assert_same_weights(model, undisturbed)


def test_another_precision_does_not_resume(made, tmp_path):
    kill(made, tmp_path, after=1)
    with pytest.raises(StaleError, match="precision was 'float32' and is now 'bfloat16'"):
        run(made, tmp_path, config=replace(CONFIG, precision="bfloat16"))


def test_the_weights_file_holds_weights_alone_and_tidy_leaves_it(made, tmp_path):
    model, _ = run(made, tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        names = []
        file.visit(names.append)
        sizes = [file[name].size for name in names if isinstance(file[name], h5py.Dataset)]
    assert not any("optimizer" in name for name in names)
    assert sum(sizes) == sum(int(np.prod(variable.shape)) for variable in model.weights)
    assert model.optimizer is not None
    (tmp_path / "partial-1-model.weights.h5").touch()
    tidy(tmp_path)
    names = {"model.weights.h5", "history.csv", "training.json", "logs"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_second_run_waits_and_finds_the_first_one_finished(made, tmp_path, capsys):
    results = []

    class Second(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.thread = threading.Thread(target=lambda: results.append(run(made, tmp_path, "merge")))
                self.thread.start()

    second = Second()
    model, history = run(made, tmp_path, "merge", callbacks=[second])
    second.thread.join(timeout=60)
    ((other, same),) = results
    assert same == history  # the same seconds
    assert_same_weights(model, other)
    assert "waiting" in capsys.readouterr().out


def test_settings_are_compared_as_json_holds_them(tmp_path):
    for _ in range(2):
        with training_in(tmp_path, model={"sizes": (1, 2)}, training={}, code="0"):
            pass


def test_a_run_that_is_not_that_of_the_experiment_is_refused(tmp_path):
    """The knobs or the class were changed after the model was built, or after the experiment was found."""
    kept = {"model": {"units": 5}, "training": {"epochs": 3}, "class": {"code": "0"}, "finished": True}
    (tmp_path / "settings.json").write_text(json.dumps(kept))
    right = {"model": {"units": 5}, "training": {"epochs": 3}, "code": "0"}
    for change in ({"model": {"units": 6}}, {"training": {"epochs": 4}}, {"code": "1"}):
        with pytest.raises(StaleError, match=f"another training run: {next(iter(change))}"):  # noqa: SIM117
            with training_in(tmp_path, **(right | change)):
                pass
    with training_in(tmp_path, **right):
        assert not (tmp_path / "training.json").exists()


SWALLOWED = """
import os, signal, sys
from pathlib import Path
import captioning.quiet
import keras
from dataclasses import replace
from captioning.models.gru import GRUDecoder
from tests import small_training as t
from tests.tiny import store_of, tiny_dataset, tokenizer_of

class Swallows:
    def __del__(self):  # where Python can only print an exception
        os.kill(os.getpid(), signal.SIGINT)

class InTracing(GRUDecoder):
    def unroll(self, tokens, state, training=False):
        if training:
            Swallows()
        return super().unroll(tokens, state, training)

folder = Path(sys.argv[1])
dataset = tiny_dataset(folder, splits=("train", "train", "train", "val"))
made = dataset, store_of(dataset, folder), tokenizer_of(dataset)
t.CLASSES["gru"] = InTracing
try:
    t.run(made, folder / "bundle", "gru", replace(t.CONFIG, epochs=3))
except KeyboardInterrupt:
    print("stopped", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_an_interrupt_that_python_swallows_stops_training(tmp_path):
    done = in_new_process(SWALLOWED, tmp_path)
    assert done.stdout.endswith("stopped True\n"), done.stdout + done.stderr[-2000:]
    assert "Exception ignored" in done.stderr
    assert not read_history(tmp_path / "bundle" / "history.csv")


def test_an_interrupt_that_became_another_error_is_one():
    interrupts = Interruptible()
    with pytest.raises(KeyboardInterrupt), interrupts.listening():
        interrupts.asked = True
        raise RuntimeError
