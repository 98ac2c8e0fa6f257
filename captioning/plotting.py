"""Every figure of the series: pictures with captions, attention maps, curves and bars."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from captioning.images import open_image

if TYPE_CHECKING:  # figures need no training code
    from captioning.from_scratch.training import Epoch

WRAP = 38  # letters per line below a picture of a three-column grid


def show_captions(
    files: Sequence[Path | str],
    captions: Sequence[str | Sequence[str]],
    references: Sequence[Sequence[str]] | None = None,
    title: str = "",
    columns: int = 3,
) -> Figure:
    """Draw a grid of pictures with captions below.

    Args:
        files: the pictures.
        captions: one caption, or several, per picture.
        references: what people wrote; set in italics behind "ref:", so that colour is not needed to tell them apart.
        columns: pictures per row.

    Raises:
        ValueError: there is no picture, or not one caption and one list of references for each.
    """
    references = [()] * len(files) if references is None else references
    if not len(files) or not len(files) == len(captions) == len(references):
        raise ValueError(f"{len(files)} pictures, {len(captions)} captions, {len(references)} lists of references.")
    texts = [_lines(caption, refs) for caption, refs in zip(captions, references, strict=True)]
    tallest = max(sum(1 + text.count("\n") for text, _ in lines) for lines in texts)
    figure, axes = _grid(len(files), columns, 4, 3.2 + 0.2 * tallest, title)
    for axis, file, lines in zip(axes, files, texts, strict=False):
        axis.imshow(open_image(file))
        offset = -4.0
        for text, style in lines:
            axis.annotate(text, (0.0, 0.0), (0, offset), xycoords="axes fraction", textcoords="offset points",
                          va="top", fontsize=9, parse_math=False, **style)  # fmt: skip
            offset -= 12.5 * (1 + text.count("\n"))
        # Invisible text, a little higher than the lines above, keeps the rows of the grid apart.
        axis.set_title("\n" * tallest, fontsize=9, y=0, va="top", linespacing=1.5)
    return figure


def show_attention(
    file: Path | str, words: Sequence[str], attention: np.ndarray, title: str = "", columns: int = 5
) -> Figure:
    """Draw where the decoder looks for each word, as light on the darkened picture.

    Args:
        file: the picture.
        words: of the caption.
        attention: (words, regions), rows summing to 1; the regions form a square grid, row by row.
        columns: pictures per row.

    Raises:
        ValueError: rows and words differ in number, or the regions form no square.
    """
    if len(words) != len(attention):
        raise ValueError(f"{len(words)} words but {len(attention)} rows of attention.")
    side = math.isqrt(attention.shape[-1])
    if side * side != attention.shape[-1]:
        raise ValueError(f"{attention.shape[-1]} regions form no square grid.")
    picture = open_image(file)
    panels = [("the picture", None), *zip(words, attention, strict=True)]
    figure, axes = _grid(len(panels), columns, 2.6, 2.6, title)
    for axis, (word, weights) in zip(axes, panels, strict=False):
        axis.set_title(word, fontsize=11, parse_math=False)  # a caption may hold dollars
        axis.imshow(picture if weights is None else _lit(picture, weights.reshape(side, side)))
    return figure


def plot_history(history: Sequence[Mapping[str, float]], title: str = "") -> Figure:
    """Draw loss, accuracy and free-running CIDEr per epoch; train dashed, validation solid."""
    epochs = [row["epoch"] + 1 for row in history]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    figure.suptitle(title)
    for axis, name in zip(axes, ("loss", "accuracy", "CIDEr"), strict=True):
        for key, style, label in ((name, "C0o--", "train"), (f"val_{name}", "C1s-", "validation")):
            if key in history[0]:
                axis.plot(epochs, [row[key] for row in history], style, label=label, markersize=4)
        axis.set(xlabel="epoch", title=name)
        _label_steps(axis)
    return figure


def plot_bars(values: Mapping[str, float], title: str, label: str = "", intervals: Mapping | None = None) -> Figure:
    """Draw horizontal bars in the order given, with error bars from `intervals`: name -> (low, high)."""
    names, lengths = list(values), np.array(list(values.values()))
    errors = None
    if intervals is not None:
        lows, highs = np.transpose([intervals.get(name) or (values[name], values[name]) for name in names])
        # Rounding may leave a value outside an interval of no length.
        errors = np.maximum([lengths - lows, highs - lengths], 0)
    figure, axis = plt.subplots(figsize=(8, 0.8 + 0.3 * len(names)), layout="constrained")
    axis.barh(names, lengths, xerr=errors, capsize=3)
    axis.invert_yaxis()
    axis.set(title=title, xlabel=label)
    axis.grid(axis="x", alpha=0.3)
    return figure


def plot_lengths(lengths: Mapping[str, Sequence[int]], cut: int | None) -> Figure:
    """Draw how many words the captions of each split have, as shares, and after how many words they are cut."""
    figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
    longest = max(max(values) for values in lengths.values())
    for (name, values), style in zip(lengths.items(), ("-", "--", ":"), strict=False):
        shares = np.bincount(values, minlength=longest + 1) / len(values)
        axis.plot(shares, style, label=f"{name} ({len(values)} captions)")
    if cut is not None:
        axis.axvline(cut + 0.5, color="black", alpha=0.5, label=f"cut after {cut} words")
    axis.set(title="Words per caption", xlabel="words", ylabel="share of the captions")
    axis.legend()
    return figure


def plot_vectors(vectors: np.ndarray, names: Sequence[str], title: str = "") -> Figure:
    """Draw the vectors of some pictures, (pictures, channels), as images of 16 rows, each beside its name."""
    figure, axes = plt.subplots(len(vectors), 1, figsize=(9, 1.1 * len(vectors)), squeeze=False, layout="constrained")
    figure.suptitle(title)
    for axis, vector, name in zip(axes.flat, vectors, names, strict=True):
        axis.imshow(np.resize(vector, (16, len(vector) // 16)).astype(np.float32), aspect="auto", cmap="viridis")
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axis.set(xticks=[], yticks=[])
    return figure


def plot_norms(runs: Mapping[str, Sequence[Epoch]], limit: float | None, title: str = "") -> Figure:
    """Draw the gradient norms of several runs and their losses, on logarithmic axes.

    Args:
        runs: name -> one `Epoch` per update (`from_scratch.training.fit` with epochs of one batch); runs may end early.
        limit: where gradients are clipped, drawn as a line; None draws none.
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
        _label_steps(axis)
    return figure


