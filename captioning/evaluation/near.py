"""The train pictures nearest to those that are captioned, by encoder: looked for once, kept beside the experiments."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from captioning.bundle import Neighbors
from captioning.datasets.dataset import CaptionDataset, Record
from captioning.features import FeatureStore
from captioning.files import DamagedError
from captioning.provenance import difference


class NearPictures:
    """Finds them in the features of any encoder."""

    def __init__(self, checkpoints: Path, stores: Mapping[str, FeatureStore], dataset: CaptionDataset):
        """Take the folder of the files `neighbors-<encoder>.npz`, the features by encoder, and the train pictures."""
        self._folder, self._stores, self._dataset = checkpoints, stores, dataset
        self._neighbors: dict[str, Neighbors] = {}
        self._found: dict[tuple[str, str], np.ndarray] = {}

    def neighbors(self, encoder: str) -> Neighbors:
        """Return what is known of the train pictures; their file is made where it is missing or out of date."""
        if encoder not in self._neighbors:
            file, store = self._folder / f"neighbors-{encoder}.npz", self._stores[encoder]
            train, found = self._dataset.split("train"), None
            try:
                found = Neighbors.read(file)
            except FileNotFoundError:
                pass
            except DamagedError as error:
                print(f"{error} It is made again.")
            if found is None or difference(found.made_from, Neighbors.source_of(store, train, self._dataset)):
                found = Neighbors.make(store, train, self._dataset)
                found.write(file)
            self._neighbors[encoder] = found
        return self._neighbors[encoder]

    def nearest(self, encoder: str, records: Sequence[Record]) -> np.ndarray:
        """Return the train pictures nearest to each picture: int (pictures, `neighbors.MOST` or fewer)."""
        store = self._stores[encoder]
        key = encoder, store.digest(records)
        if key not in self._found:
            self._found[key] = self.neighbors(encoder).nearest(store.averaged(records))
        return self._found[key]
