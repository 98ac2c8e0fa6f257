"""Training: settings, loss, history, snapshots, captions of validation pictures, and `fit.fit`."""
