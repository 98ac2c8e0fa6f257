"""Sentences on scores and captions, each in all that it may have to say."""

from pathlib import Path

import numpy as np
import pytest

from captioning import findings
from captioning.datasets.records import Record
from captioning.findings.finding import NO_TRUTH
from captioning.findings.wording import percent
from captioning.metrics import grounding
from captioning.metrics.controls import Estimate

CHOSEN = ({"beam_width": 1, "length_penalty": 0.0}, {"beam_width": 3, "length_penalty": 0.7})


def decoded(greedy, beam):
    tried = [row | {"validation_CIDEr": value} for row, value in zip(CHOSEN, (greedy, beam), strict=True)]
    return {"decoding": max(tried, key=lambda row: row["validation_CIDEr"]) | {"tried": tried}, "images": 12}


def noisy(mean, pictures=50, seed=0):
    return mean + np.random.default_rng(seed).normal(0, 0.1, pictures)


def scored(cider, exact=None, **more):
    """A row of the table; of its 40 pictures, the first ones are said exactly and the others wrongly."""
    row = {"CIDEr": cider, "Bleu_4": cider / 4, "ROUGE_L": cider / 4, **more}
    if exact is not None:
        truth = {number: scene(unseen=number % 2 == 0) for number in range(40)}
        texts = {number: "a red boat on the left" if number < exact else "a blue boat, a boat" for number in truth}
        row["grounding"] = grounding(truth, texts)
    return row


def scene(unseen=False):
    thing = {"object": "boat", "colour": "red", "unseen": unseen, "box": [0.1, 0.1, 0.4, 0.4]}
    return {"place": "lake", "objects": [thing]}


def drawn(number=0):
    return Record(number, Path("x.jpg"), ("a red boat",), "test", scene())


def photo(number=0):
    return Record(number, Path("x.jpg"), ("a red boat",), "test")


RIGHT, WRONG = "a red boat on a lake", "a blue boat"


def test_decodings_are_grouped_and_what_they_gain_is_told():
    text = findings.decodings({"A": decoded(1.0, 1.25), "B": decoded(1.0, 1.1), "C": decoded(1.0, 0.9)})
    assert "chose 3/0.7 for A and B; greedy for C (" in text and ", 0.000 to 0.250 CIDEr above greedy" in text
    once = decoded(1.0, 1.25)
    once["decoding"]["may_repeat"] = ["a"]
    assert "chose 3/0.7 once for A (" in findings.decodings({"A": once})
    assert ", 0.250 CIDEr above greedy decoding." in findings.decodings({"A": decoded(1.0, 1.25)})
    row = decoded(1.0, 1.25)
    row["decoding"]["tried"].append({"validation_CIDEr": 1.125})
    assert "without that rule: -0.125 CIDEr." in findings.decodings({"A": row})
    assert "0 for every decoding of A: there, nothing was chosen" in findings.decodings({"A": decoded(0.0, 0.0)})


def test_the_number_of_scored_experiments():
    row = decoded(1.0, 1.0)
    assert findings.scored({"A": row}) == "Scored on 12 test pictures: A."
    assert findings.scored({"A": row, "B": row}) == "Scored on 12 test pictures: A and B."
    assert findings.scored({"A": row, "B": row | {"images": 9}}) == "Scored on 9 to 12 test pictures: A and B."
    assert "on 1 test picture:" in findings.scored({"A": row | {"images": 1}})


