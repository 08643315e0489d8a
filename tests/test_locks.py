"""Locks: one at a time, bounded waits, and what to do where a disk has none."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pigan import locks
from pigan.errors import PiganError
from pigan.locks import alone

HOLD = (
    "import sys, time; from pathlib import Path; from pigan.locks import alone\n"
    "with alone(Path(sys.argv[1]), 'copy', print):\n"
    "    print('held', flush=True); time.sleep(600)\n"
)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock and does nothing."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_one_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with alone(tmp_path / "lock", "copy", lambda _: None):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_holder_without_a_sign_of_life_is_named_in_one_line(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    said: list[str] = []
    began = time.monotonic()
    with pytest.raises(PiganError) as caught, alone(tmp_path / "lock", "copy", said.append, patience=0.3):
        pytest.fail("had it")
    assert time.monotonic() - began < 5
    assert re.fullmatch(
        rf".*/lock: held by process {holder.pid} on \S+, which has done nothing for 0 s; end it and run .*",
        str(caught.value),
    )
    assert len(said) == 1 and said[0].startswith(f"copy: process {holder.pid} on ") and said[0].endswith("; waiting")


def test_who_gives_signs_of_life_is_waited_for(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    began = time.monotonic()
    threading.Timer(1.0, holder.kill).start()
    with alone(tmp_path / "lock", "copy", lambda _: None, alive=time.monotonic, patience=0.3):
        assert time.monotonic() - began > 0.9


def test_a_killed_holder_leaves_no_lock(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with alone(tmp_path / "lock", "copy", pytest.fail, patience=0.0):
        assert f"process {os.getpid()} on" in (tmp_path / "lock").read_text()


def test_an_error_in_the_block_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), alone(tmp_path / "lock", "copy", pytest.fail):
        raise KeyError
    with alone(tmp_path / "lock", "copy", pytest.fail, patience=0.0):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_disk_without_locks_goes_on_and_says_so(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    said: list[str] = []
    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with alone(tmp_path / "lock", "copy", said.append):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert said == [f"copy: {tmp_path} is on a disk without file locks ({os.strerror(number)}); going on without"]


def test_lock_server_that_never_answers_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, said = threading.Event(), list[str]()
    monkeypatch.setattr(fcntl, "flock", lambda *_: answer.wait(30))
    monkeypatch.setattr(locks, "CALL_SECONDS", 0.2)
    began = time.monotonic()
    with alone(tmp_path / "lock", "copy", said.append):
        assert time.monotonic() - began < 5
    assert "no answer in 0 s" in said[0]
    answer.set()
