"""Kill the extraction of features at random moments, start it again, and compare every byte with an undisturbed run.

`python benchmarks/features_kills.py` takes about three minutes on 2 CPU cores: every start imports TensorFlow.
"""

from __future__ import annotations

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
SHARD, PICTURES = 4, 120


def work(photos: Path, folder: Path, shards: int, delay: float) -> None:
    """Encode the photos; `delay` seconds after so many shards are whole, this process kills itself; never for -1."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from tiny_encoder import tiny_encoder

    from captioning import features
    from captioning.datasets import Record

    features.SHARD = SHARD
    records = [Record(file.stem, file, ("a photo",), "train") for file in sorted(photos.iterdir())]
    encoder = tiny_encoder()
    if shards >= 0:
        threading.Thread(target=kill_myself, args=(folder, shards, delay), daemon=True).start()
    started = time.perf_counter()
    features.extract(records, encoder, folder)
    print(f"seconds {time.perf_counter() - started}")


def kill_myself(folder: Path, shards: int, delay: float) -> None:
    """Wait for the shards and the delay: a slow machine is hit at the same points as a fast one."""
    while shards_in(folder) < shards:
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)


def start(photos: Path, folder: Path, shards: int = -1, delay: float = 0.0) -> float | None:
    """Run `work` in a process of its own.

    Returns:
        The seconds that the extraction took; None when it was killed.

    Raises:
        RuntimeError: it failed otherwise.
    """
    command = [sys.executable, __file__, str(photos), str(folder), str(shards), str(delay)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == -signal.SIGKILL:
        return None
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.rsplit("seconds ", 1)[-1])


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


def shards_in(folder: Path) -> int:
    """Count the whole shards."""
    return len(list(folder.glob("features-*.npy")))


def kill_run(kills: int = 20, seed: int = 0) -> dict:
    """Kill extractions until `kills` were hit; each is started again until it ends.

    Returns:
        kills; how many of them left some shards but not all; the extractions that ended, and those of them whose files
        are right to the byte; whole shards that a kill or a restart changed.
    """
    chance, whole = random.Random(seed), -(-PICTURES // SHARD)
    counts = {"kills": 0, "in_the_middle": 0, "ended": 0, "right": 0, "changed_shards": 0}
    with tempfile.TemporaryDirectory() as temporary:
        photos, undisturbed, folder = (Path(temporary) / name for name in ("photos", "undisturbed", "0"))
        draw(photos)
        seconds = start(photos, undisturbed)
        expected = contents(undisturbed)
        while counts["kills"] < kills or not counts["ended"] or folder.exists():
            goal = chance.randrange(min(shards_in(folder), whole - 1), whole) if counts["kills"] < kills else -1
            ended = start(photos, folder, goal, chance.uniform(0, 2 * seconds / whole))
            found = contents(folder) if folder.exists() else {}
            made = [name for name in found if name.endswith(".npy")]
            counts["changed_shards"] += sum(found[name] != expected[name] for name in made)
            if ended is None:
                counts["kills"] += 1
                counts["in_the_middle"] += 0 < len(made) < whole
            else:
                counts["ended"] += 1
                counts["right"] += found == expected
                folder = folder.with_name(str(counts["ended"]))
    return counts


if __name__ == "__main__":
    if len(sys.argv) == 5:
        work(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    else:
        began = time.monotonic()
        print(kill_run(), f"{time.monotonic() - began:.0f} s")
