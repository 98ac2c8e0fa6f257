"""Drawings of recurrent cells: computed box by box along their arrows, they give what Keras gives."""

import keras
import numpy as np
import pytest

from captioning.plotting import draw_cell
from captioning.plotting.architectures import ways
from captioning.plotting.cells import AROUND, CELLS, CHAINS

INPUTS, UNITS = 3, 5
OWN = {"gru": ["update gate z", "reset gate r", "candidate g"]}
OWN["lstm"] = ["input gate i", "forget gate f", "candidate g", "output gate o"]


def weights_of(kind, layer):
    """Return box -> its W, U, b and, in a GRU, c."""
    kernel, recurrent, bias = (np.asarray(array) for array in layer.get_weights())
    biases = bias if kind == "gru" else np.stack([bias, 0 * bias])
    parts = [np.split(array, len(OWN[kind]), axis=1) for array in (kernel, recurrent, biases)]
    own = {name: dict(zip("WUb", part, strict=True)) for name, *part in zip(OWN[kind], *parts, strict=True)}
    for each in own.values():
        each["b"], each["c"] = each["b"]
    if kind == "gru":
        own["memory m"] = own["candidate g"]
    return own


def computed(kind, layer, given):
    """Compute every box from the boxes whose arrows lead to it, with its formula and weights."""
    known, own = dict(given), weights_of(kind, layer)
    arrows = [(arrow.start, arrow.end) for arrow in ways(*CHAINS[kind])] + [way[:2] for way in AROUND[kind]]
    while missing := [name for name in CELLS[kind] if name not in known]:
        name = next(n for n in missing if all(start in known for start, end in arrows if end == n))
        sources = [start for start, end in arrows if end == name]
        reached = {part for start in sources for part in ([start] if start != "x and h" else ["word x", "state h"])}
        names = {start.split()[-1].rstrip("'"): known[start] for start in reached} | own.get(name, {})
        names |= {"σ": lambda values: 1 / (1 + np.exp(-values)), "tanh": np.tanh}
        formula = CELLS[kind][name][2].replace("c')", "c)" if kind == "lstm" else "c')")
        formula = formula.replace("x W", "x @ W").replace("h U", "h @ U")
        for product in ("z h", "f c", "i g", "o tanh", "r (h", ") g"):
            formula = formula.replace(product, product.replace(" ", " * "))
        known[name] = names if name == "x and h" else eval(formula, {}, names)
    return known


@pytest.mark.parametrize("kind", CELLS)
def test_the_drawing_computes_what_keras_computes(kind):
    layer = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}[kind](UNITS)
    layer.build((1, INPUTS))
    random = np.random.default_rng(0)
    layer.set_weights([random.normal(size=array.shape).astype("float32") for array in layer.get_weights()])
    x, h, c = (random.normal(size=(1, size)).astype("float32") for size in (INPUTS, UNITS, UNITS))
    given = {"word x": x, "state h": h} | ({"cell c": c} if kind == "lstm" else {})
    _, state = layer(x, [h, c] if kind == "lstm" else [h])
    known = computed(kind, layer, given)
    np.testing.assert_allclose(known["next state h'"], state[0], atol=1e-5)
    if kind == "lstm":
        np.testing.assert_allclose(known["next cell c'"], state[1], atol=1e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_the_alt_text_names_every_box_with_its_sizes(kind):
    alt = draw_cell(kind, INPUTS, UNITS).alt
    assert all(f"{name} (" in alt for name in CELLS[kind])
    assert f"word x ({INPUTS})" in alt and f"{INPUTS + UNITS} → {UNITS}" in alt


def test_another_cell_is_refused():
    with pytest.raises(ValueError, match="no drawing of 'rnn'; there are gru, lstm"):
        draw_cell("rnn", 2, 3)
