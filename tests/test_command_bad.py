"""The command line where things go wrong: each fault is one line that says what to do, and the rest is done."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from captioning import catalog
from captioning.bundle import BundleError
from captioning.serving import command, reporting
from captioning.serving.command import main
from captioning.serving.looks import Looks
from captioning.serving.pack import pack
from captioning.serving.reporting import progress
from tests.bundles import finished
from tests.stub_captioner import Stub


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path))


def listed(capsys, *paths):
    """Return the rows of `captioning models`, by name."""
    capsys.readouterr()
    assert main(["models", *map(str, paths)]) == 0
    return {row.split()[0]: row for row in capsys.readouterr().out.splitlines()[1:]}


def test_one_model_that_cannot_be_read_does_not_hide_the_others(made, tmp_path, capsys, monkeypatch):
    folder, _ = finished(made)
    read = catalog.read_json

    def refused(file, way_out):
        if "secret" in str(file):
            raise PermissionError(13, "Permission denied", str(file))
        return read(file, way_out)

    shutil.copytree(folder, tmp_path / "secret")
    monkeypatch.setattr(catalog, "read_json", refused)
    rows = listed(capsys, tmp_path / "secret", tmp_path / "typo", tmp_path / "checkpoints", folder)
    assert rows["secret"].endswith("  cannot be read: Permission denied")
    assert rows["typo"].endswith("  no such folder or file")
    assert rows["checkpoints"].endswith("-  no trained model") and folder.name in rows


def test_a_packed_model_of_a_newer_version_is_listed_as_such(made, tmp_path, capsys, monkeypatch):
    file = tmp_path / "one.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.write(finished(made)[0] / "settings.json", "settings.json")
        archive.writestr("manifest.json", '{"format": 1}')
    assert not listed(capsys, file)["one.zip"].endswith("of another version")
    newer = tmp_path / "newer.zip"
    with zipfile.ZipFile(newer, "w") as archive:
        archive.write(finished(made)[0] / "settings.json", "settings.json")
        archive.writestr("manifest.json", '{"format": 99}')
    assert listed(capsys, newer)["newer.zip"].endswith("of another version")


def test_the_current_folder_is_listed_by_its_name(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tmp_path.name in listed(capsys, ".")


@pytest.mark.parametrize("missing", ["model.zip", "checkpoints/scenes/gru", "/no/such/folder"])
def test_a_model_that_is_a_path_is_missing_as_a_path(missing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^{missing}: there is no such folder or file"):
        command.find_model(missing)
    with pytest.raises(ValueError, match="no experiment 'scenes/gru'"):
        command.find_model("scenes/gru")


def test_what_is_packed_already_is_not_packed_again(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"")
    for packed in (tmp_path / "model.zip", "https://example.org/model.zip"):
        with pytest.raises(BundleError, match=r"model\.zip is not a folder: a packed model"):
            pack(packed, tmp_path / "again.zip")


@pytest.mark.parametrize("error, said", [
    (PermissionError(13, "Permission denied", "out/dog.png"), "out/dog.png: Permission denied."),
    (OSError(28, "No space left on device"), "No space left on device."),
    (OSError("a.jpg is\nmissing"), "a.jpg is missing"),
])  # fmt: skip
def test_a_fault_of_the_system_is_told_without_its_number(error, said, capsys, monkeypatch):
    def fail(options):
        raise error

    monkeypatch.setattr(command, "_models", fail)
    monkeypatch.setattr(command, "_drop_output", lambda: None)
    assert main(["models"]) == 2 and capsys.readouterr().err == f"captioning: {said}\n"
    report = reporting.Report("text", 1, command.sys.stdout)
    report.add("x.jpg", error)
    assert capsys.readouterr().err == f"captioning: x.jpg: {said}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_drop_output", lambda: None)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert main(["models", str(tmp_path)]) == 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    assert capsys.readouterr().err == "captioning: No space left on device.\n"


def test_pictures_of_attention_need_a_folder(tmp_path):
    (tmp_path / "looks").write_text("")
    with pytest.raises(ValueError, match="looks is a file: give --attention a folder"):
        Looks(Stub(), tmp_path / "looks")


def test_progress_in_a_log_has_lines_of_its_own(capsys, monkeypatch):
    monkeypatch.setattr(reporting, "EVERY", 0)
    assert list(progress(range(60), command.sys.stdout)) == list(range(60))
    err = capsys.readouterr().err
    assert "\r" not in err and err.splitlines()[-1] == "captioning: 59 of 60 photos"
    list(progress(range(50), command.sys.stdout))
    assert not capsys.readouterr().err
