"""Draw the pictures of the README from the experiments of the scenes: `python docs/pictures.py`, after `make demo`.

captions.png: the first six test pictures, captioned by the model with the highest CIDEr on validation. attention.png:
the first right caption of the validation pictures by the attention model. Nothing is picked by its looks.
"""

import os
from pathlib import Path

from captioning import bundle, evaluation, experiments, features, plotting, settings
from captioning.datasets import prepare
from captioning.files import read_json
from captioning.metrics.attention import boxes_of

DOCS = Path(__file__).parent
SHOWN = 6
ATTENTION = "bahdanau-inception_v3"


def main() -> None:
    """Write both pictures, and what they show."""
    os.environ["CAPTIONING_DATASET"] = "scenes"
    project = settings.active()
    dataset = prepare.load(project)
    folders = experiments.find(project.checkpoints)
    scores = {folder: read_json(folder / "scores.json", "Run 09_evaluate.") for folder in folders}
    best = max(scores, key=lambda folder: scores[folder]["decoding"]["validation_CIDEr"])
    kept = {row["image_id"]: row["caption"] for row in read_json(best / "captions.json", "Run 09_evaluate.")}
    save_captions(dataset.split("test")[:SHOWN], kept, f"The first {SHOWN} test pictures, {best.name}")
    save_attention(bundle.load(project.checkpoints / ATTENTION), project, dataset.split("val"))


def save_captions(records, kept, title) -> None:
    """Draw pictures with the captions that are kept for them."""
    texts = [kept[record.image_id] for record in records]
    checks = [evaluation.check(record, text) for record, text in zip(records, texts, strict=True)]
    plotting.show_captions([record.file for record in records], texts, title=title, checks=checks).savefig(
        DOCS / "captions.png", dpi=70, bbox_inches="tight"
    )
    print(*checks, sep="\n")


def save_attention(captioner, project, records) -> None:
    """Draw where the model looks for its first right caption."""
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
            return


if __name__ == "__main__":
    main()
