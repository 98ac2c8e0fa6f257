"""The SavedModel says what greedy decoding says, and needs TensorFlow only."""

import numpy as np
import pytest

from captioning.features import encode_files
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.quiet import tensorflow as tf
from captioning.serving import saved_model
from captioning.tokenizer import END, SPECIAL, UNK
from tests.exported import SIZE, WORDS, captioner, captioner_of, model_of, photos


def words_of(rows):
    return [[token for token in row if token] for row in np.asarray(rows).tolist()]


def expected(bundle, pixels):
    return [c.tokens for c in bundle.decode_chosen(encode_files(pixels, bundle.encoder), beam_width=1)]


def repeating(bundle, pixels):
    """Return the pictures that would have a caption with some word twice if every word might be repeated."""
    found = bundle.decode(encode_files(pixels, bundle.encoder), beam_width=1, length_penalty=0.0)
    free = {tokens for tokens, word in enumerate((*SPECIAL, *WORDS)) if word in bundle.chosen["may_repeat"]}
    return [c for c in found if len(set(c.tokens) - free) < len([t for t in c.tokens if t not in free])]


@pytest.mark.parametrize("kind", ["transformer", "numpy_lstm"])
def test_tokens_are_those_of_greedy_decoding_with_the_words_that_may_be_repeated(kind, tmp_path):
    bundle = captioner(kind)
    assert repeating(bundle, photos()), "a test that any caption would pass"
    where = saved_model.write(bundle, tmp_path / "servable")
    assert where == tmp_path / "servable" / "1"
    caption = tf.saved_model.load(str(where)).signatures["serving_default"]
    for batch in (8, 1):
        tokens = caption(pixels=tf.constant(photos(batch)))["tokens"]
        assert tokens.dtype == tf.int32 and tokens.shape == (batch, bundle.max_length)
        found = expected(bundle, photos(batch))
        assert words_of(tokens) == found
        assert tokens.numpy().tolist() == [row + [0] * (bundle.max_length - len(row)) for row in found]


def test_it_needs_nothing_else_and_older_versions_stay(tmp_path):
    bundle = captioner("numpy_rnn")
    saved_model.write(bundle, tmp_path / "servable")
    where = saved_model.write(bundle, tmp_path / "servable")
    assert sorted(path.name for path in (tmp_path / "servable").iterdir()) == ["1", "2"] and where.name == "2"
    vocabulary = (where / "assets" / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    assert vocabulary == [*SPECIAL, *WORDS]
    from tensorflow.python.saved_model import loader_impl

    graph = loader_impl.parse_saved_model(str(where)).meta_graphs[0].graph_def
    operations = {node.op for function in graph.library.function for node in function.node_def}
    assert "MatMul" in operations and not [name for name in operations if "Py" in name]  # nothing calls Python


def test_special_words_are_never_said_and_a_caption_without_an_end_is_cut_off(tmp_path):
    arrays = {name: np.copy(array) for name, array in model_of("numpy_rnn").arrays().items()}
    endless = CaptioningRNN.from_arrays(arrays, "the model")
    endless.parameters["output_bias"][[UNK, END]] = 99, -99
    bundle = captioner_of("numpy_rnn", endless)
    where = saved_model.write(bundle, tmp_path)
    caption = tf.saved_model.load(str(where)).signatures["serving_default"]
    (tokens,) = caption(pixels=tf.zeros((1, SIZE, SIZE, 3), tf.uint8))["tokens"].numpy()
    assert len(tokens) == bundle.max_length == 30 and tokens.min() > END
    assert [tokens.tolist()] == expected(bundle, np.zeros((1, SIZE, SIZE, 3), np.uint8))
