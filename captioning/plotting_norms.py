"""The figure of gradient clipping: norm of the gradient and loss, update by update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from captioning.numpy_training import Epoch


def plot_norms(runs: Mapping[str, Sequence[Epoch]], limit: float | None, title: str = "") -> Figure:
    """Draw the gradient norms of several runs and their losses, on logarithmic axes.

    Args:
        runs: name -> one `Epoch` per update (`numpy_training.fit` with epochs of one batch); runs may end early.
        limit: where gradients are clipped, drawn as a line; None draws none.
        title: above the figure.
    """
    figure, (norms, losses) = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
    figure.suptitle(title)
    for (name, updates), style in zip(runs.items(), ("C1x-", "C0o--", "C2s:"), strict=False):
        numbers = range(1, len(updates) + 1)
        norms.semilogy(numbers, [update.gradient_norm for update in updates], style, label=name, markersize=4)
        losses.semilogy(numbers, [update.loss for update in updates], style, label=name, markersize=4)
    if limit is not None:
        norms.axhline(limit, color="black", alpha=0.5, label=f"limit {limit:g}")
    norms.set(title="norm of the gradient before clipping", xlabel="update", ylabel="norm")
    losses.set(title="loss", xlabel="update", ylabel="nats per word")
    for axis in (norms, losses):
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
        axis.grid(alpha=0.3)
    return figure
