"""A captioner as three ONNX files and a JSON file, for a browser, a server, or any language with a runtime."""

import logging
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from captioning.bundle import Bundle
from captioning.files import write_json
from captioning.quiet import tensorflow as tf
from captioning.serving import onnx_weights
from captioning.serving.card import scores_of
from captioning.serving.graphs import Graphs
from captioning.tokenizer import SPECIAL
from captioning.words import writing

OPSET = 17  # the latest that tf2onnx writes without a gap; every onnxruntime since 1.12 reads it, onnxruntime-web too
FORMAT = 1  # of model.json
GRAPHS = ("encoder", "start", "step")
LARGE = 100_000_000  # weights of an encoder, of which tf2onnx makes many copies
PRECISIONS = ("float32", "int16")  # of the weights; 8 bits change more than three captions in a hundred


def write(bundle: Bundle, folder: Path | str, precision: str = "float32") -> dict:
    """Write encoder.onnx, start.onnx, step.onnx and model.json, which says how they are used.

    Args:
        folder: made where it is missing; files of these names are replaced.
        precision: "float32"; or "int16", half as large, which hardly changes a caption. Weights are stored so; what is
            computed is float32.

    Returns:
        What model.json holds.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; known: {', '.join(PRECISIONS)}.")
    onnx, _ = packages()
    folder, graphs = Path(folder), Graphs(bundle)
    weights = sum(array.size for array in bundle.encoder.arrays())
    if weights > LARGE:
        name = bundle.settings["encoder"]["encoder"]
        print(f"{name} has {weights / 1e6:.0f} million weights: converting it takes more than 14 GB of memory.")
    description = _describe(bundle, graphs, precision)
    for name, model in _convert(graphs).items():
        if precision == "int16":
            onnx_weights.shorten(model)
        description["graphs"][name]["data"] = onnx_weights.save(model, folder / f"{name}.onnx")
        onnx.checker.check_model(folder / f"{name}.onnx", full_check=True)
    write_json(folder / "model.json", description)
    for file in folder.glob("*.data"):  # of a model that has just been replaced
        if not any(file.name in graph["data"] for graph in description["graphs"].values()):
            file.unlink()
    return description


def packages() -> tuple[Any, Any]:
    """Return the packages onnx and tf2onnx, which only exports need."""
    try:
        import onnx
        import tf2onnx
    except ModuleNotFoundError as error:
        told = f"{error.name} is not installed. Exports need it: pip install '.[export]' in the repository."
        raise ModuleNotFoundError(told, name=error.name) from error
    return onnx, tf2onnx


def _convert(graphs: Graphs) -> dict[str, Any]:
    """Return the three graphs as ONNX models, weights in float32.

    They go through a SavedModel: tf2onnx takes what a plain function has captured, as the constants of the
    normalization, for inputs.
    """
    _, tf2onnx = packages()
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    # Else it copies all weights before each of 84 passes, to undo one that fails: twice the time and the memory.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
    # Of two reshapes in a row it keeps the second, whose zeros mean dimensions of what the first gave.
    tf2onnx.convert.optimizer.back_to_back_optimizer._func_map.pop(("Reshape",), None)
    found = {}
    for name in GRAPHS:  # one by one: tf2onnx reads all of a SavedModel for each signature of it
        module, signatures = graphs.module(name)
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(module, folder, signatures)
            graph, inputs, outputs, names = tf2onnx.tf_loader.from_saved_model(
                folder, None, None, ["serve"], [name], return_tensors_to_rename=True
            )
        if name == "encoder":
            _give_a_dimension(graph)
        found[name], _ = tf2onnx.convert.from_graph_def(
            graph, name, inputs, outputs, OPSET, custom_op_handlers={"Erfc": (_erfc, [])}, tensors_to_rename=names
        )
    _round(found["encoder"])
    return found


def _give_a_dimension(graph: Any) -> None:
    """Make numbers that are added arrays of one: tf2onnx cannot swap the former with a convolution (MobileNetV3)."""
    added = {name for node in graph.node if node.op == "AddV2" for name in node.input}
    for node in graph.node:
        if node.op == "Const" and node.name in added and not node.attr["value"].tensor.tensor_shape.dim:
            node.attr["value"].tensor.tensor_shape.dim.add(size=1)


def _erfc(graph: Any, node: Any, name: str, _: list) -> None:
    """Write erfc(x), which a GELU holds and tf2onnx does not know, as 1 - erf(x)."""
    erf = graph.make_node("Erf", node.input)
    node.type = "Sub"
    graph.replace_inputs(node, [graph.make_const(f"{name}/one", np.ones((), np.float32)).output[0], erf.output[0]])


def _round(model: Any) -> None:
    """Let the features go through float16 again: tf2onnx takes a cast there and back for one that does nothing."""
    helper, types = packages()[0].helper, packages()[0].TensorProto
    (last,) = (node for node in model.graph.node if "features" in node.output)
    last.output[:] = ["exact"]
    model.graph.node.append(helper.make_node("Cast", ["exact"], ["rounded"], to=types.FLOAT16))
    model.graph.node.append(helper.make_node("Cast", ["rounded"], ["features"], to=types.FLOAT))


def _describe(bundle: Bundle, graphs: Graphs, precision: str) -> dict:
    """Return what model.json holds."""
    encoder, chosen, side = bundle.settings["encoder"], bundle.chosen, math.isqrt(bundle.settings["encoder"]["regions"])
    rules, scores = writing.rules(bundle.tokenizer.vocabulary), scores_of(bundle.folder)
    once = bundle.options(chosen["beam_width"])["once"]
    shift = len(SPECIAL)  # ids of words follow those of the special tokens
    return {
        "format": FORMAT,
        "name": bundle.name,
        "kind": bundle.kind,
        "precision": precision,
        "opset": OPSET,
        "graphs": {
            name: {"file": f"{name}.onnx", "inputs": inputs, "outputs": outputs}
            for name, (inputs, outputs) in graphs.names.items()
        },
        "image_size": encoder["image_size"],
        "resize": encoder["resize"],
        "regions": encoder["regions"],
        "grid": [side, side] if side**2 == encoder["regions"] and graphs.attends else None,
        "channels": encoder["channels"],
        "max_length": bundle.max_length,
        "decoding": {name: chosen[name] for name in ("beam_width", "length_penalty")}
        | {"may_repeat": None if once is None else np.flatnonzero(~once).tolist()},
        "confidences": chosen["confidences"],
        "scores": {name: scores.get(name) for name in ("images", "Bleu_4", "ROUGE_L", "CIDEr")} if scores else None,
        "special": {name.strip("<>"): token for token, name in enumerate(SPECIAL)},
        "words": [*SPECIAL, *rules["spellings"]],
        "close": [index + shift for index in rules["close"]],
        "open": [index + shift for index in rules["open"]],
        "pairs": [[left + shift, right + shift] for left, right in rules["pairs"]],
    }
