"""The command line: streams, exit codes, forms of output, and which model is used."""

import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from captioning import bundle, encoders, models, serving
from captioning.bundle import Answer, BundleError, Candidate
from captioning.decoding import Caption
from captioning.fetching.photo import WebPhoto
from captioning.files import only_one
from captioning.images import ImageError, open_image
from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.serving import command
from captioning.serving.command import find_model, main
from tests.bundles import edit, finished, made_in
from tests.tiny_encoder import SPEC, tiny_encoder

ATTENTION = np.full((2, 4), 0.25)


class Stub:
    """A model that says how wide a picture is, and sees only those that can be opened."""

    name, attends, encoders = "stub", True, {"tiny": SimpleNamespace(spec=SPEC)}

    def __init__(self):
        self.asked = []

    def features_of(self, features):
        return features["tiny"]

    def decode(self, features):
        return [Caption([], 0.0, 0.0, True, ATTENTION[:0] if self.attends else None)] * len(features)

    def captions(self, pictures, n=1, beam=None, attention=False, consensus=False, keep_errors=False):
        assert keep_errors
        self.asked.append((n, beam, attention, *["consensus"] * consensus))
        self.pictures = pictures
        for picture in pictures:
            try:
                width = open_image(picture, name=getattr(picture, "name", None) and str(picture.name)).width
            except ImageError as error:
                yield error
                continue
            found = (
                Candidate(f"{width} wide, place {place}", -1.5 * place, -0.25 * place) for place in range(1, n + 1)
            )
            yield Answer(tuple(found), 0.5, ("a", "dog") if attention else (), ATTENTION if attention else None)


@pytest.fixture
def stub(monkeypatch):
    """Every model is the stub; loading it prints, as loading may."""
    stub = Stub()
    monkeypatch.setattr(command, "find_model", lambda name: Path(name or "best"))
    monkeypatch.setattr(bundle, "load", lambda source, allow_private: print("loading") or stub)
    return stub


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


def test_a_model_without_attention_is_refused_before_any_work(stub, photos, capsys, monkeypatch):
    monkeypatch.setattr(Stub, "attends", False)
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


