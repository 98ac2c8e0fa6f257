"""Several trained models that caption together: the mean of their probabilities decides on each word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from captioning import catalog, decoding
from captioning.bundle.bundle import Bundle
from captioning.bundle.captioner import EVALUATION, Captioner
from captioning.bundle.packed import BundleError
from captioning.datasets.dataset import CaptionDataset
from captioning.encoders import Encoder
from captioning.features import FeatureStore
from captioning.files import DamagedError, write_json
from captioning.models.compiled import CompiledStep
from captioning.models.decoder import Decoder
from captioning.models.together import Together
from captioning.provenance import StaleError, difference
from captioning.tokenizer import Tokenizer

_AGAIN = f"Run {EVALUATION} again, or delete the ensemble by its name."


@dataclass(frozen=True)
class Ensemble(Captioner):
    """Models of one vocabulary, of any kinds and encoders; what they see is a dictionary encoder -> features."""

    folder: Path
    members: tuple[Bundle, ...]

    @classmethod
    def write(cls, folder: Path, members: Sequence[Bundle]) -> Ensemble:
        """Write the folder of an ensemble, beside those of its members; scores of other members there are removed.

        A BundleError where the members cannot caption together, are packed, or are in another folder.
        """
        ensemble = cls(folder := Path(folder), _checked(members, folder))
        now, kept = {member.name: member.made_from["weights"] for member in ensemble.members}, None
        with suppress(FileNotFoundError, DamagedError):
            kept = catalog.members(folder)
        if kept != now:
            for stale in (folder / "scores.json", *folder.glob("captions*.json")):
                stale.unlink(missing_ok=True)
            write_json(folder / catalog.MEMBERS, {"format": catalog.ENSEMBLE_FORMAT, "members": now})
        return ensemble

    @classmethod
    def read(cls, folder: Path, load: Callable[[Path], Bundle]) -> Ensemble:
        """Read what `write` wrote; a BundleError where a member is missing, changed, unfinished or cannot be loaded."""
        try:
            listed = catalog.members(folder)
        except DamagedError as error:
            raise BundleError(str(error)) from error
        return cls(folder, _checked([_member(folder, load, *member) for member in listed.items()], folder))

    @property
    def tokenizer(self) -> Tokenizer:  # type: ignore[override]  # nobody sets that of a captioner
        return self.members[0].tokenizer

    @property
    def encoder_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for member in self.members for name in member.encoder_names))

    @property
    def made_from(self) -> dict:
        return {member.name: member.made_from for member in self.members}

    @property
    def max_length(self) -> int:
        return min(member.max_length for member in self.members)

    @property
    def longest(self) -> int | None:
        return min((member.longest for member in self.members if member.longest is not None), default=None)

    @cached_property
    def step(self) -> decoding.StepFunction:
        """The mean of the members' probabilities, see `decoding.ensemble`."""
        decoders = [member.model for member in self.members if isinstance(member.model, Decoder)]
        if len(decoders) == len(self.members):
            return CompiledStep(Together(decoders))
        return decoding.ensemble([member.step for member in self.members])

    def initial_state(self, features: Mapping[str, np.ndarray]) -> tuple[Any, ...]:
        return tuple(member.initial_state(member.features_of(features)) for member in self.members)

    def check_fits(self, stores: Mapping[str, FeatureStore], dataset: CaptionDataset) -> None:
        for member in self.members:
            member.check_fits(stores, dataset)

    @cached_property
    def encoders(self) -> dict[str, Encoder]:
        first = {member.encoder_names[0]: member for member in reversed(self.members)}
        return {name: first[name].encoder for name in self.encoder_names}


def _member(folder: Path, load: Callable[[Path], Bundle], name: str, weights: str) -> Bundle:
    """Return a member of an ensemble as it was when that was written."""
    if (folder.with_name(name) / catalog.MEMBERS).is_file():
        raise BundleError(f"{folder} cannot use its member {name}, which is an ensemble itself. {_AGAIN}")
    try:
        member = load(folder.with_name(name))
    except FileNotFoundError as error:
        raise BundleError(f"{folder} lacks its member {name}: {error} {_AGAIN}") from error
    except (BundleError, DamagedError, StaleError) as error:
        raise BundleError(f"{folder} cannot use its member {name}: {error}") from error
    if member.made_from["weights"] != weights:
        raise BundleError(f"{folder} was made of another {name}: its weights have changed since. {_AGAIN}")
    return member


def _checked(members: Sequence[Bundle], folder: Path) -> tuple[Bundle, ...]:
    """Return members that can caption together, in one folder beside the ensemble's."""
    if len({member.name for member in members}) != len(members) or len(members) < 2:
        raise BundleError(f"{folder}: an ensemble needs two members or more, each once.")
    first, *others = members
    for member in members:
        if not isinstance(member.folder, Path) or member.folder.absolute().parent != folder.absolute().parent:
            raise BundleError(f"{folder}: its member {member.folder} is not a folder beside it.")
        if not member.settings["finished"]:
            raise BundleError(f"{folder}: the training of its member {member.name} is unfinished.")
    for member in others:
        if member.tokenizer != first.tokenizer:
            raise BundleError(
                f"{folder}: {first.name} and {member.name} have other words (their tokenizer.json differ), so their "
                "probabilities cannot be averaged. Leave one of them out."
            )
    by_encoder: dict[str, Bundle] = {}
    for member in members:
        known = by_encoder.setdefault(member.encoder_names[0], member)
        if found := difference(known.settings["encoder"], member.settings["encoder"]):
            raise BundleError(f"{folder}: {known.name} and {member.name} see other features: {found}.")
    return tuple(members)
