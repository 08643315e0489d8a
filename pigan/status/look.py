"""Looks at every stage of a study."""

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pigan.chain.logs import counted
from pigan.chain.place import CHECKPOINT, LOG, STATE, Place, command, stages_of_run
from pigan.chain.settings import training_settings
from pigan.chain.study import SharedStage, after_runs, before_runs
from pigan.config import Params
from pigan.status.evidence import Evidence, Listing, evidence, listing, made_at
from pigan.status.judge import SILENCE_SECONDS, Verdict, judge
from pigan.status.stage import StageStatus
from pigan.status.training import Pace, pace, pace_of_line

# a training is taken for dead after as many times its usual interval between two lines
INTERVALS = 5
# a state.json is some 10 kB
LARGEST_STATE = 1_000_000


@dataclass(frozen=True)
class RunStatus:
    """One arm and seed, its stages in their order."""

    arm: str
    seed: int
    stages: list[StageStatus]


@dataclass(frozen=True)
class Study:
    """Everything that `pigan status` shows, at `time`; `shared` are the stages that all runs share."""

    experiment: str
    dataset: str
    time: float
    shared: list[StageStatus]
    runs: list[RunStatus]

    @property
    def stages(self) -> list[StageStatus]:
        """All stages, the shared ones first."""
        return [*self.shared, *(stage for run in self.runs for stage in run.stages)]


def look(params: Params, root: Path = Path()) -> Study:
    """The state of every stage of every arm and seed below `root`, the project's folder.

    Reads names and times of files, and little more: the ends of logs of what is not done, and each state.json.
    """
    now, dataset = time.time(), params.dataset.name
    logs = listing(root / "logs" / dataset)
    shared = [_shared(stage, root, dataset, logs, now) for stage in (*before_runs(params), after_runs(params))]
    found = listing(root / "runs" / dataset)
    runs: list[RunStatus] = []
    for arm in params.arms:
        resolved = params.for_arm(arm)
        wanted = _Wanted.of(resolved)
        there = listing(root / "runs" / dataset / arm) if arm in found else {}
        for seed in params.seeds:
            place = Place(Path("runs") / dataset, Path("data/prepared") / dataset, arm, seed)
            runs.append(RunStatus(arm, seed, _run(resolved, wanted, place, root, f"seed{seed}" in there, now)))
    return Study(params.experiment, dataset, now, shared, runs)


@dataclass(frozen=True)
class _Wanted:
    """What a stage's weights should come from, by stage: the settings of it and of all before it."""

    settings: dict[str, list[Any]]

    @classmethod
    def of(cls, resolved: Params) -> "_Wanted":
        return cls({stage: _settings(resolved.model_dump(), stage, _trained(resolved)) for stage in _trained(resolved)})


def _trained(params: Params) -> list[str]:
    return ["init", *(link.name for link in params.curriculum.order)]


def _settings(values: dict[str, Any], stage: str, order: Sequence[str]) -> list[Any]:
    """What the weights of `stage` come from.

    Raises:
        KeyError, TypeError: `values` is no params mapping of this curriculum.
    """
    before = order[1 : order.index(stage) + 1]
    first = [values["model"], values["training"]["pretrained"], values["curriculum"]["order"]]
    return [*first, *(training_settings(values, name) for name in before)]


def _shared(stage: SharedStage, root: Path, dataset: str, logs: Listing, now: float) -> StageStatus:
    try:
        made: float | None = (root / stage.output).stat().st_mtime
    except OSError:
        made = None
    log = Path("logs") / dataset / f"{stage.name}.log"
    verdict = judge(evidence(made, root / log, logs), now)
    return _status(stage.name, None, None, log, verdict, [] if verdict.state == "done" else stage.command)


