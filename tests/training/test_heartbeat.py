"""Who trains here."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from pigan.errors import PiganError
from pigan.training.heartbeat import FILE, JOBS, _born, heartbeat, read_heartbeat
from pigan.training.stopping import Stopped


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch):
    for name in JOBS:
        monkeypatch.delenv(name, raising=False)


def test_it_names_this_process_while_it_works_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with heartbeat(tmp_path / "work"):
        found = read_heartbeat(tmp_path / "work" / FILE)
        assert (found.pid, found.job, found.error, found.alive()) == (os.getpid(), "4711", None, True)
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PiganError("training diverged:\n loss_g"), "pigan: training diverged: loss_g"),
        (Stopped(15), "pigan: stopped by SIGTERM; the checkpoint is saved, run again to go on"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "KeyboardInterrupt:"),
    ],
)
def test_an_error_stays(tmp_path, error, told):
    with pytest.raises(type(error)), heartbeat(tmp_path):
        raise error
    assert read_heartbeat(tmp_path / FILE).error == told


def test_error_is_not_hidden_by_one_of_the_heartbeat(tmp_path):
    def work():
        with heartbeat(tmp_path / "work"):
            shutil.rmtree(tmp_path / "work")
            (tmp_path / "work").write_text("a file")
            raise PiganError("the first")

    with pytest.raises(PiganError, match="the first"):
        work()


def test_of_two_the_later_is_told_of(tmp_path):
    with heartbeat(tmp_path):
        other = replace(read_heartbeat(tmp_path / FILE), pid=1)
        (tmp_path / FILE).write_text(json.dumps(asdict(other)))
    assert read_heartbeat(tmp_path / FILE) == other


def test_a_process_that_is_gone_is_told_from_another_with_its_number(tmp_path):
    with heartbeat(tmp_path):
        own = read_heartbeat(tmp_path / FILE)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert replace(own, pid=done.pid).alive() is False
    assert replace(own, pid=2**70).alive() is False
    assert replace(own, host="elsewhere").alive() is None
    assert replace(own, space="pid:[1]").alive() is None
    if own.born:
        assert replace(own, born="1").alive() is False


def test_a_process_that_nobody_has_asked_about_since_it_ended_is_gone(tmp_path):
    with heartbeat(tmp_path):
        own = read_heartbeat(tmp_path / FILE)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        other = replace(own, pid=child.pid, born=_born(child.pid))
        assert other.alive() is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not own.born or other.alive() is False


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"host": "a", "pid": "x"}', "[" * 5000])
def test_damaged_heartbeat_is_none(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert read_heartbeat(tmp_path / FILE) is None
    assert read_heartbeat(tmp_path / "none") is None