def test_models_against_baselines():
    per_picture = {"A": noisy(2), "B": noisy(1), "C": noisy(0.5), "base": noisy(1, seed=1)}
    rows = {name: scored(values.mean()) for name, values in per_picture.items()}
    text = findings.comparison(rows, per_picture, ["base"])
    assert 'ahead of "base": A (C behind it; B not distinguishable). Without intervals,' in text
    lower = "B and C" if rows["B"]["CIDEr"] <= rows["base"]["CIDEr"] else "C"
    assert f'{lower} not above "base" by Bleu_4; {lower} not above "base" by ROUGE_L.' in text
    text = findings.comparison({n: rows[n] for n in ("A", "base")}, per_picture, ["base"])
    assert 'ahead of "base": A. Without intervals, every model is above every baseline by Bleu_4 and' in text
    both = {"A": per_picture["A"], "B": noisy(3), "base": per_picture["base"]}
    assert 'ahead of "base": every model. ' in findings.comparison(
        {n: scored(v.mean()) for n, v in both.items()}, both, ["base"]
    )
    text = findings.comparison(
        rows | {"too": rows["base"]}, per_picture | {"too": per_picture["base"]}, ["base", "too"]
    )
    assert 'ahead of "base" and "too": A (C behind it; B not distinguishable). ' in text


def test_one_picture_tells_nothing_about_an_order():
    per_picture = {"A": np.array([2.0]), "base": np.array([1.0])}
    rows = {name: scored(values.mean()) for name, values in per_picture.items()}
    assert 'ahead of "base": no model (A not distinguishable).' in findings.comparison(rows, per_picture, ["base"])
    assert findings.ranking(per_picture) == "2 models on 1 picture: no order can be determined."
    assert findings.ranking({"A": noisy(1)}) == "1 model on 50 pictures: no order can be determined."


def test_the_ranking_is_that_of_paired_differences():
    base = noisy(1)
    wide = base + np.random.default_rng(5).normal(0, 1, 50)
    text = findings.ranking({"B": base, "A": base + noisy(0.05, seed=3) / 2})
    assert text.startswith("A has the highest CIDEr") and text.endswith("Not distinguishable from it: no model.")
    text = findings.ranking({"A": wide + 1 - wide.mean() + 0.01, "B": base + 1 - base.mean()})
    assert text.endswith("Not distinguishable from it: B.")


def test_truth_names_the_best_and_what_is_not_above_a_baseline():
    rows = {"A": scored(3, 36), "B": scored(2, 20), "C": scored(2, 6), "base": scored(1, 5), "none": scored(0.1, 0)}
    text = findings.truth(rows, ["base", "none"])
    assert "Exact: A 90.0 % (n = 40, 77 % to 96 %), then B 50.0 %" in text and "), distinguishable. " in text
    assert "Most repeats: C 85.0 % (n = 40, " in text
    assert "above the 50 % of a guess for A, B and C." in text
    assert '. Clearly more exact captions than "base": A and B; than "none": every model. Most repeats' in text
    assert "Pairs of unseen combinations (n = 20) against the others (n = 20): not distinguishable for A" in text
    assert ", not distinguishable. Most repeats" in findings.truth({"B": rows["B"], "D": scored(1, 19)}, [])


@pytest.mark.parametrize("share, verdict", [(0.1, "lower"), (0.95, "higher"), (0.5, "not distinguishable")])
def test_unseen_combinations_against_the_others(share, verdict):
    row = scored(2, 20)
    few = row["grounding"]["unseen"]
    few["pair"], few["intervals"]["pair"] = share, [max(0, share - 0.1), min(1, share + 0.1)]
    row["grounding"]["pair"] = (share + 0.5) / 2
    assert f"{verdict} for A ({percent(share)} v 50.0 %)" in findings.truth({"A": row}, [])
    row["grounding"]["unseen"] = None
    assert "not both in this test split" in findings.truth({"A": row}, [])


def test_orders_by_cider_and_by_truth():
    text = findings.orders({"A": scored(3, 36), "B": scored(2, 6), "C": scored(1, 12), "base": scored(4, 0)}, ["base"])
    assert "By CIDEr B has 67 % of the score of A, by exact captions 17 %." in text
    assert "differ for 1 pair: B before C by CIDEr, behind it by exact." in text
    assert "No pair of models has the opposite order" in findings.orders({"A": scored(3, 36), "B": scored(2, 6)}, [])
    assert findings.orders({"A": scored(3, 36), "base": scored(1, 1)}, ["base"]) == "One model has no order."
    assert "by exact captions no share" in findings.orders({"A": scored(3, 0), "B": scored(2, 0)}, [])


