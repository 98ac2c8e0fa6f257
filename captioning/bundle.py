"""A trained captioner in one folder: model, settings, tokenizer and encoder; refuses a mismatch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from captioning import decoding, encoders, models
from captioning.datasets.dataset import CaptionDataset
from captioning.features import FeatureStore, encode
from captioning.files import DamagedError, read_json
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.images import Picture, is_one
from captioning.models.decoder import Decoder
from captioning.provenance import code_digest, difference, digest, require_same
from captioning.settings import WEIGHTS, from_environment, require
from captioning.tokenizer import Tokenizer

FORMAT = 3  # of settings.json
_FIELDS = dict.fromkeys(("class", "model", "training", "batches", "data", "encoder"), dict)
_FIELDS |= {"kind": str, "tokenizer": str, "finished": bool}
MADE_BY = {
    "gru": "04_gru_decoder",
    "bahdanau": "05_inceptionv3_bahdanau_attention",
    "merge": "06_lstm_merge",
    "bilstm": "07_bilstm_dot_attention",
    "numpy_rnn": "08_rnn_from_scratch",
    "numpy_lstm": "08_rnn_from_scratch",
}


class BundleError(ValueError):
    """The files of a bundle do not fit each other, or not what is here now; the message says what to do."""


def maker(kind: str) -> str:
    """Return the name of the notebook that trains a kind of model."""
    return MADE_BY.get(kind, "04_gru_decoder")


def weights_file(kind: str) -> str:
    """Return the name of the file that holds the weights of a kind of model."""
    return "model.npz" if kind.startswith("numpy_") else "model.weights.h5"


def data_of(dataset: CaptionDataset, store: FeatureStore) -> dict:
    """Return what a model is trained and validated on, as settings.json holds it."""
    train, val = (store.readable(dataset.split(split)) for split in ("train", "val"))
    return {
        "dataset": dataset.name,
        "pictures": len(train),
        "captions": dataset.digest("train", "val"),
        "features": store.digest([*train, *val]),
    }


@dataclass(frozen=True)
class Bundle:
    """A trained captioner, ready to use."""

    folder: Path
    model: Decoder | CaptioningRNN  # anything with `averaged` and `compile_step`
    tokenizer: Tokenizer
    settings: dict

    @property
    def name(self) -> str:
        """The folder's name: kind of model, encoder, and what differs from the first such experiment."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """The kind of model, such as "bahdanau"."""
        return self.settings["kind"]

    @property
    def weights_file(self) -> Path:
        """The file that the model was loaded from."""
        return self.folder / weights_file(self.kind)

    @property
    def max_length(self) -> int:
        """Words of the longest caption that is decoded where nobody says otherwise: as long as those trained on."""
        return max(decoding.MAX_LENGTH, self.settings["batches"].get("max_words", 0))

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
            options: for `decoding.beam_search`; `max_length` is `self.max_length` unless it is given.

        Returns:
            One caption per picture.

        Raises:
            ValueError: `max_length` is more than the model has room for.
        """
        options = {"max_length": self.max_length} | options
        longest = self.settings["model"].get("longest")
        if longest is not None and options["max_length"] >= longest:
            raise ValueError(f"{self.name} has room for {longest - 1} words, not for {options['max_length']}.")
        captions: list[decoding.Caption] = []
        for start in range(0, len(features), 64):  # a beam of 64 pictures and their regions fits into memory
            state = self.initial_state(features[start : start + 64])
            captions += decoding.beam_search(self.step, state, beam_width=beam_width, **options)
        return captions

    def check_fits(self, store: FeatureStore, dataset: CaptionDataset) -> None:
        """Refuse features of another encoder or of other photos, and splits under which test photos were trained on.

        Raises:
            StaleError: the bundle was trained with other features, captions or splits than these.
        """
        kept = {name: self.settings[name] for name in ("encoder", "data")}
        require_same(self.folder, kept, {"encoder": store.identity, "data": data_of(dataset, store)}, maker(self.kind))

    @cached_property
    def encoder(self) -> encoders.Encoder:
        """The frozen CNN that the features were made with; random weights are drawn again, nothing is written.

        Raises:
            BundleError: its weights are not those that the bundle was trained with.
            SettingError: there are none.
        """
        identity = self.settings["encoder"]
        weights = identity["weights"]
        now = from_environment().weights if weights != "random" else None
        named = None if now in WEIGHTS else now
        if weights == "imagenet":
            weights = named or weights  # where there is no network; the hash decides
        elif weights == "files":
            weights = named or self.settings["weights_folder"]
            if not named and not (Path(weights) / encoders.spec_of(identity["encoder"]).file).is_file():
                raise BundleError(
                    f"{self.folder} was trained with encoder weights in {weights}, which are no longer there: set "
                    "CAPTIONING_WEIGHTS to the folder that holds them now."
                )
        encoder = encoders.load(identity["encoder"], weights, folder=None)
        if found := difference(identity, encoder.identity | {"weights": identity["weights"]}):
            raise BundleError(
                f"{self.folder} was trained with another encoder: {found}. Set CAPTIONING_WEIGHTS to the folder with "
                "the weights it was trained with, or train it again."
            )
        return encoder

    def caption(self, pictures: Picture | Iterable[Picture], beam_width: int = 3) -> str | list[str]:
        """Caption pictures.

        Args:
            pictures: one or several, see `images.ACCEPTED`; of a generator, only some are in memory at a time.
            beam_width: 1 is greedy.

        Returns:
            A caption for one picture; a list of them for several, also for a list of one, a folder, none at all.

        Raises:
            ImageError: one cannot be read as a picture.
            TypeError: they are no pictures.
        """
        captions: list[str] = []
        for features in encode(pictures, self.encoder):
            captions += [self.tokenizer.decode(caption.tokens) for caption in self.decode(features, beam_width)]
        return captions[0] if is_one(pictures) else captions


def load(folder: Path | str, other_code: bool = False) -> Bundle:
    """Load a bundle; nothing is written, and no random state is touched.

    Args:
        folder: as an experiment left it; a line tells where its training is unfinished.
        other_code: load it also where the code of its model has changed since; its captions may be others then.

    Raises:
        FileNotFoundError: the bundle or a file of it is missing.
        BundleError: settings, tokenizer, weights and the model's code do not belong together.
        DamagedError, StaleError: the tokenizer cannot be used.
    """
    folder = Path(folder)
    settings = read_settings(folder)
    kind, made_by = settings["kind"], maker(settings["kind"])
    way_out = f"Put the right one back, or delete {folder} and run notebooks/{made_by}.ipynb again."
    tokenizer = Tokenizer.load(require(folder / "tokenizer.json", made_by), way_out=way_out)
    vocabulary = settings["model"].get("vocabulary")
    if digest(tokenizer.vocabulary) != settings["tokenizer"] or len(tokenizer) != vocabulary:
        raise BundleError(
            f"{folder}/tokenizer.json ({len(tokenizer)} ids) is not the tokenizer that the weights were trained with "
            f"({vocabulary} ids). {way_out}"
        )
    weights = require(folder / weights_file(kind), made_by)
    try:
        model_class = CaptioningRNN if kind.startswith("numpy_") else models.find_class(**_name_of_class(settings))
        if not other_code and code_digest(model_class) != settings["class"]["code"]:
            raise BundleError(
                f"{folder} was trained with other code of {model_class.__name__} than there is now. Run "
                f"notebooks/{made_by}.ipynb to train the new code beside it, or load it with other_code=True."
            )
        model = _load_model(model_class, settings["model"], weights)
    except BundleError:
        raise
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        raise BundleError(f"{weights} does not fit {folder}/settings.json: {error}") from error
    if not settings["finished"]:
        print(f"{folder.name}: its training is unfinished; these are the best weights so far.")
    return Bundle(folder, model, tokenizer, settings)


def read_settings(folder: Path) -> dict:
    """Return a bundle's settings.

    Raises:
        FileNotFoundError: the folder is no bundle.
        BundleError: they are damaged, or of another version of this package.
    """
    file = folder / "settings.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: {folder} is no trained bundle. A model notebook, 04 to 08, makes one."
        )
    try:
        settings = read_json(file, "Delete the folder and train it again.")
    except DamagedError as error:
        raise BundleError(str(error)) from error
    whole = isinstance(settings, dict) and all(isinstance(settings.get(name), type_) for name, type_ in _FIELDS.items())
    if not whole or settings.get("format") != FORMAT:
        raise BundleError(f"{file} was written by another version of this package, or edited. Train it again.")
    return settings


def _name_of_class(settings: dict) -> dict[str, str]:
    return {field: settings["class"][field] for field in ("name", "module")}


def _load_model(model_class: type, fields: dict, weights: Path) -> Any:
    """Return the model with its weights; both must be exactly those of the file."""
    if model_class is CaptioningRNN:
        model = CaptioningRNN.load(weights)  # the file holds its own settings, too
        if found := difference(fields, dataclasses.asdict(model.config)):
            raise ValueError(found)
        return model
    model = models.build(model_class, models.config_from(model_class, fields))
    models.load_weights(model, weights)
    return model
