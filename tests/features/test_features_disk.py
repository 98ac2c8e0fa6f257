"""Features on a disk that fills up or loses bytes, and in processes that are killed or run side by side."""

import errno
import os
import signal
import threading

import numpy as np
import pytest
from tiny_encoder import (
    CHANNELS,
    REGIONS,
    assert_encoded,
    contents,
    counting,
    forbidden,
    tiny_encoder,
)  # fmt: skip

from benchmarks.features_kills import in_a_process_of_its_own
from captioning import files
from captioning.features import FeatureStore, extract, making, shards
from captioning.quiet import tensorflow as tf

ROW = 2 * REGIONS * CHANNELS  # bytes

# A full disk


def free(monkeypatch, count):
    usage = type("Usage", (), {"free": count + files.SPARE})
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)


def test_a_disk_that_is_too_small_is_noticed_before(photos, encoder, folder, monkeypatch):
    records, need = photos(10), 10 * ROW
    free(monkeypatch, need - 1)
    with pytest.raises(OSError, match=r"free some, or set a smaller CAPTIONING_LIMIT, or .*mobilenet") as caught:
        extract(records, forbidden(encoder), folder)
    assert caught.value.errno == errno.ENOSPC and len(FeatureStore(folder)) == 0
    free(monkeypatch, need)
    extract(records, encoder, folder)


def test_only_what_is_missing_needs_space(photos, encoder, folder, monkeypatch):
    extract(photos(8), encoder, folder)
    free(monkeypatch, 2 * ROW)
    assert len(extract(photos(10), encoder, folder)) == 10


