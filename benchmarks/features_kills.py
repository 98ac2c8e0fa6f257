"""Kill the extraction of features at random moments while a second process waits for the same folder.

`python benchmarks/features_kills.py` takes about a minute on 2 CPU cores.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES, FLUSH, SHARD = 120, 8, 16
# A fork has TensorFlow imported already; this process runs nothing of it.
PROCESSES = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


def work(photos: Path, folder: Path, rows: int, delay: float, together: int) -> None:
    """Encode the photos; `delay` seconds after so many rows are there, this process kills itself; never for -1.

    Beside the folder, `.log` gets a line per decoded photo: its name, and whether the index had it already; `.out` gets
    what is printed; `.ready` a line per process, so that as many as `together` start at the same time.
    """
    from captioning.datasets.records import Record
    from captioning.features import extract, making, store
    from tests.tiny_encoder import checked, tiny_encoder

    making.BATCH, making.FLUSH, store.SHARD = 4, FLUSH, SHARD
    records = checked(Record(file.stem, file, ("a photo",), "train") for file in sorted(photos.iterdir()))
    load = making._load

    def logged(record, size):
        twice = any(line.split(b"\t")[2] == b'"%s"' % record.image_id.encode() for line in index_of(folder))
        append(folder.with_suffix(".log"), f"{record.image_id} {twice}")
        time.sleep(0.01)
        return load(record, size)

    making._load = logged
    encoder = tiny_encoder()
    append(folder.with_suffix(".ready"), "ready")
    while len(lines_of(folder.with_suffix(".ready"))) % together:
        time.sleep(0.001)
    if rows >= 0:
        threading.Thread(target=kill_myself, args=(folder, rows, delay), daemon=True).start()
    with folder.with_suffix(".out").open("a") as out, contextlib.redirect_stdout(out):
        extract(records, encoder, folder)


def kill_myself(folder: Path, rows: int, delay: float) -> None:
    """Wait for the rows and the delay: a slow machine is hit at the same points as a fast one."""
    while len(index_of(folder)) < rows:
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)


def run(photos: Path, folder: Path, *kills: tuple[int, float]) -> list[bool]:
    """Run `work` in processes side by side, one for each (rows, delay).

    Returns:
        Which of them were killed.

    Raises:
        RuntimeError: one failed otherwise.
    """
    processes = [PROCESSES.Process(target=work, args=(photos, folder, *kill, len(kills))) for kill in kills]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    codes = [process.exitcode for process in processes]
    if not set(codes) <= {0, -signal.SIGKILL}:
        raise RuntimeError(f"A process ended with {codes}.")
    return [code != 0 for code in codes]


def append(file: Path, line: str) -> None:
    """Add a line to a file."""
    with file.open("a") as opened:
        opened.write(line + "\n")


def lines_of(file: Path) -> list[str]:
    """Return a file's lines; none where there is no file."""
    return file.read_text().splitlines() if file.is_file() else []


def draw(folder: Path) -> None:
    """Write photos of noise, one of them broken."""
    folder.mkdir()
    for number in range(PICTURES):
        noise = Image.frombytes("RGB", (48, 40), random.Random(number).randbytes(48 * 40 * 3))
        noise.save(folder / f"{number:03d}.jpg")
    broken = folder / "007.jpg"
    broken.write_bytes(broken.read_bytes()[:900])


def contents(folder: Path) -> dict[str, bytes]:
    """Return name -> bytes of every file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def index_of(folder: Path) -> list[bytes]:
    """Return the whole lines of the index, one per picture."""
    index = folder / "index.tsv"
    return index.read_bytes().split(b"\n")[1:-1] if index.is_file() else []


def undisturbed(photos: Path) -> dict[str, bytes]:
    """Return the files of one run that nothing disturbs."""
    folder = photos.with_name("undisturbed")
    run(photos, folder, (-1, 0))
    return contents(folder)


def pair_run() -> dict:
    """Start two processes on one new folder at the same time.

    Returns:
        pictures; how many were decoded and encoded by both together; whether the files are right to the byte, and
        whether one of them said that it waits.
    """
    with tempfile.TemporaryDirectory() as temporary:
        photos, folder = Path(temporary) / "photos", Path(temporary) / "0"
        draw(photos)
        run(photos, folder, (-1, 0), (-1, 0))
        return {
            "pictures": PICTURES,
            "encoded": len(lines_of(folder.with_suffix(".log"))),
            "right": contents(folder) == undisturbed(photos),
            "waited": "waiting" in folder.with_suffix(".out").read_text(),
        }


def kill_run(kills: int = 20, seed: int = 0) -> dict:
    """Kill extractions until `kills` were hit, two at a time; each folder is resumed until it is finished.

    Returns:
        kills; how many of them left some rows but not all; folders that were finished, and those of them whose files
        are right to the byte; pictures that were decoded although they had a row.
    """
    chance = random.Random(seed)
    counts = {"kills": 0, "in_the_middle": 0, "ended": 0, "right": 0, "twice": 0}
    with tempfile.TemporaryDirectory() as temporary:
        photos, folder = Path(temporary) / "photos", Path(temporary) / "0"
        draw(photos)
        expected = undisturbed(photos)
        while counts["kills"] < kills or not counts["ended"] or folder.exists():
            rows = [chance.randrange(PICTURES) if counts["kills"] < kills else -1 for _ in range(2)]
            killed = run(photos, folder, *((goal, chance.uniform(0, 0.1)) for goal in rows))
            counts["kills"] += sum(killed)
            counts["in_the_middle"] += any(killed) and 0 < len(index_of(folder)) < PICTURES
            if not all(killed):
                counts["ended"] += 1
                counts["right"] += contents(folder) == expected
                counts["twice"] += sum(line.endswith("True") for line in lines_of(folder.with_suffix(".log")))
                folder = folder.with_name(str(counts["ended"]))
    return counts


def in_a_process_of_its_own(kills: int) -> dict:
    """Return what `pair_run` and `kill_run` count, from a process that has done nothing else."""
    done = subprocess.run([sys.executable, __file__, str(kills)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import tests.tiny_encoder  # noqa: F401

    began = time.monotonic()
    counted = {"pair": pair_run(), "kills": kill_run(*map(int, sys.argv[1:]))}
    print(json.dumps(counted | {"seconds": round(time.monotonic() - began)}))
