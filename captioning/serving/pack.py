"""Pack a trained bundle into one file that travels: no pickle, no code, no path of this machine."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from captioning.bundle import Bundle, BundleError, load_one, maker, packed, read_settings
from captioning.catalog import MEMBERS
from captioning.fetching.photo import ADDRESS
from captioning.files import write_atomically
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.lines import short_path
from captioning.provenance import content_digest, digest
from captioning.serving import card

SMALL = 10_000  # numbers; smaller arrays stay in float32
_HALVED = 2.0**-10, 2.0**15  # largest magnitudes of a matrix that float16 can hold well


def pack(
    folder: Path | str, target: Path | str, half: bool = False, encoder: bool = False, consensus: bool = False
) -> Path:
    """Write a trained bundle as one zip, which `bundle.load` reads; the same bundle gives the same bytes.

    Args:
        target: the file, which is returned; one that is there is replaced once the new one is whole.
        half: large matrices in float16, half the size; the last digits of scores may differ.
        encoder: put the frozen CNN's weights up to the layer in, so that no network is needed.
        consensus: put in what consensus reranking looks at: directions and captions of all train pictures.

    Raises:
        BundleError: it is an ensemble, unfinished, its class is a notebook's, its files do not fit; it has no consensus
            reranking; or the target is a folder.
    """
    if ADDRESS.match(str(folder)) or Path(folder).is_file():
        raise BundleError(f"{folder} is not a folder: a packed model is copied or fetched as it is.")
    folder, target = Path(folder), Path(target)
    if target.is_dir():
        raise BundleError(f"{target} is a folder: give the name of a file, for example {target / folder.name}.zip.")
    captioner = _checked(folder)
    members = {packed.WEIGHTS: _npz(_arrays(captioner), half)}
    if encoder:
        members[packed.ENCODER] = _npz(_numbered(captioner.encoder.arrays()), half)
    if consensus:
        members[packed.NEIGHBORS] = _npz(captioner.neighbors.arrays(), half=False)
    settings = {name: value for name, value in captioner.settings.items() if name != "weights_folder"}
    members["settings.json"] = _json(settings)
    for name in ("tokenizer.json", "scores.json", "history.csv"):
        if (folder / name).is_file():
            members[name] = (folder / name).read_bytes()
    facts = card.card_of(captioner) | {"packed": {"half": half, "encoder": encoder, "consensus": consensus}}
    members |= {packed.CARD: _json(facts), packed.CARD_TEXT: card.markdown(facts).encode()}
    manifest = {
        "format": packed.FORMAT,
        "name": captioner.name,
        "half": half,
        "made_from": {"settings": digest(settings), "weights": content_digest(captioner.weights_file.read_bytes())},
        "members": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(members.items())},
    }
    _write(target, {packed.MANIFEST: _json(manifest)} | members)
    with target.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    size = f"{target.stat().st_size / 1e6:.1f} MB"
    if consensus:
        with zipfile.ZipFile(target) as archive:
            size += f" ({archive.getinfo(packed.NEIGHBORS).compress_size / 1e6:.1f} MB of them for the consensus)"
    print(f"{short_path(target)}: {size}, sha256 {checksum}")
    return target


def _checked(folder: Path) -> Bundle:
    """Return a bundle that can travel."""
    if (folder / MEMBERS).is_file():
        raise BundleError(f"{folder} is an ensemble, which is not packed: pack one of its members.")
    settings = read_settings(folder)
    if not settings["finished"]:
        made_by = maker(settings)
        raise BundleError(f"{folder} is not packed: its training is unfinished. Run notebooks/{made_by}.ipynb again.")
    name, module = settings["class"].get("name"), str(settings["class"].get("module"))
    if module.partition(".")[0] != "captioning":
        raise BundleError(
            f"{folder} is not packed: its class {name} was defined in a notebook or a script ({module}), and a packed "
            "model holds no code. Move the class into the package captioning.models and train it again."
        )
    return load_one(folder)


def _arrays(captioner: Bundle) -> dict[str, np.ndarray]:
    """Return the weights: by name of a NumPy model, in Keras's order of the others."""
    model = captioner.model
    return model.arrays() if isinstance(model, CaptioningRNN) else _numbered(model.get_weights())


def _numbered(arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{number:04}": array for number, array in enumerate(arrays)}


def _npz(arrays: Mapping[str, np.ndarray], half: bool) -> bytes:
    """Return arrays as an .npz."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: _halved(array) if half else array for name, array in arrays.items()})
    return file.getvalue()


def _halved(array: np.ndarray) -> np.ndarray:
    """Return a large matrix in float16, anything else as it is.

    Biases, statistics of channels (a variance of 1e-9 would become 0) and kernels of one channel add little to the
    file, and much to the error.
    """
    if array.ndim < 2 or array.size < SMALL:
        return array
    return array.astype(np.float16) if _HALVED[0] < np.abs(array).max() < _HALVED[1] else array


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write(target: Path, members: Mapping[str, bytes]) -> None:
    """Write a zip that holds no time and no user of this machine."""
    with write_atomically(target) as draft, zipfile.ZipFile(draft, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)  # of 1980
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # whatever the system
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
