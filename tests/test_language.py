"""Phrases that a technical editor would change stay out of what people read: notebooks, documents, messages."""

import ast
import json
import re

import pytest

from tests.series import FILES
from tests.test_house import FILES as PACKAGE
from tests.test_house import ROOT, parsed

NOUNS = "run|loop|step|set|loss|batch|example|caption|picture|photo|image|log|epoch|cell|checkpoint"
INSTEAD = {
    r"in place of": "instead of",
    r"anew|made new": "again",
    r"by heart": "memorized",
    r"way round": "faster, without",
    r"goes on (where|with|when)|go on where": "resumes, continues",
    r"broken off": "interrupted",
    r"dealt|deals the captions": "shuffled",
    r"belongs? into": "belongs in",
    r"gradients? by the": "gradient with respect to",
    r"(has|have) the last word": "takes precedence",
    r"told on (test|validation)": "reported on",
    r"(there|one|table|file) stands|stands (once|twice|beside|below|above)": "is, appears",
    r"doubles": "duplicates",
    r"and the like": "and similar ones",
    r"no finite number": "not a finite number",
    rf"a training(?! ({NOUNS}))": "a training run",
    r"first(,)? random weights": "initial weights",
    r"knobs?(?!\*)": "settings",
    r"colours?|grey|centres?": "color, gray, center; `make lint` finds the others",
    r"an own|own ones": "its own",
    r"what is there is (used|kept)": "what exists is reused",
}
DOCUMENTS = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", "checkpoints/README.md")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]
IDENTITIES = ("BGR, mean colour subtracted",)  # features on disk are known by it
BANNED = re.compile(rf"(?<![\w\"'`./-])({'|'.join(INSTEAD)})(?![\w\"'`-])", re.IGNORECASE)


def odd(text):
    """Return the phrases to change, outside of code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "`code`", text, flags=re.DOTALL)
    return [found[1] for found in BANNED.finditer(re.sub(r"\s+", " ", prose))]


def strings(file):
    """Return the texts in a module without its docstrings, f-strings joined."""
    nodes = list(ast.walk(parsed(file)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if id(node) in docstrings or getattr(node, "value", None) in IDENTITIES:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_notebooks_are_in_plain_american_english(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = {cell["id"]: "".join(cell["source"]) for cell in cells}
    comments = {
        cell["id"]: " ".join(re.findall(r"#(.*)$", texts[cell["id"]], re.MULTILINE))
        for cell in cells
        if cell["cell_type"] == "code"
    }
    assert {name: found for name, text in (texts | comments).items() if (found := odd(text))} == {}


def test_documents_are_in_plain_american_english():
    texts = {path.name: path.read_text(encoding="utf-8").replace("*knob*", "") for path in DOCUMENTS}
    assert {name: found for name, text in texts.items() if (found := odd(text))} == {}


def test_messages_are_in_plain_american_english():
    messages = [(file.stem, text) for file in PACKAGE for text in strings(file)]
    assert len(messages) > 1500
    assert {message: found for message in messages if (found := odd(message[1]))} == {}


def test_odd_phrases_are_found_in_prose_and_not_in_code():
    assert odd("One in place\nof two, made anew.") == ["in place of", "anew"]
    assert odd("`in place of` and ```\nanew\n``` and a training run") == []
    assert odd("A training stops. The colour.") == ["A training", "colour"]
