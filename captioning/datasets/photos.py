"""Photos below a folder, found by the names that people write."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from captioning.datasets.texts import UNSEEN
from captioning.images import EXTENSIONS

_UNREAD = {
    ".heic", ".heif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".svg", ".psd",
    ".pdf", ".eps", ".mov", ".mp4",
}  # fmt: skip
_JOINERS = dict.fromkeys(map(ord, "\u200b\u200c\u200d"))  # dropped where names are compared
CONVERT = "convert it to JPEG, for example in the program that shows your photos, or with `magick mogrify -format jpg`"

NOT_THERE = "rows without a photo"
AMBIGUOUS = "rows that may mean several photos"
CASE = "rows that differ from several photos in letter case only"
UNREAD = "rows with a photo in a format that is not read"
FOLDER = "rows that name a folder"
BROKEN = "rows that name a link to nothing"
OUTSIDE = "rows that name a file outside of the folder"


class Found(NamedTuple):
    """What a name stands for."""

    path: str = ""  # of the photo below the root; empty where there is none
    why: str = ""  # one of the reasons above, where there is none
    more: str = ""  # what is there instead


class Photos:
    """All photos below a folder; links are followed, what systems leave behind is not looked at."""

    def __init__(self, root: Path):
        """Take the folder; it is walked when it is first asked."""
        self.root = root
        self.unreadable: list[str] = []  # folders that cannot be opened, and names that no text file can hold
        self._folders: dict[str, set[str]] = {}

    @cached_property
    def paths(self) -> list[str]:
        """The photos, as paths below the root."""
        return [path for path, kind in self._all.items() if not kind]

    @property
    def unread(self) -> list[str]:
        """The pictures in formats that are not read."""
        return [path for path, kind in self._all.items() if kind == UNREAD]

    def find(self, names: Iterable[str]) -> dict[str, Found]:
        """Return what each name stands for.

        A name is a path below the root or the end of one: folders that people have or lack in front do not count as
        long as one photo only is meant; nor do letter case, the Unicode form and a missing extension, where the
        name as it is written is no photo. Two paths never stand for one photo.

        Args:
            names: with forward slashes.
        """
        found = {name: self._find(name) for name in dict.fromkeys(names)}
        written = defaultdict(dict)
        for name, (path, *_) in found.items():
            ending = PurePosixPath(path).suffix.lower()
            written[path][name] = _key(_parts(name)).removesuffix(ending) + ending
        for path, keys in written.items():
            for name, key in keys.items() if path else ():
                if _means_another(path, key, keys.values()):
                    found[name] = Found("", NOT_THERE, f"only {path} has this file name")
        return found

    def at(self, path: str) -> bool:
        """Return whether there is anything at this path below the root; a folder is listed once, not walked."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = {entry.name for entry in entries(self.root / folder)}
        return name in self._folders[folder]

    def _find(self, name: str) -> Found:
        parts = _parts(name)
        candidates = self._by_name.get(_key(parts.rpartition("/")[2]), [])
        bare = not candidates and PurePosixPath(parts).suffix.lower() not in EXTENSIONS | _UNREAD
        if bare:
            candidates = self._by_stem.get(_key(parts.rpartition("/")[2]), [])
        candidates = [path for path in candidates if not self._all[path]] or candidates
        if not candidates or ".." in parts.split("/"):
            return self._why_not(name, parts)
        rank = {path: _likeness(path, parts + PurePosixPath(path).suffix * bare) for path in candidates}
        best = sorted(path for path in candidates if rank[path] == max(rank.values()))
        kind, several = self._all[best[0]], " or ".join(best)
        if len(best) > 1:
            same = len({_key(path) for path in best}) == 1
            return Found("", CASE if same else AMBIGUOUS, f"{several}; write the path as it is")
        if kind:
            return Found("", kind, f"{best[0]}: {CONVERT}" if kind == UNREAD else best[0])
        return Found(best[0])

    def _why_not(self, name: str, parts: str) -> Found:
        if name.startswith("/") or name[1:2] == ":" or ".." in parts.split("/"):
            return Found("", OUTSIDE, f"only what is below {self.root} is read")
        alike = self._by_stem.get(_key(PurePosixPath(parts).stem), [""])[0]
        unread = alike and self._all[alike] == UNREAD
        more = f"there is {alike}" + (f": {CONVERT}" if unread else "") if alike else ""
        return Found("", UNREAD if unread else NOT_THERE, more)

    @cached_property
    def _all(self) -> dict[str, str]:
        """Path -> what keeps it from being read; empty for a photo."""
        return dict(self._walk())

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return _grouped(self._all, lambda path: PurePosixPath(path).name)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped(self._all, lambda path: PurePosixPath(path).stem)

    def _walk(self) -> Iterator[tuple[str, str]]:
        """Walk the folders, linked ones last, each once: links that lead back end."""
        waiting, linked, seen = [(self.root, "")], [], set()
        while waiting or linked:
            folder, below = waiting.pop() if waiting else linked.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            for entry in entries(folder, self.unreadable):
                extension, is_folder = os.path.splitext(entry.name)[1].lower(), _is_folder(entry)
                if is_folder:
                    (linked if entry.is_symlink() else waiting).append((Path(entry.path), f"{below}{entry.name}/"))
                if extension in EXTENSIONS | _UNREAD:
                    read = "" if extension in EXTENSIONS else UNREAD
                    yield below + entry.name, FOLDER if is_folder else read if _is_file(entry) else BROKEN


