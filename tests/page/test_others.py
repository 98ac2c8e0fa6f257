"""The page for everyone: screen readers, phones, no other host, and what is missing is said."""

import functools
import json
import shutil
import subprocess
import tarfile
import threading

import pytest

from tests.browser import add, until

pytest.importorskip("onnx", reason="the packages of the exports are not installed")
from captioning.serving import site

AXE = "axe-core-4.10.3.tgz"  # finds what screen readers and keyboards cannot use


def test_screen_readers_and_phones_can_use_it(folder, photos, opened):
    page = opened(folder, bypass_csp=True)  # for the script of axe, which is injected
    add(page, [photos[0], *photos[3:5]])
    page.locator(".words button").first.click()
    page.locator("summary").first.click()
    page.click("#camera-button")
    until(page, "document.querySelector('#live').textContent !== '…'")
    page.evaluate(axe())
    for dark in (False, True):
        if dark:
            page.emulate_media(color_scheme="dark")
            page.set_viewport_size({"width": 320, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = page.evaluate("axe.run()")["violations"]
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == []


@functools.cache
def axe():
    """Return the script of axe; npm fetches it once, then it is kept in data/."""
    kept = site.PAGE.parents[2] / "data" / AXE
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        name, version = AXE.removesuffix(".tgz").rsplit("-", 1)
        command = ["npm", "pack", "--silent", f"{name}@{version}", "--pack-destination", kept.parent]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot fetch axe: {done.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(kept) as package:
        return package.extractfile("package/axe.min.js").read().decode()


def test_no_other_host_can_be_asked(folder, opened, browser):
    page, elsewhere = opened(folder), site.server(folder, 0)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{elsewhere.server_port}/index.html"
    blocked = page.evaluate(
        """async (address) => {
            const image = new Promise((done) => Object.assign(new Image(), { onload: () => done('asked'),
                onerror: () => done('blocked'), src: address }));
            return [await fetch(address, { mode: 'no-cors' }).then(() => 'asked', () => 'blocked'), await image,
                await import(address).then(() => 'asked', () => 'blocked')];
        }""",
        address,
    )
    elsewhere.shutdown()
    elsewhere.server_close()
    assert blocked == ["blocked"] * 3
    assert set(opened.asked) == {address}  # as the browser notes them before it blocks them
    opened.asked.clear()


def test_what_is_missing_or_of_another_format_is_said(folder, photos, opened, browser, tmp_path):
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "step.onnx").unlink()
    page = opened(broken)
    said = "step.onnx cannot be fetched (404): reload this page, or export it again."
    assert page.inner_text("#status") == said
    page.set_input_files("#files", photos[:2])
    page.click("#camera-button")
    until(page, "document.querySelector('#camera').hidden")
    assert page.locator("#results").is_hidden() and page.inner_text("#status") == said
    description = json.loads((broken / "model.json").read_text())
    for text, said in (
        (
            json.dumps(description | {"format": 2}),
            "model.json has format 2, and this page reads 1: export the page again.",
        ),
        ("<!doctype html>", "model.json cannot be read ("),  # as hosts answer that have a page for everything
    ):
        (broken / "model.json").write_text(text)
        assert opened(broken).inner_text("#status").startswith(said)
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    until(page, "status.textContent.startsWith('Browsers load no model from a file')")
    page.close()
