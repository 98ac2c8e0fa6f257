"""The captioner of notebook 08 in NumPy alone: every gradient written by hand, no TensorFlow."""
