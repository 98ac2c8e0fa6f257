"""The model card: what a bundle was made of, what it scores, what it is for and what not, under which licenses."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from captioning.bundle import Bundle
from captioning.files import DamagedError, read_json
from captioning.findings.wording import counted, percent
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.training.history import best_epoch, read_history

# Dataset -> what it is, and on what terms its captions and pictures are given.
_PHOTOS = "photos by members of Flickr, each under the license that its author chose"
_DATA = {
    "scenes": (
        "pictures that this project draws itself from a seed, with captions from a small grammar",
        "captions and pictures are drawn by the project: its own license",
    ),
    **dict.fromkeys(
        ("coco2014", "coco2017"),
        ("photos of everyday scenes, five captions each by paid writers", f"captions CC BY 4.0; {_PHOTOS}"),
    ),
    **dict.fromkeys(
        ("flickr8k", "flickr30k"),
        (
            "photos of people and dogs doing something, five captions each by paid writers",
            "captions and photos for research and teaching only, not for commerce; photos by members of Flickr",
        ),
    ),
    "open-images": (
        "photos of Open Images with the captions of Localized Narratives, written from speech",
        "captions CC BY 4.0; photos listed as CC BY 2.0, which nobody vouches for",
    ),
}
_OWN = ("pictures and captions of a folder of one's own", "as their owners say: ask them before passing this model on")

# As the Keras documentation states them for `keras.applications`.
_ENCODER_LICENSES = {
    "vgg16": "CC BY 4.0, by the Visual Geometry Group, Oxford",
    "resnet50": "MIT, by Kaiming He",
    "inception_v3": "Apache 2.0, by the TensorFlow authors",
    "mobilenet": "Apache 2.0, by the TensorFlow authors",
    "mobilenet_v3": "Apache 2.0, by the TensorFlow authors",
    "efficientnet_v2": "Apache 2.0, by the authors of google/automl",
}
_WEIGHTS = {
    "imagenet": "trained on ImageNet, by way of Keras",
    "random": "random, drawn from a seed, never trained",
    "files": "from a file that the owner of the bundle chose",
}
_MODELS = {
    "gru": "three GRU layers that start from one vector per picture",
    "bahdanau": "a GRU with additive attention over the regions of the picture",
    "merge": "an LSTM over the words, merged with one vector per picture",
    "bilstm": "a bidirectional LSTM over the words with dot-product attention over the regions of the picture",
    "numpy_rnn": "a vanilla RNN in NumPy that starts from one vector per picture",
    "numpy_lstm": "an LSTM in NumPy that starts from one vector per picture",
    "transformer": "a Transformer that attends to the words so far and to the regions of the picture",
}
_PARENT = "Trained further from `{name}` (its weights: `{weights}`), by the CIDEr-D of captions that it sampled."
_AVERAGED = "The weights are the moving average of those of all training steps."
_SCORES = ("CIDEr", "Bleu_1", "Bleu_4", "ROUGE_L", "shuffled_CIDEr", "distinct_captions", "novel_captions")
_TRUTH = ("exact", "place", "object", "colour", "pair", "relation", "false_named", "repeats")
_INTENDED = (
    "Learning how captioning works, and first drafts of alt texts that a person checks before anyone relies on them. "
    "Not for decisions about people, not for safety, not as the only description for those who cannot see the picture."
)
_INTENDED_SCENES = "Learning how captioning works, and trying out what is built around a captioner. Not for photos."
_USE = """```python
from captioning import bundle
captioner = bundle.load("model.zip")  # this file, or its address
print(captioner.caption("photo.jpg"))
```"""
_EVALUATE = "Run notebooks/11_evaluate.ipynb again."
_SURE = (
    "An answer's `below` compares the mean log-probability per word with that of the captions of {}: it is the share "
    "of them of which the model was less sure. It tells how usual a caption is for this model; it is not a probability "
    "of being right."
)
_NOT_SURE = f"Not known: nothing was kept of how sure it is of validation pictures. {_EVALUATE}"
_NOT_EVALUATED = "Not evaluated yet: notebooks/11_evaluate.ipynb makes the numbers; then pack it again."


def card_of(bundle: Bundle) -> dict:
    """Return the model card of a bundle as JSON values; nothing in it depends on the machine or the time.

    A DamagedError where scores or history are damaged.
    """
    settings, dataset, scores = bundle.settings, bundle.settings["data"]["dataset"], scores_of(bundle.folder)
    numbers = dict(_numbers(scores))
    what, terms = _DATA.get(dataset, _OWN)
    weights, words = settings["encoder"]["weights"], len(bundle.tokenizer.vocabulary)
    model = bundle.model
    trained = model.parameters.values() if isinstance(model, CaptioningRNN) else model.trainable_weights
    confidences = len(bundle.chosen["confidences"] or ())
    licenses = {"random": "MIT, as the project", "imagenet": _ENCODER_LICENSES.get(settings["encoder"]["encoder"])}
    return {
        "name": bundle.name,
        "parent": settings.get("parent"),  # of a model that was trained further, self-critically
        "model": {"kind": bundle.kind, "what": _MODELS.get(bundle.kind, bundle.kind)} | settings["model"],
        "parameters": sum(math.prod(array.shape) for array in trained),  # not those of the frozen CNN
        "data": settings["data"] | {"what": what, "words": words},
        "splits": "train: the weights. val: when to stop, and how to decode. test: the numbers of this card, nothing "
        "else. No picture is in two of them.",
        "training": settings["training"] | settings["batches"] | _trained(bundle.folder),
        "encoder": settings["encoder"] | {"what": _WEIGHTS.get(weights, weights)},
        "test_pictures": scores.get("images"),
        "scores": numbers,
        "consensus_scores": dict(_numbers(scores.get("consensus") or {})),
        "decoding": {name: bundle.chosen[name] for name in ("beam_width", "length_penalty", "may_repeat", "consensus")},
        "confidence": _SURE.format(counted(confidences, "validation picture")) if confidences else _NOT_SURE,
        "intended_use": _INTENDED_SCENES if dataset == "scenes" else _INTENDED,
        "limits": list(_limits(settings, {name: number["value"] for name, number in numbers.items()}, words)),
        "licenses": {
            "code and trained weights": "MIT, as the project; the terms of the data and of the encoder come on top",
            "data": terms,
            "encoder weights": licenses.get(weights) or "as the owner of their file says",
        },
    }


def scores_of(folder: Path) -> dict:
    """Return what scores.json of a bundle holds; nothing where it was not evaluated, a DamagedError for no scores."""
    try:
        scores = read_json(folder / "scores.json", _EVALUATE)
    except FileNotFoundError:
        return {}
    try:  # somebody may have edited it
        if [*_numbers(scores), *_numbers(scores.get("consensus") or {})]:
            _number("images", scores["images"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{folder / 'scores.json'} is damaged ({error}). {_EVALUATE}") from error
    return scores


def _trained(folder: Path) -> dict:
    """Return how long the training was, and which epoch gave the weights."""
    history = read_history(folder / "history.csv")
    if not history:
        return {}
    minutes = sum(row.get("seconds", 0) for row in history) / 60
    return {"epochs_run": len(history), "best_epoch": best_epoch(history), "minutes": round(minutes, 1)}


def _numbers(scores: Mapping) -> Iterator[tuple[str, dict]]:
    """Yield each score with its 95 % interval, None where there is none."""
    truth = scores.get("grounding") or {}
    intervals, counts = truth.get("intervals") or {}, truth.get("n") or {}
    for name, value in [(name, scores.get(name)) for name in _SCORES] + [(name, truth.get(name)) for name in _TRUTH]:
        interval = scores.get(f"{name}_interval") or intervals.get(name)
        if value is not None:
            ends = [_number(name, end) for end in interval] if interval else None
            count = {"n": _number(name, counts.get(name) or 0)} if name in _TRUTH else {}
            yield name, {"value": _number(name, value), "interval": ends} | count


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}")
    return value


def _limits(settings: Mapping, scores: Mapping, words: int) -> Iterator[str]:
    """Yield what the model cannot do, from its numbers where there are any."""
    pictures, drawn = settings["data"]["pictures"], settings["data"]["dataset"] == "scenes"
    yield f"It was trained on {counted(pictures, 'picture')} and says {counted(words, 'word')}, no others."
    if drawn:
        yield "It has seen drawn pictures only: what it says about a photo means nothing."
    if settings["encoder"]["weights"] == "random":
        yield "The weights of its CNN are random: enough to tell drawn scenes apart, not photos."
    if not scores:
        yield _NOT_EVALUATED
    if scores.get("CIDEr") and "shuffled_CIDEr" in scores:
        share = percent(min(1, scores["shuffled_CIDEr"] / scores["CIDEr"]), 0)
        yield f"Its captions, shuffled to other pictures, keep {share} of their CIDEr: that much needs no picture."
    if "exact" in scores:
        yield f"Of its captions of test pictures {percent(1 - scores['exact'])} have a mistake or leave something out."
    if "false_named" in scores:
        yield f"Of the things and colors that it names there, {percent(scores['false_named'])} are not in the picture."
    if not drawn:
        yield "It names what is usual in its training pictures, also where it is not there. How often is not counted."
        yield "It repeats the habits of those who wrote the captions, such as guesses of the age and sex of people."
        yield "It reads no text in pictures and knows no names of persons or places."


def markdown(card: Mapping) -> str:
    """Return a model card as text for people, from what `card_of` returned."""
    model, data, encoder, training = card["model"], card["data"], card["encoder"], card["training"]
    told = [_PARENT.format(**card["parent"])] if card["parent"] else []
    told += [_AVERAGED] if training.get("averaging") else []
    sections = {
        "How to use it": _USE,
        "Data": f"{data['dataset']}: {data['what']}. Trained on {counted(data['pictures'], 'picture')}; "
        f"{data['words']:,} words. Digest of the captions `{data['captions']}`, of the features "
        f"`{data['features']}`.\n\n{card['splits']}",
        "Training": "\n\n".join([*told, _listed(training)]),
        "Model": _listed(model),
        "Encoder": _listed(encoder),
        "Scores": _table(card),
        "Decoding": " ".join(_decoding(card)),
        "How sure it is": card["confidence"],
        "Intended use": card["intended_use"],
        "Limits": "\n".join(f"- {limit}" for limit in card["limits"]),
        "Licenses": _listed(card["licenses"]),
    }
    about = f"""# {card["name"]}

