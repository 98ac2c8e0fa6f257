"""Pictures with their captions, what people wrote, and whether a caption is right."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from captioning.images import open_image
from captioning.plotting.grid import NEAR, new_grid

# Told apart by weight and by what is filled, so that they differ in gray too.
FRAME = {"boxstyle": "round,pad=0.2"}
RIGHT = {"color": "#00563F", "bbox": FRAME | {"fc": "white", "ec": "#00563F"}}
WRONG = {"color": "white", "bbox": FRAME | {"fc": "#A31515", "ec": "#A31515"}, "fontweight": "bold"}


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
        captions: one caption, or several, per picture.
        references: what people wrote; set in italics behind "ref:", so that color is not needed to tell them apart.
        checks: for each caption what `evaluation.check` says of it; empty where nothing is known.

    Raises:
        ValueError: there is no picture, or not one caption, one list of references and one check for each.
    """
    references, checks = ([()] * len(files) if given is None else given for given in (references, checks))
    if not len(files) or not len(files) == len(captions) == len(references) == len(checks):
        numbers = f"{len(files)} pictures, {len(captions)} captions, {len(references)} lists of references"
        raise ValueError(f"{numbers}, {len(checks)} checks.")
    texts = [_lines(*each) for each in zip(captions, checks, references, strict=True)]
    pictures = [open_image(file, NEAR) for file in files]
    figure, axes = new_grid(title, pictures, texts, min(columns, len(files)))
    told = []
    for axis, picture, file, lines in zip(axes, pictures, files, texts, strict=True):
        axis.imshow(picture, aspect="auto")
        told.append(f"{Path(getattr(file, 'name', file)).name}: {'; '.join(text.rstrip('.') for text, _ in lines)}.")
    return figure.describe(f"{title or 'Captions'}. Pictures: {len(files)}.", *told)


def _lines(
    captions: str | Sequence[str], checks: str | Sequence[str], references: Sequence[str]
) -> list[tuple[str, dict]]:
    """Return the texts below a picture, each with its style."""
    captions, checks = ([texts] if isinstance(texts, str) else list(texts) for texts in (captions, checks))
    lines: list[tuple[str, dict]] = []
    weight = {"fontweight": "bold" if references and len(captions) == 1 else "normal"}
    for caption, check in zip(captions, checks or [""] * len(captions), strict=True):
        lines.append((caption or "(empty)", weight))
        if check:
            lines.append((check, WRONG if check.startswith("✗") else RIGHT))
    for text in references:  # beyond Greek and Cyrillic, scripts have no italics
        lines.append((f"ref: {text}", {"style": "italic" if max(text, default="") < "\u0530" else "normal"}))
    return lines
