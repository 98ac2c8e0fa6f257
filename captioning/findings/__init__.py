"""Sentences below figures and tables, computed from the numbers shown: they say what came out, whatever came out."""

from captioning.findings.captions import captions, examples, side_by_side
from captioning.findings.data import (
    agreement,
    captions_per_picture,
    common_words,
    lengths,
    rare_words,
    splits,
    splitting,
    unknown_words,
)
from captioning.findings.finding import Finding, claim
from captioning.findings.first_captioner import coarse, named, one_picture, one_step, overfitting
from captioning.findings.from_scratch import clipping, forgotten, gradients_agree, memorized, of_each
from captioning.findings.looking import depends, evenness, heads, looking, looks, right_and_wrong
from captioning.findings.photos import alternatives, confidence, disagreement, looked, reranked, sureness
from captioning.findings.pictures import contrast, neighbors, scales, similar, speed
from captioning.findings.reranking import consensus, rankings, together
from captioning.findings.scores import comparison, decoding_name, decodings, orders, ranking, scored, truth
from captioning.findings.self_critical import (
    MEASURES,
    gains,
    never_sampled,
    rewarded,
    sampled,
    traded,
    unfinished,
    written,
)
from captioning.findings.sure import languages, pair_cell, pairs, people, seeds
from captioning.findings.training import curves, padding_in_one_loss, padding_in_training, split_by_caption
