"""Runs that are not complete: which stage is missing, what its log says last, how to go on."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pigan.chain.logs import is_error, last_line
from pigan.chain.place import CHECKPOINT, Place, command, stage_before, stages_of_run
from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.records import Unusable
from pigan.training.checkpoint import describe


@dataclass(frozen=True)
class Incomplete:
    """One arm x seed that is in no number of the report.

    `stage` is the first one to run (init, r<R>, generate, evaluate) and `later` those after it, `problem` what is
    missing or damaged, `last_line` what the stage's log says last, `progress` what training keeps in work/, `resume`
    the command. `log` is the training log of the stages that are there.
    """

    arm: str
    seed: int
    folder: Path
    stage: str
    later: list[str]
    problem: str
    last_line: str
    progress: str
    resume: str
    log: pd.DataFrame

    @property
    def failed(self) -> bool:
        """Whether the last thing in the stage's log is an error."""
        return is_error(self.last_line)

    def picture(self, name: str) -> Path | None:
        """A file that generating or evaluating left behind, or None when it is not there."""
        return picture_in(self.folder, name)


def picture_in(folder: Path, name: str) -> Path | None:
    """A file that generating or evaluating left below a run's folder, or None when it is not there."""
    paths = [folder / made / name for made in ("generated", "evaluated")]
    return next((path for path in paths if path.is_file()), None)


def incomplete(params: Params, place: Place, stage: str, error: Unusable, log: pd.DataFrame) -> Incomplete:
    """What is told of a run whose `stage` left `error` to read."""
    stages = stages_of_run(params)
    first = _first_to_run(params, place, stage)
    inside = error.path.relative_to(place.folder) if error.path.is_relative_to(place.folder) else error.path
    return Incomplete(
        arm=place.arm,
        seed=place.seed,
        folder=place.folder,
        stage=first,
        later=stages[stages.index(first) + 1 :],
        problem=" ".join(f"{inside}: {error.what}".split()),
        last_line=last_line(place.logs(params.dataset.name) / f"{first}.log"),
        progress=_progress(params, place, first),
        resume=shlex.join(command(params, place, first)),
        log=log,
    )


def incomplete_table(runs: Sequence[Incomplete]) -> pd.DataFrame:
    """One row a run that is not complete."""
    columns = ["arm", "seed", "stage", "failed", "problem", "last_line", "progress", "resume"]
    return pd.DataFrame([{name: getattr(run, name) for name in columns} for run in runs], columns=columns)


def _first_to_run(params: Params, place: Place, stage: str) -> str:
    """`stage`, or the earliest before it whose output it cannot do without."""
    if stage == "evaluate":
        return stage
    before = stage_before(params, stage)
    while before and not (place.folder / before / CHECKPOINT).is_file():
        stage, before = before, stage_before(params, before)
    return stage


def _progress(params: Params, place: Place, stage: str) -> str:
    """What work/ keeps of a training stage under way, in words; empty when there is nothing."""
    path = place.work(params.dataset.name) / stage
    if not (path / CHECKPOINT).is_file():
        return ""
    try:
        step = int(describe(path / CHECKPOINT)["counters"]["step"])
    except (PiganError, KeyError, TypeError, ValueError):
        return "its state in progress cannot be read, so the stage will begin afresh"
    return f"step {step:,} of {params.for_arm(place.arm).curriculum.stages[stage].steps:,} is kept in work/"
