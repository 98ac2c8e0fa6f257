"""The inside of a GRU and of an LSTM, with the formulas of Keras."""

from captioning.plotting.architectures import ways
from captioning.plotting.drawing import Arrow, Box, draw
from captioning.plotting.figure import Described

GATE, MIXED = "σ(x W + h U + b)", "tanh(x W + h U + b)"
BOTH = "σ(x W + h U + b + c)"  # the GRU of Keras has two biases
# Name -> (column, row), formula. Every gray box has weights of its own; products without a sign are number by number.
CELLS: dict[str, dict[str, tuple[float, float, str]]] = {
    "gru": {
        "state h": (0, 0, ""), "x and h": (1, 0, "side by side"), "word x": (2, 0, ""),
        "update gate z": (0, 1.1, BOTH), "reset gate r": (1, 1.1, BOTH), "memory m": (1, 2.2, "r (h U + c)"),
        "candidate g": (2, 2.2, "tanh(x W + b + m)"), "old": (0, 3.3, "z h"), "new": (1, 3.3, "(1 - z) g"),
        "next state h'": (0.5, 4.4, "old + new"),
    },
    "lstm": {
        "cell c": (0, 0, ""), "state h": (1, 0, ""), "word x": (2, 0, ""), "x and h": (1, 1, "side by side"),
        "forget gate f": (0, 2.1, GATE), "input gate i": (1, 2.1, GATE), "candidate g": (2, 2.1, MIXED),
        "old": (0, 3.2, "f c"), "new": (1, 3.2, "i g"), "next cell c'": (0, 4.3, "old + new"),
        "output gate o": (2, 4.3, GATE), "next state h'": (1, 5.4, "o tanh(c')"),
    },
}  # fmt: skip
CHAINS = {
    "gru": [
        "state h > x and h > update gate z > old > next state h'", "word x > x and h > reset gate r > memory m",
        "state h > memory m > candidate g > new > next state h'", "word x > candidate g", "update gate z > new",
    ],
    "lstm": [
        "state h > x and h > forget gate f > old > next cell c' > next state h'", "word x > x and h > input gate i",
        "input gate i > new", "x and h > candidate g > new > next cell c'", "output gate o > next state h'",
    ],
}  # fmt: skip
AROUND = {"gru": [("state h", "old", -1)], "lstm": [("cell c", "old", -1), ("x and h", "output gate o", 1)]}


def draw_cell(kind: str, inputs: int, units: int) -> Described:
    """Draw what a recurrent cell does with one word.

    Definition: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (2014), with the reset gate
    after the product, as in Keras; Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997), with the forget gate
    of Gers, Schmidhuber and Cummins, "Learning to Forget" (2000).

    Args:
        kind: "gru" or "lstm".
        inputs: numbers of the word's vector.
        units: numbers of the state.

    Raises:
        ValueError: another kind.
    """
    if kind not in CELLS:
        raise ValueError(f"There is no drawing of {kind!r}; there are {', '.join(CELLS)}.")
    taken = {"x and h": inputs + units, "word x": inputs, "state h": units}
    arrows = [*ways(*CHAINS[kind]), *(Arrow(start, end, side=side) for start, end, side in AROUND[kind])]
    boxes = []
    for name, (column, row, formula) in CELLS[kind].items():
        given = sum(taken[arrow.start] for arrow in arrows if arrow.end == name and arrow.start in taken)
        weights = "U" in formula or "W" in formula
        outer = name in ("word x", "state h", "cell c") or name.startswith("next")
        size = (taken.get(name, units),)
        look = "data" if outer else "layer" if weights else "step"
        boxes.append(Box(name, (column, row), formula, size, given * weights, look))
    return draw(f"One step of {'an LSTM' if kind == 'lstm' else 'a GRU'}", boxes, arrows)
