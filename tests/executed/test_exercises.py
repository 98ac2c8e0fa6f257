"""Exercises of notebooks 01 to 03 that change a knob or a cell: they show what they say and leave no trap behind."""

import csv
import os
import shutil

import pytest
from PIL import Image

from captioning import settings
from captioning.datasets import prepare
from captioning.findings.finding import CONFIRMED, DENIED
from captioning.provenance import StaleError
from captioning.tokenizer import Tokenizer
from tests.series import run_changed

pytestmark = pytest.mark.notebooks


@pytest.fixture
def scenes(executed, tmp_path, monkeypatch):
    """A copy of what notebooks 01 and 02 have made, so that nothing need be changed back."""
    data = tmp_path / "home" / "data"
    data.mkdir(parents=True)
    shutil.copy(executed / "data" / "active.json", data)
    shutil.copytree(executed / "data" / "scenes-quick", data / "scenes-quick", ignore=lambda *_: ["features"])
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path / "home"))
    prepare_again()


def prepare_again(**knobs):
    """Do what the cells of notebook 01 do."""
    project = settings.choose(**knobs)
    prepare.save(project, prepare.arrange(project, prepare.check(project, prepare.obtain(project))))


def load():
    """Do what the later notebooks begin with."""
    project = settings.active()
    return prepare.load_tokenizer(project, prepare.load(project))


UNSEEN = '[r for r in dataset.split("test") if any(thing["unseen"] for thing in r.truth["objects"])][:6]'


def test_a_limit_and_pictures_of_unseen_combinations(scenes, tmp_path):
    before = load()
    prepare_again(limit=30)
    with pytest.raises(StaleError, match="02_explore"):
        load()
    shown = f"shown = {UNSEEN}\nprint('unseen:', len(shown), 'of', {{r.split for r in shown}})"
    said = run_changed("01", {"pictures": ('shown = dataset.split("train")[:6]', shown)}, tmp_path)
    assert "of {'test'}" in said and "unseen: 0" not in said
    assert load() == before


FEW = """
few = Tokenizer.fit(dataset.captions("train"), 20)
print(findings.unknown_words(captions, set(few.vocabulary)))
few = Tokenizer.fit(dataset.captions("train"), maximum_size=30)
for caption in dataset.captions("train")[:5]:
    print(few.decode(few.encode(caption)))
print(findings.unknown_words({"test": dataset.captions("test")}, set(counts)))
"""


def test_small_vocabularies_lose_words_and_are_not_saved(scenes, tmp_path):
    train = prepare.load(settings.active()).captions("train")
    assert load() == Tokenizer.fit(train, 4) != Tokenizer.fit(train, 1)
    changes = {
        "settings": ("MINIMUM_COUNT = 4", "MINIMUM_COUNT = 1"),
        "save": ("tokenizer.save", f"{FEW}\ntokenizer.save"),
    }
    said = run_changed("02", changes, tmp_path)
    assert load() == Tokenizer.fit(train, 1)
    assert "train: unknown words are in" in said and said.count("<unk>") > 3
    assert "test: unknown words" in said or "No caption of test" in said


OTHERS = """
for other in (lambda values: values / 255, lambda values: values, lambda values: values / 2):
    wrong.spec = dataclasses.replace(encoder.spec, preprocess=other)
    seen = np.asarray(other(pixels.astype("float32")))
    print(findings.contrast(prepared, seen, transfer_values, np.asarray(wrong(pixels))))
"""


def test_another_encoder_and_other_wrong_preprocessings(scenes, tmp_path):
    changes = {"settings": ('"vgg16"', '"mobilenet"'), "divided-finding": ("findings", f"{OTHERS}\nfindings")}
    said = run_changed("03", changes, tmp_path, until="extract")
    told = [line for line in said.splitlines() if "spread by" in line]
    assert [line.startswith(CONFIRMED) for line in told] == [True, False, False]
    assert [line.startswith(DENIED) for line in told] == [False, True, True]
    (folder,) = (settings.active().data / "features").iterdir()
    assert folder.name.startswith("mobilenet")


def test_three_photos_of_your_own_and_what_may_be_wrong_with_them(tmp_path, monkeypatch):
    """All three notebooks read rightly on one picture in each split."""
    own = tmp_path / "own"
    own.mkdir()
    rows = [
        ("image", "caption"),
        *((f"{name}.jpg", f"a {name} wall, seen closely") for name in ("red", "blue", "green")),
    ]
    rows += [
        ("gone.jpg", "a photo that is not there"),
        ("cut.jpg", "half a file"),
        rows[1],
        ("RED.JPG", "another case"),
    ]
    with (own / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for name in ("red", "blue", "green", "cut"):
        Image.effect_noise((40, 30), 9).convert("RGB").save(own / f"{name}.jpg")
    (own / "cut.jpg").write_bytes((own / "cut.jpg").read_bytes()[:300])
    for name, value in {"HOME": tmp_path / "home", "DATASET": "folder", "ROOT": own, "ENCODER": "mobilenet"}.items():
        monkeypatch.setenv(f"CAPTIONING_{name}", str(value))
    monkeypatch.setenv("CAPTIONING_WEIGHTS", "random")
    said = run_changed("01", {}, tmp_path / "series")
    assert "gone.jpg" in said and "cut.jpg" in said
    assert all(f"{split:6}         1 " in said for split in ("train", "val", "test"))
    run_changed("02", {"settings": ("MINIMUM_COUNT = 4", "MINIMUM_COUNT = 1")}, tmp_path / "series")
    run_changed("03", {}, tmp_path / "series")
    text = (own / "captions.csv").read_text()
    (own / "captions.csv").write_text(text.replace("a red wall", "one red wall"))
    os.utime(own / "captions.csv", ns=(1, 1))
    with pytest.raises(StaleError, match="01_download"):
        load()
