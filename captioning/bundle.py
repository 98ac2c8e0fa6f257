"""Model + settings + tokenizer + encoder in one folder; refuses a mismatch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captioning import decoding, encoders, models
from captioning.datasets.dataset import CaptionDataset
from captioning.features import FeatureStore, encode_files
from captioning.from_scratch.early_stopping import NumpyTrainingConfig
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.from_scratch.weights import CaptioningRNNConfig
from captioning.models.decoder import Decoder, DecoderConfig
from captioning.settings import Project, require
from captioning.tokenizer import Tokenizer
from captioning.training.config import TrainingConfig

NOTEBOOKS = {
    "gru": "04_gru_decoder",
    "bahdanau": "05_inceptionv3_bahdanau_attention",
    "merge": "06_lstm_merge",
    "bilstm": "07_bilstm_dot_attention",
    "numpy_rnn": "08_rnn_from_scratch",
    "numpy_lstm": "08_rnn_from_scratch",
}
IDENTITY = ("encoder", "layer", "weights", "weights_hash", "image_size", "preprocessing", "regions", "channels")


class BundleError(ValueError):
    """The files of a bundle do not fit each other."""


def _load_keras(kind: str, fields: dict, weights: Path) -> Decoder:
    model = models.build(models.config_from(kind, fields))
    model.load_weights(weights)
    return model


def _load_numpy(kind: str, fields: dict, weights: Path) -> CaptioningRNN:
    model = CaptioningRNN.load(weights)  # the file holds its own settings, too
    difference = _difference(dataclasses.asdict(model.config), fields)
    if difference or kind != _kind_of(model.config):
        raise ValueError(difference or f"it holds a {_kind_of(model.config)}, not a {kind}")
    return model


class Format(NamedTuple):
    """How the weights of a kind of model are kept."""

    weights: str  # the file's name
    load: Callable[[str, dict, Path], Decoder | CaptioningRNN]  # from kind, fields of the settings and file


KERAS, NUMPY = Format("model.weights.h5", _load_keras), Format("model.npz", _load_numpy)
FORMATS = {kind: NUMPY if kind.startswith("numpy_") else KERAS for kind in NOTEBOOKS}


@dataclass(frozen=True)
class Bundle:
    """A trained captioner, ready to use."""

    folder: Path
    model: Decoder | CaptioningRNN  # anything with `averaged` and `compile_step`
    tokenizer: Tokenizer
    encoder_identity: dict
    settings: dict

    @property
    def name(self) -> str:
        """The folder's name: kind of model and encoder."""
        return self.folder.name

    @property
    def weights_file(self) -> Path:
        """The file that the model was loaded from."""
        return self.folder / FORMATS[self.settings["kind"]].weights

    @cached_property
    def _compiled(self):
        return self.model.compile_step()

    @property
    def step(self):
        """The step function for `captioning.decoding`."""
        return self._compiled[1]

    def initial_state(self, features: np.ndarray):
        """Return the state that a decoding starts from.

        Args:
            features: (batch, regions, channels), raw, as the encoder gives them.
        """
        if self.model.averaged and features.shape[1] > 1:
            features = features.mean(axis=1, dtype=np.float32, keepdims=True)
        return self._compiled[0](features)

    def decode(self, features: np.ndarray, beam_width: int = 3, **options) -> list[decoding.Caption]:
        """Caption pictures from their features.

        Args:
            features: (pictures, regions, channels), raw.
            beam_width: 1 is greedy.
            options: for `decoding.beam_search`; `max_length` is as long as the longest captions trained on, 30 words or
                more, unless it is given.

        Returns:
            One caption per picture.

        Raises:
            ValueError: `max_length` is more than the model has room for.
        """
        max_length = max(decoding.MAX_LENGTH, self.settings.get("batches", {}).get("max_words", 0))
        options = {"max_length": max_length} | options
        longest = self.settings["model"].get("longest")
        if longest is not None and options["max_length"] >= longest:
            raise ValueError(f"{self.name} has room for {longest - 1} words, not for {options['max_length']}.")
        captions: list[decoding.Caption] = []
        for start in range(0, len(features), 64):  # a beam of 64 pictures and their regions fits into memory
            state = self.initial_state(features[start : start + 64])
            captions += decoding.beam_search(self.step, state, beam_width=beam_width, **options)
        return captions

    def check_fits(self, store: FeatureStore, dataset: CaptionDataset) -> None:
        """Refuse features of another encoder, and pictures that may have been trained on under another split.

        Raises:
            BundleError: the bundle was trained with other features, captions or splits than these.
        """
        kind = self.settings["kind"]
        for field in IDENTITY:
            if store.manifest[field] != self.encoder_identity[field]:
                raise BundleError(
                    f"{self.folder} was trained with {field} {self.encoder_identity[field]!r}, {store.folder} has "
                    f"{store.manifest[field]!r}: run notebooks/{NOTEBOOKS[kind]}.ipynb again."
                )
        if self.settings["data"]["captions"] != _fingerprint_of_captions(dataset):
            raise BundleError(
                f"{self.folder} was trained on other captions or splits than notebook 01 has made since: run "
                f"notebooks/{NOTEBOOKS[kind]}.ipynb again, or move the folder away."
            )

    @cached_property
    def encoder(self) -> encoders.Encoder:
        """The frozen CNN that the features were made with.

        Raises:
            BundleError: its weights are not those that the bundle was trained with.
        """
        identity = self.encoder_identity
        source = identity["weights_folder"] if identity["weights"] == "files" else identity["weights"]
        encoder = encoders.load(identity["encoder"], source, (self.folder / identity["random_folder"]).resolve())
        for field in IDENTITY:
            if encoder.identity[field] != identity[field]:
                raise BundleError(
                    f"{self.folder} was trained with {field} {identity[field]!r}, here it is "
                    f"{encoder.identity[field]!r}: use the same encoder weights, or train the bundle again."
                )
        return encoder

    def caption(self, files: Sequence[Path | str], beam_width: int = 3) -> list[str]:
        """Caption picture files.

        Raises:
            ImageError: a file is not a readable picture.
        """
        captions = self.decode(encode_files(files, self.encoder), beam_width)
        return [self.tokenizer.decode(caption.tokens) for caption in captions]


