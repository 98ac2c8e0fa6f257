"""Ensembles: models of any kind and encoder decide together, and are refused together where one is not what it was."""

import dataclasses
import json
import shutil

import pytest

from captioning import bundle, catalog, decoding, encoders, experiments
from captioning.bundle import BundleError, Ensemble
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.provenance import StaleError, content_digest
from captioning.tokenizer import Tokenizer
from tests.bundles import edit
from tests.several_models import NAMES, make_several


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_several(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def ensemble(made):
    """For tests that change nothing: what was compiled is kept."""
    return written(made.copied(made.checkpoints.parent))


@pytest.fixture(autouse=True)
def few_words(made, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_LENGTH", 6)
    monkeypatch.setattr(encoders, "load", made.load)


@pytest.fixture
def copy(made, tmp_path):
    return made.copied(tmp_path)


def written(made, names=NAMES):
    Ensemble.write(made.checkpoints / "ensemble", [bundle.load(made.checkpoints / name) for name in names])
    return bundle.load(made.checkpoints / "ensemble")


def listed(made, names=NAMES):
    """Write what `Ensemble.write` writes, without loading any model; return the folder."""
    weights = {name: content_digest(next((made.checkpoints / name).glob("model.[nw]*")).read_bytes()) for name in names}
    (folder := made.checkpoints / "ensemble").mkdir(exist_ok=True)
    (folder / "members.json").write_text(json.dumps({"format": 1, "members": weights}))
    return folder


def texts(answers):
    return [str(answer) for answer in answers]


# Captions


def test_models_of_all_kinds_and_encoders_decode_as_one_step(made, ensemble):
    """Of Keras and NumPy, regions and vectors, two encoders."""
    records = made.dataset.records[:5]
    features = ensemble.rows(made.stores, records)
    assert {name: rows.shape for name, rows in features.items()} == {"tiny": (5, 16, 6), "larger": (5, 36, 6)}
    assert ensemble.name == "ensemble" and ensemble.encoder_names == ("tiny", "larger")
    captions = ensemble.decode(features, 3)
    step = decoding.ensemble([member.step for member in ensemble.members])  # whose mean test_ensemble_step computes
    state = tuple(member.initial_state(member.rows(made.stores, records)) for member in ensemble.members)
    expected = decoding.beam_search(step, state, 3, 6)
    assert [caption.tokens for caption in captions] == [caption.tokens for caption in expected]
    alone = [[c.tokens for c in m.decode(m.rows(made.stores, records))] for m in ensemble.members]
    assert [caption.tokens for caption in captions] not in alone


def test_a_photo_has_the_caption_of_its_stored_features(made, ensemble):
    records = made.dataset.records
    told = [made.tokenizer.decode(c.tokens) for c in ensemble.decode(ensemble.rows(made.stores, records))]
    assert len(set(told)) > 1
    files = [record.file for record in records]
    assert texts(ensemble.caption(files)) == told and str(ensemble.caption(files[3])) == told[3]
    assert texts(ensemble.caption(file.open("rb") for file in files)) == told  # each can be read once
    errors = list(ensemble.captions([None, files[3]], keep_errors=True))
    assert "Picture 1" in str(errors[0]) and str(errors[1]) == told[3]
    assert ensemble.caption([]) == []


def test_each_encoder_sees_a_picture_once_whatever_the_number_of_members(made, ensemble):
    file, taken = made.dataset.records[0].file, []
    before = {name: encoder.pictures for name, encoder in made.encoders.items()}
    answers = ensemble.captions(taken.append(number) or file for number in range(130))
    assert next(answers) and len(taken) < 100  # of thousands, only some are in memory
    assert len(list(answers)) == 129
    assert [encoder.pictures - before[name] for name, encoder in made.encoders.items()] == [130, 130]


def test_captions_are_as_long_as_all_have_room_for(made, ensemble, monkeypatch):
    assert ensemble.max_length == 6 and ensemble.longest is None
    for member, most in zip(ensemble.members, (9, 8, 40), strict=True):
        monkeypatch.setitem(member.settings["batches"], "max_words", most)
    assert ensemble.max_length == 8
    for member, most in zip(ensemble.members[1:], (50, 12), strict=True):
        monkeypatch.setitem(member.settings["model"], "longest", most)
    features = ensemble.rows(made.stores, made.dataset.records[:1])
    assert ensemble.longest == 11 and ensemble.decode(features, 1, max_length=11)
    with pytest.raises(ValueError, match="ensemble has room for 11 words, not for 12"):
        ensemble.decode(features, 1, max_length=12)


# What is written


def test_scores_stay_as_long_as_the_members_are_the_same(copy):
    ensemble = written(copy)
    assert json.loads((ensemble.folder / "members.json").read_text())["members"].keys() == {*NAMES}
    kept = [ensemble.folder / name for name in ("scores.json", "captions.json", "decoded.json")]
    for file in kept:
        file.write_text("{}")
    Ensemble.write(ensemble.folder, ensemble.members)
    assert [file.exists() for file in kept] == [True] * 3
    fewer = Ensemble.write(ensemble.folder, ensemble.members[:2])
    assert [file.exists() for file in kept] == [False, False, True]  # that one tells what it was made from
    assert fewer.made_from != ensemble.made_from == bundle.load(listed(copy)).made_from


def test_models_that_cannot_caption_together_are_refused(copy, tmp_path):
    first, second, third = (bundle.load(copy.checkpoints / name) for name in NAMES)
    elsewhere = dataclasses.replace(first, folder=tmp_path / "elsewhere" / first.name)
    other_words = dataclasses.replace(second, tokenizer=Tokenizer(copy.tokenizer.vocabulary[::-1]))
    encoder = second.settings["encoder"] | {"weights_hash": "f" * 16}
    other_encoder = dataclasses.replace(second, settings=second.settings | {"encoder": encoder})
    for members, match in (
        ([first], "needs two members or more"),
        ([first, first], "each once"),
        ([third, first, other_words], r"gru-larger and bahdanau-tiny have other words"),
        ([third, first, other_encoder], r"numpy_lstm-tiny and bahdanau-tiny see other features: weights_hash was"),
        ([elsewhere, third], r"elsewhere/numpy_lstm-tiny is not a folder beside it"),
    ):
        with pytest.raises(BundleError, match=match) as error:
            Ensemble.write(copy.checkpoints / "ensemble", members)
        assert str(copy.checkpoints / "ensemble") in str(error.value) and "\n" not in str(error.value)
    assert not (copy.checkpoints / "ensemble").exists()


# What is read


def changed(folder):
    model = CaptioningRNN.load(folder / "model.npz")
    model.parameters["output_bias"] += 1
    model.save(folder / "model.npz")


def of_other_code(folder):
    edit(folder, **{"class": edit(folder)["class"] | {"code": "0" * 16}})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (shutil.rmtree, "lacks its member numpy_lstm-tiny"),
        (lambda folder: (folder / "model.npz").unlink(), r"lacks its member numpy_lstm-tiny: .*model\.npz"),
        (changed, "was made of another numpy_lstm-tiny: its weights have changed since"),
        (lambda folder: edit(folder, finished=False), "the training of its member numpy_lstm-tiny is unfinished"),
        (of_other_code, "cannot use its member numpy_lstm-tiny: .*other code of CaptioningRNN"),
        (lambda folder: (folder / "settings.json").write_text("{"), r"numpy_lstm-tiny: .*settings\.json is damaged"),
        (lambda folder: (folder / "members.json").touch(), "member numpy_lstm-tiny, which is an ensemble itself"),
    ],
)
def test_a_member_that_is_not_what_it_was_is_one_error(copy, change, match):
    ensemble = listed(copy)
    change(copy.checkpoints / NAMES[0])
    with pytest.raises(BundleError, match=match) as error:
        bundle.load(ensemble)
    assert str(ensemble) in str(error.value) and "\n" not in str(error.value)
    if change is of_other_code:
        assert len(bundle.load(ensemble, other_code=True).members) == 3


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "5", '{"format": 1}', '{"format": 1, "members": ["a", "b"]}'),
        *('{"format": 2, "members": {"bahdanau-tiny": ""}}', '{"format": 1, "members": {}}'),
        *(f'{{"format": 1, "members": {{"{name}": ""}}}}' for name in ("../tiny/bahdanau-tiny", "..", "", "a/b")),
    ],
)
def test_a_damaged_list_of_members_is_named(tmp_path, content):
    (tmp_path / "members.json").write_text(content)
    with pytest.raises(BundleError) as error:
        bundle.load(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
    assert "damaged, or of another version" in catalog.table([tmp_path]) or content.endswith(": {}}")


def test_data_that_a_member_does_not_fit_is_refused(made, ensemble):
    ensemble.check_fits(made.stores, made.dataset)
    with pytest.raises(StaleError, match="numpy_lstm-tiny is out of date"):
        ensemble.check_fits(made.stores, made.dataset.first(12))
    with pytest.raises(StaleError, match="gru-larger is out of date: encoder"):
        ensemble.check_fits(made.stores | {"larger": made.stores["tiny"]}, made.dataset)


# Beside the experiments


def test_it_is_listed_and_deleted_by_name_and_no_experiment(copy, capsys):
    checkpoints, home, ensemble = copy.checkpoints, copy.checkpoints.parents[1], listed(copy)
    (checkpoints / "neighbors-tiny-0123abcd.npz").write_bytes(b"")
    found = [experiments.find(checkpoints), catalog.folders(checkpoints)]
    assert [[folder.name for folder in folders] for folders in found] == [sorted(NAMES)] * 2
    assert experiments.best(checkpoints).name in NAMES
    (ensemble / "scores.json").write_text('{"CIDEr": 0.75, "decoding": {"validation_CIDEr": 0.5}}')
    rows = {row.split()[0]: row.split() for row in catalog.table(checkpoints).splitlines()}
    assert [*rows] == ["experiment", "bahdanau-tiny", "ensemble", "gru-larger", "numpy_lstm-tiny"]
    assert rows["ensemble"] == ["ensemble", "-", "0.500", "0.750", "-", "0.0", "3", "models", "together"]
    assert catalog.named(home, "ensemble") == catalog.named(home, "tiny/ensemble") == ensemble
    catalog.delete(checkpoints, ["numpy_lstm-tiny"])
    assert "3 models together, numpy_lstm-tiny is missing" in catalog.table(checkpoints)
    with pytest.raises(BundleError, match="lacks its member numpy_lstm-tiny"):
        bundle.load(ensemble)
    (ensemble / "scores.json").write_text("{}")
    assert "scores.json is damaged" in catalog.table([ensemble])
    catalog.delete(checkpoints, ["ensemble"])
    assert not ensemble.exists() and "ensemble: deleted" in capsys.readouterr().out
