"""The frozen CNNs: which layer, which input, which weights."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from captioning.environment import PRECISIONS, of_process
from captioning.files import write_atomically
from captioning.images import RESIZE
from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.settings import ENCODERS, SettingError

SEED = 2014  # of the random encoder weights
DRAW = 2  # number of the way in which depthwise kernels are drawn; part of the file's name, as drawn weights are kept


@dataclass(frozen=True)
class EncoderSpec:
    """What defines the features of a CNN, apart from its weights."""

    name: str
    builder: Callable[..., keras.Model]  # from keras.applications
    options: dict  # for the builder
    preprocess: Callable  # float pixels in [0, 255] -> what this CNN was trained on
    preprocessing: str  # the name of that convention, for the manifest
    layer: str  # the last one where there is no top; Keras gives MobileNetV3's another number each time
    size: int  # side of the square input, pixels
    regions: int
    channels: int
    file: str  # the weights file under Keras's own name
    gain: float = 1.0  # of random kernels: swish and gates halve a signal, and float16 would not hold what is left


_APPS = keras.applications
_REGIONS = {"include_top": False}
_BARE = _REGIONS | {"include_preprocessing": False}  # it is done outside of the CNN, as for all others
_BGR, _RGB, _UNIT = "BGR, mean colour subtracted", "RGB in [-1, 1]", "RGB, mean subtracted, divided by the deviation"
_unit = partial(_APPS.imagenet_utils.preprocess_input, mode="torch")
_TF_WEIGHTS = "weights_tf_dim_ordering_tf_kernels"
SPECS = {
    spec.name: spec
    for spec in (
        EncoderSpec("vgg16", _APPS.VGG16, {"include_top": True}, _APPS.vgg16.preprocess_input, _BGR, "fc2",
                    224, *ENCODERS["vgg16"], file=f"vgg16_{_TF_WEIGHTS}.h5"),
        EncoderSpec("inception_v3", _APPS.InceptionV3, _REGIONS, _APPS.inception_v3.preprocess_input, _RGB, "mixed10",
                    299, *ENCODERS["inception_v3"], file=f"inception_v3_{_TF_WEIGHTS}_notop.h5"),
        EncoderSpec("resnet50", _APPS.ResNet50, _REGIONS, _APPS.resnet50.preprocess_input, _BGR, "conv5_block3_out",
                    224, *ENCODERS["resnet50"], file=f"resnet50_{_TF_WEIGHTS}_notop.h5"),
        EncoderSpec("mobilenet", _APPS.MobileNet, _REGIONS | {"alpha": 0.75}, _APPS.mobilenet.preprocess_input, _RGB,
                    "conv_pw_13_relu", 224, *ENCODERS["mobilenet"], file="mobilenet_7_5_224_tf_no_top.h5"),
        EncoderSpec("mobilenet_v3", _APPS.MobileNetV3Large, _BARE, _APPS.mobilenet.preprocess_input, _RGB,
                    "conv_1_hard_silu", 224, *ENCODERS["mobilenet_v3"],
                    file="weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5", gain=1.25),
        EncoderSpec("efficientnet_v2", _APPS.EfficientNetV2B0, _BARE, _unit, _UNIT, "top_activation",
                    224, *ENCODERS["efficientnet_v2"], file="efficientnetv2-b0_notop.h5", gain=1.5),
    )
}  # fmt: skip


class Encoder:
    """A frozen CNN up to one layer."""

    def __init__(self, spec: EncoderSpec, model: keras.Model, weights: str, precision: str = "float32"):
        self.spec = spec
        self.weights = weights  # imagenet, random or files
        self.weights_hash = _hash(model)
        self.precision = precision  # one of `environment.PRECISIONS`; weights are float32 in all of them
        self._model = _computing_in(model, precision)
        self._compiled: tuple[EncoderSpec, Callable] | None = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_model": self.arrays(), "_compiled": None}

    def __setstate__(self, state: dict) -> None:
        """Build the CNN again where this one was sent to."""
        self.__dict__ |= state
        self._model = _computing_in(_build(self.spec, None), self.precision)
        self._model.set_weights(state["_model"])

    def in_float32(self) -> "Encoder":
        """Return the same CNN computing in float32, as programs elsewhere run it."""
        if self.precision == "float32":
            return self
        return from_arrays(self.spec.name, self.arrays(), self.weights)

    @property
    def identity(self) -> dict:
        """Everything that decides the features, as it is in manifests and bundles."""
        spec = self.spec
        return {
            "encoder": spec.name,
            "layer": spec.layer,
            "weights": self.weights,
            "weights_hash": self.weights_hash,
            "image_size": spec.size,
            "resize": RESIZE,
            "preprocessing": spec.preprocessing,
            "regions": spec.regions,
            "channels": spec.channels,
        } | ({} if self.precision == "float32" else {"precision": self.precision})

    def arrays(self) -> list[np.ndarray]:
        """Return its weights up to the layer, in the order in which it is built."""
        return self._model.get_weights()

    def __call__(self, pixels: Any) -> Any:
        """Encode pixels (batch, size, size, 3), RGB in [0, 255]: a float32 tensor (batch, regions, channels), raw."""
        features = self._model(self.spec.preprocess(keras.ops.cast(pixels, "float32")), training=False)
        return keras.ops.cast(keras.ops.reshape(features, (-1, self.spec.regions, self.spec.channels)), "float32")

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Encode a batch of any length with a graph that is traced once: uint8 (batch, size, size, 3) -> as a call."""
        if self._compiled is None or self._compiled[0] != self.spec:
            shape = (None, self.spec.size, self.spec.size, 3)
            self._compiled = self.spec, tf.function(self, input_signature=[tf.TensorSpec(shape, tf.uint8)])
        return self._compiled[1](pixels).numpy()


