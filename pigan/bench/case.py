"""One case of the benchmark: the plain reference and pigan's paths, measured together into rows of the table."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.bench.counting import Count, bound_of
from pigan.bench.measure import ROUNDS, ROUNDS_QUICK, Make, Run, interleaved, peak_of
from pigan.bench.subject import Way
from pigan.progress import Progress
from pigan.report.speed import Machine, Row, Times

# of timing a case; its fewest rounds may take longer
SECONDS, SECONDS_QUICK = 10.0, 1.0


@dataclass(frozen=True)
class Side:
    """One way of doing the case's work."""

    path: str
    precision: str
    make: Make
    error: Callable[[], float] | None = None
    """Against float64, measured when asked."""
    count: Count | None = None
    compiles: bool = False
    """The first call builds code, which counts neither as time nor as memory."""


def side_of(way: Way, make: Callable[[Way], Run], error: Callable[[Way], float], count: Count) -> Side:
    """What `way` makes of the case's work."""
    return Side(
        path=way.name,
        precision=way.precision,
        make=functools.partial(make, way),
        error=functools.partial(error, way),
        count=count,
        compiles=way.kernel == "compiled",
    )


@dataclass(frozen=True)
class Case:
    """What is compared."""

    slug: str
    title: str
    size: str
    reference: Side
    sides: list[Side]
    error_of: str = ""
    tensors: bool = True
    """Its memory is that of tensors; else memory is not measured."""


def weight_gradient(module: nn.Module) -> Float[Tensor, "weight"]:
    """The gradients of all weights that have one, in float64."""
    return torch.cat([p.grad.double().flatten() for p in module.parameters() if p.grad is not None])


def relative_error(got: Tensor, truth: Tensor) -> float:
    """L2 of the difference by L2 of the truth."""
    return float((got - truth).norm() / truth.norm())


def measure(case: Case, device: torch.device, machine: Machine, quick: bool, progress: Progress) -> list[Row]:
    """A row a path; each side is built and called once for its memory, then all are timed in turn."""
    if device.type == "cuda":
        # what the case before has freed: in pieces of its sizes it might leave too little for this one's
        torch.cuda.empty_cache()
    everyone = (case.reference, *case.sides)
    peaks, runs = [], []
    for side in everyone:
        progress.advance(0, case=case.slug, path=side.path)
        peak, run = peak_of(side.make, device, side.compiles) if case.tensors else (None, side.make())
        peaks.append(peak)
        runs.append(run)
    times = interleaved(runs, device, *((SECONDS_QUICK, ROUNDS_QUICK) if quick else (SECONDS, ROUNDS)))
    del runs
    reference_error = _measured(case.reference)
    return [
        _row(case, side, times[0], own, reference_error, peaks[0], peak, machine)
        for side, own, peak in zip(case.sides, times[1:], peaks[1:], strict=True)
    ]


def _row(
    case: Case,
    side: Side,
    reference_ms: list[float],
    ours_ms: list[float],
    reference_error: float | None,
    reference_peak: int | None,
    peak: int | None,
    machine: Machine,
) -> Row:
    reference, ours = Times.of(reference_ms), Times.of(ours_ms)
    ratios = [theirs / own for theirs, own in zip(reference_ms, ours_ms, strict=True)]
    count, rate = side.count, machine.matmul_gflops.get(side.precision)
    byte = count.byte if count is not None else None
    known = count is not None and rate is not None
    theirs = case.reference.count
    return Row(
        case=case.slug,
        title=case.title,
        size=case.size,
        path=side.path,
        precision=side.precision,
        reference_ms=reference,
        ours_ms=ours,
        ratio=reference.median / ours.median,
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        error=_measured(side),
        reference_error=reference_error,
        error_of=case.error_of,
        reference_peak_mb=None if reference_peak is None else reference_peak / 2**20,
        peak_mb=None if peak is None else peak / 2**20,
        gflop=None if count is None else count.flop / 1e9,
        reference_gbyte=theirs.byte / 1e9 if theirs is not None and theirs.byte is not None else None,
        gbyte=None if byte is None else byte / 1e9,
        share_of_matmul=count.flop / 1e6 / ours.median / rate if known else None,  # type: ignore[operator, union-attr]
        bound=bound_of(count.flop, byte, rate, machine.bandwidth_gb_s) if known and byte else "other",  # type: ignore[arg-type, union-attr]
    )


def _measured(side: Side) -> float | None:
    """The side's error; None also where what it computed is no number."""
    error = math.inf if side.error is None else side.error()
    return error if math.isfinite(error) else None
