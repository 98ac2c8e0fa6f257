"""Sentences below figures and tables, computed from the numbers shown: they say what came out, whatever came out."""

from captioning.findings.captions import captions
from captioning.findings.finding import Finding, claim
from captioning.findings.training import curves, padding_in_one_loss, padding_in_training, split_by_caption

__all__ = ["Finding", "captions", "claim", "curves", "padding_in_one_loss", "padding_in_training", "split_by_caption"]
