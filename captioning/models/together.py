"""Several decoders as one for decoding: equal to `decoding.ensemble` of their steps, but compiled as one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from captioning.decoding import Step
from captioning.models.compiled import of_picture
from captioning.models.decoder import Decoder


class Together:
    """What `CompiledStep` needs of a model; the state is a tuple of the decoders' states, in their order."""

    def __init__(self, decoders: Sequence[Decoder]):
        """Take decoders of one vocabulary."""
        self._decoders = tuple(decoders)
        self.config = self._decoders[0].config

    def of_picture(self, states: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what belongs to the picture in the state of each."""
        return tuple(of_picture(decoder, state) for decoder, state in zip(self._decoders, states, strict=True))

    def step(self, tokens: Any, states: tuple[Any, ...]) -> Step:
        """Predict the word after `tokens` (rows,) with the mean of the probabilities, whose sum serves as well."""
        steps = [decoder.step(tokens, state) for decoder, state in zip(self._decoders, states, strict=True)]
        scores = [ops.log_softmax(ops.cast(step.logits, "float32")) for step in steps]
        maps = [ops.cast(step.attention, "float32") for step in steps if step.attention is not None]
        one_size = len({weights.shape[-1] for weights in maps}) == 1
        attention = ops.mean(ops.stack(maps), axis=0) if one_size else None
        return Step(ops.logsumexp(ops.stack(scores), axis=0), tuple(step.state for step in steps), attention)
