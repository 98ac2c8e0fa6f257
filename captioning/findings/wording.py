"""Numbers and names in a sentence."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike


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
