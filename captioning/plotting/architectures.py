"""One drawing per model: its layers with the shapes of their weights, and the path of one word through them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from captioning.plotting.drawing import Arrow, Box, draw, sizes
from captioning.plotting.figure import Described

Parts = tuple[list[Box], list[Arrow], dict[str, list[str]]]
ONCE = "once per picture"


def draw_architecture(model: Any, title: str = "") -> Described:
    """Draw the layers of a decoder, and how one word goes through them.

    Args:
        model: a built `models.decoder.Decoder` or a `CaptioningRNN`; all sizes are those of its weights.
        title: above the drawing; the name of the class by default.

    Raises:
        ValueError: there is no drawing of this kind of model.
    """
    if model.kind not in DRAWINGS:
        raise ValueError(f"There is no drawing of {model.kind!r}; there are {', '.join(DRAWINGS)}.")
    title = title or f"{type(model).__name__}: the path of one word"
    if not type(model).__module__.startswith("captioning."):
        title += ", drawn with the layers of the package's class"
    try:
        boxes, arrows, frames = DRAWINGS[model.kind](model)
    except AttributeError as error:  # a class that a reader has changed
        boxes, arrows, frames = [Box("no drawing", (0, 0), str(error), kind="step", width=5.5)], [], {}
    return draw(title, boxes, arrows, frames)


def _weighted(layer: Any, place: tuple[float, float], text: str = "", *rows: int | str) -> Box:
    """Return the box of a dense or a recurrent layer, applied to some rows."""
    name, layer = layer.name, getattr(layer, "cell", layer)
    kernel = layer.kernel.shape
    units = layer.recurrent_kernel.shape[0] if hasattr(layer, "recurrent_kernel") else kernel[1]
    return Box(name, place, text, (*rows, units), kernel[0])


def _rows_of(layer: Any, place: tuple[float, float], text: str, *rows: int | str) -> Box:
    """Return the box of an embedding."""
    names, width = layer.embeddings.shape
    return Box(layer.name, place, f"{text} {sizes(names, width)}", (*rows, width))


def ways(*chains: str) -> list[Arrow]:
    """Return the arrows of chains such as "features > normalization > mean"."""
    return [Arrow(*pair) for chain in chains for pair in pairwise(chain.split(" > "))]


def _picture(model: Any) -> list[Box]:
    config = model.config
    shape = config.regions, config.channels
    scaled = Box("normalization", (0, 1), "mean 0, deviation 1", shape)
    return [Box("features", (0, 0), "regions × channels", shape, kind="data"), scaled]


def _mean(model: Any, place: tuple[float, float]) -> Box:
    return Box("mean", place, "over the regions", (model.config.channels,), kind="step")


def _ends(word: tuple[float, float], following: tuple[float, float], vocabulary: int) -> list[Box]:
    """Return where a word comes in and the next one goes out."""
    return [
        Box("word", word, "START first", kind="data"),
        Box("next word", following, "softmax of logits", (vocabulary,), kind="data"),
    ]


def _gru(model: Any) -> Parts:
    boxes = [
        *_picture(model), _mean(model, (0, 2)), _weighted(model.map_vector, (0, 3), "dense, tanh"),
        _rows_of(model.embedding, (1, 1), "a row of"),
        *(_weighted(gru, (1, 2 + k), "GRU") for k, gru in enumerate(model.grus)),
        _weighted(model.logits, (1, 5), "dense"), *_ends((1, 0), (1, 6), model.config.vocabulary),
    ]  # fmt: skip
    names = [gru.name for gru in model.grus]
    arrows = ways("features > normalization > mean > map_vector", f"word > embedding > {' > '.join(names)} > logits")
    arrows += [Arrow("map_vector", name) for name in names] + [Arrow(name, name, later=True, side=1) for name in names]
    return boxes, arrows + ways("logits > next word"), {ONCE: ["features", "map_vector"]}


def _merge(model: Any) -> Parts:
    units = model.config.units
    boxes = [
        *_picture(model), _mean(model, (0, 2)), _weighted(model.map_vector, (0, 3), "dense, ReLU"),
        _rows_of(model.embedding, (1, 1), "a row of"), _weighted(model.lstm, (1, 2), "LSTM, starts from zeros"),
        Box("sum", (1, 3), "picture + words", (units,), kind="step"), _weighted(model.joint, (1, 4), "dense, ReLU"),
        _weighted(model.logits, (1, 5), "dense"), *_ends((1, 0), (1, 6), model.config.vocabulary),
    ]  # fmt: skip
    chains = "features > normalization > mean > map_vector > sum", "word > embedding > lstm > sum > joint > logits"
    arrows = [*ways(*chains, "logits > next word"), Arrow("lstm", "lstm", later=True, side=1)]
    return boxes, arrows, {ONCE: ["features", "map_vector"]}


def _bahdanau(model: Any) -> Parts:
    config, attention = model.config, model.attention
    regions, units, width = config.regions, config.units, attention.score.kernel.shape[0]
    boxes = [
        *_picture(model), _weighted(model.region_projection, (0, 2), "dense, ReLU", regions),
        Box("mean", (0, 6), "over the regions", (units,), kind="step"), _weighted(model.start, (0, 7), "dense, tanh"),
        _weighted(attention.key_projection, (0, 3), "dense", regions),
        _weighted(attention.query_projection, (1, 2), "dense"),
        Box("sum", (1, 3), "query + keys, tanh", (regions, width), kind="step"),
        _weighted(attention.score, (1, 4), "dense", regions),
        Box("weights", (1, 5), "softmax over regions", (regions,), kind="step"),
        Box("context", (1, 6), "weighted mean of regions", (units,), kind="step"),
        _rows_of(model.embedding, (2, 1), "a row of"), _weighted(model.cell, (2, 7), "reads word and context"),
        Box("word, state, context", (2, 8), "side by side", (config.embedding + 2 * units,), kind="step"),
        _weighted(model.mixture, (2, 9), "dense, tanh"), _weighted(model.logits, (2, 10), "dense"),
        *_ends((2, 0), (2, 11), config.vocabulary),
    ]  # fmt: skip
    chains = ["features > normalization > region_projection > key_projection > sum", "mean > start > gru"]
    chains += [
        "query_projection > sum > score > weights > context > gru",
        "word > embedding > gru",
        "region_projection > context",
    ]
    chains += ["gru > word, state, context > mixture > logits > next word", "context > word, state, context"]
    arrows = [
        *ways(*chains),
        Arrow("region_projection", "mean", side=-1),
        Arrow("gru", "query_projection", later=True),
    ]
    arrows += [Arrow("gru", "gru", later=True, side=1), Arrow("embedding", "word, state, context", side=1)]
    return boxes, arrows, {ONCE: ["features", "start"]}


def _bilstm(model: Any) -> Parts:
    config, many = model.config, "t"
    regions, units, width = config.regions, config.units, model.value_projection.kernel.shape[1]
    boxes = [
        *_picture(model), _weighted(model.key_projection, (0, 2), "dense", regions),
        _weighted(model.value_projection, (0, 3), "dense, ReLU", regions),
        Box("prefix", (1.5, 0), "START and the words so far", (many,), kind="data"),
        _rows_of(model.embedding, (1.5, 1), "rows of", many),
        _weighted(model.forward, (1, 2), "LSTM, left to right", many),
        _weighted(model.backward, (2, 2), "LSTM, right to left", many),
        Box("states", (1.5, 3), "of both, side by side", (many, 2 * units), kind="step"),
        _weighted(model.query_projection, (1.5, 4), "dense", many),
        Box("weights", (1.5, 5), "query · key, softmax", (many, regions), kind="step"),
        Box("mean", (1.5, 6), "over the words", (regions,), kind="step"),
        Box("context", (1.5, 7), "weighted mean of values", (width,), kind="step"),
        Box("ends and context", (1.5, 8), "side by side", (2 * units + width,), kind="step"),
        _weighted(model.joint, (1.5, 9), "dense, ReLU"), _weighted(model.logits, (1.5, 10), "dense"),
        Box("next word", (1.5, 11), "softmax of logits", (config.vocabulary,), kind="data"),
    ]  # fmt: skip
    chains = ["features > normalization > key_projection > weights", "value_projection > context"]
    chains += ["prefix > embedding > forward > states > query_projection > weights > mean > context"]
    chains += ["embedding > backward > states", "context > ends and context > joint > logits > next word"]
    arrows = [*ways(*chains), Arrow("normalization", "value_projection", side=-1)]
    arrows += [Arrow("forward", "ends and context", side=-1), Arrow("backward", "ends and context", side=1)]
    return boxes, arrows, {ONCE: ["features", "value_projection"]}


def _transformer(model: Any) -> Parts:
    config, block = model.config, model.blocks[0]
    regions, units, words = config.regions, config.units, model.embedding.embeddings.shape[0]
    sums = [Box(f"+{mark}", (1, 4.05 + 1.5 * k), kind="step") for k, mark in enumerate("¹²³")]
    boxes = [
        *_picture(model), _weighted(model.region_projection, (0, 2), "dense", regions),
        _rows_of(model.region_positions, (0, 3), "adds", regions), Box("region_norm", (0, 4), "", (regions, units)),
        _rows_of(model.embedding, (1, 1), "a row of"), _rows_of(model.positions, (1, 2), "adds a row of"),
        Box("self_attention", (1, 3.3), f"norm_1, {config.heads} heads", (units,), units), sums[0],
        Box("cross_attention", (1, 4.8), f"norm_2, {config.heads} heads", (units,), units), sums[1],
        Box("widen, narrow", (1, 6.3), f"norm_3, {sizes(block.widen.kernel.shape[1])} with GELU", (units,), units),
        sums[2], Box("norm", (1, 7.9), "", (units,)),
        Box("logits", (1, 8.75), "product with embedding", (words,), units), *_ends((1, 0), (1, 9.7), words),
    ]  # fmt: skip
    chains = ["features > normalization > region_projection > region_positions > region_norm > cross_attention"]
    chains += ["word > embedding > positions > self_attention > +¹ > cross_attention > +² > widen, narrow > +³"]
    arrows = [
        *ways(*chains, "+³ > norm > logits > next word"),
        Arrow("self_attention", "self_attention", later=True, side=-1),
    ]
    arrows += [
        Arrow(start, end, side=1) for start, end in zip(("positions", "+¹", "+²"), ("+¹", "+²", "+³"), strict=True)
    ]
    repeated = f"{len(model.blocks)} block{'s' * (len(model.blocks) > 1)}"
    return boxes, arrows, {ONCE: ["features", "region_norm"], repeated: ["self_attention", "+³"]}


def _from_scratch(model: Any) -> Parts:
    shapes, cell = {name: array.shape for name, array in model.parameters.items()}, model.config.cell
    kernel, words = shapes["kernel"], shapes["embedding"]
    units = shapes["recurrent_kernel"][0]
    boxes = [
        Box("features", (0, 0), "mean over the regions", shapes["image_kernel"][:1], kind="data"),
        Box("standardized", (0, 1), "mean 0, deviation 1", shapes["image_kernel"][:1]),
        Box("image_kernel", (0, 2), "affine, tanh", shapes["image_kernel"][1:], shapes["image_kernel"][0]),
        Box("embedding", (1, 1), f"a row of {sizes(*words)}", words[1:]),
        Box(cell.upper(), (1, 2), "kernel, recurrent_kernel", (units,), kernel[0]),
        Box("output_kernel", (1, 3), "affine", shapes["output_kernel"][1:], shapes["output_kernel"][0]),
        *_ends((1, 0), (1, 4), words[0]),
    ]
    chains = (
        f"features > standardized > image_kernel > {cell.upper()}",
        f"word > embedding > {cell.upper()} > output_kernel",
    )
    arrows = [*ways(*chains, "output_kernel > next word"), Arrow(cell.upper(), cell.upper(), later=True, side=1)]
    return boxes, arrows, {ONCE: ["features", "image_kernel"]}


DRAWINGS: dict[str, Callable[[Any], Parts]] = {
    "gru": _gru, "bahdanau": _bahdanau, "merge": _merge, "bilstm": _bilstm, "transformer": _transformer,
    "numpy_rnn": _from_scratch, "numpy_lstm": _from_scratch,
}  # fmt: skip
