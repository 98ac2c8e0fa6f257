"""A bundle captions pictures of any kind, with the encoder that it was trained with and no other."""

import dataclasses
import io
import json

import keras
import numpy as np
import pytest
from PIL import Image
from tiny_encoder import SPEC, tiny_encoder

from captioning import bundle, decoding, encoders, evaluation, metrics
from captioning.bundle import Answer, BundleError
from captioning.features import encode_files, extract
from captioning.images import ImageError
from captioning.settings import SettingError
from tests.bundles import edit, everything_in, finished, talkative


def texts(answers):
    return [str(answer) for answer in answers]


def test_photos_are_captioned_with_nothing_but_the_bundle_and_the_encoder(made, with_photos):
    folder, encoder, asked = with_photos
    loaded, files = bundle.load(folder), [record.file for record in made.dataset.records[:2]]
    captions = loaded.decode(encode_files(files, encoder), 3)
    assert texts(loaded.caption(files)) == [made.tokenizer.decode(caption.tokens) for caption in captions]
    assert str(loaded.caption(files[0])) == str(loaded.caption(files)[0])  # one in, one out
    assert asked == [("tiny", "random", None)]  # None: nothing is written


def test_one_picture_gives_one_answer_and_several_a_list(made, with_photos):
    folder, _, _ = with_photos
    loaded, files = bundle.load(folder), sorted(record.file for record in made.dataset.records)[:3]
    expected = texts(loaded.caption(str(file)) for file in files)
    assert isinstance(loaded.caption(files[0]), Answer)
    arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    for one in (Image.open(files[0]), arrays[0], files[0].read_bytes(), files[0].open("rb")):
        assert str(loaded.caption(one)) == expected[0]
    for several in (files, tuple(files), iter(files), np.stack(arrays), [Image.open(file) for file in files], arrays):
        assert texts(loaded.caption(several)) == expected
    assert texts(loaded.caption(files[:1])) == expected[:1] and loaded.caption([]) == loaded.caption(iter(())) == []
    for wrong in (None, 5, {"a.jpg": 1}):
        with pytest.raises(TypeError, match="Accepted: a path"):
            loaded.caption(wrong)
    with pytest.raises(ImageError, match=r"Picture 2 is an array \(7,\)"):
        loaded.caption([arrays[0], np.zeros(7)])
    with pytest.raises(ImageError, match=r"no-such\.jpg"):
        loaded.caption("no-such.jpg")
    photo = io.BytesIO(b"no photo")
    photo.name = "https://example.org/a.jpg"
    with pytest.raises(ImageError, match=r"^https://example\.org/a\.jpg "):
        loaded.caption([arrays[0], photo])


def test_a_folder_is_captioned_in_the_order_of_its_names(made, with_photos):
    folder, _, _ = with_photos
    loaded, photos = bundle.load(folder), made.dataset.records[0].file.parent
    assert loaded.caption(photos) == loaded.caption(sorted(photos.glob("*.*")))


def test_of_a_generator_only_some_pictures_are_in_memory(made, with_photos, monkeypatch):
    folder, _, _ = with_photos
    loaded, file, asked, decoded = bundle.load(folder), made.dataset.records[0].file, [], []

    def decode(features, beam_width, **options):
        decoded.append((len(asked), len(features)))
        return [decoding.Caption([], 0, 0, True, None)] * len(features)

    object.__setattr__(loaded, "decode", decode)
    answers = loaded.captions(asked.append(n) or file for n in range(200))
    assert not asked and next(answers) and decoded == [(48, 16)]  # the first ones soon
    assert len(list(answers)) == 199 and [count for _, count in decoded] == [16, 64, 64, 56]
    assert decoded[1][0] <= 128


