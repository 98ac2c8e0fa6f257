"""Unpack zips: nothing outside the folder, nothing damaged, no bombs; continued after a break."""

import calendar
import os
import re
import stat
import sys
import zipfile
import zlib
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from captioning.files import NoSpaceError, beside, folded, require_space

BUFFER = 1024 * 1024  # bytes
LARGEST = 100 * 1024**3  # bytes; train2014 of COCO, the largest archive of the project, has 13.5e9
MOST_PACKED = 200  # times; JSON and CSV reach 5 to 30, zip bombs 1,000 and more
SMALL = 1024 * 1024  # bytes; what is smaller may be packed as tightly as it likes
# Deflate is unpacked in bounded pieces; Python unpacks a block of the other methods into memory whatever its size.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_DRAFT = ".unpacking"  # beside the zip, for the file being written: a kill leaves at most one
# Windows opens a device for `aux.jpg`, a hidden stream for `a:b`, and drops dots and spaces at the end.
_NOT_EVERYWHERE = re.compile(r'^(con|prn|aux|nul|com\d|lpt\d)(\.|$)|[<>:"|?*\x01-\x1f]|[. ]$', re.IGNORECASE)
# What `zipfile` raises for a damaged zip.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError)


class UnpackError(RuntimeError):
    """A zip is damaged or not to be trusted; the message names it and what is wrong."""


class DamagedZipError(UnpackError, ValueError):
    """A zip is truncated, damaged or none at all: fetched again, it may be right."""


