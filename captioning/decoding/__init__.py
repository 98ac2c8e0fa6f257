"""From logits to captions: greedy decoding, sampling and beam search around any step function; NumPy only."""

from captioning.decoding.ensemble import ensemble
from captioning.decoding.search import MAX_LENGTH, Caption, beam_search, greedy, sample
from captioning.decoding.steps import Step, StepFunction

__all__ = ["MAX_LENGTH", "Caption", "Step", "StepFunction", "beam_search", "ensemble", "greedy", "sample"]
