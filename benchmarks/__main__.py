"""Time the project's ways against the usual ones, row by row, and print a table; `runs/bench.json` has all figures.

Each row is a process of its own and names what it measures at its beginning: see benchmarks/ROW.py. Both ways run in it
one after the other, several times, on the same data, and must compute the same; a ratio is the median of those of the
repeats, with the lowest and the highest. Rows by name replace those in the file. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.timing import Line, machine, measure, peak_memory

ROWS = (
    "training", "output", "reading", "decoding", "extraction", "self_critical", "opening", "scoring",
    "transformer_step", "merge_training", "search", "numpy_rnn",
)  # fmt: skip
ALONE = ("training", "output", "reading")  # rows of which each way also runs by itself, for its peak memory
ROOT = Path(__file__).parents[1]


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code: 1 where a row has failed."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"all without one: {', '.join(ROWS)}")
    parser.add_argument("--json", type=Path, default=ROOT / "runs" / "bench.json", help="where the figures go")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/speed.md from the file")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes, to see that all rows run")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)  # what the processes of the rows are given
    parser.add_argument("--way", choices=("ours", "usual"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if unknown := [row for row in given.rows if row not in ROWS]:
        parser.error(f"there is no row {unknown[0]}; known: {', '.join(ROWS)}")
    if given.row:
        row = importlib.import_module(f"benchmarks.{given.row}")
        lines = row.lines(**(row.TINY if given.tiny else {}))
        for found in one_way(lines, given.way) if given.way else whole(lines):
            print(json.dumps(found), flush=True)
        return 0
    if given.markdown:
        print(markdown(json.loads(given.json.read_text(encoding="utf-8"))))
        return 0
    return run(given.rows or ROWS, given.json, given.tiny)


def run(rows: Sequence[str], file: Path, tiny: bool = False) -> int:
    """Run the rows one after the other; print their lines and write them as they come."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    failed = []
    print(f"{machine()}\n\n{HEAD}")
    for row in rows:
        begun = time.perf_counter()
        *lines, last = in_a_process(row, tiny)
        if "memory" not in last:
            failed.append(row)
            continue
        ways = ("ours", "usual") if row in ALONE else ()
        alone = {way: next(in_a_process(row, tiny, way)).get("memory") for way in ways}
        kept[row] = {"lines": lines, "memory": last["memory"], "memory of each way": alone, "machine": machine()}
        kept[row] |= {"date": time.strftime("%Y-%m-%d"), "seconds": time.perf_counter() - begun} | versions()
        peaks = alone or {"in all": last["memory"]}
        told = (f"{way} {most / 1e9:.2f} GB" for way, most in peaks.items() if most)
        print(f"   peak memory: {', '.join(told)}", flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"\n{file}" + (f"; FAILED: {', '.join(failed)}" if failed else ""))
    return bool(failed)


def in_a_process(row: str, tiny: bool, way: str | None = None) -> Iterator[dict]:
    """Yield what a process for the row finds, and print it: its lines, then its memory, or that it failed."""
    command = [sys.executable, "-m", "benchmarks", "--row", row, *["--tiny"] * tiny, *(["--way", way] if way else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for text in process.stdout:
            if not text.startswith("{"):  # what the code under test says
                continue
            found = json.loads(text)
            if "ours" in found:
                print(in_words(found), flush=True)
            yield found
    if process.returncode:
        yield {"failed": True}


def whole(lines: Iterator[Line]) -> Iterator[dict]:
    """Yield the figures of each line of a row, and at the end the peak memory of both ways together."""
    yield from map(measure, lines)
    yield {"memory": peak_memory()}


def one_way(lines: Iterator[Line], way: str) -> Iterator[dict]:
    """Run one way of a row's first line by itself and yield its peak memory."""
    getattr(next(lines), way)()
    yield {"memory": peak_memory()}


def versions() -> dict[str, str]:
    """Return the versions of what the figures depend on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("tensorflow", "keras", "numpy")} | {"python": sys.version.split()[0]}


HEAD = f"{'':36}{'ours':>12}{'usual':>12}  {'ratio':>7}  {'lowest, highest':>16}  {'aim':>5}  against"


def in_words(line: dict) -> str:
    """Return a line of the table."""
    ours = f"{line['ours']:,.4g}/s" if line["unit"] else f"{line['seconds']:,.2f} s"
    text = f"{line['name']:36}{ours:>12}"
    aim = "" if line["aim"] is None else f"{line['aim']:g}"
    if "ratio" in line:
        spread = f"{line['lowest']:.2f}, {line['highest']:.2f}"
        text += f"{line['usual']:>10,.4g}/s  {line['ratio']:7.2f}  {spread:>16}  {aim:>5}  {line['against']}"
    else:
        text += f"{'':41}{aim:>5}"
    return "\n".join([text, *(f"   {what}: {value:.3g}" for what, value in line["more"].items())])


def markdown(rows: dict) -> str:
    """Return the table of docs/speed.md from what `runs/bench.json` holds."""
    told = ["| what | ours | the usual way | ratio |", "| --- | --- | --- | --- |"]
    for row in (rows[name] for name in ROWS if name in rows):
        for line in row["lines"]:
            if "ratio" in line:
                unit = f" {line['unit']}/s"
                usual = f"{_rounded(line['usual'])}{unit}: {line['against']}"
                ratio = f"{_rounded(line['ratio'])} ({_rounded(line['lowest'])} - {_rounded(line['highest'])})"
                told.append(f"| {line['name']} | {_rounded(line['ours'])}{unit} | {usual} | {ratio} |")
            else:
                told.append(f"| {line['name']} | {_rounded(line['seconds'])} s | | |")
    machines = sorted(
        {f"{row['machine']}; TensorFlow {row['tensorflow']}, Keras {row['keras']}" for row in rows.values()}
    )
    return "\n".join([*told, "", *machines])


def _rounded(value: float) -> str:
    """Return a figure with as many digits as anyone compares."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
