"""SGD, Adam, a learning rate that falls along a cosine, gradient clipping; NumPy only."""

import math
from collections.abc import Callable

import numpy as np

Arrays = dict[str, np.ndarray]


class Optimizer:
    """What SGD and Adam share: the rate, the count of updates, and state arrays that can be saved."""

    slots: tuple[str, ...] = ()  # names of the state arrays that each weight has

    def __init__(self, learning_rate: float | Callable[[int], float]):
        """Take the learning rate, or a function from the number of updates done to it (`cosine_decay`)."""
        self.learning_rate = learning_rate
        self.updates = 0
        self.state: Arrays = {}  # "slot/name of the weight" -> array

    def prepare(self, parameters: Arrays) -> None:
        """Make the state arrays that are missing, zeros in the shape of their weight."""
        for slot in self.slots:
            for name, values in parameters.items():
                self.state.setdefault(f"{slot}/{name}", np.zeros_like(values))

    def update(self, parameters: Arrays, gradients: Arrays) -> None:
        """Change the parameters in place by one step against their gradients."""
        self.prepare(parameters)
        rate = self.learning_rate(self.updates) if callable(self.learning_rate) else self.learning_rate
        self.updates += 1
        for name, values in parameters.items():
            values -= self.change(name, values, gradients[name], rate)

    def change(self, name: str, values: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """Return what is subtracted from one parameter."""
        raise NotImplementedError


class SGD(Optimizer):
    """Plain stochastic gradient descent, as `keras.optimizers.SGD`: w -= rate g."""

    def change(self, name: str, values: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """Return rate * g."""
        return rate * gradient


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""

    slots = ("mean", "square")
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8  # the paper's constants

    def __init__(self, learning_rate: float | Callable[[int], float] = 1e-3, weight_decay: float = 0.0):
        """Take the learning rate and the decay of the matrices; biases never decay."""
        super().__init__(learning_rate)
        self.weight_decay = weight_decay

    def change(self, name: str, values: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """Return rate * (m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon) + weight_decay * w)."""
        mean, square = self.state[f"mean/{name}"], self.state[f"square/{name}"]
        mean += (1 - self.beta_1) * (gradient - mean)
        square += (1 - self.beta_2) * (gradient**2 - square)
        change = np.sqrt(square / (1 - self.beta_2**self.updates))
        change += self.epsilon
        np.divide(mean, change, out=change)
        change *= rate / (1 - self.beta_1**self.updates)
        if self.weight_decay and values.ndim > 1:
            change += rate * self.weight_decay * values
        return change


def cosine_decay(peak: float, updates: int, warmup: int = 0) -> Callable[[int], float]:
    """Return a learning rate that rises linearly, then falls to 0 along a cosine (Loshchilov & Hutter 2017).

    Args:
        peak: the largest rate.
        updates: number of updates of the whole training.
        warmup: number of updates of the rise.
    """

    def rate(done: int) -> float:
        if done < warmup:
            return peak * (done + 1) / (warmup + 1)
        # math, not NumPy: a float64 scalar of NumPy would turn float32 weights into float64 on the way.
        return peak * (1 + math.cos(math.pi * min(1.0, (done - warmup) / max(1, updates - warmup)))) / 2

    return rate


def clip_gradients(gradients: Arrays, clip_norm: float | None) -> float:
    """Scale all gradients in place so that their global norm is at most `clip_norm` (Pascanu et al. 2013, algorithm 1).

    Args:
        gradients: by name.
        clip_norm: the largest norm; None only measures it. The norm before clipping is returned.
    """
    norm = float(np.sqrt(sum(np.square(values, dtype=np.float64).sum() for values in gradients.values())))
    if clip_norm is not None and norm > clip_norm:
        for values in gradients.values():
            values *= clip_norm / norm
    return norm
