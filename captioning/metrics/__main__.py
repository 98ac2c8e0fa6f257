"""`python -m captioning.metrics REFERENCES.json RESULTS.json`: score a result file in COCO's formats."""

import json
import sys
from collections.abc import Sequence

from captioning.lines import reason
from captioning.metrics.coco_files import read_references, read_results
from captioning.metrics.report import score
from captioning.words import units

USAGE = "usage: python -m captioning.metrics REFERENCES.json RESULTS.json"


def main(arguments: Sequence[str]) -> int:
    """Print the scores of two paths as one JSON object; return the exit code: 0, or 2 after a message on stderr.

    Where most references are in a script without spaces, their characters are scored, and the scores say so (`units`).
    """
    if len(arguments) != 2:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        scores = score(units.marked(read_references(arguments[0])), read_results(arguments[1]))
    except (OSError, ValueError) as error:
        print(f"captioning.metrics: {reason(error)}", file=sys.stderr)
        return 2
    print(json.dumps(scores, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