def load(name: str, weights: str, folder: Path | None, precision: str | None = None) -> Encoder:
    """Build a frozen CNN.

    Args:
        name: one of `settings.ENCODERS`.
        weights: imagenet (fetched by Keras, kept in KERAS_HOME), random, or a folder of files under Keras's names.
        folder: where random weights are kept once drawn, so that they stay the same for ever; None writes nothing.
        precision: of what it computes, one of `environment.PRECISIONS`; None: CAPTIONING_PRECISION.

    Raises:
        SettingError: unknown name, or weights that are missing, damaged or do not fit.
    """
    spec, precision = spec_of(name), precision or of_process("PRECISION")
    if weights == "random":
        return Encoder(spec, _random(spec, folder), weights, precision)
    if weights == "imagenet":
        return Encoder(spec, _imagenet(spec), weights, precision)
    file = Path(weights) / spec.file
    if not file.is_file():
        raise SettingError(f"{file} is missing: CAPTIONING_WEIGHTS names a folder that must hold it for {name}.")
    with _named(file, f"Put the weights of {name} there, under Keras's name."):
        return Encoder(spec, _build(spec, str(file)), "files", precision)


def from_arrays(name: str, arrays: Sequence[np.ndarray], weights: str, precision: str = "float32") -> Encoder:
    """Build a frozen CNN from the arrays that `Encoder.arrays` gave, in float16 or float32.

    `weights` says what they are: imagenet, random or files. A ValueError where they are not those of this CNN.
    """
    spec = spec_of(name)
    model = _build(spec, None)
    model.set_weights(arrays)
    return Encoder(spec, model, weights, precision)


def spec_of(name: str) -> EncoderSpec:
    """Return the specification of an encoder; an unknown name is a SettingError."""
    if name not in SPECS:
        raise SettingError(f"Unknown encoder {name!r}; known: {', '.join(ENCODERS)}.")
    return SPECS[name]


def _build(spec: EncoderSpec, weights: str | None) -> keras.Model:
    """Build the CNN up to the layer; Python's random state, from which Keras draws seeds, is left as it was."""
    kept = random.getstate()
    try:
        model = spec.builder(weights=weights, input_shape=(spec.size, spec.size, 3), **spec.options)
    finally:
        random.setstate(kept)
    output = model.get_layer(spec.layer).output if spec.options["include_top"] else model.output
    return keras.Model(model.input, output, name=spec.name)


def _computing_in(model: keras.Model, precision: str) -> keras.Model:
    """Return the CNN after its layers were told what to compute in."""
    if precision != "float32":
        for layer in model._flatten_layers():
            layer.dtype_policy = PRECISIONS[precision]
    return model


def _imagenet(spec: EncoderSpec) -> keras.Model:
    cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models")  # Keras 3 has no public name for it
    try:
        return _build(spec, "imagenet")
    except Exception as error:  # Keras raises a bare Exception when its download fails
        raise SettingError(
            f"The ImageNet weights of {spec.name} are not cached and could not be fetched ({error}). Ways out: connect "
            f"once to the network; copy {spec.file} into {cache} or into a folder named by "
            "CAPTIONING_WEIGHTS; choose CAPTIONING_ENCODER=mobilenet, the smallest download; or set "
            "CAPTIONING_WEIGHTS=random, which is enough for drawn scenes but not for photos."
        ) from error


@contextmanager
def _named(file: Path, way_out: str) -> Iterator[None]:
    """Turn what Keras raises for a file of weights into an error that names it."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(f"{file} cannot be read as weights ({error}). {way_out}") from error


def _random(spec: EncoderSpec, folder: Path | None) -> keras.Model:
    model = _build(spec, None)
    depthwise = {layer.kernel.path for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)}
    file = None if folder is None else folder / f"{spec.name}-random{f'-{DRAW}' if depthwise else ''}.weights.h5"
    if file is not None and file.is_file():
        with _named(file, "Delete it: it is drawn again."):
            model.load_weights(file)
        return model
    # Drawn here, not by the builder: the caller's random state must not decide what an encoder sees.
    for number, variable in enumerate(model.trainable_variables):
        if variable.path in depthwise:
            variable.assign(_depthwise(variable.shape, SEED + number))
        elif len(variable.shape) > 1:
            variable.assign(spec.gain * keras.initializers.GlorotUniform(seed=SEED + number)(variable.shape))
    if file is not None:
        with write_atomically(file) as draft:
            model.save_weights(draft)
    return model


def _depthwise(shape: tuple[int, ...], seed: int) -> tf.Tensor:
    """Draw a kernel (height, width, channels, 1) of which each channel sees height * width numbers, and no other.

    Keras counts all channels as its input: the signal would shrink a hundredfold in every layer. The variance is twice
    He's, which makes up for the Glorot kernels that follow: these halve it, as they count their outputs, too.
    """
    height, width, channels, _ = shape
    draw = keras.initializers.VarianceScaling(4.0, "fan_in", "uniform", seed=seed)
    return keras.ops.reshape(draw((height, width, 1, channels)), shape)


def _hash(model: keras.Model) -> str:
    """Return 16 hexadecimal digits that stand for the weights' shapes and values."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(f"{value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()[:16]
