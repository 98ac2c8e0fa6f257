"""The files that the server of these tests holds, and what it was asked for."""

import hashlib
import random
import time

BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
LONGER = random.Random(3).randbytes(400_000)
MD5 = hashlib.md5(BODY).hexdigest()


def starts(server, path="/a"):
    return [seen.start for seen in server.of(path)]


def several(server, folder, count):
    """Let the server offer so many files; return what `fetch_many` is asked for."""
    server.files |= {f"/{index}": BODY[:1000] for index in range(count)}
    return [(server.url(f"/{index}"), folder / str(index)) for index in range(count)]


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def left_in(folder):
    """Return what is left once those that were under way have come to their end."""
    ends = time.monotonic() + 5
    empty = 0
    while empty < 10 and time.monotonic() < ends:
        empty = 0 if files_in(folder) else empty + 1
        time.sleep(0.02)
    return files_in(folder)
