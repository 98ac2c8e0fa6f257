"""`python -m captioning`: the command line, see `captioning.serving.command`."""

import sys

from captioning.serving.command import main

if __name__ == "__main__":
    sys.exit(main())
