"""The first cell of every notebook: nothing in a clone; alone, it fetches the repository and installs."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.series import FILES
from tests.test_docs import loaded
from tests.test_house import ROOT

first_cell = loaded("first_cell")
SOURCE = first_cell.CELL.format(address=first_cell.address())
RUN = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
{before}
result = shell.run_cell({source!r})
print("DONE" if result.success else f"FAILED {{result.error_in_exec}}")
"""
# Instead of pip: it writes down what it is asked for, and does what an installation would.
PIP = """
import os, pathlib, sys
pathlib.Path(os.environ["ASKED"]).write_text("\\n".join(sys.argv[1:]))
exec(os.environ.get("INSTALLS", ""))
"""


def test_every_notebook_has_it_before_its_imports():
    for file in FILES:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        code = [("".join(cell["source"]), cell["id"]) for cell in cells if cell["cell_type"] == "code"]
        assert code[0] == (SOURCE, "get"), f"{file.name}: python docs/first_cell.py"


def test_the_address_is_the_same_everywhere(tmp_path):
    """It is set by one command, which leaves nothing of the old one."""
    for name in first_cell.NAMING:
        assert first_cell.address() in (ROOT / name).read_text(encoding="utf-8")
        shutil.copy(ROOT / name, tmp_path)
    first_cell.move(tmp_path, "https://github.com/someone/captions")
    assert first_cell.address(tmp_path) == "https://github.com/someone/captions"
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    for form in (
        "someone.github.io/captions/",
        "colab/github/someone/captions/blob",
        "codespaces.new/someone/captions",
    ):
        assert form in readme.replace("colab.research.google.com", "colab")
    old = first_cell.forms(first_cell.address())
    assert not any(form in (tmp_path / name).read_text(encoding="utf-8") for name in first_cell.NAMING for form in old)


@pytest.mark.parametrize("wrong", ["https://github.com/someone", "github.com/someone/captions", "https://a.org/b/c/d"])
def test_an_address_that_is_none_changes_nothing(tmp_path, wrong):
    for name in first_cell.NAMING:
        shutil.copy(ROOT / name, tmp_path)
    with pytest.raises(SystemExit, match=f"{wrong}: give the repository's address, such as https://"):
        first_cell.move(tmp_path, wrong)
    assert all((tmp_path / name).read_bytes() == (ROOT / name).read_bytes() for name in first_cell.NAMING)


def run(folder, before="", **environment):
    """Run the cell in a new process that has the packages of this one, but not captioning; return what it printed."""
    packages = sysconfig.get_path("purelib")  # as a plain folder, where links to a clone do not count
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CAPTIONING_", "PYTHON"))}
    paths = os.pathsep.join([str(folder / "stubs"), packages])
    kept |= {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"}  # if it were the real pip, it would still change nothing
    environment = kept | {"PYTHONPATH": paths, "ASKED": str(folder / "asked"), "IPYTHONDIR": str(folder), **environment}
    command = [sys.executable, "-S", "-c", RUN.format(before=before, source=SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def alone(tmp_path):
    """A folder without the repository, a repository to clone, and a pip that only writes down."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    source = tmp_path / "source"
    for name in ("pyproject.toml", "notebooks/alone.py", "captioning/__init__.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        named = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *named, *command], cwd=source, check=True)
    (tmp_path / "stubs" / "pip").mkdir(parents=True)
    (tmp_path / "stubs/pip/__main__.py").write_text(PIP)
    (tmp_path / "stubs/pip/__init__.py").touch()  # else the real one, a package, comes first
    return tmp_path


def address(folder):
    return {"CAPTIONING_REPOSITORY": (folder / "source").as_uri()}


def test_alone_it_fetches_and_installs_and_the_package_can_be_imported(alone):
    before = "import importlib.metadata as m; found = m.distributions\n"
    before += "m.distributions = lambda: (one for one in found() if one.name not in ('papermill', 'onnxruntime'))"
    said = run(alone, before, **address(alone))
    assert said.endswith("DONE\n") and f"Data and models go to {alone / 'image-captioning'}" in said
    asked = (alone / "asked").read_text().splitlines()
    assert asked[:4] == ["install", "--quiet", "--editable", str(alone / "image-captioning")]
    assert [line.partition(">")[0] for line in asked[4:]][:2] == ["papermill", "onnxruntime"]  # they are missing here
    assert [line.partition("==")[0] for line in asked[6:]] == ["tensorflow", "keras"]  # they are kept
    said = run(alone, CAPTIONING_HOME="drive/captioning", **address(alone))
    assert "Data and models go to drive/captioning." in said  # as on Colab, with a drive
    said = run(alone, "import sys; sys.path.insert(0, 'image-captioning')")
    assert said == "DONE\n"  # once it is installed


def test_a_package_that_was_loaded_and_is_replaced_asks_for_a_restart(alone):
    installs = "p = pathlib.Path(__file__).parents[1] / 'loaded-2.dist-info'; p.mkdir(exist_ok=True); "
    installs += "(p / 'METADATA').write_text('Name: loaded\\nVersion: 2'); (p / 'RECORD').write_text('loaded.py,,'); "
    installs += "import shutil; shutil.rmtree(p.with_name('loaded-1.dist-info'))"
    old = alone / "stubs/loaded-1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Name: loaded\nVersion: 1")
    (alone / "stubs/loaded.py").touch()
    said = run(alone, "import loaded", INSTALLS=installs, **address(alone)).splitlines()[-1]
    assert said.startswith("FAILED Restart the kernel, then run all cells: loaded ")


def test_what_goes_wrong_is_told_with_the_way_out(alone):
    said = run(alone, CAPTIONING_REPOSITORY=(alone / "nowhere").as_uri()).splitlines()[-1]
    assert (
        said
        == f"FAILED {(alone / 'nowhere').as_uri()} cannot be cloned: is Internet on, and CAPTIONING_REPOSITORY right?"
    )
    said = run(alone, INSTALLS="print('no route to host'); sys.exit(1)", **address(alone)).splitlines()[-1]
    assert said.startswith("FAILED pip failed: no route to host. Is Internet on?")


def test_in_a_clone_another_kernel_is_told_what_to_install(alone):
    shutil.copytree(alone / "stubs", alone / "source/notebooks/stubs")
    said = run(alone / "source/notebooks").splitlines()[-1]
    assert said.startswith("FAILED The kernel's Python, ") and "-m pip install -r requirements.txt" in said
    assert not (alone / "source/notebooks/asked").exists()
