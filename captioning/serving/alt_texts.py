"""The pictures of HTML and Markdown pages that have no alt text, and captions as alt texts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import mistune

from captioning.files import DamagedError
from captioning.images import ImageError, Picture
from captioning.serving.own_photos import Photo, given

if TYPE_CHECKING:
    from captioning.bundle import Answer

HTML, MARKDOWN = (".html", ".htm", ".xhtml"), (".md", ".markdown")
# What a screen reader says of every picture anyway.
_PICTURE = r"an? (?:picture|photo|photograph|image) of"
_PICTURE_OF = re.compile(rf"^{_PICTURE}\s+(?=\S)|\s+{_PICTURE}$")

_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n.*?^---[ \t]*$", re.DOTALL | re.MULTILINE)  # settings of Jekyll or Hugo


def alt_text(caption: str) -> str:
    """Return a caption as a sentence, without "a picture of"; nothing remains of an empty one."""
    text = _PICTURE_OF.sub("", caption.strip())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) or not text else ".")


def as_alt_texts(answer: Answer) -> Answer:
    """Return the answer with each caption as an alt text."""
    candidates = (replace(candidate, caption=alt_text(candidate.caption)) for candidate in answer.candidates)
    return replace(answer, candidates=tuple(candidates))


def pages_of(place: Path) -> list[Path]:
    """Return the page itself, or the pages in a folder and the folders in it, sorted; hidden ones are passed over."""
    if not place.is_dir():
        return [place] if place.suffix.lower() in HTML + MARKDOWN else []
    found = []
    for folder, names, files in os.walk(place):
        names[:] = [name for name in names if not name.startswith(".") and name != "node_modules"]
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted(file for file in found if file.suffix.lower() in HTML + MARKDOWN)


def where(page: Path, address: str, root: Path) -> Path | str | None:
    """Return the file of a picture, or its http or https address; None for what is neither, such as a data: URI.

    The address is as the page writes it; one with a slash at the beginning counts from the root.
    """
    address = address.strip()
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme in ("http", "https"):
        return address
    if parts.netloc and not parts.scheme:  # //host/photo.jpg, by the page's own protocol
        return f"https:{address}"
    if parts.scheme or not parts.path:
        return None
    path = unquote(parts.path)
    return Path(os.path.normpath(root / path.lstrip("/") if path.startswith("/") else page.parent / path))


class Page(HTMLParser):
    """The pictures of a page.

    Attributes:
        without: addresses of those that have no alt text, as written.
        described: the number of those that have one, or are marked as decoration by an empty one.
    """

    def __init__(self, file: Path):
        """Read it.

        Raises:
            DamagedError: it is neither in UTF-8 nor, if HTML, in the encoding that it declares.
            OSError: it cannot be read.
        """
        super().__init__()
        self.without: list[str] = []
        self.described = 0
        content, markdown = file.read_bytes(), file.suffix.lower() in MARKDOWN
        declared = None if markdown else _CHARSET.search(content[:1024])
        try:
            text = content.decode(declared[1].decode() if declared else "utf-8-sig")
        except (UnicodeDecodeError, LookupError) as error:
            raise DamagedError(f"{file} is not in UTF-8 ({error}). Save it as UTF-8.") from error
        self.feed(str(_to_html(_FRONT_MATTER.sub("", text))) if markdown else text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an `img`."""
        said = dict(reversed(attrs))  # of an attribute given twice, the first counts
        source = said.get("src") or (said.get("srcset") or "").strip().split(" ")[0].rstrip(",")
        if tag == "img" and "alt" in said:
            self.described += 1
        elif tag == "img" and source:
            self.without.append(source)


class _Renderer(mistune.HTMLRenderer):
    """Leaves the alt attribute away where Markdown has no text: an empty one would mark the picture as decoration."""

    def __init__(self) -> None:
        super().__init__(escape=False)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f'<img src="{mistune.escape(url)}"{" alt" if text.strip() else ""}>'


_to_html = mistune.create_markdown(renderer=_Renderer(), plugins=["table"])


def find(names: Iterable[Picture], allow_private: bool = False) -> tuple[list[Picture], str]:
    """Return the pictures to describe, each once, and a sentence on how many there are in how many pages.

    Given are pages, folders with pages in them or in folders below, and what `own_photos.given` takes: a folder without
    pages gives its photos.
    """
    photos: list[Picture] = []
    pages: list[Page] = []
    seen: set[Path | str] = set()
    for name in names:
        place = Path(str(name))
        files = pages_of(place) if place.exists() else []
        photos += [] if files else given([name], allow_private)
        for file in files:
            try:
                pages.append(page := Page(file))
            except (OSError, ValueError) as error:
                photos.append(Photo(str(file), problem=ImageError(str(error))))
                continue
            for address in dict.fromkeys(page.without):
                found = where(file, address, place if place.is_dir() else file.parent)
                if isinstance(found, Path) and not found.is_file():
                    photos.append(
                        Photo(f"{file}: {address}", problem=ImageError(f"{file}: {address}: {found} is missing"))
                    )
                elif found and found not in seen:
                    seen.add(found)
                    photos += given([found], allow_private)
    without, described = sum(len(page.without) for page in pages), sum(page.described for page in pages)
    if not pages:
        return photos, ""
    return photos, f"{len(pages)} page{'s' * (len(pages) > 1)}, pictures: {without} without alt text, {described} with."
