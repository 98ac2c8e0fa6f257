"""Feature shards on a disk that fills up, and in a process that is killed: never half a shard."""

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from features_kills import kill_run
from tiny_encoder import (
    CHANNELS,
    REGIONS,
    assert_encoded,
    contents,
    forbidden,
    state,
)  # fmt: skip

from captioning import features
from captioning.features import FeatureStore, extract

# A full disk


def free(monkeypatch, count):
    usage = type("Usage", (), {"free": count})
    monkeypatch.setattr(features.shutil, "disk_usage", lambda path: usage)


def test_a_disk_that_is_too_small_is_noticed_before(photos, encoder, folder, monkeypatch):
    records, need = photos(10), 10 * REGIONS * CHANNELS * 2
    free(monkeypatch, need - 1)
    with pytest.raises(OSError, match=r"free some, set a smaller CAPTIONING_LIMIT, or .*mobilenet") as caught:
        extract(records, forbidden(encoder), folder)
    assert caught.value.errno == errno.ENOSPC and list(contents(folder)) == ["manifest.json"]
    free(monkeypatch, need)
    extract(records, encoder, folder)


def test_only_what_is_missing_needs_room(photos, encoder, folder, monkeypatch):
    extract(photos(8), encoder, folder)
    free(monkeypatch, 2 * REGIONS * CHANNELS * 2)
    assert len(extract(photos(10), encoder, folder)) == 10


class FullDisk:
    """A file on a disk that fills up: half of what is written gets there."""

    def __init__(self, file, moment, number):
        self.file, self.moment, self.number = file, moment, number

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        if self.moment == "close":
            raise OSError(self.number, os.strerror(self.number))

    def write(self, data):
        if self.moment == "write" and memoryview(data).nbytes > 200:
            self.file.write(memoryview(data).cast("B")[:100])
            raise OSError(self.number, os.strerror(self.number))
        return self.file.write(data)


def fill_disk(monkeypatch, moment, number=errno.ENOSPC):
    """Let the disk be full at some moment of the second shard."""
    opened, written = Path.open, Path.write_text

    def open_file(path, mode="r", *rest, **options):
        file = opened(path, mode, *rest, **options)
        return FullDisk(file, moment, number) if mode == "wb" and path.name == "features-00001.part" else file

    def write_text(path, text, *rest, **options):
        if moment == "ids" and path.name == "features-00001.part":
            written(path, text[:10])
            raise OSError(number, os.strerror(number))
        return written(path, text, *rest, **options)

    monkeypatch.setattr(Path, "open", open_file)
    monkeypatch.setattr(Path, "write_text", write_text)


@pytest.mark.parametrize("moment", ["ids", "write", "close"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up(moment, number, photos, encoder, folder, tmp_path, monkeypatch):
    records = photos(12)
    with monkeypatch.context() as patched:
        fill_disk(patched, moment, number)
        with pytest.raises(
            OSError, match=r"disk is full. All earlier shards are kept; free .* CAPTIONING_LIMIT"
        ) as info:
            extract(records, encoder, folder)
    assert info.value.errno == number and "features-00001.npy" in str(info.value)
    kept = state(folder)
    assert {name for name in kept if name.endswith((".npy", ".part"))} == {"features-00000.npy"}
    assert_encoded(FeatureStore(folder), records[:4], encoder)
    assert_encoded(extract(records, encoder, folder), records, encoder)
    assert state(folder)["features-00000.npy"] == kept["features-00000.npy"]
    extract(records, encoder, tmp_path / "undisturbed")
    assert contents(folder) == contents(tmp_path / "undisturbed")


def test_another_trouble_of_the_disk_is_not_called_full(photos, encoder, folder, monkeypatch):
    fill_disk(monkeypatch, "write", errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        extract(photos(8), encoder, folder)
    assert caught.value.errno == errno.EIO and not list(folder.glob("*.part"))


@pytest.mark.parametrize("limit", [4000, 5000, 8100])
def test_a_short_write_is_never_silent(limit, tmp_path):
    """`numpy.save` says nothing when the last bytes of a file do not fit."""
    resource = pytest.importorskip("resource")
    array = np.ones((1000, 1, 4), np.float16)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError), (tmp_path / "a.npy").open("wb") as file:
            features._write_array(file, array)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Kills


class Killed(BaseException):
    """What no `except` of the package may catch."""


def kill_before(monkeypatch, count):
    """Stop at the file operation with this number, as a kill does: nothing after it happens."""
    left = [count]

    def patch(name):
        original = getattr(Path, name)

        def operation(path, *rest, **options):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return original(path, *rest, **options)

        monkeypatch.setattr(Path, name, operation)

    for name in ("rename", "replace", "unlink", "write_text", "mkdir"):
        patch(name)
    array = features._write_array

    def write_half(file, rows):
        if not left[0]:
            file.write(b"\x93NUMPY half of it")
            raise Killed
        left[0] -= 1
        array(file, rows)

    monkeypatch.setattr(features, "_write_array", write_half)


def test_killed_before_any_file_operation(photos, encoder, folder, tmp_path, monkeypatch):
    """The second of two shards is there already, but shorter: it is replaced."""
    records, shown = photos(8), tmp_path / "undisturbed"
    extract(records, encoder, shown)
    for count in range(1, 40):
        place = tmp_path / str(count)
        extract(records[:6], encoder, place)
        (place / "features-00000.npy").unlink()
        with monkeypatch.context() as patched:
            kill_before(patched, count)
            try:
                extract(records, encoder, place)
                break
            except Killed:
                pass
        for path in place.glob("*.npy"):
            assert np.load(path).shape[1:] == (REGIONS, CHANNELS)
        store = FeatureStore(place)
        assert_encoded(store, [record for record in records if record.image_id in store], encoder)
        extract(records, encoder, place)
        assert contents(place) == contents(shown)
    assert count == 11  # the folder, and five operations per shard


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_random_moments():
    counts = kill_run(kills=5)
    assert counts["kills"] == 5 and counts["in_the_middle"] >= 1 and counts["changed_shards"] == 0
    assert counts["right"] == counts["ended"] >= 1
