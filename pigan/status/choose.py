"""Which runs are shown, and how many stages are in which state."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pigan.config import Params, ParamsError
from pigan.status.look import RunStatus, Study
from pigan.status.stage import STATES, WRONG, StageStatus, State


@dataclass(frozen=True)
class Shown:
    """Runs with a line each, and how many of the others are all done, all waiting, or between two stages."""

    runs: list[RunStatus]
    done: int = 0
    waiting: int = 0
    between: int = 0


def narrowed(study: Study, params: Params, arms: Sequence[str] | None, seeds: Sequence[int] | None) -> Study:
    """The study with the runs of these arms and seeds; all of them where none is named.

    Raises:
        ParamsError: the params do not have one of them.
    """
    for arm in arms or ():
        params.for_arm(arm)
    for seed in seeds or ():
        if seed not in params.seeds:
            raise ParamsError(f"seeds: no seed {seed}; there are {', '.join(map(str, params.seeds))}")
    kept = [run for run in study.runs if (not arms or run.arm in arms) and (not seeds or run.seed in seeds)]
    return replace(study, runs=kept)


def count(stages: Sequence[StageStatus]) -> dict[State, int]:
    """How many stages are in each state; they add up to all of them."""
    found = Counter(stage.state for stage in stages)
    return {state: found[state] for state in STATES}


def those(runs: Sequence[RunStatus], failed: bool, running: bool) -> list[RunStatus]:
    """The runs with a stage that failed or was killed, or with one that runs; all of them when neither is asked for."""
    if not failed and not running:
        return list(runs)
    wanted = {*(WRONG if failed else ()), *(("running",) if running else ())}
    return [run for run in runs if any(stage.state in wanted for stage in run.stages)]


def fold(runs: Sequence[RunStatus], lines: int) -> Shown:
    """All runs if they fit into `lines`, else those with something to tell, and counts of the others."""
    if len(runs) <= lines:
        return Shown(list(runs))
    told, done, waiting, between = [], 0, 0, 0
    for run in runs:
        states = {stage.state for stage in run.stages}
        if states == {"done"} and not any(stage.other_params for stage in run.stages):
            done += 1
        elif states == {"waiting"}:
            waiting += 1
        elif states <= {"done", "waiting"}:
            between += 1
        else:
            told.append(run)
    return Shown(told, done, waiting, between)
