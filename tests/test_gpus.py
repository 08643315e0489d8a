"""Several processes on one machine with several GPUs, which here are only counted."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pigan import gpus
from pigan.errors import PiganError

HOLDER = """
import os, sys, time
from pigan import gpus
gpus.QUIET_SECONDS, gpus.LOOK_SECONDS = 0.3, 0.02
gpus.claim_gpus(int(sys.argv[1]), lambda: 3)
print(os.environ.get("CUDA_VISIBLE_DEVICES", "all"), flush=True)
sys.stdin.read()
"""

Claim = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[Claim]:
    """Starts a process that claims so many of three GPUs and holds them until its input ends."""
    started = []

    def start(wanted: int, **environment: str) -> subprocess.Popen[str]:
        env = {
            name: value for name, value in os.environ.items() if name not in ("CUDA_VISIBLE_DEVICES", *gpus.SCHEDULERS)
        }
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**env, "TMPDIR": str(tmp_path), **environment},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def got(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_takes_another_and_the_last_waits_until_one_is_killed(claim: Claim) -> None:
    holders = [claim(1) for _ in range(3)]
    assert sorted(got(holder) for holder in holders) == ["0", "1", "2"]
    late = claim(1)
    assert late.stderr is not None
    said = late.stderr.readline()
    assert said == (
        "pigan: 1 of 3 GPUs wanted, but other pigan processes of yours have too many; waiting "
        "(CUDA_VISIBLE_DEVICES=0 before the command shares one)\n"
    )
    holders[1].send_signal(signal.SIGKILL)
    freed = got(late)
    assert freed in ("0", "1", "2") and late.poll() is None
    # two are still held, the late one has the third
    assert all(holder.poll() is None for holder in (holders[0], holders[2]))


def test_several_are_taken_together_or_not_at_all(claim: Claim) -> None:
    two = claim(2)
    assert got(two) == "0,1"
    other = claim(2)
    assert other.stderr is not None and other.stderr.readline().startswith("pigan: 2 of 3 GPUs wanted")
    # the one that waits for two does not keep the free one from others
    assert got(claim(1)) == "2"


def test_a_choice_among_the_visible_ones(claim: Claim) -> None:
    first = claim(1, CUDA_VISIBLE_DEVICES="GPU-aa/1, GPU-bb")
    assert got(first) == "GPU-aa/1"
    assert got(claim(1, CUDA_VISIBLE_DEVICES="GPU-aa/1,GPU-bb")) == "GPU-bb"


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1"}, "1"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0,1"}, "0,1"),
        ({"LSB_JOBID": "7"}, "all"),
        ({"WORLD_SIZE": "2"}, "all"),
    ],
)
def test_where_somebody_else_chose_nothing_is_locked(
    claim: Claim, tmp_path: Path, environment: dict[str, str], seen: str
) -> None:
    assert [got(claim(1, **environment)) for _ in range(2)] == [seen, seen]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_choice_nothing_is_locked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gpus.claim_gpus(1, lambda: count)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ and not list(tmp_path.iterdir())


def test_a_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"pigan-gpus-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PiganError, match="belongs to somebody else"):
        gpus.claim_gpus(1, lambda: 2)


def test_nobody_waits_when_there_are_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    began = time.monotonic()
    gpus.claim_gpus(2, lambda: pytest.fail("nobody asks"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5" and time.monotonic() - began < 1
    for lock in gpus._held:
        os.close(lock)
    gpus._held.clear()
