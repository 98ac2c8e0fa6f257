"""The decoding of scores.json: used where it is whole, named where it is not."""

import json

import pytest

from captioning.bundle.chosen import USUAL, penalty_for, read_chosen
from captioning.tokenizer import Tokenizer

TOKENIZER = Tokenizer([f"word{number}" for number in range(26)])  # 30 ids
DECODING = {
    "beam_width": 5,
    "length_penalty": 1.0,
    "tried": [{"beam_width": 1, "length_penalty": 0.0, "validation_CIDEr": 0.5}],
    "confidences": [-2.0, -1.0],
}


def read(folder, content, capsys):
    (folder / "scores.json").write_text(content if isinstance(content, str) else json.dumps(content))
    chosen = read_chosen(folder / "scores.json", TOKENIZER)
    return chosen, capsys.readouterr().out


def test_it_is_read_and_without_a_file_the_usual_one_is_used(tmp_path, capsys):
    assert read_chosen(tmp_path / "scores.json", TOKENIZER) == USUAL
    assert read(tmp_path, {"decoding": DECODING}, capsys) == (USUAL | DECODING, "")
    older = {name: value for name, value in DECODING.items() if name != "confidences"}
    assert read(tmp_path, {"decoding": older}, capsys) == (USUAL | older | {"confidences": None}, "")


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null", '{"decoding": 5}', '{"decoding": []}', b"\xff".decode("latin1")),
        *({"decoding": DECODING | {"beam_width": width}} for width in (0, 31, 10**9, "5", True, None, 2.5)),
        *({"decoding": DECODING | {"length_penalty": value}} for value in (-1, "1", None, float("nan"), float("inf"))),
        *({"decoding": DECODING | {"tried": value}} for value in (5, [5], [{}], [{"beam_width": 1}])),
        *({"decoding": DECODING | {"confidences": value}} for value in (5, "abc", [None], ["a"], [float("nan")])),
    ],
)
def test_damaged_scores_are_one_line_and_the_usual_decoding(content, tmp_path, capsys):
    chosen, said = read(tmp_path, content, capsys)
    assert chosen == USUAL
    assert said.startswith(f"{tmp_path / 'scores.json'} is damaged: ") and said.count("\n") == 1
    assert "11_evaluate" in said


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("may_repeat", (5, "a", ["unknown"], [None], [["word1"]], [5], {"a": 1})),
        ("consensus", (5, [], {}, "no", *({"k": 5} | {name: 1} for name in ("mix", "encoder")))),
        *(("beam_width", (0, 31, "5", None, 2.5)), ("k", (0, 1001, True, "5", None, 2.5))),
        ("mix", (-1, float("nan"), float("inf"), "1", None)),
        *(("encoder", (None, 5, ["vgg16"])), ("neighbors", (None, 5))),
    ],
)
def test_words_and_consensus_that_make_no_sense_are_damage(field, values, tmp_path, capsys):
    rule = {"beam_width": 10, "k": 60, "mix": 0.5, "encoder": "vgg16", "neighbors": "0" * 16, "validation_CIDEr": 0.7}
    whole = DECODING | {"may_repeat": ["word3", "word25"], "consensus": rule}
    assert read(tmp_path, {"decoding": whole}, capsys) == (whole, "")
    for value in values:
        wrong = whole | (
            {field: value} if field in whole and field != "beam_width" else {"consensus": rule | {field: value}}
        )
        chosen, said = read(tmp_path, {"decoding": wrong}, capsys)
        assert chosen == USUAL and said.count("\n") == 1, wrong


def test_a_width_that_was_not_tried_has_the_chosen_penalty():
    chosen = USUAL | DECODING
    assert [penalty_for(chosen, width) for width in (5, 1, 3)] == [1.0, 0.0, 1.0]
    greedy = USUAL | {"beam_width": 1, "length_penalty": 0.0}
    assert [penalty_for(greedy, width) for width in (1, 3)] == [0.0, 0.7]
    odd = chosen | {"beam_width": 1, "length_penalty": 0.5}  # the chosen one is the chosen one
    assert penalty_for(odd, 1) == 0.5 and penalty_for(USUAL, 1) == 0.0


def test_the_penalty_of_a_width_is_that_of_the_same_rule_for_words():
    rows = [(3, 0.7, False, 0.4), (3, 1.0, False, 0.3), (3, 2.0, True, 0.35), (3, 0.5, True, 0.34)]
    names = ("beam_width", "length_penalty", "words_once", "validation_CIDEr")
    chosen = USUAL | DECODING | {"tried": [dict(zip(names, row, strict=True)) for row in rows]}
    assert penalty_for(chosen, 3) == 0.7 and penalty_for(chosen | {"may_repeat": ["word1"]}, 3) == 2.0
