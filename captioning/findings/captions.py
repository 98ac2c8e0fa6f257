"""What the captions shown below pictures amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from captioning.datasets.dataset import Record
from captioning.evaluation import check
from captioning.findings.finding import Finding
from captioning.findings.wording import counted, listed


def captions(records: Sequence[Record], texts: Sequence[str]) -> Finding:
    """Tell how many of the captions shown are right where the truth is known, and how many differ.

    Args:
        records: of the pictures shown.
        texts: one caption for each.
    """
    differ = "" if len(texts) < 2 else f" {_different(texts)} for {counted(len(records), 'picture')}."
    marks = [mark for record, text in zip(records, texts, strict=True) if (mark := check(record, text))]
    if not marks:
        return Finding(f"What these pictures show is written down nowhere: no check marks the captions.{differ}")
    right = sum(mark.startswith("✓") for mark in marks)
    if len(marks) == 1:
        return Finding("The caption is right." if right else f"The caption is wrong: {marks[0].removeprefix('✗ ')}.")
    return Finding(f"{right} of the {len(marks)} captions {'is' if right == 1 else 'are'} right.{differ}")


def examples(records: Sequence[Record], texts: Sequence[str], cider: Sequence[float], mean: float) -> Finding:
    """Tell what the best or the worst captions by CIDEr are: how high they score, and whether they are right.

    Args:
        records: of the pictures shown.
        texts: one caption for each.
        cider: the score of each.
        mean: the score of all pictures.
    """
    low, high = min(cider), max(cider)
    span = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
    text = f"CIDEr of {'these captions' if len(texts) > 1 else 'this caption'}: {span}; mean of the split: {mean:.2f}. "
    marks = [check(record, caption) for record, caption in zip(records, texts, strict=True)]
    if any(marks):
        return Finding(text + captions(records, texts) + _exceptions(texts, marks, cider))
    return Finding(
        f"{text}What the photos show is written down nowhere, and CIDEr is not truth: it counts words shared with the "
        "references. Compare each caption with its photo yourself."
    )


def side_by_side(records: Sequence[Record], results: Mapping[str, Mapping]) -> Finding:
    """Tell how many models are right on each picture; on photos, how many different captions they give.

    Args:
        records: the pictures shown.
        results: name of a model -> image id -> caption.
    """
    of_each = [[texts[record.image_id] for texts in results.values()] for record in records]
    if not any(record.truth for record in records):
        numbers = [counted(len(set(texts)), "different caption") for texts in of_each]
        return Finding(f"{_pictures(numbers)} from {counted(len(results), 'model')}; no check tells which are true.")
    numbers = []
    for record, texts in zip(records, of_each, strict=True):
        names = [name for name, text in zip(results, texts, strict=True) if check(record, text).startswith("✓")]
        numbers.append(f"{len(names)} of {len(results)} right{f' ({listed(names)})' if names else ''}")
    return Finding(f"{_pictures(numbers)}.")


def _exceptions(texts: Sequence[str], marks: Sequence[str], cider: Sequence[float]) -> str:
    """Name the captions, two at most, that are right among wrong ones, or wrong among right ones."""
    groups: dict[str, list[str]] = {}
    for text, mark, score in zip(texts, marks, cider, strict=True):
        groups.setdefault(mark[:1], []).append(f'"{text}" (CIDEr {score:.2f})')
    mark, few = min(groups.items(), key=lambda group: len(group[1]))
    return f" {'Right' if mark == '✓' else 'Wrong'} among them: {listed(few[:2])}." if len(groups) > 1 else ""


def _pictures(numbers: Sequence[str]) -> str:
    return "P" + "; ".join(f"picture {place}: {text}" for place, text in enumerate(numbers, start=1))[1:]


def _different(texts: Sequence[str]) -> str:
    number = len(set(texts))
    return "The same caption" if number == 1 else f"{number} different captions"
