"""Pictures of where a model looked, one file per photo."""

import itertools
import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

os.environ.setdefault("MPLBACKEND", "Agg")  # files, not windows

import matplotlib.pyplot as plt
import numpy as np

from captioning.bundle import Answer, Captioner
from captioning.fetching.photo import ADDRESS
from captioning.files import folded, write_atomically
from captioning.images import Picture
from captioning.plotting import show_attention


class Looks:
    """Draws where a model looked, a file per photo."""

    def __init__(self, bundle: Captioner, folder: Path):
        """Make the folder; a ValueError where the model has no attention."""
        specs = {name: encoder.spec for name, encoder in bundle.encoders.items()}
        black = {name: np.zeros((1, spec.regions, spec.channels), np.float16) for name, spec in specs.items()}
        (probe,) = bundle.decode(bundle.features_of(black))
        if probe.attention is None:
            kinds = "a bahdanau, bilstm or transformer model"
            raise ValueError(f"{bundle.name} has no attention to draw: choose {kinds} with --model.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise ValueError(f"{folder} is a file: give --attention a folder for the pictures.") from error
        self.folder = folder
        self.taken: set[str] = set()

    def draw(self, name: str, picture: Picture, answer: Answer) -> Path:
        """Draw where the model looked for each word, and return the file."""
        target = self._file_for(name)
        figure = show_attention(picture, answer.words, np.asarray(answer.attention), answer.caption)
        with write_atomically(target) as draft:
            figure.savefig(draft, dpi=70, bbox_inches="tight")
        plt.close(figure)
        return target

    def _file_for(self, name: str) -> Path:
        """Return a file for the next photo: `dog-attention.png` for `beach/dog.jpg`, `dog-2-…` for another dog."""
        path = unquote(urlsplit(name).path) if ADDRESS.match(name) else Path(name).as_posix()
        stem = re.sub(r"[^\w.-]+", "_", PurePosixPath(path).stem).strip(".-")[:80] or "photo"
        stems = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        chosen = next(one for one in stems if folded(one) not in self.taken)
        self.taken.add(folded(chosen))
        return self.folder / f"{chosen}-attention.png"
