"""The controlled comparison: each notebook as far as its training, with another seed; means and pairs over seeds."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import comparison
from captioning import evaluation, features, notebooks
from captioning.files import read_json
from tests.bundles import finished, made_in


@pytest.fixture
def made(tmp_path):
    return made_in(tmp_path)


@pytest.mark.parametrize("number", comparison.DECODERS)
def test_every_notebook_of_a_decoder_has_a_seed_and_a_cell_that_trains(number, made, monkeypatch):
    ran = []

    class Client:
        def __init__(self, content, resources):
            ran.append(content)
            content.cells[-1].outputs = []

        def execute(self):
            pass

    monkeypatch.setattr(comparison, "NotebookClient", Client)
    (notebook,) = notebooks.named([number])
    comparison.train(notebook, 7, made.project)
    sources = {cell.id: cell.source for cell in ran[0].cells}
    assert list(sources)[-1] == "train" and re.search(r"^SEED = 7\b", sources["settings"], re.M)
    assert "SEED" in "".join(source for name, source in sources.items() if name != "settings")


def test_the_tables_hold_mean_and_deviation_over_seeds_and_pairs_on_the_same_pictures(made, monkeypatch):
    for units in (5, 6):
        for seed in (0, 1):
            finished(made, "numpy_lstm", units=units, seed=seed)
    finished(made, "numpy_rnn")  # one seed: not compared
    project = replace(made.project, encoder="mobilenet")
    monkeypatch.setattr(comparison.prepare, "load", lambda _: made.dataset)
    monkeypatch.setattr(features, "folder_of", lambda *_: made.store.folder)
    scores_table, pairs = comparison.tables(project).strip().split("\n\n")
    rows = [re.split(" {2,}", line) for line in scores_table.splitlines()]
    assert [row[:2] for row in rows[1:]] == [[row[0], "2"] for row in rows[1:]] and len(rows) == 3
    for first, _, cider, *_ in rows[1:]:
        names = [path.parent.name for path in project.checkpoints.glob("numpy_lstm*/scores.json")]
        (group,) = (g for g in evaluation.by_seed(project.checkpoints, sorted(names)).values() if first in g)
        each = [read_json(project.checkpoints / name / "scores.json", "")["CIDEr"] for name in group]
        assert cider == f"{100 * np.mean(each):.1f} ± {100 * np.std(each, ddof=1):.1f}"
    heads, *lines = pairs.splitlines()
    assert heads.split() == ["2"] and [line.split()[:2] for line in lines] == [["1", rows[1][0]], ["2", rows[2][0]]]
    low, high = sorted(float(row[2].split(" ± ")[0]) for row in rows[1:])
    assert float(re.search(r"[-+]?\d+\.\d+", lines[0].split(rows[1][0])[1]).group()) == pytest.approx(
        high - low, abs=0.11
    )


def test_without_one_encoder_or_with_one_seed_nothing_is_compared(made, monkeypatch, capsys):
    for encoder, seeds, word in (("", "3", "CAPTIONING_ENCODER"), ("mobilenet", "1", "--seeds")):
        monkeypatch.setattr(comparison.settings, "active", lambda e=encoder: replace(made.project, encoder=e or None))
        with pytest.raises(SystemExit):
            comparison.main(["--seeds", seeds])
        assert word in capsys.readouterr().err


def test_without_data_and_with_an_unknown_decoder_one_line_says_so(made, monkeypatch, capsys):
    monkeypatch.setattr(comparison.settings, "active", lambda: replace(made.project, encoder="mobilenet"))
    with pytest.raises(SystemExit):
        comparison.main([])
    assert "01_download" in capsys.readouterr().err
    monkeypatch.setattr(comparison.prepare, "load", lambda _: made.dataset)
    with pytest.raises(SystemExit):
        comparison.main(["--decoders", "99"])
    assert "begins with '99'" in capsys.readouterr().err
