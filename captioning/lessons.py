"""What the model notebooks do around their lessons: notebook 04 shows these functions, later ones call them."""

import inspect
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from IPython.display import Code, display

from captioning import bundle, encoders, evaluation, experiments, features, findings, metrics, models, plotting
from captioning.batches import CaptionBatches
from captioning.datasets import prepare
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.decoding import Caption
from captioning.features import FeatureStore
from captioning.findings import Finding
from captioning.metrics.attention import boxes_of
from captioning.models.decoder import Decoder, DecoderConfig
from captioning.settings import Project
from captioning.tokenizer import START, Tokenizer
from captioning.training.config import TrainingConfig, advice
from captioning.training.fit import fit
from captioning.training.history import History


class Data(NamedTuple):
    """What a decoder is trained on."""

    dataset: CaptionDataset
    tokenizer: Tokenizer
    store: FeatureStore
    train: CaptionBatches
    validation: CaptionBatches

    def batches(self, records: Sequence[Record], batch: int | None = None) -> CaptionBatches:
        """Return batches of other pictures, like those of train; `batch`: another number of pictures in each."""
        like = self.train
        options: dict[str, Any] = {"max_words": like.max_words, "seed": like.seed, "averaged": like.averaged}
        return CaptionBatches(records, self.store, self.tokenizer, batch_size=batch or like.batch_size, **options)


def source(*shown: Any) -> Code:
    """Return the source of functions, classes or modules, colored."""
    return Code("\n\n".join(map(inspect.getsource, shown)), language="python")


def suited(project: Project, **knobs: Any) -> tuple:
    """Return the knobs in this order; one that is None gets the value that `training.config.advice` has for it."""
    suggested = asdict(advice(project))
    return tuple(suggested[name] if value is None else value for name, value in knobs.items())


def load(project: Project, encoder: str, *, batch: int, max_words: int, seed: int, averaged: bool = False) -> Data:
    """Load the captions, the tokenizer and the features, and make batches of the train and validation pictures.

    A grid of regions is encoded where it is missing; vectors (`averaged`) must be there, from notebook 03.

    Args:
        encoder: the notebook's own; that of the project replaces it.
        batch: pictures per batch, each with its captions.
        max_words: longer captions are truncated.
        seed: of the order of the pictures.
        averaged: one vector per picture, the mean over its regions if there are several.
    """
    dataset, name = prepare.load(project), project.encoder_or(encoder)
    tokenizer = prepare.load_tokenizer(project, dataset)
    folder = features.folder_of(project, name)
    if averaged:
        store = FeatureStore(folder)
    else:
        cnn = encoders.load(name, project.encoder_weights, project.encoders)
        store = features.extract(dataset.records, cnn, folder)
    options: dict[str, Any] = {"batch_size": batch, "max_words": max_words, "seed": seed, "averaged": averaged}
    train, validation = (CaptionBatches(dataset.split(name), store, tokenizer, **options) for name in ("train", "val"))
    made = "{encoder}, cut at {layer}, weights {weights}; {image_size} pixels a side, {preprocessing}"
    print(f"{dataset.name}: {len(train.records):,} train and {len(validation.records):,} validation pictures")
    mean = ", averaged over the regions" if train.regions < store.regions else ""
    print(f"{made.format(**store.identity)}: {store.regions} x {store.channels:,} numbers per picture{mean}")
    print(f"{len(tokenizer):,} ids in the vocabulary")
    return Data(dataset, tokenizer, store, train, validation)


def build(model_class: type[Decoder], config: DecoderConfig, data: Data, alone: bool = False) -> Decoder:
    """Return a new decoder with random weights that knows the mean and deviation of each channel.

    It is tried on a fake batch, 2 pictures with 5 captions of 7 steps: each step must give a logit for every word.
    """
    model = models.build(model_class, config, data.train.seed, alone)
    fake = {"features": np.ones((2, config.regions, config.channels)), "tokens": np.full((2, 5, 7), START)}
    assert model(fake).shape == (2, 5, 7, config.vocabulary)  # (pictures, captions, steps, vocabulary)
    model.scale_features(*data.train.statistics())
    return model


def train(
    project: Project, model: Decoder, config: TrainingConfig, data: Data, name: str | None = None
) -> tuple[Path, History]:
    """Train a decoder, or load it if an experiment with exactly these settings and data is finished.

    Returns:
        The experiment's folder, and what was measured after each epoch.
    """
    like = data.train
    batches: dict[str, Any] = {"batch": like.batch_size, "max_words": like.max_words, "seed": like.seed}
    identity = experiments.settings_for(type(model), model.config, config, *data[:3], **batches)
    folder = experiments.start(project, identity, data.tokenizer, name)
    history = fit(model, data.train, data.validation, data.tokenizer, config, folder)
    experiments.finish(folder)
    return folder, history


def short_run(
    model_class: type[Decoder],
    config: DecoderConfig,
    training: TrainingConfig,
    data: Data,
    epochs: int | None = None,
    callbacks: Sequence = (),
    name: str = "",
) -> tuple[Decoder, History]:
    """Train a new decoder without keeping its folder: the first `epochs` of a run, None: all of it."""
    model = build(model_class, config, data)
    with tempfile.TemporaryDirectory() as scratch:
        made_of = data.train, data.validation, data.tokenizer
        return model, fit(model, *made_of, training, Path(scratch), callbacks, epochs, name)


def caption(folder: Path, records: Sequence[Record], data: Data) -> tuple[bundle.Bundle, list[Caption], list[str]]:
    """Return the captioner in a folder, and its captions of pictures by a beam of 3, as ids and as texts."""
    captioner = bundle.load_one(folder)
    captions = captioner.decode(data.store.rows(records), beam_width=3)
    return captioner, captions, [data.tokenizer.decode(caption.tokens) for caption in captions]


def show_captions(records: Sequence[Record], texts: Sequence[str], title: str) -> Finding:
    """Show pictures with their captions, each checked where the truth is known, and one reference of each."""
    checks = [evaluation.check(record, text) for record, text in zip(records, texts, strict=True)]
    references = [record.captions[:1] for record in records]
    display(plotting.show_captions([record.file for record in records], texts, references, title, checks=checks))
    return findings.captions(records, texts)


def show_looks(
    records: Sequence[Record],
    texts: Sequence[str],
    words: Sequence[Sequence[str]],
    maps: Sequence[np.ndarray],
    show: Callable = plotting.show_attention,
    tell: Callable = findings.looks,
) -> Finding:
    """Show where a decoder looks in the first right and the first wrong caption, with boxes of what words name.

    Args:
        records, texts: the pictures and their captions.
        words, maps: the words of each caption, and the weights of each word.
        show, tell: draw the weights of a caption, and state what they show.
    """
    chosen, rule = findings.right_and_wrong(records, texts)
    display(rule)
    for number in chosen:
        record, text = records[number], texts[number]
        title, boxes = f"“{text}” {evaluation.check(record, text)}".rstrip(), boxes_of(record, words[number])
        display(show(record.file, words[number], maps[number], title=title, boxes=boxes))
    return tell(*([row[number] for number in chosen] for row in (records, words, maps)))


def depends(records: Sequence[Record], texts: Sequence[str]) -> Finding:
    """Tell how much CIDEr is left when each caption is given to another picture."""
    results = {record.image_id: text for record, text in zip(records, texts, strict=True)}
    return findings.depends(metrics.CiderD(evaluation.references_of(records)), results)
