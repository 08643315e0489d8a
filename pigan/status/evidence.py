"""What the files of one stage say: when its outputs and its log last moved, and who trains it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pigan.chain.logs import last_line
from pigan.chain.place import CHECKPOINT, LOG, PREVIOUS
from pigan.training.heartbeat import FILE, Heartbeat, read_heartbeat

# of a state in progress: for a moment only the one before is there
KEPT = (CHECKPOINT, PREVIOUS)


@dataclass(frozen=True)
class Evidence:
    """Times are seconds since 1970 by the clock of whoever wrote the file; None: there is no such file.

    `made` is the time of the newest output, None as long as one of them is missing. `log_time` and `log_size` are of
    `log`. `work` is the folder of a training's state in progress and `kept` whether it holds a checkpoint.
    """

    made: float | None
    log: Path
    log_time: float | None
    log_size: int
    work: Path | None = None
    work_time: float | None = None
    kept: bool = False
    heartbeat_time: float | None = None

    @property
    def heartbeat(self) -> Heartbeat | None:
        """The process that trains or trained here."""
        return read_heartbeat(self.work / FILE) if self.work and self.heartbeat_time is not None else None

    @property
    def says(self) -> str:
        """The last line of the log."""
        return last_line(self.log) if self.log_time is not None and self.log_size else ""

    @property
    def sign_of_life(self) -> float | None:
        """When anything that a stage writes while it works last moved."""
        times = [time for time in (self.log_time, self.work_time, self.heartbeat_time) if time is not None]
        return max(times, default=None)


Listing = Mapping[str, os.stat_result]
"""The files of a folder by name."""


def listing(folder: Path) -> dict[str, os.stat_result]:
    """What is in a folder; nothing when it cannot be read or is none."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found[entry.name] = entry.stat()
                except OSError:
                    # gone meanwhile, or a link to nothing
                    continue
    except OSError:
        return {}
    return found


def evidence(made: float | None, log: Path, logs: Listing, work: Path | None = None) -> Evidence:
    """Of a stage whose log is `log`, in the folder that `logs` lists; `work` is a training's state in progress."""
    said = logs.get(log.name)
    time, size = (said.st_mtime, said.st_size) if said else (None, 0)
    if work is None:
        return Evidence(made, log, time, size)
    inside = listing(work)
    moved = [inside[name].st_mtime for name in (LOG, *KEPT) if name in inside]
    beat = inside.get(FILE)
    kept = any(name in inside for name in KEPT)
    return Evidence(made, log, time, size, work, max(moved, default=None), kept, beat.st_mtime if beat else None)


def made_at(folder: Listing, outputs: tuple[str, ...]) -> float | None:
    """When the newest of `outputs` was made; None when one of them is missing."""
    return max(folder[name].st_mtime for name in outputs) if all(name in folder for name in outputs) else None
