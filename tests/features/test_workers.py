"""Several workers: the bytes of one process, whatever happens to them."""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import time
from importlib import util

import pytest
from tiny_encoder import checked, contents, tiny_encoder

from captioning import settings
from captioning.datasets import needs, prepare
from captioning.datasets.dataset import CaptionDataset
from captioning.encoders import Encoder
from captioning.features import FeatureError, FeatureStore, cluster, extract, workers
from captioning.features.index import UNSEEN, Entry
from captioning.provenance import StaleError
from captioning.serving.command import main


class Mortal(Encoder):
    """An encoder with which the process ends that is the first to encode, or any that does."""

    def __init__(self, marker, always=False):
        made = tiny_encoder()
        super().__init__(made.spec, made._model, made.weights)
        self.marker, self.always = marker, always

    def run(self, pixels):
        if multiprocessing.parent_process() or "ray" in sys.modules:
            try:
                self.marker.touch(exist_ok=self.always)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return super().run(pixels)


def crew_of(kind, part=16):
    crew = kind if isinstance(kind, workers.Crew) else kind()
    crew.part = part
    return crew


@pytest.fixture
def alone(photos, encoder, tmp_path):
    """The files of one process; one photo is broken."""
    records = photos(100)
    records[17].file.write_bytes(b"broken")
    records = checked(records)
    extract(records, encoder, tmp_path / "alone")
    return records, contents(tmp_path / "alone")


needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


@needs_kill
def test_two_processes_one_of_them_killed_give_the_bytes_of_one(alone, folder, encoder, tmp_path, capsys):
    records, expected = alone
    extract(records[:5], encoder, folder)
    crew = crew_of(workers.Processes(2))
    extract(records, Mortal(tmp_path / "killed"), folder, crew.encoded)
    assert contents(folder) == expected
    assert "A worker has ended before it was done" in capsys.readouterr().out
    assert multiprocessing.active_children() == []


