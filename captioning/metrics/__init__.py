"""Caption scores with the numbers of coco-caption, without Java: BLEU, ROUGE-L, CIDEr-D, and checks beside them."""

from captioning.metrics.cider import CiderD
from captioning.metrics.coco_files import read_references, read_results
from captioning.metrics.controls import bootstrap_interval, mean_and_deviation, paired_bootstrap, shuffled_cider
from captioning.metrics.grounding import grounding
from captioning.metrics.language import bad_endings, distinct_captions, diversity, language, novel_captions
from captioning.metrics.people import leave_one_out
from captioning.metrics.references import References
from captioning.metrics.report import report, score
from captioning.words import tokenize

__all__ = ["CiderD", "References", "bad_endings", "bootstrap_interval", "distinct_captions", "diversity", "grounding"]
__all__ += ["language", "leave_one_out", "mean_and_deviation", "novel_captions", "paired_bootstrap"]
__all__ += ["read_references", "read_results", "report", "score", "shuffled_cider", "tokenize"]
