"""Photos that people give: paths, folders, addresses; as they are, and as records like those of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from captioning import images
from captioning.datasets.records import Record
from captioning.fetching.photo import ADDRESS, WebPhoto
from captioning.images import ImageError, Picture

if TYPE_CHECKING:
    from captioning.bundle import Answer, Bundle


@dataclass
class Photo:
    """A photo that is no file; every model and figure reads it, and its name is shown, never opened as a path."""

    name: str
    source: WebPhoto | IO[bytes] | None = field(default=None, repr=False)  # read once
    content: bytes | None = field(default=None, repr=False)
    problem: Exception | None = None  # why there is no content

    def __str__(self) -> str:
        return self.name

    def read(self, limit: int = -1) -> bytes:
        """Return the bytes from the start, at most `limit` of them, or raise the error why there is no photo."""
        if self.content is None and self.source and not self.problem:
            try:
                self.content = self.source.read(limit)
            except (OSError, ValueError) as error:
                self.problem = error
        if self.problem or self.content is None:
            raise self.problem or ImageError(f"{self.name} is no longer there.")
        return self.content if limit < 0 else self.content[:limit]


def given(pictures: Picture | Iterable[Picture], allow_private: bool = False) -> Iterator[Picture]:
    """Yield the photos that people mean, folders as their photos; nothing is read yet.

    Args:
        pictures: a path, a folder, an http(s) address, or several of these, or other pictures. What is no photo is
            yielded, too, and tells why as it is read.
        allow_private: fetch photos from addresses of this machine and its network, too.
    """
    for picture in [pictures] if isinstance(pictures, str | os.PathLike) else images.each(pictures):
        if not isinstance(picture, str | os.PathLike):
            yield picture
        elif ADDRESS.match(os.fspath(picture)):
            web = WebPhoto(os.fspath(picture), allow_private)
            yield Photo(web.name, web)
        else:
            try:
                yield from images.each(Path(picture).expanduser())
            except (OSError, ValueError) as error:
                yield Photo(os.fspath(picture), problem=error)


def records_of(pictures: Picture | Iterable[Picture]) -> list[Record]:
    """Return photos, see `given`, as records without captions and without truth, which figures and findings take."""
    # No dataset has such files; figures and captioners read them all the same.
    return [Record(number, cast(Path, photo), (), "test") for number, photo in enumerate(given(pictures), start=1)]


def answer(captioner: Bundle, records: Sequence[Record], **options: Any) -> tuple[list[Record], list[Answer]]:
    """Caption photos; return the records of those that can be read, and an answer for each of them.

    A line tells of each other one; an ImageError where none can be read.
    """
    read, answers = [], []
    found = captioner.captions([record.file for record in records], keep_errors=True, **options)
    for record, said in zip(records, found, strict=True):
        if isinstance(said, ImageError):
            print(f"Left out: {said}")
        else:
            read.append(record)
            answers.append(said)
    if not read:
        raise ImageError(f"Of the photos given, {len(records)}, none can be read.")
    return read, answers
