"""What the command says of each photo: a line, a JSON object or a CSV row, as soon as it is known."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from captioning.lines import reason

if TYPE_CHECKING:
    from captioning.bundle import Answer
    from captioning.images import Picture

MANY, EVERY = 50, 10  # photos from which on progress is told where nobody may be watching, and seconds between


class Report:
    """Writes one record per photo in one of three forms; failures go to stderr in each of them."""

    def __init__(self, form: str, n: int, out: TextIO, arrow: str = "\t", attention: bool = False):
        """Begin a report in the form text (with the arrow after the photo), json or csv, of up to `n` captions each.

        With `attention` there is a field for the picture of where the model looked.
        """
        self.form, self.out, self.arrow, self.failed = form, out, arrow, 0
        self.attention = attention
        if form == "csv":
            more = [f"{field}_{place}" for place in range(2, n + 1) for field in ("caption", "log_probability")]
            known = "file", "caption", "log_probability", "per_word", "below"
            fields = (*known, *more, *["attention"] * attention, "error")
            self.rows = csv.DictWriter(out, fields, extrasaction="ignore", lineterminator="\n")
            self.rows.writeheader()

    def add(self, name: str, answer: Answer | Exception, drawn: str | None = None) -> None:
        """Tell of the next photo: its answer, or the error that there was instead."""
        said, known = None, None if isinstance(answer, Exception) else answer
        if isinstance(answer, Exception):
            self.failed += 1
            said = reason(answer)
            said = _one_line(said if name in said else f"{name}: {said}")
            tqdm.write(f"captioning: {said}", file=sys.stderr)
        candidates = [vars(candidate) for candidate in known.candidates] if known else []
        best = candidates[0] if known else dict.fromkeys(("caption", "log_probability", "per_word"))
        record = {"file": name, **best, "below": known.below if known else None, "candidates": candidates}
        record |= {"error": said} | ({"attention": drawn} if self.attention else {})
        if self.form == "json":
            print(json.dumps(record, ensure_ascii=False), file=self.out, flush=True)
        elif self.form == "csv":
            for place, other in enumerate(record["candidates"][1:], 2):
                record |= {f"{field}_{place}": other[field] for field in ("caption", "log_probability")}
            self.rows.writerow(record)
            self.out.flush()
        elif known:
            captions = (candidate["caption"] for candidate in candidates)
            print(_one_line(name) + self.arrow + "\t".join(captions), file=self.out, flush=True)


def _one_line(name: str) -> str:
    """Return a file name without line breaks, tabs and other control characters, which are written as escapes."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], name)


def progress(photos: Sequence[Picture], out: TextIO) -> Iterator[Picture]:
    """Yield the photos; show on stderr how far it is, unless there are few or the lines of the report show it."""
    if sys.stderr.isatty():
        yield from tqdm(photos, file=sys.stderr, disable=out.isatty(), mininterval=0.5, leave=False, unit=" photos")
        return
    last = time.monotonic()
    for number, photo in enumerate(photos):  # in lines of their own, for a log
        if len(photos) > MANY and time.monotonic() - last >= EVERY:
            last = time.monotonic()
            print(f"captioning: {number:,} of {len(photos):,} photos", file=sys.stderr, flush=True)
        yield photo
