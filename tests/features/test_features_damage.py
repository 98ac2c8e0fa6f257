"""Damaged feature files: named, and what is lost is made again."""

import os

import numpy as np
import pytest
import tiny_encoder as tiny

from captioning.features import FeatureError, FeatureStore, extract

ROW = 2 * tiny.REGIONS * tiny.CHANNELS  # bytes


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
    records = tiny.checked(photos(40))
    rows = extract(records, encoder, folder).rows(records)
    before = tiny.contents(folder)
    damage(folder / name)
    with pytest.raises(FeatureError, match=rf"{name} .*Run notebooks/03_vgg16_transfer_values\.ipynb again"):
        FeatureStore(folder)
    capsys.readouterr()
    again = tiny.counting(encoder)
    made = extract(records, again, folder)
    assert name in capsys.readouterr().out.splitlines()[0]
    lost = {shorten: 2, turn_a_number: 2, garble: again.pictures}.get(damage, 4 if name != "index.tsv" else 40)
    assert again.pictures == lost and again.pictures in (1, 2, 4, 40)
    np.testing.assert_array_equal(made.rows(records), rows)
    np.testing.assert_array_equal(FeatureStore(folder).rows(records), rows)
    after = tiny.contents(folder)
    assert after.keys() == before.keys() and all(after[n] == before[n] for n in before if n != "index.tsv")
    assert sorted(after["index.tsv"].splitlines()) == sorted(before["index.tsv"].splitlines())


@pytest.mark.parametrize(("name", "damage"), [("rows-00002.f16", empty), ("rows-00002.f16", remove)])
def test_a_file_that_is_damaged_after_opening(name, damage, photos, encoder, folder):
    made = extract(records := photos(12), encoder, folder)
    damage(folder / name)
    tiny.assert_encoded(made, records[:8], encoder)
    with pytest.raises(FeatureError, match=rf"{name} is (damaged|missing).*notebooks/03_vgg16"):
        made.rows(records)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"regions": 16}', None])
def test_a_damaged_manifest_is_named_and_made_again(content, photos, encoder, folder, capsys):
    extract(records := photos(12), encoder, folder)
    before, manifest = tiny.contents(folder), folder / "manifest.json"
    remove(manifest) if content is None else manifest.write_bytes(content)
    with pytest.raises((FeatureError, FileNotFoundError), match=r"manifest\.json is (damaged|missing).*03_vgg16"):
        FeatureStore(folder)
    tiny.assert_encoded(extract(records, tiny.forbidden(encoder), folder), records, encoder)
    assert "manifest.json is damaged" in capsys.readouterr().out and tiny.contents(folder) == before


def test_a_damaged_manifest_of_another_encoder_is_refused(photos, encoder, folder):
    extract(records := photos(12), encoder, folder)
    empty(folder / "manifest.json")
    before = tiny.state(folder)
    with pytest.raises(FeatureError, match=r"manifest\.json is damaged, and .*index\.tsv is of another encoder"):
        extract(records, tiny.tiny_encoder(1), folder)
    assert tiny.state(folder) == before


def test_all_is_damaged(photos, encoder, folder):
    extract(records := photos(12), encoder, folder)
    empty(folder / "manifest.json")
    empty(folder / "index.tsv")
    tiny.assert_encoded(extract(records, encoder, folder), records, encoder)
