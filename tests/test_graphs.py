"""The graphs that exports are made of compute what the Python decoders do, for every kind."""

import numpy as np
import pytest

from captioning import decoding
from captioning.features import encode_files
from captioning.quiet import tensorflow as tf
from captioning.serving.graphs import Graphs
from captioning.tokenizer import START
from tests.exported import CONFIGS, captioner, numbers, photos


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_kind_of_model_steps_as_in_python(kind):
    bundle = captioner(kind)
    graphs = Graphs(bundle)
    features = encode_files(photos(), bundle.encoder).astype(np.float32)
    found = decoding.greedy(bundle.step, bundle.initial_state(features), 12)
    assert len({tuple(caption.tokens) for caption in found}) > 1  # of equal captions, no comparison could fail
    features = features[:3]
    expected = bundle.initial_state(features)
    states = {3: graphs.start(features), 1: graphs.start(features[:1])}
    tokens = np.full(3, START, np.int32)
    for position in range(4):
        logits, expected, attention = bundle.step(tokens, expected)
        for batch, state in states.items():
            scores, *state = graphs.step(tokens[:batch], *state)
            assert graphs.attends == (attention is not None)
            if graphs.attends:
                *state, seen = state
                np.testing.assert_allclose(seen, attention[:batch], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(scores, logits[:batch], rtol=1e-4, atol=1e-4)
            for ours, theirs in zip(state, tf.nest.flatten(expected), strict=True):
                np.testing.assert_allclose(ours, theirs[:batch], rtol=1e-4, atol=1e-4)
            states[batch] = state
        tokens = (
            numbers(logits).argmax(axis=1).astype(np.int32) if position % 2 else 4 + (tokens + np.int32([2, 3, 4])) % 8
        )


@pytest.mark.parametrize("kind", ["gru", "bahdanau"])
def test_the_names_tell_what_goes_in_and_comes_out(kind):
    graphs = Graphs(captioner(kind))
    state = graphs.start(np.zeros((2, 16, 6), np.float32))
    inputs, outputs = graphs.names["step"]
    assert inputs == ["tokens", *graphs.names["start"][1]] and len(inputs) == 1 + len(state)
    assert len(outputs) == len(graphs.step(np.full(2, START, np.int32), *state))
    assert ("attention" in outputs) == (kind == "bahdanau")


def test_the_encoder_gives_the_features_that_are_kept_on_disk():
    bundle, pixels = captioner("gru"), photos()
    features = numbers(Graphs(bundle).encode(pixels))
    assert features.dtype == np.float32 and np.array_equal(features, features.astype(np.float16))
    np.testing.assert_allclose(features, encode_files(pixels, bundle.encoder), rtol=2**-10)
