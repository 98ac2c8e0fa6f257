"""Every figure of the series: pictures with captions, attention maps, curves and bars."""

from __future__ import annotations

import logging
import math
import textwrap
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from captioning.images import open_image
from captioning.training.history import History

WRAP = 38  # letters per line below a picture of a three-column grid
NEAR = 600  # pixels: no panel of a grid shows more
_looked_for: set[str] = set()  # letters for which a font was looked for


def show_captions(
    files: Sequence[Path | str],
    captions: Sequence[str | Sequence[str]],
    references: Sequence[Sequence[str]] | None = None,
    title: str = "",
    columns: int = 3,
    checks: Sequence[str | Sequence[str]] | None = None,
) -> Figure:
    """Draw a grid of pictures with captions below.

    Args:
        files: the pictures.
        captions: one caption, or several, per picture.
        references: what people wrote; set in italics behind "ref:", so that color is not needed to tell them apart.
        columns: pictures per row.
        checks: for each caption what `evaluation.check` says of it; empty where nothing is known.

    Raises:
        ValueError: there is no picture, or not one caption and one list of references for each.
    """
    references = [()] * len(files) if references is None else references
    if not len(files) or not len(files) == len(captions) == len(references):
        raise ValueError(f"{len(files)} pictures, {len(captions)} captions, {len(references)} lists of references.")
    texts = [_lines(caption, refs) for caption, refs in zip(captions, references, strict=True)]
    find_fonts(title, *(text for lines in texts for text, _ in lines))
    tallest = max(sum(1 + text.count("\n") for text, _ in lines) for lines in texts)
    figure, axes = _grid(len(files), columns, 4, 3.2 + 0.2 * tallest, title)
    for axis, file, lines in zip(axes, files, texts, strict=False):
        axis.imshow(open_image(file, NEAR))
        offset = -4.0
        for text, style in lines:
            axis.annotate(text, (0.0, 0.0), (0, offset), xycoords="axes fraction", textcoords="offset points",
                          va="top", fontsize=9, parse_math=False, **style)  # fmt: skip
            offset -= 12.5 * (1 + text.count("\n"))
        # Invisible text, a little higher than the lines above, keeps the rows of the grid apart.
        axis.set_title("\n" * tallest, fontsize=9, y=0, va="top", linespacing=1.5)
    return figure


def show_attention(
    file: Path | str,
    words: Sequence[str],
    attention: np.ndarray,
    title: str = "",
    columns: int = 5,
    boxes: Mapping[int, Sequence[float]] | None = None,
) -> Figure:
    """Draw where the decoder looks for each word, as light on the darkened picture.

    Args:
        file: the picture.
        words: of the caption.
        attention: (words, regions), rows summing to 1; the regions form a square grid, row by row.
        columns: pictures per row.
        boxes: number of a word -> (left, top, right, bottom) of what it names, as shares of the width and height.

    Raises:
        ValueError: rows and words differ in number, or the regions form no square.
    """
    if len(words) != len(attention):
        raise ValueError(f"{len(words)} words but {len(attention)} rows of attention.")
    side = math.isqrt(attention.shape[-1])
    if side * side != attention.shape[-1]:
        raise ValueError(f"{attention.shape[-1]} regions form no square grid.")
    find_fonts(title, *words)
    picture = open_image(file, NEAR)
    panels = [("the picture", None), *zip(words, attention, strict=True)]
    figure, axes = _grid(len(panels), columns, 2.6, 2.6, title)
    for axis, (word, weights) in zip(axes, panels, strict=False):
        axis.set_title(word, fontsize=11, parse_math=False)  # a caption may hold dollars
        axis.imshow(picture if weights is None else _lit(picture, weights.reshape(side, side)))
    return figure


def plot_history(histories: Mapping[str, History], title: str = "") -> Figure:
    """Draw loss, accuracy and free-running CIDEr per epoch of one run or several, and mark the epoch that was kept.

    Args:
        histories: name of the run -> its rows; train dashed, validation solid.
        title: of the figure.
    """
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    figure.suptitle(title)
    for name, history in histories.items():
        epochs = [row["epoch"] + 1 for row in history]
        for axis, measure in zip(axes, ("loss", "accuracy", "CIDEr"), strict=True):
            for key, style in ((measure, "C0o--"), (f"val_{measure}", "C1s-")):
                if key in history[0]:
                    axis.plot(epochs, [row[key] for row in history], style, label=f"{name} {key}", markersize=4)
            axis.set(xlabel="epoch", title=measure)
            _label_steps(axis)
    return figure


def plot_bars(
    values: Mapping[str, float],
    title: str,
    label: str = "",
    intervals: Mapping | None = None,
    baselines: Sequence[str] = (),
) -> Figure:
    """Draw horizontal bars in the order given, with error bars from `intervals`: name -> (low, high).

    Names in `baselines` are drawn so that they are told apart without color.
    """
    names, lengths = list(values), np.array(list(values.values()))
    find_fonts(title, *names)
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


