"""A trained captioner: model, settings, tokenizer and encoder in one folder or one file, used on any photo."""

from captioning.bundle.answers import Answer, Candidate
from captioning.bundle.bundle import MADE_BY, Bundle, BundleError, data_of, maker
from captioning.bundle.loading import FORMAT, load, read_settings

__all__ = ["FORMAT", "MADE_BY", "Answer", "Bundle", "BundleError", "Candidate"]
__all__ += ["data_of", "load", "maker", "read_settings"]