# Consensus, ensembles, and how sure an order is


def reranked(before, after, exact=(None, None)):
    rows = [
        scored(cider, share) | {"novel_captions": cider / 10}
        for cider, share in zip((before, after), exact, strict=True)
    ]
    return dict(zip(("A", "A + consensus"), rows, strict=True))


def test_what_a_consensus_changes():
    text = findings.consensus(reranked(1.0, 1.2) | {"base": scored(3)})
    assert "CIDEr +0.200 (higher for 1 of 1), Bleu_4 +0.050" in text
    assert text.endswith("Novel captions: mean 10.0 % before, 12.0 % after.")
    both = reranked(1.0, 1.2, (10, 20)) | {n.replace("A", "B"): row for n, row in reranked(1.0, 0.9, (10, 20)).items()}
    text = findings.consensus(both)
    assert "CIDEr +0.050 (higher for 1 of 2)" in text and "Exact captions: mean 25.0 % before, 50.0 % after." in text
    assert "truth" not in text
    falls = reranked(1.0, 1.2, (20, 10)) | {n.replace("A", "B"): r for n, r in reranked(1.0, 1.2, (10, 20)).items()}
    assert "CIDEr rises and truth falls for 1 of 2 models" in findings.consensus(falls)
    assert "truth" not in findings.consensus(reranked(1.0, 0.9, (20, 10)))


def test_who_captions_together():
    tried = [{"member": name, "added": name != "B"} for name in "ABC"]
    rows = {"A": {"decoding": {"validation_CIDEr": 1.0}}}
    rows["ensemble"] = {"decoding": {"validation_CIDEr": 1.1, "members": tried}}
    text = findings.together(rows)
    assert "Members: A and C, of 3 models tried." in text and "0.100 more CIDEr" in text and "than A alone." in text
    rows["ensemble"]["decoding"]["validation_CIDEr"] = 0.9
    assert "0.100 less CIDEr" in findings.together(rows)
    assert "there is no ensemble" in findings.together({"A": rows["A"]})


@pytest.mark.parametrize("gain, start", [(0.5, "As claimed: "), (0.0, "Not confirmed here: ")])
def test_what_a_consensus_lives_on(gain, start):
    values = {"alone": noisy(1), "near": noisy(1 + gain, seed=1), "fewer": noisy(1, seed=2), "other": noisy(1, seed=3)}
    rows = {name: scored(cider) for name, cider in zip(values, (1.0, 1.3, 1.2, 1.1), strict=True)}
    text = findings.rankings(rows, values, 2.0)
    assert text.startswith(f"{start}reranking changes CIDEr by +0.300 (Bleu_4 +0.075, ROUGE_L +0.075)")
    assert "fewer train pictures by +0.200, with those near another picture by +0.100. " in text
    assert "The best of each beam: +1.000. Lead of near pictures over fewer " in text


def test_pairs_in_a_sure_order():
    estimates = Estimate(0.3, 0.2, 0.4), Estimate(-0.1, -0.2, -0.01), Estimate(0, -1, 1)
    leads = dict(zip([("A", "B"), ("A", "C"), ("B", "C")], estimates, strict=True))
    text = findings.pairs(leads)
    assert text == (
        "In an order that 95 % of the resamples keep: 2 of 3 pairs. The closest of these: A and C, 0.100 apart."
    )
    assert findings.pairs({}) == "One model has no order."
    assert [findings.pair_cell(lead) for lead in (*leads.values(), None)] == ["+30.0 ", "-10.0 ", "+0.0?", ""]


def test_several_seeds():
    rows = {"A": scored(1.0), "A-seed-1": scored(1.2)}
    text = findings.seeds({"A": ["A", "A-seed-1"]}, rows)
    assert "A, 2 seeds: CIDEr 1.100 ± 0.141, Bleu_4 0.275 ± 0.035" in text
    assert "not known here" in findings.seeds({}, rows)