@pytest.mark.parametrize("decodings", [{1: (0.0,)}, {3: (0.7, 1.0)}])
def test_a_photo_has_the_caption_that_was_scored(made, with_photos, tmp_path, monkeypatch, decodings):
    """All the way: of features that were made in filled batches of 16, as chosen there; alone and in batches."""
    _, encoder, _ = with_photos
    store = extract(made.dataset.records, encoder, tmp_path / "tiny-features")
    folder, model = finished(dataclasses.replace(made, store=store), "numpy_lstm")
    talkative(model.parameters.values(), model.parameters["output_bias"])
    model.save(folder / "model.npz")
    monkeypatch.setattr("captioning.evaluation.choosing.DECODINGS", decodings)
    scores = evaluation.evaluate(bundle.load(folder), {store.identity["encoder"]: store}, made.dataset)
    files, loaded = [record.file for record in made.dataset.split("test")], bundle.load(folder)
    assert loaded.chosen == scores["decoding"]
    for consensus, name in ((False, "captions.json"), (True, "captions_consensus.json")):
        told = list(metrics.read_results(folder / name).values())
        assert texts(loaded.caption(files, consensus=consensus)) == told and len(set(told)) > 1
        assert texts(loaded.caption(files[::-1], consensus=consensus)) == told[::-1]
        assert texts(loaded.caption(file, consensus=consensus) for file in files) == told
    # Of the validation pictures themselves, the share below each is known.
    answers = loaded.caption([record.file for record in made.dataset.split("val")])
    ranks = [round(answer.below * len(answers)) for answer in answers]
    sure = sorted(answer.candidates[0].per_word for answer in answers)
    assert loaded.chosen["confidences"] == pytest.approx(sure, abs=1e-4)
    assert np.subtract(ranks, [sure.index(a.candidates[0].per_word) for a in answers]) == pytest.approx(0, abs=1)


# Several candidates


def test_the_candidates_are_those_of_the_beam_with_the_models_own_probabilities(made, with_photos):
    folder, encoder, _ = with_photos
    loaded, files = bundle.load(folder), [record.file for record in made.dataset.records[:3]]
    features = encode_files(files, encoder)
    answers = loaded.caption(files, n=3, beam=4)
    for answer, row, found in zip(answers, features, loaded.decode(features, 4, return_all=True), strict=True):
        assert [c.caption for c in answer.candidates] == [made.tokenizer.decode(c.tokens) for c in found[:3]]
        for candidate, caption in zip(answer.candidates, found, strict=False):
            tokens = np.array([made.tokenizer.encode(candidate.caption)])  # START to END
            tokens = tokens[:, : None if caption.finished else -1]
            logits = loaded.model({"features": row[None].astype(np.float32), "tokens": tokens[None, :, :-1]})
            each = keras.ops.log_softmax(logits[0, 0]).numpy()[np.arange(tokens.size - 1), tokens[0, 1:]]
            assert candidate.log_probability == pytest.approx(each.sum(), abs=1e-4)
            assert candidate.per_word == pytest.approx(each.mean(), abs=1e-4)
    assert texts(answers) == texts(loaded.caption(files, beam=4))


def test_more_candidates_than_the_beam_is_wide_leave_its_caption_the_first(made, with_photos):
    folder, _, _ = with_photos
    loaded, files = bundle.load(folder), [record.file for record in made.dataset.records]
    ones, fives, wides = (loaded.caption(files, n, beam, attention=True) for n, beam in ((1, 1), (5, 1), (5, 5)))
    assert texts(ones) != texts(wides)  # else nothing is shown
    for one, five, wide in zip(ones, fives, wides, strict=True):
        assert five.candidates[0] == one.candidates[0] and (five.words, five.below) == (one.words, one.below)
        others = [candidate for candidate in wide.candidates if candidate.caption != one.caption]
        assert list(five.candidates[1:]) == others[:4] and len(five.candidates) == 5
    loaded.__dict__["chosen"] = loaded.chosen | {"beam_width": 1, "length_penalty": 0.0}
    assert texts(loaded.caption(files, n=5)) == texts(loaded.caption(files)) == texts(ones)
    assert loaded.caption(files[0], n=len(made.tokenizer)).caption == ones[0].caption


