"""Fill in what notebooks take in the README's table: `python docs/costs.py`, after `make demo` in a fresh clone.

Another run gives the minutes on photos: `python docs/costs.py runs/coco2014/costs.json`.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\d\d_\w+) \|.*\|$", re.MULTILINE)  # notebook, needs, makes, minutes, memory, disk, on photos


def filled(text: str, scenes: dict, photos: dict) -> str:
    """Return the text with the cells of its table that the two runs tell; a notebook that they lack keeps its cells."""

    def renew(row: re.Match) -> str:
        cells = row[0].strip("| ").split(" | ")
        if taken := scenes.get(row[1]):
            minutes, memory, disk = (taken[name] for name in ("minutes", "memory_GB", "disk_MB"))
            cells[3:6] = f"{minutes:.1f}", f"{memory:.1f}", f"{disk:,.0f}"
        if taken := photos.get(row[1]):
            cells[6] = f"{taken['minutes']:.1f}"
        return f"| {' | '.join(cells)} |"

    return ROW.sub(renew, text)


def main() -> None:
    """Write the README."""
    scenes, photos = ROOT / "runs/scenes/costs.json", Path(sys.argv[1]) if sys.argv[1:] else None
    readme = ROOT / "README.md"
    if missing := [file for file in (scenes, photos) if file and not file.is_file()]:
        sys.exit(f"{missing[0]} is missing: `make demo` writes it, see CONTRIBUTING.md.")
    costs = [json.loads(file.read_text(encoding="utf-8")) if file else {} for file in (scenes, photos)]
    readme.write_text(filled(readme.read_text(encoding="utf-8"), *costs), encoding="utf-8")


if __name__ == "__main__":
    main()