def entries(folder: Path, unreadable: list[str] | None = None) -> list[os.DirEntry]:
    """List a folder by name, without hidden files and what a Mac leaves in zips; empty where it cannot be opened."""
    try:
        with os.scandir(folder) as found:
            listed = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if unreadable is not None:
            unreadable.append(f"{folder}: {error.strerror}")
        return []
    odd = [entry for entry in listed if not _is_text(entry.name)]
    if unreadable is not None:
        unreadable += [f"{entry.path!a}: the name is not in UTF-8, rename it" for entry in odd]
    return [entry for entry in listed if entry not in odd and entry.name[0] != "." and entry.name != "__MACOSX"]


def look_for(root: Path, *names: str, folders: bool = False, depth: int = 2) -> list[Path]:
    """Return these files (or folders) in the root or else in the folders below it; letter case does not count.

    Args:
        root: where to begin.
        names: the earlier, the better.
        folders: look for a folder.
        depth: folders below folders.

    Returns:
        Those that are nearest to the root, the best first; none where there are none.
    """
    rank = {name.casefold(): number for number, name in reversed(list(enumerate(names)))}
    level = [root]
    for _ in range(depth + 1):
        listed = [entry for folder in level for entry in entries(folder)]
        right = [e for e in listed if e.name.casefold() in rank and (_is_folder(e) if folders else _is_file(e))]
        if right:
            return [Path(entry.path) for entry in sorted(right, key=lambda entry: rank[entry.name.casefold()])]
        level = [Path(entry.path) for entry in listed if _is_folder(entry)]
    return []


def nearest(path: Path) -> str:
    """Say what there is of a path: the nearest folder, and what it holds."""
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    names = [entry.name for entry in entries(folder)]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"{folder} holds {', '.join(names[:6]) or 'nothing'}{more}"


def _is_folder(entry: os.DirEntry) -> bool:
    """Ask the disk about links only; a link that leads to itself is no folder."""
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry) -> bool:
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()


def _ends(path: str, name: str) -> bool:
    return f"/{path}".endswith(f"/{name}")


def _grouped(paths: Iterable[str], name: object) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for path in paths:
        groups[_key(name(path))].append(path)
    return groups


def _parts(name: str) -> str:
    """Return a path without its drive and without `.` and `folder/..`, as far as it can be."""
    parts = os.path.normpath(name[2:] if name[1:2] == ":" else name).replace(os.sep, "/")
    return parts.lstrip("/")


def _likeness(path: str, name: str) -> tuple:
    """Return how near a photo's path comes to a name: as it is, in another form, by its last folders, by its file."""
    ours, theirs = path.split("/"), name.split("/")
    exact, composed = ours[-1] == theirs[-1], _nfc(ours[-1]) == _nfc(theirs[-1])
    return path == name, _nfc(path) == _nfc(name), _key(path) == _key(name), _alike(path, name), exact, composed


def _means_another(path: str, key: str, others: Iterable[str]) -> bool:
    """Return whether a name is hardly meant by this photo: another is nearer, or as near and of another folder."""
    rivals = [other for other in others if not (_ends(key, other) or _ends(other, key))]
    return not _ends(_key(path), key) and any(_alike(path, rival) >= _alike(path, key) for rival in rivals)


def _alike(path: str, name: str) -> int:
    """Return how many of their last parts are the same."""
    both = list(zip(reversed(_key(path).split("/")), reversed(_key(name).split("/")), strict=False))
    return next((n for n, (a, b) in enumerate(both) if a != b), len(both))


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _key(name: str) -> str:
    """Return what names have in common that look alike."""
    return unicodedata.normalize("NFC", UNSEEN.sub("", _nfc(name).casefold().translate(_JOINERS)))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
