"""One executed notebook as a page that needs neither a network nor a script."""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import nbformat
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from captioning.files import write_text
from captioning.pages.markdown import page_link, to_html

LONG = 40  # lines of a displayed source that are not folded
SERIES_TITLE = "Image captioning"
_CONTENTS = "<!-- contents -->"
# Over nbconvert's own page. Emptied are the blocks that load scripts from a network: RequireJS, MathJax, Mermaid.
_TEMPLATE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_css -%}<style>{{ resources.page_style }}</style>{%- endblock -%}
{%- block body_header -%}{{ super() }}{{ resources.page_links }}{{ resources.page_contents }}{%- endblock -%}
{%- block body_footer -%}{{ resources.page_links | replace("above", "below") }}{{ super() }}{%- endblock -%}
{%- block data_svg scoped -%}{{ output | picture('image/svg+xml') }}{%- endblock -%}
{%- block data_png scoped -%}{{ output | picture('image/png') }}{%- endblock -%}
{%- block data_jpg scoped -%}{{ output | picture('image/jpeg') }}{%- endblock -%}
{%- block data_html scoped -%}
{%- set names = output | long_source -%}
{%- if names -%}<details class="source jp-OutputArea-output"><summary>{{ names }}</summary>{%- endif -%}
{{ super() }}
{%- if names -%}</details>{%- endif -%}
{%- endblock -%}
"""
# Some colors of nbconvert's have less contrast than the 4.5 that WCAG 2 asks for; its links in text are only colored.
STYLE = """
body {
  max-width: 1120px; margin: auto;
  --jp-mirror-editor-comment-color: #2b6868; --jp-mirror-editor-operator-color: #8a00dd;
  --jp-mirror-editor-number-color: #006600; --jp-cell-prompt-not-active-opacity: 1;
}
.jp-RenderedMarkdown.jp-MarkdownOutput { overflow: visible; }
.jp-RenderedMarkdown.jp-MarkdownOutput a:link { text-decoration: underline; }
.jp-RenderedMarkdown.jp-MarkdownOutput pre { white-space: pre-wrap; }
.wide { overflow-x: auto; }
.jp-OutputArea-output pre { white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; }
.jp-OutputArea-output .highlight pre, details.source summary, code.formula { font-family: var(--jp-code-font-family); }
.jp-OutputArea-output .highlight pre, details.source summary { font-size: var(--jp-code-font-size); line-height: 1.3; }
.jp-RenderedImage img { max-width: 100%; }
details.source summary { cursor: pointer; padding: 4px 0; }
math { font-size: 1.15em; }
math[display="block"] { margin: 0.8em 0; }
nav { font-family: system-ui, sans-serif; font-size: 15px; margin: 16px 0 16px 76px; }
nav a, a[data-page] { color: var(--jp-content-link-color); }
nav.series { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 24px; }
nav ul { columns: 3; margin: 8px 0; padding-left: 20px; }
@media (max-width: 800px) { nav { margin-left: 8px; } nav ul { columns: 1; } }
"""


def write_page(notebook: Path, series: Sequence[str] = ()) -> Path:
    """Write an executed notebook as HTML beside it, its streams as a terminal showed them in the end; return the page.

    Names of the series are links to pages of these names. Progress bars become one line each, also in the notebook.
    """
    node = nbformat.read(notebook, as_version=4)
    node, _ = CoalesceStreamsPreprocessor(enabled=True)(node, {})
    write_text(notebook, nbformat.writes(node) + "\n")
    write_text(page := notebook.with_suffix(".html"), _page(node, notebook.stem, series))
    return page


def title_of(node: nbformat.NotebookNode) -> str:
    """Return the first heading of a notebook as plain text."""
    found = re.search(r"^# +(.+)$", "\n".join(c.source for c in node.cells if c.cell_type == "markdown"), re.MULTILINE)
    return re.sub(r"[`*_$]", "", found[1]).strip() if found else "Notebook"


def _page(node: nbformat.NotebookNode, name: str, series: Sequence[str]) -> str:
    title = title_of(node)
    node.metadata["title"] = f"{title} - {SERIES_TITLE}"
    exporter = _Exporter(series)
    resources = {"page_style": STYLE, "page_links": _links(name, series), "page_contents": _CONTENTS}
    body, _ = exporter.from_notebook_node(node, resources)
    items = "".join(f"<li>{link}</li>" for level, link in exporter.headings if level == 2)
    folded = f"<details open><summary>Contents</summary><ul>{items}</ul></details>"
    contents = f'<nav class="contents" aria-label="Contents">{folded}</nav>'
    return body.replace(_CONTENTS, contents if items else "", 1)


class _Exporter(HTMLExporter):
    """nbconvert's exporter with our text cells, figures and folded sources."""

    def __init__(self, series: Sequence[str]):
        super().__init__(raw_template=_TEMPLATE)
        self.series = series
        self.headings: list[tuple[int, str]] = []
        self.register_filter("picture", self._picture)
        self.register_filter("long_source", _long_source)

    @pass_context
    def markdown2html(self, context: Mapping, source: str) -> str:
        """Return a text cell as HTML and note its headings."""
        drawn, headings = to_html(source, self.series, context.get("cell", {}).get("attachments", {}))
        self.headings += headings
        return drawn

    def _picture(self, output: nbformat.NotebookNode, kind: str) -> str:
        """Return a figure; one without a description is described by the section that it is in."""
        about = output.metadata.get(kind, {})
        sizes = "".join(f' {side}="{int(about[side])}"' for side in ("width", "height") if side in about)
        data = output.data[kind] if kind != "image/svg+xml" else base64.b64encode(output.data[kind].encode()).decode()
        source = f"data:{kind};base64,{html.escape(data.strip())}"
        section = re.sub("<[^>]+>", "", self.headings[-1][1]) if self.headings else SERIES_TITLE
        alt = html.escape(about.get("alt", f"Figure of the section: {html.unescape(section)}"))
        return f'<div class="jp-RenderedImage jp-OutputArea-output"><img src="{source}" alt="{alt}"{sizes}></div>'


def _long_source(output: nbformat.NotebookNode) -> str:
    """Return what a displayed source of more than `LONG` lines defines, as the line that unfolds it."""
    source = output.data.get("text/plain", "")
    lines = source.count("\n") + 1
    if 'class="highlight"' not in output.data["text/html"] or lines <= LONG:
        return ""
    names = [kind + name for kind, name in re.findall(r"^ *(?:def +|(class ) *)(\w+)", source, re.MULTILINE)]
    return html.escape(f"{', '.join(names) or 'Source'} ({lines} lines)")


def _links(name: str, series: Sequence[str]) -> str:
    """Return the links to the page before, to the index and to the page after."""
    before, after = (dict(pairs).get(name, "") for pairs in (pairwise(series[::-1]), pairwise(series)))
    back, on = page_link(before, series, f"← {before}"), page_link(after, series, f"{after} →")
    index = '<a href="index.html">all notebooks</a>'
    return f'<nav class="series" aria-label="Other notebooks, above"><span>{back}</span>{index}<span>{on}</span></nav>'
