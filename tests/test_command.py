"""The command line: streams, exit codes, forms of output."""

import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from captioning import bundle
from captioning.bundle import BundleError
from captioning.fetching.photo import WebPhoto
from captioning.serving import command
from captioning.serving.command import main


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of photos of different widths, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for width, name in enumerate(("b.png", "a.jpg", "beach/dog.png", "beach/a.png", 'café, "x"\t1.png'), 3):
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (width, 2)).save(name)
    Path("text.jpg").write_text("no photo")
    return tmp_path


def test_a_line_per_photo_and_nothing_else_on_stdout(stub, photos, capsys):
    assert main(["caption", "b.png", "beach", str(photos / "a.jpg")]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "b.png\t3 wide, place 1\nbeach/a.png\t6 wide, place 1\nbeach/dog.png\t5 wide, place 1\n"
        f"{photos}/a.jpg\t4 wide, place 1\n"
    )
    assert err == "Model: best\nloading\n" and stub.asked == [(1, None, False)]


def test_what_fails_is_told_and_the_others_are_done(stub, photos, capsys):
    (photos / "empty").mkdir()
    assert main(["caption", "none.jpg", "b.png", "empty", "text.jpg", "a.jpg", "--n", "2", "--beam", "7"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["b.png\t3 wide, place 1\t3 wide, place 2", "a.jpg\t4 wide, place 1\t4 wide, place 2"]
    failures = [line for line in err.splitlines() if line.startswith("captioning: ")]
    told = [("none.jpg", "No such file"), ("empty", "holds no photos"), ("text.jpg", "it is a text")]
    assert all(name in line and why in line for line, (name, why) in zip(failures, told, strict=True))
    assert stub.asked == [(2, 7, False)]
    assert main(["caption", "b.png", "--consensus"]) == 0 and stub.asked[1:] == [(1, None, False, "consensus")]


def test_nothing_to_caption_needs_no_model(photos, capsys, monkeypatch):
    monkeypatch.setattr(command, "find_model", None)
    (photos / "empty").mkdir()
    assert main(["caption", "empty"]) == 1
    assert capsys.readouterr().out == ""


NAMES = ["b.png", "none.jpg", 'café, "x"\t1.png']


def test_json_is_read_back_line_by_line(stub, photos, capsys):
    assert main(["caption", *NAMES, "--json", "--n", "3"]) == 1
    first, failed, last = map(json.loads, capsys.readouterr().out.splitlines())
    candidates = [
        {"caption": f"3 wide, place {place}", "log_probability": -1.5 * place, "per_word": -0.25 * place}
        for place in (1, 2, 3)
    ]
    assert first == {"file": "b.png", **candidates[0], "below": 0.5, "candidates": candidates, "error": None}
    assert failed["file"] == "none.jpg" and "No such file" in failed["error"] and failed["candidates"] == []
    assert failed["caption"] is failed["log_probability"] is failed["per_word"] is failed["below"] is None
    assert last["file"] == NAMES[2]


def test_csv_is_read_back_whatever_the_names_are(stub, photos, capsys):
    assert main(["caption", *NAMES, "--csv", "--n", "2"]) == 1
    first, failed, last = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert first == {
        "file": "b.png", "caption": "3 wide, place 1", "log_probability": "-1.5", "per_word": "-0.25", "below": "0.5",
        "caption_2": "3 wide, place 2", "log_probability_2": "-3.0", "error": "",
    }  # fmt: skip
    assert failed["caption"] == failed["caption_2"] == "" and "No such file" in failed["error"]
    assert last["file"] == NAMES[2]


def test_a_name_stays_in_its_line(stub, photos, capsys):
    Image.new("RGB", (9, 9)).save("two\nlines\t.png")
    assert main(["caption", "two\nlines\t.png", "not\x1b[1m.png"]) == 1
    out, err = capsys.readouterr()
    assert out == "two\\nlines\\t.png\t9 wide, place 1\n" and "\x1b" not in err


def test_a_name_that_is_no_text_is_written_all_the_same(stub, photos, capfdbinary):
    name = os.fsencode("b.png").replace(b"b", b"\xff")
    shutil.copy("b.png", os.fsdecode(name))
    for options in ([], ["--csv"], ["--json"]):
        assert main(["caption", os.fsdecode(name), *options]) == 0
    assert json.loads(capfdbinary.readouterr().out.splitlines()[-1])["file"] == os.fsdecode(name)


def test_one_photo_comes_from_standard_input(stub, photos, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(Path("b.png").read_bytes())))
    assert main(["caption", "-"]) == 0 and capsys.readouterr().out == "standard input\t3 wide, place 1\n"
    assert main(["caption", "-"]) == 1 and "standard input" in capsys.readouterr().err


def test_addresses_are_fetched_as_the_options_permit(stub, photos, capsys, monkeypatch):
    fetched = []
    monkeypatch.setattr(WebPhoto, "read", lambda self, limit=-1: fetched.append(self) or Path("b.png").read_bytes())
    assert main(["caption", "https://example.org/x.png"]) == 0
    assert main(["caption", "http://localhost/y.png", "--allow-private"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "https://example.org/x.png\t3 wide, place 1"
    assert [(photo.address, photo.allow_private) for photo in fetched] == [
        ("https://example.org/x.png", False),
        ("http://localhost/y.png", True),
    ]
    assert [photo.content for photo in stub.pictures] == [None]  # of thousands, not all are kept


def test_each_line_is_out_before_the_next_photo_is_looked_at(photos, stub, monkeypatch):
    captions = stub.captions
    for options in ([], ["--json"], ["--csv"]):
        out, seen = io.BytesIO(), []  # what has left the process

        def slowly(*args, out=out, seen=seen, **options):
            for answer in captions(*args, **options):
                yield answer
                seen.append(out.getvalue())

        monkeypatch.setattr(stub, "captions", slowly)
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
        assert main(["caption", "b.png", "a.jpg", *options]) == 0
        assert b"b.png" in seen[0] and b"a.jpg" not in seen[0]


def test_a_reader_that_has_seen_enough_ends_it_quietly(stub, photos, capsys, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["caption", "b.png", "a.jpg"]) == 141
        monkeypatch.undo()
    assert capsys.readouterr().err == "Model: best\nloading\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BundleError("the bundle\nis torn"), 2, "captioning: the bundle is torn\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "captioning: x: Permission denied.\n"),
    ],
)
def test_what_ends_it_is_one_line_and_an_exit_code(error, code, said, stub, photos, capsys, monkeypatch):
    def load(source, allow_private):
        raise error

    monkeypatch.setattr(bundle, "load", load)
    assert main(["caption", "b.png"]) == code
    assert capsys.readouterr() == ("", f"Model: best\n{said}")


