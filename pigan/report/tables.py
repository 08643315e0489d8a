"""Tables of the report, and how their numbers are written for people."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pigan.report.collect import Collected

EXTRACTOR_NAMES = {"efficientnet_lite0": "EfficientNet-Lite0", "inception": "Inception-v3"}

DEPTH_METRICS = ("reprojection_error", "depth_consistency", "depth_variance")

LOG_COLUMNS = ["arm", "seed", "resolution", "step", "global_step", "images_seen", "seconds"]


@dataclass(frozen=True)
class Metric:
    """A column of the tables: its key, what people call it, which way is better, what it says."""

    key: str
    label: str
    better: Literal["lower", "higher", "neither"]
    meaning: str

    @property
    def arrow(self) -> str:
        """Points to the better side."""
        return {"lower": "↓", "higher": "↑", "neither": ""}[self.better]


def known_metrics(extractor: str) -> list[Metric]:
    """The metrics that every evaluation writes; those of image features carry the extractor in their key."""
    return [
        Metric(f"fid_{extractor}", "FID", "lower", "distance between real and generated feature distributions"),
        Metric(f"kid_{extractor}", "KID", "lower", "kernel distance between real and generated features"),
        Metric(f"precision_{extractor}", "Precision", "higher", "share of generated images that look real"),
        Metric(f"recall_{extractor}", "Recall", "higher", "share of real images that the generator can reach"),
        Metric(
            "reprojection_error",
            "Reprojection error",
            "lower",
            "squared colour difference when one view predicts the next",
        ),
        Metric(
            "depth_consistency",
            "Depth consistency",
            "lower",
            "gap between surfaces of adjacent views, share of the depth range",
        ),
        Metric(
            "depth_variance", "Depth variance", "lower", "spread of density along a ray, × 10⁴: low is a sharp surface"
        ),
    ]


def metrics_of(collected: Collected) -> list[Metric]:
    """Known metrics that some run has, then any further number of metrics.json under its own name."""
    extractor = collected.params.evaluate.extractor
    known = known_metrics(extractor)
    present = {key: None for run in collected.runs for key in run.metrics}
    hidden = {metric.key for metric in known} | {"seconds", f"kid_std_{extractor}"}
    further = [Metric(key, key, "neither", "") for key in present if key not in hidden]
    return [metric for metric in known if metric.key in present] + further


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
    """One row an arm: n seeds, and of each metric mean, standard deviation over seeds, difference to the main arm."""
    table = metrics_table(collected)
    main_arm = collected.params.report.main_arm
    groups = table.groupby("arm", sort=False)
    parts: dict[str, pd.Series[Any]] = {"n": groups.size()}
    for metric in metrics_of(collected):
        mean = groups[metric.key].mean()
        parts[f"{metric.key}_mean"] = mean
        parts[f"{metric.key}_std"] = groups[metric.key].std(ddof=1)
        parts[f"{metric.key}_difference"] = mean - mean[main_arm]
    parts["images_seen"] = groups["images_seen"].mean()
    parts["seconds"] = groups["train_seconds"].mean()
    return pd.DataFrame(parts).reset_index()


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
