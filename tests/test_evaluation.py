"""The test split captioned once and scored always: nothing stale, nothing chosen on it."""

import json
from dataclasses import replace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import bundle, decoding, evaluation, findings, metrics
from captioning.datasets.scenes.words import NAMES
from captioning.features import folder_of
from captioning.metrics import cider, grounding
from captioning.provenance import StaleError
from tests.bundles import finished, made_in, start
from tests.tiny import store_of, tiny_dataset


@pytest.fixture
def made(tmp_path):
    return made_in(tmp_path)


@pytest.fixture
def decoded(monkeypatch):
    """How often pictures were decoded: (ids, beam width, length penalty)."""
    asked, caption_records = [], evaluation.caption_records

    def note(bundle, store, records, *decoding):
        asked.append(([record.image_id for record in records], *decoding))
        return caption_records(bundle, store, records, *decoding)

    monkeypatch.setattr(evaluation, "caption_records", note)
    return asked


def evaluate(made, folder, pictures=None):
    return evaluation.evaluate(bundle.load(folder), made.store, made.dataset, pictures)


def test_the_beam_is_chosen_on_validation(made, monkeypatch):
    folder, _ = finished(made, "numpy_lstm")
    val, test = (made.dataset.split(split) for split in ("val", "test"))
    best, asked = evaluation.DECODINGS[2], []

    def captions(bundle, store, records, *decoding):
        asked.append(([record.image_id for record in records], decoding))
        return [(r.captions[0] if decoding == best else "a wall", -float(r.image_id)) for r in records]

    monkeypatch.setattr(evaluation, "caption_records", captions)
    scores = evaluate(made, folder)
    *tried, (scored, decoding) = asked
    assert tried == [([record.image_id for record in val], decoding) for decoding in evaluation.DECODINGS]
    assert scored == [record.image_id for record in test] and decoding == best
    assert scores["images"] == len(test) and scores["Bleu_1"] == pytest.approx(1)
    assert (scores["decoding"]["beam_width"], scores["decoding"]["length_penalty"]) == best
    assert scores["decoding"]["confidences"] == [-float(record.image_id) for record in reversed(val)]
    assert metrics.read_results(folder / "captions.json") == {record.image_id: record.captions[0] for record in test}
    assert json.loads((folder / "scores.json").read_text()) == scores


@pytest.mark.parametrize("said, caption", [(True, "zebra"), (False, None)])
def test_a_validation_that_says_nothing_is_named(said, caption, made, monkeypatch, capsys):
    folder, _ = finished(made, "numpy_lstm")
    monkeypatch.setattr(
        evaluation,
        "caption_records",
        lambda bundle, store, records, *decoding: [(caption or r.captions[0], -1.0) for r in records],
    )
    evaluate(made, folder)
    assert ("CIDEr on validation is 0 for every decoding" in capsys.readouterr().out) == said


@pytest.mark.parametrize("kind", ["bahdanau", "numpy_lstm"])
def test_a_second_evaluation_decodes_nothing(made, decoded, kind):
    folder, _ = finished(made, kind)
    first = evaluate(made, folder)
    assert len(decoded) == len(evaluation.DECODINGS) + 1
    decoded.clear()
    assert evaluate(made, folder) == first and decoded == []


def test_kept_captions_of_an_older_version_are_made_again(made, decoded, capsys):
    """It did not keep how sure the model was."""
    folder, _ = finished(made, "numpy_lstm")
    first = evaluate(made, folder)
    kept = json.loads((folder / "decoded.json").read_text())
    older = {key: [text for text, _ in rows] for key, rows in kept["captions"].items()}
    made_from = {name: value for name, value in kept["made_from"].items() if name != "format"}
    (folder / "decoded.json").write_text(json.dumps({"made_from": made_from, "captions": older}))
    capsys.readouterr()
    decoded.clear()
    assert evaluate(made, folder) == first and len(decoded) == len(evaluation.DECODINGS) + 1
    assert "damaged" not in capsys.readouterr().out


def test_how_sure_the_model_is_of_validation_captions_is_kept(made):
    folder, _ = finished(made, "numpy_lstm")
    chosen = evaluate(made, folder, 3)["decoding"]
    captioner, val = bundle.load(folder), made.dataset.split("val")[:3]
    found = captioner.decode(made.store.rows(val), chosen["beam_width"], length_penalty=chosen["length_penalty"])
    means = [each.log_probability / (len(each.tokens) + each.finished) for each in found]
    assert chosen["confidences"] == sorted(chosen["confidences"]) == pytest.approx(sorted(means), abs=1e-4)
    assert captioner.chosen == chosen


def test_a_change_of_the_metrics_changes_the_scores_and_decodes_nothing(made, decoded, monkeypatch):
    folder, _ = finished(made, "numpy_lstm")
    first = evaluate(made, folder)
    decoded.clear()
    score = cider.CiderD.score_tokens
    monkeypatch.setattr(cider.CiderD, "score_tokens", lambda *a: (score(*a)[0] + 1, score(*a)[1]))
    second = evaluate(made, folder)
    assert second["CIDEr"] == pytest.approx(first["CIDEr"] + 1)
    assert json.loads((folder / "scores.json").read_text())["CIDEr"] == second["CIDEr"]
    assert all(ids == [r.image_id for r in made.dataset.split("test")] for ids, *_ in decoded)


