"""What each kind of decoder does on its own: attention, one pass for all prefixes, two directions."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import captioning.quiet  # noqa: F401
from captioning.models.transformer import Attention
from captioning.tokenizer import END, PAD, START
from captioning.training.loss import masked_crossentropy
from tests.small_models import CONFIGS, build, features, tokens


class TestBahdanau:
    config = CONFIGS[1]

    def step_in_float64(self, model, words, state):
        """Recompute one step from the definitions, with plain NumPy."""
        weights = {variable.path.split("/", 1)[1]: np.asarray(variable, np.float64) for variable in model.weights}
        hidden, keys, values = (np.asarray(array, np.float64) for array in state)
        query = hidden @ weights["attention/query_projection/kernel"] + weights["attention/query_projection/bias"]
        energies = np.tanh(query[:, None] + keys) @ weights["attention/score/kernel"][:, 0]
        attention = np.exp(energies) / np.exp(energies).sum(axis=1, keepdims=True)
        context = np.einsum("br,brc->bc", attention, values)
        embedded = weights["embedding/embeddings"][words]
        x = np.concatenate([embedded, context], axis=1) @ weights["gru/kernel"] + weights["gru/bias"][0]
        h = hidden @ weights["gru/recurrent_kernel"] + weights["gru/bias"][1]
        units = hidden.shape[1]
        update, reset = (1 / (1 + np.exp(-(x + h)[:, units * k : units * (k + 1)])) for k in (0, 1))
        candidate = np.tanh(x[:, 2 * units :] + reset * h[:, 2 * units :])
        hidden = update * hidden + (1 - update) * candidate
        seen = np.concatenate([embedded, hidden, context], axis=1)
        mixed = np.tanh(seen @ weights["mixture/kernel"] + weights["mixture/bias"])
        return mixed @ weights["logits/kernel"] + weights["logits/bias"], hidden, attention

    def test_a_step_equals_the_float64_definition(self):
        model = build(self.config, seed=3)
        for variable in model.trainable_variables:  # biases too, so that a forgotten one shows
            variable.assign(np.random.default_rng(variable.shape[0]).normal(size=variable.shape, scale=0.5))
        words = np.array([START, 5, 9])
        state = model.initial_state(features())
        logits, hidden, attention = self.step_in_float64(model, words, state)
        step = model.step(words, state)
        np.testing.assert_allclose(step.logits, logits, atol=1e-5)
        np.testing.assert_allclose(step.state[0], hidden, atol=1e-5)
        np.testing.assert_allclose(step.attention, attention, atol=1e-6)

    def test_attention_sums_to_one_and_differs_between_words(self):
        model = build(self.config, seed=3)
        state = model.initial_state(features())
        first = model.step(np.array([START] * 3), state)
        second = model.step(np.array([7] * 3), first.state)
        np.testing.assert_allclose(np.sum(first.attention, axis=1), 1, atol=1e-6)
        assert np.abs(np.asarray(first.attention) - np.asarray(second.attention)).max() > 1e-5

    def test_the_context_is_the_region_that_is_attended_to(self):
        attention = build(self.config, seed=3).attention
        random = np.random.default_rng(0)
        query, keys, values = (
            random.normal(size=shape).astype(np.float32) for shape in ((2, 1, 7), (2, 4, 3), (2, 4, 7))
        )
        attention.score.kernel.assign(100 * np.sign(attention.score.kernel))
        keys[:, 2] = 9 * np.sign(attention.score.kernel)[:, 0]  # beyond doubt
        context, weights = attention(query, keys, values)
        np.testing.assert_allclose(np.asarray(weights)[:, 0, 2], 1, atol=1e-3)
        np.testing.assert_allclose(np.asarray(context)[:, 0], values[:, 2], atol=1e-2)

    def test_the_order_of_the_regions_moves_the_attention_and_not_the_words(self):
        model = build(self.config, seed=3)
        one = np.zeros((1, 4, 6), np.float32)
        one[0, 1] = 3
        moved = one[:, [1, 0, 2, 3]]
        here, there = (model.step(np.array([START]), model.initial_state(array)) for array in (one, moved))
        np.testing.assert_allclose(here.logits, there.logits, atol=1e-5)
        np.testing.assert_allclose(np.asarray(here.attention)[:, [1, 0, 2, 3]], there.attention, atol=1e-6)

    def test_the_restart_flag_forgets_the_state(self):
        """With it, the words before the last one only act through the attention's query."""
        right, wrong = (build(replace(self.config, restart=flag), seed=3) for flag in (False, True))
        for model in (right, wrong):
            model.attention.query_projection.kernel.assign(np.zeros((7, 3)))
        long, short = tokens(steps=4), tokens(steps=4)
        long[..., 1] = 9
        short[..., 1] = 8
        for model, equal in ((right, False), (wrong, True)):
            one, other = (np.asarray(model({"features": features(), "tokens": t})) for t in (long, short))
            assert np.allclose(one[..., 3, :], other[..., 3, :], atol=1e-6) == equal


