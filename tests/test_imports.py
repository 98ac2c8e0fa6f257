"""Modules that know no TensorFlow: they start at once, and run where it is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

LIGHT = (
    "settings",
    "fetching.download",
    "fetching.unpack",
    "images",
    "words",
    "tokenizer",
    "metrics.__main__",
    "decoding",
    "from_scratch.checks",
    "from_scratch.early_stopping",
    "datasets.scenes.scenes",
    "training.history",
    "catalog",
    "serving.command",
    "serving.alt_texts",
)
HEAVY = "{'tensorflow', 'keras', 'torch', 'jax'}"


def run(code):
    root = Path(__file__).parents[1]
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=120)


def test_they_import_without_tensorflow():
    code = f"""
import importlib, sys
for module in {LIGHT}:
    importlib.import_module(f"captioning.{{module}}")
    found = {HEAVY} & set(sys.modules)
    assert not found, f"captioning.{{module}} imports {{found}}"
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", ["'caption', '--help'", "'score', 'a.json', 'b.json'", "'models'"])
def test_what_needs_no_model_starts_without_tensorflow(words):
    code = f"""
import sys
from captioning.serving.command import main
try:
    main([{words}])
except SystemExit:
    pass
print(sorted({HEAVY} & set(sys.modules)))
"""
    done = run(code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_they_work_where_tensorflow_is_not_installed():
    blocked = f"import sys; sys.modules.update(dict.fromkeys({HEAVY}))"
    done = run("\n".join([blocked, *(f"import captioning.{module}" for module in LIGHT)]))
    assert done.returncode == 0, done.stderr
