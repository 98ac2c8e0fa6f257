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
    checked,
    contents,
    counting,
    forbidden,
    state,
    tiny_encoder,
)  # fmt: skip

from benchmarks.features_kills import in_a_process_of_its_own
from captioning import files
from captioning.features import FeatureError, FeatureStore, extract, making, shards

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


# Damage


def empty(path):
    path.write_bytes(b"")


def shorten(path):
    os.truncate(path, path.stat().st_size - ROW - 5)


def remove(path):
    path.unlink()


def garble(path):
    """Overwrite some bytes in the middle of a text file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 9] = b"\xff\x00\xfe\x80\x81{}\t\x90"
    path.write_bytes(content)


def turn_a_number(path):
    """Let two lines name one row."""
    path.write_text(path.read_text().replace("\n13\t", "\n14\t"))


DAMAGES = [
    *((f"rows-0000{n}.f16", damage) for n in (0, 2, 9) for damage in (empty, shorten, remove)),
    *(("index.tsv", damage) for damage in (empty, garble, remove, turn_a_number)),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_file_is_named_and_what_is_lost_is_made_again(name, damage, photos, encoder, folder, capsys):
    records = checked(photos(40))
    rows = extract(records, encoder, folder).rows(records)
    before = contents(folder)
    damage(folder / name)
    with pytest.raises(FeatureError, match=rf"{name} .*Run notebooks/03_vgg16_transfer_values\.ipynb again"):
        FeatureStore(folder)
    capsys.readouterr()
    again = counting(encoder)
    made = extract(records, again, folder)
    assert name in capsys.readouterr().out.splitlines()[0]
    lost = {shorten: 2, turn_a_number: 2, garble: again.pictures}.get(damage, 4 if name != "index.tsv" else 40)
    assert again.pictures == lost and again.pictures in (1, 2, 4, 40)
    np.testing.assert_array_equal(made.rows(records), rows)
    np.testing.assert_array_equal(FeatureStore(folder).rows(records), rows)
    after = contents(folder)
    assert after.keys() == before.keys() and all(after[n] == before[n] for n in before if n != "index.tsv")
    assert sorted(after["index.tsv"].splitlines()) == sorted(before["index.tsv"].splitlines())


@pytest.mark.parametrize(("name", "damage"), [("rows-00002.f16", empty), ("rows-00002.f16", remove)])
def test_a_file_that_is_damaged_after_opening(name, damage, photos, encoder, folder):
    made = extract(records := photos(12), encoder, folder)
    damage(folder / name)
    assert_encoded(made, records[:8], encoder)
    with pytest.raises(FeatureError, match=rf"{name} is (damaged|missing).*notebooks/03_vgg16"):
        made.rows(records)


def test_damage_is_not_made_worse_by_a_kill(photos, encoder, folder, monkeypatch):
    records = photos(40)
    rows = extract(records, encoder, folder).rows(records)
    before = contents(folder)
    remove(folder / "rows-00002.f16")
    with monkeypatch.context() as patched:
        kill_at(patched, 1)
        with pytest.raises(Killed):
            extract(records, encoder, folder)
    assert len(FeatureStore(folder)) == 36
    np.testing.assert_array_equal(extract(records, encoder, folder).rows(records), rows)
    assert contents(folder)["rows-00002.f16"] == before["rows-00002.f16"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"regions": 16}', None])
def test_a_damaged_manifest_is_named_and_made_again(content, photos, encoder, folder, capsys):
    extract(records := photos(12), encoder, folder)
    before, manifest = contents(folder), folder / "manifest.json"
    remove(manifest) if content is None else manifest.write_bytes(content)
    with pytest.raises((FeatureError, FileNotFoundError), match=r"manifest\.json is (damaged|missing).*03_vgg16"):
        FeatureStore(folder)
    assert_encoded(extract(records, forbidden(encoder), folder), records, encoder)
    assert "manifest.json is damaged" in capsys.readouterr().out and contents(folder) == before


def test_a_damaged_manifest_of_another_encoder_is_refused(photos, encoder, folder):
    extract(records := photos(12), encoder, folder)
    empty(folder / "manifest.json")
    before = state(folder)
    with pytest.raises(FeatureError, match=r"manifest\.json is damaged, and .*index\.tsv is of another encoder"):
        extract(records, tiny_encoder(1), folder)
    assert state(folder) == before


def test_all_is_damaged(photos, encoder, folder):
    extract(records := photos(12), encoder, folder)
    empty(folder / "manifest.json")
    empty(folder / "index.tsv")
    assert_encoded(extract(records, encoder, folder), records, encoder)


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
