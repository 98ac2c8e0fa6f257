"""The words of a caption: one way of splitting for training and for scoring."""

from captioning.words.ptb import tokenize

__all__ = ["tokenize"]
