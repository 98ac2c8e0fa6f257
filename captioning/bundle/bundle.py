"""A trained captioner, ready to use on features and on photos."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from captioning import decoding, encoders
from captioning.bundle.answers import Answer, answer
from captioning.bundle.chosen import penalty_for, read_chosen, whole
from captioning.datasets.dataset import CaptionDataset
from captioning.features import FeatureStore, encode_each
from captioning.features.making import BATCH
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.images import ImageError, Picture, is_one
from captioning.models.decoder import Decoder
from captioning.provenance import difference, require_same
from captioning.settings import WEIGHTS, from_environment
from captioning.tokenizer import Tokenizer

TOGETHER = 64  # pictures decoded at a time
ROWS = 512  # prefixes at a time: they and the regions that each of them sees fit into memory
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

    folder: Path  # or a packed model, `packed.Packed`, which is read like one
    model: Decoder | CaptioningRNN  # anything with `averaged` and `compile_step`
    tokenizer: Tokenizer
    settings: dict
    packed_encoder: Callable[[dict], encoders.Encoder] | None = None  # gives the one that travels with a packed model

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
            One caption per picture; with `return_all` a list of captions per picture.

        Raises:
            ValueError: `max_length` is more than the model has room for.
        """
        options = {"max_length": self.max_length} | options
        longest = self.settings["model"].get("longest")
        if longest is not None and options["max_length"] >= longest:
            raise ValueError(f"{self.name} has room for {longest - 1} words, not for {options['max_length']}.")
        captions: list[decoding.Caption] = []
        count = max(1, min(TOGETHER, ROWS // beam_width))
        for start in range(0, len(features), count):
            state = self.initial_state(features[start : start + count])
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
        if self.packed_encoder:
            return self.packed_encoder(identity)
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
        encoder = encoders.load(identity["encoder"], weights, folder=None)
        if found := difference(identity, encoder.identity | {"weights": identity["weights"]}):
            raise BundleError(
                f"{self.folder} was trained with another encoder: {found}. Set CAPTIONING_WEIGHTS to the folder with "
                "the weights it was trained with, or train it again."
            )
        return encoder

    @cached_property
    def chosen(self) -> dict:
        """What the validation pictures chose, from scores.json: beam_width, length_penalty, tried, confidences.

        Without scores, the usual beam width and length penalty, and no confidences.
        """
        return read_chosen(self.folder / "scores.json", len(self.tokenizer))

    def caption(
        self, pictures: Picture | Iterable[Picture], n: int = 1, beam: int | None = None, attention: bool = False
    ) -> Answer | list[Answer]:
        """Caption pictures.

        Args:
            pictures: one or several, see `images.ACCEPTED`.
            n, beam, attention: see `captions`.

        Returns:
            An answer for one picture; a list of them for several, also for a list of one, a folder, none at all.

        Raises:
            ImageError, TypeError, ValueError: see `captions`.
        """
        answers = list(self.captions(pictures, n, beam, attention))
        return answers[0] if is_one(pictures) else answers

    def captions(
        self,
        pictures: Picture | Iterable[Picture],
        n: int = 1,
        beam: int | None = None,
        attention: bool = False,
        keep_errors: bool = False,
    ) -> Iterator[Answer | ImageError]:
        """Caption pictures one after another, of which only some are in memory: of a generator, there may be thousands.

        Args:
            pictures: one or several, see `images.ACCEPTED`.
            n: captions per picture, fewer if it finds no more. The first is the same for every `n`; where the beam is
                narrower, the others come from one of width `n`.
            beam: beam width; 1 is greedy; None: what the validation pictures chose.
            attention: whether answers hold where the model looked.
            keep_errors: yield the error of a picture that cannot be read in its place, and caption the others.

        Yields:
            An answer per picture, in their order.

        Raises:
            ImageError: a picture cannot be read, unless errors are kept.
            TypeError: they are no pictures.
            ValueError: `n` or `beam` is no whole number, or more than the words that the model knows.
        """
        words, chosen = len(self.tokenizer), self.chosen
        width = whole("beam", chosen["beam_width"] if beam is None else beam, words)
        wider = max(width, whole("n", n, words))
        batches = encode_each(pictures, self.encoder, keep_errors)
        # The first answers come soon; then decoding takes several batches together, which is faster.
        for count in itertools.chain([1], itertools.repeat(TOGETHER // BATCH)):
            parts = list(itertools.islice(batches, count))
            if not parts:
                return
            features = np.concatenate([features for _, features in parts])
            found = self.decode(features, width, length_penalty=penalty_for(chosen, width), return_all=n > 1)
            if wider > width:
                others = self.decode(features, wider, length_penalty=penalty_for(chosen, wider), return_all=True)
                found = [[best, *rest] for (best, *_), rest in zip(found, others, strict=True)]
            found = iter(found)
            for problem in itertools.chain.from_iterable(problems for problems, _ in parts):
                yield problem or answer(next(found), n, self.tokenizer, chosen["confidences"], attention)
