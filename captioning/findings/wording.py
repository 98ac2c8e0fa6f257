"""A sentence that was computed, a claim that the numbers confirm or deny, and numbers and names in them."""

import html
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

CONFIRMED, DENIED = "As claimed: ", "Not confirmed here: "
NO_TRUTH = "The truth about these pictures is not known, so no caption is checked."


class Finding(str):
    """A text that notebooks show as a paragraph instead of a quoted string."""

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self)}</p>"


def claim(holds: bool, numbers: str, otherwise: str) -> Finding:
    """Return whether a claim holds, with the numbers that decide.

    Args:
        holds: what the numbers say.
        numbers: the sentence that tells them; it reads rightly in both cases.
        otherwise: what it means where the claim does not hold.
    """
    return Finding(CONFIRMED + numbers if holds else f"{DENIED}{numbers} {otherwise}")


def listed(names: Iterable[str]) -> str:
    """Return "A", "A and B", "A, B and C"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def counted(number: float, noun: str) -> str:
    """Return "1 caption", "2,000 captions"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(values: ArrayLike, form: str) -> str:
    """Return the least and the greatest as "0.10 to 0.25", or one number where they read alike."""
    return " to ".join(dict.fromkeys(f"{end:{form}}" for end in (np.min(values), np.max(values))))


def percent(share: float | np.number | np.ndarray, digits: int = 1) -> str:
    """Return "58.3 %"; 0 and 100 are said only where nothing and everything is meant."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    text, smallest = f"{100 * share:.{digits}f}", 10.0**-digits
    if share < 1 and float(text) in (0, 100):
        text = f"under {smallest:g}" if float(text) == 0 else f"over {100 - smallest:g}"
    return f"{text} %"
