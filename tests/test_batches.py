"""Batches: teacher forcing, order, padding, one read per picture."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from captioning.batches import CaptionBatches, _Tokens
from captioning.features import FeatureStore
from captioning.features.index import BROKEN, Entry
from captioning.quiet import tensorflow as tf
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
    assert batches((records, store, tokenizer), captions=5).captions_per_epoch == 9 + 3
    assert batches((records, store, tokenizer), captions=2).captions_per_epoch == 9 + 2
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


def test_chosen_and_padded_captions_are_those_of_the_plain_loop(made):
    """Also where the ids need more than 16 bits."""
    random = np.random.default_rng(1)
    pictures = [
        [random.integers(0, 70_000, length).tolist() for length in lengths] for lengths in ((3, 9), (4,), (2,) * 7)
    ]
    numbers = np.array([2, 0, 2, 1])
    for vocabulary in (1000, 1 << 16, 70_000):
        of_all = [[[token % vocabulary for token in row] for row in rows] for rows in pictures]
        for most, seed in ((3, None), (3, 5), (7, 5), (1, 5)):
            random, chosen = seed and np.random.default_rng(seed), []
            for rows in (of_all[number] for number in numbers):
                fit = len(rows) <= most or random is None
                chosen.append(rows[:most] if fit else [rows[n] for n in random.choice(len(rows), most, replace=False)])
            longest = max(len(row) for rows in chosen for row in rows)
            expected = np.full((len(numbers), most, longest), PAD)
            for place in np.ndindex(*expected.shape[:2]):
                row = chosen[place[0]][place[1]] if place[1] < len(chosen[place[0]]) else []
                expected[place][: len(row)] = row
            found = _Tokens(of_all, vocabulary).batch(numbers, most, seed and np.random.default_rng(seed))
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == np.int32


def test_every_iterator_of_a_dataset_begins_anew(made):
    """Also one that another overtakes, and one after an abandoned one."""
    dataset = batches(made).training(0, 2)
    assert dataset.cardinality() == 2 * batches(made).steps_per_epoch
    expected = [targets.numpy().tobytes() for _, targets in dataset]
    abandoned, slow, fast = iter(dataset), iter(dataset), iter(dataset)
    next(abandoned)
    begun = [next(slow)[1].numpy().tobytes()]
    assert [targets.numpy().tobytes() for _, targets in fast] == expected
    assert begun + [targets.numpy().tobytes() for _, targets in slow] == expected
    for epoch in (0, 1):
        whole = [*batches(made).epoch(epoch)]
        assert [targets.tobytes() for _, targets in whole] == expected[epoch * len(whole) :][: len(whole)]


def test_an_iterator_says_what_is_wrong_with_the_features(made):
    store, dataset = made[1], batches(made).evaluation()
    for shard in store.folder.glob("rows-*.f16"):
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(tf.errors.OpError, match=r"rows-00000\.f16 is damaged: it ends too early.*Run notebooks/"):
        list(dataset)


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