def test_people_and_language():
    text = findings.people(scored(1.0), {"A": scored(1.2), "B": scored(0.8) | {"Bleu_4": 0.5}})
    assert "CIDEr 1.000" in text and text.endswith("by CIDEr A; by Bleu_4 A and B; by ROUGE_L A.")
    assert "fewer than four" in findings.people(None, {})

    def row(bad, alike, oracle):
        said = {"bad_endings": bad, "words": 9.0}
        return {"CIDEr": 1.0, "oracle_CIDEr": oracle, "language": said, "samples": {"mBLEU_4": alike}}

    text = findings.languages({"A": row(0.0, 0.9, 1.5), "B": row(0.1, 0.5, 1.8)})
    assert "9.0 words. Most bad endings: B (10.0 %). " in text and "alike for A (mBLEU 0.90)" in text
    assert "0.500 to 0.800 CIDEr more" in text
    assert "No caption ends badly." in findings.languages({"A": row(0.0, 0.9, 1.5)})


def test_photos_have_no_truth():
    rows = {"A": scored(1), "base": scored(0.5)}
    assert findings.truth(rows, ["base"]) == NO_TRUTH
    assert findings.orders(rows, ["base"]) == NO_TRUTH


@pytest.mark.parametrize(
    "records, texts, expected",
    [
        ([drawn(), drawn()], [RIGHT, RIGHT], "Right: 2 of 2 captions. Different captions: 1 of 2."),
        ([drawn(), drawn()], [RIGHT, WRONG], "Right: 1 of 2 captions. Different captions: 2 of 2."),
        ([drawn(), drawn()], [WRONG, WRONG], "Right: 0 of 2 captions. Different captions: 1 of 2."),
        ([drawn()], [RIGHT], "The caption is right."),
        ([drawn()], [WRONG], "The caption is wrong: no blue boat here; red boat missing."),
        ([photo()], [RIGHT], f"{NO_TRUTH} Captions that repeat a pair of words: 0 of 1."),
        ([photo()], ["a large large large"], "repeat a pair of words: 1 of 1."),
        (
            [photo(), photo()],
            [RIGHT, "a man on a horse on a horse"],
            f"{NO_TRUTH} Captions that repeat a pair of words: 1 of 2. Different captions: 2 of 2.",
        ),
    ],
)
def test_captions_below_pictures(records, texts, expected):
    assert findings.captions(records, texts).endswith(expected)


def test_the_best_and_the_worst():
    text = findings.examples([drawn()] * 3, [RIGHT, WRONG, RIGHT], [5.0, 4.5, 4.0], 2.0)
    assert text.startswith("CIDEr of these captions: 4.00 to 5.00; mean of the split: 2.00. Right: 2 of 3 captions.")
    assert text.endswith('Wrong among them: "a blue boat" (CIDEr 4.50).')
    text = findings.examples([drawn()] * 3, [WRONG, WRONG, RIGHT], [0.1, 0.2, 0.3], 2.0)
    assert text.endswith('Right among them: "a red boat on a lake" (CIDEr 0.30).')
    text = findings.examples([drawn()] * 6, [WRONG, RIGHT] * 3, range(6), 2.0)
    assert text.endswith('Wrong among them: "a blue boat" (CIDEr 0.00), "a blue boat" (CIDEr 2.00) and others.')
    assert "among them" not in findings.examples([drawn()] * 2, [RIGHT, RIGHT], [5.0, 4.5], 2.0)
    text = findings.examples([photo()], [WRONG], [0.0], 2.0)
    assert text.startswith("CIDEr of this caption: 0.00;") and "CIDEr is not truth" in text


def test_models_side_by_side():
    results = {"A": {0: RIGHT, 1: WRONG}, "B": {0: WRONG, 1: WRONG}}
    text = findings.side_by_side([drawn(0), drawn(1)], results)
    assert text == "Right, of 2 models: picture 1: A; picture 2: none."
    text = findings.side_by_side([photo(0), photo(1)], results)
    assert text == f"Different captions from 2 models: picture 1: 2; picture 2: 1. {NO_TRUTH}"
