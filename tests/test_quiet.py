"""TensorFlow and Keras as the series needs them: another backend, devices left open, no notes; in new processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(code, **environment):
    root = Path(__file__).parents[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KERAS_", "TF_"))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120, env=kept | environment)


def test_devices_can_be_configured_afterwards():
    done = run(
        "import os, captioning.quiet\n"
        "import tensorflow as tf\n"
        "devices = [tf.config.LogicalDeviceConfiguration()] * 3\n"
        "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0], devices)\n"
        "print(len(tf.config.list_logical_devices('CPU')), os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    )
    assert done.stdout == "3 true\n" and done.stderr == ""


def test_the_users_choice_of_gpu_memory_is_kept():
    code = "import os, captioning.quiet; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    assert run(code, TF_FORCE_GPU_ALLOW_GROWTH="false").stdout == "false\n"


@pytest.mark.parametrize(
    ("first", "backend"),
    [
        ("quiet", "torch"),
        ("quiet", "jax"),
        ("models", "jax"),
        ("training.fit", "jax"),
        ("training.loss", "jax"),
        ("training.snapshots", "jax"),
        ("encoders", "jax"),
        ("features", "jax"),
        ("batches", "jax"),
        ("evaluation", "torch"),
    ],
)
def test_another_backend_is_set_and_said(first, backend):
    done = run(f"import captioning.{first}, keras; print(keras.backend.backend())", KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    said, used = done.stdout.splitlines()
    assert f"KERAS_BACKEND is '{backend}'" in said and used == "tensorflow"


def test_nothing_is_said_where_nothing_is_changed():
    for environment in ({}, {"KERAS_BACKEND": ""}, {"KERAS_BACKEND": "tensorflow"}):
        done = run("import captioning.quiet", **environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_keras_with_another_backend_is_an_error_that_names_the_variable():
    done = run(
        "import sys, types\n"
        "keras = sys.modules['keras'] = types.ModuleType('keras')\n"
        "keras.backend = types.SimpleNamespace(backend=lambda: 'jax')\n"
        "import captioning.quiet"
    )
    assert done.returncode != 0 and "ImportError" in done.stderr and "KERAS_BACKEND=tensorflow" in done.stderr


def test_the_order_of_axes_and_the_backend_in_keras_json_are_overruled(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first", "backend": "jax"}')
    code = "import captioning.quiet, keras; print(keras.config.image_data_format(), keras.backend.backend())"
    done = run(code, KERAS_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "channels_first" in done.stdout.splitlines()[0] and done.stdout.endswith("channels_last tensorflow\n")
