"""A packed model that is made once, and what it takes to load it."""

import pytest

from captioning import bundle, encoders
from captioning.bundle import BundleError
from captioning.serving.pack import pack
from tests.bundles import everything_in
from tests.packed_models import bundle_in
from tests.tiny_encoder import SPEC


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The tiny encoder is one of those that are known."""
    monkeypatch.setitem(encoders.SPECS, SPEC.name, SPEC)


@pytest.fixture(scope="package")
def kept(tmp_path_factory):
    """A bundle, and the bytes of it packed with its encoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(encoders.SPECS, SPEC.name, SPEC)
        home = tmp_path_factory.mktemp("made")
        made, folder = bundle_in(home)
        return made, folder, pack(folder, home / "model.zip", encoder=True).read_bytes()


@pytest.fixture
def content(kept):
    return kept[2]


@pytest.fixture
def refuse(tmp_path):
    """A function that loads bytes as a file: it must be refused in one line that names the file."""

    def check(content, match, error=BundleError):
        file = tmp_path / "model.zip"
        file.write_bytes(content)
        before = everything_in(tmp_path)
        with pytest.raises(error, match=match) as caught:
            bundle.load(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)
        assert everything_in(tmp_path) == before
        return str(caught.value)

    return check
