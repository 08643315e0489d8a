"""What each section of the page shows, as plain values that the template lays out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pigan.config import Params
from pigan.report.collect import Collected
from pigan.report.tables import Metric, decimals, metrics_of, write_duration, write_number, write_spread
from pigan.report.verdict import ranking

# FID of pi-GAN at 128 x 128; the dataset's name, its figure, where it was read
PUBLISHED = {
    "celeba": ("CelebA", "14.7", "quoted by a later survey and by a public benchmark page"),
    "cats": ("Cats", "16.8", "the paper's CVPR page; another source says 16.6"),
    "carla": ("CARLA", "29.2", "quoted by a public benchmark page"),
}

PROTOCOL_NAMES = {
    "protocol": "Protocol",
    "extractor": "Feature extractor",
    "resolution": "Image side, pixels",
    "filter": "Resize filter",
    "align_corners": "Opening angle spans pixel centres",
    "depth_scale": "Depth range, world units",
    "real_images": "Real images",
    "fake_images": "Generated images",
    "truncation": "Truncation ψ",
    "weights": "Generator weights",
    "kid_subsets": "KID subsets",
    "kid_subset_size": "Images in a KID subset",
    "neighbours": "Neighbours of precision and recall",
    "seed": "Seed of the subsets",
    "torch": "PyTorch",
    "torch_fidelity": "torch-fidelity",
    "device": "Device",
    "weights_sha256": "Extractor weights, SHA-256",
    "dataset_sha256": "Dataset, SHA-256",
    "notes": "Notes",
}


@dataclass(frozen=True)
class Cell:
    """One number of a table: its exact value, and how people read it."""

    metric: str
    value: str
    text: str
    spread: str = ""
    difference: str = ""
    best: bool = False


@dataclass(frozen=True)
class Published:
    """A figure of the paper, kept apart from ours."""

    dataset: str
    fid: str
    source: str


@dataclass(frozen=True)
class ArmRow:
    """An arm in the ablation table."""

    arm: str
    main: bool
    changes: list[str]
    cells: list[Cell]


@dataclass(frozen=True)
class CostRow:
    """What one arm cost; times are means over seeds."""

    arm: str
    parameters: str
    images_seen: str
    training: str
    speed: str
    sampling: str
    evaluation: str
    memory: str
    hardware: str


def exact(value: float) -> str:
    """The value as the CSV files write it; empty for not-a-number."""
    return "" if math.isnan(value) else repr(float(value))


def metric_cells(collected: Collected, ablation: pd.DataFrame, arm: str) -> list[Cell]:
    """One cell a metric: mean and spread over seeds of an arm, difference to the main arm, best one marked."""
    rows = ablation.set_index("arm")
    cells = []
    for metric in metrics_of(collected):
        digits = decimals(ablation[f"{metric.key}_mean"])
        mean = float(rows[f"{metric.key}_mean"][arm])
        spread = float(rows[f"{metric.key}_std"][arm])
        away = float(rows[f"{metric.key}_difference"][arm])
        order = ranking(metric, ablation)
        cells.append(
            Cell(
                metric=metric.key,
                value=exact(mean),
                text=write_number(mean, digits),
                spread="" if math.isnan(spread) else write_spread(spread, digits),
                difference="" if arm == collected.params.report.main_arm else write_number(away, digits, sign=True),
                best=len(order) > 1 and mean == float(rows[f"{metric.key}_mean"][order[0]]),
            )
        )
    return cells


def arm_rows(collected: Collected, ablation: pd.DataFrame) -> list[ArmRow]:
    """The ablation table, in the order of the params."""
    params = collected.params
    return [
        ArmRow(arm, arm == params.report.main_arm, arm_changes(params, arm), metric_cells(collected, ablation, arm))
        for arm in params.arms
    ]


def seed_rows(collected: Collected, table: pd.DataFrame) -> list[tuple[str, int, list[Cell]]]:
    """Arm, seed and one cell a metric, for every run."""
    metrics = metrics_of(collected)
    rows = []
    for _, row in table.iterrows():
        cells = []
        for metric in metrics:
            value = float(row[metric.key])
            cells.append(Cell(metric.key, exact(value), write_number(value, decimals(table[metric.key]))))
        rows.append((str(row["arm"]), int(row["seed"]), cells))
    return rows


def best_arms(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """The best arm on each metric; empty text where no arm is better."""
    orders = [ranking(metric, ablation) for metric in metrics_of(collected)]
    return [order[0] if len(order) > 1 else "" for order in orders]


def arm_changes(params: Params, arm: str) -> list[str]:
    """What an arm changes in the base settings, as `key: base → arm`."""
    base = params.model_dump()
    return [f"{key}: {_at(base, key)} → {value}" for key, value in _flat(params.arms[arm]).items()]


def published(params: Params) -> Published | None:
    """The paper's figure that stands beside ours, when the params ask for one."""
    entry = PUBLISHED.get(params.report.published)
    return Published(*entry) if entry else None


def cost_rows(collected: Collected) -> list[CostRow]:
    """The cost table, one row an arm."""
    rows = []
    for arm in collected.params.arms:
        runs = collected.of_arm(arm)
        images = float(np.mean([run.images_seen for run in runs]))
        seconds = float(np.mean([run.seconds for run in runs]))
        sizes = runs[0].stages[-1].parameters
        memory = [stage.peak_memory_mb for run in runs for stage in run.stages if stage.peak_memory_mb is not None]
        speeds = [run.generated.images_per_second for run in runs if run.generated.images_per_second is not None]
        rows.append(
            CostRow(
                arm=arm,
                parameters=" + ".join(_count(size) for size in sizes.values()) or "–",
                images_seen=f"{images:,.0f}",
                training=write_duration(seconds),
                speed=f"{images / seconds:,.1f}" if seconds > 0 else "–",
                sampling=f"{np.mean(speeds):,.1f}" if speeds else "–",
                evaluation=write_duration(float(np.mean([run.metrics.get("seconds", math.nan) for run in runs]))),
                memory=f"{max(memory):,.0f} MB" if memory else "–",
                hardware=", ".join(dict.fromkeys(run.stages[-1].device for run in runs)),
            )
        )
    return rows


def protocol_rows(collected: Collected) -> list[tuple[str, str]]:
    """How the metrics were measured; a field that differs between runs lists them."""
    keys = {key: None for run in collected.runs for key in run.protocol if key != "checkpoint_sha256"}
    ordered = [key for key in PROTOCOL_NAMES if key in keys] + [key for key in keys if key not in PROTOCOL_NAMES]
    rows = []
    for key in ordered:
        values = {f"{run.arm}/seed{run.seed}": _plain(run.protocol.get(key)) for run in collected.runs}
        several = len(set(values.values())) > 1
        text = "; ".join(f"{run}: {value}" for run, value in values.items()) if several else next(iter(values.values()))
        rows.append((PROTOCOL_NAMES.get(key, key), text))
    return rows


def metric_note(metric: Metric) -> str:
    """Which way is better and what the number means, for the column's title."""
    side = {"lower": "Lower is better", "higher": "Higher is better", "neither": ""}[metric.better]
    return f"{side}: {metric.meaning}" if side else metric.meaning


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for key in path.split("."):
        found = found[key]
    return found


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return "–" if value is None else str(value)


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"
