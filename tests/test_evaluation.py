"""The test split captioned once and scored always: nothing stale, nothing chosen on it."""

import json
from dataclasses import replace

import pytest

import captioning.quiet  # noqa: F401
from captioning.evaluation.choosing import BEAM, DECODINGS
from tests.parrot import WALL, Parrot, evaluate, told
from tests.tiny import store_of

GRID = [(width, penalty) for width, penalties in DECODINGS.items() for penalty in penalties]


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("best", [GRID[0], GRID[3], GRID[-1]])
def test_the_decoding_is_chosen_on_validation(made, best, once):
    """With words once at most; then the best of these without that limit, too."""

    def say(record, *decoding):
        if decoding == (*best, once):
            return record.captions[0]
        return record.captions[0] + " wall" if decoding == (*best, True) else "the"

    parrot = Parrot(made, say)
    scores, test = evaluate(made, parrot), made.dataset.split("test")
    chosen = scores["decoding"]
    assert (chosen["beam_width"], chosen["length_penalty"], chosen["may_repeat"] is not None) == (*best, once)
    rows = [(row["beam_width"], row["length_penalty"], row["words_once"]) for row in chosen["tried"]]
    assert rows == [*((*cell, True) for cell in GRID), (*best, False)]
    assert chosen["validation_CIDEr"] == max(row["validation_CIDEr"] for row in chosen["tried"])
    assert scores["Bleu_1"] == pytest.approx(1) and told(parrot) == {r.image_id: r.captions[0] for r in test}
    assert json.loads((parrot.folder / "scores.json").read_text()) == scores
    val = [each[2:] for each in parrot.asked if each[0] == "val" and each[2] != BEAM]
    assert val == [*((width, penalties, True) for width, penalties in DECODINGS.items()), (best[0], best[1:], False)]
    tested = [each[2:] for each in parrot.asked if each[0] == "test" and each[2] != BEAM]
    assert tested == [(best[0], best[1:], once)]


def test_how_sure_the_model_is_of_validation_captions_is_kept(made):
    """Of a caption of three words and END, and of one of four."""
    parrot = Parrot(made, lambda record, *decoding: WALL if record.image_id == 2 else f"{WALL} wall")
    val = made.dataset.split("val")
    assert evaluate(made, parrot)["decoding"]["confidences"] == [-0.25] + [-0.2] * (len(val) - 1)


@pytest.mark.parametrize("said, caption", [(True, "the"), (False, None)])
def test_a_validation_that_says_nothing_is_named(said, caption, made, capsys):
    evaluate(made, Parrot(made, lambda record, *decoding: caption or record.captions[0]))
    assert ("CIDEr on validation is 0 for every decoding" in capsys.readouterr().out) == said


def test_a_second_evaluation_decodes_nothing(made):
    parrot = Parrot(made, lambda record, *decoding: [record.captions[0], WALL])
    first = evaluate(made, parrot)
    assert ("samples", 5) in parrot.asked
    parrot.asked.clear()
    assert evaluate(made, parrot) == first and parrot.asked == []


def test_what_captions_are_compared_with_is_read_again(made):
    parrot = Parrot(made, lambda record, *decoding: WALL)
    first = evaluate(made, parrot)
    parrot.asked.clear()
    records = tuple(replace(r, captions=(WALL,)) if r.split == "test" else r for r in made.dataset.records)
    second = evaluate(replace(made, dataset=replace(made.dataset, records=records)), parrot)
    assert second["Bleu_1"] == pytest.approx(1) != first["Bleu_1"] and parrot.asked == []


@pytest.mark.parametrize("change", ["weights", "pictures", "photos", "decodings"])
def test_what_is_stale_is_decoded_again(made, change, tmp_path, monkeypatch):
    parrot = Parrot(made, lambda record, *decoding: WALL)
    evaluate(made, parrot)
    asked = [each for each in parrot.asked if each[0] != "samples"]
    parrot.asked.clear()
    if change == "weights":
        parrot.made_from = {"weights": "others"}
        evaluate(made, parrot)
        assert [each for each in parrot.asked if each[0] != "samples"] == asked
    elif change == "pictures":
        evaluate(made, parrot, 3)
        assert {each[:2] for each in parrot.asked} == {("val", 3)} and len(parrot.asked) == 5
    elif change == "decodings":
        monkeypatch.setitem(DECODINGS, 3, (0.7, 0.8, 1.0))
        evaluate(made, parrot)
        assert [each[2:] for each in parrot.asked] == [(3, (0.8,), True)]
    else:
        records = tuple(replace(r, content="e" * 32) if r.split == "test" else r for r in made.dataset.records)
        dataset = replace(made.dataset, records=records)
        evaluate(replace(made, dataset=dataset, store=store_of(dataset, tmp_path / "other")), parrot)
        assert {each[0] for each in parrot.asked} == {"test", "samples"}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"captions": {}}', '{"made_from": 1, "captions": {}}', '["a", "b"]']
)
def test_kept_captions_that_are_damaged_are_made_again(made, content, capsys):
    parrot = Parrot(made, lambda record, *decoding: WALL)
    first, asked = evaluate(made, parrot), list(parrot.asked)
    if "a" in content and content.startswith("["):  # the rows of a key
        kept = json.loads((parrot.folder / "decoded.json").read_text())
        content = json.dumps(kept | {"captions": dict.fromkeys(kept["captions"], json.loads(content))})
    (parrot.folder / "decoded.json").write_text(content)
    parrot.asked.clear()
    assert evaluate(made, parrot) == first and parrot.asked == asked
    assert "decoded.json is damaged" in capsys.readouterr().out
