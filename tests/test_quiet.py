"""TensorFlow and Keras as the series needs them: another backend, devices left open, no notes; in new processes."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def run(code, **environment):
    root = Path(__file__).parents[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KERAS_", "TF_"))}
    kept["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU of this machine says nothing
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120, env=kept | environment)


STUBS = """
import logging, platform, sys, types
from types import SimpleNamespace as Namespace
tensorflow, keras = types.ModuleType("tensorflow"), types.ModuleType("keras")
tensorflow.__version__, keras.__version__, gpus = {tensorflow!r}, {keras!r}, {gpus!r}
tensorflow.get_logger = logging.getLogger
tensorflow.config = Namespace(list_physical_devices=lambda kind: gpus)
keras.backend = Namespace(backend=lambda: "tensorflow")
keras.config = Namespace(image_data_format=lambda: "channels_last", floatx=lambda: "float32")
sys.modules.update(tensorflow=tensorflow, keras=keras)
"""
IMPORT = "\nimport captioning.quiet"


def stubs(tensorflow="2.19.0", keras="3.10.0", gpus=()):
    return STUBS.format(tensorflow=tensorflow, keras=keras, gpus=gpus)


def test_devices_can_be_configured_afterwards():
    done = run(
        "import os, captioning.quiet\n"
        "import tensorflow as tf\n"
        "devices = [tf.config.LogicalDeviceConfiguration()] * 3\n"
        "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0], devices)\n"
        "print(len(tf.config.list_logical_devices('CPU')), os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    )
    assert done.stdout == "3 true\n" and done.stderr == ""


RETRACED = """
import sys
sys.ps1 = "In : "  # as in a notebook's kernel, where TensorFlow's logger would say more
from captioning.quiet import tensorflow
for _ in range(9):
    tensorflow.function(lambda: tensorflow.constant(1))()
f = tensorflow.function(lambda number: number, reduce_retracing=False)
for number in range(9):
    f(number)
"""


def test_models_that_are_traced_again_are_no_warning():
    done = run(RETRACED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_users_choice_of_gpu_memory_is_kept():
    code = stubs() + IMPORT + "\nimport os; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    assert run(code, TF_FORCE_GPU_ALLOW_GROWTH="false").stdout == "false\n"


def test_another_backend_is_set_and_said():
    """By `models`, which others import first; for the others see the next test."""
    done = run("import captioning.models, keras; print(keras.backend.backend())", KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    said, used = done.stdout.splitlines()
    assert "KERAS_BACKEND is 'jax'" in said and used == "tensorflow"


def test_no_module_imports_keras_before_the_backend_is_chosen():
    """Only `quiet` does it by itself, and the models, whose package imports `quiet` first."""
    package = Path(__file__).parents[1] / "captioning"
    own = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"^\s*(import|from) (keras|tensorflow)\b", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert own - {"quiet.py"} and all(name.startswith("models/") for name in own - {"quiet.py"})
    imported = re.findall(r"^(?:import|from) captioning\S*", (package / "models/__init__.py").read_text(), re.MULTILINE)
    assert imported[0] == "import captioning.quiet"


NOT_YET_IMPORTED = """
from importlib.machinery import ModuleSpec
class Found:
    find_spec = lambda self, name, *_: ModuleSpec(name, self) if name == "keras" else None
    create_module = lambda self, spec: keras
    exec_module = lambda self, module: None
sys.meta_path.insert(0, Found())
del sys.modules["keras"]
"""


@pytest.mark.parametrize("chosen", ["", "tensorflow"])
def test_nothing_is_said_where_nothing_is_changed(chosen):
    code = stubs() + NOT_YET_IMPORTED + IMPORT + "\nimport os; print(os.environ['KERAS_BACKEND'])"
    done = run(code, KERAS_BACKEND=chosen)
    assert (done.returncode, done.stdout, done.stderr) == (0, "tensorflow\n", "")


def test_keras_with_another_backend_is_an_error_that_names_the_variable():
    done = run(
        "import sys, types\n"
        "keras = sys.modules['keras'] = types.ModuleType('keras')\n"
        "keras.backend = types.SimpleNamespace(backend=lambda: 'jax')\n"
        "import captioning.quiet"
    )
    assert done.returncode != 0 and "ImportError" in done.stderr and "KERAS_BACKEND=tensorflow" in done.stderr


def test_what_keras_json_says_is_overruled(tmp_path):
    config = {"image_data_format": "channels_first", "backend": "jax", "floatx": "float16"}
    (tmp_path / "keras.json").write_text(json.dumps(config))
    code = "from captioning.quiet import keras; c = keras.config; print(c.image_data_format(), c.dtype_policy().name)"
    done = run(f"{code}; print(keras.backend.backend())", KERAS_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    axes, numbers, *used = done.stdout.splitlines()
    assert "channels_first" in axes and "float16" in numbers
    assert used == ["channels_last float32", "tensorflow"]


GONE = """
class Gone:
    def find_spec(self, name, *_):
        if name == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Gone())
