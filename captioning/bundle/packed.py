"""Read a packed model, a zip that may come from anywhere: in memory, checked before use, and nothing in it is run."""

import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from captioning import encoders
from captioning.catalog import PACKED_FORMAT as FORMAT
from captioning.fetching.photo import ADDRESS, WebPhoto, WebPhotoError
from captioning.fetching.unpack import DAMAGE, UnpackError, checked
from captioning.files import NO_ARRAYS, DamagedError, read_json
from captioning.provenance import difference
from captioning.settings import SettingError

MANIFEST, WEIGHTS, ENCODER, NEIGHBORS = "manifest.json", "weights.npz", "encoder.npz", "neighbors.npz"
CARD, CARD_TEXT = "model_card.json", "MODEL_CARD.md"
NEEDED = {"settings.json", "tokenizer.json", WEIGHTS}
MEMBERS = NEEDED | {ENCODER, NEIGHBORS, "scores.json", "history.csv", CARD, CARD_TEXT}
LARGEST = 1 << 30  # bytes, packed and unpacked; VGG16 alone has 537 MB in float32
LARGEST_TEXT = 1 << 24  # bytes of a member that is no array
AGAIN = "Fetch it again, or pack it again with `python -m captioning pack`."
LONGEST = 1800.0  # seconds to fetch it


class BundleError(ValueError):
    """The files of a bundle do not fit each other, or not what is here now; the message says what to do."""


@dataclass(frozen=True)
class Member:
    """A file in a packed model; like a `Path` as far as reading it goes."""

    path: str
    content: bytes | None = field(repr=False)  # None: there is no such file

    def exists(self) -> bool:
        """Return whether it is there."""
        return self.content is not None

    is_file = exists

    def read_bytes(self) -> bytes:
        """Return what it holds; FileNotFoundError where it is not there."""
        if self.content is None:
            raise FileNotFoundError(f"{self.path} is not there.")
        return self.content

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class Packed:
    """A packed model in memory; like the `Path` of a bundle's folder as far as reading goes."""

    source: str  # path or address, for messages
    checksum: str  # SHA-256 of the whole file, hexadecimal
    manifest: dict
    members: Mapping[str, bytes] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the bundle that was packed."""
        return self.manifest["name"]

    def __truediv__(self, name: str) -> Member:
        return Member(f"{self.source}/{name}", self.members.get(name))

    def __str__(self) -> str:
        return self.source

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of a member that is an .npz, else a BundleError; nothing in it is unpickled."""
        member = self / name
        try:
            files = _unzipped(io.BytesIO(member.read_bytes()), str(member))
            return {
                path.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
                for path, content in files.items()
            }
        except NO_ARRAYS as error:
            raise BundleError(f"{member} is refused: it holds no plain arrays ({error}). {AGAIN}") from error

    def encoder(self, identity: Mapping) -> encoders.Encoder:
        """Return the frozen CNN that travels with the model; a BundleError if it is not that of the identity."""
        try:
            arrays = list(self.arrays(ENCODER).values())
            known = identity["weights"], identity.get("precision", "float32")
            encoder = encoders.from_arrays(identity["encoder"], arrays, *known)
        except (SettingError, KeyError, ValueError, TypeError) as error:
            raise BundleError(f"{self / ENCODER} does not fit {self}/settings.json: {error}") from error
        # The manifest vouches for the weights; in float16 they have another hash.
        if found := difference(identity, encoder.identity | {"weights_hash": identity["weights_hash"]}):
            raise BundleError(f"{self} was trained with another encoder than this version builds: {found}.")
        return encoder


def packed_of(folder: Any) -> Packed | None:
    """Return what a captioner has for a folder if it is a packed model."""
    return folder if isinstance(folder, Packed) else None


