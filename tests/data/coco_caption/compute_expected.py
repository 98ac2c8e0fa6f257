"""Write expected.json with coco-caption's own code: `pip install pycocoevalcap`, Java, and this file run beside it."""

import json
import os
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

HERE = Path(__file__).parent
os.environ["JAVA_TOOL_OPTIONS"] = "-Dfile.encoding=UTF-8"  # until Java 18, it is that of the machine


def read(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def by_image(entries):
    """Return image id -> its entries, as PTBTokenizer takes them."""
    images = {}
    for entry in entries:
        images.setdefault(entry["image_id"], []).append(entry)
    return images


references = PTBTokenizer().tokenize(by_image(read("references.json")["annotations"]))
results = PTBTokenizer().tokenize(by_image(read("results.json")))
bleu, _ = Bleu(4).compute_score(references, results)
rouge, rouge_of_images = Rouge().compute_score(references, results)
cider, cider_of_images = Cider().compute_score(references, results)
expected = {
    "scores": {**{f"Bleu_{order}": float(value) for order, value in enumerate(bleu, 1)}}
    | {"ROUGE_L": float(rouge), "CIDEr": float(cider)},
    "ROUGE_L_of_images": dict(zip(results, map(float, rouge_of_images), strict=True)),
    "CIDEr_of_images": dict(zip(results, map(float, cider_of_images), strict=True)),
    "tokens_of_references": references,
    "tokens_of_results": {image: tokens for image, (tokens,) in results.items()},
}
(HERE / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
