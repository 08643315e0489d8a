"""Tables of the report, and how their numbers are written for people."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.metrics import SURFACE_METRICS, further_metrics, metrics_of

INTERVAL_COLUMNS = ["arm", "seed", "metric", "value", "low", "high"]
CURVE_COLUMNS = ["arm", "seed", "step", "images_seen", "resolution", "images"]
LOG_COLUMNS = ["arm", "seed", "resolution", "step", "global_step", "images_seen", "seconds"]


def metrics_table(collected: Collected) -> pd.DataFrame:
    """One row an arm x seed: every metric, and what the run cost."""
    rows = []
    for run in collected.runs:
        row: dict[str, object] = {"arm": run.arm, "seed": run.seed}
        row |= {key: value for key, value in run.metrics.items() if key != "seconds"}
        row |= {"images_seen": run.images_seen, "train_seconds": run.seconds}
        row |= {"generate_seconds": run.generated.seconds, "evaluate_seconds": run.metrics.get("seconds")}
        rows.append(row)
    return pd.DataFrame(rows)


def ablation_table(collected: Collected) -> pd.DataFrame:
    """One row an arm: n seeds, whether all of them show surfaces, and of each metric three columns.

    These are the mean, the standard deviation over seeds and the difference to the main arm.
    """
    table = metrics_table(collected)
    main_arm = collected.params.report.main_arm
    measured = [key for key in SURFACE_METRICS if key in table and table[key].notna().any()]
    groups = table.assign(surfaces=table[measured].notna().all(axis=1)).groupby("arm", sort=False)
    parts: dict[str, pd.Series[Any]] = {"n": groups.size(), "surfaces": groups["surfaces"].all()}
    own = [metric for metrics in further_metrics(collected).values() for metric in metrics]
    for metric in metrics_of(collected) + own:
        mean = groups[metric.key].mean()
        parts[f"{metric.key}_mean"] = mean
        parts[f"{metric.key}_std"] = groups[metric.key].std(ddof=1)
        parts[f"{metric.key}_difference"] = mean - mean[main_arm]
    parts["images_seen"] = groups["images_seen"].mean()
    parts["seconds"] = groups["train_seconds"].mean()
    return pd.DataFrame(parts).reset_index()


def intervals_table(collected: Collected) -> pd.DataFrame:
    """One row an arm x seed x metric that has a 95 % interval within its run."""
    rows = [
        {"arm": run.arm, "seed": run.seed, "metric": key, "value": run.metrics[key], "low": low, "high": high}
        for run in collected.runs
        for key, (low, high) in run.intervals.items()
        if key in run.metrics
    ]
    return pd.DataFrame(rows, columns=INTERVAL_COLUMNS)


def curve_table(collected: Collected) -> pd.DataFrame:
    """One row an arm x seed x snapshot: training images in `images_seen`, images measured on in `images`."""
    curves = [run.curve for run in collected.runs if len(run.curve)]
    if not curves:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    table = pd.concat(curves, ignore_index=True)
    return table[[*CURVE_COLUMNS, *(name for name in table.columns if name not in CURVE_COLUMNS)]]


def training_table(collected: Collected) -> pd.DataFrame:
    """The logs of all runs, one below the other; training images in `images_seen`, wall time in `seconds`."""
    logs = [run.log for run in collected.runs if len(run.log)]
    if not logs:
        return pd.DataFrame(columns=LOG_COLUMNS)
    table = pd.concat(logs, ignore_index=True)
    first = [name for name in LOG_COLUMNS if name in table.columns]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def stage_table(collected: Collected) -> pd.DataFrame:
    """One row an arm x seed x training stage: images of the stage alone, seconds, images a second."""
    rows = []
    for run in collected.runs:
        before = 0
        for stage in run.stages:
            images, before = stage.images_seen - before, stage.images_seen
            speed = images / stage.seconds if images and stage.seconds > 0 else float("nan")
            rows.append(
                {
                    "arm": run.arm,
                    "seed": run.seed,
                    "resolution": stage.resolution,
                    "steps": stage.step,
                    "images": images,
                    "seconds": stage.seconds,
                    "images_per_second": speed,
                }
            )
    return pd.DataFrame(rows)


def decimals(values: Iterable[float]) -> int | None:
    """Digits behind the point for a column: three of the smallest value count, at most five of the largest.

    None stands for powers of ten, which very small numbers need.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes:
        return 2
    smallest, largest = (math.floor(math.log10(size)) for size in (min(sizes), max(sizes)))
    if largest < -5:
        return None
    return max(0, min(2 - smallest, 4 - largest))


def write_number(value: float, digits: int | None, sign: bool = False) -> str:
    """A number for people: true minus sign, thousands separated, a dash for not-a-number."""
    if math.isnan(value):
        return "–"
    form = ("+" if sign else "") + (",.2e" if digits is None else f",.{digits}f")
    return format(value + 0.0, form).replace("-", "−")


def write_spread(value: float, digits: int | None) -> str:
    """A spread with the digits of its mean; with one digit that counts when that would show a zero."""
    text = write_number(value, digits)
    if digits is None or value == 0 or any(letter in "123456789" for letter in text):
        return text
    return write_number(value, -math.floor(math.log10(abs(value))))


def write_interval(interval: tuple[float, float], digits: int | None) -> str:
    """Both ends with the digits of what lies between."""
    low, high = (write_number(end, digits) for end in interval)
    return f"[{low}, {high}]"


def write_significant(value: float) -> str:
    """A number that stands alone: three digits that count, and no more behind the point than these need."""
    return write_number(value, significant_digits(value))


def significant_digits(value: float) -> int | None:
    """Digits behind the point that show three that count; None stands for powers of ten."""
    return 0 if abs(value) >= 100 else decimals([value])


def write_duration(seconds: float | None) -> str:
    """Wall time in the two largest units that it fills."""
    if seconds is None or math.isnan(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
