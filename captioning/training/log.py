"""The log of a training run: what is trained, then one row per epoch; the same table for Keras and for NumPy."""

import textwrap

from captioning.training.history import History, best_epoch

WIDTH = 110  # characters of a line: what a page shows without wrapping
# Name -> decimals; reward: mean CIDEr-D of sampled captions of train pictures, words: their mean number.
COLUMNS = {"loss": 3, "accuracy": 3, "reward": 3, "words": 1, "val_loss": 3, "val_accuracy": 3, "val_CIDEr": 3}
COLUMNS |= {"seconds": 1}
LEGEND = "Losses in nats per word; * marks the best epoch so far; the caption is of one validation picture."


class TrainingLog:
    """Prints a row per epoch; columns that a run does not have are left out."""

    def __init__(self, name: str, captions: int, epochs: int, done: int = 0):
        """Print which run begins, or resumes after `done` epochs; the captions are those trained on in one epoch."""
        most = f"at most {epochs} epoch{'s' * (epochs != 1)}"
        begins = f"resuming after epoch {done} of {most}" if done else most
        print(f"{name}: {begins}, {captions:,} caption{'s' * (captions != 1)} in each.", flush=True)
        self._begun = False

    def row(self, history: History, caption: str) -> None:
        """Print the last row of the history, and of a caption as many words as the line has space for."""
        names = [name for name in COLUMNS if name in history[-1]]
        if not self._begun:
            print(LEGEND, "  ".join([" epoch", *names, "caption"]), sep="\n")
            self._begun = True
        star = "*" if best_epoch(history) == len(history) - 1 else " "
        numbers = [f"{history[-1][name]:{len(name)}.{COLUMNS[name]}f}" for name in names]
        line = "  ".join([f"{history[-1]['epoch'] + 1:5}{star}", *numbers])
        begun = textwrap.shorten(caption or "(no word)", WIDTH - len(line) - 2, placeholder=" …")
        print(f"{line}  {begun}", flush=True)