def _grid(panels: int, columns: int, width: float, height: float, title: str) -> tuple[Figure, np.ndarray]:
    """Return a figure with places for so many panels of this size (inches), and its axes, row by row."""
    columns = min(columns, panels)
    rows = math.ceil(panels / columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained"
    )
    figure.suptitle(title)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes.ravel()


def _label_steps(axis: Axes) -> None:
    """Finish a plot over epochs or updates: whole numbers below, a legend, a grid."""
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend()
    axis.grid(alpha=0.3)


def _lines(caption: str | Sequence[str], references: Sequence[str]) -> list[tuple[str, dict]]:
    """Return the texts below a picture, wrapped, each with its style."""
    captions = [caption] if isinstance(caption, str) else caption
    weight = {"fontweight": "bold" if references else "normal"}
    lines = [(textwrap.fill(text or "(empty)", WRAP), weight) for text in captions]
    return lines + [(textwrap.fill(f"ref: {text}", WRAP + 4), {"style": "italic"}) for text in references]


def _lit(picture: Image.Image, weights: np.ndarray) -> np.ndarray:
    """Return the picture, dark where the weights are small: uint8 (height, width, 3)."""
    scaled = weights / max(float(weights.max()), 1e-12)
    light = Image.fromarray((255 * scaled).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return (np.asarray(picture) * (0.2 + 0.8 * np.asarray(light, np.float32)[..., None] / 255)).astype(np.uint8)
