"""Aligned lines of text, which notebooks show as they are."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Lines(str):
    """A text that notebooks show as its lines instead of one quoted string; wide ones scroll and are not broken."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        font = "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)"
        style = f"white-space: pre; overflow-x: auto; {font}"
        return f'<pre tabindex="0" style="{style}">{html.escape(self)}</pre>'  # the keyboard can scroll it, too


def aligned(rows: Sequence[Sequence[str]]) -> Lines:
    """Return the rows as lines with columns of one width; numbers below a heading are aligned on the right."""
    columns = [_padded(column) for column in zip(*rows, strict=True)]
    return Lines("\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True)))


def _padded(column: Sequence[str]) -> list[str]:
    width, numbers = max(map(len, column)), all(re.fullmatch(r"[\d,.]+|-", text) for text in column[1:])
    return [text.rjust(width) if numbers else text.ljust(width) for text in column]


def short_path(path: Path | str) -> str:
    """Return a path as text, seen from the user's home if it is inside."""
    path = Path(path)
    return f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else str(path)


def reason(error: Exception) -> str:
    """Return in one line what an error says; of a file that the system refuses, its path and why."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:  # instead of "[Errno 13] Permission denied: 'path'"
        text = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return " ".join(text.split())


def printable(text: str) -> str:
    """Return a text in one line that any terminal takes: names of files may hold line ends and commands."""
    return re.sub(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
