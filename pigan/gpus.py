"""Which GPU a process takes when several run on one machine and no scheduler hands the GPUs out."""

import contextlib
import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pigan.errors import PiganError

VISIBLE = "CUDA_VISIBLE_DEVICES"
# set in jobs of SLURM, PBS, LSF and Grid Engine, which give a job its GPUs for itself
SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")
LOOK_SECONDS, QUIET_SECONDS = 0.5, 5.0
# open for as long as the process lives: that is what holds the locks, and its end, however it ends, frees them
_held: list[int] = []


def count_gpus() -> int:
    """How many the driver has; CUDA is not started, so that CUDA_VISIBLE_DEVICES can still be set."""
    import torch

    return torch.cuda.device_count()


def claim_gpus(wanted: int, count: Callable[[], int] = count_gpus) -> None:
    """Takes `wanted` GPUs that no other pigan process of this user has, and makes this process see no others.

    Waits until there are so many. Does nothing where there is nothing to choose: inside a scheduler's job, in ranks
    that torchrun started, and when no more GPUs are visible than are wanted. Call it before anything asks CUDA.

    Raises:
        PiganError: the folder of the locks belongs to somebody else.
    """
    visible = visible_gpus(os.environ, count)
    if not 0 < wanted < len(visible) or any(name in os.environ for name in (*SCHEDULERS, "WORLD_SIZE")):
        return
    folder = lock_folder()
    began, told = time.monotonic(), False
    while not (taken := _take(folder, visible, wanted)):
        if not told and time.monotonic() - began > QUIET_SECONDS:
            told = True
            print(
                f"pigan: {wanted} of {len(visible)} GPUs wanted, but other pigan processes of yours have too many; "
                f"waiting ({VISIBLE}={visible[0]} before the command shares one)",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(LOOK_SECONDS)
    os.environ[VISIBLE] = ",".join(taken)


def visible_gpus(environment: Mapping[str, str], count: Callable[[], int]) -> list[str]:
    """What CUDA_VISIBLE_DEVICES lists, or the numbers of all GPUs."""
    if VISIBLE in environment:
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip()]
    return [str(index) for index in range(count())]


def lock_folder() -> Path:
    """Where this user's locks are.

    Raises:
        PiganError: somebody else made it.
    """
    folder = Path(tempfile.gettempdir()) / f"pigan-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PiganError(f"{folder}: belongs to somebody else; set TMPDIR to a folder of yours")
    return folder


def _take(folder: Path, visible: list[str], wanted: int) -> list[str]:
    """The first `wanted` GPUs that are free, now locked; or none, and none is locked."""
    taken, locks = [], []
    for name in visible:
        lock = os.open(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', name)}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        locks.append(lock)
        taken.append(name)
        if len(taken) == wanted:
            _held.extend(locks)
            return taken
    for lock in locks:
        with contextlib.suppress(OSError):
            os.close(lock)
    return []
