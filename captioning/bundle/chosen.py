"""The decoding that the validation pictures chose, as scores.json holds it, which may come from anyone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from captioning.files import DamagedError, read_json
from captioning.tokenizer import Tokenizer

USUAL: dict[str, Any] = {"beam_width": 3, "length_penalty": 0.7, "tried": []}
USUAL |= dict.fromkeys(("may_repeat", "confidences", "consensus"))
MOST_NEIGHBORS = 1000


def whole(name: str, value: Any, most: int) -> int:
    """Return a whole number from 1 to `most`; any other value is a ValueError that says so."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most:,}, not {value!r}.")
    return int(value)


def read_chosen(file: Path, tokenizer: Tokenizer) -> dict:
    """Return the decoding in scores.json; the usual one without it, and with a line that says so where it is damaged.

    Its fields: `beam_width`, `length_penalty`, `may_repeat` (the words that may occur twice; None: all), `tried` (rows
    of width, penalty, CIDEr), `confidences`, `consensus` (None, or how to rerank: `beam_width`, `k`, `mix`, `encoder`,
    `neighbors`, the digest of these). The largest beam width is the number of token ids.
    """
    try:
        chosen = USUAL | read_json(file, "")["decoding"]
        for row in (chosen, *chosen["tried"]):
            whole("beam_width", row["beam_width"], len(tokenizer))
            if not 0 <= row["length_penalty"] < np.inf:
                raise ValueError(f"length_penalty is {row['length_penalty']}")
        best = [float(row["validation_CIDEr"]) for row in chosen["tried"]]
        if not np.isfinite([*best, *(chosen["confidences"] or [])]).all():
            raise ValueError("a number is missing")
        words = chosen["may_repeat"]
        if words is not None and not (isinstance(words, list) and set(words) <= set(tokenizer.vocabulary)):
            raise ValueError("may_repeat is not a list of words of the vocabulary")
        if (rule := chosen["consensus"]) is not None:
            whole("beam_width", rule["beam_width"], len(tokenizer))
            whole("k", rule["k"], MOST_NEIGHBORS)
            if not (
                0 <= rule["mix"] < np.inf and isinstance(rule["encoder"], str) and isinstance(rule["neighbors"], str)
            ):
                raise ValueError(f"consensus is {rule}")
        return chosen
    except FileNotFoundError:
        return USUAL
    except (DamagedError, KeyError, TypeError, ValueError):
        print(
            f"{file} is damaged: captions are decoded with beam width {USUAL['beam_width']}, not with what "
            "validation chose. Run notebooks/11_evaluate.ipynb again."
        )
        return USUAL


def penalty_for(chosen: Mapping, width: int) -> float:
    """Return the length penalty that did best on validation with a beam width, else the chosen one; 0 for greedy.

    Of what was tried, rows count in which words might fall twice, or not (`words_once`), as in the chosen decoding.
    """
    if width == chosen["beam_width"]:
        return chosen["length_penalty"]
    once = chosen["may_repeat"] is not None
    tried = [row for row in chosen["tried"] if row["beam_width"] == width and row.get("words_once", False) is once]
    if tried:
        return max(tried, key=lambda row: row["validation_CIDEr"])["length_penalty"]
    return 0.0 if width == 1 else chosen["length_penalty"] or USUAL["length_penalty"]
