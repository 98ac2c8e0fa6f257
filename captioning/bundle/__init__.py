"""A trained captioner: model, settings, tokenizer and encoder in one folder or one file, used on any photo."""

from captioning.bundle.answers import Answer, Candidate
from captioning.bundle.bundle import MADE_BY, Bundle, data_of, maker
from captioning.bundle.captioner import Captioner
from captioning.bundle.ensemble import Ensemble
from captioning.bundle.loading import FORMAT, load, load_one, read_settings
from captioning.bundle.neighbors import Neighbors
from captioning.bundle.packed import BundleError
