"""A download resumes at the very byte, and only with the very same file."""

import pytest

from captioning.fetching import asking, download
from captioning.fetching.download import DownloadError
from tests.download.served import BODY, LONGER, MD5, OTHER, files_in, starts
from tests.server import Fault


def test_a_second_call_does_nothing(get, server, tmp_path):
    path = get(name="new/folder/a")
    assert path.read_bytes() == BODY and files_in(tmp_path) == ["a"]
    before = path.stat().st_mtime_ns
    assert get(name="new/folder/a") == path
    assert path.stat().st_mtime_ns == before and len(server.seen) == 1


@pytest.mark.parametrize("reset", [0, 1])
def test_continues_after_several_breaks_at_the_very_byte(get, server, tmp_path, reset):
    # An even number of bytes ends in an orderly close, an odd one in a reset.
    server.faults["/a"] = [Fault(drop=80_000 + reset), Fault(drop=70_000 + reset), Fault(drop=66_000 + reset)]
    assert get().read_bytes() == BODY
    assert files_in(tmp_path) == ["a"] and len(server.seen) == 4
    if not reset:  # a reset may overtake bytes in the system of a busy machine
        assert starts(server) == [0, 80_000, 150_000, 216_000]
        assert sum(seen.sent for seen in server.seen) == len(BODY)


@pytest.mark.parametrize("outage", [Fault(close=True), Fault(status=503)])
def test_an_outage_in_the_middle_is_waited_for_longer_than_one_at_the_beginning(get, server, outage):
    server.faults["/a"] = [Fault(drop=100_000), *[outage] * 14]
    assert get().read_bytes() == BODY and starts(server)[-1] == 100_000
    server.always["/b"] = outage
    with pytest.raises(DownloadError):
        get("/b", name="b")
    assert len(server.of("/b")) == 6


def test_short_parts_are_put_together(get, server):
    server.faults["/a"] = [Fault(drop=100_000), Fault(limit=80_000), Fault(limit=80_000)]
    assert get().read_bytes() == BODY and starts(server) == [0, 100_000, 180_000, 260_000]


def test_every_byte_is_on_disk_before_the_next_is_read(get, server, tmp_path, monkeypatch):
    real, sizes = asking.pieces, []

    def watched(response, timeout):
        received = 0
        for piece in real(response, timeout):
            yield piece
            received += len(piece)
            sizes.append(((tmp_path / "a.part").stat().st_size, received))

    monkeypatch.setattr(asking, "pieces", watched)
    server.files["/a"] = BODY[:3000]
    server.faults["/a"] = [Fault(piece=300, pause=0.01)]
    get()
    assert sizes and all(on_disk == received for on_disk, received in sizes)


def test_a_second_run_continues(get, server, tmp_path):
    server.faults["/a"] = [Fault(drop=100_000)]
    with pytest.raises(DownloadError, match="run again"):
        get(retries=0)
    assert files_in(tmp_path) == ["a.part", "a.part.json"]
    assert get().read_bytes() == BODY and starts(server) == [0, 100_000]


def test_starts_over_when_the_server_ignores_range(get, server):
    server.faults["/a"] = [Fault(drop=100_000), Fault(ignore_range=True)]
    assert get().read_bytes() == BODY
    assert "Range" in server.seen[1].headers and starts(server) == [0, 0]


@pytest.mark.parametrize("status", [400, 403, 405])
def test_a_firewall_that_lets_no_parts_pass(get, server, status):
    server.faults["/a"] = [Fault(drop=100_000), Fault(status=status)]
    assert get().read_bytes() == BODY and "Range" in server.seen[1].headers and starts(server) == [0, 0, 0]


def test_what_is_gone_for_a_while_loses_no_bytes(get, server):
    server.faults["/a"] = [Fault(drop=100_000), Fault(status=403), Fault(status=403)]
    with pytest.raises(DownloadError, match="HTTP 403"):
        get()
    assert get().read_bytes() == BODY and starts(server)[-1] == 100_000


def test_a_length_that_is_no_number(get, server):
    server.always["/a"] = Fault(headers={"Content-Length": "\xb2"})
    assert get().read_bytes() == BODY


def test_gives_up_on_a_server_that_ignores_range_and_always_drops(get, server):
    server.always["/a"] = Fault(drop=200_000, ignore_range=True)
    with pytest.raises(DownloadError):
        get(retries=3)
    assert len(server.seen) == 4


@pytest.mark.parametrize("new", [OTHER, LONGER, BODY[:200_000], BODY[:50_000]])
@pytest.mark.parametrize("validators", [("ETag",), ("Last-Modified",), ("ETag", "Last-Modified"), ("ETag", "weak")])
def test_never_mixes_two_versions(get, server, validators, new):
    server.validators = validators
    server.faults["/a"] = [Fault(drop=100_000), Fault(change=new)]
    assert get().read_bytes() == new


