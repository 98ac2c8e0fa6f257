"""Image captioning with TensorFlow / Keras 3: the modules that the notebooks share."""