Captions pictures: {model["what"]}; {card["parameters"]:,} trained numbers. Its input comes from the frozen CNN \
{encoder["encoder"]} up to its layer `{encoder["layer"]}`, whose weights are {encoder["what"]}.
"""
    if packed := card.get("packed"):
        precision = "in float16 where that is enough" if packed["half"] else "as they were trained"
        cnn = "travel with it: no network is needed" if packed["encoder"] else "do not: Keras fetches or draws them"
        about += f"\nThis file holds its weights {precision}. Those of the CNN {cnn}.\n"
    return about + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())


def _decoding(card: Mapping) -> Iterator[str]:
    """Yield sentences on how captions are searched."""
    chosen, packed = card["decoding"], card.get("packed")
    reason = "chosen on validation pictures" if card["scores"] else "the usual ones, since nothing was chosen yet"
    yield f"Beam width {chosen['beam_width']}, length penalty {chosen['length_penalty']:g}: {reason}."
    if chosen["may_repeat"] is not None:
        repeated = counted(len(chosen["may_repeat"]), "word")
        yield f"No word occurs twice in a caption, except {repeated} that people repeat."
    if rule := chosen["consensus"]:
        yield (
            f"With `consensus=True`, the captions of the {counted(rule['k'], 'train picture')} with the most similar "
            f"features decide which of a beam of {rule['beam_width']} is the best."
        )
        if packed and not packed["consensus"]:
            yield "What that needs is not in this file."


def _listed(fields: Mapping) -> str:
    return "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in fields.items())


def _table(card: Mapping) -> str:
    """Return the scores as a table; shares and scores in [0, 1], CIDEr up to 10."""
    if not card["scores"]:
        return _NOT_EVALUATED
    table = f"On {counted(card['test_pictures'], 'test picture')}:\n\n"
    others = card["consensus_scores"]
    table += f"| score | value | 95 % interval |{' with consensus |' * bool(others)}\n|{' --- |' * (3 + bool(others))}"
    for name, score in card["scores"].items():
        low_high = " to ".join(f"{end:.3f}" for end in score["interval"] or ()) or "not computed"
        counts = f" (n = {score['n']:,})" if score.get("n") else ""
        table += f"\n| {name.replace('_', ' ')}{counts} | {score['value']:.3f} | {low_high} |"
        table += f" {others[name]['value']:.3f} |" if name in others else " |" * bool(others)
    return table
