"""The series, run whole at its smallest size once for all tests."""

import os

import pytest

from captioning import notebooks
from tests.series import FILES


def files_of_the_repository():
    """Return what notebooks could write there if they took it for their home: path -> time of the last change."""
    root = notebooks.FOLDER.parent
    folders = [notebooks.FOLDER, *(root / name / "scenes-quick" for name in ("data", "checkpoints", "runs"))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in [*files, *root.glob("data/*.json")]}


@pytest.fixture(scope="session")
def whole_series(tmp_path_factory):
    """Run the whole series on a few drawn scenes; give the folder that is its home."""
    before = files_of_the_repository()
    home = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CAPTIONING_")]:
            patch.delenv(name)
        patch.setenv("CAPTIONING_HOME", str(home))
        patch.setenv("CAPTIONING_QUICK", "1")
        notebooks.run(FILES, home / "runs")
    assert files_of_the_repository() == before
    return home


@pytest.fixture
def executed(whole_series, monkeypatch):
    """The folder of that run, and its settings: every test starts without any."""
    monkeypatch.setenv("CAPTIONING_HOME", str(whole_series))
    monkeypatch.setenv("CAPTIONING_QUICK", "1")
    return whole_series
