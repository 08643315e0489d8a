"""The study as JSON for programs; docs/status.md describes it.

Keys are added, not renamed or taken away, as long as `schema` stays the same.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pigan.status.choose import count
from pigan.status.estimate import Left
from pigan.status.look import RunStatus, Study
from pigan.status.stage import StageStatus

SCHEMA = 1


def as_json(study: Study, runs: Sequence[RunStatus], left: Left) -> dict[str, Any]:
    """Totals of all stages, and every stage of `runs` and of those that all runs share."""
    stages = [*study.shared, *(stage for run in runs for stage in run.stages)]
    return {
        "schema": SCHEMA,
        "experiment": study.experiment,
        "dataset": study.dataset,
        "time": datetime.fromtimestamp(study.time, UTC).isoformat(timespec="seconds"),
        "runs": len(study.runs),
        "totals": count(study.stages),
        "work_seconds_left": _rounded(None if left.unknown else left.work),
        "seconds_left": _rounded(None if left.unknown else left.wait),
        "running_at_once": left.slots,
        "without_estimate": left.unknown,
        "stages": [stage_json(stage) for stage in stages],
    }


def stage_json(stage: StageStatus) -> dict[str, Any]:
    """One stage; what is not known is null."""
    return {
        "stage": stage.stage,
        "arm": stage.arm,
        "seed": stage.seed,
        "state": stage.state,
        "other_params": stage.other_params,
        "step": stage.step,
        "steps": stage.steps,
        "images_per_second": _rounded(stage.images_per_second),
        "seconds": _rounded(stage.seconds),
        "seconds_left": _rounded(stage.seconds_left),
        "silent_seconds": _rounded(stage.silent),
        "only_background": stage.only_background,
        "last_line": stage.says or None,
        "error": stage.error or None,
        "log": str(stage.log),
        "command": stage.command or None,
        "host": stage.host,
        "pid": stage.pid,
        "job": stage.job,
    }


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None and math.isfinite(value) else None
