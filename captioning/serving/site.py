"""A captioner as a static page: photos are captioned in the visitor's browser, and stay there."""

import errno
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from captioning.bundle import Bundle
from captioning.files import beside, only_one, write_atomically, write_text
from captioning.serving import onnx_files
from captioning.serving.card import scores_of
from captioning.settings import from_environment

LARGEST = 25_000_000  # bytes of a file that every static host takes
PAGE = Path(__file__).parent / "page"
RUNTIME = "onnxruntime-web-1.30.0.tgz"  # as npm names it
# What is taken from it -> its SHA-256.
RUNTIME_FILES = {
    "ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
MODEL_FILES = ("model.json", *(f"{name}.onnx" for name in onnx_files.GRAPHS))
PARTS = r"(encoder|start|step)-[0-9a-f]+\.data"  # of the weights of a large model
PAGE_FILES = ("index.html", "captioner.js", "style.css")
FILES = (*PAGE_FILES, *MODEL_FILES, *RUNTIME_FILES)


class SiteError(ValueError):
    """A page cannot be written or served; the message says what to do."""


def write(bundle: Bundle, folder: Path | str, precision: str | None = None) -> None:
    """Write a folder that captions photos in the browser, for any static host, and print the sizes of its files.

    A page that is there stays until the new one is whole.

    Args:
        folder: a new or an empty one, or an earlier page.
        precision: of the weights, see `onnx_files.write`. None: float32, or int16 where a graph in float32 would have
            more than `LARGEST` bytes.
    """
    folder = Path(folder).absolute()
    _check_folder(folder)  # the cheap checks first
    onnx_files.packages()
    runtime = _runtime()
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft, old = beside(folder, ".part"), beside(folder, ".old")
    with only_one(folder):
        _clear(draft, old, folder)
        try:
            draft.mkdir()
            _write_files(bundle, draft, precision, runtime)
            if folder.exists():
                os.replace(folder, old)
            os.replace(draft, folder)
        finally:
            _clear(draft, old, folder)
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    print("\n".join(f"{size / 1e6:6.1f} MB  {name}" for name, size in sizes.items()))
    print(f"{sum(sizes.values()) / 1e6:6.1f} MB  in {folder}")
    for name in (name for name, size in sizes.items() if size > LARGEST):
        print(f"{name} is larger than the {LARGEST / 1e6:.0f} MB that some static hosts take.")


def _clear(draft: Path, old: Path, folder: Path) -> None:
    """Remove what is left of writing; the earlier page comes back where no new one has taken its place."""
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for rest in (draft, old):
        shutil.rmtree(rest, ignore_errors=True)


def serve(folder: Path | str, port: int) -> None:
    """Serve a page to this machine alone, until it is interrupted; port 0 takes any that is free."""
    if not (Path(folder) / "index.html").is_file():
        raise SiteError(f"{folder} holds no page: export one first, python -m captioning export BUNDLE {folder}")
    with server(folder, port) as here:
        print(f"The page is at http://localhost:{here.server_port}/ (Ctrl+C ends it).", flush=True)
        with suppress(KeyboardInterrupt):
            here.serve_forever()


def server(folder: Path | str, port: int) -> ThreadingHTTPServer:
    """Return the server of a page on the loopback interface, not yet running."""
    try:
        return _Server(("127.0.0.1", port), partial(_Handler, directory=os.fspath(folder)))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        way_out = "name another one, --serve PORT or make page PORT=..."
        raise SiteError(f"Port {port} is not available ({error.strerror}): {way_out}") from error


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a visitor who left before a file was whole, as a reload does."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    """Files with the types that browsers ask for, whatever this system believes."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".json": "application/json",
        ".onnx": "application/octet-stream",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # a new export is seen at once
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *details: Any) -> None:
        """Say nothing about each request."""


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but a page."""
    if folder.exists() and not folder.is_dir():
        raise SiteError(f"{folder} is a file: name a folder for the page.")
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else ()
    others = [name for name in names if name not in FILES and not re.fullmatch(PARTS, name)]
    if others:
        raise SiteError(f"{folder} holds other files ({others[0]}): name a new or an empty folder for the page.")


def _write_files(bundle: Bundle, folder: Path, precision: str | None, runtime: Path) -> None:
    _extract(runtime, folder)
    graphs = onnx_files.write(bundle, folder, precision or "float32")["graphs"]
    if precision is None and any(graph["data"] for graph in graphs.values()):
        size = sum(file.stat().st_size for graph in graphs.values() for file in folder.glob(f"{graph['file'][:-5]}*"))
        print(f"The model has {size / 1e6:.0f} MB in float32: its weights are stored in 16 bits.")
        onnx_files.write(bundle, folder, precision := "int16")
    for name in PAGE_FILES:
        text = (PAGE / name).read_text(encoding="utf-8")
        write_text(folder / name, text.replace("<!-- facts -->", "\n".join(_facts(bundle, precision or "float32"))))


def _facts(bundle: Bundle, precision: str) -> Iterator[str]:
    """Yield what the page says about its model, as HTML."""
    encoder, data = bundle.settings["encoder"], bundle.settings["data"]
    facts = {
        "Model": f"{bundle.name}, weights in {precision}",
        "Encoder": f"{encoder['encoder']}, {encoder['weights']} weights",
        "Trained on": f"{data['pictures']:,} pictures of {data['dataset']}",
    }
    if data["dataset"].startswith("scenes"):
        facts["Trained on"] = f"{data['pictures']:,} drawn scenes: it knows nothing about photos"
    with suppress(KeyError, TypeError):  # not evaluated, or on a single picture
        scores = scores_of(bundle.folder)
        facts["Scores"] = (
            f"CIDEr {scores['CIDEr']:.3f}, BLEU-4 {scores['Bleu_4']:.3f} on {scores['images']} test pictures; "
            f"CIDEr {scores['shuffled_CIDEr']:.3f} where its captions are given to the wrong pictures"
        )
    for name, text in facts.items():
        yield f"<dt>{name}</dt><dd>{html.escape(text)}</dd>"


def _runtime() -> Path:
    """Return the package of the runtime for browsers; npm fetches it once, then it is kept in data/."""
    kept = from_environment().home / "data" / RUNTIME
    if kept.is_file():
        return kept
    name, version = RUNTIME.removesuffix(".tgz").rsplit("-", 1)
    way_out = f"Install Node.js, connect to the network, or put {RUNTIME} from the npm registry there: {kept}"
    npm = shutil.which("npm")
    if npm is None:
        raise SiteError(f"The page needs {name} {version}, which npm fetches, and there is no npm. {way_out}")
    print(f"Fetching {name} {version} with npm, 33 MB; kept as {kept}.", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", "--silent", f"{name}@{version}"], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode or not (Path(folder) / RUNTIME).is_file():
            reason = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
            raise SiteError(f"npm could not fetch {name} {version} ({reason}). {way_out}")
        with write_atomically(kept) as draft:
            shutil.copyfile(Path(folder) / RUNTIME, draft)
    return kept


def _extract(runtime: Path, folder: Path) -> None:
    """Take the files of the runtime out of its package, if they are the ones known here."""
    try:
        with tarfile.open(runtime) as package:
            files = {name: package.extractfile(f"package/dist/{name}") for name in RUNTIME_FILES}
            contents = {name: file.read() for name, file in files.items() if file}
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        wrong = [name for name, known in RUNTIME_FILES.items() if sums.get(name) != known]
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise SiteError(f"{runtime} is damaged ({error}): delete it, it is fetched again.") from error
    if wrong:
        raise SiteError(f"{runtime} holds a different {wrong[0]} than expected: delete it, it is fetched again.")
    for name, content in contents.items():
        (folder / name).write_bytes(content)
