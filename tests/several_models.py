"""Models of several kinds over two small encoders, with real photos and their features, side by side in a folder."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

from captioning.datasets.dataset import CaptionDataset
from captioning.features import FeatureStore, extract
from captioning.tokenizer import Tokenizer
from tests.bundles import finished, made_in, talkative
from tests.tiny_encoder import SPEC, Counting, counting, tiny_encoder

LARGER = dataclasses.replace(SPEC, name="larger", size=48, regions=36)  # input and output of another size
NAMES = ("numpy_lstm-tiny", "bahdanau-tiny", "gru-larger")


@dataclass(frozen=True)
class Several:
    """What `make_several` has made."""

    dataset: CaptionDataset
    stores: dict[str, FeatureStore]
    encoders: dict[str, Counting]
    tokenizer: Tokenizer
    checkpoints: Path

    def copied(self, folder):
        """Return the same with a copy of the models."""
        return dataclasses.replace(self, checkpoints=shutil.copytree(self.checkpoints, folder / "checkpoints" / "tiny"))

    def load(self, name, weights, folder, precision="float32"):
        """Stand in for `encoders.load`."""
        return self.encoders[name]


def make_several(folder):
    """Train nothing, but give the models weights under which pictures have different captions."""
    made = made_in(folder)
    both = {"tiny": counting(tiny_encoder()), "larger": counting(tiny_encoder(seed=3, spec=LARGER))}
    stores = {name: extract(made.dataset.records, one, folder / name) for name, one in both.items()}
    for name in NAMES:
        kind, encoder = name.rsplit("-", 1)
        sizes = {"regions": stores[encoder].regions} if kind == "bahdanau" else {}
        bundle, model = finished(dataclasses.replace(made, store=stores[encoder]), kind, **sizes)
        if kind.startswith("numpy"):
            talkative(model.parameters.values(), model.parameters["output_bias"])
            model.save(bundle / "model.npz")
        else:
            talkative(model.trainable_variables, model.logits.bias)
            model.save_weights(bundle / "model.weights.h5")
    return Several(made.dataset, stores, both, made.tokenizer, made.project.checkpoints)
