"""Reports, baselines, means of reports, and captions checked where the truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import evaluation, metrics
from captioning.bundle import Neighbors
from captioning.evaluation.baselines import _mean, most_frequent_caption, nearest_neighbor
from captioning.metrics import grounding

# Reports


def test_report_holds_what_scores_json_needs(made):
    test = made.dataset.split("test")
    results = {record.image_id: record.captions[0] for record in test}
    results[test[0].image_id] = made.dataset.captions("train")[0]
    decoding = {"method": "beam", "width": 3}
    scores = evaluation.score_results(results, test, made.dataset, decoding)
    assert scores["decoding"] == decoding
    assert scores["distinct_captions"] == metrics.distinct_captions(results)
    assert scores["novel_captions"] == metrics.novel_captions(results, made.dataset.captions("train")) < 1
    assert 0 <= scores["shuffled_CIDEr"] < scores["CIDEr"]
    assert "grounding" not in scores and "vocabulary" in scores["language"]
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert scores.items() >= metrics.score(evaluation.references_of(test), results).items()


def test_report_of_drawn_scenes(made):
    truth = {"place": "lake", "objects": [{"object": "boat", "colour": "red", "unseen": True}]}
    record = replace(made.dataset.records[0], truth=truth)
    scores = evaluation.score_results({record.image_id: "a red boat"}, [record], made.dataset, {})
    assert scores["grounding"]["pair"] == scores["grounding"]["unseen"]["pair"] == 1
    assert scores["grounding"]["place"] == 0
    assert scores["shuffled_CIDEr"] is None and "one image only" in scores["shuffled_CIDEr_reason"]


# Baselines


def neighbors_of(made):
    return Neighbors.make(made.store, made.dataset.split("train"), made.dataset)


def test_the_nearest_neighbor_gives_the_caption_of_an_equal_picture(made):
    train = made.dataset.split("train")
    results = nearest_neighbor(neighbors_of(made), made.store, train)
    assert results == {record.image_id: record.captions[0] for record in train}


def test_the_most_frequent_caption_is_one_for_all(made):
    doubled = replace(made.dataset.records[0], captions=("A Flag.", "a flag"))
    dataset = replace(made.dataset, records=(doubled, *made.dataset.records[1:]))
    assert set(most_frequent_caption(dataset, dataset.split("test")).values()) == {"a flag"}


def test_the_shuffled_baseline_is_the_shuffled_score_of_the_best_model(made):
    """One quantity, one number: the row and the column."""
    test = made.dataset.split("test")
    best = {record.image_id: record.captions[0] for record in test}
    sets = evaluation.baselines(neighbors_of(made), made.store, made.dataset, test, best)
    assert [len(each) for each in sets.values()] == [1, 1, 5]
    row = evaluation.score_sets(sets["best model, shuffled"], test, made.dataset, "shuffled")
    scores = evaluation.score_results(best, test, made.dataset, {})
    assert row["CIDEr"] == pytest.approx(scores["shuffled_CIDEr"])
    assert row["shuffled_CIDEr"] is None and row["decoding"] == {"method": "shuffled"}
    assert "best model, shuffled" not in evaluation.baselines(
        neighbors_of(made), made.store, made.dataset, test[:1], best
    )


def test_the_mean_of_reports_holds_every_number():
    truth = {"place": "lake", "objects": [{"object": "boat", "colour": "red", "unseen": True}]}
    rows = [
        grounding({1: truth, 2: truth}, {1: first, 2: "a lake"})
        for first in ("a red boat", "a red boat and a boat on a lake", "")
    ]
    mean = _mean(rows)
    assert mean["exact"] == mean["unseen"]["exact"] == pytest.approx(1 / 6)
    assert mean["place"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert mean["intervals"]["exact"] == pytest.approx(np.mean([row["intervals"]["exact"] for row in rows], axis=0))
    assert mean["relation"] is None and mean["false_named"] == 0  # of the captions that name something


# Truth


@pytest.mark.parametrize(
    "text, mark",
    [
        ("A red boat on a lake.", "✓ right"),
        ("a violet house", "✗ no violet house here; red boat missing"),
        ("a red boat and a red boat in the desert to the right", "✗ red boat named twice; no desert here"),
        ("a red house and a red house", "✗ no red house here; red house named twice"),
        ("a red boat on the right", "✗ not on the right"),
        ("", "✗ red boat missing"),
    ],
)
def test_a_caption_is_checked_where_the_truth_is_known(made, text, mark):
    truth = {"place": "lake", "objects": [{"object": "boat", "colour": "red", "box": [0.1, 0.1, 0.3, 0.3]}]}
    record = made.dataset.records[0]
    assert evaluation.check(replace(record, truth=truth), text) == mark
    assert evaluation.check(record, text) == ""
