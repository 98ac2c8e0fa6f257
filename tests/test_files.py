"""Files that are whole or not there, and one writer at a time."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from captioning import files
from captioning.files import BusyError, DamagedError, only_one, read_json, write_atomically, write_json


def test_what_is_written_takes_the_place_of_the_file(tmp_path):
    file = tmp_path / "new" / "x.weights.h5"
    for content in ("one", "two"):
        with write_atomically(file) as draft:
            assert draft.parent == file.parent and draft.name.endswith(".weights.h5")
            draft.write_text(content)
        assert file.read_text() == content and os.listdir(file.parent) == [file.name]


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "x.json"
    write_json(file, {"a": "é"})
    with pytest.raises(RuntimeError), write_atomically(file) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert read_json(file, "") == {"a": "é"} and os.listdir(tmp_path) == [file.name]
    with pytest.raises(TypeError):
        write_json(file, object())
    assert read_json(file, "") == {"a": "é"}


def test_a_kill_at_the_last_moment_leaves_the_old_file_whole(tmp_path, monkeypatch):
    file, inode = tmp_path / "x.json", lambda: (tmp_path / "x.json").stat().st_ino
    write_json(file, [1])
    before = inode()
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_json(file, [2])
    assert read_json(file, "") == [1] and inode() == before and os.listdir(tmp_path) == [file.name]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"x\.json is damaged .*Run 01 again\."):
        read_json(tmp_path / "x.json", "Run 01 again.")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "y.json", "")


HOLD = """
import sys
from pathlib import Path
from captioning.files import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A file that another process is making, until it is killed or its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "x")]
    environment = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield tmp_path / "x", process
        process.kill()


@pytest.mark.skipif(files.fcntl is None, reason="this system has no file locks")
class TestLocks:
    def test_a_second_process_is_told(self, held):
        with pytest.raises(BusyError, match=r"x is being made by another process"), only_one(held[0]):
            pass

    def test_or_waits_and_says_so(self, held, capsys, monkeypatch):
        monkeypatch.setattr(
            files.time, "sleep", lambda seconds, sleep=time.sleep: (held[1].stdin.close(), sleep(seconds))
        )
        with only_one(held[0], wait=True):
            assert capsys.readouterr().out == "x is being made by another process: waiting for it.\n"
        assert not list(held[0].parent.iterdir())

    def test_a_killed_holder_holds_nothing(self, held):
        held[1].kill()
        held[1].wait(20)
        with only_one(held[0]):
            pass

    def test_a_file_system_without_locks_goes_without(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.ENOTSUP, "Operation not supported")

        monkeypatch.setattr(files.fcntl, "flock", refuse)
        open_files = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
        for _ in range(5):
            with only_one(tmp_path / "x"):
                pass
        if open_files:
            assert len(os.listdir("/proc/self/fd")) <= len(open_files)
