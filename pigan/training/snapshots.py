"""Snapshots: the generator's moving average, kept every so many steps for metrics along training.

They are counted in global steps, so that a stage's folder can go on from that of the stage before. A snapshot is never
younger than the checkpoint that training resumes from: later ones are dropped and made again, with the same bits.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

from pigan.config import Params
from pigan.errors import PiganError
from pigan.files import atomic_directory, read_json, write_json
from pigan.latency import appears
from pigan.training.checkpoint import read_tensors, write_tensors
from pigan.training.state import Counters, TrainingState, architecture

FOLDER, INDEX = "snapshots", "index.json"


class Snapshot(NamedTuple):
    """One of them, as index.json lists it."""

    step: int
    """Global steps taken."""
    images_seen: int
    resolution: int
    """Of the stage that made it, pixels."""
    file: str


def is_due(global_step: int, every: int) -> bool:
    """Whether the state after `global_step` steps is kept; `every` 0: never."""
    return every > 0 and global_step % every == 0


def save_snapshot(folder: Path, params: Params, state: TrainingState, resolution: int) -> None:
    """Writes the moving average to `folder`, atomically; same state, same bytes.

    Raises:
        PiganError: a weight is not finite, the disk is full, or no permission.
    """
    tensors = {f"ema.{name}": value for name, value in state.ema.state_dict().items()}
    about = {"counters": vars(state.counters), "architecture": architecture(params), "resolution": resolution}
    write_tensors(folder / _file(state.counters.global_step), tensors, about)


def keep_until(folder: Path, counters: Counters, every: int) -> bool:
    """Drops what `folder` holds of steps after `counters`; False when one of this stage up to there is missing."""
    before = counters.global_step - counters.step
    due = {_file(step) for step in range(before + 1, counters.global_step + 1) if is_due(step, every)}
    for path in folder.iterdir() if folder.is_dir() else ():
        # also what a killed process left half written
        if path.name not in due:
            path.unlink()
    return all((folder / name).exists() for name in due)


def read_snapshots(stage: Path) -> list[Snapshot]:
    """The snapshots in a stage's folder, oldest first; none in a folder from before there were snapshots.

    Raises:
        PiganError: the index or one of its files is missing or broken.
    """
    folder = stage / FOLDER
    if not appears(folder):
        return []
    try:
        snapshots = [Snapshot(**entry) for entry in read_json(folder / INDEX)["snapshots"]]
    except (KeyError, TypeError) as error:
        raise PiganError(f"{folder / INDEX}: no index of snapshots ({error}); run its stage again") from None
    for snapshot in snapshots:
        if not appears(folder / snapshot.file):
            raise PiganError(f"{folder / snapshot.file}: no such file, though {INDEX} lists it; run its stage again")
    return snapshots


def publish(out: Path, before: Path | None = None, work: Path | None = None) -> None:
    """Writes `out`/snapshots, whole or not at all: those of the stage folder `before`, then those in `work`.

    Raises:
        PiganError: a snapshot is missing or damaged, the disk is full, or no permission.
    """
    history = [(snapshot, before / FOLDER) for snapshot in read_snapshots(before)] if before else []
    own = [(_described(path), work) for path in sorted(work.glob("step_*.safetensors"))] if work else []
    with atomic_directory(out / FOLDER, INDEX) as folder:
        for snapshot, source in history + own:
            # copied: an engine may replace or protect what lies in the other stage's folder
            shutil.copyfile(source / snapshot.file, folder / snapshot.file)
        write_json(folder / INDEX, {"snapshots": [snapshot._asdict() for snapshot, _ in history + own]})


def _described(path: Path) -> Snapshot:
    about, _ = read_tensors(path)
    counters = Counters(**about["counters"])
    return Snapshot(counters.global_step, counters.images_seen, about["resolution"], path.name)


def _file(global_step: int) -> str:
    return f"step_{global_step:07d}.safetensors"
