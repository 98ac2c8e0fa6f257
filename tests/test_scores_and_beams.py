"""The lessons on scores (02) and on beam search (04), their cells run with other captions and another table."""

import nbformat
import numpy as np
import pytest

from captioning import decoding, findings, metrics, plotting
from captioning.plotting.drawing import LOOKS, Drawn
from tests.series import FILES


def cells(number, first, last):
    """Return the code cells of a notebook from one to another."""
    (path,) = (path for path in FILES if path.name.startswith(number))
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    names = [cell.id for cell in code]
    return {cell.id: cell.source for cell in code[names.index(first) : names.index(last) + 1]}


def run(sources, names, changes=None):
    """Execute cells in one namespace, with some of them replaced; the notebooks' own asserts must hold."""
    assert (changes or {}).keys() <= sources.keys()
    for name, source in (sources | (changes or {})).items():
        exec(compile(source, name, "exec"), names)
    return names


def scores(captions=None, references=None):
    sources = cells("02", "scores-captions", "scores-finding")
    known = {"metrics": metrics, "findings": findings}
    exec("from collections import Counter\nfrom math import exp, isclose, log, prod, sqrt", known)
    exec("from captioning.words import tokenize", known)
    if captions is not None:
        sources["scores-captions"] += f"\nCAPTIONS = {captions}"
    if references is not None:
        sources["scores-captions"] += f"\nREFERENCES = {references}\nPICTURE = list(REFERENCES)[0]"
    return run(sources, known)


def test_the_captions_of_the_lesson_are_good_middling_and_bad():
    known = scores()
    good, middling, bad = (known["cider"](known["CAPTIONS"][name]) for name in ("good", "middling", "bad"))
    assert 10 > good > 1.5 * middling > middling > bad + 0.1 > 0
    assert known["matches"]("a a a a", 1) == (1, 4) and known["matches"]("a dog", 3) == (0, 0)
    assert known["bleu"]("a brown dog")[0] < known["bleu"]("a brown dog runs on the")[0]


@pytest.mark.parametrize(
    ("captions", "references"),
    [
        (["", "dog", "a a a a a a", "zyzzyva qux", "a brown dog runs on the beach"], None),
        (["man's dog, it's OLD!", "a dog - a dog"], {1: ["a man's dog", "it is old"], 2: ["a dog"]}),
        (["a red boat", "the sea"], {"only": ["a red boat on the sea"]}),
        (["a b c d e f g h i j", "a b"], {n: ["a b", "a b c d e f g h i j k"] for n in range(3)}),
    ],
)
def test_the_scores_by_hand_are_those_of_the_package_for_captions_of_a_reader(captions, references):
    assert scores({f"{number}": text for number, text in enumerate(captions)} | {"good": "a good one"}, references)


def test_exercise_4_a_true_caption_scores_0_and_a_false_one_beats_the_middling():
    cider, known = (names := scores())["cider"], names["CAPTIONS"]
    assert cider("one puppy sprinting by its lonely self") == 0
    assert cider("the brown dog runs across the sea") > cider(known["middling"]) > 0


SEARCH = {"np": np, "decoding": decoding, "findings": findings, "plotting": plotting}


def beams(**changes):
    known = dict(SEARCH)
    exec("from captioning.tokenizer import SPECIAL, START", known)
    return run(cells("04", "beam-table", "penalty-finding"), known, changes)


def test_greedy_decoding_misses_the_best_sentence_and_the_penalty_changes_the_winner(capsys):
    known = beams()
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[2:] for line in said[:3]] == [["a", "dog"], ["two", "dogs"], ["the", "sun"]]
    chances = [float(line.split()[1]) for line in said[:3]]
    assert chances == sorted(set(chances))
    assert known["lengths"][0] < known["lengths"][-1]
    assert known["search"](100)[0] == ("the", "sun", "END")


def test_other_tables_give_the_sentences_of_the_package_too():
    random = np.random.default_rng(0)
    for _ in range(40):
        names = "abcdefgh"
        table = dict.fromkeys(["START", *names])
        for number, word in enumerate(table):
            following = [*names[number:], "END"]
            table[word] = dict(zip(following, random.dirichlet(np.ones(len(following))).tolist(), strict=True))
        beams(**{"beam-table": f"NEXT = {table}", "beam-tree": "WIDTH = 2\nbest, seen = search(WIDTH)"})


def test_exercise_6_a_first_word_outside_the_beam_hides_the_best_sentence():
    table = {"START": {"a": 0.3, "two": 0.27, "the": 0.23, "some": 0.2}, "some": {"birds": 1.0}}
    table |= {word: {"cat": 0.5, "dog": 0.5} for word in ("a", "two", "the")} | {"cat": {"END": 0.5, "sleeps": 0.5}}
    known = beams(**{"beam-table": f"NEXT = {table}"})
    assert known["search"](3)[0] != known["search"](4)[0] == known["search"](100)[0] == ("some", "birds", "END")


def test_the_tree_shows_what_was_kept_and_what_was_dropped():
    known = beams()
    best, seen = known["search"](2)
    figure = plotting.draw_beam(seen, best, "Width 2")
    assert isinstance(figure, Drawn) and "Result: two dogs END." in figure.alt
    kept, dropped = figure.alt.split("Kept: ")[1].split(" Dropped: ")
    assert "the -1.61" in dropped and "a cat -1.74" in dropped and "two dogs END -1.91" in kept
    assert (
        len({(look["fc"], look["lw"], look.get("ls", "-")) for look in map(LOOKS.get, ("layer", "dropped", "best"))})
        == 3
    )
    assert {text.get_text() for text in figure.axes[0].texts} >= {"START", "dogs", "-1.91", "the"}