def test_fewer_captions_than_asked_for_are_no_error(made, with_photos, monkeypatch):
    folder, _, _ = with_photos
    loaded, file = bundle.load(folder), made.dataset.records[0].file
    monkeypatch.setattr(decoding, "MAX_LENGTH", 1)
    words = len(made.tokenizer) - 3  # all but PAD, UNK and START: END alone is the empty caption
    answer = loaded.caption(file, n=len(made.tokenizer))  # the beam holds some of them finished and cut off
    assert words // 2 < len(answer.candidates) == len({c.caption for c in answer.candidates}) <= words


@pytest.mark.parametrize("name", ["n", "beam"])
def test_numbers_that_make_no_sense_are_named(made, with_photos, name):
    loaded = bundle.load(with_photos[0])
    for bad in (0, -1, True, 2.5, "3", 10**6, *([None] if name == "n" else [])):
        with pytest.raises(ValueError, match=rf"^{name} must be a whole number from 1 to {len(made.tokenizer)}, not "):
            loaded.caption(made.dataset.records[0].file, **{name: bad})


def test_the_attention_is_that_of_the_best_caption(made, with_photos):
    folder, encoder, _ = with_photos
    loaded, files = bundle.load(folder), [record.file for record in made.dataset.records[:3]]
    found = loaded.decode(encode_files(files, encoder), 3)
    for answer, caption in zip(loaded.caption(files, n=2, attention=True), found, strict=True):
        assert answer.attention.shape == (len(answer.words), SPEC.regions)
        assert made.tokenizer.decode(made.tokenizer.encode(" ".join(answer.words))) == str(answer)
        np.testing.assert_allclose(answer.attention, caption.attention, atol=1e-5)
        np.testing.assert_allclose(answer.attention.sum(axis=1), 1, atol=1e-5)
    assert loaded.caption(files[0]).attention is None and loaded.caption(files[0]).words == ()


# Pictures that cannot be read


def test_errors_are_kept_in_their_places(made, with_photos, tmp_path):
    """Also where whole batches hold nothing else."""
    loaded, files = bundle.load(with_photos[0]), [record.file for record in made.dataset.records]
    bad = tmp_path / "bad.jpg"
    bad.write_text("no photo")
    pictures = [*[bad] * 33, *files[:2], None, *files, *[bad] * 70, files[0]]
    kept = list(loaded.captions(pictures, keep_errors=True))
    told = dict(zip(files, texts(loaded.caption(files)), strict=True))
    assert len(kept) == len(pictures)
    for number, (picture, answer) in enumerate(zip(pictures, kept, strict=True), start=1):
        if picture in told:
            assert str(answer) == told[picture]
        else:
            assert isinstance(answer, ImageError) and str(answer).startswith(str(picture or f"Picture {number} "))
    assert len(list(loaded.captions([bad] * 3, keep_errors=True))) == 3
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        loaded.caption([files[0], bad])


# What validation chose


def test_the_decoding_is_what_validation_chose(made, with_photos):
    folder, encoder, _ = with_photos
    files = [record.file for record in made.dataset.records[:5]]
    rows = [(1, 0.0, 0.1), (2, 0.0, 0.2), (2, 2.0, 0.4), (4, 1.5, 0.3), (4, 0.2, 0.2)]
    tried = [dict(zip(("beam_width", "length_penalty", "validation_CIDEr"), row, strict=True)) for row in rows]
    (folder / "scores.json").write_text(json.dumps({"decoding": tried[2] | {"tried": tried}}))
    loaded, features = bundle.load(folder), encode_files(files, encoder)
    for beam, (width, penalty) in {None: (2, 2.0), 1: (1, 0.0), 4: (4, 1.5), 3: (3, 2.0)}.items():
        expected = loaded.decode(features, width, length_penalty=penalty)
        answers = loaded.caption(files, beam=beam)
        assert texts(answers) == [made.tokenizer.decode(caption.tokens) for caption in expected], beam
        assert {answer.below for answer in answers} == {None}
    assert texts(loaded.caption(files)) != texts(loaded.caption(files, beam=1)) != texts(loaded.caption(files, beam=4))


