"""How a decoder is trained, and what suits a dataset where a notebook does not say."""

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from captioning.decoding.steps import require_whole
from captioning.environment import of_process
from captioning.files import DamagedError, read_json
from captioning.settings import Project
from captioning.words import units

in_force = functools.partial(of_process, "PRECISION")


@dataclass(frozen=True)
class TrainingConfig:
    """How a decoder is trained."""

    epochs: int = 20  # at most
    patience: int = 5  # epochs without a better one (by CIDEr) before it stops
    learning_rate: float = 2e-3  # at its highest; follows a cosine down to 0
    weight_decay: float = 0.01
    label_smoothing: float = 0.1  # share of the target spread over all words
    clip_norm: float = 5.0  # of the whole gradient
    averaging: float = 0.0  # momentum of the moving average of the weights, which is validated and kept; 0: none
    mask_padding: bool = True  # False is a mistake: padding is learned, and counted in the mean
    precision: str = field(default_factory=in_force)  # see Decoder.computing_in; CAPTIONING_PRECISION, else float32

    def __post_init__(self):
        """Refuse a run of no epochs, which would end without a model."""
        require_whole("epochs", self.epochs, 1)


@dataclass(frozen=True)
class SelfCriticalConfig:
    """How a trained decoder is trained further, by the reward of captions that it samples."""

    epochs: int = 8  # at most
    patience: int = 4  # epochs without a better one (by CIDEr) before it stops
    learning_rate: float = 5e-5  # at its highest; 1e-5 suits Transformers
    weight_decay: float = 0.0
    clip_norm: float = 1.0  # of the whole gradient
    averaging: float = 0.0  # as in TrainingConfig
    samples: int = 5  # captions of each picture; the others' mean reward is the baseline of each
    dropout: bool = False  # in the pass that learns; samples are always drawn without, as captions are
    end_in_reward: bool = True  # False is a mistake: it pays to leave the sentence unfinished
    only_words: bool = True  # False is a mistake: UNK, PAD and START, never drawn, get the probability that words lose
    precision: str = field(default_factory=in_force)  # as in TrainingConfig

    def __post_init__(self):
        """Refuse a run of no epochs."""
        require_whole("epochs", self.epochs, 1)


@dataclass(frozen=True)
class Advice:
    """What suits a dataset, where a notebook does not say."""

    dropout: float = 0.5  # photos are few and varied: without strong dropout a decoder memorizes them
    max_words: int = 20  # longer captions are cut in training
    longer: float = 1.8  # times as many epochs as scenes need, because of the dropout
    # Of the Bahdanau model, chosen on validation pictures:
    attention: int = 256  # width of the additive score
    batch: int = 16  # pictures per step
    learning_rate: float = 2e-3
    transformer_dropout: float = 0.5
    further: float = 5e-5  # learning rate of self-critical training of recurrent models; Transformers take a fifth


LONG = 50  # words of captions that are whole paragraphs, spoken; characters, where they take the place of words


def advice(project: Project, captions: Sequence[str] | None = None) -> Advice:
    """Return the advice for the active dataset.

    The captions are those of train; None: what the vocabulary of notebook 02 was fitted on.
    """
    found = {
        "scenes": Advice(  # they come from one generator
            dropout=0.15,
            longer=1.0,
            attention=128,
            batch=32,
            learning_rate=3e-3,
            transformer_dropout=0.1,
            further=2e-4,
        ),
        "open-images": Advice(max_words=LONG),
    }.get(project.dataset, Advice())
    return replace(found, max_words=LONG) if _counts_characters(project, captions) else found


def _counts_characters(project: Project, captions: Sequence[str] | None) -> bool:
    if captions is not None:
        return units.are_marked(captions)
    with contextlib.suppress(FileNotFoundError, DamagedError, AttributeError):
        return read_json(project.data / "tokenizer.json", "").get("splitting") == units.CHARACTERS
    return False  # whoever needs the vocabulary says what is wrong with it
