"""A model that comes with pigan, shown beside the experiment's main arm: never ranked, never mixed with its numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pigan.report import embed
from pigan.report.collect import Collected, read_metrics
from pigan.report.comparison.protocols import field_name, merged_protocols, obstacles
from pigan.report.metrics import headline_metrics
from pigan.report.metricsection import MetricRow, exact, metric_rows
from pigan.report.protocol import without_own
from pigan.report.tables import decimals, write_number
from pigan.report.words import listed
from pigan.synthesis.exported import PICTURE
from pigan.synthesis.released import METRICS, TrainingFacts, released_folder, released_training

# bytes of its picture in the page
LARGEST = 300_000
# relative difference of floors of FID, which depend on real images alone; of other images they differ by per cents
ALIKE = 1e-4
# of a protocol: digests of real images and of their depth
IMAGES, DEPTH = "dataset_sha256", "depth_sha256"


@dataclass(frozen=True)
class Beside:
    """A released model's block: title, the main arm's headline rows, each with the model's value, and its picture.

    `apart` says which metrics are left out, because they were measured otherwise, or why there are none.
    """

    name: str
    title: str
    rows: list[tuple[MetricRow, str, str]]
    """Main arm's row; the model's exact value; and as people read it."""
    apart: str
    picture: dict[str, Any] | None


def beside(collected: Collected, ablation: pd.DataFrame) -> Beside | None:
    """What `report.released` asks for; None when it asks for nothing.

    Raises:
        PiganError: no such model comes with this pigan, or a file of it is damaged.
    """
    name = collected.params.report.released
    if name is None:
        return None
    folder = released_folder(name)
    training, path = released_training(name), folder / PICTURE
    title = f"Beside it: {name}{f', trained on {_trained(training)}' if training else ''}"
    picture = embed.sized_picture(path, LARGEST) if path.is_file() else None
    if not (folder / METRICS).is_file():
        return Beside(name, title, [], f"No figures of {name} came with it.", picture)
    numbers, evaluated = read_metrics(folder / METRICS)
    rows, apart = _rows(collected, ablation, numbers, evaluated.protocol)
    return Beside(name, title, rows, apart, picture)


def _trained(training: TrainingFacts) -> str:
    """`2 × GPU for 31 minutes (5,400,000 images)`."""
    minutes = max(1, round(training.seconds / 60))
    told = f"{minutes:,} minute{'s' if minutes > 1 else ''}"
    return f"{training.machine} for {told} ({training.images_seen:,} images)"


def _rows(
    collected: Collected, ablation: pd.DataFrame, numbers: Mapping[str, float], protocol: Mapping[str, Any]
) -> tuple[list[tuple[MetricRow, str, str]], str]:
    """The headline metrics that both have and that were measured alike, and in words what is not shown."""
    main = collected.params.report.main_arm
    ours = merged_protocols([without_own(run.protocol) for run in collected.of_arm(main)])
    theirs = merged_protocols([without_own(protocol)])
    told = []
    if theirs.get(IMAGES) != ours.get(IMAGES) and _same_but_for_rounding(collected, numbers, ours, theirs):
        # what only one states is no obstacle
        theirs.pop(IMAGES, None)
        told.append("Its real images differ from these by roundings alone: depth and floor of FID are the same.")
    shown, hidden = [], []
    fields: dict[str, None] = {}
    for row in metric_rows(collected, ablation, headline_metrics(collected), [main]):
        metric, value = row.metric, numbers.get(row.metric.key, math.nan)
        if math.isnan(value) or not row.cells[0].value:
            continue
        if reasons := obstacles(metric.key, ours, theirs):
            hidden.append(metric.in_text)
            fields |= dict.fromkeys(map(field_name, reasons))
        else:
            shown.append(
                (row, exact(value), write_number(value, decimals([value, float(row.cells[0].value)], row.metric.key)))
            )
    if hidden:
        whole = "No figure is" if not shown else f"Its {listed(hidden)} {'are' if len(hidden) > 1 else 'is'} not"
        told.append(f"{whole} shown, because it was measured otherwise. These differ: {listed(list(fields))}.")
    elif not shown:
        told.append("No figure of it was measured in this experiment too.")
    return shown, " ".join(told)


def _same_but_for_rounding(
    collected: Collected, numbers: Mapping[str, float], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> bool:
    """Whether real images are the same renderings: the embedded cars once had last bits of the processor's own."""
    params = collected.params
    floor = f"fid_real_{params.evaluate.extractor}"
    floors = [run.metrics.get(floor, math.nan) for run in collected.of_arm(params.report.main_arm)]
    same_depth = ours.get(DEPTH) is not None and ours.get(DEPTH) == theirs.get(DEPTH)
    return same_depth and all(math.isclose(own, numbers.get(floor, math.nan), rel_tol=ALIKE) for own in floors)
