"""Photos that are there are found by the names that people write; for others the reason is told."""

import os
import time
import unicodedata

import pytest

from captioning.datasets import photos
from captioning.datasets.photos import AMBIGUOUS, BROKEN, FOLDER, NOT_THERE, OUTSIDE, UNREAD, Photos, look_for
from tests.originals import photo

NFC, NFD = (unicodedata.normalize(form, "Grüße/Äpfel.jpg") for form in ("NFC", "NFD"))


def find(root, *names):
    found = Photos(root).find(names)
    return found[names[0]] if len(names) == 1 else found


@pytest.mark.parametrize(
    "there, name",
    [
        ("a/b.jpg", "a/b.jpg"),
        ("a/b.jpg", "b.jpg"),
        ("a/b.jpg", "./a//b.jpg"),
        ("a/b.jpg", "a/../a/b.jpg"),
        ("a/b.jpg", "b"),
        ("a/b.jpg", "photos/a/b.jpg"),
        ("a/b.jpg", "C:/photos/b.jpg"),
        ("a/b.jpg", "/home/me/b.jpg"),
        ("a/b.JPG", "a/b.jpg"),
        ("A/B.jpg", "a/b.JPG"),
        ("a/a/b.jpg", "a/b.jpg"),
        ("a/b.jfif", "b.jfif"),
        ("a/b.jpe", "b"),
        ("a/B.JPEG", "b.jpg"),
        ("b.jpg", "photos/b.jfif"),
        (NFC, NFD),
        (NFD, NFC),
        (NFD, "Äpfel"),
        ("straße.jpg", "STRASSE.JPG"),
        ("a/x.1.jpg", "x.1"),
        ("a/b.jpg", "a/\ufeffb.jpg\u200b"),
    ],
)
def test_names_as_people_write_them(there, name, tmp_path):
    photo(tmp_path / there)
    assert find(tmp_path, name) == (there, "", "")


@pytest.mark.parametrize(
    "there, name, path",
    [
        (("x.jpg", "a/x.jpg"), "x.jpg", "x.jpg"),
        (("x.jpg", "a/x.jpg"), "a/x.jpg", "a/x.jpg"),
        (("x.jpg", "X.jpg"), "X.jpg", "X.jpg"),
        (("x.jpg", "x.JPG"), "x.JPG", "x.JPG"),
        (("a/x.jpg", "b/x.jpg"), "photos/b/x.jpg", "b/x.jpg"),
        (("a/x.jpg", "b/x.jpg"), "photos/b/x", "b/x.jpg"),
        ((NFC, NFD), NFD, NFD),
        (("x.jpg", "x.dng"), "x", "x.jpg"),
        (("train/1.jpg", "val/1.jpg"), "val/1.jpg", "val/1.jpg"),
    ],
)
def test_the_photo_that_is_meant(there, name, path, tmp_path):
    for file in there:
        photo(tmp_path / "x.png").rename(_made(tmp_path / file))
    assert find(tmp_path, name).path == path


def _made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize(
    "there, name, why, more",
    [
        ((), "x.jpg", NOT_THERE, ""),
        (("x.png",), "x.jpg", NOT_THERE, "there is x.png"),
        (("x.dng",), "x.dng", UNREAD, "convert it to JPEG"),
        (("x.DNG",), "x.jpg", UNREAD, "x.DNG: convert it"),
        (("a/x.jpg", "b/x.jpg"), "x.jpg", AMBIGUOUS, "a/x.jpg or b/x.jpg; write the path"),
        (("x.jpg", "x.png"), "x", AMBIGUOUS, "x.jpg or x.png"),
        (("Dog.jpg", "DOG.jpg"), "dog.jpg", AMBIGUOUS, "DOG.jpg or Dog.jpg"),
        (("x.jpg",), "../x.jpg", OUTSIDE, "only what is below"),
        (("x.jpg",), "a/../../x.jpg", OUTSIDE, "only what is below"),
        ((), "/etc/x.jpg", OUTSIDE, "only what is below"),
        ((), "D:/x.jpg", OUTSIDE, "only what is below"),
        ((".x.jpg", "__MACOSX/x.jpg", "._y.jpg", ".trash/x.jpg"), "x.jpg", NOT_THERE, ""),
        (("@eaDir/x.jpg/XL.jpg", "#recycle/x.jpg", "$RECYCLE.BIN/x.jpg"), "x.jpg", NOT_THERE, ""),
    ],
)
def test_each_reason_by_itself(there, name, why, more, tmp_path):
    for file in there:
        _made(tmp_path / file).write_bytes(file.encode())
    path, reason, told = find(tmp_path, name)
    assert (path, reason) == ("", why) and more in told and bool(more) == bool(told)


