"""The moving average of the weights, which is validated and kept, while training moves on from the others."""

from captioning.quiet import keras


class AveragedWeights(keras.callbacks.Callback):
    """Puts the average that the optimizer keeps (`use_ema`) into the model between epochs, and takes it out again.

    Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992). (Keras's SwapEMAWeights swaps
    by adding and subtracting, which rounds, and forgets after a kill which of the two is in the model.)
    """

    def __init__(self, swapped: bool):
        """Take whether the model has the average now, as a snapshot between two epochs leaves it."""
        super().__init__()
        self._swapped = swapped

    def on_test_begin(self, logs=None):
        """Validate the average."""
        self._swap(True)

    def on_epoch_begin(self, epoch, logs=None):
        """Train on from the weights that the optimizer left."""
        self._swap(False)

    def on_epoch_end(self, epoch, logs=None):
        """Keep the average, also where nothing was validated."""
        self._swap(True)

    def _swap(self, wanted: bool) -> None:
        if self._swapped == wanted:
            return
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
        # Private: in Keras nothing public gives the averages without losing the weights that training moves on from.
        averages = optimizer._model_variables_moving_average
        for weight, average in zip(self.model.trainable_variables, averages, strict=True):
            kept = keras.ops.copy(weight)
            weight.assign(average)
            average.assign(kept)
        self._swapped = wanted
