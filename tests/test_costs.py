"""What notebooks take: the memory of processes, the growth of folders, and a table of them."""

import subprocess
import sys

import pytest

from captioning import costs

HOLDS = "held = bytearray(300_000_000); print(flush=True); input()"


def holding():
    """A process that holds 300 MB until it is told to end; give it when it does."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_memory_is_that_of_processes_started_meanwhile(monkeypatch):
    monkeypatch.setattr(costs, "EVERY", 0.01)
    looked = []
    memory = costs._memory
    monkeypatch.setattr(costs, "_memory", lambda earlier: looked.append(memory(earlier)) or looked[-1])

    def wait():
        looked.clear()
        while len(looked) < 2:  # the first may have begun before
            pass

    with holding() as earlier:
        with costs.measured([]) as alone:
            wait()
        with costs.measured([]) as both:
            with holding() as process:
                wait()
                process.communicate(b"\n")
            wait()  # what it held counts, though it has ended
        earlier.communicate(b"\n")
    assert alone["memory_GB"] == 0 and 0.3 <= both["memory_GB"] < 0.5
    assert 0 <= alone["minutes"] < 1 and alone["disk_MB"] == 0


def test_disk_is_what_the_folders_have_grown_by(tmp_path):
    (tmp_path / "before.bin").write_bytes(bytes(5_000_000))
    with pytest.raises(RuntimeError), costs.measured([tmp_path, tmp_path / "new"]) as taken:
        (tmp_path / "new" / "in it").mkdir(parents=True)
        (tmp_path / "a.bin").write_bytes(bytes(1_000_000))
        raise RuntimeError("whatever ends the block")
    assert taken["disk_MB"] == 1.0
    with costs.measured([tmp_path]) as taken:
        (tmp_path / "before.bin").unlink()
    assert taken["disk_MB"] == 0.0


def test_what_is_kept_is_read_and_shown(tmp_path):
    assert costs.read(tmp_path) == {}
    costs.keep(tmp_path, "02_b", {"minutes": 0.25, "memory_GB": 1.5, "disk_MB": 0.0})
    costs.keep(tmp_path, "01_a", {"minutes": 9, "memory_GB": 9, "disk_MB": 9})
    costs.keep(tmp_path, "01_a", {"minutes": 2.0, "memory_GB": 0.5, "disk_MB": 1234.0})
    kept = costs.read(tmp_path)
    assert list(kept) == ["01_a", "02_b"]
    assert [line.split()[-3:] for line in costs.table(kept).splitlines()[1:]] == [
        ["2.0", "0.5", "1,234"],
        ["0.2", "1.5", "0"],
        ["2.2", "1.5", "1,234"],
    ]
    (tmp_path / costs.FILE).write_text("[")
    assert costs.read(tmp_path) == {}
