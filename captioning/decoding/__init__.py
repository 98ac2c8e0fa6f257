"""From logits to captions: greedy decoding, sampling and beam search around any step function; NumPy only."""

from captioning.decoding.consensus import rerank
from captioning.decoding.ensemble import ensemble
from captioning.decoding.repeats import may_repeat, once_mask
from captioning.decoding.search import MAX_LENGTH, beam_search, greedy, sample
from captioning.decoding.steps import Caption, Step, StepFunction

__all__ = ["MAX_LENGTH", "Caption", "Step", "StepFunction", "beam_search", "ensemble", "greedy", "may_repeat"]
__all__ += ["once_mask", "rerank", "sample"]
