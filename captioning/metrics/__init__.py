"""Caption scores with the numbers of coco-caption, without Java: BLEU, ROUGE-L, CIDEr-D, and checks beside them."""

from captioning.metrics.cider import CiderD
from captioning.metrics.coco_files import read_references, read_results
from captioning.metrics.controls import bootstrap_interval, distinct_captions, novel_captions, shuffled_cider
from captioning.metrics.grounding import grounding
from captioning.metrics.references import References
from captioning.metrics.report import report, score
from captioning.words import tokenize

__all__ = ["CiderD", "References", "bootstrap_interval", "distinct_captions", "grounding", "novel_captions"]
__all__ += ["read_references", "read_results", "report", "score", "shuffled_cider", "tokenize"]
