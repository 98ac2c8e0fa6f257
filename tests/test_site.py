"""A page is written whole or not at all, with the runtime that is known, and served to this machine alone."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

pytest.importorskip("tensorflow")
from captioning.serving import onnx_files, site
from tests.bundles import everything_in

RUNTIME = {name: name.encode() for name in site.RUNTIME_FILES}


def package(contents):
    """Return an npm package that holds these files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in contents.items():
            about = tarfile.TarInfo(f"package/dist/{name}")
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where the package of the runtime is kept; a small one is known, and lies there."""
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path / "home"))
    known = {name: hashlib.sha256(content).hexdigest() for name, content in RUNTIME.items()}
    monkeypatch.setattr(site, "RUNTIME_FILES", known)
    kept = tmp_path / "home" / "data" / site.RUNTIME
    kept.parent.mkdir(parents=True)
    kept.write_bytes(package(RUNTIME))
    return kept


@pytest.fixture
def captioner(tmp_path):
    settings = {
        "encoder": {"encoder": "vgg16", "weights": "random"},
        "data": {"dataset": "coco & more", "pictures": 1500},
    }
    return SimpleNamespace(folder=tmp_path, name="gru-vgg16", settings=settings)


@pytest.fixture
def written(monkeypatch):
    """The precisions in which models were asked for; of a large one, weights lie beside the graphs in float32."""
    asked = []

    def write(bundle, folder, precision):
        asked.append(precision)
        for file in folder.glob("*.data"):
            file.unlink()
        graphs = {name: {"file": f"{name}.onnx", "data": []} for name in onnx_files.GRAPHS}
        for graph in graphs.values():
            (folder / graph["file"]).write_bytes(bytes(1000))
        if bundle.large and precision == "float32":
            graphs["encoder"]["data"] = ["encoder-0a.data", "encoder-1b.data"]
            for name in graphs["encoder"]["data"]:
                (folder / name).write_bytes(bytes(24_000_000))
        (folder / "model.json").write_text("{}")
        return {"graphs": graphs}

    monkeypatch.setattr(onnx_files, "write", write)
    return asked


@pytest.mark.parametrize(
    ("large", "precision", "expected", "said"),
    [
        (False, None, ["float32"], ""),
        (True, None, ["float32", "int16"], "The model has 48 MB in float32: its weights are stored in 16 bits."),
        (True, "int16", ["int16"], ""),
        (True, "float32", ["float32"], " 24.0 MB  encoder-1b.data"),
    ],
)
def test_weights_are_stored_so_that_a_page_stays_small(
    large, precision, expected, said, captioner, kept, written, tmp_path, capsys
):
    captioner.large = large
    for _ in range(2):  # also over an earlier one
        site.write(captioner, tmp_path / "page", precision)
    assert written == expected * 2
    printed = capsys.readouterr().out
    assert said in printed and ("16 bits" in printed) == ("16 bits" in said) and " MB  step.onnx" in printed
    names = {path.name for path in (tmp_path / "page").iterdir()}
    assert set(site.FILES) <= names and len(names) == len(site.FILES) + 2 * (precision == "float32")
    assert (tmp_path / "page" / "ort.wasm.min.js").read_bytes() == b"ort.wasm.min.js"
    page = (tmp_path / "page" / "index.html").read_text()
    assert (
        f"<dd>gru-vgg16, weights in {expected[-1]}</dd>" in page
        and "coco &amp; more" in page
        and "<!--" not in page.split("<main>")[1]
    )
    assert {path.name for path in tmp_path.iterdir()} == {"home", "page"}  # nothing beside it


def test_an_earlier_page_stays_until_the_new_one_is_whole(captioner, kept, written, tmp_path, monkeypatch):
    captioner.large = False
    site.write(captioner, tmp_path / "page")
    before = everything_in(tmp_path / "page")
    monkeypatch.setattr(onnx_files, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        site.write(captioner, tmp_path / "page")
    assert everything_in(tmp_path / "page") == before
    assert {path.name for path in tmp_path.iterdir()} == {"home", "page"}


def test_an_earlier_page_comes_back(captioner, kept, written, tmp_path, monkeypatch):
    """Where the new one cannot take its place, and after a kill in between."""
    captioner.large = False
    site.write(captioner, tmp_path / "page")
    before, replace = everything_in(tmp_path / "page"), os.replace

    def fails(source, target):
        if Path(source).name == "page.part":
            raise PermissionError("in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(PermissionError, match="in use"):
        site.write(captioner, tmp_path / "page")
    assert everything_in(tmp_path / "page") == before
    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "page").rename(tmp_path / "page.old")  # as a kill between the two leaves it
    monkeypatch.setattr(onnx_files, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        site.write(captioner, tmp_path / "page")
    assert everything_in(tmp_path / "page") == before


def test_a_folder_of_other_files_is_refused_by_name(captioner, kept, written, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(site.SiteError, match=r"mine holds other files \(thesis\.tex\)"):
        site.write(captioner, tmp_path / "mine")
    with pytest.raises(site.SiteError, match="is a file"):
        site.write(captioner, tmp_path / "mine" / "thesis.tex")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work" and not written


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no archive", "is damaged"),
        (package({})[:-9], "is damaged"),
        (package({"ort.wasm.min.js": b""}), "is damaged"),
        (package(RUNTIME | {"ort-wasm-simd-threaded.mjs": b"evil"}), "holds a different ort-wasm-simd-threaded.mjs"),
    ],
    ids=["no archive", "cut", "empty", "evil"],  # a gzip file holds the time
)
def test_another_runtime_is_refused(content, said, captioner, kept, written, tmp_path):
    kept.write_bytes(content)
    with pytest.raises(site.SiteError, match=said):
        site.write(captioner, tmp_path / "page")
    assert not (tmp_path / "page").exists() and not written


def test_npm_fetches_the_runtime_once_and_its_absence_is_said(captioner, kept, written, tmp_path, monkeypatch, capsys):
    kept.unlink()
    captioner.large = False
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(site.SiteError, match=r"there is no npm\. Install Node\.js, .* onnxruntime-web-1\.30\.0\.tgz"):
        site.write(captioner, tmp_path / "page")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    outcome = SimpleNamespace(returncode=1, stdout="", stderr="npm error network\nmore")
    monkeypatch.setattr(subprocess, "run", lambda command, **options: outcome)
    with pytest.raises(
        site.SiteError, match=r"npm could not fetch onnxruntime-web 1\.30\.0 \(npm error network\)\. Inst"
    ):
        site.write(captioner, tmp_path / "page")
    commands = []

    def run(command, cwd, **options):
        commands.append(command)
        (tmp_path / "fetched" / site.RUNTIME).parent.mkdir(exist_ok=True)
        with open(f"{cwd}/{site.RUNTIME}", "wb") as file:
            file.write(package(RUNTIME))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):
        site.write(captioner, tmp_path / "page")
    assert commands == [["/usr/bin/npm", "pack", "--silent", "onnxruntime-web@1.30.0"]]


def test_a_page_is_served_with_the_right_types_to_this_machine_alone(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "page"
    folder.mkdir()
    with pytest.raises(site.SiteError, match="holds no page"):
        site.serve(folder, 0)
    types = {"index.html": "text/html", "a.mjs": "text/javascript", "a.js": "text/javascript", "a.css": "text/css"}
    types |= {"a.wasm": "application/wasm", "a.json": "application/json", "a.onnx": "application/octet-stream"}
    for name in types:
        (folder / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    with site.server(folder, 0) as here:
        assert here.server_address[0] == "127.0.0.1"
        threading.Thread(target=here.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{here.server_port}"
        for name, kind in types.items():
            answer = requests.get(f"{address}/{name}", timeout=5)
            assert (answer.text, answer.headers["Content-Type"]) == (name, kind)
        assert requests.get(f"{address}/%2e%2e/secret", timeout=5).status_code == 404
        with pytest.raises(site.SiteError, match=f"Port {here.server_port} is not available"):
            site.serve(folder, here.server_port)
        for error, said in ((ConnectionResetError, False), (ZeroDivisionError, True)):  # a visitor left; a fault
            try:
                raise error
            except error:
                here.handle_error(None, ("127.0.0.1", 1))
            assert (error.__name__ in capsys.readouterr().err) == said
        here.shutdown()

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(site.ThreadingHTTPServer, "serve_forever", interrupted)
    site.serve(folder, 0)
    assert capsys.readouterr().out.startswith("The page is at http://localhost:")
