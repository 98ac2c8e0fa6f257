"""A sentence that was computed, and a claim that the numbers confirm or deny."""

import html

CONFIRMED, DENIED, OPEN = "As claimed: ", "Not confirmed here: ", "Too little to tell: "
NO_TRUTH = "The truth about these pictures is not known, so no caption is checked."


class Finding(str):
    """A text that notebooks show as a paragraph instead of a quoted string."""

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self)}</p>"


def claim(holds: bool | None, numbers: str, otherwise: str) -> Finding:
    """Return whether a claim holds, with the numbers that decide.

    Args:
        holds: what the numbers say; None where there are too few to say anything.
        numbers: the sentence that tells them; it reads rightly in all cases.
        otherwise: what it means where the claim does not hold.
    """
    if holds is None:
        return Finding(OPEN + numbers)
    return Finding(CONFIRMED + numbers if holds else f"{DENIED}{numbers} {otherwise}")
