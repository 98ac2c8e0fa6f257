"""What grows with the pictures: seconds, throughput and peak memory at 1,000 to 500,000 pictures of five captions each.

Captions, photos and features are made: photos are empty files, and the rows of 64 x 2048 numbers are holes in sparse
files, so that 500,000 pictures need 1 GB of disk and not 131. Each part is a process of its own that reads what another
has made: `captions` opens captions.json as every notebook does, `tokenizer` fits and loads, `store` opens the
features and finds all rows, `batches` tokenizes and orders an epoch, `training` takes 20 steps, `scoring` scores as
many images as there are pictures, up to the 40,504 of COCO's validation.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import made
from benchmarks.timing import machine, peak_memory, seconds_of

ROOT = Path(__file__).parents[1]
COUNTS = (1_000, 10_000, 100_000, 123_287, 500_000)
VOCABULARY, REGIONS, CHANNELS, BATCH, STEPS = 10_000, 64, 2048, 13, 20
IMAGES = 40_504  # to score at most
PHOTOS, STORE = "photos", "inception_v3-made"


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code: 1 where a part has failed."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.size", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", nargs="*", type=int, help=f"pictures; {', '.join(map(str, COUNTS))} without")
    parser.add_argument("--json", type=Path, default=ROOT / "runs" / "size.json", help="where the figures go")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--part", choices=["make", *PARTS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    counts = given.counts or COUNTS
    if given.part:
        work = make if given.part == "make" else PARTS[given.part]
        print(json.dumps(work(given.folder, counts[0]) | {"memory": peak_memory()}))
        return 0
    return run(counts, given.parts, given.json)


def run(counts: list[int] | tuple[int, ...], parts: list[str], file: Path) -> int:
    """Run the parts at each number of pictures, print their figures and write them as they come."""
    found, failed = {"machine": machine()}, False
    print(machine())
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            for part in ("make", *parts):
                command = [sys.executable, "-m", "benchmarks.size", "--part", part, "--folder", folder, str(count)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
                failed |= bool(done.returncode)
                if part != "make" and not done.returncode:
                    figures = json.loads(done.stdout.splitlines()[-1])
                    found.setdefault(part, {})[count] = figures
                    print(f"{count:9,}  {part:10} {in_words(figures)}", flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(file)
    return int(failed)


def in_words(figures: dict) -> str:
    """Return the figures of a part: seconds and rates by what they are, then the memory."""
    memory = f"{figures['memory'] / 1e9:.3f} GB at most"
    told = [f"{what} {value:,.3g}" for what, value in figures.items() if what != "memory"]
    return ", ".join([*told, memory])


def make(folder: Path, pictures: int) -> dict:
    """Write photos, captions.json and a store of features."""
    from captioning.datasets import captions_file
    from captioning.datasets.dataset import CaptionDataset
    from captioning.features import FeatureStore
    from captioning.features.shards import Entry
    from captioning.features.store import SHARD
    from captioning.provenance import FileState, content_digest

    (folder / PHOTOS).mkdir()
    records = []
    for number, record in enumerate(made.records(pictures, VOCABULARY, folder / PHOTOS)):
        record.file.touch()
        split = ("val", "test")[number % 2] if number % 25 < 2 else "train"
        content = content_digest(b"%d" % number)
        state = FileState.of(record.file)
        records.append(dataclasses.replace(record, split=split, content=content, state=state))
    captions_file.write(folder / "captions.json", folder, CaptionDataset("coco2014", tuple(records)))
    store = FeatureStore.for_writing(folder / STORE, made.identity(REGIONS, CHANNELS))
    for start in range(0, pictures, SHARD):
        with (store.folder / f"rows-{start // SHARD:05d}.f16").open("wb") as rows:
            rows.truncate(min(SHARD, pictures - start) * REGIONS * CHANNELS * 2)
    with (store.folder / "index.tsv").open("a", encoding="ascii", newline="\n") as index:
        index.writelines(Entry(store.key(record)).line(number) for number, record in enumerate(records))
    return {}


def captions(folder: Path, pictures: int) -> dict:
    """Open captions.json and see that no photo has changed."""
    seconds = seconds_of(lambda: _dataset(folder))
    return {"seconds": seconds, "pictures/s": pictures / seconds}


def tokenizer(folder: Path, pictures: int) -> dict:
    """Fit a vocabulary, then load it as the later notebooks do."""
    from captioning.tokenizer import Tokenizer

    texts, file = _dataset(folder).captions("train"), folder / "tokenizer.json"
    fitting = seconds_of(lambda: Tokenizer.fit(texts, maximum_size=VOCABULARY).save(file))
    return {
        "seconds": fitting,
        "captions/s": len(texts) / fitting,
        "to load": seconds_of(lambda: _tokenizer(file, texts)),
    }


def store(folder: Path, pictures: int) -> dict:
    """Open the features, and find the rows of all pictures."""
    from captioning.features import FeatureStore

    records = _dataset(folder).records
    opening = seconds_of(lambda: FeatureStore(folder / STORE))
    opened = FeatureStore(folder / STORE)
    finding = seconds_of(lambda: _all_there(opened, records))
    reading = seconds_of(lambda: opened.rows(records[-64:]))
    return {"seconds": opening, "to find all": finding, "rows/s": min(64, pictures) / reading}


def batches(folder: Path, pictures: int) -> dict:
    """Make batches of the train split, and the first one of an epoch."""
    records = _dataset(folder).split("train")
    found: list = []
    making = seconds_of(lambda: found.append(_batches(folder, records)))
    first = seconds_of(lambda: next(iter(found[0].epoch(0))))
    return {"seconds": making, "to the first batch": first}


def training(folder: Path, pictures: int) -> dict:
    """Take training steps, as notebook 05 does: Bahdanau's decoder on 64 x 2048 numbers."""
    import captioning.quiet  # noqa: F401

    # isort: split
    import keras

    from captioning import models
    from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
    from captioning.training import fit, loop
    from captioning.training.config import TrainingConfig

    records = _dataset(folder).split("train")
    train = _batches(folder, records)
    model = models.build(BahdanauDecoder, BahdanauConfig(VOCABULARY, REGIONS, CHANNELS))
    model.scale_features(*train.statistics())
    fit.set_optimizer(model, TrainingConfig(), train.steps_per_epoch)
    stop = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: _stop(model, step))
    calls = keras.callbacks.CallbackList([stop], model=model)
    one_epoch = loop.by_words(model, train, range(1), 0.1, True)
    model.stop_training = False
    seconds = seconds_of(lambda: one_epoch(0, calls))
    return {"seconds": seconds, "captions/s, the first step included": BATCH * made.CAPTIONS * STEPS / seconds}


def scoring(folder: Path, pictures: int) -> dict:
    """Score made captions."""
    from benchmarks import scoring as row

    images = min(pictures, IMAGES)
    seconds = seconds_of(next(row.lines(images)).ours)
    return {"seconds": seconds, "images/s": images / seconds}


PARTS: dict[str, Callable[[Path, int], dict]] = {
    work.__name__: work for work in (captions, tokenizer, store, batches, training, scoring)
}


def _dataset(folder: Path):
    from captioning.datasets import captions_file

    path = folder / "captions.json"
    return captions_file.unchanged(path, captions_file.read(path, folder))


def _tokenizer(file: Path, texts: list[str] | None):
    from captioning.tokenizer import Tokenizer

    return Tokenizer.load(file, texts)


def _batches(folder: Path, records: Sequence):
    from captioning.batches import CaptionBatches
    from captioning.features import FeatureStore

    words = made.tokenizer(VOCABULARY)
    return CaptionBatches(records, FeatureStore(folder / STORE), words, batch_size=BATCH, max_words=20)


def _all_there(opened, records: Sequence) -> None:
    assert len(opened.readable(records)) == len(records)


def _stop(model, step: int) -> None:
    if step + 1 >= STEPS:
        model.stop_training = True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
