"""Weights of ONNX graphs: stored in fewer bits, and in files that any host of static pages takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from captioning.files import write_atomically
from captioning.provenance import content_digest

SMALLEST = 1024  # numbers; what is smaller, such as biases and scales, stays as it is
LARGEST = 24_000_000  # bytes of a file; static hosts take 25 MB


def shorten(model: Any, bits: int) -> None:
    """Store the weights of an ONNX model as whole numbers, in place; a runtime unfolds them once, as it loads it.

    Whole numbers with a scale per slice: 16 bits of them change hardly any caption, while float16, which spends five of
    its bits on the exponent, changes three in a hundred on a MobileNet.

    Args:
        model: an `onnx.ModelProto` with weights in float32.
        bits: 16 or 8.
    """
    from onnx import TensorProto, helper, numpy_helper

    unfold, weights = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST:
            weights.append(weight)
            continue
        whole, scale, converted = (f"{weight.name}/{part}" for part in ("whole", "scale", "converted"))
        for name, array in zip((whole, scale), quantize(values, bits), strict=True):
            weights.append(numpy_helper.from_array(array, name))
        unfold.append(helper.make_node("Cast", [whole], [converted], to=TensorProto.FLOAT))
        unfold.append(helper.make_node("Mul", [converted, scale], [weight.name]))
    _replace(model.graph.initializer, weights)
    _replace(model.graph.node, [*unfold, *model.graph.node])


def quantize(values: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whole numbers and float32 scales whose product is close to the values, a scale per slice.

    Of all axes, the one is sliced along that loses the least.

    Returns:
        (the shape of the values), and (1, ..., length of that axis, ..., 1).
    """
    top = 2 ** (bits - 1) - 1

    def along(axis: int) -> tuple[np.ndarray, np.ndarray]:
        largest = np.abs(values).max(axis=tuple({*range(values.ndim)} - {axis}), keepdims=True)
        scale = (np.where(largest > 0, largest, 1) / top).astype(np.float32)
        return np.rint(values / scale).clip(-top, top).astype(f"int{bits}"), scale

    return min(map(along, range(values.ndim)), key=lambda pair: np.square(values - pair[0] * pair[1]).sum())


def save(model: Any, file: Path) -> list[str]:
    """Write an ONNX model, its weights beside it where it would be too large for one file.

    Returns:
        The names of the files of weights; each is of `LARGEST` bytes at most unless it holds one array alone.
    """
    parts = []
    if model.ByteSize() > LARGEST:
        for weights in _parts(model.graph.initializer):
            content = b"".join(weight.raw_data for weight in weights)
            # Named by its content: an older model beside it keeps its own weights until it is replaced.
            parts.append(f"{file.stem}-{content_digest(content)}.data")
            with write_atomically(file.with_name(parts[-1])) as draft:
                draft.write_bytes(content)
            _refer(weights, parts[-1])
    with write_atomically(file) as draft:
        draft.write_bytes(model.SerializeToString())
    return parts


def _parts(weights) -> list[list]:
    """Divide the larger weights, in their order, into parts of at most `LARGEST` bytes."""
    parts, space = [], 0
    for weight in weights:
        size = len(weight.raw_data)
        if size < SMALLEST:
            continue
        if size > space:
            parts.append([])
            space = LARGEST
        parts[-1].append(weight)
        space -= size
    return parts


def _refer(weights, name: str) -> None:
    """Let weights lie one after another in another file."""
    from onnx import external_data_helper

    offset = 0
    for weight in weights:
        size = len(weight.raw_data)
        external_data_helper.set_external_data(weight, name, offset, size)
        weight.ClearField("raw_data")
        offset += size


def _replace(field, values: list) -> None:
    """Replace the content of a repeated field."""
    values = list(values)
    del field[:]
    field.extend(values)
