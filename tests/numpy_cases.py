"""Random arrays and a small captioner in float64 for the tests of the NumPy modules."""

import numpy as np

from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig

CELLS = ("rnn", "lstm")


def draw(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def recurrent_arguments(cell, steps=4, batch=3):
    """Inputs of 5 channels, first state and weights of a cell of 2 units; without `steps` for a single step."""
    gates, states = (4, 2) if cell == "lstm" else (1, 1)
    inputs = draw(batch, 5) if steps is None else draw(batch, steps, 5)
    state = [draw(batch, 2, seed=seed) for seed in range(1, states + 1)]
    return [inputs, *state, draw(5, gates * 2), draw(2, gates * 2), draw(gates * 2)]


def make_model(cell="lstm", **settings):
    settings = {"vocabulary": 9, "channels": 5, "embedding": 3, "units": 4, "dtype": "float64", "seed": 2} | settings
    model = CaptioningRNN(CaptioningRNNConfig(cell=cell, **settings), draw(5), np.abs(draw(5, seed=1)) + 0.5)
    for name, values in model.parameters.items():  # large enough for every gradient to matter
        values += 0.3 * draw(*values.shape, seed=len(name))
    return model
