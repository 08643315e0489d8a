"""The report's section on speed: one sentence, a table, plots, and how it was measured."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pigan.report.plots import Plot, Shown
from pigan.report.speed import Row, Speed, Times, by_case
from pigan.report.speedfigures import draw_roofline, draw_scaling, draw_speed, roofline_numbers, scaling_numbers
from pigan.report.tables import significant_digits, write_duration, write_number, write_significant

BOUNDS = {"compute": "arithmetic", "memory": "memory traffic", "other": "neither"}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class SpeedRow:
    """One line of the table, as people read it; ranges are empty where there was one measurement."""

    path: str
    reference: str
    reference_range: str
    ours: str
    ours_range: str
    ratio: str
    ratio_range: str
    slower: bool
    error: str
    reference_error: str
    memory: str
    reference_memory: str
    share: str
    bound: str


def speed_plots(speed: Speed) -> list[Plot]:
    """The section's figures; one of something not measured says so."""
    roofline = roofline_numbers(speed)
    return [
        Plot(
            "speed",
            "How many times as fast as the plain reference each case is, with its range",
            speed_table(speed),
            lambda path, _: draw_speed(speed, path),
            measured=bool(speed.rows),
        ),
        Plot(
            "roofline",
            "Roofline: operations a second over operations a byte, of the plain reference and of pigan",
            roofline,
            lambda path, _: draw_roofline(speed, path),
            measured=len(roofline) > 0,
        ),
        Plot(
            "scaling",
            "Time of an image as resolution, samples or batch grow",
            scaling_numbers(speed),
            lambda path, _: draw_scaling(speed, path),
            measured=bool(speed.scaling),
        ),
    ]


def speed_section(speed: Speed, plots: Mapping[str, Shown]) -> dict[str, Any]:
    """What speed.html.jinja shows; `plots` as of `shown`, of `speed_plots`."""
    return {
        "sentence": sentence(speed),
        "cases": [(title, size, [_row(row) for row in rows]) for (title, size), rows in by_case(speed.rows).items()],
        "errors_of": {f"{row.title}, {row.size}": row.error_of for row in speed.rows if row.error_of},
        "estimates": [
            (
                estimate.preset,
                f"{estimate.stage.removeprefix('r')} px",
                write_duration(3600 * estimate.hours),
                _gigabytes(estimate.memory_gb),
                write_significant(estimate.images_per_second),
            )
            for estimate in speed.estimates
        ],
        "notes": speed.notes,
        "command": speed.command,
        "date": speed.date,
        "device": speed.device,
        "facts": _facts(speed),
        "plots": plots,
    }


def speed_table(speed: Speed) -> pd.DataFrame:
    """One row a case and path, with every number of the file; empty where something was not measured."""
    rows = []
    for row in speed.rows:
        values = row.model_dump()
        flat: dict[str, Any] = {}
        for key, value in values.items():
            flat |= {f"{key}_{part}": own for part, own in value.items()} if isinstance(value, dict) else {key: value}
        rows.append(flat)
    return pd.DataFrame(rows, columns=None if rows else list(Row.model_fields))


def sentence(speed: Speed) -> str:
    """What a training step gains at the largest side that was measured; by the path that gains most, which it names."""
    steps = [(int(found[1]), row.ratio, row) for row in speed.rows if (found := re.fullmatch(r"step_(\d+)", row.case))]
    if not steps:
        return f"On this machine, {speed.device}, no training step was measured."
    side, ratio, row = max(steps, key=lambda step: step[:2])
    if ratio >= 1:
        gain = f"is {write_number(ratio, 2)} times as fast as the plain reference"
    else:
        gain = f"takes {write_number(1 / ratio, 2)} times as long as the plain reference"
    if row.peak_mb and row.reference_peak_mb:
        gain += f" and uses {_percent(row.peak_mb / row.reference_peak_mb)} of its memory"
    return f"On this machine, {speed.device}, a training step at {side} px ({row.path}) {gain}."


def write_error(value: float | None) -> str:
    """A relative error as a power of ten with two digits that count."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(SUPERSCRIPTS)}"


def _row(row: Row) -> SpeedRow:
    return SpeedRow(
        path=row.path,
        reference=write_significant(row.reference_ms.median),
        reference_range=_time_range(row.reference_ms),
        ours=write_significant(row.ours_ms.median),
        ours_range=_time_range(row.ours_ms),
        ratio=f"{write_number(row.ratio, 2)}×",
        ratio_range=_range(row.ratio_low, row.ratio_high, 2) if row.ours_ms.repeats > 1 else "",
        slower=row.ratio < 1,
        error=write_error(row.error),
        reference_error=write_error(row.reference_error),
        memory=_megabytes(row.peak_mb),
        reference_memory=_megabytes(row.reference_peak_mb),
        share="–" if row.share_of_matmul is None else _percent(row.share_of_matmul),
        bound=BOUNDS[row.bound],
    )


def _facts(speed: Speed) -> list[tuple[str, str]]:
    rates = ", ".join(f"{name} {write_significant(rate)} GFLOP/s" for name, rate in speed.machine.matmul_gflops.items())
    repeats = sorted({row.ours_ms.repeats for row in speed.rows})
    told = "–" if not repeats else f"{repeats[0]}" if len(repeats) == 1 else f"{repeats[0]} to {repeats[-1]}"
    return [
        ("What was measured", speed.subject),
        ("Threads", str(speed.threads)),
        ("Matrix multiplication", rates),
        ("Copying memory", f"{write_significant(speed.machine.bandwidth_gb_s)} GB/s"),
        ("Repeats of each side", told),
        ("PyTorch", speed.torch),
        ("pigan", speed.pigan),
    ]


def _time_range(times: Times) -> str:
    if times.repeats == 1:
        return ""
    return _range(times.low, times.high, significant_digits(times.low))


def _range(low: float, high: float, digits: int | None) -> str:
    return f"{write_number(low, digits)} – {write_number(high, digits)}"


def _megabytes(value: float | None) -> str:
    return "–" if value is None else f"{write_number(value, 0)} MB"


def _gigabytes(value: float) -> str:
    return f"{write_significant(value)} GB" if value >= 1 else _megabytes(1000 * value)


def _percent(share: float) -> str:
    """A share as a percentage; one digit more below ten."""
    return f"{write_number(100 * share, 0 if share >= 0.1 else 1)} %"
