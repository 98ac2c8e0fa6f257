"""Arrays by name in one .npz file without pickle, written whole or not at all."""

from pathlib import Path

import numpy as np

from captioning.files import NO_ARRAYS, write_atomically


def write_arrays(path: Path | str, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz without pickle, whole or not at all."""
    with write_atomically(path) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """Read an .npz that `write_arrays` wrote.

    Raises:
        ValueError: the file is damaged or no .npz.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except NO_ARRAYS as error:
        raise ValueError(f"{path} is damaged or not an .npz file: {error}. Delete it and train it again.") from error


def copy_into(targets: dict[str, np.ndarray], arrays: dict[str, np.ndarray], prefix: str, source: Path | str) -> None:
    """Copy the arrays `prefix + name` into the targets, in place.

    Raises:
        ValueError: the names or a shape differ.
    """
    found = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
    wrong = sorted(set(targets) ^ set(found)) or [n for n in targets if targets[n].shape != found[n].shape]
    if wrong:
        raise ValueError(f"{source}: {prefix}{wrong[0]} is missing, unknown or of another shape.")
    for name, values in targets.items():
        values[...] = found[name]
