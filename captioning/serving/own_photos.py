"""Photos that a reader gives, as records: figures and findings take them like those of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from captioning import images
from captioning.bundle import Answer, Bundle
from captioning.datasets.dataset import Record
from captioning.fetching.photo import ADDRESS, WebPhoto
from captioning.images import ImageError, Picture
from captioning.images.opening import LIMIT


@dataclass(frozen=True)
class Photo:
    """A photo in memory; its name is shown, and never opened as a path."""

    name: str
    content: bytes = field(repr=False)
    problem: ValueError | None = None  # why there is no content

    def __str__(self) -> str:
        return self.name

    def read(self, limit: int = -1) -> bytes:
        """Return the bytes from the start, at most `limit` of them: every figure and every model reads them again.

        Raises:
            ValueError: the photo could not be fetched.
        """
        if self.problem:
            raise self.problem
        return self.content if limit < 0 else self.content[:limit]


def records_of(pictures: Picture | Iterable[Picture]) -> list[Record]:
    """Return photos as records without captions and without truth; what is at an address is fetched once.

    Args:
        pictures: a path, a folder, an address, or several of these. One that cannot be read is a record, too, whose
            error comes when it is captioned.

    Raises:
        ImageError: a folder without photos.
        TypeError: they are no pictures.
    """
    return [Record(number, _kept(each), (), "test") for number, each in enumerate(images.each(pictures), start=1)]


def answer(captioner: Bundle, records: Sequence[Record], **options) -> tuple[list[Record], list[Answer]]:
    """Caption photos; a line for each one that cannot be read, which is left out.

    Args:
        captioner: the model.
        records: the photos.
        options: for `Bundle.captions`.

    Returns:
        The records of photos that can be read, and an answer for each of them.

    Raises:
        ImageError: none can be read.
    """
    found = list(captioner.captions([record.file for record in records], keep_errors=True, **options))
    for error in (each for each in found if isinstance(each, ImageError)):
        print(f"Left out: {error}")
    read = [pair for pair in zip(records, found, strict=True) if isinstance(pair[1], Answer)]
    if not read:
        raise ImageError(f"Of the photos given, {len(records)}, none can be read.")
    return [record for record, _ in read], [answer for _, answer in read]


def _kept(picture: Picture) -> Picture:
    """Return a picture in such a way that it can be read several times without a network."""
    if isinstance(picture, str) and ADDRESS.match(picture):
        picture = WebPhoto(picture)
    if not isinstance(picture, WebPhoto):
        return picture
    try:
        return Photo(picture.name, picture.read(LIMIT))
    except ValueError as error:
        return Photo(picture.name, b"", error)