class TestMerge:
    config = CONFIGS[2]

    def test_one_pass_equals_the_prefix_by_prefix_expansion(self):
        """Same summed loss and same gradients as one sample per prefix, as most merge models are trained."""
        model = build(self.config, seed=3)
        rows = tokens(steps=7)
        rows[0, 0, 4:] = [END, PAD, PAD]
        inputs, targets = rows[..., :-1], rows[..., 1:]

        with tf.GradientTape() as tape:
            one_pass = masked_crossentropy()(targets, model({"features": features(), "tokens": inputs}))
        together = tape.gradient(one_pass, model.trainable_variables)

        with tf.GradientTape() as tape:
            losses = []
            for image, caption, length in np.argwhere(targets != PAD):
                prefix = inputs[image, caption, : length + 1][None, None]
                logits = model({"features": features()[image : image + 1], "tokens": prefix})[0, 0, -1]
                losses.append(-tf.nn.log_softmax(logits)[targets[image, caption, length]])
            expanded = tf.add_n(losses) / len(losses)
        apart = tape.gradient(expanded, model.trainable_variables)

        assert float(one_pass) == pytest.approx(float(expanded), abs=1e-5)
        for one, other in zip(together, apart, strict=True):
            np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=1e-5)

    def test_the_lstm_never_sees_the_picture(self):
        model = build(self.config, seed=3)
        one, other = (model.step(np.array([START, 5, 6]), model.initial_state(features(seed=s))) for s in (0, 9))
        np.testing.assert_array_equal(one.state[1], other.state[1])

    def test_the_keras_file_loads_in_safe_mode_and_gives_the_same_logits(self, tmp_path):
        model = build(self.config, seed=3)
        model.scale_features(np.full(6, 2, np.float32), np.full(6, 9, np.float32))
        model.functional().save(tmp_path / "merge.keras")
        loaded = keras.saving.load_model(tmp_path / "merge.keras", safe_mode=True)
        rows = tokens(captions=1)
        logits = loaded({"features": features(), "tokens": rows[:, 0]})
        np.testing.assert_allclose(logits, model({"features": features(), "tokens": rows})[:, 0], atol=1e-5)


class TestBiLSTM:
    config = CONFIGS[3]

    def prefix_by_prefix(self, model, rows):
        """Return logits and attention from Keras's own layers on every prefix alone, attention in NumPy."""
        units, depth = self.config.units, self.config.attention
        *_, keys, _, values = (np.asarray(array) for array in model.initial_state(features()))
        backward = keras.layers.LSTM(units, return_sequences=True, go_backwards=True)
        backward.build((None, None, self.config.embedding))
        backward.cell.set_weights(model.backward.get_weights())
        logits, attention = [], []
        for length in range(1, rows.shape[1] + 1):
            embedded = model.embedding(rows[:, :length])
            ahead = np.asarray(model.forward(embedded))
            back = np.asarray(backward(embedded))[:, ::-1]  # back to reading order
            queries = np.asarray(model.query_projection(np.concatenate([ahead, back], -1)))
            scores = np.exp(np.einsum("bpd,brd->bpr", queries, keys) / depth**0.5)
            weights = (scores / scores.sum(-1, keepdims=True)).mean(axis=1)
            context = np.einsum("br,brd->bd", weights, values)
            joint = model.joint(np.concatenate([ahead[:, -1], back[:, 0], context], -1))
            logits.append(np.asarray(model.logits(joint)))
            attention.append(weights)
        return np.stack(logits, 1), np.stack(attention, 1)

    def test_it_equals_keras_layers_on_every_prefix_alone(self):
        model = build(self.config, seed=3)
        rows = tokens(captions=1)
        logits, attention = self.prefix_by_prefix(model, rows[:, 0])
        np.testing.assert_allclose(model({"features": features(), "tokens": rows})[:, 0], logits, atol=1e-5)
        state = model.initial_state(features())
        for position in range(rows.shape[2]):
            step, state, weights = model.step(rows[:, 0, position], state)
            np.testing.assert_allclose(step, logits[:, position], atol=1e-5)
            np.testing.assert_allclose(weights, attention[:, position], atol=1e-6)

    def test_padding_after_the_words_gets_no_attention(self):
        """The state has room for 8 words: what is behind the prefix changes nothing."""
        model = build(self.config, seed=3)
        words, count, hidden, cell, scores, *regions = model.initial_state(features())
        littered, noisy = np.asarray(words).copy(), np.asarray(scores).copy()
        littered[:, 1:], noisy[:, 1:] = 9, 5
        clean = model.step(np.array([START] * 3), (words, count, hidden, cell, scores, *regions))
        other = model.step(np.array([START] * 3), (littered, count, hidden, cell, noisy, *regions))
        np.testing.assert_allclose(clean.logits, other.logits, atol=1e-6)
        np.testing.assert_allclose(np.sum(clean.attention, axis=1), 1, atol=1e-6)

    def test_the_image_branch_gets_a_gradient_from_every_picture(self):
        model = build(self.config, seed=3)
        pictures = tf.Variable(features())
        with tf.GradientTape() as tape:
            step = model.step(np.array([START, 5, 6]), model.initial_state(pictures))
            loss = tf.reduce_sum(step.logits**2)
        assert (np.abs(tape.gradient(loss, pictures)).max(axis=(1, 2)) > 1e-6).all()

    def test_the_blind_flag_blinds_the_model(self):
        """A sum over the softmax's own axis: other pictures, same captions, and no gradient for the image."""
        model = build(replace(self.config, blind=True), seed=3)
        one, other = (np.asarray(model({"features": features(seed=s), "tokens": tokens()})) for s in (0, 9))
        np.testing.assert_array_equal(one, other)