def show_similarities(files: Sequence[Path | str], similarities: np.ndarray, title: str = "") -> Figure:
    """Draw a table of how alike pictures are, (pictures, pictures), with their thumbnails at both sides."""
    figure, axis = plt.subplots(layout="constrained")
    axis.imshow(similarities, cmap="Greys", vmin=-1, vmax=1)
    axis.set_title(title)
    return figure


def plot_curves(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    step: str,
    title: str = "",
    limits: Mapping[str, float] | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Draw measures over epochs or updates, a panel for each measure and a line for each run.

    Args:
        panels: measure with its unit -> name of the run -> one value per step; runs may end early.
        step: what is counted: epoch, update.
        title: of the figure.
        limits: measure -> a horizontal line.
        logarithmic: the vertical axes.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(6 * len(panels), 3.6), squeeze=False, layout="constrained")
    figure.suptitle(title)
    for axis, (measure, runs) in zip(axes.flat, panels.items(), strict=True):
        for (name, values), style in zip(runs.items(), ("C1x-", "C0o--", "C2s:"), strict=False):
            axis.plot(range(1, len(values) + 1), values, style, label=name, markersize=4)
        if limits and measure in limits:
            axis.axhline(limits[measure], color="black", alpha=0.5, label=f"limit {limits[measure]:g}")
        axis.set(xlabel=step, ylabel=measure, yscale="log" if logarithmic else "linear")
        _label_steps(axis)
    return figure


def plot_points(points: Mapping[str, tuple[float, float]], across: str, up: str, title: str = "") -> Figure:
    """Draw named points, such as models by two scores: name -> (value across, value up)."""
    figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
    for name, (x, y) in points.items():
        axis.plot(x, y, "ko")
        axis.annotate(name, (x, y), (5, 5), textcoords="offset points")
    axis.set(xlabel=across, ylabel=up, title=title)
    return figure


def find_fonts(*texts: str) -> None:
    """Let matplotlib fall back to fonts of this machine that have the letters of these texts.

    One line tells the scripts for which there is no font.
    """
    letters = {letter for letter in "".join(texts) if letter.isprintable() and not letter.isspace()} - _looked_for
    _looked_for.update(letters)
    for family in plt.rcParams["font.family"]:
        letters -= _has(font_manager.findfont(font_manager.FontProperties(family=[family])), letters)
    fonts = {path: _has(path, letters) for path in sorted(font_manager.findSystemFonts())} if letters else {}
    for path in sorted(fonts, key=lambda path: -len(fonts[path])):
        if fonts[path] & letters:
            letters -= fonts[path]
            font_manager.fontManager.addfont(path)  # else it knows the fonts that were there when it first ran
            plt.rcParams["font.family"] = [*plt.rcParams["font.family"], font_manager.get_font(path).family_name]
            logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # many have no bold face
    if letters:
        warnings.filterwarnings("ignore", r"Glyph \d+ ", UserWarning)  # one for each letter, each time it is drawn
        print(
            f"No font on this machine has {', '.join(sorted({*map(_script, letters)}))}: figures show boxes. Install "
            "one, for example Noto (on Debian and Ubuntu: apt install fonts-noto-core fonts-noto-cjk), and restart."
        )


def _script(letter: str) -> str:
    symbol = unicodedata.category(letter).startswith("S")
    return "emoji and symbols" if symbol else f"{unicodedata.name(letter, 'unnamed').split()[0]} letters"


def _has(path: str, letters: set[str]) -> set[str]:
    """Return those of the letters that a font can draw."""
    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):
        return set()
    if not font.scalable or "lastresort" in font.family_name.lower().replace(" ", ""):  # boxes for all there is
        return set()
    return {letter for letter in letters if font.get_char_index(ord(letter))}


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
    lines = [(_wrapped(text or "(empty)", WRAP), weight) for text in captions]
    for text in references:  # beyond Greek and Cyrillic, scripts have no italics
        style = {"style": "italic" if max(text, default="") < "\u0530" else "normal"}
        lines.append((_wrapped(f"ref: {text}", WRAP + 4), style))
    return lines


def _wrapped(text: str, width: int) -> str:
    wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in text)  # two columns per letter
    return textwrap.fill(text, width // 2 if wide else width)


def _lit(picture: Image.Image, weights: np.ndarray) -> np.ndarray:
    """Return the picture, dark where the weights are small: uint8 (height, width, 3)."""
    scaled = weights / max(float(weights.max()), 1e-12)
    light = Image.fromarray((255 * scaled).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return (np.asarray(picture) * (0.2 + 0.8 * np.asarray(light, np.float32)[..., None] / 255)).astype(np.uint8)