def find(path: Path | str, sha256: str | None = None, allow_private: bool = False) -> Path | Packed:
    """Return the packed model of a file or of an address, else the path of a folder as it is; nothing is written.

    For the arguments and errors see `bundle.load`.
    """
    if ADDRESS.match(str(path)):
        web = WebPhoto(str(path), allow_private, LARGEST, LONGEST)
        try:
            found = _opened(io.BytesIO(web.read()), web.name, sha256)
        except WebPhotoError as error:
            raise BundleError(str(error)) from error
        print(f"{found}: sha256 {found.checksum}", file=sys.stderr)  # stdout is for captions
        return found
    path = Path(path)
    if path.is_file():
        if path.stat().st_size > LARGEST:
            raise BundleError(f"{path} has {path.stat().st_size:,} bytes, more than the limit of {LARGEST:,}.")
        try:
            with path.open("rb") as file:
                return _opened(file, str(path), sha256)
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    if sha256:
        raise BundleError(f"{path} is no file: only a packed model has a checksum.")
    return path


def _opened(file: io.BytesIO | io.BufferedReader, source: str, sha256: str | None) -> Packed:
    """Return the model in a zip; all its members are whole and those of its manifest."""
    checksum = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and checksum != sha256.strip().lower():
        raise BundleError(f"{source} is refused: its sha256 is {checksum}, not {sha256}.")
    members = _unzipped(file, source)
    manifest = _manifest(members, source)
    listed = manifest["members"]
    if odd := sorted(members.keys() - MEMBERS - {MANIFEST}):
        raise BundleError(f"{source} is refused: {odd[0]!r} is no part of a packed model.")
    if odd := sorted((NEEDED | listed.keys()) - members.keys() or members.keys() - {MANIFEST} - listed.keys()):
        raise BundleError(f"{source} is refused: {odd[0]} is missing, or not in {MANIFEST}. {AGAIN}")
    for name, content in members.items():
        if name != MANIFEST and hashlib.sha256(content).hexdigest() != listed[name]:
            raise BundleError(f"{source} is refused: {name} is not what {MANIFEST} says; it was changed. {AGAIN}")
    return Packed(source, checksum, manifest, members)


def _manifest(members: Mapping[str, bytes], source: str) -> dict:
    """Return the manifest; a newer format may have other fields and members, so that it comes before all else."""
    if MANIFEST not in members:
        raise BundleError(f"{source} is not a packed model: `python -m captioning pack` makes one of a bundle.")
    way_out = f"It is not the manifest of a packed model. {AGAIN}"
    file = Member(f"{source}/{MANIFEST}", members[MANIFEST])
    try:
        manifest = read_json(file, way_out)
    except DamagedError as error:
        raise BundleError(str(error)) from error
    fields = {"format": int, "name": str, "members": dict}
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(f), kind) for f, kind in fields.items()):
        raise BundleError(f"{file} is damaged. {way_out}")
    if manifest["format"] > FORMAT:
        newer = f"packed by a newer version (format {manifest['format']}, this one reads {FORMAT})"
        raise BundleError(f"{source} was {newer}: update the package `captioning`.")
    name = manifest["name"]
    if not name.isprintable() or name in ("", ".", "..") or set(name) & set("/\\:"):  # others name files after it
        raise BundleError(f"{file} is refused: its name {name!r} could not be that of a folder.")
    return manifest


def _unzipped(file: BinaryIO, source: str) -> dict[str, bytes]:
    """Return name -> content of a zip, within limits; checksums of the zip are compared, too."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = checked(archive, source, file.seek(0, io.SEEK_END), LARGEST)
            return {str(path): _content(archive, entry, source) for path, entry in entries.items()}
    except (UnpackError, BundleError) as error:
        raise BundleError(str(error)) from error
    except DAMAGE as error:
        raise BundleError(f"{source} is not a zip file, or is damaged or cut short ({error}). {AGAIN}") from error


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, source: str) -> bytes:
    if not entry.filename.endswith((".npz", ".npy")) and entry.file_size > LARGEST_TEXT:
        raise BundleError(f"{source} is refused: its member {entry.filename!r} has {entry.file_size:,} bytes.")
    with archive.open(entry) as packed:
        content = packed.read(entry.file_size)  # no more than it declares, whatever is in there
        if len(content) < entry.file_size:
            raise zipfile.BadZipFile(f"{entry.filename!r} does not have the {entry.file_size:,} bytes that it declares")
    return content
