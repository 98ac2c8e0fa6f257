"""The words of a caption: one way of splitting for training and for scoring, and back to text."""

from captioning.words.ptb import SPLITTING
from captioning.words.units import tokenize
from captioning.words.writing import write

__all__ = ["SPLITTING", "tokenize", "write"]
