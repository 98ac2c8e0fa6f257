"""A bundle captions pictures of any kind, with the encoder that it was trained with and no other."""

import numpy as np
import pytest
from PIL import Image
from tiny_encoder import SPEC, tiny_encoder

from captioning import bundle, decoding, encoders, models
from captioning.bundle import BundleError
from captioning.features import encode_files, extract
from captioning.images import ImageError
from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.settings import SettingError
from tests.bundles import edit, everything_in, finished, made_in


@pytest.fixture
def made(tmp_path):
    return made_in(tmp_path)


@pytest.fixture
def with_photos(made, monkeypatch):
    """A bundle whose encoder is the tiny one; how its weights are asked for is noted."""
    asked, encoder = [], tiny_encoder()
    monkeypatch.setattr(
        encoders, "load", lambda name, weights, folder: asked.append((name, weights, folder)) or encoder
    )
    sizes = {"regions": SPEC.regions, "channels": SPEC.channels}
    config = BahdanauConfig(len(made.tokenizer), **sizes, embedding=4, units=5, attention=3)
    folder, _ = finished(made)
    model = models.build(BahdanauDecoder, config)
    model.save_weights(folder / "model.weights.h5")
    settings = edit(folder, encoder=encoder.identity)
    edit(folder, model=settings["model"] | sizes)
    return folder, encoder, asked


def test_photos_are_captioned_with_nothing_but_the_bundle_and_the_encoder(made, with_photos):
    folder, encoder, asked = with_photos
    loaded, files = bundle.load(folder), [record.file for record in made.dataset.records[:2]]
    captions = loaded.decode(encode_files(files, encoder), 3)
    assert loaded.caption(files) == [made.tokenizer.decode(caption.tokens) for caption in captions]
    assert [loaded.caption(files[0])] == loaded.caption(files)[:1]  # one in, one out
    assert asked == [("tiny", "random", None)]  # None: nothing is written


def test_one_picture_gives_one_caption_and_several_a_list(made, with_photos):
    folder, _, _ = with_photos
    loaded, files = bundle.load(folder), sorted(record.file for record in made.dataset.records)[:3]
    expected = [loaded.caption(str(file)) for file in files]
    assert all(isinstance(caption, str) for caption in expected)
    arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    for one in (Image.open(files[0]), arrays[0], files[0].read_bytes(), files[0].open("rb")):
        assert loaded.caption(one) == expected[0]
    for several in (files, tuple(files), iter(files), np.stack(arrays), [Image.open(file) for file in files], arrays):
        assert loaded.caption(several) == expected
    assert loaded.caption(files[:1]) == expected[:1] and loaded.caption([]) == loaded.caption(iter(())) == []
    for wrong in (None, 5, {"a.jpg": 1}):
        with pytest.raises(TypeError, match="Accepted: a path"):
            loaded.caption(wrong)
    with pytest.raises(ImageError, match=r"Picture 2 is an array \(7,\)"):
        loaded.caption([arrays[0], np.zeros(7)])
    with pytest.raises(ImageError, match=r"no-such\.jpg"):
        loaded.caption("no-such.jpg")


def test_a_folder_is_captioned_in_the_order_of_its_names(made, with_photos):
    folder, _, _ = with_photos
    loaded, photos = bundle.load(folder), made.dataset.records[0].file.parent
    assert loaded.caption(photos) == loaded.caption(sorted(photos.glob("*.*")))


def test_of_a_generator_only_some_pictures_are_in_memory(made, with_photos, monkeypatch):
    folder, _, _ = with_photos
    loaded, file, asked, decoded = bundle.load(folder), made.dataset.records[0].file, [], []
    object.__setattr__(
        loaded,
        "decode",
        lambda features, _: decoded.append(len(asked)) or [decoding.Caption([], 0, 0, True, None)] * len(features),
    )
    assert len(loaded.caption(asked.append(n) or file for n in range(200))) == 200
    assert decoded[0] <= 64 and len(decoded) == 13


def test_a_photo_has_the_caption_of_the_evaluation(made, with_photos, tmp_path):
    """Whose features were made in filled batches of 16, and kept."""
    folder, encoder, _ = with_photos
    loaded, records = bundle.load(folder), made.dataset.records
    stored = extract(records, encoder, tmp_path / "tiny-features").rows(records)
    told = [made.tokenizer.decode(caption.tokens) for caption in loaded.decode(stored)]
    assert [loaded.caption(record.file) for record in records] == told
    assert loaded.caption([record.file for record in records]) == told


def test_one_photo_per_call_is_compiled_once(made, with_photos, monkeypatch):
    folder, _, _ = with_photos
    loaded, files, traces = bundle.load(folder), [record.file for record in made.dataset.records], []
    for name in ("step", "initial_state"):
        function = getattr(loaded.model, name)
        monkeypatch.setattr(loaded.model, name, lambda *a, f=function, n=name, **k: traces.append(n) or f(*a, **k))
    for pictures, width in ((files[0], 3), (files[1], 3), (files[:3], 3), (files[2], 3), (files, 5), (files[3], 1)):
        loaded.caption(pictures, beam_width=width)
    assert traces.count("initial_state") == 1 and traces.count("step") <= 2


def test_an_encoder_of_other_weights_is_refused(with_photos):
    folder, encoder, _ = with_photos
    edit(folder, encoder=encoder.identity | {"weights_hash": "f" * 16})
    with pytest.raises(BundleError, match=r"another encoder: weights_hash was 'ffff.*CAPTIONING_WEIGHTS"):
        bundle.load(folder).caption("photo.jpg")


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
