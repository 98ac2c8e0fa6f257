"""The train pictures nearest to those that are captioned, by encoder: looked for once, kept beside the experiments."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from captioning.bundle import Neighbors
from captioning.bundle.neighbors import file_of
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.features import FeatureStore
from captioning.files import DamagedError
from captioning.provenance import difference


class NearPictures:
    """Finds them in the features of any encoder."""

    def __init__(self, checkpoints: Path, stores: Mapping[str, FeatureStore], dataset: CaptionDataset):
        """Take the folder of the experiments, the features by encoder, and the dataset."""
        self._folder, self._stores, self._dataset = checkpoints, stores, dataset
        self._neighbors: dict[str, Neighbors] = {}
        self._found: dict[tuple[str, str], np.ndarray] = {}

    def neighbors(self, encoder: str) -> Neighbors:
        """Return what is known of the train pictures; their file is made where it is missing."""
        if encoder not in self._neighbors:
            store, train = self._stores[encoder], self._dataset.split("train")
            found = self._kept(encoder, Neighbors.source_of(store, train, self._dataset))
            if found is None:
                found = Neighbors.make(store, train, self._dataset)
                found.write(file_of(self._folder, encoder, found.digest))
            self._neighbors[encoder] = found
        return self._neighbors[encoder]

    def _kept(self, encoder: str, source: dict) -> Neighbors | None:
        """Return the neighbors of a source, if there is a file of them."""
        for file in sorted(self._folder.glob(file_of(Path(), encoder, "*").name)):
            try:
                if not difference((found := Neighbors.read(file)).made_from, source):
                    return found
            except DamagedError as error:
                print(f"{error} It is made again, if it is needed.")
        return None

    def nearest(self, encoder: str, records: Sequence[Record]) -> np.ndarray:
        """Return the train pictures nearest to each picture: int (pictures, `neighbors.MOST` or fewer)."""
        store = self._stores[encoder]
        key = encoder, store.digest(records)
        if key not in self._found:
            self._found[key] = self.neighbors(encoder).nearest(store.averaged(records))
        return self._found[key]
