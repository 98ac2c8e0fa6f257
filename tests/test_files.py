"""Files that are whole or not there, and one writer at a time."""

import errno
import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from captioning import files
from captioning.files import (
    BusyError,
    DamagedError,
    NoSpaceError,
    only_one,
    read_json,
    require_space,
    write_atomically,
    write_json,
)


def test_what_is_written_takes_the_place_of_the_file(tmp_path):
    file = tmp_path / "new" / "x.weights.h5"
    for content in ("one", "two"):
        with write_atomically(file) as draft:
            assert draft.parent == file.parent and draft.name.endswith(".weights.h5")
            draft.write_text(content)
        assert file.read_text() == content and os.listdir(file.parent) == [file.name]


def test_an_error_or_a_kill_at_the_last_moment_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    write_json(file, {"a": "é"})
    before = file.stat().st_ino
    with pytest.raises(RuntimeError), write_atomically(file) as draft:
        draft.write_text("half")
        raise RuntimeError
    with pytest.raises(TypeError):
        write_json(file, object())
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_json(file, [2])
    assert read_json(file, "") == {"a": "é"} and os.listdir(tmp_path) == [file.name]
    assert file.stat().st_ino == before


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


class TestLocks:
    def test_a_second_process_is_told(self, held):
        with pytest.raises(BusyError, match=r"x is being made by another process"), only_one(held[0]):
            pass

    def test_or_waits_and_says_so(self, held, capsys):
        threading.Timer(0.3, held[1].stdin.close).start()
        with only_one(held[0], wait=True):
            assert capsys.readouterr().out == "x is being made by another process: waiting for it.\n"
        assert not list(held[0].parent.iterdir())

    def test_a_killed_holder_holds_nothing(self, held):
        held[1].kill()
        held[1].wait(20)
        with only_one(held[0]):
            pass

    @pytest.mark.parametrize("wait", [False, True])
    def test_threads_take_turns(self, tmp_path, wait):
        inside, most, busy = [], [], []

        def work():
            try:
                with only_one(tmp_path / "x", wait=wait):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.05)
                    inside.pop()
            except BusyError:
                busy.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert max(most) == 1 and len(most) + len(busy) == 4 and (len(most) == 4 or not wait)
        assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has locks on every file system")
    @pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL])
    def test_a_file_system_without_locks_goes_without(self, tmp_path, monkeypatch, number):
        def refuse(*_):
            raise OSError(number, "no locks here")

        monkeypatch.setattr("fcntl.flock", refuse)
        descriptors = Path("/proc/self/fd")
        before = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
        for _ in range(5):
            with only_one(tmp_path / "x"), only_one(tmp_path / "x", wait=True):
                pass
        assert not list(tmp_path.iterdir())
        if before:
            gc.collect()
            assert len(list(descriptors.iterdir())) <= before

    @pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a folder that cannot be written")
    def test_another_error_is_raised(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError), only_one(tmp_path / "x"):
            pass


@pytest.mark.parametrize("needed, enough", [(1000, True), (1001, False), (0, True)])
def test_space_is_asked_for_before_writing(tmp_path, monkeypatch, needed, enough):
    asked = []

    def usage(folder):
        asked.append(folder)
        return type("Usage", (), {"free": files.SPARE + 1000 if needed else 0})

    monkeypatch.setattr(files.shutil, "disk_usage", usage)
    if enough:
        require_space(tmp_path / "not" / "there", needed, "The test", "stop")
    else:
        with pytest.raises(
            NoSpaceError, match=r"^The test needs 0 MB .* free in .*there: free some, or stop\.$"
        ) as error:
            require_space(tmp_path / "not" / "there", needed, "The test", "stop")
        assert error.value.errno == errno.ENOSPC
    assert asked == [tmp_path]


@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_looked_for_while_a_large_file_is_read(tmp_path, enabled):
    file, found, before = tmp_path / "many.json", [], gc.isenabled()
    file.write_text(json.dumps([[[number]] for number in range(20_000)]))
    broken = tmp_path / "broken.json"
    broken.write_text("[[[1]], [")
    gc.callbacks.append(lambda phase, info: found.append(phase))
    try:
        (gc.enable if enabled else gc.disable)()
        gc.collect(0)
        counted = len(found)
        assert len(read_json(file, "")) == 20_000
        assert len(found) - counted <= 4  # of 57 collections; one may come before it and one after
        assert gc.isenabled() == enabled
        with pytest.raises(DamagedError):
            read_json(broken, "")
        assert gc.isenabled() == enabled
    finally:
        gc.callbacks.pop()
        (gc.enable if before else gc.disable)()
