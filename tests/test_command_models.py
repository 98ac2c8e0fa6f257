"""The command line: which model is used, models listed and deleted, packed, exported and scored."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from captioning import bundle, serving
from captioning.serving.command import find_model, main
from tests.bundles import finished, made_in


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


def test_it_says_what_the_bundle_says(made, with_photos, monkeypatch, capsys):
    """The way of a user: names, files, a real model over a tiny encoder."""
    folder, _, _ = with_photos
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