@needs_kill
def test_two_workers_of_ray_one_of_them_killed_give_the_bytes_of_one(alone, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for `Mortal`
    if not util.find_spec("ray"):
        pytest.skip("Ray is not installed: pip install '.[ray]'")
    records, expected = alone
    crew = crew_of(cluster.Cluster("local", 2))
    extract(records, Mortal(tmp_path / "killed"), folder, crew.encoded)
    assert (tmp_path / "killed").exists() and contents(folder) == expected


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_a_cluster_that_does_not_answer_is_named(address, photos, folder, encoder):
    with pytest.raises(FeatureError, match=rf"No Ray cluster answers at {address} .*ray start --head.*--ray local"):
        extract(photos(1), encoder, folder, cluster.Cluster(address).encoded)
    assert len(extract(photos(1), encoder, folder)) == 1


class Stub(workers.Crew):
    """Workers in this process, which end where they are told to."""

    part = 16

    def __init__(self, ends=(), host="this machine"):
        self.ends, self.started, self.most, self.host = list(ends), 0, 0, host

    @workers.contextmanager
    def _team(self, encoder):
        from captioning.features import making

        flying = []

        def submit(part, alive):
            self.started += 1
            flying.append(part)
            self.most = max(self.most, len(flying))
            return part, alive

        def result(given):
            flying.remove(given[0])
            if self.ends and self.ends.pop(0):
                flying.clear()
                raise workers.WorkerEnded
            return [entry for _, some in making.encoded(given[0], encoder, given[1]) for entry in some], self.host

        yield submit, result, 3


def test_parts_are_done_again_and_in_order_and_few_at_a_time(alone, folder, encoder):
    records, expected = alone
    crew = Stub([0, 1, 1, 0, 1, 0, 0, 1, 1])
    extract(records, encoder, folder, crew.encoded)
    assert contents(folder) == expected and crew.started > 7 and crew.most == 3


def test_a_part_that_ends_every_worker_is_named_and_the_others_are_kept(alone, folder, encoder):
    records, expected = alone
    with pytest.raises(FeatureError, match=rf"ended 3 times .* 16 pictures from .*{records[32].file.name} on"):
        extract(records, encoder, folder, Stub([0, 0, 1, 1, 1]).encoded)
    assert len(FeatureStore(folder)) == 31
    extract(records, encoder, folder, Stub().encoded)
    assert contents(folder) == expected


def test_errors_of_the_work_are_those_of_one_process(alone, folder, encoder):
    records, _ = alone
    wrong = [*records[:20], dataclasses.replace(records[20], content="0" * 32)]
    with pytest.raises(StaleError, match=rf"{records[20].file.name} has changed"):
        extract(wrong, encoder, folder, Stub().encoded)
    assert len(FeatureStore(folder)) == 16


def test_an_encoder_that_sees_nothing_is_refused_and_one_gray_picture_is_not(
    photos, folder, encoder, monkeypatch, one_after_the_other
):
    run, factors = encoder.run, iter([0, 1, 0, 0])
    monkeypatch.setattr(encoder, "run", lambda pixels: run(pixels) * next(factors))
    with pytest.raises(FeatureError, match="float16 would hold zeros"):
        extract(photos(1), encoder, folder, Stub().encoded)
    assert len(extract(photos(17), encoder, folder, Stub().encoded)) == 17
    assert len(extract(photos(18), encoder, folder, Stub().encoded)) == 18


class Elsewhere(workers.Crew):
    """A machine that sees the first of two photos."""

    part = 2

    @contextlib.contextmanager
    def _team(self, encoder):
        entries = [Entry("a\t1"), Entry("b\t2", mark=UNSEEN, reason="gone")]
        yield (lambda part, alive: part), (lambda part: (entries, "node7")), 1


def test_a_machine_that_does_not_see_a_photo_is_named(photos):
    records = checked(photos(2))
    with pytest.raises(FeatureError, match=rf"worker on node7 does not see {records[1].file}.*drive that all"):
        list(Elsewhere().encoded(records, None, True))
    records[1].file.unlink()
    assert len(list(Elsewhere().encoded(records, None, True))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_worker_ends_with_the_process_that_started_it():
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)

    def middle():
        fork.Process(target=workers._end_with_parent).start()
        theirs.send("started")
        time.sleep(60)

    process = fork.Process(target=middle)
    process.start()
    theirs.close()
    assert ours.poll(20) and ours.recv() == "started"
    process.kill()
    process.join()
    assert ours.poll(10)  # the pipe ends with the last process that holds it
    with pytest.raises(EOFError):
        ours.recv()


# The command


@pytest.fixture
def project(tmp_path, photos, encoder, monkeypatch):
    """A project of tiny photos, and encoders that are all the tiny one."""
    project = settings.Project(home=tmp_path / "home")
    monkeypatch.setattr(settings, "active", lambda: project)
    monkeypatch.setattr(prepare, "load", lambda _: CaptionDataset("tiny", tuple(checked(photos(20)))))
    monkeypatch.setattr("captioning.encoders.load", lambda name, weights, folder: encoder)
    return project


def test_the_command_encodes_for_every_notebook(project, capsys):
    assert main(["features"]) == 0
    folders = sorted(path.name for path in (project.data / "features").iterdir() if path.is_dir())
    assert folders == ["inception_v3-mixed10-random", "resnet50-conv5_block3_out-random", "vgg16-fc2-random"]
    assert capsys.readouterr().out.count("20 pictures have features in") == len(needs.NOTEBOOKS)


def test_the_command_takes_encoders_and_a_crew(project, monkeypatch):
    made = []
    for module, kind in ((workers, "Processes"), (cluster, "Cluster")):
        monkeypatch.setattr(module, kind, lambda *options, kind=kind: made.append((kind, *options)) or Stub())
    monkeypatch.setitem(sys.modules, "ray", object())
    for options in (["--workers", "4"], ["--ray", "auto"], ["--ray", "local", "--workers", "2"], ["--workers", "1"]):
        assert main(["features", "--encoder", "mobilenet", *options]) == 0
    assert made == [("Processes", 4), ("Cluster", "auto", None), ("Cluster", "local", 2)]
    assert len(FeatureStore(project.data / "features" / "mobilenet-conv_pw_13_relu-random")) == 20


def test_the_command_says_what_is_missing(project, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["features", "--ray", "local"]) == 2
    assert "pip install '.[ray]'" in capsys.readouterr().err
    assert main(["features", "--ray", "auto", "--workers", "2"]) == 2
    assert "--workers is for this machine" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["features", "--workers", "0"])
    assert "not a whole number" in capsys.readouterr().err
