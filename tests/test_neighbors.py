"""Neighbors: found as by comparing with all, kept whole or refused; captions are compared with what people wrote."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

from captioning import metrics
from captioning.bundle import Neighbors, neighbors
from captioning.decoding import Caption
from captioning.features.index import BROKEN, Entry
from captioning.files import DamagedError
from tests.packed_models import Run
from tests.tiny import store_of, tiny_dataset, tokenizer_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neighbors")
    dataset = tiny_dataset(folder, pictures=40, splits=("train", "train", "val", "train"))
    store = store_of(dataset, folder)
    return dataset, store, Neighbors.make(store, dataset.split("train"), dataset)


def saved(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("piece", [3, 1000])
def test_the_nearest_are_those_of_the_largest_cosine(made, monkeypatch, piece):
    monkeypatch.setattr(neighbors, "PIECE", piece)
    dataset, store, _ = made
    train = dataset.split("train")
    found = Neighbors.make(store, train, dataset)
    mean, variance = store.statistics(train, averaged=True)
    asked, there = (
        (store.rows(records).mean(axis=1, dtype=np.float64) - mean) / np.sqrt(variance)
        for records in (dataset.records, train)
    )
    cosine = asked @ there.T / np.linalg.norm(asked, axis=1)[:, None] / np.linalg.norm(there, axis=1)
    nearest = found.nearest(store.rows(dataset.records), 7)
    assert nearest.shape == (40, 7)
    np.testing.assert_allclose(np.take_along_axis(cosine, nearest, 1), -np.sort(-cosine)[:, :7], atol=1e-3)
    own = found.nearest(store.rows(train))  # all of them, where there are fewer than asked for
    assert own.shape == (30, 30) and (np.sort(own) == np.arange(30)).all()
    one_by_one = [found.nearest(row[None], 7)[0] for row in store.rows(dataset.records)]
    assert (nearest == one_by_one).all()


def test_the_same_photo_twice_is_found_in_the_order_of_train(made, monkeypatch):
    _, store, found = made
    twice = np.repeat(found.vectors, 2, axis=0)[::-1].copy()
    found = dataclasses.replace(found, vectors=twice, captions=tuple(map(tuple, np.arange(60)[:, None].astype(str))))
    monkeypatch.setattr(neighbors, "PIECE", 7)
    nearest = found.nearest(store.rows(made[0].records), 60)
    assert (nearest[:, ::2] + 1 == nearest[:, 1::2]).all()


def test_other_channels_are_refused(made):
    with pytest.raises(ValueError, match="5 channels, the neighbors 6"):
        made[2].nearest(np.zeros((1, 4, 5), np.float16))


def test_a_picture_without_features_is_no_neighbor(tmp_path):
    dataset = tiny_dataset(tmp_path, pictures=8)
    store = store_of(dataclasses.replace(dataset, records=dataset.records[:7]), tmp_path)
    store = type(store).for_writing(store.folder, store.identity)
    store.add([Entry(store.key(dataset.records[7]), mark=BROKEN, reason="broken.png is broken.")])
    found = Neighbors.make(store, dataset.records, dataset)
    assert found.captions == tuple(record.captions for record in dataset.records[:7]) and len(found.vectors) == 7


def test_how_alike_is_cider_with_the_document_frequencies_of_train(made):
    dataset, store, found = made
    tokenizer, train = tokenizer_of(dataset), dataset.split("train")
    texts = [["a red square", "one flag that is blue"], ["", "the field is green", "a white wall", "a wall"], []]
    ids = [[tokenizer.encode(text)[1:-1] for text in each] for each in texts]
    captions = [[Caption(tokens, -1.0, -1.0, True, None) for tokens in each] for each in ids]
    nearest = found.nearest(store.rows(dataset.split("val")[:3]), 4)
    similar = found.similarity(captions, tokenizer, nearest)
    assert [rows.shape for rows in similar] == [(2, 4), (4, 4), (0, 4)]
    cider = metrics.CiderD({number: record.captions for number, record in enumerate(train)})
    for each, rows, pictures in zip(texts, similar, nearest, strict=True):
        for text, row in zip(each, rows, strict=True):
            _, scores = cider.score(dict.fromkeys(range(len(train)), text))
            np.testing.assert_allclose(row, scores[pictures], atol=1e-9)
    assert similar[1].max() > 0 and not similar[1][0].any()


def test_they_are_written_whole_and_read_again(made, tmp_path):
    _, _, found = made
    file = tmp_path / "neighbors-mobilenet.npz"
    found.write(file)
    again = Neighbors.read(file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert again.digest == found.digest and again.captions == found.captions and again.made_from == found.made_from
    assert (again.vectors == found.vectors).all() and again.vectors.dtype == np.float16
    content = file.read_bytes()
    with pytest.raises(TypeError):
        dataclasses.replace(found, made_from={"no": object()}).write(file)
    assert file.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


def test_the_digest_changes_with_anything(made):
    _, _, found = made
    vectors, scale = found.vectors.copy(), found.scale.copy()
    vectors[3, 2] += np.float16(0.01)
    scale[1, 5] += np.float32(1e-4)
    others = {"vectors": vectors, "scale": scale, "captions": (("a",), *found.captions[1:]), "made_from": {"a": 1}}
    digests = {dataclasses.replace(found, **{name: value}).digest for name, value in others.items()}
    assert len(digests | {found.digest}) == 5


def test_what_they_are_made_from_tells_other_captions_and_features(made, tmp_path):
    dataset, store, found = made
    train = dataset.split("train")
    assert Neighbors.source_of(store, train, dataset) == found.made_from
    other = [dataclasses.replace(train[0], captions=("a",)), *train[1:]]
    assert (
        Neighbors.source_of(store, other, dataset) != found.made_from != Neighbors.source_of(store, train[1:], dataset)
    )


def damaged(found):
    """Yield what is in a file that holds no neighbors."""
    arrays = found.arrays()
    content = saved(**arrays)
    yield from (b"", b"PK", content[: len(content) // 2], b"x" * 100, saved())
    at = content.index(arrays["vectors"].tobytes())
    yield content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    packing = content.index(b"PK\x01\x02") + 10
    yield content[:packing] + b"\x63" + content[packing + 1 :]
    yield from (saved(**{name: array for name, array in arrays.items() if name != gone}) for gone in arrays)
    nan = arrays["scale"].copy()
    nan[0, 0] = np.nan
    for name, value in (
        ("vectors", arrays["vectors"].astype(np.float32)), ("vectors", arrays["vectors"][1:]),
        ("vectors", arrays["vectors"][:, 1:]), ("vectors", arrays["vectors"] * np.float16(np.inf)),
        ("vectors", np.array([Run()])), ("vectors", np.float16(3)), ("scale", arrays["scale"][:1]), ("scale", nan),
        ("scale", 0 * arrays["scale"]), ("text", arrays["text"][:-9]), ("text", np.array([Run()])),
        ("text", np.array("text")),
    ):  # fmt: skip
        yield saved(**arrays | {name: value})
    text = json.loads(arrays["text"].tobytes())
    for change in (
        {"format": 2}, {"captions": []}, {"captions": [[]] * 30}, {"captions": ["ab"] * 29 + [[5]]}, {"captions": None},
        {"made_from": None}, {"captions": text["captions"][1:]},
    ):  # fmt: skip
        changed = np.frombuffer(json.dumps(text | change).encode(), np.uint8)
        yield saved(**arrays | {"text": changed})


def test_a_damaged_file_is_named_and_nothing_is_unpickled(made, tmp_path):
    Run.ran, file = False, tmp_path / "neighbors-mobilenet.npz"
    for content in damaged(made[2]):
        file.write_bytes(content)
        with pytest.raises(DamagedError, match=r"neighbors-mobilenet\.npz is damaged") as error:
            Neighbors.read(file)
        assert "\n" not in str(error.value)
    assert not Run.ran and zipfile.is_zipfile(file)
    with pytest.raises(FileNotFoundError):
        Neighbors.read(tmp_path / "nothing.npz")