def test_if_range_takes_no_weak_etag(get, server):
    server.validators = ("ETag", "weak", "Last-Modified")
    server.faults["/a"] = [Fault(drop=100_000)]
    get()
    assert server.seen[1].headers["If-Range"].endswith("GMT") and starts(server) == [0, 100_000]


@pytest.mark.parametrize("drop", [None, 200_000])
def test_the_length_alone_tells_a_changed_file_before_its_bytes_are_kept(get, server, drop):
    """Else a break at the old length would leave a file that looks whole."""
    server.validators = ()
    server.faults["/a"] = [Fault(drop=100_000), Fault(change=LONGER, drop=drop)]
    assert get().read_bytes() == LONGER


def test_what_nothing_identifies_is_started_over(get, server, tmp_path):
    server.validators = ()
    server.faults["/a"] = [Fault(drop=100_000, chunked=True), Fault(chunked=True)]
    assert get().read_bytes() == BODY
    assert all("Range" not in seen.headers for seen in server.seen) and len(server.seen) == 2
    server.faults["/a"] = [Fault(drop=100_000, chunked=True)]
    with pytest.raises(DownloadError):
        get(name="b", retries=0)
    assert files_in(tmp_path) == ["a"]


@pytest.mark.parametrize(("validators", "chunked"), [((), False), (("ETag",), True)])
def test_the_length_alone_or_an_etag_without_it_allows_to_continue(get, server, validators, chunked):
    server.validators = validators
    server.faults["/a"] = [Fault(drop=100_000, chunked=chunked), Fault(chunked=chunked)]
    assert get().read_bytes() == BODY and starts(server) == [0, 100_000]


@pytest.mark.parametrize("shift", [-10, 10])
def test_refuses_a_part_that_begins_elsewhere(get, server, shift):
    server.faults["/a"] = [Fault(drop=100_000), Fault(shift=shift)]
    assert get().read_bytes() == BODY and len(server.seen) == 3


@pytest.mark.parametrize(
    "note",
    ["", "[]", "{}", '{"url": "http://elsewhere/a", "etag": null, "modified": null, "total": 300000}', None],
)
def test_bytes_of_unknown_origin_are_not_continued(get, server, tmp_path, note):
    (tmp_path / "a.part").write_bytes(b"x" * 100_000)
    if note is not None:
        (tmp_path / "a.part.json").write_text(note)
    assert get().read_bytes() == BODY and starts(server) == [0]


def test_an_old_note_does_not_vouch_for_new_bytes(get, server):
    nameless = Fault(
        change=OTHER, ignore_range=True, chunked=True, headers={"ETag": None, "Last-Modified": None}, drop=150_000
    )
    server.faults["/a"] = [Fault(drop=100_000), nameless, Fault(change=BODY)]
    assert get().read_bytes() == BODY


def test_a_try_that_brings_nothing_leaves_nothing(get, server, tmp_path):
    server.always["/a"] = Fault(drop=0)
    with pytest.raises(DownloadError):
        get(retries=1)
    assert files_in(tmp_path) == []


def test_a_partial_file_that_is_too_long_is_started_over(get, server, tmp_path):
    server.faults["/a"] = [Fault(drop=100_000)]
    with pytest.raises(DownloadError):
        get(retries=0)
    with open(tmp_path / "a.part", "ab") as part:
        part.write(LONGER)
    assert get().read_bytes() == BODY and starts(server) == [0, 0]


def test_a_whole_partial_file_is_only_renamed(get, server, tmp_path, monkeypatch):
    monkeypatch.setattr(download.os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        get()
    monkeypatch.undo()
    assert files_in(tmp_path) == ["a.part", "a.part.json"]
    assert get().read_bytes() == BODY and len(server.seen) == 1 and files_in(tmp_path) == ["a"]


def test_a_length_that_is_too_large_is_no_whole_file(get, server, tmp_path):
    server.always["/a"] = Fault(declare=1000)
    with pytest.raises(DownloadError):
        get(retries=2)
    assert not (tmp_path / "a").exists()
    server.always.clear()
    assert get().read_bytes() == BODY


@pytest.mark.parametrize("known", [{"md5": MD5}, {"size": len(BODY)}])
def test_a_length_that_is_too_small_is_seen_by_what_is_known(get, server, tmp_path, known):
    server.always["/a"] = Fault(declare=-1000)
    with pytest.raises(DownloadError, match="published"):
        get(retries=2, **known)
    assert files_in(tmp_path) == []
    server.always.clear()
    assert get(**known).read_bytes() == BODY
