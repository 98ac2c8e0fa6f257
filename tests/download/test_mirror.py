"""CAPTIONING_MIRROR points every address of the table elsewhere."""

import pytest

from captioning.fetching.download import URLS, DownloadError, fetch, fetch_many, mirror
from tests.download.served import BODY


@pytest.mark.parametrize(
    "url, base, expected",
    [
        ("http://host/x/y.zip", "https://m.example/files/", "https://m.example/files/host/x/y.zip"),
        ("https://host:81/x?a=1", "http://m", "http://m/host:81/x?a=1"),
        ("http://m/host/x", "http://m", "http://m/host/x"),
        ("http://host/x", " http://m/\n", "http://m/host/x"),
        ("http://host/x", "", "http://host/x"),
    ],
)
def test_mirror(url, base, expected, monkeypatch):
    monkeypatch.setenv("CAPTIONING_MIRROR", base)
    assert mirror(url) == expected


def test_a_mirror_serves_every_address_of_the_table(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPTIONING_MIRROR", server.url("/files"))
    server.files["/files/github.com/jbrownlee/Datasets/releases/download/Flickr8k/Flickr8k_text.zip"] = BODY
    path = fetch(URLS["flickr8k-text"]["url"], tmp_path / "text.zip")
    assert path.read_bytes() == BODY
    report = fetch_many([(URLS["flickr8k-text"]["url"], tmp_path / "again.zip")])
    assert report.fetched == [tmp_path / "again.zip"] and not report.failed
    assert all(mirror(entry["url"]).startswith(server.url("/files/")) for entry in URLS.values())


@pytest.mark.parametrize(
    "call", [lambda path: fetch("http://h/a", path), lambda path: fetch_many([("http://h/a", path)])]
)
@pytest.mark.parametrize(
    "base", ["mirror.example", "ftp://m", "http:///x", "http://[m", "http://m:port", "http://m:99999"]
)
def test_a_wrong_mirror_is_named(monkeypatch, tmp_path, call, base):
    monkeypatch.setenv("CAPTIONING_MIRROR", base)
    with pytest.raises(DownloadError, match="CAPTIONING_MIRROR"):
        call(tmp_path / "a")
