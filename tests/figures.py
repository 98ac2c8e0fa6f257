"""What the tests of figures share: pictures of all shapes, captions of all lengths, and one example of every figure."""

import numpy as np
from PIL import Image

from captioning import plotting
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig

LENGTHS = (0, 1, 2, 3, 5, 40)
SHAPES = [(60, 30), (30, 60), (40, 40), (41, 40), (3, 60), (1, 1)]


def caption(length):
    return " ".join(["umbrella", "a", "red", "dog's"][number % 4] for number in range(length))


def pictures(folder):
    """Write six pictures: wide, high, grey, with a palette, transparent and very high, tiny."""
    made = [
        Image.new("RGB", SHAPES[0], "red"), Image.new("RGB", SHAPES[1], "green"), Image.new("L", SHAPES[2], 90),
        Image.new("RGB", SHAPES[3], "blue").quantize(4), Image.new("RGBA", SHAPES[4], (0, 0, 0, 0)),
        Image.new("RGB", SHAPES[5]),
    ]  # fmt: skip
    for number, picture in enumerate(made):
        picture.save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(len(made))]


def draw(figure):
    figure.canvas.draw()
    assert figure.axes
    return figure


def panels(figure):
    """Return the axes of pictures, without that of the scale."""
    return [axis for axis in figure.axes if axis.get_label() != "scale"]


def looks(length, regions):
    return np.random.default_rng(0).dirichlet(np.ones(regions), length).reshape(length, regions)


def several(length, heads=4, regions=49):
    return looks(length * heads, regions).reshape(length, heads, regions)


def run(epochs, *names, start=0.0):
    return [{"epoch": e} | {name: start + e + 0.1 * i for i, name in enumerate(names)} for e in range(epochs)]


DOLLARS = r"for $5 or \frac $6"  # two of them enclose a formula for matplotlib, which this is not
KERAS = ("loss", "accuracy", "val_loss", "val_accuracy", "val_CIDEr")
NUMPY = ("loss", "val_loss", "val_accuracy", "val_CIDEr")
MODELS = {f"model number {number}": (2.0 + number % 3 / 50, 17 + number / 9) for number in range(9)}
TREE = {("a",): (-0.7, True), ("the",): (-1.2, False), ("a", "dog"): (-1.1, True), ("a", "dog", "END"): (-1.1, True)}

EXAMPLES = {
    "captions": lambda f: plotting.show_captions(
        f, [caption(length) for length in LENGTHS], [[caption(9)]] * 6, "Pictures", checks=["✓ right", "✗ no dog"] * 3
    ),
    "captions in five columns": lambda f: plotting.show_captions(f, ["a dog"] * 6, title="Pictures", columns=5),
    "captions of one picture": lambda f: plotting.show_captions(f[:1], [DOLLARS], [[DOLLARS]], DOLLARS),
    "attention": lambda f: plotting.show_attention(
        f[0], caption(5).split(), looks(5, 49), "Where it looks", boxes={2: (0.1, 0.2, 0.5, 0.9)}
    ),
    "attention to 40 words": lambda f: plotting.show_attention(f[1], caption(40).split(), looks(40, 64), caption(40)),
    "attention to a vector": lambda f: plotting.show_attention(f[2], ["$dog$"], np.ones((1, 1))),
    "heads": lambda f: plotting.show_heads(f[0], caption(12).split(), several(12), "Heads", boxes={2: (0, 0, 1, 1)}),
    "heads at one word": lambda f: plotting.show_heads(f[1], ["umbrella"], several(1)),
    "history": lambda f: plotting.plot_history({"GRU": run(3, *KERAS)}, "GRU"),
    "two histories": lambda f: plotting.plot_history({"RNN": run(12, *NUMPY), "LSTM": run(9, *NUMPY)}, "NumPy"),
    "bars": lambda f: plotting.plot_bars({"GRU": 0.5, "most common": 0.1}, "Models", "CIDEr", {"GRU": (0.4, 0.7)},
                                         ["most common"]),
    "one bar": lambda f: plotting.plot_bars({"5 captions": 1900}, "Captions per picture", "pictures"),
    "lengths": lambda f: plotting.plot_lengths({"train": [3, 4, 4, 9], "val": [2], "test": [5]}, 5),
    "similarities": lambda f: plotting.show_similarities(f[:4], np.eye(4), "Cosines"),
    "similarities of twelve": lambda f: plotting.show_similarities(f * 2, np.eye(12), "Cosines"),
    "curves": lambda f: plotting.plot_curves({"nats": {"free": [1, 2], "clipped": [3]}, "norm": {"free": [9, 1.5]}},
                                             "update", "SGD", {"norm": 5.0}, logarithmic=True),
    "architecture": lambda f: plotting.draw_architecture(CaptioningRNN(CaptioningRNNConfig(11, 6, "lstm")), "Model"),
    "cell": lambda f: plotting.draw_cell("gru", 128, 256),
    "beam": lambda f: plotting.draw_beam(TREE, ("a", "dog", "END"), "Beam of width 1"),
    "points": lambda f: plotting.plot_points(MODELS, "CIDEr", "exact", "Models"),
}  # fmt: skip
