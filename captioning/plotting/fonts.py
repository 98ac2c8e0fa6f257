"""Fonts for any script: matplotlib's own has Latin, Greek and Cyrillic letters only."""

import logging
import unicodedata
import warnings

import matplotlib.pyplot as plt
from matplotlib import font_manager

_looked_for: set[str] = set()  # letters for which a font was looked for


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
