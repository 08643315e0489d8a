"""The end of a job's time: who tells it, and when a training leaves before it."""

import os
import stat
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pigan.errors import PiganError
from pigan.training import deadline
from pigan.training.deadline import SPARE_SECONDS, Deadline, seconds_left


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIGAN_DEADLINE", "SLURM_JOB_ID", "SLURM_JOB_END_TIME"):
        monkeypatch.delenv(name, raising=False)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def leaves_at(limit: float, seconds_of_steps: list[float]) -> float | None:
    """Seconds after the start at which a training with such steps stops."""
    clock = Clock()
    end = Deadline(float(limit), clock)
    for seconds in seconds_of_steps:
        clock.now += seconds
        if end.is_near():
            return clock.now - 1000
    return None


def test_without_a_limit_it_is_never_near():
    assert not Deadline(None).is_near()


@pytest.mark.parametrize("step", [0.1, 1.0, 20.0])
def test_it_leaves_while_two_more_of_the_longest_steps_fit_in(step):
    left = leaves_at(1000, [step] * 20_000)
    assert 1000 - 2 * step - SPARE_SECONDS < left <= 1000 - SPARE_SECONDS - step


def test_one_long_step_such_as_a_checkpoint_moves_the_moment():
    steps = [1.0] * 100
    plain = leaves_at(200, steps * 3)
    assert leaves_at(200, [*steps[:50], 21.0, *steps * 3]) == plain - 40


def test_the_first_step_which_compiles_does_not_count():
    assert leaves_at(300, [100.0] + [1.0] * 300) == leaves_at(300, [1.0] * 300)


def test_a_limit_shorter_than_the_spare_time_still_lets_one_step_pass():
    assert leaves_at(5, [1.0] * 10) == 1.0


def test_nobody_tells():
    assert seconds_left() is None


@pytest.mark.parametrize(
    "told",
    [
        lambda then: f"{then:.0f}",
        lambda then: datetime.fromtimestamp(then).isoformat(timespec="seconds"),
        lambda then: datetime.fromtimestamp(then).astimezone().isoformat(),
        lambda then: "+600",
    ],
)
def test_own_deadline_is_a_moment_or_a_span(monkeypatch, told):
    monkeypatch.setenv("PIGAN_DEADLINE", told(time.time() + 600))
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1")
    assert seconds_left() == pytest.approx(600, abs=3)


@pytest.mark.parametrize("told", ["soon", "12:00 $(id)", "-5", "2030-13-01", "1e400", "+1e3"])
def test_what_is_no_time_is_one_line(monkeypatch, told):
    monkeypatch.setenv("PIGAN_DEADLINE", told)
    with pytest.raises(PiganError, match=r"PIGAN_DEADLINE=.*no time") as error:
        seconds_left()
    assert len(str(error.value).splitlines()) == 1


def test_slurm_tells_by_a_variable(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 120))
    assert seconds_left() == pytest.approx(120, abs=3)


def fake_squeue(folder: Path, text: str) -> None:
    tool = folder / "squeue"
    tool.write_text(f'#!/bin/sh\n[ "$*" = "--noheader --jobs 7 --format %e" ] && {text}\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("job", ["7", "not a number"])
def test_older_slurm_is_asked_by_squeue(monkeypatch, tmp_path, job):
    end = datetime.now() + timedelta(minutes=10)
    fake_squeue(tmp_path, f"echo {end.isoformat(timespec='seconds')}")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", job)
    left = seconds_left()
    assert left is None if job != "7" else left == pytest.approx(600, abs=3)


@pytest.mark.parametrize("text", ["echo N/A", "exit 1", "echo", "exec sleep 5"])
def test_slurm_without_an_answer_is_no_deadline(monkeypatch, tmp_path, text):
    fake_squeue(tmp_path, text)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(deadline, "ANSWER_SECONDS", 0.2)
    assert seconds_left() is None


def test_a_clock_that_is_set_later_changes_nothing(monkeypatch):
    monkeypatch.setenv("PIGAN_DEADLINE", str(int(time.time()) + 600))
    end = Deadline(seconds_left())
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not end.is_near()
