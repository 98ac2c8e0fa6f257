"""Photos below a folder, found by the names that people write."""

import filecmp
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from captioning.datasets.texts import UNSEEN
from captioning.images import EXTENSIONS

_UNREAD = {
    ".heic", ".heif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".svg", ".psd",
    ".pdf", ".eps", ".mov", ".mp4",
}  # fmt: skip
_JPEG = {".jpg", ".jpeg", ".jpe", ".jfif"}  # endings of the same format
_LEFT_BEHIND = {"__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found"}  # by zips, by drives
_JOINERS = dict.fromkeys(map(ord, "\u200b\u200c\u200d"))  # dropped where names are compared
CONVERT = (
    "convert it to JPEG, for example in the program that shows your photos, or with `magick mogrify -format jpg`; HEIC "
    "is read after `pip install pillow-heif`"
)

NOT_THERE = "rows without a photo"
AMBIGUOUS = "rows that may mean several photos"
UNREAD = "rows with a photo in a format that is not read"
FOLDER = "rows that name a folder"
BROKEN = "rows that name a broken link"
OUTSIDE = "rows that name a file outside of the folder"


class Found(NamedTuple):
    """What a name means."""

    path: str = ""  # of the photo below the root; empty where there is none
    why: str = ""  # one of the reasons above, where there is none
    more: str = ""  # what is there instead


class Photos:
    """All photos below a folder; links are followed, what systems leave behind is not looked at."""

    def __init__(self, root: Path):
        """Take the folder; it is walked when it is first asked."""
        self.root = root
        self.unreadable: list[str] = []  # folders that cannot be opened, and names that no text file can hold

    @property
    def paths(self) -> list[str]:
        """The photos, as paths below the root."""
        return [path for path, kind in self._all.items() if not kind]

    @property
    def unread(self) -> list[str]:
        """The pictures in formats that are not read."""
        return [path for path, kind in self._all.items() if kind == UNREAD]

    def find(self, names: Iterable[str]) -> dict[str, Found]:
        """Return what each name means.

        A name is a path below the root, with forward slashes, or the end of one: folders that people have or lack in
        front do not count as long as one photo only is meant, or copies of one; nor do letter case, the Unicode form,
        a missing extension or another one of JPEG, if there is no photo of exactly that name. Two different paths never
        mean one photo.
        """
        found = {name: self._find(name) for name in dict.fromkeys(names)}
        written = defaultdict(list)
        for name, (path, *_) in found.items():
            if path:
                written[path].append(name)
        for path, of_one in written.items():
            ending = _ending(path)
            keys = {name: _key(_parts(name)).removesuffix(ending) + ending for name in of_one if len(of_one) > 1}
            for name, key in keys.items():
                if _means_another(path, key, keys.values()):
                    found[name] = Found("", NOT_THERE, f"only {path} has this file name")
        return found

    def _find(self, name: str) -> Found:
        if self._all.get(name) == "":
            return Found(name)
        parts = _parts(name)
        ending, best = _ending(parts), _longest(self._names, parts)
        if not best and ending not in EXTENSIONS | _UNREAD:
            best = _longest(self._stems, parts)
        elif not best and ending in _JPEG:
            best = [path for path in _longest(self._stems, _stem(parts)) if _ending(path) in _JPEG]
        if not best or ".." in parts.split("/"):
            return self._why_not(name, parts)
        best = best if len(best) == 1 else _nearest(best, parts)
        if all(self._same(best[0], path) for path in best[1:]):
            return Found(best[0])
        return Found("", AMBIGUOUS, f"{' or '.join(best)}; write the path as it is")

    def _same(self, path: str, other: str) -> bool:
        """Return whether two photos have the same bytes, as when a zip was unpacked twice."""
        try:
            return filecmp.cmp(self.root / path, self.root / other, shallow=False)
        except OSError:
            return False

    def _why_not(self, name: str, parts: str) -> Found:
        if name.startswith("/") or name[1:2] == ":" or ".." in parts.split("/"):
            return Found("", OUTSIDE, f"only what is below {self.root} is read")
        odd = _longest(self._odd, parts) or _longest(self._odd, _stem(parts))
        if odd:
            kind = self._all[odd[0]]
            return Found("", kind, f"{odd[0]}: {CONVERT}" if kind == UNREAD else odd[0])
        alike = _longest(self._stems, _stem(parts))
        return Found("", NOT_THERE, f"there is {alike[0]}" if alike else "")

    @cached_property
    def _all(self) -> dict[str, str]:
        """Path -> what keeps it from being read; empty for a photo."""
        return dict(self._walk())

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return _ends((path, path) for path in self.paths)

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        return _ends((path, _stem(path)) for path in self.paths)

    @cached_property
    def _odd(self) -> dict[str, list[str]]:
        odd = [(path, path) for path, kind in self._all.items() if kind]
        return _ends(odd + [(path, _stem(path)) for path in self.unread])

    def _walk(self) -> Iterator[tuple[str, str]]:
        """Walk the folders, linked ones last, each once: links that lead back end."""
        waiting, seen = [(self.root, "")], set()
        linked: list[Any] = []
        while waiting or linked:
            folder, below = waiting.pop() if waiting else linked.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            for entry in entries(folder, self.unreadable):
                extension, is_folder = _ending(entry.name), _is_folder(entry)
                if is_folder:
                    (linked if entry.is_symlink() else waiting).append((Path(entry.path), f"{below}{entry.name}/"))
                if extension in EXTENSIONS | _UNREAD:
                    read = "" if extension in EXTENSIONS else UNREAD
                    yield below + entry.name, FOLDER if is_folder else read if _is_file(entry) else BROKEN


