"""Weights of ONNX graphs: stored in 16 bits, and in files that any host of static pages takes."""

from pathlib import Path
from typing import Any

import numpy as np

from captioning.files import write_atomically
from captioning.provenance import content_digest

SMALLEST = 1024  # numbers; what is smaller, such as biases and scales, stays as it is
_TOP = 2**15 - 1  # the largest whole number
LARGEST = 24_000_000  # bytes of a file; static hosts take 25 MB


def shorten(model: Any) -> None:
    """Store the weights of an ONNX model as whole numbers, in place; a runtime unfolds them once, as it loads it.

    Whole numbers of 16 bits with a scale per slice change hardly any caption, while float16, which spends five of its
    bits on the exponent, changes three in a hundred on a MobileNet.
    """
    from onnx import TensorProto, helper, numpy_helper

    unfold, weights = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST:
            weights.append(weight)
            continue
        whole, scale, converted = (f"{weight.name}/{part}" for part in ("whole", "scale", "converted"))
        for name, array in zip((whole, scale), quantize(values), strict=True):
            weights.append(numpy_helper.from_array(array, name))
        unfold.append(helper.make_node("Cast", [whole], [converted], to=TensorProto.FLOAT))
        unfold.append(helper.make_node("Mul", [converted, scale], [weight.name]))
    for field, content in ((model.graph.initializer, weights), (model.graph.node, [*unfold, *model.graph.node])):
        del field[:]
        field.extend(content)


def quantize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return int16 in the shape of the values and float32 scales (1, ..., n, ..., 1) whose product is close to them.

    Each slice along the axis that loses the least has a scale.
    """

    def along(axis: int) -> tuple[np.ndarray, np.ndarray]:
        largest = np.abs(values).max(axis=tuple({*range(values.ndim)} - {axis}), keepdims=True)
        scale = (np.where(largest > 0, largest, 1) / _TOP).astype(np.float32)
        return np.rint(values / scale).clip(-_TOP, _TOP).astype(np.int16), scale

    return min(map(along, range(values.ndim)), key=lambda pair: np.square(values - pair[0] * pair[1]).sum())


def save(model: Any, file: Path) -> list[str]:
    """Write an ONNX model, and beside it the weights of a large one; return the names of their files.

    Each of these has `LARGEST` bytes at most unless it holds one array alone.
    """
    from onnx.external_data_helper import set_external_data

    parts: list[list[Any]] = []
    names: list[str] = []
    space = 0
    if model.ByteSize() > LARGEST:
        for weight in (weight for weight in model.graph.initializer if len(weight.raw_data) >= SMALLEST):
            if len(weight.raw_data) > space:
                parts.append([])
                space = LARGEST
            parts[-1].append(weight)
            space -= len(weight.raw_data)
    for weights in parts:
        content = b"".join(weight.raw_data for weight in weights)
        # Named by its content: an older model beside it keeps its own weights until it is replaced.
        names.append(f"{file.stem}-{content_digest(content)}.data")
        with write_atomically(file.with_name(names[-1])) as draft:
            draft.write_bytes(content)
        offset = 0
        for weight in weights:
            size = len(weight.raw_data)
            set_external_data(weight, names[-1], offset, size)
            weight.ClearField("raw_data")
            offset += size
    with write_atomically(file) as draft:
        draft.write_bytes(model.SerializeToString())
    return names
