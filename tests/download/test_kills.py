"""The benchmark in small: downloads that are killed, photos from a bad server."""

import sys

import pytest

from benchmarks.download_kills import kill_run, photo_run


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_downloads_survive_kills():
    counts = kill_run(downloads=8, size=4_000_000, seconds=1.2)
    assert counts["right"] == 8 and counts["never_killed"] == 0 and counts["kills"] >= 8
    assert counts["asked_again"] == 0 and counts["rest"] == []
    # What the system held for a client when it was killed comes again; on a busy machine that is more than a buffer.
    assert counts["surplus_per_kill"] < 2_000_000


def test_photos_from_a_bad_server():
    counts = photo_run(photos=60, share=0.35)
    assert counts["kinds"] == 20  # all of them
    assert counts["wrong"] == [] and counts["failed"] == 7 and counts["fetched"] == counts["right"] == 53
    assert counts["fetched_again"] == 0 and counts["left_over"] == []
