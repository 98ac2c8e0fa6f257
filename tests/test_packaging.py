"""What `pip install` of the repository gives: the package with its data, the notebooks, the command."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata, util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The installable file, built from what is committed, without a network."""
    if not (util.find_spec("setuptools") and util.find_spec("wheel")):
        pytest.skip("setuptools and wheel are not installed; without a network, nothing can be built")
    folder = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("captioning", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder / "dist"]
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", *options, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (file,) = (folder / "dist").glob("*.whl")
    return file


def test_it_holds_the_whole_package_and_the_notebooks(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "captioning").rglob("*") if path.is_file()}
    assert {name for name in ours if "__pycache__" not in name} <= names
    data = "captioning-0.1.0.data/data/share/captioning/notebooks"
    assert {f"{data}/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= names
    assert not [name for name in names if re.match("tests|benchmarks|docs|data|checkpoints", name)]


def test_installed_it_works_where_it_is_called(wheel, tmp_path):
    """In an environment of its own, that borrows the dependencies of this one."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = {found.resolve() for found in folder.glob("[Ll]ib*/**/site-packages")}
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--ignore-installed"]  # an egg-info of the clone
    python = scripts / ("python.exe" if sys.platform == "win32" else "python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, wheel], check=True)
    borrowed = Path(metadata.distribution("numpy").locate_file(""))
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    (tmp_path / "here").mkdir()

    def run(*command):
        options = {"capture_output": True, "text": True, "cwd": tmp_path / "here", "timeout": 120}
        return subprocess.run(command, **options, env={"PATH": "", "HOME": str(tmp_path), "MPLBACKEND": "Agg"})

    done = run(scripts / "captioning", "models")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"{tmp_path / 'here' / 'checkpoints'} holds no trained model" in done.stderr
    code = (
        "from captioning import notebooks, settings; print(*map(str, [*notebooks.named(['01']), settings.REPOSITORY]))"
    )
    done = run(python, "-c", code)
    assert done.stdout.split() == [str(folder / "share/captioning/notebooks/01_download.ipynb"), "None"], done.stderr


def test_everything_that_is_installed_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = [
        *PROJECT["dependencies"],
        *(name for extra in PROJECT["optional-dependencies"].values() for name in extra),
    ]
    assert len(listed) > 20
    for name in listed:
        assert re.search(rf'^    "{re.escape(name)}", +# \w', text, re.MULTILINE), name


def test_make_installs_every_extra():
    (line,) = re.findall(r"^-e \.\[(.*)\]$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*line.split(","), "ray"} == set(PROJECT["optional-dependencies"])  # a cluster is not for everyone


# Who needs an extra; the rest of the package gets along with the base installation.
OF_EXTRAS = {"notebooks": "costs|lessons|notebooks|pages/|serving/widgets", "ray": "features/cluster|serving/encoding"}
OF_EXTRAS |= {"export": "serving/(onnx_|saved_model|site)", "heic": "images/formats"}
BENEATH = {"h5py": "keras", "nbclient": "papermill", "ipython": "ipykernel"}  # what comes with what is declared


def test_what_the_package_imports_is_declared():
    installed = metadata.packages_distributions()
    for file in (ROOT / "captioning").rglob("*.py"):
        path = file.relative_to(ROOT / "captioning").as_posix()
        extras = [name for name, files in OF_EXTRAS.items() if re.match(files, path)]
        declared = PROJECT["dependencies"] + [one for name in extras for one in PROJECT["optional-dependencies"][name]]
        declared = {re.match(r"[\w-]+", one)[0].replace("-", "_") for one in declared}
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        for module in {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"captioning"}:
            found = {name.lower().replace("-", "_") for name in installed.get(module, [module])}
            names = {BENEATH.get(name, name) for name in found}
            assert names & declared, f"{path} imports {module}"
