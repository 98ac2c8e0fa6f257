"""A captioner that sees how wide a picture is."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from captioning import bundle
from captioning.bundle import Answer, Candidate
from captioning.decoding import Caption
from captioning.images import ImageError, open_image
from captioning.serving import command
from tests.tiny_encoder import SPEC

ATTENTION = np.full((2, 4), 0.25)


class Stub:
    """A model that says how wide a picture is, and sees only those that can be opened."""

    name, encoders = "stub", {"tiny": SimpleNamespace(spec=SPEC)}

    def __init__(self, attends=True, problem=None, says="{} wide, place {}"):
        self.attends, self.problem, self.says, self.asked = attends, problem, says, []

    def features_of(self, features):
        return features["tiny"]

    def decode(self, features):
        return [Caption([], 0.0, 0.0, True, ATTENTION[:0] if self.attends else None)] * len(features)

    def captions(self, pictures, n=1, beam=None, attention=False, consensus=False, keep_errors=False):
        assert keep_errors
        if self.problem:
            raise self.problem
        self.asked.append((n, beam, attention, *["consensus"] * consensus))
        self.pictures = pictures
        for picture in pictures:
            try:
                width = open_image(picture, name=str(picture)).width
            except ImageError as error:
                yield error
                continue
            found = (
                Candidate(self.says.format(width, place), -1.5 * place, -0.25 * place) for place in range(1, n + 1)
            )
            yield Answer(tuple(found), 0.5, *(("a", "dog"), ATTENTION) if attention and self.attends else ())


def install(monkeypatch):
    """Let every model be the stub and return it; loading it prints, as loading may."""
    stub = Stub()
    monkeypatch.setattr(command, "find_model", lambda name: Path(name or "best"))
    monkeypatch.setattr(bundle, "load", lambda source, allow_private: print("loading") or stub)
    return stub
