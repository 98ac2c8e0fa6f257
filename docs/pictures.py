"""Draw the pictures of the README from the experiments of the scenes: `python docs/pictures.py`, after `make demo`.

captions.png: test captions of the model with the highest CIDEr on validation, the first two good, middling and bad ones
in the order of the test split; `mark` says which is which. attention.png: the first right caption of the validation
pictures by the attention model. page.png: the exported page with the same picture, and the last word of the caption
that names a thing in it; it needs Chromium and npm. Nothing is picked by its looks.
"""

import itertools
import os
import shutil
import tempfile
import threading
from pathlib import Path

from captioning import bundle, evaluation, experiments, features, plotting, settings
from captioning.datasets import prepare
from captioning.datasets.records import Record
from captioning.files import read_json
from captioning.metrics.attention import boxes_of
from captioning.metrics.grounding import grounding
from captioning.serving import site

DOCS = Path(__file__).parent
SHOWN = 2  # of each mark
MARKS = ("good", "middling", "bad")
ATTENTION = "bahdanau-inception_v3"


def main() -> None:
    """Write the pictures, and what they show."""
    os.environ["CAPTIONING_DATASET"] = "scenes"
    project = settings.active()
    dataset = prepare.load(project)
    folders = experiments.find(project.checkpoints)
    scores = {folder: read_json(folder / "scores.json", "Run 11_evaluate.") for folder in folders}
    best = max(scores, key=lambda folder: scores[folder]["decoding"]["validation_CIDEr"])
    kept = {row["image_id"]: row["caption"] for row in read_json(best / "captions.json", "Run 11_evaluate.")}
    save_captions(dataset.split("test"), kept, best.name)
    captioner = bundle.load(project.checkpoints / ATTENTION)
    save_page(captioner, save_attention(captioner, project, dataset.split("val")))


def mark(record, text) -> str:
    """Return "good" if nothing is wrong or missing, "bad" if no object is named with its own color, else "middling"."""
    if evaluation.check(record, text).startswith("✓"):
        return "good"
    return "middling" if grounding({0: record.truth}, {0: text})["pair"] else "bad"


def save_captions(records, kept, name) -> None:
    """Draw the first pictures of each mark with the captions that are kept for them, a column per mark."""
    marked = {one: [record for record in records if mark(record, kept[record.image_id]) == one] for one in MARKS}
    counts = ", ".join(f"{len(found)} {one}" for one, found in marked.items())
    columns = [[(one, record) for record in found[:SHOWN]] for one, found in marked.items() if found]
    shown = [each for row in itertools.zip_longest(*columns) for each in row if each]
    texts = [kept[record.image_id] for _, record in shown]
    checks = []
    for (one, record), text in zip(shown, texts, strict=True):
        sign, what = evaluation.check(record, text).split(" ", 1)
        checks.append(f"{sign} {one}: {what}")
    title = f"{name}: {counts} of {len(records)} test captions; the first {SHOWN} of each"
    figure = plotting.show_captions([record.file for _, record in shown], texts, title=title, checks=checks)
    figure.savefig(DOCS / "captions.png", dpi=70, bbox_inches="tight")
    print(title, *checks, sep="\n")


def save_attention(captioner, project, records) -> Record:
    """Draw where the model looks for its first right caption; return its picture."""
    store = features.FeatureStore(features.folder_of(project, captioner.settings["encoder"]["encoder"]))
    for record in records:
        (caption,) = captioner.decode(store.rows([record]))
        words = [captioner.tokenizer.word(token) for token in caption.tokens]
        if (check := evaluation.check(record, " ".join(words))).startswith("✓"):
            title = f'"{" ".join(words)}" {check}'
            boxes = boxes_of(record, words)
            plotting.show_attention(record.file, words, caption.attention, title, boxes=boxes).savefig(
                DOCS / "attention.png", dpi=70, bbox_inches="tight"
            )
            return record
    raise ValueError(f"{captioner.name} has no right caption.")


def save_page(captioner, record) -> None:
    """Take a picture of the page as it captions a picture."""
    from playwright.sync_api import sync_playwright

    shown = max(boxes_of(record, captioner.caption(record.file, attention=True).words))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site.write(captioner, Path(folder) / "page")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 100})
        with site.server(Path(folder) / "page", 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            page.goto(f"http://localhost:{server.server_port}/")
            page.set_input_files("#files", record.file)
            page.locator(".words button").nth(shown).click(timeout=120_000)
            page.locator("summary").click()
            page.screenshot(path=DOCS / "page.png", full_page=True)
            server.shutdown()
        browser.close()


if __name__ == "__main__":
    main()
