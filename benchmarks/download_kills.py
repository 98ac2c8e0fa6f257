"""Kill downloads at random points, fetch photos from a bad server, and count what it costs.

`python benchmarks/download_kills.py` takes two to five minutes on 2 CPU cores; the server is `tests/server.py`.
"""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from captioning.fetching.asking import BUFFER  # noqa: E402
from captioning.fetching.download import fetch_many  # noqa: E402
from tests.server import Fault, Server  # noqa: E402

MINUTE = 60.0
STARTING = 0.3  # seconds until a process has asked for its first byte


def start(url: str, path: Path) -> subprocess.Popen:
    """Start one download in a process of its own."""
    code = "import sys; from captioning.fetching.download import fetch; fetch(*sys.argv[1:], timeout=10.0)"
    command = [sys.executable, "-c", code, url, str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"NO_PROXY": "127.0.0.1"})


def kill_at_random(url: str, path: Path, size: int, chance: random.Random, by_time: float) -> int | None:
    """Kill a download at a random byte, or at a random moment within `by_time` seconds when that is not 0.

    Returns:
        The bytes on disk after the kill; None when the file has its name already.
    """
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    goal = float("inf") if by_time else chance.uniform(have, size)
    process, deadline = start(url, path), time.monotonic() + (chance.uniform(0, by_time) or MINUTE)
    while process.poll() is None and time.monotonic() < deadline:
        if part.exists() and part.stat().st_size >= goal:
            break
        time.sleep(0.002)
    process.kill()
    if process.wait() == 0 or path.exists():  # a kill after the last byte comes too late
        return None
    return part.stat().st_size if part.exists() else 0


def one_download(server: Server, index: int, size: int, seconds: float, folder: Path) -> dict:
    """Kill one download 1 to 5 times, let it finish, and compare.

    Returns:
        Counts: kills, whether the file is right, bytes that lay on disk and were asked for again, bytes that the server
        sent more than the file has (what was under way at the kills).
    """
    chance = random.Random(index)
    name, path, kills = f"/file{index}.zip", folder / f"file{index}.zip", []
    server.files[name] = chance.randbytes(size)
    for number in range(chance.randint(1, 5)):
        by_time = STARTING + seconds if number and chance.random() < 0.25 else 0.0
        kept = kill_at_random(server.url(name), path, size, chance, by_time)
        if kept is None:
            break
        kills.append(kept)
    code = start(server.url(name), path).wait()
    seen = server.of(name)
    right = code == 0 and path.read_bytes() == server.files.pop(name)
    path.unlink(missing_ok=True)
    starts = [one.start for one in seen]
    again = [kept for kept in kills if kept not in (*starts, size)]  # not continued where the kill left them
    surplus = sum(one.sent for one in seen) - size
    return {"kills": len(kills), "right": right, "asked_again": sum(again), "surplus": surplus}


def kill_run(downloads: int = 100, size: int = 20_000_000, seconds: float = 4.0, at_once: int = 4) -> dict:
    """Kill many downloads.

    The server counts what it has sent, and goes on sending while the system clears a killed process away. At 5 MB/s
    that is next to nothing; at 20 MB/s it can be as much as the buffer itself.

    Args:
        downloads: how many.
        size: bytes of each.
        seconds: how long the server takes for one that is not killed.
        at_once: how many at a time.

    Returns:
        The sums of the counts of `one_download`; the largest surplus per kill of a download and the buffer in bytes, to
        be compared with it; how many downloads were too fast to be killed; files left over.
    """
    with Server() as server, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as pool:
        server.pace = size / seconds
        jobs = [pool.submit(one_download, server, index, size, seconds, Path(folder)) for index in range(downloads)]
        counts = [job.result() for job in jobs]
        rest = os.listdir(folder)
    totals = {name: sum(count[name] for count in counts) for name in counts[0]}
    worst = max(count["surplus"] / max(count["kills"], 1) for count in counts)
    cost = {"surplus_per_kill": worst, "buffer": BUFFER}
    return totals | cost | {"never_killed": sum(not count["kills"] for count in counts), "rest": rest}


