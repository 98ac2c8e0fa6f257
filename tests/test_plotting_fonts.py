"""Fonts for any script are looked for once, and without one there is one line instead of a flood of warnings."""

import warnings

import matplotlib
import numpy as np
import pytest
from figures import draw
from matplotlib import font_manager

from captioning import plotting

SCRIPTS = {
    "CJK": "一只狗在海滩上奔跑", "HIRAGANA": "いぬ", "DEVANAGARI": "कुत्ता दौड़ता है", "THAI": "สุนัขวิ่ง",
    "HANGUL": "개가 달린다", "emoji": "a 🐕",
}  # fmt: skip


class Font:
    """A font that has the letters of some scripts."""

    scalable = True

    def __init__(self, family, *scripts):
        self.family_name, self.letters = family, {ord(letter) for script in scripts for letter in SCRIPTS[script]}

    def get_char_index(self, code):
        return 5 if code < 256 or code in self.letters else 0


@pytest.fixture
def fonts(monkeypatch):
    """The fonts of a machine, by path, that a test puts there; those that were taken are noted."""
    here, added, real = {}, [], font_manager.get_font
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(here))
    monkeypatch.setattr(font_manager, "get_font", lambda path, **o: here[path] if path in here else real(path, **o))
    monkeypatch.setattr(font_manager.fontManager, "addfont", added.append)
    monkeypatch.setattr(plotting.fonts, "_looked_for", set())
    with matplotlib.rc_context(), warnings.catch_warnings():
        yield here, added


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_font_that_has_the_letters_is_taken(script, fonts, capsys):
    here, added = fonts
    here |= {
        "/latin.ttf": Font("Latin"), "/LastResort.otf": Font("Last Resort", *SCRIPTS),
        "/all.ttf": Font("All", script),
    }  # fmt: skip
    plotting.fonts.find_fonts("a dog", SCRIPTS[script])
    assert added == ["/all.ttf"]
    assert matplotlib.rcParams["font.family"] == ["sans-serif", "All"] and not capsys.readouterr().out


def test_several_scripts_take_as_few_fonts_as_they_need(fonts, capsys):
    here, added = fonts
    here |= {"/1": Font("One", "CJK"), "/2": Font("Two", "CJK", "HIRAGANA", "HANGUL"), "/3": Font("Three", "THAI")}
    plotting.fonts.find_fonts(*SCRIPTS.values())
    assert added == ["/2", "/3"]
    assert capsys.readouterr().out.startswith("No font on this machine has DEVANAGARI letters, emoji and symbols:")
    plotting.fonts.find_fonts(*SCRIPTS.values())
    assert len(added) == 2 and not capsys.readouterr().out  # once


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("figure", ["captions", "attention", "bars", "points"])
@pytest.mark.filterwarnings("error")
def test_without_a_font_there_is_one_line_and_no_flood(script, figure, fonts, files, capsys):
    text = SCRIPTS[script]
    draws = {
        "captions": lambda: plotting.show_captions(files[:1], [text], [[text]], title=text),
        "attention": lambda: plotting.show_attention(files[0], [text], np.full((1, 4), 0.25)),
        "bars": lambda: plotting.plot_bars({text: 0.5}, text),
        "points": lambda: plotting.plot_points({text: (1, 2)}, "x", "y", text),
    }
    for _ in range(2):
        draw(draws[figure]())
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("No font on this machine has ") and script in line and "apt install fonts-noto" in line


def test_a_font_that_cannot_be_read_is_passed_over(fonts, tmp_path, capsys, monkeypatch):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    broken = [str(tmp_path / "broken.ttf"), str(tmp_path / "gone.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: broken)
    plotting.fonts.find_fonts(SCRIPTS["CJK"])
    assert "CJK" in capsys.readouterr().out


def test_latin_letters_look_for_no_font(fonts, monkeypatch, files):
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: pytest.fail("looked for fonts"))
    draw(plotting.show_captions(files[:1], ["Un café à Paris"], [["собака бежит"]]))