def fill_disk(monkeypatch, name, error, after=0):
    """Let half of what is written to this file get there, then nothing; `after` so many writes that go well."""
    write, left = shards._write, [after]

    def half(path, parts, cut=False):
        parts = list(parts)
        if path.name == name:
            left[0] -= 1
            if left[0] < 0:
                place, content = parts[-1]
                write(path, [*parts[:-1], (place, bytes(content)[: len(bytes(content)) // 2])])
                raise error
        write(path, parts, cut)

    monkeypatch.setattr(shards, "_write", half)


@pytest.mark.parametrize("name", ["rows-00006.f16", "index.tsv"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up(name, number, photos, encoder, folder, tmp_path, monkeypatch):
    records = photos(40)
    with monkeypatch.context() as patched:
        fill_disk(patched, name, OSError(number, os.strerror(number)), after=name == "index.tsv")
        with pytest.raises(OSError, match=r"disk is full. All that was .* kept; free .* CAPTIONING_LIMIT") as caught:
            extract(records, encoder, folder)
    assert caught.value.errno == number and folder.name in str(caught.value)
    kept = FeatureStore(folder)
    assert len(kept) >= 16
    assert_encoded(kept, [record for record in records if record in kept], encoder)
    assert_encoded(extract(records, encoder, folder), records, encoder)
    extract(records, encoder, tmp_path / "undisturbed")
    assert contents(folder) == contents(tmp_path / "undisturbed")


def test_another_trouble_of_the_disk_is_not_called_full(photos, encoder, folder, monkeypatch):
    fill_disk(monkeypatch, "rows-00001.f16", OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        extract(photos(8), encoder, folder)
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("limit", [4000, 5000, 8100])
def test_a_short_write_is_never_silent(limit, tmp_path):
    resource = pytest.importorskip("resource")
    row = np.ones((1000, 1, 4), np.float16)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError):
            shards._write(tmp_path / "rows", [(0, row), (row.nbytes, row)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Interrupts and kills


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_what_is_complete_is_written_at_an_interrupt(stop, photos, encoder, folder, monkeypatch, one_after_the_other):
    monkeypatch.setattr(making, "FLUSH", 512)
    run, left = encoder.run, [3]

    def interrupted(pixels):
        left[0] -= 1
        if left[0] < 0:
            raise stop
        return run(pixels)

    monkeypatch.setattr(encoder, "run", interrupted)
    with pytest.raises(stop):
        extract(photos(80), encoder, folder)
    assert_encoded(FeatureStore(folder), photos(48), tiny_encoder())


class Killed(BaseException):
    """What no `except` of the package may catch."""


def kill_at(monkeypatch, count):
    """Stop in the middle of the write with this number, as a kill does: nothing after it happens."""
    write, left = shards._write, [count]

    def half(path, parts, cut=False):
        parts = list(parts)
        left[0] -= 1
        if left[0] == 0:
            place, content = parts[-1]
            write(path, [*parts[:-1], (place, bytes(content)[: len(bytes(content)) // 2])])
        if left[0] <= 0:
            raise Killed
        write(path, parts, cut)

    monkeypatch.setattr(shards, "_write", half)


def test_killed_in_the_middle_of_any_write(photos, encoder, folder, tmp_path, monkeypatch):
    records = photos(40)
    records[17].file.write_bytes(b"broken")
    extract(records, encoder, folder)
    for count in range(1, 40):
        place = tmp_path / str(count)
        extract(records[:3], encoder, place)
        with monkeypatch.context() as patched:
            kill_at(patched, count)
            try:
                extract(records, encoder, place)
                break
            except Killed:
                pass
        kept = FeatureStore(place)
        assert_encoded(kept, [record for record in records if record in kept], encoder)
        assert extract(records, encoder, place).readable(records) == [*records[:17], *records[18:]]
        assert contents(place) == contents(folder)
    assert count > 10


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_random_moments_and_two_at_once():
    counts = in_a_process_of_its_own(kills=4)
    assert counts["pair"] == {"pictures": 120, "encoded": 120, "right": True, "waited": True}
    kills = counts["kills"]
    assert kills["kills"] >= 4 and kills["in_the_middle"] >= 1
    assert kills["twice"] == 0 and kills["right"] == kills["ended"] >= 1


# Two at once


def test_one_waits_for_the_other(photos, encoder, folder, monkeypatch, capsys, one_after_the_other):
    records, run, first = photos(40), encoder.run, counting(encoder)
    second = counting(encoder)
    other = threading.Thread(target=extract, args=(records, second, folder))

    def started(pixels):
        if not other.ident:
            other.start()
            other.join(0.3)
            assert other.is_alive()
        return run(pixels)

    monkeypatch.setattr(first, "run", started)
    extract(records, first, folder)
    other.join()
    assert second.pictures == 0 and len(FeatureStore(folder)) == 40
    assert "is being made by another process: waiting" in capsys.readouterr().out


def test_a_folder_may_be_read_while_it_is_made(photos, encoder, folder, monkeypatch):
    records, write, seen = photos(40), shards._write, []

    def looked_at(path, parts, cut=False):
        write(path, parts, cut)
        kept = FeatureStore(folder)
        seen.append(len(kept))
        assert_encoded(kept, [record for record in records if record in kept], encoder)

    monkeypatch.setattr(shards, "_write", looked_at)
    extract(records, encoder, folder)
    assert set(seen) == {0, 16, 32, 40}


def test_damage_is_not_made_worse_by_a_kill(photos, encoder, folder, monkeypatch):
    records = photos(40)
    rows = extract(records, encoder, folder).rows(records)
    before = contents(folder)
    (folder / "rows-00002.f16").unlink()
    with monkeypatch.context() as patched:
        kill_at(patched, 1)
        with pytest.raises(Killed):
            extract(records, encoder, folder)
    assert len(FeatureStore(folder)) == 36
    np.testing.assert_array_equal(extract(records, encoder, folder).rows(records), rows)
    assert contents(folder)["rows-00002.f16"] == before["rows-00002.f16"]


# Size


def test_any_number_of_pictures_opens_without_their_files(photos, encoder, folder, monkeypatch):
    """One open file per shard would be 977 for 500,000 pictures; macOS allows 256."""
    extract(records := photos(100), encoder, folder)
    path, opened, most = type(folder), [], [0]
    original = path.open

    def count(self, *rest, **options):
        file = original(self, *rest, **options)
        opened.append(file)
        most[0] = max(most[0], sum(not file.closed for file in opened))
        return file

    monkeypatch.setattr(path, "open", count)
    made = FeatureStore(folder)
    assert {file.name for file in opened} <= {str(folder / "manifest.json"), str(folder / "index.tsv")}
    opened.clear()
    assert_encoded(made, records[::-1], encoder)
    assert len([file for file in opened if "rows-" in file.name]) == 25 and most[0] == 1


def test_rows_begin_where_tensorflow_takes_them_without_a_copy(photos, encoder, folder):
    records = photos(7)
    made = extract(records, encoder, folder)
    for count in (1, 2, 7):
        assert made.rows(records[:count]).ctypes.data % shards.ALIGNED == 0


def test_memory_is_used_again_only_when_nobody_holds_it(monkeypatch):
    monkeypatch.setattr(shards, "_KEPT", [])
    first, other = shards._aligned((3, 2, 5)), shards._aligned((3, 2, 5))
    assert not np.shares_memory(first, other)
    held = [first]
    place, tensor, part = first.ctypes.data, tf.numpy_function(lambda: held[0], [], tf.float16), first[1:, 0]
    first[:] = 7
    held.clear()
    del first
    second = shards._aligned((3, 2, 5))
    second[:] = 1
    assert second.ctypes.data != place and (part == 7).all()
    del part, tensor
    tf.numpy_function(lambda: np.float32(0), [], tf.float32)  # TensorFlow lets go of arrays when it next has the chance
    third = shards._aligned((3, 2, 5))
    assert third.ctypes.data == place and not np.shares_memory(third, second)
    assert shards._aligned((4, 2, 5)).shape == (4, 2, 5) and len(shards._KEPT) == 4


def test_a_tensor_of_rows_stays_what_it_is(photos, encoder, folder):
    """TensorFlow may lie in the memory of the array that it was given."""
    records = photos(20)
    made = extract(records, encoder, folder)
    parts = [records[start : start + 4] for start in range(0, 20, 4)]
    batches = tf.data.Dataset.from_generator(
        lambda: map(made.rows, parts), output_signature=tf.TensorSpec((None, REGIONS, CHANNELS), tf.float16)
    )
    tensors = [*batches.prefetch(2)]
    for tensor, part in zip(tensors, parts, strict=True):
        np.testing.assert_array_equal(tensor, made.rows(part))


def test_little_memory_is_kept(monkeypatch):
    monkeypatch.setattr(shards, "_KEPT", [])
    monkeypatch.setattr(shards, "KEPT", 1000)
    held = [shards._aligned((10, 1, 10)) for _ in range(9)] + [shards._aligned((1000, 1, 1))]
    assert sum(map(len, shards._KEPT)) <= 1000 and len({array.ctypes.data for array in held}) == 10