def photo(seed: int) -> bytes:
    """Return a small JPEG with noise in it."""
    noise = Image.frombytes("RGB", (96, 64), random.Random(seed).randbytes(96 * 64 * 3))
    file = io.BytesIO()
    noise.save(file, "JPEG", quality=80)
    return file.getvalue()


def verify(path: Path) -> None:
    """Refuse what is no whole photo."""
    with Image.open(path) as image:
        image.load()


# Each is either over after an answer or two, or stays: then the photo cannot be had.
PASSING = {
    "dropped twice": [Fault(drop=1001), Fault(drop=500)],
    "hung up": [Fault(close=True)],
    "500": [Fault(status=500)],
    "503": [Fault(status=503, headers={"Retry-After": "1"})],
    "429": [Fault(status=429, headers={"Retry-After": "2"})],
    "no Range": [Fault(drop=1500), Fault(ignore_range=True)],
    "changed": [Fault(drop=1500), Fault(change=photo(-1))],
    "too long": [Fault(declare=1000)],
    "too short": [Fault(declare=-1000)],
    "redirect": [Fault(status=302, headers={"Location": "/moved.jpg"})],
    "trickle": [Fault(piece=400, pause=0.02)],
    "shifted": [Fault(drop=1200), Fault(shift=-7)],
    "stalled": [Fault(piece=1000, pause=1.5)],
}
LASTING = {
    "404": Fault(status=404),
    "403": Fault(status=403),
    "always 500": Fault(status=500),
    "always hung up": Fault(close=True),
    "always too long": Fault(declare=1000),
    "always too short": Fault(declare=-1000),
    "no photo": Fault(change=b"<html>sign in</html>"),
}


def photo_run(photos: int = 500, share: float = 0.1, workers: int = 8) -> dict:
    """Fetch photos of which a share meets one fault each, in turn of every kind.

    Returns:
        Counts: fetched, right, failed, and the photos that were not treated as they should have been.
    """
    kinds = [*PASSING, *LASTING]
    faulty = dict(zip(random.Random(0).sample(range(photos), int(photos * share)), kinds * photos, strict=False))
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        server.files = {f"/{index}.jpg": photo(index) for index in range(photos)} | {"/moved.jpg": photo(-2)}
        for index, kind in faulty.items():
            server.faults[f"/{index}.jpg"] = list(PASSING.get(kind, []))
            if kind in LASTING:
                server.always[f"/{index}.jpg"] = LASTING[kind]
        files = [(server.url(f"/{index}.jpg"), Path(folder) / f"{index}.jpg") for index in range(photos)]
        patience = {"retries": 3, "timeout": 1.0, "sleep": lambda _: None}
        report = fetch_many(files, workers, arrive=verify, **patience)
        redirected = {path for index, (_, path) in enumerate(files) if faulty.get(index) == "redirect"}
        right = {
            path
            for (url, path) in files
            if path.exists()
            and path.read_bytes() == server.files["/moved.jpg" if path in redirected else f"/{path.name}"]
        }
        again = fetch_many(files, workers, arrive=verify, **patience)
        expected = {Path(folder) / f"{index}.jpg" for index, kind in faulty.items() if kind in LASTING}
        return {
            "fetched": len(report.fetched),
            "right": len(right),
            "failed": len(report.failed),
            "wrong": sorted(path.name for path in (expected ^ report.failed.keys()) | (set(report.fetched) ^ right)),
            "reasons": sorted({reason.split(": ", 1)[-1] for reason in report.failed.values()}),
            "kinds": len(set(faulty.values())),
            "fetched_again": len(again.fetched),
            "left_over": sorted(set(os.listdir(folder)) - {path.name for path in right}),
        }


if __name__ == "__main__":
    for run in (kill_run, photo_run):
        began = time.monotonic()
        print(run.__name__, run(), f"{time.monotonic() - began:.0f} s", flush=True)
