"""Sentences below figures and tables, computed from the numbers shown: they say what came out, whatever came out."""

from captioning.findings.captions import captions, examples, side_by_side
from captioning.findings.finding import Finding, claim
from captioning.findings.scores import comparison, decoding_name, decodings, orders, ranking, scored, truth
from captioning.findings.training import curves

__all__ = ["Finding", "captions", "claim", "comparison", "curves", "decoding_name", "decodings", "examples", "orders"]
__all__ += ["ranking", "scored", "side_by_side", "truth"]
