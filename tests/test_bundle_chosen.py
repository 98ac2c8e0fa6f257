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


def test_a_width_that_was_not_tried_has_the_chosen_penalty():
    assert [penalty_for(DECODING, width) for width in (5, 1, 3)] == [1.0, 0.0, 1.0]
    greedy = USUAL | {"beam_width": 1, "length_penalty": 0.0}
    assert [penalty_for(greedy, width) for width in (1, 3)] == [0.0, 0.7]
    odd = DECODING | {"beam_width": 1, "length_penalty": 0.5}  # the chosen one is the chosen one
    assert penalty_for(odd, 1) == 0.5 and penalty_for(USUAL, 1) == 0.0
