"""How long is left: of what runs by its own pace, of what waits by what the same stage took elsewhere."""

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pigan.status.look import RunStatus, Study
from pigan.status.stage import StageStatus

# runs whose generate and evaluate are asked how long they took
ASKED = 5
# as much of what `pigan generate` and `pigan evaluate` wrote is read
LARGEST = 1_000_000


@dataclass(frozen=True)
class Left:
    """What is left of the runs' stages: seconds of work, and of waiting if as many stages run at once as now.

    `slots` is how many run now; with none, nobody knows how long to wait. `unknown` names the stages without an
    estimate, which are in neither number.
    """

    work: float
    wait: float | None
    slots: int
    unknown: list[str]


def time_left(study: Study, runs: Sequence[RunStatus], root: Path = Path()) -> Left:
    """What is left of `runs`, from what is known of the whole study below `root`, the project's folder."""
    known = _Known(study, root)
    slots = sum(stage.state == "running" for run in runs for stage in run.stages)
    chains: list[float] = []
    unknown: list[str] = []
    for run in runs:
        chain = 0.0
        for stage in run.stages:
            if stage.state == "done":
                continue
            seconds = known.seconds_left(stage)
            if seconds is None:
                unknown.append(stage.stage)
            chain += seconds or 0.0
        chains.append(chain)
    work = sum(chains)
    # no sooner than the longest run, whose stages follow each other
    wait = max(work / slots, max(chains, default=0.0)) if slots else None
    return Left(work, wait, slots, list(dict.fromkeys(unknown)))


class _Known:
    """Wall seconds of a training step by arm and stage, and of the other stages, from wherever they are known."""

    def __init__(self, study: Study, root: Path) -> None:
        self.of_arm: dict[tuple[str | None, str], list[float]] = defaultdict(list)
        self.of_stage: dict[str, list[float]] = defaultdict(list)
        for run in study.runs:
            for stage in run.stages:
                each = _seconds_per_step(stage)
                if each is not None:
                    self.of_arm[stage.arm, stage.stage].append(each)
                    self.of_stage[stage.stage].append(each)
        self.whole = {
            "init": 0.0,
            "generate": _median_of(study, root, "generate", "generated/generated.json"),
            "evaluate": _median_of(study, root, "evaluate", "metrics.json"),
        }

    def seconds_left(self, stage: StageStatus) -> float | None:
        """Of a stage that is not done; one that failed or was killed is expected to go on from where it was."""
        if stage.seconds_left is not None:
            return stage.seconds_left
        if stage.stage in self.whole:
            return self.whole[stage.stage]
        if stage.steps == 0:
            return 0.0
        each = self.of_arm.get((stage.arm, stage.stage)) or self.of_stage.get(stage.stage)
        if not each or stage.steps is None:
            return None
        return statistics.median(each) * max(stage.steps - (stage.step or 0), 0)


def _seconds_per_step(stage: StageStatus) -> float | None:
    return stage.seconds / stage.step if stage.step and stage.seconds else None


def _median_of(study: Study, root: Path, stage: str, name: str) -> float | None:
    """The median of the seconds that this stage took in the first runs that have done it."""
    done = [run for run in study.runs if any(part.stage == stage and part.state == "done" for part in run.stages)]
    times = [_seconds(root / "runs" / study.dataset / run.arm / f"seed{run.seed}" / name) for run in done[:ASKED]]
    return statistics.median(known) if (known := [time for time in times if time is not None]) else None


def _seconds(path: Path) -> float | None:
    try:
        if path.stat().st_size > LARGEST:
            return None
        values: Any = json.loads(path.read_bytes())
        # generated.json has its parts; the time of metrics.json is of all
        parts = values.get("seconds_of_parts")
        seconds = float(sum(parts.values()) if parts else values["seconds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return seconds if 0 <= seconds < 1e9 else None
