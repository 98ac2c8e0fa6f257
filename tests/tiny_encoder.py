"""A frozen CNN of two layers at 32 x 32 pixels: what the feature tests need, in milliseconds."""

import keras
import numpy as np

from captioning.encoders import Encoder, EncoderSpec

SIZE, REGIONS, CHANNELS = 32, 16, 6
NO_NETWORK = (
    "URL fetch failure on https://storage.googleapis.com/tensorflow/tiny.h5: None -- "
    "[Errno -3] Temporary failure in name resolution"
)


def build(weights=None, input_shape=None, include_top=True):
    """Do as the builders of keras.applications do; there is no network for the ImageNet weights."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(4, 3, strides=4, padding="same", activation="tanh"),
            layers.Conv2D(CHANNELS, 3, strides=2, padding="same", activation="relu", name="last"),
            *([layers.Flatten(), layers.Dense(3)] if include_top else []),
        ]
    )
    if weights == "imagenet":
        raise Exception(NO_NETWORK)  # Keras raises nothing more precise
    if weights is not None:
        model.load_weights(weights)
    return model


def preprocess(pixels):
    """Bring pixels into [-1, 1]."""
    return pixels / 127.5 - 1


SPEC = EncoderSpec(
    "tiny", build, {"include_top": False}, preprocess, "RGB in [-1, 1]", "last", SIZE, REGIONS, CHANNELS,
    "tiny_notop.weights.h5",
)  # fmt: skip


def tiny_encoder(seed=0, spec=SPEC, scale=1.0, bias=0.0):
    """Return an encoder whose weights depend on the seed alone; the last layer's are scaled and shifted."""
    model = build(None, (spec.size, spec.size, 3), include_top=False)
    random = np.random.default_rng(seed)
    weights = [random.normal(0, 0.3, value.shape).astype(np.float32) for value in model.get_weights()]
    model.set_weights([*weights[:2], weights[2] * scale, weights[3] * scale + np.float32(bias)])
    return Encoder(spec, model, "random")
