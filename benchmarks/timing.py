"""One way of timing for all rows: both ways in one process, one after the other, several times; medians of ratios."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPEATS, SECONDS = 5, 30  # of a line: so often, unless three repeats take longer than this


@dataclass
class Line:
    """One comparison: what a call of each way does, and how to see that both do the same."""

    name: str
    unit: str  # what is counted, for example "captions"; "" where the seconds of a call are what is told
    ours: Callable[[], Any]
    usual: Callable[[], Any] | None  # None where there is nothing to compare with here
    check: Callable[[], None]  # raises an AssertionError unless both compute the same; also warms up
    amount: float = 1.0  # units per call of ours
    usual_amount: float | None = None  # of the usual way; None: as many
    aim: float | None = None  # the ratio to reach, or with no usual way the seconds
    against: str = "the usual way"
    more: dict[str, float] = field(default_factory=dict)  # further figures by what they are, filled by the calls


def measure(line: Line) -> dict:
    """Check a line, time it, and return what goes into the table and the JSON."""
    line.check()
    ours, usual, begun = [], [], time.perf_counter()
    while len(ours) < REPEATS and (len(ours) < 3 or time.perf_counter() - begun < SECONDS):
        ours.append(line.amount / seconds_of(line.ours))
        if line.usual is not None:
            usual.append((line.usual_amount or line.amount) / seconds_of(line.usual))
    found = {"name": line.name, "unit": line.unit, "repeats": len(ours), "aim": line.aim, "more": line.more}
    seconds = (line.amount if line.unit else 1.0) / statistics.median(ours)
    found |= {"ours": statistics.median(ours), "seconds": seconds}
    if line.usual is not None:
        ratios = [one / other for one, other in zip(ours, usual, strict=True)]
        found |= {"against": line.against, "usual": statistics.median(usual)}
        found |= {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return found


def seconds_of(work: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def peak_memory() -> int:
    """Return the bytes that this process has held at most."""
    try:  # the other figure begins with what the process before had that started this one
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


def machine() -> str:
    """Name what is measured on: the processor, its cores, the memory."""
    name = platform.processor() or platform.machine()
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    native = ", bfloat16" if has_bfloat16() else ""
    return f"{name}, {cores} cores{native}, {memory:.0f} GiB, {platform.system()}"


def has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 itself."""
    return any(line.startswith("flags") and {"avx512_bf16", "amx_bf16"} & set(line.split()) for line in _lines())


def _lines(path: str = "/proc/cpuinfo") -> Iterator[str]:
    if os.path.exists(path):
        yield from Path(path).read_text().splitlines()
