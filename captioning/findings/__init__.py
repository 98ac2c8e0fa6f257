"""Sentences below figures and tables, computed from the numbers shown: they say what came out, whatever came out."""

from captioning.findings.captions import captions
from captioning.findings.finding import Finding, claim
from captioning.findings.from_scratch import agreement, clipping, forgotten, memorized, of_each
from captioning.findings.training import curves

__all__ = [
    "Finding",
    "agreement",
    "captions",
    "claim",
    "clipping",
    "curves",
    "forgotten",
    "memorized",
    "of_each",
]
