"""Exercises of notebooks 01 to 03 that change a knob or a cell: they show what they say and leave no trap behind."""

import csv
import os

import pytest
from PIL import Image

from captioning import notebooks, settings
from captioning.datasets import prepare
from captioning.findings.finding import CONFIRMED, DENIED
from captioning.provenance import StaleError
from tests.test_notebooks import run_changed

pytestmark = pytest.mark.notebooks


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPTIONING_HOME", str(home))
        patch.setenv("CAPTIONING_QUICK", "1")
        notebooks.run(notebooks.named(["01", "02"]), home / "runs")
    return home


@pytest.fixture
def scenes(prepared_once, monkeypatch):
    """The home in which 01 and 02 have been run on a few drawn scenes."""
    monkeypatch.setenv("CAPTIONING_HOME", str(prepared_once))
    monkeypatch.setenv("CAPTIONING_QUICK", "1")
    return prepared_once


def load():
    """Do what the later notebooks begin with."""
    project = settings.active()
    return prepare.load_tokenizer(project, prepare.load(project))


UNSEEN = '[r for r in dataset.split("test") if any(thing["unseen"] for thing in r.truth["objects"])][:6]'


def test_a_limit_and_pictures_of_unseen_combinations(scenes, tmp_path):
    before = load()
    run_changed("01", {"settings": ("LIMIT = None", "LIMIT = 30")}, tmp_path)
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
    file, before = settings.active().data / "tokenizer.json", load()
    run_changed("02", {"settings": ("MINIMUM_COUNT = 4", "MINIMUM_COUNT = 1")}, tmp_path)
    assert load() != before
    said = run_changed("02", {"save": ("tokenizer.save", f"{FEW}\ntokenizer.save")}, tmp_path)
    assert load() == before and file.is_file()
    assert "train: unknown words are in" in said and said.count("<unk>") > 3
    assert "test: unknown words" in said or "No caption of test" in said


OTHERS = """
for other in (lambda values: values / 255, lambda values: values, lambda values: values / 2):
    wrong.spec = dataclasses.replace(encoder.spec, preprocess=other)
    seen = np.asarray(other(pixels.astype("float32")))
    print(findings.contrast(prepared, seen, transfer_values, np.asarray(wrong(pixels))))
"""


@pytest.mark.parametrize(("encoder", "outcomes"), [("mobilenet", [CONFIRMED, DENIED, DENIED])])
def test_another_encoder_and_other_wrong_preprocessings(encoder, outcomes, scenes, tmp_path):
    changes = {"settings": ('"vgg16"', f'"{encoder}"'), "divided-finding": ("findings", f"{OTHERS}\nfindings")}
    said = run_changed("03", changes, tmp_path)
    assert [
        CONFIRMED if line.startswith(CONFIRMED) else DENIED for line in said.splitlines() if "spread by" in line
    ] == outcomes
    (folder,) = (settings.active().data / "features").iterdir()
    assert folder.name.startswith(encoder)


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
