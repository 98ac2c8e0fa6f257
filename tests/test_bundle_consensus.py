"""What validation chose is what a photo gets: words that fall once, and the consensus of similar train pictures."""

import dataclasses
import json

import numpy as np
import pytest

from captioning import bundle, decoding, encoders
from captioning.bundle import BundleError, Ensemble, Neighbors, packed
from captioning.bundle.neighbors import file_of
from captioning.serving.pack import pack
from tests.packed_models import Run, changed, with_arrays
from tests.several_models import NAMES, make_several

K, MIX = 5, 0.4


def near_in(checkpoints, encoder):
    (file,) = checkpoints.glob(f"neighbors-{encoder}-*.npz")
    return file, Neighbors.read(file)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Models, of which one alone and all together have chosen a consensus; nobody writes to them."""
    made = make_several(tmp_path_factory.mktemp("consensus"))
    members = [bundle.load(made.checkpoints / name) for name in NAMES]
    folders = [members[1].folder, Ensemble.write(made.checkpoints / "ensemble", members).folder]
    for encoder, store in made.stores.items():
        near = Neighbors.make(store, made.dataset.split("train"), made.dataset)
        near.write(file_of(made.checkpoints, encoder, near.digest))
    digest = near_in(made.checkpoints, "tiny")[1].digest
    rule = {"beam_width": 4, "k": K, "mix": MIX, "encoder": "tiny", "neighbors": digest, "validation_CIDEr": 0.5}
    chosen = {"beam_width": 2, "length_penalty": 0.5, "may_repeat": ["is"], "consensus": rule}
    for folder in folders:
        (folder / "scores.json").write_text(json.dumps({"decoding": chosen}))
    return made


@pytest.fixture(autouse=True)
def few_words(made, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_LENGTH", 6)
    monkeypatch.setattr(encoders, "load", made.load)


@pytest.fixture(scope="module", params=[NAMES[1], "ensemble"])
def captioner(made, request):
    return bundle.load(made.checkpoints / request.param)


@pytest.fixture
def ours(made, tmp_path):
    """A copy of the single model."""
    return made.copied(tmp_path).checkpoints / NAMES[1]


def texts(captioner, captions):
    return [captioner.tokenizer.decode(caption.tokens) for caption in captions]


def test_words_fall_once_as_chosen_whatever_the_beam(made, captioner):
    files, features = [r.file for r in made.dataset.records], captioner.rows(made.stores, made.dataset.records)
    once = decoding.once_mask(captioner.tokenizer, ["is"])
    for beam in (None, 1, 4):
        width = beam or 2
        expected = captioner.decode(features, width, length_penalty=0.0 if beam == 1 else 0.5, once=once)
        answers = captioner.caption(files, beam=beam)
        assert [str(answer) for answer in answers] == texts(captioner, expected), beam
        assert texts(captioner, captioner.decode_chosen(features, width)) == texts(captioner, expected)
        free = captioner.decode(features, width, length_penalty=0.5)
        assert texts(captioner, free) != texts(captioner, expected)  # else nothing is shown


def test_the_best_caption_is_that_of_the_consensus(made, captioner):
    """As somebody would compute it who has the beams, the nearest pictures and the similarities."""
    files, features = [r.file for r in made.dataset.records], captioner.rows(made.stores, made.dataset.records)
    beams = captioner.decode(features, **captioner.options(4), return_all=True)
    _, near = near_in(made.checkpoints, "tiny")
    nearest = near.nearest(made.stores["tiny"].rows(made.dataset.records))
    similar = near.similarity(beams, captioner.tokenizer, nearest)
    expected = [decoding.rerank(beam, each, K, MIX) for beam, each in zip(beams, similar, strict=True)]
    best = texts(captioner, [ranked[0] for ranked in expected])
    assert best != texts(captioner, [beam[0] for beam in beams])  # else nothing is shown
    assert texts(captioner, captioner.decode_chosen(features, 4, consensus=True)) == best
    answers = captioner.caption(files, consensus=True)
    assert [str(answer) for answer in answers] == best == [str(a) for a in captioner.caption(files, 3, consensus=True)]
    assert [str(captioner.caption(file, consensus=True)) for file in files[:3]] == best[:3]
    for answer, ranked in zip(captioner.caption(files, 4, attention=True, consensus=True), expected, strict=True):
        assert [candidate.caption for candidate in answer.candidates] == [*dict.fromkeys(texts(captioner, ranked))]
        assert len(answer.attention) == len(ranked[0].tokens)
    more = captioner.caption(files[0], 7, consensus=True)
    assert str(more) == best[0] and len(more.candidates) == 7
    narrow = captioner.caption(files, beam=1, consensus=True)
    assert [str(answer) for answer in narrow] == [str(answer) for answer in captioner.caption(files, beam=1)]
    assert [str(answer) for answer in captioner.caption(files)] != best


def test_without_a_chosen_consensus_there_is_none(made):
    captioner = bundle.load(made.checkpoints / NAMES[0])
    with pytest.raises(BundleError, match=rf"{NAMES[0]} has no consensus reranking: run notebooks/11_evaluate\.ipynb"):
        captioner.caption("no-such.jpg", consensus=True)
    assert captioner.caption(made.dataset.records[0].file)


def test_neighbors_that_are_missing_damaged_or_others_are_one_error(made, ours):
    file = near_in(ours.parent, "tiny")[0]
    content, other, loaded = file.read_bytes(), near_in(ours.parent, "larger")[0].read_bytes(), bundle.load(ours)
    for now, match in (
        (None, "is missing"),
        (other, "is another one than bahdanau-tiny"),
        (content[:99], "is damaged"),
    ):
        file.write_bytes(now) if now else file.unlink()
        with pytest.raises(BundleError, match=rf"neighbors-tiny-\w+\.npz {match}.* Run notebooks/11") as error:
            dataclasses.replace(loaded).caption("no-such.jpg", consensus=True)
        assert "\n" not in str(error.value)
    assert loaded.caption(made.dataset.records[0].file)
    for encoder in ("larger", "../tiny"):
        loaded.chosen["consensus"]["encoder"] = encoder
        with pytest.raises(BundleError, match="which bahdanau-tiny does not see"):
            loaded.caption("no-such.jpg", consensus=True)


def test_a_packed_model_carries_them(made, ours, tmp_path):
    content, near = pack(ours, tmp_path / "model.zip").read_bytes(), near_in(ours.parent, "tiny")[0]
    with pytest.raises(BundleError, match=r"model\.zip/neighbors\.npz is missing.*pack --consensus"):
        bundle.load(tmp_path / "model.zip").caption("no-such.jpg", consensus=True)
    near = near.rename(tmp_path / "away.npz").read_bytes()
    files = [record.file for record in made.dataset.records[:4]]
    expected = bundle.load(made.checkpoints / NAMES[1]).caption(files, consensus=True)
    (tmp_path / "model.zip").write_bytes(changed(content, neighbors_npz=near))
    loaded = bundle.load(tmp_path / "model.zip")
    told = loaded.caption(files, consensus=True)
    assert [str(answer) for answer in told] == [str(answer) for answer in expected]
    other = near_in(ours.parent, "larger")[0].read_bytes()
    objects = with_arrays(lambda arrays: arrays | {"text": np.array([Run()])})(near)
    for member, match in (
        (near[:-9], "damaged or cut short"), (other, "another one than bahdanau-tiny"), (objects, "no plain arrays"),
        (with_arrays(lambda arrays: {"vectors": arrays["vectors"]})(near), "holds no neighbors"),
    ):  # fmt: skip
        (tmp_path / "model.zip").write_bytes(changed(content, neighbors_npz=member))
        with pytest.raises(BundleError, match=rf"model\.zip/neighbors\.npz.*{match}") as error:
            dataclasses.replace(loaded, folder=packed.find(tmp_path / "model.zip")).caption(files, consensus=True)
        assert "\n" not in str(error.value)
    assert not Run.ran
