"""What was measured, as a table for people: on the terminal, and as Markdown."""

from collections.abc import Sequence

from pigan.report.markdown import table_of
from pigan.report.speed import Estimate, Row, ScalingPoint, Speed, Times

HEADER = (
    "case",
    "path",
    "reference, ms",
    "pigan, ms",
    "times as fast",
    "error (reference's)",
    "memory, MB (reference's)",
    "of matmul rate",
    "bound",
)
SCALING = ("what grows", "value", "points", "ms a step", "ms an image", "µs a point")
ESTIMATES = ("preset", "stage", "hours", "memory, GB", "images/s")
ESTIMATED = "Estimated from the rates measured here, not run:"


def as_text(speed: Speed) -> str:
    """For a terminal: columns that line up."""
    parts = [_about(speed), _aligned(HEADER, _rows(speed.rows, " "))]
    parts += [_aligned(SCALING, _scaling(speed.scaling))] if speed.scaling else []
    parts += [f"{ESTIMATED}\n{_aligned(ESTIMATES, _estimates(speed.estimates))}"] if speed.estimates else []
    parts += ["\n".join(f"- {note}" for note in [*_errors(speed.rows), *speed.notes])]
    return "\n\n".join(part for part in parts if part)


def as_markdown(speed: Speed) -> str:
    """For a file."""
    parts = [f"# Speed: {speed.subject}", _about(speed), table_of([HEADER, *_rows(speed.rows, "<br>")], words=True)]
    if speed.scaling:
        parts += ["## As one size grows", table_of([SCALING, *_scaling(speed.scaling)], words=True)]
    if speed.estimates:
        parts += ["## Estimates", ESTIMATED, table_of([ESTIMATES, *_estimates(speed.estimates)], words=True)]
    parts += ["\n".join(f"- {note}" for note in [*_errors(speed.rows), *speed.notes])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(speed: Speed) -> str:
    rates = ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in speed.machine.matmul_gflops.items())
    return (
        f"{speed.date}, {speed.device}, {speed.threads} threads, torch {speed.torch}, pigan {speed.pigan}. "
        f"`{speed.command}`. Matrix products {rates}; copying {speed.machine.bandwidth_gb_s:,.1f} GB/s. "
        "Medians with ranges of interleaved runs in one process."
    )


def _rows(rows: Sequence[Row], between: str) -> list[tuple[str, ...]]:
    cells: list[tuple[str, ...]] = []
    last = ("", "")
    for row in rows:
        case = (row.title, row.size)
        cells.append(
            (
                f"{row.title}{between}{row.size}" if case != last else "",
                row.path,
                _times(row.reference_ms),
                _times(row.ours_ms),
                f"{row.ratio:.2f} ({row.ratio_low:.2f}-{row.ratio_high:.2f})",
                f"{_error(row.error)} ({_error(row.reference_error)})" if row.error is not None else "",
                f"{row.peak_mb:,.0f} ({row.reference_peak_mb:,.0f})"
                if row.peak_mb is not None and row.reference_peak_mb is not None
                else "",
                f"{row.share_of_matmul:.0%}" if row.share_of_matmul is not None else "",
                row.bound if row.bound != "other" else "",
            )
        )
        last = case
    return cells


def _scaling(points: Sequence[ScalingPoint]) -> list[tuple[str, ...]]:
    return [
        (
            point.what,
            f"{point.value}",
            f"{point.points:,}",
            _number(point.ms),
            _number(point.ms / point.images),
            _number(1e3 * point.ms / point.points),
        )
        for point in points
    ]


def _estimates(estimates: Sequence[Estimate]) -> list[tuple[str, ...]]:
    return [
        (row.preset, row.stage, _number(row.hours), _number(row.memory_gb), _number(row.images_per_second))
        for row in estimates
    ]


def _errors(rows: Sequence[Row]) -> list[str]:
    """What the errors are of, each once."""
    told = {f"{row.title}: {row.error_of}." for row in rows if row.error is not None}
    return [f"Errors, against float64. {' '.join(sorted(told))}"] if told else []


def _times(times: Times) -> str:
    return f"{_number(times.median)} ({_number(times.low)}-{_number(times.high)})"


def _number(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[place]) for line in (header, *rows)) for place in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, *rows)
    )
