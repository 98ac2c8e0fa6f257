"""Text cells as HTML: formulas as MathML, names of notebooks as links, headings noted for the contents."""

import html
import re
from collections.abc import Container, Mapping
from pathlib import PurePosixPath
from typing import Any, ClassVar

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath, MathBlockParser, MathInlineParser

_PRIMED = re.compile(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>")
# Not the base of an exponent, where another element would be taken for the exponent.
_NAME_OF_FUNCTION = re.compile(r"(?<!<msup>)(?<!<msub>)(<m[io]>[a-z]{2,}</m[io]>)(?=<m[ins])")

_WIDE = '<div class="wide" tabindex="0">{}</div>'  # wider than a phone: scrolled by itself, from the keyboard, too


def formula(tex: str, display: str = "inline") -> str:
    """Return TeX as MathML, which browsers draw themselves; what cannot be converted stays readable as TeX."""
    try:
        drawn = convert(tex, display=display)
    except Exception:  # of many kinds, some of them Python's own
        drawn = "\\"
    if "\\" in drawn:  # an unknown command is passed on as its name
        return f'<code class="formula">{html.escape(tex.strip())}</code>'
    drawn = _PRIMED.sub(r'<mrow>\1<mo lspace="0" rspace="0">&#x02032;</mo></mrow>', drawn)  # a prime is raised already
    return _NAME_OF_FUNCTION.sub(r'\1<mspace width="0.17em"/>', drawn)


class _Block(MathBlockParser):
    """A formula of its own begins and ends a line: dollars in code are none."""

    SPECIFICATION: ClassVar = MathBlockParser.SPECIFICATION | {
        "multiline_math": r"^ {0,3}\$\$(?P<math_body>[^$`]+)\$\$[ \t]*$"
    }


class _Inline(MathInlineParser):
    """A formula in a line has no space inside of its dollars and no digit behind them: prices are none."""

    SPECIFICATION: ClassVar = MathInlineParser.SPECIFICATION | {
        "block_math_tex": r"(?<!\\)\$\$(?P<math_block_tex>[^$`]+)\$\$",
        "inline_math_tex": r"(?<![$\\])\$(?P<math_inline_tex>(?!\s)[^$`]+)(?<![\s\\])\$(?![$\d])",
    }


class _Renderer(IPythonRenderer):
    def __init__(self, series: Container[str], attachments: Mapping):
        super().__init__(escape=False, attachments=dict(attachments))
        self.series = series
        self.headings: list[tuple[int, str]] = []

    def block_math(self, body: str) -> str:
        return _WIDE.format(formula(body, "block"))

    def table(self, text: str) -> str:
        return _WIDE.format(f"<table>\n{text}</table>")

    def inline_math(self, body: str) -> str:
        return formula(body)

    def codespan(self, text: str) -> str:
        return page_link(text, self.series, super().codespan(text)) or super().codespan(text)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return page_link(url, self.series, text) or super().link(text, url, title)

    def heading(self, text: str, level: int, **attributes: Any) -> str:
        drawn = super().heading(text, level, **attributes)
        if place := re.search(r'id="([^"]*)"', drawn):
            self.headings.append((level, f'<a href="#{place[1]}">{text}</a>'))
        return drawn


def page_link(name: str, series: Container[str], text: str) -> str:
    """Return a text as a link to a notebook's page or a section of it; nothing if the series has none of that name."""
    file, mark, section = name.partition("#")
    stem = PurePosixPath(file).name.removesuffix(".ipynb")
    return f'<a data-page="{stem}" href="{stem}.html{mark}{section}">{text}</a>' if stem in series else ""


def to_html(text: str, series: Container[str] = (), attachments: Mapping | None = None) -> tuple[str, list]:
    """Return a text cell, Markdown with TeX, as HTML, and (level, link) of each heading.

    Where a notebook of the series is named, its page is linked.
    """
    renderer = _Renderer(series, attachments or {})
    drawn = MarkdownWithMath(renderer, block=_Block(), inline=_Inline(hard_wrap=False)).render(text)
    return drawn, renderer.headings
