"""The index: what it finds is what the plain definition, line by line in a dictionary, finds."""

import json
import random
import re

import numpy as np
import pytest

from captioning.features.index import BROKEN, UNSEEN, Entry, Index, key_of

KEY = r'([0-9a-f]*\t(?:-?\d+|"[ -~]*"))'

WRONG = (
    "", "\t", "12", "x\tab\t1", "1\tAB\t1", "1\tab\t1\t", "1\tab\t--1", '1\tab\t"', "1234567890123\tab\t1",
    "5\tab\t1\r", '5\tab\t"\xe9"', "-\tab\t1", "1\tab\t",
)  # fmt: skip


def plainly(text):
    """Return key -> row, key -> (mark, reason), and how many lines are neither; a later line counts."""
    rows, without, garbled = {}, {}, 0
    for line in text.decode("latin-1").split("\n")[:-1]:
        if found := re.fullmatch(rf"([0-9]{{1,12}})\t{KEY}", line, re.ASCII):
            rows[found[2]] = int(found[1])
        elif found := re.fullmatch(rf'([-?])\t{KEY}\t("[ -~]*")', line, re.ASCII):
            without[found[2]] = found[1], json.loads(found[3])
        else:
            garbled += 1
    return rows, without, garbled


def some_lines(seed, count=300):
    """Return lines of all kinds: contents and ids that begin alike or are there twice, and damaged ones."""
    chance = random.Random(seed)
    contents = ["", "0", "ab12", *(f"{chance.getrandbits(128):032x}" for _ in range(40)), *["c0ffee00" + "0" * 24] * 9]
    contents += [f"c0ffee00{number:024x}" for number in range(9)]
    ids = [0, 7, -3, 10**15, "7", "", "snow\t\u96ea\n", 'a "quoted" \\ one', "0012_ab.jpg", *range(60)]
    lines = []
    for number in range(count):
        key = key_of(chance.choice(ids), chance.choice(contents))
        lines.append(Entry(key).line(chance.choice([number, number, 10**12 - 1 - number, chance.randrange(count)])))
        if chance.random() < 0.1:
            lines.append(Entry(key, mark=chance.choice([BROKEN, UNSEEN]), reason="it\tis \u96ea").line())
        if chance.random() < 0.1:
            lines.append(chance.choice(WRONG) + "\n")
    return "".join(lines).encode("latin-1")


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_what_the_plain_definition_finds(seed):
    text = some_lines(seed)
    rows, without, garbled = plainly(text)
    made = Index(text)
    asked = [*rows, *without, "", "ab12\t999", "c0ffee00\t7", "f" * 32 + "\t1"] * 2
    random.Random(seed).shuffle(asked)
    assert made.find(asked).tolist() == [rows.get(key, -1) for key in asked] and len(made) == len(rows)
    assert {key: (entry.mark, entry.reason) for key, entry in made.without.items()} == without
    assert made.garbled == garbled > 5
    assert sorted(made.rows().tolist()) == sorted(rows.values())
    again = plainly("".join(made.lines()).encode("ascii"))
    assert again == (rows, without, 0)


def test_what_is_added_is_found_and_what_is_dropped_is_not():
    made = Index(Entry("ab\t1").line(0).encode() + Entry("ab\t2").line(1).encode())
    made.add({"ab\t7": 5, "cd\t3": 6}, {"ee\t4": Entry("ee\t4", mark=BROKEN)})
    assert made.find(["ab\t1", "ab\t7", "cd\t3", "ee\t4", "ab\t2"]).tolist() == [0, 5, 6, -1, 1] and len(made) == 4
    made.drop(np.array([0]))
    assert made.find(["ab\t1", "ab\t2"]).tolist() == [-1, 1] and sorted(made.rows().tolist()) == [1, 5, 6]


def test_the_newest_content_under_an_id():
    text = Entry("aa\t1").line(0) + Entry("bb\t1").line(1) + Entry("cc\t21").line(2)
    text += Entry("dd\t3", mark=BROKEN).line() + Entry("ee\t1", mark=UNSEEN).line()
    made = Index(text.encode())
    assert [made.newest_content(image_id) for image_id in (1, 21, 3, 4, "1")] == ["bb", "cc", "dd", "", ""]
    assert [made.has_row_under(image_id) for image_id in (1, 21, 3, 4)] == [True, True, False, False]
    made.drop(np.array([1]))
    assert made.newest_content(1) == "aa"
    made.add({"ff\t1": 3}, {})
    assert made.newest_content(1) == "ff" and made.has_row_under(1)