def test_one_photo_per_call_is_compiled_once(made, with_photos, monkeypatch):
    folder, _, _ = with_photos
    loaded, files, traces = bundle.load(folder), [record.file for record in made.dataset.records], []
    for name in ("step", "initial_state"):
        function = getattr(loaded.model, name)
        monkeypatch.setattr(loaded.model, name, lambda *a, f=function, n=name, **k: traces.append(n) or f(*a, **k))
    for pictures, width in ((files[0], 3), (files[1], 3), (files[:3], 3), (files[2], 3), (files, 5), (files[3], 1)):
        loaded.caption(pictures, beam=width)
    assert traces.count("initial_state") == 1 and traces.count("step") <= 2


@pytest.fixture
def moved(made, with_photos, tmp_path, monkeypatch):
    """A bundle whose encoder weights lay in a folder that is gone; they are in `now`, others in `wrong`."""
    monkeypatch.undo()
    monkeypatch.setitem(encoders.SPECS, "tiny", SPEC)
    for variable in ("CAPTIONING_DATASET", "CAPTIONING_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    folder, encoder, _ = with_photos
    for place, one in (("now", encoder), ("wrong", tiny_encoder(seed=5))):
        (tmp_path / place).mkdir()
        one._model.save_weights(tmp_path / place / SPEC.file)
    return folder, encoder


@pytest.mark.parametrize("trained_with", ["files", "imagenet"])
def test_the_weights_are_taken_from_where_the_setting_says_and_checked_by_hash(
    moved, made, tmp_path, monkeypatch, trained_with
):
    folder, encoder = moved
    edit(folder, encoder=encoder.identity | {"weights": trained_with}, weights_folder="/the/old/place")
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    monkeypatch.setenv("CAPTIONING_WEIGHTS", str(tmp_path / "now"))
    loaded = bundle.load(folder)
    assert loaded.encoder.weights_hash == encoder.weights_hash and loaded.caption(made.dataset.records[0].file)
    monkeypatch.setenv("CAPTIONING_WEIGHTS", str(tmp_path / "wrong"))
    with pytest.raises(BundleError, match=r"another encoder: weights_hash was .* Set CAPTIONING_WEIGHTS to"):
        bundle.load(folder).caption("photo.jpg")


def test_weights_that_are_gone_name_the_setting_to_set(moved, tmp_path):
    """No setting names that place, so none is blamed."""
    folder, encoder = moved
    edit(folder, encoder=encoder.identity | {"weights": "files"}, weights_folder=str(tmp_path / "now"))
    assert bundle.load(folder).encoder.weights_hash == encoder.weights_hash
    edit(folder, weights_folder="/the/old/place")
    with pytest.raises(BundleError, match=r"in /the/old/place, which are no longer there: set CAPTIONING_WEIGHTS"):
        bundle.load(folder).caption("photo.jpg")


def test_a_foreign_bundle_cannot_make_a_file_anywhere(with_photos, tmp_path):
    folder, _, _ = with_photos
    edit(folder, random_folder="../../../elsewhere", weights_folder="../../../elsewhere")
    before = everything_in(tmp_path)
    assert bundle.load(folder).encoder
    assert everything_in(tmp_path) == before


def test_a_setting_error_of_the_environment_is_not_swallowed(with_photos, monkeypatch):
    folder, encoder, _ = with_photos
    encoder.weights = "files"
    edit(folder, encoder=encoder.identity, weights_folder="/the/old/place")
    monkeypatch.setenv("CAPTIONING_WEIGHTS", "/no/such/folder")
    with pytest.raises(SettingError, match="CAPTIONING_WEIGHTS"):
        bundle.load(folder).encoder  # noqa: B018


def test_random_weights_ask_for_no_setting(with_photos, monkeypatch):
    folder, encoder, _ = with_photos
    monkeypatch.setenv("CAPTIONING_WEIGHTS", "/no/such/folder")
    assert bundle.load(folder).encoder is encoder
