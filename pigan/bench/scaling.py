"""The cost of a training step as one size grows and the others stay."""

import statistics
from typing import Literal, NamedTuple

import torch

from pigan.bench.measure import interleaved
from pigan.bench.step_cases import step_run
from pigan.config import Params
from pigan.report.speed import ScalingPoint


class Step(NamedTuple):
    """The sizes of one training step."""

    resolution: int
    samples: int
    batch: int


# around a small step, one that fills a GPU or takes a processor a moment
SMALL, SMALL_GPU = Step(16, 4, 1), Step(64, 6, 8)
GROWN: dict[Literal["resolution", "samples", "batch"], tuple[float, ...]] = {
    "resolution": (0.5, 1, 2),
    "samples": (1, 2, 4),
    "batch": (1, 2, 4),
}
# seconds of timing all of them, and rounds
FULL, QUICK = (10.0, (5, 12)), (1.0, (1, 3))


def scaling_points(params: Params, device: torch.device, quick: bool) -> list[ScalingPoint]:
    """pigan's step by the path that the params choose; all sizes are taken in turn, medians."""
    small = SMALL_GPU if device.type == "cuda" else SMALL
    top = params.curriculum.order[-1].resolution
    small = small._replace(resolution=min(small.resolution, top))
    wanted = [
        (what, small._replace(**{what: int(factor * getattr(small, what))}))
        for what, factors in GROWN.items()
        for factor in factors
        if what != "resolution" or factor * small.resolution <= top
    ]
    steps = list(dict.fromkeys(step for _, step in wanted))
    runs = [step_run(_with_samples(params, step.samples), step.resolution, step.batch, device) for step in steps]
    times = interleaved(runs, device, *(QUICK if quick else FULL))
    took = {step: statistics.median(own) for step, own in zip(steps, times, strict=True)}
    return [
        ScalingPoint(
            what=what,
            value=getattr(step, what),
            points=step.batch * _with_samples(params, step.samples).model.points(step.resolution),
            ms=took[step],
            images=step.batch,
        )
        for what, step in wanted
    ]


def _with_samples(params: Params, samples: int) -> Params:
    return params.model_copy(update={"model": params.model.model_copy(update={"samples": samples})})
