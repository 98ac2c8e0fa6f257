"""What holds for every test: no setting of the machine, a home of its own, figures without a screen."""

import itertools
import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in (".", "tests")]
os.environ["MPLBACKEND"] = "Agg"  # before matplotlib is imported
# A job in the background is started with interrupts ignored, and so would be what the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path_factory):
    """Remove every CAPTIONING_* variable and let data/, checkpoints/ and runs/ lie in a temporary folder."""
    for name in [name for name in os.environ if name.startswith("CAPTIONING_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "homes" / str(next(NUMBERS))  # `mktemp` reads thousands of names each time
    home.mkdir(parents=True)
    monkeypatch.setenv("CAPTIONING_HOME", str(home))


@pytest.fixture(autouse=True)
def closed_figures():
    """Close what a test has drawn; a test that draws nothing need not import matplotlib."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def pytest_collection_modifyitems(items):
    """Put what takes long first, so that the workers of `pytest -n` end together: the series, folders, files."""
    items.sort(key=lambda item: (item.path.parent.name != "executed", item.path.parent == ROOT / "tests"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give a worker whole folders and files of tests/, whose fixtures are then made once."""
    from xdist.scheduler import LoadScopeScheduling

    class Whole(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return nodeid.removeprefix("tests/").split("/")[0].split("::")[0]

    config.option.loadscopereorder = False  # else files of many tests would come first
    return Whole(config, log)


@pytest.fixture
def home():
    return Path(os.environ["CAPTIONING_HOME"])


@pytest.fixture
def variables(monkeypatch):
    def set_variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"CAPTIONING_{name}", str(value))

    return set_variables


@pytest.fixture
def files(tmp_path):
    """Six pictures of all shapes."""
    from tests.figures import pictures

    return pictures(tmp_path)


@pytest.fixture
def made(tmp_path):
    """Dataset, features and vocabulary; what needs TensorFlow is imported by the tests that ask for it."""
    from tests.bundles import made_in

    return made_in(tmp_path)


@pytest.fixture
def with_photos(made, monkeypatch):
    """A bundle whose encoder is the tiny one; how its weights are asked for is noted."""
    from tests.bundles import photo_bundle

    return photo_bundle(made, monkeypatch)


@pytest.fixture
def server():
    """A web server on the loopback address; a folder of tests gives it its files."""
    from tests.server import Server

    with Server() as server:
        yield server


@pytest.fixture
def stub(monkeypatch):
    """Every model is the stub; loading it prints, as loading may."""
    from tests.stub_captioner import install

    return install(monkeypatch)
