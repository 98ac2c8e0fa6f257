"""Captioners of every kind over the tiny encoder, small and lively enough to be exported; and exports that are run."""

import functools
from pathlib import Path

import keras
import numpy as np

from captioning import decoding, models
from captioning.bundle import Bundle
from captioning.bundle.chosen import USUAL
from captioning.decoding import Step
from captioning.features import encode_files
from captioning.files import read_json
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.bilstm import BiLSTMConfig
from captioning.models.gru import GRUConfig
from captioning.models.merge import MergeConfig
from captioning.models.transformer import TransformerConfig
from captioning.tokenizer import Tokenizer
from tests.tiny_encoder import CHANNELS, REGIONS, SIZE, tiny_encoder

WORDS = ("a", "red", "dog", "'s", "house", "is", "n't", "green")
SIZES = {"vocabulary": len(WORDS) + 4, "channels": CHANNELS, "embedding": 5, "units": 40}


CLASSES = {model.kind: model for model in models.CLASSES.values()}
CONFIGS = {
    "transformer": TransformerConfig(SIZES["vocabulary"], REGIONS, CHANNELS, units=40, heads=2, blocks=1, longest=31),
    "gru": GRUConfig(**SIZES, regions=1),
    "bahdanau": BahdanauConfig(**SIZES, regions=REGIONS, attention=3),
    "merge": MergeConfig(**SIZES, regions=1),
    "bilstm": BiLSTMConfig(**SIZES, regions=REGIONS, attention=3),
    "numpy_rnn": CaptioningRNNConfig(**SIZES, cell="rnn"),
    "numpy_lstm": CaptioningRNNConfig(**SIZES, cell="lstm"),
}


def photos(count=8):
    """Different noise in every one: uint8 (count, size, size, 3)."""
    return np.random.default_rng(5).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@functools.cache
def model_of(kind):
    """A model whose features are scaled, and whose weights are so large, that its words depend on what it sees."""
    config, features = CONFIGS[kind], encode_files(photos(), tiny_encoder()).astype(np.float32)
    if getattr(config, "regions", 1) == 1:
        features = features.mean(axis=1, keepdims=True)
    mean, deviation = features.mean(axis=(0, 1)), features.std(axis=(0, 1))
    if isinstance(config, CaptioningRNNConfig):
        deviation[2] = 0  # as of a channel that never varied
        model = CaptioningRNN(config, mean, deviation)
        for name in ("embedding", "output_kernel"):
            model.parameters[name] *= 8
        return model
    model = models.build(CLASSES[kind], config, seed=3)
    model.scale_features(mean, deviation**2)
    large = "positions" if kind == "transformer" else "embedding"  # whose words go into the output, too
    for weights in model.trainable_weights:
        if len(weights.shape) > 1:
            weights.assign((20 if large in weights.path else 2) * weights)
    return model


@functools.cache
def captioner(kind):
    """A bundle that was never on disk; one for all tests, so that its graphs are traced once."""
    return captioner_of(kind, model_of(kind))


def captioner_of(kind, model):
    encoder = tiny_encoder()
    settings = {"kind": kind, "encoder": encoder.identity, "model": {}, "batches": {}}
    made = Bundle(Path("tiny"), model, Tokenizer(WORDS), settings)
    made.__dict__["encoder"] = encoder
    # Two words may be said twice in a caption, no others.
    made.__dict__["chosen"] = USUAL | {"may_repeat": ["a", "is"], "confidences": [-2.0, -1.0]}
    return made


def numbers(array):
    return keras.ops.convert_to_numpy(array)


class Session:
    """The three graphs around onnxruntime: `encode`, `start` and `step` as `captioning.decoding` takes them."""

    def __init__(self, folder):
        import onnxruntime

        self.description = read_json(folder / "model.json", "")
        self._graphs = {
            name: (onnxruntime.InferenceSession(folder / graph["file"], providers=["CPUExecutionProvider"]), graph)
            for name, graph in self.description["graphs"].items()
        }

    def encode(self, pixels):
        return self._run("encoder", pixels)[0]

    def start(self, features):
        return tuple(self._run("start", features))

    def step(self, tokens, state):
        logits, *rest = self._run("step", tokens, *state)
        return Step(logits, tuple(rest[: len(state)]), *rest[len(state) :])

    def _run(self, name, *inputs):
        session, graph = self._graphs[name]
        return session.run(graph["outputs"], dict(zip(graph["inputs"], inputs, strict=True)))


def differing(bundle, folder, pictures):
    """Return the pictures, uint8 (pictures, size, size, 3), whose greedy captions by the files are not Python's."""
    session, wrong = Session(folder), []
    for number, pixels in enumerate(pictures[:, None]):
        found = decoding.greedy(session.step, session.start(session.encode(pixels)), session.description["max_length"])
        expected = bundle.decode(encode_files(pixels[0], bundle.encoder), beam_width=1, length_penalty=0.0)
        wrong += [number] * (found[0].tokens != expected[0].tokens)
    return wrong
