"""Let a notebook run that was opened without its repository, as on Colab and Kaggle: its first cell runs this.

It installs what this machine lacks into the kernel's Python. What is there already and new enough is left as it is.
"""

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EXTRAS = ("notebooks", "export")  # of pyproject.toml; notebook 12 exports
THEIRS = {"jupyter"}  # of those who show the notebook; another one might not fit their page


def lacking() -> list[str]:
    """Return what the notebooks need beside the package's own requirements and is not installed in any version."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    needed = {re.match(r"[\w-]+", line)[0]: line for line in lines}
    return [line for name, line in needed.items() if name not in {*installed(), *THEIRS}]


def installed() -> dict[str, str]:
    """Return package -> version."""
    return {found.name.lower(): found.version for found in importlib.metadata.distributions() if found.name}


def replaced(before: dict[str, str]) -> list[str]:
    """Return the packages of another version than before that this kernel had loaded already."""
    after = installed()
    changed = [name for name, version in before.items() if after.get(name, version) != version]
    return sorted(name for name in changed if modules_of(name) & sys.modules.keys())


def modules_of(package: str) -> set[str]:
    """Return the names that it can be imported by."""
    return {file.parts[0].removesuffix(".py") for file in importlib.metadata.files(package) or ()}


def main() -> None:
    """Install, and say how to go on.

    Raises:
        RuntimeError: this is a clone whose kernel is another Python; pip failed; or the kernel has to be restarted.
    """
    if Path.cwd() == REPOSITORY / "notebooks":
        way_out = f"choose the kernel of .venv, or run: {sys.executable} -m pip install -r requirements.txt"
        raise RuntimeError(f"The kernel's Python, {sys.executable}, lacks the package captioning: {way_out}")
    print("Installing what is missing; this takes a few minutes ...", flush=True)
    before = installed()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", str(REPOSITORY), *lacking()]
    there = [f"{name}=={before[name]}" for name in ("tensorflow", "keras") if name in before]
    for pins in (there, []):  # what is there is large, and kept if it will do
        done = subprocess.run([*command, *pins], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not done.returncode:
            break
    if done.returncode:
        why = (done.stdout.strip().splitlines() or ["without a word"])[-1]
        raise RuntimeError(f"pip failed: {why}. Is Internet on? On Kaggle it is a setting of the notebook.")
    if names := replaced(before):
        raise RuntimeError(
            f"Restart the kernel, then run all cells: {', '.join(names)} had been loaded, and is new now."
        )
    importlib.invalidate_caches()
    sys.path.insert(0, str(REPOSITORY))  # what pip says of it counts in new kernels
    home = os.environ.get("CAPTIONING_HOME") or REPOSITORY
    print(f"Ready. Data and models go to {home}. Where a cell asks for earlier notebooks, run them in a cell:")
    print(f"!{sys.executable} -m captioning.notebooks 01 02 03    # or those that it names")


main()