del sys.modules[{name!r}]
"""


@pytest.mark.parametrize("name", ["tensorflow", "keras"])
@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("", "No module named {name!r}. For {python}: pip install 'tensorflow>="),
        ("sys.version_info, platform.python_version = (3, 14, 0), lambda: '3.14.0'", "This is Python 3.14.0; use 3.11"),
        ("sys.version_info, platform.python_version = (3, 10, 9), lambda: '3.10.9'", "This is Python 3.10.9; use 3.11"),
        ("platform.system, platform.machine = lambda: 'Darwin', lambda: 'x86_64'", "does not exist for Intel Macs"),
    ],
)
def test_without_tensorflow_the_error_says_why_and_the_way_out(name, machine, said):
    done = run(stubs() + GONE.format(name=name) + machine + IMPORT)
    last = done.stderr.splitlines()[-1]
    assert done.returncode != 0 and last.startswith("ImportError: ")
    assert said.format(name=name, python=sys.executable) in last


@pytest.mark.parametrize(
    "found", [{"tensorflow": "2.18.1"}, {"keras": "3.9.2"}, {"tensorflow": "2.15.0", "keras": "2.15"}]
)
def test_versions_that_are_too_old_are_refused_by_name(found):
    done = run(stubs(**found) + IMPORT)
    last = done.stderr.splitlines()[-1]
    assert done.returncode != 0 and last.startswith("ImportError: ") and "too old" in last and "pip install" in last
    assert all(version in last for version in found.values())


def test_newer_versions_are_said_to_be_untested():
    for found in ({"tensorflow": "2.22.0"}, {"keras": "4.0.0"}, {"tensorflow": "3.0.0-rc1"}):
        done = run(stubs(**found) + IMPORT)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1 and "newer" in done.stdout
        assert all(version in done.stdout for version in found.values())


def test_the_versions_are_those_of_pyproject():
    from captioning import quiet

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    listed = project["dependencies"]
    assert set(re.findall(r"'(.+?)'", quiet.INSTALL)) == {
        line for line in listed if line.startswith(("tensorflow", "keras"))
    }
    for name, (oldest, below) in quiet.NEEDED.items():
        assert f"{name}>={'.'.join(map(str, oldest))},<{'.'.join(map(str, below))}" in listed
    (first, (major, last)) = quiet.PYTHON
    assert project["requires-python"] == f">={first[0]}.{first[1]},<{major}.{last + 1}"


@pytest.fixture
def nvidia(tmp_path):
    """A PATH on which a driver's program is found."""
    file = tmp_path / "nvidia-smi"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


def test_a_gpu_that_is_not_used_is_said_in_one_line(nvidia):
    for visible in ("0", "0,1"):
        done = run(stubs() + IMPORT, CUDA_VISIBLE_DEVICES=visible, **nvidia)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("TensorFlow does not use the GPU of this machine: ")
        assert "pip install 'tensorflow[and-cuda]' (on Windows, inside WSL2" in done.stdout
        assert len(done.stdout.splitlines()) == 1


def test_a_gpu_that_is_used_or_hidden_on_purpose_is_not_mentioned(nvidia):
    for gpus, visible in [(["GPU:0"], "0"), ((), "-1"), ((), "")]:
        assert run(stubs(gpus=gpus) + IMPORT, CUDA_VISIBLE_DEVICES=visible, **nvidia).stdout == ""


def test_the_real_tensorflow_says_so_too(nvidia):
    code = "import tensorflow\ntensorflow.config.list_physical_devices = lambda kind: []" + IMPORT
    assert run(code, CUDA_VISIBLE_DEVICES="0", **nvidia).stdout.startswith("TensorFlow does not use the GPU")