def test_what_captions_are_compared_with_is_read_again(made, decoded):
    folder, _ = finished(made, "numpy_lstm")
    first = evaluate(made, folder)
    decoded.clear()
    texts = metrics.read_results(folder / "captions.json")
    records = tuple(
        replace(r, captions=(texts.get(r.image_id, "x"),)) if r.split == "test" else r for r in made.dataset.records
    )
    second = evaluate(replace(made, dataset=replace(made.dataset, records=records)), folder)
    assert second["Bleu_1"] == pytest.approx(1) != first["Bleu_1"] and decoded == []


def test_another_choice_of_decodings_decodes_what_is_new(made, decoded, monkeypatch):
    folder, _ = finished(made, "numpy_lstm")
    evaluate(made, folder)
    decoded.clear()
    monkeypatch.setattr(evaluation, "DECODINGS", (*evaluation.DECODINGS, (2, 0.5)))
    scores = evaluate(made, folder)
    assert len(scores["decoding"]["tried"]) == 6
    assert decoded[0][1:] == (2, 0.5) and len(decoded) <= 2


def test_another_number_of_validation_pictures_decodes_them(made, decoded):
    folder, _ = finished(made, "numpy_lstm")
    evaluate(made, folder)
    decoded.clear()
    evaluate(made, folder, 3)
    assert {len(ids) for ids, *_ in decoded} <= {3, len(made.dataset.split("test"))} and len(decoded) >= 5


@pytest.mark.parametrize("kind", ["bahdanau", "numpy_lstm"])
def test_other_weights_are_decoded_again(made, decoded, kind):
    folder, model = finished(made, kind)
    evaluate(made, folder)
    decoded.clear()
    if kind == "bahdanau":
        model.logits.bias.assign(np.arange(len(made.tokenizer)))
        model.save_weights(folder / "model.weights.h5")
    else:
        model.parameters["output_bias"][:] += np.arange(model.config.vocabulary)
        model.save(folder / "model.npz")
    evaluate(made, folder)
    assert len(decoded) == len(evaluation.DECODINGS) + 1


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"captions": {}}', '{"made_from": 1, "captions": {}}', '["a", "b"]']
)
def test_kept_captions_that_are_damaged_are_made_again(made, decoded, content, capsys):
    folder, _ = finished(made, "numpy_lstm")
    first = evaluate(made, folder)
    if "a" in content and content.startswith("["):  # the rows of a key
        kept = json.loads((folder / "decoded.json").read_text())
        content = json.dumps(kept | {"captions": dict.fromkeys(kept["captions"], json.loads(content))})
    (folder / "decoded.json").write_text(content)
    decoded.clear()
    assert evaluate(made, folder) == first and len(decoded) == len(evaluation.DECODINGS) + 1
    assert "decoded.json is damaged" in capsys.readouterr().out


def test_test_photos_replaced_under_the_same_ids_are_captioned_again(made, decoded, tmp_path):
    folder, _ = finished(made, "numpy_lstm")
    evaluate(made, folder)
    decoded.clear()
    records = tuple(replace(r, content="e" * 32) if r.split == "test" else r for r in made.dataset.records)
    dataset = replace(made.dataset, records=records)
    evaluate(replace(made, dataset=dataset, store=store_of(dataset, tmp_path / "other")), folder)
    assert [ids for ids, *_ in decoded] == [[r.image_id for r in made.dataset.split("test")]]


def test_other_splits_or_features_than_those_trained_with_are_refused(made, tmp_path):
    """Under another split the test pictures may have been trained on."""
    loaded = bundle.load(finished(made, "numpy_lstm")[0])
    evaluation.evaluate(loaded, made.store, made.dataset)
    swapped = {"train": "test", "test": "train", "val": "val"}
    records = tuple(replace(r, split=swapped[r.split]) for r in made.dataset.records)
    with pytest.raises(StaleError, match=r"data\.\w+ was .*08_rnn_from_scratch"):
        evaluation.evaluate(loaded, made.store, replace(made.dataset, records=records))
    other = store_of(made.dataset, tmp_path / "other", identity={"weights": "imagenet"})
    with pytest.raises(StaleError, match=r"encoder\.weights was 'random' and is now 'imagenet'"):
        evaluation.evaluate(loaded, other, made.dataset)


def test_what_does_not_fit_is_left_out_with_a_line(made, capsys, monkeypatch):
    folder, _ = finished(made, "numpy_lstm")
    torn, _ = finished(made, units=6)
    (torn / "model.weights.h5").write_bytes(b"half")
    nameless, _ = finished(made, units=8)
    (nameless / "tokenizer.json").write_text("{}")
    start(made, units=7)
    monkeypatch.setattr(evaluation.features, "folder_of", lambda project, encoder: made.store.folder)
    scores, results = evaluation.evaluate_all(made.project, made.dataset)
    assert list(scores) == list(results) == [folder.name]
    printed = capsys.readouterr().out
    assert f"{torn.name}: left out. " in printed and "does not fit" in printed
    assert f"{nameless.name}: left out. " in printed and "tokenizer.json is not a tokenizer file" in printed
    assert "bahdanau-mobilenet-units-7: left out, its training is unfinished." in printed


