"""A captioner as a TensorFlow SavedModel, from pixels to the ids of the words: for TensorFlow Serving."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from captioning.bundle import Bundle
from captioning.files import only_one
from captioning.quiet import tensorflow as tf
from captioning.serving.graphs import Graphs
from captioning.tokenizer import END, PAD, SPECIAL, START, UNK


def write(bundle: Bundle, folder: Path | str) -> Path:
    """Write a captioner as the next version of a servable: FOLDER/1, then FOLDER/2, as TensorFlow Serving has them.

    Its one signature, `serving_default`, takes "pixels", uint8 (batch, size, size, 3), resized as
    `images.load_pixels` does, and gives "tokens", int32 (batch, longest caption): the ids of the words of the
    greedy caption, then zeros; where validation chose that words are not said twice, none is. Line i of its asset
    vocabulary.txt, counted from 0, is the word of id i. Loading it needs TensorFlow only.

    Versions that are in the folder already are kept; a server takes the highest. Returned is that of this version.
    """
    folder, graphs = Path(folder), Graphs(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    # Written under a name that is no number, which a server passes over, and renamed when it is whole.
    with only_one(folder), tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as draft:
        vocabulary = Path(draft, "vocabulary.txt")
        vocabulary.write_text("".join(f"{word}\n" for word in (*SPECIAL, *bundle.tokenizer.vocabulary)), "utf-8")
        module, _ = graphs.module("encoder")
        module.vocabulary = tf.saved_model.Asset(str(vocabulary))
        tf.saved_model.save(module, f"{draft}/model", {"serving_default": _greedy(graphs)})
        versions = [int(child.name) for child in folder.iterdir() if child.name.isdecimal()]
        return Path(draft, "model").rename(folder / str(max(versions, default=0) + 1))


def _greedy(graphs: Graphs) -> Callable:
    """Return a function from pixels to tokens that decodes as the bundle does with a beam of 1."""
    longest, size = graphs.bundle.max_length, len(graphs.bundle.tokenizer)
    once = graphs.bundle.options(1)["once"]  # the words that no caption holds twice; None: there are none
    first_words = ~np.isin(np.arange(size), (PAD, UNK, START))

    def caption(pixels: Any) -> dict[str, Any]:
        state = graphs.start(graphs.encode(pixels))
        rows = tf.shape(pixels)[0]

        def body(position: Any, last: Any, allowed: Any, tokens: Any, *state: Any) -> tuple:
            logits, *rest = graphs.step(last, *state)
            best = tf.argmax(tf.where(allowed, logits, -np.inf), axis=1, output_type=tf.int32)
            last = tf.where(last == END, END, best)
            words = tf.where(last == END, PAD, last)
            tokens += words[:, None] * tf.one_hot(position, longest, dtype=tf.int32)
            if once is not None:
                allowed &= ~(tf.one_hot(last, size, True, False) & once)
            return position + 1, last, allowed, tokens, *rest[: len(state)]

        allowed, tokens = tf.tile(first_words[None], [rows, 1]), tf.zeros([rows, longest], tf.int32)
        first = 0, tf.fill([rows], START), allowed, tokens, *state
        unfinished = lambda position, last, *_: (position < longest) & tf.reduce_any(last != END)  # noqa: E731
        return {"tokens": tf.while_loop(unfinished, body, first)[3]}

    return tf.function(caption, input_signature=graphs.encode.input_signature)
