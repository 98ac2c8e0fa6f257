"""Sentences below figures and tables, computed from the numbers shown: they say what came out, whatever came out."""

from captioning.findings.captions import captions
from captioning.findings.data import (
    agreement,
    captions_per_picture,
    common_words,
    lengths,
    rare_words,
    splits,
    unknown_words,
)
from captioning.findings.finding import Finding, claim
from captioning.findings.pictures import contrast, neighbors, scales, similar, speed
from captioning.findings.training import curves

__all__ = [
    "Finding",
    "agreement",
    "captions",
    "captions_per_picture",
    "claim",
    "common_words",
    "contrast",
    "curves",
    "lengths",
    "neighbors",
    "rare_words",
    "scales",
    "similar",
    "speed",
    "splits",
    "unknown_words",
]