def test_when_nothing_fits_it_is_an_error(made, monkeypatch):
    finished(made, "numpy_lstm")
    assert folder_of(made.project, "mobilenet") != made.store.folder  # no features there
    with pytest.raises(FileNotFoundError, match=r"No experiment .* fits the data"):
        evaluation.evaluate_all(made.project, made.dataset)


# Baselines


def test_the_nearest_neighbor_gives_the_caption_of_an_equal_picture(made):
    train = made.dataset.split("train")
    results = evaluation.nearest_neighbor(made.store, made.dataset, train)
    assert results == {record.image_id: record.captions[0] for record in train}


def test_the_nearest_neighbor_of_many_is_that_of_all_at_once(tmp_path, monkeypatch):
    """The train features are read in pieces."""
    made = made_in(tmp_path, pictures=60)
    monkeypatch.setattr(evaluation, "TOGETHER", 7)
    train, test = (made.dataset.split(split) for split in ("train", "test"))
    mean, variance = made.store.statistics(train, averaged=True)
    vectors = [(made.store.averaged(part)[:, 0] - mean) / np.sqrt(variance) for part in (train, test)]
    known, asked = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in vectors)
    expected = {r.image_id: train[i].captions[0] for r, i in zip(test, (asked @ known.T).argmax(axis=1), strict=True)}
    assert evaluation.nearest_neighbor(made.store, made.dataset, test) == expected


def test_the_nearest_neighbor_is_not_decided_by_one_large_channel(tmp_path):
    dataset = tiny_dataset(tmp_path, pictures=4, splits=("train", "train", "train", "test"))
    rows = np.array([[100, 1, 0], [-100, -1, 1], [100, -1, -1], [-20, 1, 0]], np.float16)
    store = store_of(dataset, tmp_path / "other", regions=1, channels=3)
    (shard,) = store.folder.glob("rows-*.f16")
    shard.write_bytes(rows.tobytes())
    results = evaluation.nearest_neighbor(store, dataset, dataset.split("test"))
    assert results == {3: dataset.records[0].captions[0]}


def test_the_most_frequent_caption_is_one_for_all(made):
    doubled = replace(made.dataset.records[0], captions=("A Flag.", "a flag"))
    dataset = replace(made.dataset, records=(doubled, *made.dataset.records[1:]))
    assert set(evaluation.most_frequent_caption(dataset, dataset.split("test")).values()) == {"a flag"}


def test_the_shuffled_baseline_is_the_shuffled_score_of_the_best_model(made):
    """One quantity, one number: the row and the column."""
    test = made.dataset.split("test")
    best = {record.image_id: record.captions[0] for record in test}
    sets = evaluation.baselines(made.store, made.dataset, test, best)
    assert [len(each) for each in sets.values()] == [1, 1, 5]
    row = evaluation.score_sets(sets["best model, shuffled"], test, made.dataset, "shuffled")
    scores = evaluation.score_results(best, test, made.dataset, {})
    assert row["CIDEr"] == pytest.approx(scores["shuffled_CIDEr"])
    assert row["shuffled_CIDEr"] is None and row["decoding"] == {"method": "shuffled"}
    assert "best model, shuffled" not in evaluation.baselines(made.store, made.dataset, test[:1], best)


def test_the_mean_of_reports_holds_every_number():
    truth = {"place": "lake", "objects": [{"object": "boat", "colour": "red", "unseen": True}]}
    rows = [
        grounding({1: truth, 2: truth}, {1: first, 2: "a lake"}, NAMES)
        for first in ("a red boat", "a red boat and a boat on a lake", "")
    ]
    mean = evaluation._mean(rows)
    assert mean["exact"] == mean["unseen"]["exact"] == pytest.approx(1 / 6)
    assert mean["place"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert mean["intervals"]["exact"] == pytest.approx(np.mean([row["intervals"]["exact"] for row in rows], axis=0))
    assert mean["relation"] is None and mean["false_named"] == 0  # of the captions that name something


def test_greedy_decoding_is_one_of_those_tried(made):
    """What training reports is greedy; a beam of width 1 with a penalty searches on past the first END."""
    captioner = bundle.load(finished(made, "numpy_lstm")[0])
    val = made.dataset.split("val")
    state = captioner.initial_state(made.store.rows(val))
    greedy = decoding.greedy(captioner.step, state, captioner.max_length)
    expected = {r.image_id: captioner.tokenizer.decode(c.tokens) for r, c in zip(val, greedy, strict=True)}
    told = evaluation.caption_records(captioner, made.store, val, *evaluation.DECODINGS[0])
    assert [text for text, _ in told] == list(expected.values())
    names = ("beam_width", "length_penalty")
    assert findings.decoding_name(dict(zip(names, evaluation.DECODINGS[0], strict=True))) == "greedy"


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
