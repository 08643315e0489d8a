"""What each section of the page shows, as plain values that the template lays out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pigan.config import Params
from pigan.report.collect import Collected
from pigan.report.protocol import flat
from pigan.report.tables import write_duration
from pigan.sections import Pretrained

# FID of pi-GAN at 128 x 128; the dataset's name, its figure, where it was read
PUBLISHED = {
    "celeba": ("CelebA", "14.7", "quoted by a later survey and by a public benchmark page"),
    "cats": ("Cats", "16.8", "the paper's CVPR page; another source says 16.6"),
    "carla": ("CARLA", "29.2", "quoted by a public benchmark page"),
}


@dataclass(frozen=True)
class Published:
    """A figure of the paper, kept apart from ours."""

    dataset: str
    fid: str
    source: str


@dataclass(frozen=True)
class CostRow:
    """What one arm cost; times are means over its complete runs, as many as `seeds`."""

    arm: str
    seeds: str
    parameters: str
    images_seen: str
    training: str
    speed: str
    sampling: str
    evaluation: str
    memory: str
    hardware: str


def arm_changes(params: Params, arm: str) -> list[str]:
    """What an arm changes in the base settings, as `key: base → arm`."""
    base = params.model_dump()
    return [f"{key}: {_at(base, key)} → {value}" for key, value in flat(params.arms[arm]).items()]


def started_from(params: Params) -> dict[str, Pretrained]:
    """The models that arms start from, by arm; without those of seeded weights."""
    starts = {arm: params.for_arm(arm).training.pretrained for arm in params.arms}
    return {arm: start for arm, start in starts.items() if start is not None}


def published(params: Params) -> Published | None:
    """The paper's figure that stands beside ours, when the params ask for one."""
    entry = PUBLISHED.get(params.report.published)
    return Published(*entry) if entry else None


def cost_rows(collected: Collected) -> list[CostRow]:
    """The cost table, one row an arm that has a complete run."""
    rows = []
    for arm in (arm for arm in collected.params.arms if collected.of_arm(arm)):
        runs = collected.of_arm(arm)
        images = float(np.mean([run.images_seen for run in runs]))
        seconds = float(np.mean([run.seconds for run in runs]))
        rates = [run.images_seen / run.seconds for run in runs if run.seconds > 0]
        sizes = runs[0].stages[-1].parameters
        memory = [stage.peak_memory_mb for run in runs for stage in run.stages if stage.peak_memory_mb is not None]
        speeds = [run.generated.images_per_second for run in runs if run.generated.images_per_second is not None]
        rows.append(
            CostRow(
                arm=arm,
                seeds=str(len(runs)),
                parameters=" + ".join(_count(size) for size in sizes.values()) or "–",
                images_seen=f"{images:,.0f}",
                training=write_duration(seconds),
                speed=f"{np.mean(rates):,.1f}" if rates else "–",
                sampling=f"{np.mean(speeds):,.1f}" if speeds else "–",
                evaluation=write_duration(float(np.mean([run.metrics.get("seconds", math.nan) for run in runs]))),
                memory=f"{max(memory):,.0f} MB" if memory else "–",
                hardware=", ".join(dict.fromkeys(run.stages[-1].device for run in runs)),
            )
        )
    return rows


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for key in path.split("."):
        # a part of a section that the base does without
        found = None if found is None else found[key]
    return found


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"
