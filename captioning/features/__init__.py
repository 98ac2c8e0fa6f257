"""Photos -> features: made once per picture, kept on disk, never made again."""

from captioning.features.making import encode_each, encode_files, extract
from captioning.features.shards import FeatureError
from captioning.features.store import FeatureStore, folder_of

__all__ = ["FeatureError", "FeatureStore", "encode_each", "encode_files", "extract", "folder_of"]
