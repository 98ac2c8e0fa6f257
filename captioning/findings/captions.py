"""What the captions shown below pictures amount to."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from captioning.datasets.records import Record
from captioning.evaluation import check
from captioning.findings.finding import NO_TRUTH, Finding
from captioning.findings.wording import counted, listed, span
from captioning.words import tokenize


def captions(records: Sequence[Record], texts: Sequence[str]) -> Finding:
    """Tell how many of the captions shown are right, or where that is not known, how many repeat themselves."""
    marks = [mark for record, text in zip(records, texts, strict=True) if (mark := check(record, text))]
    if len(marks) == 1:
        return Finding("The caption is right." if marks[0][0] == "✓" else f"The caption is wrong: {marks[0][2:]}.")
    right = sum(mark.startswith("✓") for mark in marks)
    repeating = sum(map(_repeats_a_pair, texts))
    unchecked = f"{NO_TRUTH} Captions that repeat a pair of words: {repeating} of {len(texts)}."
    checked = f"Right: {right} of {len(marks)} captions." if marks else unchecked
    differ = f" Different captions: {len(set(texts))} of {len(texts)}." if len(texts) > 1 else ""
    return Finding(checked + differ)


def examples(records: Sequence[Record], texts: Sequence[str], cider: Sequence[float], mean: float) -> Finding:
    """Tell what the best or the worst captions by CIDEr are: how high they score, and whether they are right.

    Args:
        records, texts, cider: the pictures shown with their captions and scores.
        mean: the score of all pictures.
    """
    text = f"CIDEr of {'these captions' if len(texts) > 1 else 'this caption'}: {span(cider, '.2f')}; "
    text += f"mean of the split: {mean:.2f}. {captions(records, texts)}"
    marks = [check(record, caption) for record, caption in zip(records, texts, strict=True)]
    if not any(marks):
        return Finding(f"{text} CIDEr is not truth: compare each caption with its photo yourself.")
    return Finding(text + _exceptions(texts, marks, cider))


def side_by_side(records: Sequence[Record], results: Mapping[str, Mapping]) -> Finding:
    """Tell which models are right on each picture; on photos, how many different captions they give.

    Args:
        records: the pictures shown.
        results: name of a model -> image id -> caption.
    """
    known, told = any(record.truth for record in records), []
    for place, record in enumerate(records, start=1):
        texts = {name: of_model[record.image_id] for name, of_model in results.items()}
        right = [name for name, text in texts.items() if check(record, text).startswith("✓")]
        told.append(f"picture {place}: {listed(right or ['none']) if known else len(set(texts.values()))}")
    models = counted(len(results), "model")
    if known:
        return Finding(f"Right, of {models}: {'; '.join(told)}.")
    return Finding(f"Different captions from {models}: {'; '.join(told)}. {NO_TRUTH}")


def _exceptions(texts: Sequence[str], marks: Sequence[str], cider: Sequence[float]) -> str:
    """Name the captions, two at most, that are right among wrong ones, or wrong among right ones."""
    groups: dict[str, list[str]] = {}
    for text, mark, score in zip(texts, marks, cider, strict=True):
        groups.setdefault(mark[:1], []).append(f'"{text}" (CIDEr {score:.2f})')
    if len(groups) < 2:
        return ""
    mark, few = min(groups.items(), key=lambda group: len(group[1]))
    others = ["others"] if len(few) > 2 else []
    return f" {'Right' if mark == '✓' else 'Wrong'} among them: {listed([*few[:2], *others])}."


def _repeats_a_pair(text: str) -> bool:
    pairs = list(pairwise(tokenize(text)))
    return len(set(pairs)) < len(pairs)
