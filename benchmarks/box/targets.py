"""What a box is judged by: kernels against float64, the quality of the model, hours of the paper's curricula."""

import math
from collections.abc import Mapping
from typing import Any

from pigan.report.speed import Speed

# relative L2 error of the field's gradient that each precision may have against float64
KERNEL_TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2}
# presets that follow a published curriculum, and what the authors say that theirs took on one GPU of 2020 (48 GB)
CURRICULA, AUTHORS_HOURS = ("celeba", "celeba-paper", "cats", "cats-paper", "carla"), 56
# times as fast as the reference, by case, with the path that the params choose; its memory in a whole step
AS_FAST, MEMORY_SHARE = {"field": 2.5, "render": 4.0, "step_64": 2.0}, ("step_64", 1 / 3)
CHOSEN = "triton fp16"
BETTER_THAN_SMALL, ABOVE_FLOOR, DELTA, TIMES_EXACT = 1 / 8, 3.0, 0.95, 2.0


def kernel_checks(speed: Speed) -> list[dict[str, Any]]:
    """Each path of the field, its gradient's error against float64 and whether that is within its precision's."""
    return [
        {
            "path": row.path,
            "precision": row.precision,
            "error": row.error,
            "tolerance": KERNEL_TOLERANCES[row.precision],
            "met": row.error is not None and row.error <= KERNEL_TOLERANCES[row.precision],
            "times as fast": round(row.ratio, 2),
        }
        for row in speed.rows
        if row.case == "field"
    ]


def speed_targets(speed: Speed) -> list[dict[str, Any]]:
    """How much faster and leaner than the reference the path of 16-bit training is; of the cases that were measured."""
    rows = {row.case: row for row in speed.rows if row.path == CHOSEN}
    found = [
        _judged(f"{rows[case].title}, {CHOSEN}: times as fast", round(rows[case].ratio, 2), least, at_least=True)
        for case, least in AS_FAST.items()
        if case in rows
    ]
    case, most = MEMORY_SHARE
    own, theirs = (rows[case].peak_mb, rows[case].reference_peak_mb) if case in rows else (None, None)
    if own is not None and theirs:
        found.append(_judged(f"{rows[case].title}, {CHOSEN}: memory, of the reference's", round(own / theirs, 3), most))
    return found


def curriculum_hours(speed: Speed) -> list[dict[str, Any]]:
    """Hours of every published curriculum at the rates measured here: estimates, never run."""
    found = []
    for name in CURRICULA:
        stages = [estimate for estimate in speed.estimates if estimate.preset == name]
        if stages:
            found.append(
                {
                    "preset": name,
                    "estimated hours": round(sum(stage.hours for stage in stages), 2),
                    "hours of the authors": AUTHORS_HOURS,
                    "memory, GB": round(max(stage.memory_gb for stage in stages), 1),
                }
            )
    return found


def quality(metrics: Mapping[str, Any], extractor: str, small: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The quality targets; `met` is None where something was not measured.

    Args:
        metrics: metrics.json of the model.
        extractor: Whose features lead.
        small: metrics.json of a model trained for minutes on a CPU; None: there is none to compare with.
    """
    fid = f"fid_{extractor}"
    small_fid = None if small is None else small.get(fid)
    return [
        _at_most("FID against that of the model trained on a CPU", metrics.get(fid), BETTER_THAN_SMALL, small_fid),
        _at_most("FID against real images' own", metrics.get(fid), ABOVE_FLOOR, metrics.get(f"fid_real_{extractor}")),
        _judged("depth δ < 1.25 of inverted held-out views", metrics.get("depth_delta"), DELTA, at_least=True),
        _judged("share of hollow shapes", metrics.get("hollow_share"), 0.0),
        _at_most(
            "depth reprojection error against the exact renderer's",
            metrics.get("depth_reprojection_error"),
            TIMES_EXACT,
            metrics.get("depth_reprojection_error_exact"),
        ),
    ]


def _at_most(what: str, value: float | None, times: float, of: float | None) -> dict[str, Any]:
    return _judged(f"{what}, at most {times:g} times", value, None if of is None else times * of)


def _judged(what: str, value: float | None, bound: float | None, at_least: bool = False) -> dict[str, Any]:
    known = value is not None and bound is not None and math.isfinite(value)
    met = (value >= bound if at_least else value <= bound) if known else None  # type: ignore[operator]
    return {"target": what, "measured": value, "at least" if at_least else "at most": bound, "met": met}