def settings_for(
    config: DecoderConfig | CaptioningRNNConfig,
    training: TrainingConfig | NumpyTrainingConfig,
    dataset: CaptionDataset,
    tokenizer: Tokenizer,
    **more,
) -> dict:
    """Return all that decides how a model comes out, as JSON values.

    Args:
        config: of the model.
        training: of its training.
        dataset: gives name and fingerprint of the captions that are trained and validated on.
        tokenizer: its fingerprint ties the ids to the weights.
        more: further settings of a notebook, such as the longest caption.
    """
    return {
        "kind": _kind_of(config),
        "model": dataclasses.asdict(config),
        "training": dataclasses.asdict(training),
        "data": {"dataset": dataset.name, "captions": _fingerprint_of_captions(dataset)},
        "tokenizer": _fingerprint(tokenizer.vocabulary),
        "batches": more,
    }


def start(folder: Path, settings: dict, tokenizer: Tokenizer, store: FeatureStore, project: Project) -> Path:
    """Make a bundle's folder ready for training, or find it trained; says which.

    A bundle with other settings, tokenizer, encoder or data is moved to `<name>.previous`; only a finished one takes
    the place of a finished one. Edited code is not seen: delete the folder to train again with it.

    Returns:
        The folder.
    """
    encoder = {field: store.manifest[field] for field in IDENTITY}
    kept = _read_json(folder / "settings.json") if (folder / "settings.json").is_file() else None
    if kept is not None:
        difference = _difference(kept, settings) or _difference(_read_json(folder / "encoder.json"), encoder)
        if difference:
            _set_aside(folder, kept["finished"], difference)
        elif kept["finished"]:
            print(f"{folder.name}: trained with these very settings; it is loaded.")
            return folder
        else:
            print(f"{folder.name}: found unfinished; training goes on.")
            return folder
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder / "tokenizer.json")
    # Relative: the project's folder may move.
    places = {"random_folder": os.path.relpath(project.encoders, folder), "weights_folder": project.weights}
    _write_json(folder / "encoder.json", encoder | places)
    _write_json(folder / "settings.json", settings | {"finished": False})
    return folder


