"""Tables of the report, and how their numbers are written for people."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from pigan.evaluation.intervals import bounds_of
from pigan.report.collect import Collected
from pigan.report.metrics import SURFACE_METRICS, further_metrics, metrics_of
from pigan.report.seeds import Over, over, paired, values_of

RUN_COLUMNS = ["arm", "seed", "images_seen", "train_seconds", "generate_seconds", "evaluate_seconds"]
STAGE_COLUMNS = ["arm", "seed", "resolution", "steps", "images", "seconds", "images_per_second"]
INTERVAL_COLUMNS = ["arm", "seed", "metric", "value", "low", "high"]
CURVE_COLUMNS = ["arm", "seed", "step", "images_seen", "resolution", "images"]
LOG_COLUMNS = ["arm", "seed", "resolution", "step", "global_step", "images_seen", "seconds"]
SHARE_DIGITS = 4


def metrics_table(collected: Collected) -> pd.DataFrame:
    """One row a complete arm x seed: every metric, and what the run cost."""
    rows = []
    for run in collected.runs:
        row: dict[str, object] = {"arm": run.arm, "seed": run.seed}
        row |= {key: value for key, value in run.metrics.items() if key != "seconds"}
        row |= {"images_seen": run.images_seen, "train_seconds": run.seconds}
        row |= {"generate_seconds": run.generated.seconds, "evaluate_seconds": run.metrics.get("seconds")}
        rows.append(row)
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=RUN_COLUMNS)


def ablation_table(collected: Collected) -> pd.DataFrame:
    """One row an arm: its n complete runs, whether all of them show surfaces, what it cost, and of each metric:

    `_mean` over seeds, `_std` over them, `_low` and `_high` of the mean's t-interval of 95 %, `_n` values behind it;
    `_difference` to the main arm paired by seed, its interval `_difference_low` and `_difference_high`, and `_pairs`.
    """
    main_arm = collected.params.report.main_arm
    own = [metric for metrics in further_metrics(collected).values() for metric in metrics]
    keys = [metric.key for metric in metrics_of(collected) + own]
    measured = [key for key in SURFACE_METRICS if key in keys]
    rows = []
    for arm in collected.params.arms:
        runs = collected.of_arm(arm)
        shown = [not math.isnan(run.metrics.get(key, math.nan)) for run in runs for key in measured]
        row: dict[str, object] = {"arm": arm, "n": len(runs), "surfaces": bool(runs) and all(shown)}
        for key in keys:
            values = values_of(collected, arm, key)
            mean, away = over(values, key), paired(values, values_of(collected, main_arm, key))
            row |= {f"{key}_mean": mean.value, f"{key}_std": float(values.std(ddof=1))}
            row |= _with_ends(key, mean) | {f"{key}_n": mean.seeds, f"{key}_difference": away.value}
            # of the main arm to itself there is nothing to estimate
            row |= _with_ends(f"{key}_difference", Over(0.0, None, 0) if arm == main_arm else away)
            row |= {f"{key}_pairs": away.seeds}
        row |= {name: _mean([float(getattr(run, name)) for run in runs]) for name in ("images_seen", "seconds")}
        rows.append(row)
    return pd.DataFrame(rows)


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


def snapshot_images(collected: Collected) -> list[int]:
    """On how many images the snapshots of the runs were measured, rising."""
    return sorted({int(count) for run in collected.runs for count in (run.curve["images"] if len(run.curve) else ())})


def training_table(collected: Collected) -> pd.DataFrame:
    """The logs of all runs, complete or not: training images in `images_seen`, wall time in `seconds`."""
    if not collected.logs:
        return pd.DataFrame(columns=LOG_COLUMNS)
    table = pd.concat(collected.logs, ignore_index=True)
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
    return pd.DataFrame(rows, columns=STAGE_COLUMNS)


def decimals(values: Iterable[float], key: str = "") -> int | None:
    """Digits behind the point for a column: three of the smallest value count, at most five of the largest.

    None stands for powers of ten, which very small numbers need. A share, which `key` may be the name of, has no more
    than four: it is of some hundreds or thousands of images.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes:
        return 2
    if bounds_of(key) == (0, 1):
        return min(SHARE_DIGITS, 2 - math.floor(math.log10(min(sizes))))
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
    # a spread a million times below the digits is rounding of equal values
    nothing = digits is not None and abs(value) < 10.0 ** (-digits - 6)
    if digits is None or nothing or any(letter in "123456789" for letter in text):
        return text
    return write_number(value, -math.floor(math.log10(abs(value))))


def write_interval(interval: tuple[float, float], digits: int | None, sign: bool = False) -> str:
    """Both ends with the digits of what lies between."""
    low, high = (write_number(end, digits, sign) for end in interval)
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


def _with_ends(name: str, estimate: Over) -> dict[str, object]:
    """The two columns of an interval."""
    low, high = estimate.ends
    return {f"{name}_low": low, f"{name}_high": high}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