def entries(folder: Path, unreadable: list[str] | None = None) -> list[os.DirEntry]:
    """List a folder by name, without hidden files and what a Mac leaves in zips; empty where it cannot be opened."""
    unreadable = [] if unreadable is None else unreadable
    try:
        with os.scandir(folder) as found:
            listed = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        unreadable.append(f"{folder}: {error.strerror}")
        return []
    odd = [entry for entry in listed if entry.name.encode(errors="ignore").decode() != entry.name]
    unreadable += [f"{entry.path!a}: the name is not in UTF-8, rename it" for entry in odd]
    return [entry for entry in listed if entry not in odd and entry.name[0] != "." and entry.name not in _LEFT_BEHIND]


def look_for(root: Path, *names: str, folders: bool = False) -> list[Path]:
    """Return files (or folders) of these names, earlier names first: of the root, else of its folders, else of theirs.

    Letter case does not count.
    """
    rank = {name.casefold(): number for number, name in reversed(list(enumerate(names)))}
    level = [root]
    for _ in range(3):
        listed = [entry for folder in level for entry in entries(folder)]
        right = [e for e in listed if e.name.casefold() in rank and (_is_folder(e) if folders else _is_file(e))]
        if right:
            return [Path(entry.path) for entry in sorted(right, key=lambda entry: rank[entry.name.casefold()])]
        level = [Path(entry.path) for entry in listed if _is_folder(entry)]
    return []


def nearest(path: Path) -> str:
    """Say what there is of a path: the nearest folder, and what it holds."""
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    closed: list[str] = []
    photos_last = sorted(entries(folder, closed), key=lambda entry: _ending(entry.name) in EXTENSIONS)
    names = [entry.name for entry in photos_last] or closed
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"{folder} holds {', '.join(names[:6]) or 'nothing'}{more}"


def _is_folder(entry: os.DirEntry) -> bool:
    """Ask the disk about links only; a link that leads to itself is no folder."""
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry) -> bool:
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _ends(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return each end of these names -> paths, so that 100,000 photos called `image.jpg` are told by their folders."""
    ends = defaultdict(list)
    for path, name in names:
        end = _key(name)
        while end:
            ends[end].append(path)
            end = end.partition("/")[2]
    return ends


def _longest(ends: dict[str, list[str]], name: str) -> list[str]:
    """Return the paths that have most of their last parts in common with a name."""
    end = _key(name)
    while end and end not in ends:
        end = end.partition("/")[2]
    return ends.get(end, [])


def _parts(name: str) -> str:
    """Return a path without its drive and without `.` and `folder/..`, as far as it can be."""
    parts = os.path.normpath(name[2:] if name[1:2] == ":" else name).replace(os.sep, "/")
    return parts.lstrip("/")


def _nearest(paths: list[str], name: str) -> list[str]:
    """Return the paths that come nearest to a name: as a whole, else by the form of their last parts."""
    rank = {}
    for path in paths:
        whole = name if _ending(name) in EXTENSIONS else name + os.path.splitext(path)[1]
        rank[path] = _key(path) == _key(whole), _alike(_nfc(path), _nfc(whole)), _alike(path, whole)
    most = max(rank.values())
    return sorted((path for path in paths if rank[path] == most), key=lambda path: (len(path), path))


def _means_another(path: str, key: str, others: Iterable[str]) -> bool:
    """Return whether a name is hardly meant by this photo: another is nearer, or as near and of another folder."""
    near = _alike(_key(path), key)
    rivals = (o for o in others if not (f"/{key}".endswith(f"/{o}") or f"/{o}".endswith(f"/{key}")))
    return near <= key.count("/") and any(_alike(_key(path), rival) >= near for rival in rivals)


def _alike(path: str, name: str) -> int:
    """Return how many of their last parts are the same."""
    pairs = zip(reversed(path.split("/")), reversed(name.split("/")), strict=False)
    return len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _key(name: str) -> str:
    """Return what names have in common that look alike."""
    return unicodedata.normalize("NFC", UNSEEN.sub("", _nfc(name).casefold().translate(_JOINERS)))
