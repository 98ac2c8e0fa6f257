"""The train pictures with similar features and what people wrote of them: what captions are reranked by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from captioning import metrics
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.decoding import Caption
from captioning.features import FeatureStore
from captioning.files import DamagedError
from captioning.provenance import content_digest, digest
from captioning.tokenizer import Tokenizer
from captioning.training.archive import read_arrays, write_arrays

FORMAT = 1
MOST = 60  # neighbors that a consensus is sought among, where nobody says otherwise
PIECE = 4096  # train pictures compared at a time, in float32


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Train pictures: one direction in feature space each, and their captions."""

    vectors: np.ndarray  # float16 (train pictures, channels) of length 1: regions averaged, channels standardized
    scale: np.ndarray  # float32 (2, channels): mean and deviation over train
    captions: tuple[tuple[str, ...], ...]  # of each train picture
    made_from: dict

    @classmethod
    def make(cls, store: FeatureStore, records: Sequence[Record], dataset: CaptionDataset) -> Neighbors:
        """Look at the features of train pictures, some at a time; those whose photo has none are left out."""
        records = store.readable(records)
        mean, variance = store.statistics(records, averaged=True)
        scale = np.stack([mean, np.sqrt(variance)])
        vectors = np.empty((len(records), store.channels), np.float16)
        for start in range(0, len(records), PIECE):
            part = slice(start, start + PIECE)
            vectors[part] = _directions(store.averaged(records[part])[:, 0], scale)
        captions = tuple(record.captions for record in records)
        return cls(vectors, scale, captions, cls.source_of(store, records, dataset))

    @staticmethod
    def source_of(store: FeatureStore, records: Sequence[Record], dataset: CaptionDataset) -> dict:
        """Return what `make` makes its result from, as `made_from` holds it."""
        records = store.readable(records)
        captions = digest([(record.image_id, record.captions) for record in records])
        return {
            "dataset": dataset.name, "encoder": store.identity, "features": store.digest(records), "captions": captions,
        }  # fmt: skip

    def write(self, path: Path) -> None:
        """Write them as one .npz without pickle, whole or not at all."""
        write_arrays(path, self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that is written, by name; captions and source are JSON in UTF-8."""
        text = {"format": FORMAT, "made_from": self.made_from, "captions": self.captions}
        content = json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return {"vectors": self.vectors, "scale": self.scale, "text": np.frombuffer(content, np.uint8)}

    @classmethod
    def read(cls, path: Path) -> Neighbors:
        """Read a file that `write` wrote.

        Raises:
            FileNotFoundError: it is not there.
            DamagedError: it is damaged, or something else.
        """
        try:
            arrays = read_arrays(path)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise DamagedError(f"{path} is damaged ({error.__cause__ or error}).") from error
        return cls.from_arrays(arrays, path)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: Path | str) -> Neighbors:
        """Return what `arrays` was called on, checked: a packed model comes from anywhere.

        Raises:
            DamagedError: it is something else; the message names the source.
        """
        try:
            vectors, scale = arrays["vectors"], arrays["scale"]
            text = json.loads(arrays["text"].astype(np.uint8, casting="equiv").tobytes())
            captions = tuple(map(tuple, text["captions"]))
            if text["format"] != FORMAT:
                raise ValueError(f"it is of format {text['format']!r}, this version reads {FORMAT}")
            if not all(each and all(isinstance(caption, str) for caption in each) for each in captions):
                raise ValueError("a picture has no captions")
            if vectors.dtype != np.float16 or scale.dtype != np.float32 or not isinstance(text["made_from"], dict):
                raise ValueError("it holds other kinds of numbers")
            if not captions or vectors.shape != (len(captions), scale.shape[1]) or len(scale) != 2:
                raise ValueError(f"vectors {vectors.shape}, scale {scale.shape} and {len(captions)} pictures")
            if not (np.isfinite(vectors).all() and np.isfinite(scale).all() and (scale[1] > 0).all()):
                raise ValueError("a number is not finite")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
            raise DamagedError(f"{source} is damaged or holds no neighbors ({error!r}).") from error
        return cls(vectors, scale, captions, text["made_from"])

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for all that is written."""
        return digest([content_digest(np.ascontiguousarray(array).data) for array in self.arrays().values()])

    def nearest(self, features: np.ndarray, most: int = MOST) -> np.ndarray:
        """Return the train pictures with the most similar features, by cosine: int (pictures, most), nearest first.

        Args:
            features: (pictures, regions, channels), raw, of the same encoder; a ValueError for other channels.
            most: how many; all train pictures where there are fewer.
        """
        if features.shape[2] != self.vectors.shape[1]:
            raise ValueError(f"Features have {features.shape[2]} channels, the neighbors {self.vectors.shape[1]}.")
        asked = _directions(features.mean(axis=1, dtype=np.float32), self.scale)
        found = np.empty((len(asked), 0), np.int64)
        similar = np.empty((len(asked), 0), np.float32)
        for start in range(0, len(self.vectors), PIECE):
            piece = self.vectors[start : start + PIECE].astype(np.float32)
            # Rounded: what differs in the last digits only, as the same photo twice, is in the order of train, however
            # many pictures are compared at a time.
            similar = np.concatenate([similar, np.round(asked @ piece.T, 5)], axis=1)
            numbers = np.broadcast_to(np.arange(start, start + len(piece)), (len(asked), len(piece)))
            found = np.concatenate([found, numbers], axis=1)
            order = np.argsort(-similar, axis=1, kind="stable")[:, :most]
            found, similar = np.take_along_axis(found, order, 1), np.take_along_axis(similar, order, 1)
        return found

    def similarity(
        self, captions: Sequence[Sequence[Caption]], tokenizer: Tokenizer, nearest: np.ndarray
    ) -> list[np.ndarray]:
        """Return how much each candidate caption is like what people wrote of each neighbor: CIDEr-D against them.

        `nearest` is (pictures, most). Returned is (candidates, most) for each picture, with the document frequencies of
        all train captions; 10 is a match.
        """
        words = [[tokenizer.word(token) for token in caption.tokens] for each in captions for caption in each]
        pictures = np.repeat(nearest, [len(each) for each in captions], axis=0)  # (all candidates, most)
        candidates = np.broadcast_to(np.arange(len(words))[:, None], pictures.shape)
        scores = self._cider.score_pairs(words, candidates.ravel(), pictures.ravel()).reshape(pictures.shape)
        ends = np.cumsum([len(each) for each in captions])
        return [scores[end - len(each) : end] for each, end in zip(captions, ends, strict=True)]

    @cached_property
    def _cider(self) -> metrics.CiderD:
        return metrics.CiderD(dict(enumerate(self.captions)))


def file_of(checkpoints: Path, encoder: str, digest: str) -> Path:
    """Return the file of neighbors beside the experiments; those of other photos or captions have one of their own."""
    return checkpoints / f"neighbors-{encoder}-{digest[:8]}.npz"


def _directions(vectors: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return vectors (pictures, channels) standardized per channel, of length 1."""
    vectors = (vectors - scale[0]) / scale[1]
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
