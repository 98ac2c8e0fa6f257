"""Batches: teacher forcing, order, padding, one read per picture."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning.batches import CaptionBatches
from captioning.features import FeatureStore
from captioning.features.index import BROKEN, Entry
from captioning.tokenizer import END, PAD, START
from tests.tiny import captions_of, store_of, tiny_dataset, tokenizer_of


@pytest.fixture
def made(tmp_path):
    dataset = tiny_dataset(tmp_path, pictures=10, captions=3)
    return dataset.records, store_of(dataset, tmp_path), tokenizer_of(dataset)


def batches(made, **options):
    return CaptionBatches(*made, **({"batch_size": 4, "captions": 3} | options))


def test_targets_are_the_inputs_one_step_later(made):
    for inputs, targets in batches(made).epoch(0):
        tokens = inputs["tokens"]
        assert (tokens[..., 0] == START).all()
        np.testing.assert_array_equal(tokens[..., 1:], targets[..., :-1])
        assert ((targets == END).sum(axis=-1) == 1).all()


def test_an_epoch_shows_every_caption_once_beside_its_own_picture(made):
    records, store, tokenizer = made
    by_features = {store.rows([record]).tobytes(): record for record in records}
    seen = []
    for inputs, targets in batches(made).epoch(3):
        for features, rows in zip(inputs["features"], targets, strict=True):
            record = by_features[features[None].tobytes()]
            texts = [tokenizer.decode(row) for row in rows]
            assert sorted(texts) == sorted(captions_of(record, tokenizer))
            seen.append(record.image_id)
    assert sorted(seen) == sorted(record.image_id for record in records)


def test_what_is_kept_of_a_caption_are_its_numbers(made):
    records, store, tokenizer = made
    longer = [dataclasses.replace(record, captions=200 * record.captions) for record in records]
    tracemalloc.start()
    kept = CaptionBatches(longer, store, tokenizer, batch_size=4)
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept.records) == 10 and memory / 6000 < 80  # 25 to 32 bytes of ids, 8 of their place; of lists 150


def test_the_order_is_a_function_of_seed_and_epoch(made):
    def order(seed, epoch):
        return [inputs["features"].tobytes() for inputs, _ in batches(made, seed=seed).epoch(epoch)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_the_captions_of_a_batch_may_have_similar_lengths(tmp_path, monkeypatch):
    """Little padding, and still another order and other neighbors in every epoch."""
    dataset = tiny_dataset(tmp_path, pictures=64, captions=1)
    caption, words = dataset.records[0].captions[0], np.random.default_rng(0).permutation(64) % 8
    records = [
        dataclasses.replace(r, captions=(" ".join([caption] * (1 + n)),))
        for r, n in zip(dataset.records, words, strict=True)
    ]
    made = records, store_of(dataset, tmp_path), tokenizer_of(dataset)

    def ours(pool=16):
        return batches(made, captions=1, batch_size=2, max_words=99, pool=pool)

    def epoch(number):
        return [targets for _, targets in ours().epoch(number)]

    def share(epoch):
        return sum((targets != PAD).sum() for targets in epoch) / sum(targets.size for targets in epoch)

    assert share(epoch(0)) > 0.9
    assert len({targets.shape[-1] for targets in epoch(0)[:5]}) > 1  # not from short to long
    assert sorted(targets.shape for targets in epoch(0)) != [targets.shape for targets in epoch(0)]
    neighbors = [{inputs["features"].tobytes() for inputs, _ in ours().epoch(number)} for number in (0, 1)]
    assert len(neighbors[0] & neighbors[1]) < 16  # of 32
    assert share([targets for _, targets in ours(pool=1).epoch(0)]) < 0.8
    assert share([targets for _, targets in ours(pool=None).epoch(0)]) < 0.8  # a small set
    monkeypatch.setattr("captioning.batches.LARGE", 32)
    assert share([targets for _, targets in ours(pool=None).epoch(0)]) > 0.9


def test_an_interrupted_training_run_resumes_with_the_same_batches(made):
    whole = [inputs["tokens"].numpy().tobytes() for inputs, _ in batches(made).training(0, 4)]
    rest = [inputs["tokens"].numpy().tobytes() for inputs, _ in batches(made).training(2, 4)]
    assert len(whole) == 4 * batches(made).steps_per_epoch
    assert whole[2 * batches(made).steps_per_epoch :] == rest


def test_pictures_with_fewer_captions_get_rows_of_padding(made):
    records, store, tokenizer = made
    records = [dataclasses.replace(r, captions=r.captions[: 1 + 2 * (r.image_id == 0)]) for r in records]
    for inputs, targets in batches((records, store, tokenizer), captions=5).epoch(0):
        assert inputs["tokens"].shape[1] == 3
        rows = (inputs["tokens"] != PAD).any(axis=2).sum(axis=1)
        assert set(rows) <= {1, 3} and ((targets != PAD).any(axis=2).sum(axis=1) == rows).all()


def test_one_caption_per_picture_is_not_padded_to_five(made):
    records, store, tokenizer = made
    records = [dataclasses.replace(record, captions=record.captions[:1]) for record in records]
    inputs, _ = next(batches((records, store, tokenizer), captions=5).epoch(0))
    assert inputs["tokens"].shape[1] == 1


def test_pictures_with_more_captions_show_other_ones_each_epoch(made):
    def texts(epoch):
        return {row.tobytes() for inputs, _ in batches(made, captions=1).epoch(epoch) for row in inputs["tokens"][:, 0]}

    assert len(set.union(*map(texts, range(8)))) > len(texts(0))


def test_long_captions_are_cut_and_have_no_end_to_learn(made):
    _, targets = next(batches(made, max_words=2).epoch(0))
    assert (targets != PAD).sum(axis=-1).max() == 2
    assert not (targets == END).any()


def test_one_vector_per_picture_is_the_mean_over_its_regions(made):
    records, store, _ = made
    averaged = batches(made, averaged=True)
    inputs, _ = next(iter(averaged.evaluation()))
    rows = store.rows(records[:4]).astype(np.float64)
    assert averaged.regions == 1
    np.testing.assert_allclose(inputs["features"], rows.mean(axis=1, keepdims=True), rtol=1e-5)


def test_evaluation_keeps_the_order_of_the_records(made):
    records, store, _ = made
    features = np.concatenate([inputs["features"] for inputs, _ in batches(made).evaluation()])
    np.testing.assert_array_equal(features, store.rows(records))


def test_no_iterator_waits_for_the_tuning_thread_when_it_ends(made):
    for dataset in (batches(made).training(0, 1), batches(made).evaluation()):
        assert dataset.options().autotune.enabled is False


@pytest.mark.parametrize("averaged", [False, True])
def test_statistics_are_those_of_what_the_batches_give(made, averaged):
    """A vector that is the mean of regions varies less than they do: scaled by theirs it would be too small."""
    ours = batches(made, averaged=averaged)
    values = np.concatenate([inputs["features"] for inputs, _ in ours.evaluation()], dtype=np.float64)
    mean, variance = ours.statistics()
    np.testing.assert_allclose(mean, values.mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(variance, values.var(axis=(0, 1)), rtol=1e-3)


def test_an_empty_split_is_an_error(made):
    with pytest.raises(ValueError, match=r"no pictures to make batches of: this split .* is empty.*01_download"):
        batches(([], *made[1:]))


def test_a_split_without_features_is_an_error(made):
    records, store, tokenizer = made
    broken = [dataclasses.replace(record, content="0" * 32, split="val") for record in records[:2]]
    store = FeatureStore.for_writing(store.folder, store.identity)
    store.add([Entry(store.key(record), mark=BROKEN, reason=f"{record.file.name} is broken.") for record in broken])
    with pytest.raises(ValueError, match=r"None of the 2 pictures of the split val has features.*000.png is broken\."):
        batches((broken, store, tokenizer))


@pytest.mark.parametrize("size", [0, -1, 2.5, None])
def test_batches_of_nothing_are_refused(made, size):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        batches(made, batch_size=size)
