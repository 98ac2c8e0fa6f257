"""A captioner without a model, and its evaluation."""

import numpy as np

import captioning.quiet  # noqa: F401
from captioning import evaluation, metrics
from captioning.decoding import Caption, Step
from captioning.tokenizer import END

WALL = "a white wall"


class Parrot:
    """A captioner without a model: says what a function of record, width, penalty and once gives, and notes it."""

    encoder_names = ("mobilenet",)
    max_length = 8

    def __init__(self, made, say):
        self.folder, self.name, self.made_from = made.project.checkpoints / "parrot", "parrot", {"weights": "parrot"}
        self.tokenizer, self._say, self.asked = made.tokenizer, say, []

    def check_fits(self, stores, dataset):
        pass

    def rows(self, stores, records):
        return records

    def decode(self, records, beam_width, length_penalty, once, return_all):
        self.asked.append((records[0].split, len(records), beam_width, tuple(length_penalty), once is not None))
        given = [[self._say(r, beam_width, p, once is not None) for r in records] for p in length_penalty]
        return [[self._beam(texts) if return_all else self._beam(texts)[0] for texts in each] for each in given]

    def _beam(self, texts):
        texts = [texts] if isinstance(texts, str) else texts
        tokens = [self.tokenizer.encode(text)[1:-1] for text in texts]
        return [Caption(each, -1.0 - place, -1.0 - place, True, None) for place, each in enumerate(tokens)]

    def initial_state(self, records):
        self.asked.append(("samples", len(records)))
        return np.zeros((len(records), 1))

    def step(self, tokens, state):
        return Step(np.eye(1, len(self.tokenizer), END).repeat(len(tokens), 0) * 9, state, None)


def evaluate(made, captioner, pictures=None):
    return evaluation.evaluate(captioner, {"mobilenet": made.store}, made.dataset, pictures)


def told(parrot, name="captions.json"):
    return metrics.read_results(parrot.folder / name)