@pytest.fixture
def made(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    made = made_in(tmp_path / "home")
    monkeypatch.setenv("CAPTIONING_HOME", str(made.project.home))
    return made


def test_a_model_is_found_by_name_path_and_address(made, tmp_path, monkeypatch):
    folder, _ = finished(made)
    other = shutil.copytree(folder, made.project.home / "checkpoints" / "coco2014" / folder.name)
    assert find_model(str(folder)) == folder and find_model(f"coco2014/{folder.name}") == other
    assert find_model("https://example.org/model.zip") == "https://example.org/model.zip"
    with pytest.raises(ValueError, match=rf"several experiments '{folder.name}'; give one of: coco2014/.*, scenes/"):
        find_model(folder.name)
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    assert find_model(folder.name) == other
    with pytest.raises(ValueError, match=rf"no experiment 'typo'; there are: coco2014/{folder.name}, scenes/"):
        find_model("typo")


def test_by_default_it_is_the_best_of_the_active_dataset_or_of_the_only_one(made, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="holds no trained model: run the notebooks, or give --model"):
        find_model(None)
    folder, _ = finished(made)
    monkeypatch.setenv("CAPTIONING_DATASET", "flickr8k")
    better = shutil.copytree(folder, folder.with_name("better"))
    for one, score in ((folder, 0.5), (better, 0.75)):
        (one / "scores.json").write_text(json.dumps({"decoding": {"validation_CIDEr": score}}))
    assert find_model(None) == better
    shutil.copytree(folder.parent, made.project.home / "checkpoints" / "coco2014")
    with pytest.raises(ValueError, match=r"several datasets \(coco2014, scenes\): choose one with --model"):
        find_model(None)
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    assert find_model(None).parent.name == "coco2014"


def test_a_wrong_setting_is_said(capsys, monkeypatch, photos):
    monkeypatch.setenv("CAPTIONING_DATSET", "scenes")
    for words in (["caption", "b.png"], ["models"], ["notebooks"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert "Unknown setting CAPTIONING_DATSET" in out + err


def test_it_says_what_the_bundle_says(made, monkeypatch, capsys):
    """The way of a user: names, files, a real model over a tiny encoder."""
    encoder = tiny_encoder()
    monkeypatch.setattr(encoders, "load", lambda *_: encoder)
    sizes = {"regions": SPEC.regions, "channels": SPEC.channels}
    folder, _ = finished(made)
    config = BahdanauConfig(len(made.tokenizer), **sizes, embedding=4, units=5, attention=3)
    models.build(BahdanauDecoder, config).save_weights(folder / "model.weights.h5")
    settings = edit(folder, encoder=encoder.identity)
    edit(folder, model=settings["model"] | sizes)
    files = sorted(str(record.file) for record in made.dataset.records)[:3]
    loaded = bundle.load(folder)
    told = loaded.caption(files, n=2)
    monkeypatch.setattr(bundle, "load", lambda source, **_: loaded if source == folder else None)  # compiled once
    capsys.readouterr()
    assert main(["caption", *files, "--model", folder.name, "--n", "2", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["candidates"] for record in records] == [[vars(one) for one in answer.candidates] for answer in told]


# The other subcommands


def test_models_are_listed_and_deleted_by_name(made, capsys):
    folder, _ = finished(made)
    other = shutil.copytree(folder, made.project.home / "checkpoints" / "coco2014" / folder.name)
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert out.index("coco2014\n") < out.index("scenes\n") and out.count(f"{folder.name}  ") == 2
    assert main(["models", "--delete", f"coco2014/{folder.name}", "typo"]) == 2
    assert "no experiment 'typo'" in capsys.readouterr().err
    assert main(["models", "--delete", folder.name]) == 2 and "several" in capsys.readouterr().err
    with only_one(other / "training"):
        assert main(["models", "--delete", f"coco2014/{folder.name}"]) == 2 and other.exists()
    assert main(["models", "--delete", f"coco2014/{folder.name}"]) == 0
    assert folder.exists() and not other.exists() and "coco2014\n" not in capsys.readouterr().out
    assert main(["models", "--delete", folder.name]) == 0 and not folder.exists()
    assert "holds no trained model" in capsys.readouterr().err


def test_folders_and_zips_are_listed_wherever_they_are(made, tmp_path, capsys):
    folder, _ = finished(made)
    (folder / "scores.json").write_text('{"CIDEr": 0.75}')
    packed = shutil.make_archive(str(tmp_path / "model"), "zip", folder)
    (tmp_path / "torn.zip").write_bytes(Path(packed).read_bytes()[:100])
    capsys.readouterr()
    assert main(["models", str(folder), packed, str(tmp_path / "torn.zip"), str(tmp_path / "none")]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == [folder.name, "model.zip", "torn.zip", "none"]
    assert "0.750" in rows[0] and "0.750" in rows[1]
    assert rows[2].endswith("neither a folder nor a zip that is whole") and rows[3].endswith("no such folder or file")


def put(monkeypatch, name, **functions):
    """Let a module of `serving` be these functions."""
    module = SimpleNamespace(**functions)
    monkeypatch.setitem(sys.modules, f"captioning.serving.{name}", module)
    monkeypatch.setattr(serving, name, module, raising=False)


def test_pack_and_export_hand_over_what_was_asked(stub, tmp_path, capsys, monkeypatch):
    calls, target = [], tmp_path / "model.zip"

    put(monkeypatch, "pack", pack=lambda *given: calls.append(given))
    assert main(["pack", "gru", str(target), "--half"]) == main(["pack", "gru", str(target), "--consensus"]) == 0
    note = {name: lambda *given, name=name: calls.append((name, *given)) for name in ("page", "serve", "onnx", "saved")}
    put(monkeypatch, "site", write=note["page"], serve=note["serve"])
    put(monkeypatch, "onnx_files", write=note["onnx"])
    put(monkeypatch, "saved_model", write=note["saved"])
    out = tmp_path / "out"
    for options in ([], ["--serve"], ["--format", "onnx", "--precision", "int16"], ["--format", "saved-model"]):
        assert main(["export", "gru", str(out), *options]) == 0
    assert calls == [
        (Path("gru"), target, True, False, False),
        (Path("gru"), target, False, False, True),
        ("page", stub, out, None),
        ("page", stub, out, None),
        ("serve", out, 8000),
        ("onnx", stub, out, "int16"),
        ("saved", stub, out),
    ]
    for options in (["--format", "onnx", "--serve"], ["--format", "saved-model", "--precision", "int16"]):
        assert main(["export", "gru", str(out), *options]) == 2 and "is for --format page" in capsys.readouterr().err


def test_score_scores(tmp_path, capsys):
    (tmp_path / "a.json").write_text('{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a dog"}]}')
    (tmp_path / "b.json").write_text('[{"image_id": 1, "caption": "a dog"}]')
    assert main(["score", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    assert json.loads(capsys.readouterr().out)["Bleu_1"] == pytest.approx(1)
    assert main(["score", str(tmp_path / "a.json"), "none.json"]) == 2


def test_what_is_not_installed_is_named_with_its_extra(stub, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "captioning.notebooks", raising=False)
    monkeypatch.setitem(sys.modules, "papermill", None)
    monkeypatch.delattr("captioning.notebooks", raising=False)
    assert main(["notebooks", "04"]) == 2
    assert "papermill is not installed: pip install '.[notebooks]'" in capsys.readouterr().err
