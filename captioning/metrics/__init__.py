"""Caption scores with the numbers of coco-caption, without Java: BLEU, ROUGE-L, CIDEr-D, and checks beside them."""

from captioning.metrics.cider import CiderD
from captioning.metrics.coco_files import read_references, read_results
from captioning.metrics.controls import bootstrap_interval, paired_bootstrap, shuffled_cider
from captioning.metrics.grounding import grounding
from captioning.metrics.language import bad_endings, distinct_captions, diversity, language, novel_captions
from captioning.metrics.people import leave_one_out
from captioning.metrics.references import References
from captioning.metrics.report import score
