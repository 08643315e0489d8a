"""When the scheduler ends this job, and whether another step still fits in before that."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime

from pigan.errors import PiganError

# stands for the end of the time among the signals that stop a training
OUT_OF_TIME = signal.SIGALRM
EXIT_CODE = os.EX_TEMPFAIL
"""Of a training that stopped in time and is to be run again (sysexits.h: try again later)."""
# for what was not measured yet, such as the first checkpoint, and for leaving
SPARE_SECONDS = 30.0
ANSWER_SECONDS = 20.0


class Deadline:
    """The end of the time that a training has, on a clock that nobody sets."""

    def __init__(self, left: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if left is None else clock() + left
        self._calls, self._last, self._longest = 0, 0.0, 0.0

    def is_near(self) -> bool:
        """Whether the work between two calls, the longest so far, might not end in time with a checkpoint after it.

        Call it once a step: what lies between two calls is then a step with the checkpoints and pictures due after it.
        """
        if self._end is None:
            return False
        now = self._clock()
        # the first step is longer: kernels are compiled, files are read for the first time
        if self._calls > 1:
            self._longest = max(self._longest, now - self._last)
        self._calls, self._last = self._calls + 1, now
        return now + 2 * self._longest + SPARE_SECONDS > self._end


def seconds_left() -> float | None:
    """Until the scheduler ends this job; None where no scheduler tells.

    PIGAN_DEADLINE comes first: seconds since the epoch, an ISO time, or +seconds from now; then what SLURM tells.

    Raises:
        PiganError: PIGAN_DEADLINE is none of these.
    """
    told = os.environ.get("PIGAN_DEADLINE", "").strip()
    if re.fullmatch(r"\+\d+(\.\d*)?", told):
        return float(told)
    end = _moment(told) if told else _slurm_end()
    return None if end is None else end - time.time()


def _moment(told: str) -> float:
    """Seconds since the epoch; a time without zone is local."""
    try:
        return float(told) if re.fullmatch(r"\d+(\.\d*)?", told) else datetime.fromisoformat(told).timestamp()
    except (ValueError, OverflowError):
        raise PiganError(
            f"PIGAN_DEADLINE={told}: no time; write 2030-01-31T18:00, seconds since the epoch, or +3600 for an hour"
        ) from None


def _slurm_end() -> float | None:
    """Of this SLURM job; None outside of one, without a limit, or when SLURM does not answer."""
    job = os.environ.get("SLURM_JOB_ID", "")
    told = os.environ.get("SLURM_JOB_END_TIME", "")
    if not told and job.isdecimal():
        told = _squeue(job)
    try:
        return _moment(told)
    except PiganError:
        # N/A, NONE, UNLIMITED
        return None


def _squeue(job: str) -> str:
    command = ["squeue", "--noheader", "--jobs", job, "--format", "%e"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
