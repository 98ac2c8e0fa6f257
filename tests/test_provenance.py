"""Digests that change with what they stand for, and with nothing else."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from captioning import provenance
from captioning.provenance import FileState, StaleError, code_digest, difference, digest, require_same


def test_a_digest_depends_on_every_value_and_on_their_order():
    values = [(1, "a"), (1, "b"), ("a", 1), (1,), ("1", "a"), ([1, "a"],), ({"a": 1},), ({"a": 1.0},), (None,)]
    assert len({digest(*value) for value in values}) == len(values)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest("\udcff")  # a file name that is not UTF-8


@pytest.mark.parametrize(
    ("kept", "now", "said"),
    [
        ({"a": 1}, {"a": 2}, "a was 1 and is now 2"),
        ({"a": 1}, {}, "a was 1 and is now None"),
        ({}, {"a": 1}, "a was None and is now 1"),
        ({"a": None}, {}, "a was None and is now None"),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, "a.c was 2 and is now None"),
        ({"a": {"b": 1}}, {"a": 1}, "a was {'b': 1} and is now 1"),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}, ""),
    ],
)
def test_a_difference_counts_on_both_sides(kept, now, said):
    assert difference(kept, now) == said


def test_a_stale_file_names_itself_the_difference_and_the_notebook():
    with pytest.raises(
        StaleError, match=r"x\.json is out of date: limit was 3 and is now 5\. Run notebooks/02_x\.ipynb"
    ):
        require_same("x.json", {"limit": 3}, {"limit": 5}, "02_x")
    require_same("x.json", {"limit": 3}, {"limit": 3}, "02_x")


def test_the_state_of_a_file_sees_a_write_of_the_same_size_with_the_time_set_back(tmp_path):
    file = tmp_path / "photo.bmp"
    file.write_bytes(b"one")
    before = FileState.of(file)
    assert FileState.of(file) == before
    file.write_bytes(b"two")
    os.utime(file, ns=(before.modified, before.modified))
    assert FileState.of(file) != before


MODULE = '''
"""A model."""

import numpy as np

SCALE = 2.0


def helper(x):
    """Double."""
    return 2 * x  # a comment


class Layer:
    def call(self, x):
        return helper(x) + 1


class Base:
    averaged = False


class Model(Base):
    def step(self, x):
        return Layer().call(x)

    @property
    def size(self):
        return 3

    @classmethod
    def make(cls):
        return cls()


def unused(x):
    return x
'''


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Return the digest of a class in a file that is not a part of the package, as of a notebook's cells."""

    def digest_of(source):
        file = tmp_path / digest(source) / "cells.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
        spec = importlib.util.spec_from_file_location("cells", file)
        monkeypatch.setitem(sys.modules, "cells", importlib.util.module_from_spec(spec))
        spec.loader.exec_module(sys.modules["cells"])
        return code_digest(sys.modules["cells"].Model)

    return digest_of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return Layer().call(x)", "return Layer().call(x) + 1"),
        ("helper(x) + 1", "helper(x) - 1"),  # in a class that it uses
        ("return 2 * x", "return 3 * x"),  # in a function that that one uses
        ("averaged = False", "averaged = True"),  # a constant of a base
        ("return 3", "return 4"),
        ("return cls()", "return cls"),
    ],
)
def test_the_digest_of_code_follows_what_the_class_uses(old, new, digest_of):
    assert MODULE.count(old) == 1
    assert digest_of(MODULE) != digest_of(MODULE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # a comment", ""),
        ('"""Double."""', '"""Twice."""'),
        ("helper(x) + 1", "(helper(x) +  1)"),
        ("def unused(x):\n    return x", "def unused(x):\n    return -x"),
    ],
)
def test_the_digest_of_code_ignores_words_layout_and_what_is_not_used(old, new, digest_of):
    assert MODULE.count(old) == 1
    assert digest_of(MODULE) == digest_of(MODULE.replace(old, new))


def test_a_class_of_the_package_counts_with_all_modules_that_it_uses(tmp_path, monkeypatch):
    import captioning.quiet  # noqa: F401
    from captioning.from_scratch.rnn import CaptioningRNN
    from captioning.models.bahdanau import BahdanauDecoder

    read, seen = provenance.inspect.getsource, []
    monkeypatch.setattr(provenance.inspect, "getsource", lambda thing: (seen.append(thing.__name__), read(thing))[1])
    assert code_digest(BahdanauDecoder) == code_digest(BahdanauDecoder) != code_digest(CaptioningRNN)
    models = {"captioning.models.bahdanau", "captioning.models.decoder"}
    from_scratch = {f"captioning.from_scratch.{name}" for name in ("rnn", "cells", "layers", "weights")}
    assert models | from_scratch <= set(seen)
    assert not any(name.startswith(("captioning.decoding", "keras", "numpy")) for name in seen)


def test_a_method_replaced_from_a_notebook_is_seen(monkeypatch):
    import captioning.quiet  # noqa: F401
    from captioning.models.gru import GRUDecoder

    before = code_digest(GRUDecoder)
    scope = {"__name__": "__main__"}
    exec("def step(self, tokens, state):\n    return None", scope)
    monkeypatch.setattr(GRUDecoder, "step", scope["step"])
    assert code_digest(GRUDecoder) != before


def test_classes_of_a_notebooks_cells_are_followed_from_cell_to_cell(tmp_path):
    """In a kernel, where a class has no file: the source of each cell is kept by IPython."""
    pytest.importorskip("IPython")
    program = """
    import json, sys
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance()
    for cell in json.load(open(sys.argv[1])):
        shell.run_cell(cell, store_history=True).raise_error()
    """
    cells = [
        "class Layer:\n    def call(self, x):\n        return x + 1",
        "class Model:\n    def step(self, x):\n        return Layer().call(x)",
    ]
    show = "from captioning.provenance import code_digest\nprint(code_digest(Model))"

    def run(*cells):
        (tmp_path / "cells.json").write_text(json.dumps([*cells, show]))
        arguments = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "cells.json")]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "IPYTHONDIR": str(tmp_path)}
        done = subprocess.run(arguments, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    assert run(*cells) == run("1 + 1", *cells)
    assert run(*cells) != run(cells[0].replace("x + 1", "x + 2"), cells[1])
