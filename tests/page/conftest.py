"""The exported page of a small model, opened in a real browser."""

import contextlib
import json
import shutil
import threading

import numpy as np
import pytest
from tiny_encoder import SPEC, tiny_encoder

from captioning import bundle, encoders
from tests.browser import PICTURES, SCORES, until
from tests.bundles import edit, finished, made_in

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="package")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, content in PICTURES.items():
        (folder / name).write_bytes(content())
    return [folder / name for name in PICTURES]


@pytest.fixture(scope="package")
def captioner(tmp_path_factory):
    """A bundle whose captions depend on the picture, as its weights are large; with validation captions."""
    folder, encoder = tmp_path_factory.mktemp("captioner"), tiny_encoder()
    made, random = made_in(folder), np.random.default_rng(4)
    trained, model = finished(made, regions=SPEC.regions, channels=SPEC.channels)
    model.scale_features(np.zeros(SPEC.channels), np.ones(SPEC.channels))  # browsers and Pillow differ by a little
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 1.5, variable.shape))
    model.save_weights(trained / "model.weights.h5")
    edit(trained, encoder=encoder.identity)
    chosen = {"beam_width": 3, "length_penalty": 0.7, "confidences": [-9.0, -2.5, -2.0, -1.5, -1.0, -0.5]}
    chosen["may_repeat"] = list(made.tokenizer.vocabulary[:1])
    (trained / "scores.json").write_text(json.dumps({"decoding": chosen, **SCORES}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "load", lambda *_, **__: encoder)
        yield bundle.load(trained)


@pytest.fixture(scope="package")
def folder(captioner, tmp_path_factory):
    """The page; the runtime is fetched once and kept in data/."""
    if shutil.which("npm") is None:
        pytest.skip("npm, which fetches the runtime for browsers, is absent")
    for name in ("onnx", "tf2onnx"):
        pytest.importorskip(name, reason="the packages of the exports are not installed")
    from captioning.serving import site

    folder = tmp_path_factory.mktemp("site") / "page"
    try:
        site.write(captioner, folder)
    except site.SiteError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="package")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@contextlib.contextmanager
def opening(browser):
    """Give a function that serves a folder and opens its page; no other host may be asked, nor a script fail."""
    from captioning.serving import site

    contexts, servers, asked, wrong = [], [], [], []

    def open_page(folder, **options):
        servers.append(site.server(folder, 0))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        here = f"http://localhost:{servers[-1].server_port}/"
        page.on(
            "request", lambda request: request.url.startswith((here, "blob:", "data:")) or asked.append(request.url)
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(here)
        until(page, "status.textContent === 'Ready.' || status.classList.contains('wrong')")
        return page

    open_page.asked = asked
    yield open_page
    for context in contexts:
        context.close()
    for server in servers:
        server.shutdown()
        server.server_close()
    assert (asked, wrong) == ([], [])


@pytest.fixture
def opened(browser):
    with opening(browser) as open_page:
        yield open_page


@pytest.fixture(scope="package")
def one(folder, browser):
    with opening(browser) as open_page:
        yield open_page(folder, permissions=["clipboard-read", "clipboard-write"])


@pytest.fixture
def page(one):
    """A page that is opened once for many tests, as a visitor finds it."""
    yield one
    if one.locator("#results").is_visible():
        one.click("#clear")
    one.select_option("#search", index=0)
