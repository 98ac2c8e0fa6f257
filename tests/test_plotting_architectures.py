"""Drawings of models: every layer, with the sizes of its weights and of what really goes through it."""

import re

import keras
import numpy as np
import pytest
import small_models
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from captioning import models
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.bilstm import BiLSTMConfig
from captioning.models.gru import GRUDecoder
from captioning.models.transformer import TransformerConfig
from captioning.plotting import architectures, draw_architecture
from captioning.tokenizer import START

SCRATCH = [CaptioningRNNConfig(11, 6, cell, embedding=5, units=7) for cell in ("rnn", "lstm")]
STATES = {"map_vector", "start", "image_kernel"}  # what they give is a first state
EVERY = pytest.mark.parametrize("config", [*small_models.CONFIGS, *SCRATCH], ids=lambda each: type(each).__name__)


def built(config):
    return CaptioningRNN(config) if config in SCRATCH else small_models.build(config)


def numbers(box):
    return {int(found.replace(",", "")) for line in box.lines for found in re.findall(r"(?<![\w_])\d[\d,]*", line)}


def arrays(model):
    """Return (parts of the path of an array, its sizes without the gates of a recurrent layer)."""
    if isinstance(model, CaptioningRNN):
        weights = {f"/{name}": array.shape for name, array in model.parameters.items()}
    else:
        weights = {weight.path: weight.shape for weight in model.weights if len(weight.shape)}
    for path, shape in weights.items():
        folder, name = path.rsplit("/", 1)
        if name in ("kernel", "recurrent_kernel") and (recurrent := weights.get(f"{folder}/recurrent_kernel")):
            shape = (*shape[:-1], recurrent[0])
        yield path.split("/")[1:], shape


@EVERY
def test_every_array_is_in_the_box_of_its_layer_with_its_sizes(config):
    boxes, _, _ = architectures.DRAWINGS[(model := built(config)).kind](model)
    words = {box.name: set(re.findall(r"\w+", f"{box.name} {box.text}")) for box in boxes}
    seen = set()
    for parts, shape in arrays(model):
        mine = [box for box in boxes if words[box.name] & set(parts)]
        assert mine or parts[-1] in ("image_bias", "bias", "output_bias"), parts
        if parts[-1].endswith(("kernel", "embeddings", "embedding", "mean")):
            assert any(set(shape) <= numbers(box) for box in mine), (parts, shape)
        seen |= {box.name for box in mine}
    assert {box.name for box in boxes if box.kind == "layer"} - seen <= {"logits", "standardized"}


@EVERY
def test_what_leads_to_a_box_is_what_it_takes(config):
    boxes, arrows, _ = architectures.DRAWINGS[(model := built(config)).kind](model)
    named = {box.name: box for box in boxes}
    recurrent = {arrow.start for arrow in arrows if arrow.start == arrow.end}
    assert {arrow.end for arrow in arrows if arrow.start in STATES} <= recurrent | {"sum"}
    for box in boxes:
        given = [named[arrow.start] for arrow in arrows if arrow.end == box.name and not arrow.later]
        given = [each for each in given if each.name not in STATES or box.name in ("sum", *STATES)]
        widths = [each.shape[-1] for each in given if each.shape]
        if box.inputs and widths:
            assert box.inputs in (sum(widths), *([widths[0]] if len(set(widths)) == 1 else [])), box.name
        elif "side by side" in box.text:
            assert box.shape[-1] == sum(widths), box.name
        elif given and box.kind == "step":
            assert set(box.shape) <= {size for each in given for size in each.shape}, box.name


@small_models.BY_KIND
def test_the_sizes_are_those_that_go_through_the_layers(config, monkeypatch):
    model, seen, call = small_models.build(config), [], keras.layers.Layer.__call__

    def recorded(layer, *args, **kwargs):
        made = call(layer, *args, **kwargs)
        first = made[0] if isinstance(made, (tuple, list)) else made
        seen.append((layer.name, tuple(first.shape)))
        return made

    boxes, *_ = architectures.DRAWINGS[model.kind](model)
    shapes = {box.name: box.shape for box in boxes}
    monkeypatch.setattr(keras.layers.Layer, "__call__", recorded)
    logits, *_ = model.step(np.array([START]), model.initial_state(small_models.features(1)))
    checked = {name for name, shape in seen if name in shapes and shape[-len(shapes[name]) :] == shapes[name]}
    assert not {name for name, _ in seen if name in shapes} - checked - {"embedding", "forward"}
    assert len(checked) >= 4 and shapes["next word"] == tuple(logits.shape)[1:]
    assert shapes["features"] == small_models.features(1).shape[1:]


@EVERY
def test_the_alt_text_names_every_box(config):
    boxes, arrows, _ = architectures.DRAWINGS[(model := built(config)).kind](model)
    alt = draw_architecture(model).alt
    assert all(f"{box.name} (" in alt or f"{box.name} to" in alt for box in boxes) and "…" not in alt
    assert all(arrow.end in alt for arrow in arrows)


@pytest.mark.parametrize(
    "config",
    [
        BahdanauConfig(10_000, 196, 2048, attention=512), BiLSTMConfig(10_000, 196, 2048, units=512),
        TransformerConfig(10_000, 196, 2048, units=512),
    ],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
def test_texts_fit_their_boxes_and_no_box_covers_another(config):
    figure = draw_architecture(small_models.build(config))
    figure.canvas.draw()
    assert "…" not in figure.alt
    places = [patch.get_window_extent() for patch in figure.findobj(FancyBboxPatch) if patch.zorder == 3]  # not frames
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_ha() == "center"]
    for text in texts:
        box = text.get_window_extent()
        assert any(p.x0 <= box.x0 and box.x1 <= p.x1 and p.y0 <= box.y0 and box.y1 <= p.y1 for p in places), text
    assert all(not one.overlaps(other) for k, one in enumerate(places) for other in places[:k])
    assert len(texts) > len(places) > 10


def test_a_class_of_a_reader_is_drawn_and_its_title_says_whose_layers_these_are():
    class Mine(GRUDecoder):
        pass

    class Without(Mine):
        def __init__(self, config):
            super().__init__(config)
            self.head = self.logits
            del self.logits

        def predict_words(self, hidden, training=False):
            return self.head(hidden)

    config = small_models.CONFIGS[0]
    figure = draw_architecture(models.build(Mine, config))
    assert "package's class" in figure.get_suptitle() and "gru_3" in figure.alt
    assert (
        "no drawing ('Without' object has no attribute 'logits'" in draw_architecture(models.build(Without, config)).alt
    )


def test_another_kind_is_refused():
    model = small_models.build(small_models.CONFIGS[0])
    model.kind = "other"
    with pytest.raises(ValueError, match="no drawing of 'other'; there are gru, "):
        draw_architecture(model)
