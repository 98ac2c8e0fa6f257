"""What answers to photos amount to: how sure a model is, whether that means anything, where models disagree."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from captioning.bundle import Answer
from captioning.datasets.records import Record
from captioning.evaluation import check, references_of
from captioning.findings.captions import side_by_side
from captioning.findings.data import shared_words
from captioning.findings.finding import Finding
from captioning.findings.looking import looks
from captioning.findings.wording import counted, listed, percent, span
from captioning.metrics import CiderD
from captioning.words import tokenize

CHANCE = 0.5  # share of pairs that a coin orders rightly
MANY = 1000  # larger ratios of probabilities are not told
DRAWS = 500  # of the bootstrap
LISTED = 6  # pictures told one by one


def sureness(answers: Sequence[Answer]) -> Finding:
    """Tell of which caption a model is the surest and of which the least, beside the validation captions."""
    means = [answer.candidates[0].per_word for answer in answers]
    text = f"Mean log-probability of a word: {span(means, '.2f')}."
    shares = [answer.below for answer in answers if answer.below is not None]
    if len(shares) < len(answers):
        return Finding(f"{text} There are no validation captions to compare it with: run 11_evaluate.")
    if len(set(shares)) == 1:
        each = "It" if len(shares) == 1 else "Each"
        return Finding(f"{text} {each} is above {percent(shares[0], 0)} of those of the validation captions.")
    most, least = (f"{_pictures(shares, end)} ({percent(end, 0)})" for end in (max(shares), min(shares)))
    return Finding(f"{text} Share of the validation captions below it: largest for {most}, smallest for {least}.")


def alternatives(records: Sequence[Record], answers: Sequence[Answer]) -> Finding:
    """Tell how far the best caption is ahead of the second, and whether a right one is among the others."""
    pairs = [answer.candidates[:2] for answer in answers if len(answer.candidates) > 1]
    if not pairs:
        return Finding("There is only one caption for each picture: nothing to compare it with.")
    ahead = [first.log_probability - second.log_probability for first, second in pairs]
    text = f"The first caption is {_times(ahead)} times as probable as the second."
    if behind := sum(gap < 0 for gap in ahead):
        text += f" Ranked first although less probable: {behind} of {len(ahead)}."
    marks = [
        [check(record, candidate.caption)[:1] for candidate in answer.candidates]
        for record, answer in zip(records, answers, strict=True)
    ]
    if not any(map(any, marks)):
        return Finding(text)  # the truth is not known
    first, any_of = sum(mark[0] == "✓" for mark in marks), sum("✓" in mark for mark in marks)
    return Finding(
        f"{text} Of {counted(len(marks), 'picture')}, the first caption is right for {first}, any for {any_of}."
    )


def reranked(
    records: Sequence[Record], plain: Sequence[Answer], others: Sequence[Answer], rule: Mapping | None
) -> Finding:
    """Tell what changes where the captions of similar train pictures decide.

    Args:
        records, plain, others: the pictures with their answers, without and with consensus.
        rule: how they were reranked, `chosen["consensus"]` of the captioner; None: not at all.
    """
    if rule is None:
        return Finding("No consensus was chosen for this model, so nothing is reranked: run 11_evaluate.")
    pairs = [(first.caption, second.caption) for first, second in zip(plain, others, strict=True)]
    text = (
        f"Captions of {counted(rule['k'], 'similar train picture')} choose another caption for "
        f"{sum(first != second for first, second in pairs)} of {counted(len(pairs), 'picture')}."
    )
    marks = [[check(record, said)[:1] for said in pair] for record, pair in zip(records, pairs, strict=True)]
    if any(map(any, marks)):  # the truth is known
        before, after = (sum(mark[place] == "✓" for mark in marks) for place in (0, 1))
        text += f" Right: {before} without them, {after} with them."
    return Finding(text)


def confidence(records: Sequence[Record], answers: Sequence[Answer]) -> Finding:
    """Tell whether a model is surer of its better captions: in what share of all pairs of pictures that differ.

    Better is right instead of wrong where the truth is known, else the higher CIDEr against the picture's references.
    The interval is that of a bootstrap over pictures, which have references.
    """
    sure = np.array([answer.candidates[0].per_word for answer in answers])
    texts = [answer.caption for answer in answers]
    marks = [check(record, text)[:1] for record, text in zip(records, texts, strict=True)]
    if known := any(marks):
        better = np.array([mark == "✓" for mark in marks], float)
        text = f"Right: {better.sum():.0f} of {counted(len(marks), 'caption')}."
        pair = "Of a right and a wrong caption, the model is surer of the right one"
    else:
        ids = {record.image_id: text for record, text in zip(records, texts, strict=True)}
        better = CiderD(references_of(records)).score(ids)[1]
        text = f"CIDEr of {counted(len(texts), 'caption')}: {np.mean(better):.2f} on average."
        pair = "Of two captions, the model is surer of the one with the higher CIDEr"
    share = _ordered(sure, better)
    if share is None:
        return Finding(f"{text} So there is no {'wrong' if known and better.all() else 'better'} one to compare with.")
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, len(sure), len(sure)) for _ in range(DRAWS)]
    shares = [found for rows in drawn if (found := _ordered(sure[rows], better[rows])) is not None]
    low, high = np.percentile(shares, (2.5, 97.5))
    verdict = "better" if low > CHANCE else "worse" if high < CHANCE else "neither clearly better nor clearly worse"
    interval = f"95 % interval {percent(low, 0)} to {percent(high, 0)}"
    means = f"A coin would be right in half of them: the model is {verdict}."
    return Finding(f"{text} {pair} in {percent(share, 0)} of the pairs ({interval}). {means}")


def looked(shown: Sequence[tuple[Record, Answer]]) -> Finding:
    """Tell where a model looked, see `looks`; shown are the pictures whose answers have attention."""
    if not shown:
        return Finding("This model has no attention to show; those of notebooks 05, 07 and 09 do.")
    records, answers = zip(*shown, strict=True)
    return looks(records, [answer.words for answer in answers], [answer.attention for answer in answers])


def disagreement(records: Sequence[Record], results: Mapping[str, Mapping]) -> Finding:
    """Tell which models are right, see `side_by_side`, and on which pictures they share the fewest and most words."""
    if len(records) <= LISTED:
        text = str(side_by_side(records, results))
    else:
        alike = sum(len({of_model[record.image_id] for of_model in results.values()}) == 1 for record in records)
        text = f"The same caption from {counted(len(results), 'model')}: {alike} of {len(records)} pictures."
    if len(results) < 2:
        return Finding(f"{text} Train another model to compare with.")
    shared = [_shared([of_model[record.image_id] for of_model in results.values()]) for record in records]
    if len(records) == 1 or len(set(shared)) == 1:
        return Finding(f"{text} Of the words of two models, {percent(shared[0], 0)} are in both, on average.")
    least, most = (f"{_pictures(shared, end)} ({percent(end, 0)})" for end in (min(shared), max(shared)))
    return Finding(f"{text} Words of two models that are in both: fewest on {least}, most on {most}.")


def _times(gaps: Sequence[float]) -> str:
    """Return the least and the greatest ratio of probabilities, from the differences of their logarithms."""
    ends = (f"{np.exp(gap):.1f}" if gap < np.log(MANY) else f"over {MANY:,}" for gap in (min(gaps), max(gaps)))
    return " to ".join(dict.fromkeys(ends))


def _pictures(values: Sequence[float], value: float) -> str:
    numbers = [str(number) for number, each in enumerate(values, start=1) if each == value]
    return f"picture{'s' * (len(numbers) > 1)} {listed(numbers)}"


def _shared(texts: Sequence[str]) -> float:
    """Return the share of the words of two captions that both have, the mean over all pairs."""
    return float(np.mean([shared_words(*pair) for pair in combinations(map(tokenize, texts), 2)]))


def _ordered(sure: np.ndarray, better: np.ndarray) -> float | None:
    """Return the share of the pairs with a better one in which that one is surer, ties a half; None without pairs."""
    wins = np.sign(sure[:, None] - sure)[better[:, None] > better]
    return float((wins + 1).mean() / 2) if len(wins) else None
