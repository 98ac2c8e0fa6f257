"""Image captioning with TensorFlow / Keras 3: the rooms that the notebooks share."""
