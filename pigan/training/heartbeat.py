"""Who trains here: a small file beside the state in progress, which tells a killed process from a busy one."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pigan.errors import PiganError
from pigan.files import write_json

FILE = "process.json"
# what schedulers call the job: SLURM, PBS, LSF, Grid Engine
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


@dataclass(frozen=True)
class Heartbeat:
    """A process that trains, or that ended with an error.

    `started` is seconds since 1970; `space` names the process ids' namespace and `born` the process's start within
    the machine's uptime, so that another process with the same id is not taken for it (both empty outside Linux).
    """

    host: str
    pid: int
    space: str
    born: str
    job: str | None
    started: float
    error: str | None = None

    def alive(self) -> bool | None:
        """Whether the process is there; None: it runs on another machine, so that nobody here can tell."""
        if (self.host, self.space) != (socket.gethostname(), _space()):
            return None
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            pass
        except (OSError, OverflowError):
            return False
        return _born(self.pid) == self.born


@contextmanager
def heartbeat(work: Path) -> Iterator[None]:
    """Names this process in `work` while the block runs; an error that ends it is named there and stays.

    Raises:
        PiganError: no permission, or the disk is full.
    """
    pid = os.getpid()
    job = next((os.environ[name] for name in JOBS if os.environ.get(name)), None)
    own = Heartbeat(socket.gethostname(), pid, _space(), _born(pid), job, round(time.time(), 3))
    write_json(work / FILE, asdict(own))
    try:
        yield
    except BaseException as error:
        # a disk that is full must not hide what it did
        with suppress(PiganError, OSError):
            write_json(work / FILE, asdict(replace(own, error=_told(error))))
        raise
    # two may train the same: the other's stays
    if read_heartbeat(work / FILE) == own:
        (work / FILE).unlink(missing_ok=True)


def tell_cause(work: Path, error: PiganError) -> None:
    """Puts what ended a training's processes in the place of what one of them told in `work`, if it ended and did."""
    told = read_heartbeat(work / FILE)
    if told is not None and told.error is not None:
        with suppress(PiganError, OSError):
            write_json(work / FILE, asdict(replace(told, error=_told(error))))


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The heartbeat in `path`; None when there is none or it is damaged."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        text = {key: str(values[key]) for key in ("host", "space", "born")}
        job, error = (None if values[key] is None else str(values[key]) for key in ("job", "error"))
        return Heartbeat(pid=int(values["pid"]), started=float(values["started"]), job=job, error=error, **text)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _told(error: BaseException) -> str:
    """The line that the log gets, too: pigan's own errors say what to do, of others the kind matters."""
    own = type(error).__module__.startswith("pigan.")
    return " ".join(f"{'pigan' if own else type(error).__name__}: {error}".split())


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; empty where nobody tells, or when it has ended."""
    try:
        # the name, in brackets, may hold spaces and brackets itself; the third field is the state, the 22nd the start
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
