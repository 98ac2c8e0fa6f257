"""The command line, its exit codes and the progress bar."""

import io
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from captioning.fetching.download import fetch_many, main
from tests.download.served import BODY, MD5
from tests.server import Fault


def test_the_bar_shows_rate_and_time_left(get, server, capsys):
    server.faults["/a"] = [Fault(drop=100_000), Fault(pause=0.05)]
    get(progress=True)
    shown = capsys.readouterr().out
    assert "100%" in shown and "B/s" in shown and "again in 1 s" in shown
    assert any(f"<{minutes}" in shown for minutes in ("00:00", "00:01"))


def test_no_bar_when_not_wanted(get, server, capsys):
    server.faults["/a"] = [Fault(status=500)]
    get()
    fetch_many([(server.url("/a"), "unused")][:0], progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def command(*arguments):
    shown = io.StringIO()
    with redirect_stdout(shown):
        return main([str(argument) for argument in arguments]), shown.getvalue()


def test_command_for_one_file(server, tmp_path):
    code, shown = command(server.url("/a"), tmp_path / "a", "--md5", MD5)
    assert code == 0 and (tmp_path / "a").read_bytes() == BODY and str(tmp_path / "a") in shown
    assert command(server.url("/a"), tmp_path / "c", "--md5", "0000", "--retries", 1)[0] == 1
    code, shown = command(server.url("/none"), tmp_path / "b")
    assert code == 1 and "404" in shown


def test_command_for_a_list(server, tmp_path):
    lines = ["# photos", "", f"{server.url('/a')}\t{tmp_path}/with space.jpg", f"{server.url('/none')} {tmp_path}/b"]
    (tmp_path / "list").write_text("\n".join(lines))
    code, shown = command("--list", tmp_path / "list", "--workers", 2)
    assert code == 1 and f"{tmp_path}/b: " in shown and "404" in shown
    assert (tmp_path / "with space.jpg").read_bytes() == BODY
    (tmp_path / "list").write_text("\n".join(lines[:3]))
    assert command("--list", tmp_path / "list")[0] == 0


@pytest.mark.parametrize("line", ["http://host/a", "http://host/a "])
def test_command_names_a_bad_line(tmp_path, line):
    (tmp_path / "list").write_text(f"# one\n{line}\n")
    code, shown = command("--list", tmp_path / "list")
    assert code == 1 and "line 2" in shown


@pytest.mark.parametrize("arguments", [[], ["http://host/a"], ["http://host/a", "path", "--list", "file"]])
def test_command_with_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_exit_code_of_the_process(server, tmp_path):
    run = [sys.executable, "-m", "captioning.fetching.download"]
    done = subprocess.run([*run, server.url("/a"), tmp_path / "a"], cwd=Path(__file__).parents[2], capture_output=True)
    assert done.returncode == 0 and (tmp_path / "a").read_bytes() == BODY and done.stderr == b""
    gone = subprocess.run([*run, server.url("/none"), tmp_path / "b"], cwd=Path(__file__).parents[2])
    assert gone.returncode == 1
