"""Where zips go."""

import pytest


@pytest.fixture
def outer(tmp_path):
    """The folder `outer/target` is where zips go; what appears in `outer` beside it has escaped."""
    (tmp_path / "outer" / "target").mkdir(parents=True)
    return tmp_path / "outer"