def _run(params: Params, wanted: _Wanted, place: Place, root: Path, there: bool, now: float) -> list[StageStatus]:
    """The stages of one arm and seed, in their order."""
    dataset, own = params.dataset.name, f"{place.arm}-seed{place.seed}"
    folder, log_folder = root / place.folder, Path("logs") / dataset / own
    work = replace(place, runs=root / place.runs).work(dataset)
    inside, logs = listing(folder) if there else {}, listing(root / log_folder)
    works = listing(work)
    found: list[StageStatus] = []
    other = False
    for stage in stages_of_run(params):
        made, pace_now, patience = _made(folder, inside, stage), None, SILENCE_SECONDS
        log = log_folder / f"{stage}.log"
        seen = evidence(made, root / log, logs, work / stage if stage in works else None)
        if made is None or seen.heartbeat_time is not None:
            pace_now = _pace(seen)
            patience = max(patience, INTERVALS * (pace_now.interval or 0.0)) if pace_now else patience
        verdict = judge(seen, now, patience)
        words = [] if verdict.state == "done" else command(params, place, stage)
        status = _status(stage, place.arm, place.seed, log, verdict, words)
        if status.state == "done":
            status = _made_from(status, wanted, place.folder, root) if stage in wanted.settings else status
            other = other or status.other_params
            if other and status.state == "done":
                status = replace(status, other_params=True)
            elif status.state != "done":
                status = replace(status, command=shlex.join(command(params, place, stage)))
        elif stage in params.curriculum.stages:
            status = _trains(status, pace_now, params.curriculum.stages[stage].steps)
            # what comes after it was made of weights that are no more
            other = True
        found.append(status)
    return found


def _made(folder: Path, inside: Listing, stage: str) -> float | None:
    """When the outputs of a run's stage were made; None when one is missing."""
    if stage == "generate":
        return made_at(inside, ("generated",))
    if stage == "evaluate":
        return made_at(inside, ("evaluated", "metrics.json"))
    if stage not in inside:
        return None
    outputs = (CHECKPOINT, STATE, "snapshots", *(() if stage == "init" else (LOG,)))
    made = listing(folder / stage)
    return made_at(made, outputs)


def _pace(seen: Evidence) -> Pace | None:
    return pace(seen.work / LOG) if seen.work and seen.work_time is not None else None


def _status(
    stage: str, arm: str | None, seed: int | None, log: Path, verdict: Verdict, words: list[str]
) -> StageStatus:
    beat = verdict.heartbeat
    return StageStatus(
        stage,
        arm,
        seed,
        verdict.state,
        log,
        shlex.join(words),
        silent=verdict.silent,
        says=verdict.says,
        error=verdict.error,
        host=beat.host if beat else None,
        pid=beat.pid if beat else None,
        job=beat.job if beat else None,
    )


def _trains(status: StageStatus, found: Pace | None, steps: int) -> StageStatus:
    """With how far training is, unless nobody has begun."""
    if status.state == "waiting":
        return replace(status, steps=steps)
    found = found or pace_of_line(counted(status.says))
    if found is None:
        return replace(status, steps=steps)
    left = found.seconds_left(steps) if status.state == "running" else None
    return replace(
        status,
        step=found.step,
        steps=steps,
        images_per_second=found.images_per_second,
        seconds=found.seconds,
        seconds_left=left,
        only_background=found.only_background,
    )


def _made_from(status: StageStatus, wanted: _Wanted, folder: Path, root: Path) -> StageStatus:
    """With what the state.json of a stage that is done says of its time and its params."""
    path = folder / status.stage / STATE
    try:
        if (root / path).stat().st_size > LARGEST_STATE:
            raise ValueError
        state = json.loads((root / path).read_bytes())
        settings = _settings(state["params"], status.stage, list(wanted.settings))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        error = f"{path}: cannot be read; delete {folder / status.stage} and run its stage again"
        return replace(status, state="failed", error=error)
    seconds, step = state.get("seconds"), state.get("step")
    return replace(
        status,
        other_params=settings != wanted.settings[status.stage],
        seconds=float(seconds) if isinstance(seconds, int | float) and seconds >= 0 else None,
        step=step if isinstance(step, int) and status.stage != "init" else None,
        steps=step if isinstance(step, int) and status.stage != "init" else None,
    )
