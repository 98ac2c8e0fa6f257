"""`python -m captioning.metrics`: one JSON object, or a message and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from captioning.metrics import score
from captioning.metrics.__main__ import main

REFERENCES = {
    "images": [{"id": 1}, {"id": 2}],
    "annotations": [
        {"image_id": 1, "caption": "a dog runs", "id": 5},
        {"image_id": 2, "caption": "two\nboats", "id": 6},
        {"image_id": 1, "caption": "the dog", "id": 7},
    ],
}
RESULTS = [{"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": "two boats café"}]


@pytest.fixture
def run(tmp_path, capsys):
    def run(references, results):
        paths = []
        for name, content in (("references.json", references), ("results.json", results)):
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / name).write_text(text, encoding="utf-8")
            paths.append(str(tmp_path / name))
        return main(paths), *capsys.readouterr()

    return run


def test_prints_the_scores(run):
    code, out, err = run(REFERENCES, RESULTS)
    assert (code, err) == (0, "")
    assert json.loads(out) == score({1: ["a dog runs", "the dog"], 2: ["two boats"]}, {1: "a dog", 2: "two boats café"})


@pytest.mark.parametrize("ids", [(1, 2), ("1", "2"), (1.0, 2.0)], ids=str)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_reads_what_other_programs_write(ids, encoding, tmp_path, capsys):
    """pandas makes floats of ids, PowerShell writes UTF-16, Notepad a byte order mark."""
    results = [{"image_id": image, "caption": entry["caption"]} for image, entry in zip(ids, RESULTS, strict=True)]
    for name, content in (("references.json", REFERENCES), ("results.json", results)):
        (tmp_path / name).write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    assert main([str(tmp_path / "references.json"), str(tmp_path / "results.json")]) == 0
    expected = score({1: ["a dog runs", "the dog"], 2: ["two boats"]}, {1: "a dog", 2: "two boats café"})
    assert json.loads(capsys.readouterr().out) == expected


def without(content, field):
    return {name: value for name, value in content.items() if name != field}


NO_CAPTION = {**REFERENCES, "images": [{"id": 1}, {"id": 2}, {"id": 3}]}
UNLISTED = {**REFERENCES, "images": [{"id": 1}]}
WRONG = {
    "references are a list": (RESULTS, RESULTS, "references.json is not a reference file"),
    "no images": (without(REFERENCES, "images"), RESULTS, "references.json has another layout"),
    "no annotations": (without(REFERENCES, "annotations"), RESULTS, "references.json has another layout"),
    "no caption": ({**REFERENCES, "annotations": [{"image_id": 1}]}, RESULTS, "entry 0 lacks"),
    "unlisted image": (UNLISTED, RESULTS, "(2)"),
    "image without captions": (NO_CAPTION, [*RESULTS, {"image_id": 3, "caption": "x"}], "(3)"),
    "no image at all": ({"images": [], "annotations": []}, [], "empty"),
    "results are an object": (REFERENCES, {"1": "a"}, "results.json has another layout"),
    "results without ids": (REFERENCES, [{"caption": "a"}], "entry 0 lacks"),
    "a number for a caption": (REFERENCES, [{"image_id": 1, "caption": 5}], "strange caption: 5"),
    "a list for an id": (REFERENCES, [{"image_id": [1], "caption": "a"}], "strange image_id"),
    "an entry is no object": (REFERENCES, [5], "entry 0 lacks"),
    "duplicate": (REFERENCES, [*RESULTS, RESULTS[0]], "more than one caption for 1 image (1)"),
    "missing": (REFERENCES, RESULTS[:1], "No result for 1 image (2)"),
    "unknown": (REFERENCES, [*RESULTS, {"image_id": 9, "caption": "x"}], "without references: 1 image (9)"),
    "no JSON": (REFERENCES, "[{", "results.json is damaged"),
    "endless brackets": (REFERENCES, "[" * 100_000, "results.json is damaged"),
    "half an id": (REFERENCES, [{"image_id": 1.5, "caption": "a"}], "strange image_id"),
}


@pytest.mark.parametrize("references, results, message", WRONG.values(), ids=WRONG)
def test_says_what_is_wrong(run, references, results, message):
    code, out, err = run(references, results)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_missing_file_and_missing_arguments(capsys, tmp_path):
    assert main([str(tmp_path / "none.json"), str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    assert main(["only-one.json"]) == 2
    assert "usage" in capsys.readouterr().err


def test_as_a_command(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(REFERENCES))
    (tmp_path / "b.json").write_text(json.dumps(RESULTS[:1]))
    command = [sys.executable, "-m", "captioning.metrics", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("captioning.metrics: No result")