class TestTransformer:
    config = CONFIGS[4]

    def test_attention_equals_that_of_keras(self):
        """Keras's layer has a kernel per head; the same numbers are side by side here. Its bias of the keys is idle."""
        ours, theirs = Attention(8, 2), keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        random = np.random.default_rng(0)
        asked, places = (random.normal(size=shape).astype(np.float32) for shape in ((3, 5, 8), (3, 7, 8)))
        mask = random.random((3, 5, 7)) < 0.7
        mask[..., 0] = True
        ours(asked, *ours.project(places))
        expected, scores = theirs(asked, places, attention_mask=mask, return_attention_scores=True)
        weights = [random.normal(size=array.shape).astype(np.float32) for array in theirs.get_weights()]
        theirs.set_weights(weights)
        for layer, kernel, bias in zip(
            (ours.query, ours.key, ours.value, ours.mix), weights[::2], weights[1::2], strict=False
        ):
            layer.set_weights([kernel.reshape(8, 8), bias.reshape(8)][: len(layer.weights)])
        expected, scores = theirs(asked, places, attention_mask=mask, return_attention_scores=True)
        mixed, heads = ours(asked, *ours.project(places), mask[:, None])
        np.testing.assert_allclose(mixed, expected, atol=1e-5)
        np.testing.assert_allclose(heads, scores, atol=1e-6)
        assert (np.asarray(heads)[~np.broadcast_to(mask[:, None], heads.shape)] == 0).all()

    def test_the_weights_of_each_head_sum_to_one_and_differ(self):
        model = build(self.config, seed=3)
        captions = [[5, 6, 7], [], [8]]
        maps = model.look(features(), captions)
        assert [array.shape for array in maps] == [(3, 2, 2, 4), (0, 2, 2, 4), (1, 2, 2, 4)]  # blocks, heads, regions
        np.testing.assert_allclose(np.sum(np.concatenate(maps), axis=-1), 1, atol=1e-6)
        assert np.abs(maps[0][:, :, 0] - maps[0][:, :, 1]).max() > 1e-4

    def test_the_attention_of_a_step_is_the_mean_of_the_last_heads_as_the_word_is_chosen(self):
        model = build(self.config, seed=3)
        words = np.array([[5, 6, 7], [6, 6, 8], [9, 5, 4]])
        state, maps = model.initial_state(features()), np.stack(model.look(features(), words.tolist()))
        for position, read in enumerate([np.array([START] * 3), words[:, 0], words[:, 1]]):
            _, state, attention = model.step(read, state)
            np.testing.assert_allclose(attention, maps[:, position, -1].mean(axis=1), atol=1e-6)

    @pytest.mark.parametrize("wrong", [{"heads": 3}, {"heads": 0}, {"blocks": 0}])
    def test_sizes_that_make_no_model_are_refused(self, wrong):
        with pytest.raises(ValueError, match=r"UNITS = 8, HEADS = \d, BLOCKS = \d.*multiple"):
            replace(self.config, **wrong)

    def test_the_position_of_a_word_and_of_a_region_matters(self):
        model = build(self.config, seed=3)
        rows = tokens(captions=1, steps=4)
        swapped = rows[..., [0, 2, 1, 3]]
        one, other = (np.asarray(model({"features": features(), "tokens": t})) for t in (rows, swapped))
        assert np.abs(one[..., 3, :] - other[..., 3, :]).max() > 1e-4  # the same words before it
        turned = model({"features": features()[:, ::-1], "tokens": rows})
        assert np.abs(one - turned).max() > 1e-4

    def test_without_the_mask_the_future_is_seen(self):
        for causal in (True, False):
            model = build(replace(self.config, causal=causal), seed=3)
            changed = tokens()
            changed[..., 4:] = 7
            one, other = (np.asarray(model({"features": features(), "tokens": t})) for t in (tokens(), changed))
            assert (np.abs(one - other)[..., :4, :].max() < 1e-6) == causal

    def test_more_words_than_it_holds_are_refused_in_training_too(self):
        model = build(replace(self.config, longest=5), seed=3)
        signature = [tf.TensorSpec((None, 4, 6)), tf.TensorSpec((None, None, None), tf.int32)]
        graph = tf.function(lambda pictures, rows: model({"features": pictures, "tokens": rows}), signature)
        for call in (graph, graph.python_function):
            assert call(features(), tokens(steps=5)).shape[2] == 5
            with pytest.raises(tf.errors.InvalidArgumentError, match="room for 4 words"):
                call(features(), tokens(steps=9))