def unpack(zip_path: Path | str, folder: Path | str, *, only: str = "*") -> list[Path]:
    """Unpack a zip into a folder, leave alone what is there and right; return the files that match, in the zip's order.

    The whole table of contents is checked before the first byte is written. A file gets its name only when it is whole
    and its size and CRC-32 are those of the table, and then the zip's time: by it a later call knows the file again.
    One process at a time may unpack a zip into a folder.

    Args:
        zip_path: the archive; methods stored and deflate, without password.
        folder: where the files go; made when missing.
        only: a pattern as of `fnmatch`; files whose path in the zip does not match it stay packed.

    Raises:
        DamagedZipError: the archive is truncated, damaged or none.
        UnpackError: an entry would land outside the folder or is no plain file, the archive is a zip bomb, or the
            folder cannot be written to.
        NoSpaceError: the disk is too small.
    """
    zip_path, folder = Path(zip_path), Path(folder)
    if not zip_path.is_file():
        raise FileNotFoundError(f"{zip_path} does not exist: download it first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(zip_path) as archive:
            files = _contents(archive, zip_path, folder)
            files = {target: entry for target, entry in files.items() if fnmatch(entry.filename, only)}
            _unpack_all(archive, zip_path, folder, files)
    except DAMAGE as error:
        advice = "It is damaged, truncated or not a zip: delete it and download it again."
        raise DamagedZipError(f"{zip_path}: {error or type(error).__name__}. {advice}") from error
    except NoSpaceError:
        raise
    except OSError as error:
        raise UnpackError(f"{zip_path} cannot be unpacked: {error}. What is unpacked is kept: run again.") from error
    return list(files)


def checked(
    archive: zipfile.ZipFile, source: Path | str, packed: int, largest: int
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of a zip by their path in it; nothing has been unpacked yet.

    The zip of so many bytes, packed, may unpack to `largest`; errors name the source.

    Raises:
        UnpackError: an entry is no plain file inside, or the zip is a bomb.
        zipfile.BadZipFile: it is damaged.
    """
    files, taken = {}, set()
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    total = sum(entry.file_size for entry in entries)
    if total > largest:
        raise UnpackError(f"{source} unpacks to {total:,} bytes, more than the limit of {largest:,}.")
    if total > max(SMALL, MOST_PACKED * packed):
        raise UnpackError(f"{source} is a zip bomb: {total:,} bytes packed into {packed:,}.")
    if entries and entries[0].header_offset < 0:
        raise zipfile.BadZipFile("its beginning is missing")
    if any(entry.header_offset + entry.compress_size > after.header_offset for entry, after in pairwise(entries)):
        raise UnpackError(f"{source} is a zip bomb: its entries overlap.")
    for entry in archive.infolist():
        inside = PurePosixPath(entry.filename.replace("\\", "/"))  # some Windows programs write backslashes
        refused = _suspicion(entry, inside)
        if not refused and not entry.is_dir():
            files[inside] = entry
            refused = "occurs twice" if folded(inside) in taken else None
            taken.add(folded(inside))
        if refused:
            raise UnpackError(f"{source} is refused: its entry {entry.filename!r} {refused}.")
    for inner in {parent for path in files for parent in path.parents} & files.keys():
        raise UnpackError(f"{source} is refused: {inner.name!r} is both a file and a folder in it.")
    return files


def _contents(archive: zipfile.ZipFile, zip_path: Path, folder: Path) -> dict[Path, zipfile.ZipInfo]:
    """Return where each file goes; refuse the archive when one of them should not go there."""
    inner = checked(archive, zip_path, zip_path.stat().st_size, LARGEST)
    for inside, entry in inner.items():
        if inside.parts[0] in [zip_path.name + ending for ending in ("", _DRAFT)]:
            refused = "has a name that is needed while unpacking: rename the zip"
            raise UnpackError(f"{zip_path} is refused: its entry {entry.filename!r} {refused}.")
    files = {folder / inside: entry for inside, entry in inner.items()}
    root = folder.resolve()
    for link in {parent for target in files for parent in target.parents if folder in parent.parents}:
        if not link.resolve().is_relative_to(root):
            raise UnpackError(f"{zip_path} is refused: {link} is a link that leads outside the folder.")
    return files


def _suspicion(entry: zipfile.ZipInfo, path: PurePosixPath) -> str | None:
    """Return what is wrong with an entry by itself, None when nothing is."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if path.is_absolute() or re.match("[A-Za-z]:", str(path)) or ".." in path.parts:
        return "lands outside the folder"
    if any(map(_NOT_EVERYWHERE.search, path.parts)):
        return "has a name that some systems do not allow"
    if not path.parts or "\0" in entry.orig_filename:
        return "has no usable name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a symbolic link or a device"
    if entry.flag_bits & _ENCRYPTED:
        return "needs a password"
    if entry.compress_type not in _METHODS:
        return "is packed by another method than deflate"
    if entry.file_size > max(SMALL, MOST_PACKED * entry.compress_size):
        return f"is a bomb: {entry.file_size:,} bytes packed into {entry.compress_size:,}"
    return None


def _unpack_all(archive: zipfile.ZipFile, zip_path: Path, folder: Path, files: dict) -> None:
    missing = {target: entry for target, entry in files.items() if not _is_there(target, entry)}
    needed = sum(entry.file_size for entry in missing.values())
    require_space(folder, needed, str(zip_path), "set another folder")
    draft = beside(folder / zip_path.name, _DRAFT)
    in_bytes = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    with tqdm(desc=zip_path.name, total=needed, file=sys.stdout, **in_bytes) as bar:
        try:
            for target, entry in missing.items():
                _unpack_one(archive, entry, draft, bar)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)


def _is_there(target: Path, entry: zipfile.ZipInfo) -> bool:
    try:
        found = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != entry.file_size:
        return False
    if found.st_mtime == _time(entry):
        return True
    if zlib.crc32(target.read_bytes()) != entry.CRC:
        return False
    os.utime(target, (_time(entry), _time(entry)))  # so that the next call need not read it
    return True


def _time(entry: zipfile.ZipInfo) -> float:
    """Return the entry's time in seconds since 1970, read as UTC: it is the same when the time zone changes."""
    year, month, *rest = entry.date_time  # some programs write month 0
    return calendar.timegm((year, min(12, max(1, month)), *rest))


def _unpack_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, draft: Path, bar: tqdm) -> None:
    """Write one entry to `draft`; `zipfile` compares the CRC-32 when the last byte is read."""
    written = 0
    draft.unlink(missing_ok=True)  # never write through a link that lies there
    with archive.open(entry) as packed, open(draft, "xb") as file:
        while piece := packed.read(BUFFER):
            written += file.write(piece)
            bar.update(len(piece))
    if written != entry.file_size:
        raise zipfile.BadZipFile(f"{entry.filename!r} has {written:,} bytes, not {entry.file_size:,}")
    os.utime(draft, (_time(entry), _time(entry)))
