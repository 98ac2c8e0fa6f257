"""Captions in Chinese and German all the way: read, split, trained, written, scored and labeled."""

import json

import numpy as np
import pytest
from PIL import Image, ImageColor

import captioning.quiet  # noqa: F401
from captioning import bundle, encoders, evaluation, experiments, features, findings, metrics
from captioning.datasets import prepare
from captioning.from_scratch.optimizers import Adam
from captioning.from_scratch.pooling import channel_statistics, pool_regions
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.from_scratch.training import fit, shuffled_batches
from captioning.settings import choose
from captioning.tokenizer import Tokenizer
from captioning.training.config import TrainingConfig, advice
from captioning.words import SPLITTING, units
from tests.obtaining.offered import prepared
from tests.tiny_encoder import tiny_encoder

# Color -> what is said of a picture of it; the vocabulary; what its words are.
LANGUAGES = {
    "zh": (
        {
            "red": "一只红色的猫坐在椅子上。",
            "lime": "两只绿色的狗在草地上奔跑，很开心！",
            "blue": "蓝色的天空下有一辆汽车",
        },
        " ".join("一只红色的猫坐在椅子上两绿狗草地奔跑很开心蓝天空下有辆汽车"),
        units.CHARACTERS,
    ),
    "de": (
        {"red": "Eine Straße, darauf ein rotes Auto.", "lime": "Zwei grüne Frösche!", "blue": "Über dem Meer: Möwen"},
        "eine straße darauf ein rotes auto zwei grüne frösche über dem meer möwen",
        SPLITTING,
    ),
}


def write_folder(root, said):
    """Write 24 pictures of three colors, each with a caption."""
    root.mkdir()
    rows = ["image,caption,split"]
    for number in range(24):
        color = [*said][number % 3]
        shade = tuple(abs(value - number) for value in ImageColor.getrgb(color))  # no two photos are the same
        Image.new("RGB", (8, 8), shade).save(root / f"{number:02d}.png")
        rows.append(f'{number:02d}.png,"{said[color]}",{("train", "train", "val", "test")[number // 6]}')
    (root / "captions.csv").write_text("\n".join(rows), encoding="utf-8")
    return root


def trained(project, dataset, tokenizer, encoder):
    """Train a small LSTM as notebook 08 does; return the folder of the experiment and the features."""
    store = features.extract(dataset.records, encoder, project.data / "features" / "tiny")
    train = dataset.split("train")
    rows = store.rows(train)
    config = CaptioningRNNConfig(len(tokenizer), channels=store.channels, embedding=16, units=32, cell="lstm")
    model = CaptioningRNN(config, *channel_statistics(rows))
    settings = experiments.settings_for(CaptioningRNN, config, TrainingConfig(), dataset, tokenizer, store, seed=0)
    folder = experiments.start(project, settings, tokenizer)
    tokens = tokenizer.encode_batch(record.captions[0] for record in train)
    for _ in fit(model, shuffled_batches(pool_regions(rows), np.arange(len(train)), tokens, 8), 40, Adam(0.02)):
        pass
    model.save(folder / "model.npz")
    experiments.finish(folder)
    return folder, store


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_folder_of_ones_own_in_another_language(language, tmp_path, monkeypatch):
    said, vocabulary, splitting = LANGUAGES[language]
    encoder = tiny_encoder()
    monkeypatch.setattr(encoders, "load", lambda *_: encoder)
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path / "home"))
    project = choose("folder", root=str(write_folder(tmp_path / "photos", said)))
    prepared(project)
    dataset = prepare.load(project)
    Tokenizer.fit(dataset.captions("train")).save(project.data / "tokenizer.json")
    tokenizer = prepare.load_tokenizer(project, dataset)
    assert set(tokenizer.vocabulary) == {*vocabulary.split()}
    assert json.loads((project.data / "tokenizer.json").read_text())["splitting"] == splitting
    longest = 50 if splitting == units.CHARACTERS else 20
    assert advice(project).max_words == advice(project, dataset.captions("train")).max_words == longest

    folder, store = trained(project, dataset, tokenizer, encoder)
    captioner = bundle.load(folder)
    scores = evaluation.evaluate(captioner, {"tiny": store}, dataset)
    assert scores["CIDEr"] > 5 and scores["Bleu_4"] > 0.9 and scores["novel_captions"] == 0
    labeled = splitting == units.CHARACTERS
    assert scores.get("units") == scores["consensus"].get("units") == (splitting if labeled else None)
    assert ("Characters are scored" in str(findings.scored({"lstm": scores}))) == labeled
    again = metrics.score(
        evaluation.references_of(dataset.split("test")), metrics.read_results(folder / "captions.json")
    )
    assert again["CIDEr"] == scores["CIDEr"]

    record = dataset.split("test")[0]
    answer = str(captioner.caption(record.file))
    people = units.plain(record.captions[0])
    assert answer == "".join(letter for letter in people if letter not in "。，！,.:!").lower()
