"""The index of a run: what each notebook is about, how long it took, how it ended."""

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
from PIL import Image

from captioning.files import write_text
from captioning.pages.markdown import to_html
from captioning.pages.page import SERIES_TITLE, title_of

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 960px; margin: 32px auto; padding: 0 16px; color: #222; }}
li {{ display: grid; grid-template-columns: 240px 1fr; gap: 24px; margin: 0 0 28px; list-style: none; }}
ol {{ padding: 0; }} h2 {{ font-size: 19px; margin: 0; }} p {{ margin: 4px 0; }}
img {{ width: 240px; max-height: 180px; object-fit: cover; object-position: left top; border: 1px solid #ddd; }}
.state {{ color: #555; font-size: 14px; }} .failed {{ color: #a00; font-weight: bold; }}
@media (max-width: 640px) {{ li {{ grid-template-columns: 1fr; gap: 8px; }} }}
</style></head><body><main><h1>{title}</h1><p>{summary}</p><ol>
{items}
</ol></main></body></html>
"""
_ITEM = """<li id="{name}"><div>{picture}</div>
<div><h2>{title}</h2><p>{about}</p><p class="state{bad}">{state}</p></div></li>"""


class _State(NamedTuple):
    """How the last run of a notebook ended, for a reader."""

    text: str
    seconds: float = 0.0
    bad: bool = False


def write_index(folder: Path, notebooks: Sequence[Path], dataset: str) -> Path:
    """Write the index of a run's folder and return it; links of its pages to one that is missing lead there.

    Given are the notebooks of the series in their order; those without an executed copy are listed as not run.
    """
    copies = [_read(folder / notebook.name) for notebook in notebooks]
    states = [_state(copy, (folder / file.name).exists()) for file, copy in zip(notebooks, copies, strict=True)]
    items = [_item(*of_one, folder) for of_one in zip(notebooks, copies, states, strict=True)]
    ended = sum(state.seconds > 0 and not state.bad for state in states)
    summary = f"{ended} of {len(states)} notebooks, {_time(sum(state.seconds for state in states))}."
    title = html.escape(f"{SERIES_TITLE}: {dataset}")
    write_text(index := folder / "index.html", _PAGE.format(title=title, summary=summary, items="\n".join(items)))
    for page in folder.glob("[0-9]*.html"):
        text = page.read_text(encoding="utf-8")
        if (linked := _linked(text, folder)) != text:
            write_text(page, linked)
    return index


def _read(file: Path) -> nbformat.NotebookNode | None:
    try:
        return nbformat.read(file, as_version=4)
    except (OSError, ValueError):  # not there, or cut off
        return None


def _state(executed: nbformat.NotebookNode | None, begun: bool) -> _State:
    if executed is None:
        return _State("Stopped before its first cell ended.", bad=True) if begun else _State("Not run yet.")
    about = executed.metadata.get("papermill", {})
    seconds = about.get("duration") or 0.0
    if about.get("exception"):
        return _State(f"FAILED after {_time(seconds)}.", seconds, bad=True)
    if not about.get("end_time"):
        return _State("Interrupted.", bad=True)
    return _State(_time(seconds), seconds)


def _time(seconds: float) -> str:
    short = f"{seconds:.0f} second{'s' * (round(seconds) != 1)}"
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else short


def _item(notebook: Path, executed: nbformat.NotebookNode | None, state: _State, folder: Path) -> str:
    source = nbformat.read(notebook, as_version=4)  # a copy that failed begins with the error
    title, about = html.escape(title_of(source)), _first_sentence(source)
    if (folder / f"{notebook.stem}.html").exists():
        title = f'<a href="{notebook.stem}.html">{title}</a>'
    picture = _thumbnail(executed) if executed else ""
    bad = " failed" if state.bad else ""
    return _ITEM.format(name=notebook.stem, picture=picture, title=title, about=about, bad=bad, state=state.text)


def _first_sentence(node: nbformat.NotebookNode) -> str:
    text = next((cell.source for cell in node.cells if cell.cell_type == "markdown"), "")
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if part.strip() and not part.startswith("#")]
    sentence = re.split(r"(?<=[.!?])\s", paragraphs[0])[0] if paragraphs else ""
    return re.sub(r"</?p>", "", to_html(sentence)[0]).strip()


def _thumbnail(executed: nbformat.NotebookNode) -> str:
    """Return the figure with most in it, made small: pictures take more bytes than curves do."""
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    if not figures:
        return ""
    best = max(figures, key=lambda output: len(output.data["image/png"]))
    figure = Image.open(io.BytesIO(base64.b64decode(best.data["image/png"]))).convert("RGB")
    figure.thumbnail((480, 480))
    small = io.BytesIO()
    figure.save(small, "JPEG", quality=80)
    alt = html.escape(best.metadata.get("image/png", {}).get("alt", "A figure of the notebook"))
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(small.getvalue()).decode()}" alt="{alt}">'


def _linked(page: str, folder: Path) -> str:
    """Return a page whose links to other pages lead to the index where there is no such page."""

    def target(found: re.Match) -> str:
        name = found[1]
        place = f"{name}.html" if (folder / f"{name}.html").exists() else f"index.html#{name}"
        return f'<a data-page="{name}" href="{place}"'

    return re.sub(r'<a data-page="([^"]*)" href="[^"]*"', target, page)
