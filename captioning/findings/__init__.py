"""Sentences below figures and tables, computed from the numbers shown: they say what came out, whatever came out."""

from captioning.findings.captions import captions
from captioning.findings.finding import Finding, claim
from captioning.findings.looking import depends, evenness, looking, looks, right_and_wrong
from captioning.findings.training import curves

__all__ = ["Finding", "captions", "claim", "curves", "depends", "evenness", "looking", "looks", "right_and_wrong"]
