"""`captioning data` fetches a dataset and `clean-data` gives the space back, both ask; `devices` says what computes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from captioning import settings
from captioning.catalog import datasets, megabytes
from captioning.environment import PREFIX
from captioning.files import only_one
from captioning.lines import aligned

ASK = 10_000  # MB: larger downloads are asked for
KEPT = "kept: captioning models --delete NAME"


def add_options(option: Callable, cleans: bool) -> None:
    """Add the options of either command."""
    if cleans:
        option("names", nargs="*", metavar="NAME", help="as listed, such as scenes/features; default: all data")
    option("--yes", action="store_true", help="do not ask")


def fetch(options: argparse.Namespace) -> int:
    """Run notebook 01 on the chosen dataset; ask before a large download, with a ValueError where nobody can answer."""
    from captioning import notebooks
    from captioning.datasets import prepare

    first = notebooks.named([notebooks.CHOOSES])
    project = notebooks.resolve(first)
    download = prepare.download(project)
    if download >= ASK:
        print(prepare.cost(project))
        if not _agreed(f"Fetch {download / 1000:,.0f} GB?", options.yes, "make data"):
            return 1
    return notebooks.main([notebooks.CHOOSES])


def clean(options: argparse.Namespace) -> int:
    """List what the series has made with its sizes, and delete data if that is wanted.

    Nothing is deleted where a name is unknown or nobody can answer (ValueError), or notebooks are running (BusyError).
    """
    home = settings.from_environment().home
    parts = {name: files for name, files in parts_of(home).items() if any(map(os.path.lexists, files))}
    sizes = {name: sum(map(megabytes, files)) for name, files in parts.items()}
    rows = [(name, f"{size:,.1f}", "") for name, size in sizes.items()]
    rows += [(str(path.relative_to(home)), f"{megabytes(path):,.1f}", KEPT) for path in datasets(home)]
    print(aligned([(str(home), "MB", ""), *rows]))
    if unknown := [name for name in options.names if name not in parts]:
        raise ValueError(f"Nothing was deleted: there is no data {unknown[0]!r}; the list above has the names.")
    names = options.names or list(parts)
    if not names:
        return 0
    what = f"Delete {', '.join(names)}: {sum(sizes[name] for name in names):,.1f} MB?"
    if not _agreed(what, options.yes, "make clean-data"):
        print("Nothing was deleted.")
        return 0
    with contextlib.ExitStack() as held:
        for pages in filter(Path.is_dir, home.glob("runs/*")):
            held.enter_context(only_one(pages))  # while notebooks run, they are in use
        for name in names:
            for path in parts[name]:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            for folder in {path.parent for path in parts[name]} - {home / "data"}:
                with contextlib.suppress(OSError):  # it holds other things
                    folder.rmdir()
            print(f"{name}: deleted, {sizes[name]:,.1f} MB are free again.")
    return 0


def devices(options: argparse.Namespace) -> int:
    """Print what TensorFlow computes on."""
    from captioning.devices import report

    print(report())
    return 0


def parts_of(home: Path) -> dict[str, list[Path]]:
    """Return name -> the files and folders of each part of data/ that the series has made, and can make again.

    Folders of other names are the reader's, and so are links to elsewhere, and whatever holds, or lies in, a folder
    that photos are read from.
    """
    data, found = home / "data", {"encoders": [home / "data/encoders"]}
    for folder in sorted(data.glob("originals/*")):
        if folder.name in settings.DATASETS:
            found[f"originals/{folder.name}"] = [folder]
    for folder in sorted(data.glob("*")):
        name = folder.name.removesuffix("-quick")
        if folder.is_dir() and (name in settings.DATASETS or name.startswith("folder-")):
            found[f"{folder.name}/features"] = [folder / "features"]
            found[folder.name] = [path for path in sorted(folder.iterdir()) if path.name != "features"]
    roots = list(_roots(home))

    def is_ours(path: Path) -> bool:
        real = path.resolve()
        inside = real.is_relative_to(data.resolve())
        return inside and not any(real.is_relative_to(root) or root.is_relative_to(real) for root in roots)

    return {name: files for name, files in found.items() if all(map(is_ours, files))}


def _roots(home: Path) -> Iterator[Path]:
    """Yield the folders that photos are, or were, read from."""
    named = [os.environ.get(f"{PREFIX}ROOT")]
    for file in [home / "data/active.json", *home.glob("data/folder-*/captions.json")]:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # damaged, or something else than we write
            content = json.loads(file.read_bytes())
            named.append((content.get("made_from") or content).get("root"))
    yield from ((home / Path(name).expanduser()).resolve() for name in named if name)


def _agreed(question: str, yes: bool, target: str) -> bool:
    """Return whether the user agrees; ValueError where there is nobody to ask."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"{question} There is nobody to ask: add --yes, or {target} YES=1.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
