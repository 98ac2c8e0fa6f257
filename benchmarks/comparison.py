"""One controlled comparison: every decoder over one encoder, trained with several seeds, scored on the test split.

`make compare`, or `python -m benchmarks.comparison --seeds 3`, with CAPTIONING_ENCODER naming the encoder. The
notebooks of the decoders are run as far as their cell `train`, each with its own settings and another SEED; what has
been trained already is loaded, and an interrupted comparison resumes. Run notebooks 01 to 03 first.

Each decoder is decoded as validation chose, for each seed by itself. The first table gives mean and standard deviation
over the seeds. The second one compares decoders on the same pictures, by the mean over the seeds of a picture's CIDEr:
differences times 100; "?" marks one whose 95 % interval over resampled pictures holds 0.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import captioning.quiet  # noqa: F401

# isort: split
import nbformat
import numpy as np
from nbclient import NotebookClient

from captioning import bundle, evaluation, findings, metrics, notebooks, settings
from captioning.datasets import prepare
from captioning.lines import Lines, aligned
from captioning.settings import Project

DECODERS = ("04", "05", "06", "07", "08", "09")  # 10 trains one of these further
MEASURES = ("CIDEr", "Bleu_4", "ROUGE_L")
VALIDATION_PICTURES = 500  # as in notebook 11


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.comparison", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="train with SEED = 0 to N - 1 (default: 3)")
    parser.add_argument("--decoders", nargs="+", default=DECODERS, metavar="NUMBER", help="of notebooks; all: 04 to 09")
    given = parser.parse_args(arguments)
    project = settings.active()
    if not project.encoder:
        parser.error("name the one encoder of all decoders, for example CAPTIONING_ENCODER=mobilenet")
    if given.seeds < 2:
        parser.error("--seeds takes 2 or more: one says nothing about luck")
    try:
        prepare.load(project)
        chosen = notebooks.named(given.decoders)
    except (FileNotFoundError, ValueError, notebooks.NotebookError) as error:
        parser.error(str(error))
    for seed in range(given.seeds):
        for notebook in chosen:
            print(f"{notebook.stem}, SEED = {seed}", flush=True)
            train(notebook, seed, project)
    print(tables(project))
    return 0


def train(notebook: Path, seed: int, project: Project) -> None:
    """Run a notebook up to its cell `train`, with another seed."""
    content = nbformat.read(notebook, as_version=4)
    names = [cell.id for cell in content.cells]
    content.cells = content.cells[: names.index("train") + 1]
    knobs = content.cells[names.index("settings")]
    knobs.source, found = re.subn(r"^SEED = \d+", f"SEED = {seed}", knobs.source, flags=re.M)
    if not found:
        raise ValueError(f"{notebook}: the settings cell has no line SEED = 0.")
    log = project.home / "runs" / project.name / "kernels.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with notebooks.stderr_into(log), notebooks.environment_of_kernels(project):
        NotebookClient(content, resources={"metadata": {"path": notebook.parent}}).execute()
    print("".join(output.get("text", "") for output in content.cells[-1].outputs), flush=True)


def tables(project: Project) -> Lines:
    """Return the two tables, of all decoders over the project's encoder that were trained with several seeds."""
    dataset = prepare.load(project)
    scores, results = evaluation.evaluate_all(project, dataset, VALIDATION_PICTURES)
    names = [name for name in evaluation.plain(scores) if name != evaluation.ENSEMBLE]
    encoders = {name: bundle.read_settings(project.checkpoints / name)["encoder"]["encoder"] for name in names}
    names = [name for name in names if encoders[name] == project.encoder]
    groups = evaluation.by_seed(project.checkpoints, names)
    test = evaluation.Stores(project)[project.encoder].readable(dataset.split("test"))
    cider = metrics.CiderD(evaluation.references_of(test))
    per_picture = {
        first: np.mean([cider.score(results[name])[1] for name in group], axis=0) for first, group in groups.items()
    }
    ordered = sorted(groups, key=lambda first: -per_picture[first].mean())
    rows = [("decoder", "seeds", *(f"{measure} x 100" for measure in MEASURES), "validation CIDEr x 100")]
    for first in ordered:
        group = [scores[name] for name in groups[first]]
        values = [[row[measure] for row in group] for measure in MEASURES]
        values.append([row["decoding"]["validation_CIDEr"] for row in group])
        rows.append((first, str(len(group)), *map(_spread, values)))
    leads = evaluation.leads({first: per_picture[first] for first in ordered})
    pairs = [("", *(str(number) for number in range(2, len(ordered) + 1)))]
    for number, first in enumerate(ordered, 1):
        cells = (findings.pair_cell(leads.get((first, other))) for other in ordered[1:])
        pairs.append((f"{number} {first}", *cells))
    return Lines(f"\n{aligned(rows)}\n\n{aligned(pairs)}")


def _spread(values: Sequence[float]) -> str:
    return f"{100 * fmean(values):.1f} ± {100 * stdev(values):.1f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