@pytest.mark.parametrize(
    "words",
    [
        ["caption"], ["caption", "x", "--n", "0"], ["caption", "x", "--beam", "wide"], ["caption", "x", "--n", "101"],
        ["caption", "x", "--json", "--csv"], ["score", "a.json"], ["export", "x"], ["colour"],
    ],
)  # fmt: skip
def test_wrong_usage_is_said_in_a_few_lines(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and err.startswith("usage: captioning")


def test_without_a_subcommand_the_help_is_printed(capsys):
    assert main([]) == 2
    out = capsys.readouterr().out
    for name in ("caption", "models", "score", "pack", "export", "notebooks"):
        assert re.search(rf"^ +{name}\b", out, re.MULTILINE)
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0


# Where it looked


def test_every_photo_has_a_picture_of_its_own(stub, photos, capsys, monkeypatch):
    fetched = []
    monkeypatch.setattr(WebPhoto, "read", lambda self, limit=-1: fetched.append(self) or Path("b.png").read_bytes())
    before = set(photos.rglob("*"))
    given = ["a.jpg", "beach/a.png", "https://example.org/..%2f..%2fA.png?x", "text.jpg", "https://example.org/"]
    assert main(["caption", *given, "--attention", "looks/new", "--json"]) == 1
    records = list(map(json.loads, capsys.readouterr().out.splitlines()))
    drawn = [record["attention"] for record in records]
    names = ["a", "a-2", "A-3", None, "photo"]
    assert drawn == [name and f"looks/new/{name}-attention.png" for name in names]
    assert set(photos.rglob("*")) - before == {
        photos / "looks",
        photos / "looks/new",
        *(photos / f for f in drawn if f),
    }
    assert all(Image.open(file).width > 300 for file in drawn if file) and len(fetched) == 2
    assert stub.asked == [(1, None, True)]


def test_a_model_without_attention_is_refused_before_any_work(stub, photos, capsys):
    stub.attends = False
    assert main(["caption", "b.png", "--attention", "looks"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "stub has no attention" in err and not Path("looks").exists() and stub.asked == []


# Which model


def test_a_model_is_fetched_as_the_options_permit_and_its_password_is_not_told(stub, photos, capsys, monkeypatch):
    monkeypatch.setattr(command, "find_model", str)
    asked = []
    monkeypatch.setattr(bundle, "load", lambda *given, **options: asked.append((given, options)) or stub)
    model = "https://me:secret@example.org/model.zip"
    for options in ([], ["--allow-private"]):
        assert main(["caption", "b.png", "--model", model, *options]) == 0
        assert capsys.readouterr().err == "Model: https://example.org/model.zip\n"
    assert asked == [((model,), {"allow_private": permitted}) for permitted in (False, True)]


def test_a_wrong_setting_is_said(capsys, monkeypatch, photos):
    monkeypatch.setenv("CAPTIONING_DATSET", "scenes")
    for words in (["caption", "b.png"], ["models"], ["notebooks"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert "Unknown setting CAPTIONING_DATSET" in out + err


def test_what_is_not_installed_is_named_with_its_extra(stub, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "captioning.notebooks", raising=False)
    monkeypatch.setitem(sys.modules, "papermill", None)
    monkeypatch.delattr("captioning.notebooks", raising=False)
    assert main(["notebooks", "04"]) == 2
    assert "papermill is not installed: pip install '.[notebooks]'" in capsys.readouterr().err