def finish(folder: Path) -> None:
    """Mark a bundle as trained."""
    _write_json(folder / "settings.json", _read_json(folder / "settings.json") | {"finished": True})


def load(folder: Path | str) -> Bundle:
    """Load a bundle.

    Raises:
        FileNotFoundError: the bundle or a file of it is missing.
        BundleError: settings, tokenizer and weights do not belong together.
    """
    folder = Path(folder)
    maker = NOTEBOOKS.get(folder.name.split("-")[0], "04_gru_decoder")
    settings = _read_json(require(folder / "settings.json", made_by=maker))
    tokenizer = Tokenizer.load(require(folder / "tokenizer.json", made_by=maker))
    if settings["kind"] not in FORMATS:
        raise BundleError(f"{folder} holds a {settings['kind']!r}; known: {', '.join(FORMATS)}.")
    vocabulary = settings["model"].get("vocabulary")
    if _fingerprint(tokenizer.vocabulary) != settings["tokenizer"] or len(tokenizer) != vocabulary:
        raise BundleError(
            f"{folder}/tokenizer.json ({len(tokenizer)} ids) is not the tokenizer that the weights were trained with "
            f"({vocabulary} ids): put the right one back, or delete the folder and run {maker} again."
        )
    form = FORMATS[settings["kind"]]
    weights = require(folder / form.weights, made_by=maker)
    try:
        model = form.load(settings["kind"], settings["model"], weights)
    except (ValueError, KeyError, OSError) as error:
        raise BundleError(f"{weights} does not fit {folder}/settings.json: {error}") from error
    return Bundle(folder, model, tokenizer, _read_json(folder / "encoder.json"), settings)


def find(checkpoints: Path) -> list[Path]:
    """Return the folders of all finished bundles, by name.

    Raises:
        FileNotFoundError: there is none.
    """
    folders = sorted(path.parent for path in checkpoints.glob("*/settings.json"))
    finished = [
        path for path in folders if ".previous" not in path.name and _read_json(path / "settings.json")["finished"]
    ]
    if not finished:
        raise FileNotFoundError(
            f"{checkpoints} holds no trained model. Run a model notebook first, for example "
            f"notebooks/{NOTEBOOKS['gru']}.ipynb."
        )
    return finished


def _set_aside(folder: Path, finished: bool, difference: str) -> None:
    previous = folder.with_name(folder.name + ".previous")
    if not finished and (previous / "settings.json").is_file() and _read_json(previous / "settings.json")["finished"]:
        print(f"{folder.name}: {difference}. It was unfinished and is deleted; training starts anew.")
        shutil.rmtree(folder)
        return
    replaced = ", in place of the one there" if previous.exists() else ""
    print(f"{folder.name}: {difference}. The old bundle moves to {previous.name}{replaced}; training starts anew.")
    shutil.rmtree(previous, ignore_errors=True)
    folder.rename(previous)


def _kind_of(config: DecoderConfig | CaptioningRNNConfig) -> str:
    return f"numpy_{config.cell}" if isinstance(config, CaptioningRNNConfig) else models.kind_of(config)


def _difference(kept: dict, now: dict, prefix: str = "") -> str:
    """Return the first field that differs, in words; "" where all are equal."""
    for field, value in now.items():
        if isinstance(value, dict):
            difference = _difference(kept.get(field) or {}, value, f"{prefix}{field}.")
            if difference:
                return difference
        elif kept.get(field) != value:
            return f"{prefix}{field} was {kept.get(field)!r} and is now {value!r}"
    return ""


def _fingerprint(value) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _fingerprint_of_captions(dataset: CaptionDataset) -> str:
    return _fingerprint([(r.image_id, r.split, r.captions) for r in dataset.records if r.split != "test"])


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(path: Path, content: dict) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
