"""Scripts without spaces: their characters are the units of vocabulary and scores, and written back without spaces."""

import json
import random

import pytest

from captioning.metrics import CiderD, References, novel_captions, score
from captioning.metrics.__main__ import main
from captioning.plotting.figure import Described
from captioning.words import tokenize, units, write, writing
from tests.test_tokenizer import SPACED, UNSPACED

EXPECTED = {
    "一个穿Nike的男人，骑着3辆车。": "一 个 穿 nike 的 男 人 骑 着 3 辆 车",
    "「雨だ」と言うスーパー・マン！": "雨 だ と 言 う ス ー パ ー マ ン",
    "two T-shirts, 一只猫 on a man's bed": "two t-shirts 一 只 猫 on a man 's bed",
    "น้ำ ๒ ขวด": "น้ ำ ๒ ข ว ด",
    "ស្ត្រី": "ស្ត្រី",  # letters below letters, and a vowel sign
    "မြန်မာ။": "မြ န် မာ",
    "が\u3099か\u3099": "が\u3099 が",  # composed first
}


@pytest.mark.parametrize(("caption", "expected"), EXPECTED.items())
def test_characters_are_set_apart_with_what_belongs_to_them(caption, expected):
    marked = units.mark(caption)
    assert tokenize(marked) == expected.split() and units.mark(marked) == marked
    assert tokenize(write(tokenize(marked))) == tokenize(marked)


@pytest.mark.parametrize("caption", ["A dog, 2 cats!", "한 남자가 자전거를 타고 있다", "एक आदमी", "«Éa»", ""])
def test_other_scripts_stay_as_they_are(caption):
    assert units.mark(caption) == caption


def test_what_a_model_may_say_comes_back():
    """Characters and words of other scripts in any order; no space beside a character, and none that is seen."""
    known = sorted({token for texts in UNSPACED.values() for text in texts for token in tokenize(units.mark(text))})
    known += ["nike", "t-shirt", "3", "o'clock", "café"]
    chance = random.Random(0)
    for _ in range(500):
        tokens = chance.choices(known, k=chance.randint(1, 9))
        assert tokenize(write(tokens)) == tokens
    assert units.plain(write(["穿", "red", "nike", "的", "人"])) == "穿red nike的人"


def test_marks_are_not_shown():
    assert repr([units.mark("一只猫"), write([*"一只猫"])]) == "['一只猫', '一只猫']"
    assert Described().describe(units.mark("一只猫"), "A figure.").alt == "一只猫 A figure."
    assert json.dumps(units.mark("猫"), ensure_ascii=False) == '"猫\u200b"'


def test_words_that_people_have_split_stay_words_and_are_written_without_spaces():
    for language in ("zh", "ja", "th"):
        for caption in SPACED[language]:
            said = write(tokenize(caption))
            assert tokenize(said) == tokenize(caption) and units.plain(said) == caption.replace(" ", "")


def test_the_page_puts_no_spaces_beside_characters():
    words = ["猫", "nike", "น้", "red", "'s"]
    found = writing.rules(words)
    assert found["spellings"] == words and found["close"] == [0, 2, 4] and found["open"] == [0, 2]
    assert found["pairs"] == []


REFERENCES = {number: [text, text + "。"] for number, text in enumerate(UNSPACED["zh"])}
RESULTS = {number: text.replace("。", "").replace("，", "") for number, text in enumerate(UNSPACED["zh"])}


def test_scores_are_over_characters_where_references_are_marked():
    whole = score(REFERENCES, RESULTS)
    assert "units" not in whole and whole["Bleu_4"] < 0.01
    marked = units.marked(REFERENCES)
    perfect = score(marked, RESULTS)
    assert perfect["units"] == units.CHARACTERS and perfect["Bleu_4"] == pytest.approx(1)
    assert perfect["CIDEr"] == pytest.approx(10)
    # The same numbers as with a space after each character, which coco-caption would need.
    spaced = {number: [" ".join(tokenize(text)) for text in texts] for number, texts in marked.items()}
    worse = {number: RESULTS[(number + 1) % 4][:3] + text[3:] for number, text in RESULTS.items()}
    expected = CiderD(spaced).score({number: " ".join(text) for number, text in worse.items()})[0]
    assert 0 < expected < 10 and CiderD(marked).score(worse)[0] == pytest.approx(expected, abs=1e-12)
    assert References(marked).tokens_of(RESULTS)[2] == [*"一只猫坐在桌子上"]
    said = {0: units.mark("一只猫"), 1: units.mark("一只狗")}
    assert novel_captions(said, [units.mark("一只猫。")]) == 0.5


def test_the_command_scores_characters_and_says_so(tmp_path, capsys):
    annotations = [{"image_id": number, "caption": text} for number, texts in REFERENCES.items() for text in texts]
    content = {"images": [{"id": number} for number in REFERENCES], "annotations": annotations}
    (tmp_path / "references.json").write_text(json.dumps(content))
    results = [{"image_id": number, "caption": text} for number, text in RESULTS.items()]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert main([str(tmp_path / "references.json"), str(tmp_path / "results.json")]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["units"] == units.CHARACTERS and scores["CIDEr"] == pytest.approx(10)
