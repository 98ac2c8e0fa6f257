"""Several devices and several machines train as one device does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from captioning import quiet
from tests import small_training, two_machines

ROOT = Path(__file__).parents[1]


def two_processes(folder, what):
    """Run `tests.two_machines` twice; return the texts that the two processes have printed."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    cluster = {"worker": [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]}
    for each in sockets:
        each.close()
    processes = []
    for number in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": number}})
        command = [sys.executable, "-m", "tests.two_machines", str(folder), what]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TF_CONFIG": config}, **pipes))
    try:
        return [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()


def assert_close(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def arrays(file):
    with np.load(file) as found:
        return [found[name] for name in found.files]


def test_two_machines_one_of_them_killed_and_started_again_train_as_one(tmp_path):
    (first, _), (_, noise) = two_processes(tmp_path, "dies")
    assert "not about to train the same" in first and "Another machine of TF_CONFIG is gone" in first, noise
    assert not (tmp_path / "of 0" / "weights.npz").exists()
    for (said, noise), number in zip(two_processes(tmp_path, "lives"), range(2), strict=True):
        assert "resuming after epoch 1 of at most 3" in said, noise
        assert ("(on the first machine)" in said) == bool(number)
    made = two_machines.parts(tmp_path / "alone")
    options = {"dropout": 0.0, "batch": two_machines.BATCH}
    model, history = small_training.run(made, tmp_path / "one", "gru", two_machines.CONFIG, **options)
    for number in range(2):
        own = tmp_path / f"of {number}"
        assert_close(model.get_weights(), arrays(own / "weights.npz"))
        for row, expected in zip(json.loads((own / "history.json").read_text()), history, strict=True):
            assert row | {"seconds": 0} == pytest.approx(expected | {"seconds": 0}, rel=1e-5)
    assert_close(*(scratch := [arrays(tmp_path / f"of {number}" / "scratch.npz") for number in range(2)]))
    assert all(np.isfinite(array).all() for array in scratch[0])
    assert not (tmp_path / "of 1" / "scratch" / "history.csv").exists()


@pytest.mark.parametrize(
    "config",
    ["no JSON", "[]", '{"cluster": {"worker": ["a:1"]}}', '{"cluster": {"worker": []}, "task": {"type": "worker"}}'],
)
def test_a_tf_config_that_cannot_be_used_is_said_with_one_that_can(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ImportError, match=r"TF_CONFIG = .*Give, as JSON"):
        quiet.machines.__wrapped__()