def test_a_folder_and_a_link_to_nothing(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "y.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "z.jpg").symlink_to(tmp_path / "z.jpg")
    assert [find(tmp_path, name).why for name in ("x.jpg", "y.jpg", "z.jpg")] == [FOLDER, BROKEN, BROKEN]
    photo(tmp_path / "x.jpg" / "x.jpg")  # a zip in a folder of its own name
    assert find(tmp_path, "x.jpg").path == "x.jpg/x.jpg"


def test_links_are_followed_and_loops_end(tmp_path):
    photo(tmp_path / "elsewhere" / "x.jpg")
    photo(tmp_path / "root" / "photos" / "y.jpg")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "zagain").symlink_to(tmp_path / "root" / "photos")
    (tmp_path / "root" / "photos" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "itself").symlink_to(tmp_path / "root" / "itself")
    (tmp_path / "root" / "z.jpg").symlink_to(tmp_path / "elsewhere" / "x.jpg")
    assert sorted(Photos(tmp_path / "root").paths) == ["linked/x.jpg", "photos/y.jpg", "z.jpg"]


@pytest.mark.parametrize(
    "there, names, found",
    [
        ("1.jpg", ("train/1.jpg", "val/1.jpg"), ("", "")),
        ("train/1.jpg", ("train/1.jpg", "val/1.jpg"), ("train/1.jpg", "")),
        ("train/1.jpg", ("train/1.jpg", "1.jpg", "1", "data/train/1.jpg", "TRAIN/1.JPG"), 5 * ("train/1.jpg",)),
        ("1.jpg", ("1.jpg", "1.jpeg"), ("1.jpg", "")),
        ("train/1.JPG", ("train/1", "1.jpg", "/data/train/1.jpg", "val/1"), (*(3 * ("train/1.JPG",)), "")),
    ],
)
def test_two_paths_do_not_stand_for_one_photo(there, names, found, tmp_path):
    photo(tmp_path / there)
    assert tuple(find(tmp_path, *names)[name].path for name in names) == found


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_a_name_that_is_no_text_is_told(tmp_path):
    try:
        photo(tmp_path / "x.jpg").rename(
            os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg").decode(errors="surrogateescape")
        )
    except OSError:
        pytest.skip("this disk keeps no such names")
    there = Photos(tmp_path)
    assert there.paths == [] and "rename it" in there.unreadable[0]


@pytest.mark.parametrize("copies", [("photos/x.jpg", "photos (1)/x.jpg"), ("x.jpg", "X.jpg")])
def test_copies_of_one_photo_are_no_two_photos(copies, tmp_path):
    for copy in copies:
        photo(tmp_path / copy)
    (name,) = {copy.rpartition("/")[2].upper() for copy in copies}
    assert find(tmp_path, name) == (min(copies, key=lambda path: (len(path), path)), "", "")
    (tmp_path / copies[1]).write_bytes(b"another")
    assert find(tmp_path, name).why == AMBIGUOUS


def test_files_are_looked_for_in_folders_of_their_own(tmp_path):
    _made(tmp_path / "zip" / "zip" / "Captions.TXT").write_text("")
    assert look_for(tmp_path, "captions.csv", "captions.txt") == [tmp_path / "zip" / "zip" / "Captions.TXT"]
    assert look_for(tmp_path, "zip", folders=True) == [tmp_path / "zip"]
    (tmp_path / "zip" / "zip").rename(_made(tmp_path / "zip" / "deeper" / "zip"))
    assert not look_for(tmp_path, "captions.txt")


def test_what_is_there_instead_is_told(tmp_path):
    photo(tmp_path / "Images" / "x.jpg")
    assert photos.nearest(tmp_path / "no" / "folder") == f"{tmp_path} holds Images"
    photo(tmp_path / "0.jpg")
    (tmp_path / "captions.csv.txt").write_text("")
    assert photos.nearest(tmp_path) == f"{tmp_path} holds Images, captions.csv.txt, 0.jpg"


def test_thousands_of_one_name_take_no_time(tmp_path):
    many = range(3000)
    there = Photos(tmp_path)
    there._all = {f"d{number}/image.jpg": "" for number in many}
    start = time.process_time()
    found = there.find(f"C:/photos/D{number}/image" for number in many)
    assert [path for path, *_ in found.values()] == [*there._all]
    there = Photos(tmp_path)
    there._all = {"image.jpg": ""}
    assert not any(path for path, *_ in there.find(f"d{number}/image.jpg" for number in many).values())
    assert time.process_time() - start < 2


def test_a_folder_of_many_photos_is_walked_without_asking_for_each(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    asked = []
    monkeypatch.setattr(os, "stat", lambda path, **_: asked.append(path))
    monkeypatch.setattr(os.path, "isfile", lambda path: asked.append(path))
    assert len(Photos(tmp_path).paths) == 50 and not asked
