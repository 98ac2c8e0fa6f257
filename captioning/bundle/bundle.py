"""A trained model with its settings, its tokenizer and its encoder."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from captioning import decoding, encoders
from captioning.bundle.captioner import Captioner
from captioning.bundle.packed import ENCODER, BundleError, packed_of
from captioning.datasets.dataset import CaptionDataset
from captioning.encoders import Encoder
from captioning.features import FeatureStore
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.models.decoder import Decoder
from captioning.provenance import content_digest, difference, digest, require_same
from captioning.settings import WEIGHTS, from_environment
from captioning.tokenizer import Tokenizer

MADE_BY = {
    "gru": "04_gru_decoder",
    "bahdanau": "05_inceptionv3_bahdanau_attention",
    "merge": "06_lstm_merge",
    "bilstm": "07_bilstm_dot_attention",
    "numpy_rnn": "08_rnn_from_scratch",
    "numpy_lstm": "08_rnn_from_scratch",
    "transformer": "09_transformer",
}
SELF_CRITICAL = "10_self_critical"  # trains any of them further


def maker(settings: Mapping) -> str:
    """Return the name of the notebook that trains a model of these settings."""
    return SELF_CRITICAL if "parent" in settings else MADE_BY.get(settings["kind"], "04_gru_decoder")


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
        "features": store.digest(itertools.chain(train, val)),
    }


@dataclass(frozen=True)
class Bundle(Captioner):
    """One trained model, ready to use; the folder's name tells kind, encoder and what differs from the first such."""

    folder: Path  # or a packed model, `packed.Packed`, which is read like one
    model: Decoder | CaptioningRNN  # anything with `averaged` and `compile_step`
    tokenizer: Tokenizer
    settings: dict

    @property
    def kind(self) -> str:
        """The kind of model, such as "bahdanau"."""
        return self.settings["kind"]

    @property
    def encoder_names(self) -> tuple[str, ...]:
        return (self.settings["encoder"]["encoder"],)

    @property
    def weights_file(self) -> Path:
        """The file that the model was loaded from."""
        return self.folder / weights_file(self.kind)

    @cached_property
    def made_from(self) -> dict:
        """Digests of weights, vocabulary and code, and the usual limit of words."""
        return {
            "weights": content_digest(self.weights_file.read_bytes()),
            "tokenizer": digest(self.tokenizer.vocabulary),
            "class": self.settings["class"]["code"],
            "max_length": self.max_length,
        }

    @property
    def max_length(self) -> int:
        """Words of the longest caption that is decoded where nobody says otherwise: as long as those trained on.

        No longer ones: the captions that training cut there have no END, so that what would follow was never learned.
        """
        return self.settings["batches"].get("max_words", decoding.MAX_LENGTH)

    @property
    def longest(self) -> int | None:
        longest = self.settings["model"].get("longest")
        return None if longest is None else longest - 1

    @cached_property
    def _compiled(self) -> tuple[Callable, Callable]:
        return self.model.compile_step()

    @property
    def step(self) -> decoding.StepFunction:
        return self._compiled[1]

    def initial_state(self, features: np.ndarray) -> Any:
        """Return the state that a decoding of raw features (batch, regions, channels) starts from."""
        if self.model.averaged and features.shape[1] > 1:
            features = features.mean(axis=1, dtype=np.float32, keepdims=True)
        return self._compiled[0](features)

    def features_of(self, by_encoder: Mapping[str, np.ndarray]) -> np.ndarray:
        return by_encoder[self.encoder_names[0]]

    def check_fits(self, stores: Mapping[str, FeatureStore], dataset: CaptionDataset) -> None:
        store = stores[self.encoder_names[0]]
        kept = {name: self.settings[name] for name in ("encoder", "data")}
        now = {"encoder": store.identity, "data": data_of(dataset, store)}
        require_same(self.folder, kept, now, maker(self.settings))

    @property
    def encoders(self) -> dict[str, Encoder]:
        return {self.encoder_names[0]: self.encoder}

    @cached_property
    def encoder(self) -> Encoder:
        """The frozen CNN that the features were made with; random weights are drawn again, nothing is written.

        A BundleError where its weights are not those trained with, a SettingError where there are none.
        """
        identity = self.settings["encoder"]
        packed = packed_of(self.folder)
        if packed and (packed / ENCODER).exists():
            return packed.encoder(identity)
        weights = identity["weights"]
        now = from_environment().weights if weights != "random" else None
        named = None if now in WEIGHTS else now
        if weights == "imagenet":
            weights = named or weights  # where there is no network; the hash decides
        elif weights == "files":
            weights = named or self.settings.get("weights_folder")  # which a packed model does not name
            if not named and not (weights and (Path(weights) / encoders.spec_of(identity["encoder"]).file).is_file()):
                raise BundleError(
                    f"{self.folder} was trained with encoder weights in {weights or 'a folder'}, which are no longer "
                    "there: set CAPTIONING_WEIGHTS to the folder that holds them now."
                )
        encoder = encoders.load(identity["encoder"], weights, None, identity.get("precision", "float32"))
        if found := difference(identity, encoder.identity | {"weights": identity["weights"]}):
            raise BundleError(
                f"{self.folder} was trained with another encoder: {found}. Set CAPTIONING_WEIGHTS to the folder with "
                "the weights it was trained with, or train it again."
            )
        return encoder
