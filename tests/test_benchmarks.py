"""Every benchmark runs, at a size too small to tell anything, and both of its ways compute the same."""

import importlib
import json

import pytest
import tensorflow as tf

from benchmarks import made, size
from benchmarks.__main__ import ROWS, main, markdown
from benchmarks.timing import Line, measure


@pytest.fixture
def eager():
    """Run compiled functions as they are: at these sizes, tracing takes longer than anything else."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("row", ROWS)
def test_both_ways_of_a_row_compute_the_same(row, eager):
    module = importlib.import_module(f"benchmarks.{row}")
    lines = 0
    for line in module.lines(**module.TINY):
        line.check()
        line.ours()
        lines += 1
        if line.usual is not None:
            line.usual()
    assert lines and module.__doc__


def test_a_line_is_measured_as_rates_and_their_ratio(monkeypatch):
    clock = iter([0, *(t for n in range(10) for t in (10 * n, 10 * n + (1 if n % 2 == 0 else 4)))] + [99] * 9)
    monkeypatch.setattr("benchmarks.timing.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("benchmarks.timing.SECONDS", 1e9)
    checked = []
    line = Line("name", "captions", lambda: 0, lambda: 0, lambda: checked.append(1), amount=8, usual_amount=4)
    monkeypatch.setattr("benchmarks.timing.REPEATS", 3)  # fewer than three are never told
    found = measure(line)
    assert checked == [1] and found["repeats"] == 3
    assert found["ours"] == 8 and found["usual"] == 1  # 8 captions in 1 s, 4 in 4 s
    assert found["ratio"] == found["lowest"] == found["highest"] == 8


def test_a_row_whose_ways_differ_is_not_timed():
    def differ():
        raise AssertionError("the losses differ")

    with pytest.raises(AssertionError, match="losses"):
        measure(Line("name", "captions", None, None, differ))


def test_the_table_names_ratios_and_the_machine():
    line = {"name": "reading", "unit": "pictures", "ours": 2000.0, "usual": 250.0, "ratio": 8.0, "lowest": 7.5}
    line |= {"highest": 8.25, "against": "one .npy per picture", "seconds": 0.1}
    alone = {"name": "opening", "unit": "", "ours": 2.0, "seconds": 0.5}
    about = {"machine": "a laptop, 2 cores", "tensorflow": "2.21.0", "keras": "3.15.1"}
    table = markdown({"reading": {"lines": [line]} | about, "opening": {"lines": [alone]} | about})
    assert "| reading | 2,000 pictures/s | 250 pictures/s: one .npy per picture | 8.00 (7.50 - 8.25) |" in table
    assert "| opening | 0.50 s | | |" in table
    assert table.endswith("a laptop, 2 cores; TensorFlow 2.21.0, Keras 3.15.1")


def test_an_unknown_row_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["trainning"])
    assert "no row trainning; known: training," in capsys.readouterr().err


def test_captions_are_as_long_as_those_of_coco():
    texts = made.texts(20_000, 500)
    assert abs(sum(len(text.split()) for text in texts) / len(texts) - 10.46) < 0.1
    encoded = made.tokenizer(500).encode(texts[0])
    assert len(encoded) == len(texts[0].split()) + 2 and 1 not in encoded  # all of them are words


def test_a_row_is_a_process_of_its_own_and_goes_into_the_file(tmp_path):
    file = tmp_path / "bench.json"
    file.write_text('{"reading": {"kept": true}}')
    assert main(["--tiny", "--json", str(file), "search"]) == 0
    rows = json.loads(file.read_text())
    assert rows["reading"] == {"kept": True}
    assert rows["search"]["lines"][0]["name"] == "NumPy beam 3, 3 pictures"
    assert rows["search"]["memory"] > 1e7 and all(line["ratio"] > 0 for line in rows["search"]["lines"])


def test_every_part_runs_on_what_was_made_for_it(tmp_path, monkeypatch, eager):
    for name, value in {"VOCABULARY": 60, "REGIONS": 2, "CHANNELS": 3, "STEPS": 2}.items():
        monkeypatch.setattr(size, name, value)
    size.make(tmp_path, 50)
    for name, part in size.PARTS.items():
        figures = part(tmp_path, 50)
        assert figures["seconds"] > 0, name
        assert "GB at most" in size.in_words(figures | {"memory": 1e9})
    assert len(size._batches(tmp_path, size._dataset(tmp_path).split("train")).records) == 46
