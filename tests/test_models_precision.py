"""The Keras decoders in mixed precision."""

import numpy as np
import pytest
import tensorflow as tf

import captioning.quiet  # noqa: F401
from captioning import decoding
from captioning.tokenizer import START
from captioning.training.loss import masked_crossentropy
from tests.small_models import BY_KIND, CONFIGS, build, features, tokens


@BY_KIND
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_mixed_precision_is_near_and_decodes(config, precision):
    """Features beyond float16's numbers are scaled before they are cast; afterwards all is in float32 again."""
    large, model = features() * 1e5, build(config, seed=3)
    model.scale_features(np.zeros(6, np.float32), np.full(6, 1e10, np.float32))
    inputs = {"features": large, "tokens": tokens()}
    before, results = np.asarray(model(inputs)), []

    def two_steps(start, advance):
        logits, state, attention = advance(np.array([START, 5, 6]), start(large))
        logits, state, attention = advance(np.array([4, 5]), decoding.steps.take(state, np.array([0, 2])))
        results.append(np.asarray(logits))
        return logits, attention

    two_steps(model.initial_state, model.step)
    with model.computing_in(precision):
        assert model(inputs).dtype == precision
        np.testing.assert_allclose(np.asarray(model(inputs), np.float32), before, atol=0.05)
        initial_state, step = model.compile_step()
        logits, attention = two_steps(initial_state, step)
        assert logits.dtype == "float32" and (attention is None or attention.dtype == "float32")
        assert len(decoding.beam_search(step, initial_state(large), 2, max_length=7)) == 3
    np.testing.assert_allclose(*results, atol=0.05)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    np.testing.assert_array_equal(model(inputs), before)


def test_a_precision_that_there_is_not_is_refused():
    with (
        pytest.raises(ValueError, match="'double' is none of float32, bfloat16, float16"),
        build(CONFIGS[0]).computing_in("double"),
    ):
        pass


def test_the_loss_of_float16_logits_is_computed_in_float32():
    logits = np.random.default_rng(0).normal(size=(64, 9, 300)).astype(np.float16)
    targets = np.random.default_rng(1).integers(1, 300, (64, 9))
    loss = masked_crossentropy(0.1)(targets, tf.constant(logits))
    assert loss.dtype == "float32"
    assert float(loss) == pytest.approx(float(masked_crossentropy(0.1)(targets, logits.astype(np.float32))), rel=1e-6)
