"""Random arrays, numerical gradients and a small captioner in float64 for the tests of the NumPy rooms."""

import numpy as np

from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig

CELLS = ("rnn", "lstm")


def draw(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def slope(function, array):
    """The gradient of a scalar function by an array: five-point differences, exact to about 1e-12."""
    result, h = np.zeros_like(array), 1e-3
    for place in np.ndindex(array.shape):
        kept, values = array[place], {}
        for k in (-2, -1, 1, 2):
            array[place] = kept + k * h
            values[k] = function()
        array[place] = kept
        result[place] = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
    return result


def assert_gradient(analytic, numeric, limit=1e-7):
    assert analytic.shape == numeric.shape
    scale = np.abs(analytic).max() + np.abs(numeric).max()
    assert scale > 1e-6, "a gradient that is zero tests nothing"
    assert np.abs(analytic - numeric).max() / scale < limit


def make_model(cell="lstm", **settings):
    settings = {"vocabulary": 9, "channels": 5, "embedding": 3, "units": 4, "dtype": "float64", "seed": 2} | settings
    model = CaptioningRNN(CaptioningRNNConfig(cell=cell, **settings), draw(5), np.abs(draw(5, seed=1)) + 0.5)
    for name, values in model.parameters.items():  # large enough for every gradient to matter
        values += 0.3 * draw(*values.shape, seed=len(name))
    return model
