"""Write letters.json, and the tokens of the sentences, with coco-caption's own tokenizer: see ../coco_caption."""

import json
import unicodedata
from pathlib import Path

from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

HERE = Path(__file__).parent
CONTEXTS = ["bb {} dd", "bb{}dd", "bb{}{}dd", "5{}6", "bb-{}-dd", "bb.{}dd"]
REPRESENTATIVES = {"letter": "é", "mark": "\u0300", "digit": "٠", "sign": "©", "nothing": "\1"}
ENDS_A_LINE = "\n\v\f\r\u2028\u2029"  # the reference would lose count of the captions


def tokenize(captions):
    """Return the tokens of each caption, joined by spaces."""
    entries = {number: [{"caption": caption}] for number, caption in enumerate(captions)}
    return [tokens for (tokens,) in PTBTokenizer().tokenize(entries).values()]


def write(name, content):
    (HERE / name).write_text(json.dumps(content, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


def in_contexts(characters):
    """Return character -> its tokens in each context."""
    tokens = tokenize([context.replace("{}", each) for each in characters for context in CONTEXTS])
    return {each: tokens[row * len(CONTEXTS) : (row + 1) * len(CONTEXTS)] for row, each in enumerate(characters)}


def ranges(characters):
    """Return the code points as hexadecimal ranges: "41-5a 61"."""
    runs = []
    for code in map(ord, characters):
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in runs)


plane = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000 and chr(code) not in ENDS_A_LINE]
found = in_contexts(plane)
patterns = {name: [line.replace(each, "{}") for line in found[each]] for name, each in REPRESENTATIVES.items()}
classes, own = {name: [] for name in patterns}, {}
for each, lines in found.items():
    for name, pattern in patterns.items():
        if lines == [line.replace("{}", each.lower()) for line in pattern]:
            classes[name].append(each)
            break
    else:
        own[each] = lines
listed = {name: ranges(members) for name, members in classes.items() if name != "nothing"}
write("letters.json", {"contexts": CONTEXTS, "patterns": patterns, "ranges": listed, "own": own})

sentences = [text for text, *_ in json.loads((HERE / "sentences.json").read_text(encoding="utf-8"))]
composed, decomposed = ([unicodedata.normalize(form, text) for text in sentences] for form in ("NFC", "NFD"))
write("sentences.json", list(zip(sentences, tokenize(composed), tokenize(decomposed), strict=True)))
