"""A few photos may be missing; more are an error with a way out."""

import re

import pytest

from captioning.datasets import fetching
from captioning.datasets import prepare as datasets
from captioning.fetching.download import DownloadError
from captioning.settings import SettingError
from tests import originals
from tests.obtaining.offered import limited, prepared, project


def test_photos_that_are_not_in_the_zip_are_fetched_one_by_one(server):
    photos = originals.serve_coco(server)
    path = f"{originals.COCO}/zips/val2014.zip"
    server.files[path] = originals.packed(dict(list(originals.unpacked(server.files[path]).items())[:-5]))
    originals.publish(server)
    assert len(prepared(project("coco2014")).records) == len(photos)


def test_too_many_photos_missing_in_a_zip_are_an_error(server):
    originals.serve_flickr8k(server)
    path = f"{originals.FLICKR}/Flickr8k_Dataset.zip"
    contents = originals.unpacked(server.files[path])
    server.files[path] = originals.packed(dict(list(contents.items())[:-4]))  # the last is of no photo
    originals.publish(server)
    with pytest.raises(DownloadError, match=r"3 of 40 photos are missing(.|\n)*is not in the zip(.|\n)*= 0\.08\."):
        datasets.obtain(project("flickr8k"))
    dataset = prepared(project("flickr8k"), missing_share=0.08)
    assert len(dataset.records) == 37 and len(dataset.findings["photos that could not be fetched"]) == 3


def test_more_than_a_share_of_photos_that_are_gone_is_an_error_with_a_way_out(server):
    photos = originals.serve_coco(server)
    for name in list(photos)[::10]:
        del server.files[f"{originals.COCO}/{name}"]
    with pytest.raises(DownloadError, match=r"5 of 50 photos are missing, more than 1 %") as error:
        datasets.obtain(limited(50))
    assert "HTTP 404" in str(error.value) and "CAPTIONING_LIMIT" in str(error.value)
    (share,) = re.findall(r"MISSING_SHARE = ([\d.]+)\.", str(error.value))
    assert len(prepared(limited(50), missing_share=float(share)).records) == 45


def test_a_mirror_with_another_layout_is_told(server, monkeypatch):
    originals.serve_coco(server)
    prepared(limited())
    for record in datasets.obtain(limited()).records:
        record.file.unlink()
    (limited().data / "captions.json").unlink()
    monkeypatch.setenv("CAPTIONING_MIRROR", server.url("/elsewhere"))
    with pytest.raises(DownloadError, match=r"20 of 20 photos .*(.|\n)*404 .*the mirror has it at this") as error:
        datasets.obtain(limited())
    assert "MISSING_SHARE" not in str(error.value)


@pytest.mark.parametrize("missing", [1, 2])
def test_where_nothing_answers_one_photo_may_be_missing(missing, server, monkeypatch):
    originals.serve_coco(server)
    for record in prepared(limited()).records[:missing]:
        record.file.unlink()

    def unreachable(*_, **__):
        raise DownloadError("images.cocodataset.org does not answer.")

    monkeypatch.setattr(fetching, "fetch_many", unreachable)
    if missing == 1:
        assert "does not answer" in prepared(limited()).findings["photos that could not be fetched"][0]
    else:
        with pytest.raises(DownloadError, match=r"2 of 20 photos are missing(.|\n)*does not answer"):
            datasets.obtain(limited())


@pytest.mark.parametrize(
    "knobs", [{"missing_share": 5}, {"missing_share": "1 %"}, {"long_side": 0}, {"long_side": 1.5}]
)
def test_knobs_that_make_no_sense_are_refused(knobs):
    (name,) = knobs
    with pytest.raises(SettingError, match=f"^{name.upper()}="):
        datasets.obtain(limited(), **knobs)
