"""Photos for the exported page, and how it is used in a real browser."""

import time

import numpy as np
from PIL import Image

from tests.pictures import saved, turned

BYTES = "Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))"
SCORES = {"images": 5, "CIDEr": 0.5, "Bleu_4": 0.25, "shuffled_CIDEr": 0.1}


def smooth(width, height, seed, mode="RGB"):
    """Return a picture of large soft spots of all colors."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, len(mode)), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


PICTURES = {
    "wide.png": lambda: saved(smooth(90, 41, 0), "PNG"),
    "tall.jpg": lambda: saved(smooth(40, 77, 1), "JPEG", quality=95),
    "phone <b>&.jpg": lambda: saved(smooth(150, 113, 2), "JPEG", quality=95, exif=turned(6)),
    "clear.png": lambda: saved(smooth(64, 64, 3, "RGBA"), "PNG"),
    "bad.jpg": lambda: b"This is a text.",
    "gray.gif": lambda: saved(smooth(200, 33, 4).convert("L"), "GIF"),
    "large.jpg": lambda: saved(smooth(2300, 1700, 5), "JPEG", quality=60),
}


def until(page, condition, seconds=20):
    """Wait for a condition on the page; Playwright's own way needs `eval`, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"() => {{ const status = document.querySelector('#status'); return {condition}; }}"):
        assert time.monotonic() < end, page.inner_text("body")
        time.sleep(0.02)


def add(page, files):
    """Choose files and wait for their captions."""
    page.set_input_files("#files", files)
    done = "![...document.querySelectorAll('.card .caption')].some((caption) => caption.textContent === '…')"
    until(page, f"document.querySelectorAll('#cards > li').length && {done}")
    return page.locator("#cards > li")
