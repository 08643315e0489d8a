"""The tables of metrics on the page: a row a metric, a column an arm."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pigan.report.collect import Collected, Run
from pigan.report.metrics import (
    EXTRACTOR_NAMES,
    INVERSION,
    Metric,
    at_fewer,
    further_metrics,
    headline_metrics,
    metrics_of,
    unmeasured,
)
from pigan.report.ranking import leaders
from pigan.report.seeds import counts, several_seeds
from pigan.report.tables import decimals, write_interval, write_number, write_significant, write_spread
from pigan.report.words import listed

# so many arms that are not told apart are named; more are counted
NAMED = 2
# of a metric's columns in the ablation table, what a cell shows
PARTS = ("mean", "std", "n", "low", "high", "difference", "difference_low", "difference_high")

TITLES = {"image": "Image quality", "shape": "Shape and views", "other": "Other numbers"}


@dataclass(frozen=True)
class Cell:
    """One number of a table: its exact value, and how people read it.

    `interval` is that over seeds where several were trained, else the one within the run; `count` says behind how many
    seeds it stands when these are fewer than the arm's; `difference` is paired by seed, with its interval.
    """

    metric: str
    arm: str
    value: str
    text: str
    seed: str = ""
    spread: str = ""
    interval: str = ""
    difference: str = ""
    best: bool = False
    count: str = ""


@dataclass(frozen=True)
class MetricRow:
    """A metric in a table: a number that accompanies it, which arm is best, and a cell a column."""

    metric: Metric
    context: str
    best: str
    cells: list[Cell]
    lead: str = ""
    """The number of the arm that comes first, where that is not among the cells."""


@dataclass(frozen=True)
class MetricTable:
    """Metrics that belong together; `counts` says of each arm how many complete runs it has."""

    title: str
    group: str
    rows: list[MetricRow]
    counts: dict[str, str] = field(default_factory=dict)


def headline_tables(collected: Collected, ablation: pd.DataFrame) -> list[MetricTable]:
    """The main arm's most telling metrics, by group."""
    arms = [collected.params.report.main_arm]
    return _by_group(collected, ablation, headline_metrics(collected), arms)


def arm_tables(collected: Collected, ablation: pd.DataFrame) -> list[MetricTable]:
    """Every metric of the leading extractor and of shape by arm, by group."""
    return _by_group(collected, ablation, metrics_of(collected), list(collected.params.arms))


def further_tables(collected: Collected, ablation: pd.DataFrame) -> list[MetricTable]:
    """The image metrics of each further extractor by arm."""
    arms, seeds = list(collected.params.arms), counts(collected)
    return [
        MetricTable(EXTRACTOR_NAMES[extractor], extractor, metric_rows(collected, ablation, metrics, arms), seeds)
        for extractor, metrics in further_metrics(collected).items()
    ]


def inversion_rows(collected: Collected, ablation: pd.DataFrame) -> list[MetricRow]:
    """What was measured on the main arm's inverted views."""
    metrics = [metric for metric in metrics_of(collected) if metric.key in INVERSION]
    return metric_rows(collected, ablation, metrics, [collected.params.report.main_arm])


def seed_tables(collected: Collected, table: pd.DataFrame) -> list[MetricTable]:
    """Every metric of every run, by group; the columns of the cells are the runs in their order."""
    tables = []
    for group, title in TITLES.items():
        rows = []
        for metric in (metric for metric in metrics_of(collected) if metric.group == group):
            digits = decimals(table[metric.key], metric.key)
            rows.append(MetricRow(metric, "", "", [_run_cell(run, metric.key, digits) for run in collected.runs]))
        if rows:
            tables.append(MetricTable(title, group, rows))
    return tables


def metric_rows(
    collected: Collected, ablation: pd.DataFrame, metrics: Sequence[Metric], arms: Sequence[str]
) -> list[MetricRow]:
    """One row a metric: of each arm what the seeds say, or one seed's interval; paired difference to the main arm."""
    rows = []
    for metric in metrics:
        first = leaders(collected, metric, ablation)
        cells = [_arm_cell(collected, ablation, metric, arm, first) for arm in arms]
        rows.append(
            MetricRow(metric, context(collected, metric), _best(first), cells, _lead(ablation, metric, first, arms))
        )
    return rows


def context(collected: Collected, metric: Metric) -> str:
    """The number that stands beside a metric, of the main arm's runs; empty when there is none."""
    runs = collected.of_arm(collected.params.report.main_arm)
    values = [value for run in runs if not math.isnan(value := run.metrics.get(metric.context, math.nan))]
    if not values:
        return ""
    text = f"{metric.context_label} {write_significant(sum(values) / len(values))}"
    if metric.group != "image":
        return text
    return f"{text} at {'fewer images, which makes it larger' if at_fewer(runs, metric.context) else 'equal counts'}"


def unmeasured_sentence(collected: Collected) -> str:
    """Which metrics are null in all runs, and why; empty when none is."""
    parts = [f"{listed(labels)} ({reason.rstrip('.')})" for reason, labels in unmeasured(collected).items()]
    return f"Not measured: {'; '.join(parts)}." if parts else ""


def exact(value: float) -> str:
    """The value as the CSV files write it; empty for not-a-number."""
    return "" if math.isnan(value) else repr(float(value))


def _by_group(
    collected: Collected, ablation: pd.DataFrame, metrics: Sequence[Metric], arms: Sequence[str]
) -> list[MetricTable]:
    tables = []
    for group, title in TITLES.items():
        rows = metric_rows(collected, ablation, [metric for metric in metrics if metric.group == group], arms)
        if rows:
            tables.append(MetricTable(title, group, rows, counts(collected)))
    return tables


def _best(first: Sequence[str]) -> str:
    """The best arm, or which or how many are not told apart at the top."""
    if len(first) > NAMED:
        return f"{len(first)} arms not told apart"
    return first[0] if len(first) == 1 else f"{listed(first)} not told apart" if first else ""


def _lead(ablation: pd.DataFrame, metric: Metric, first: Sequence[str], arms: Sequence[str]) -> str:
    """`112`, or `relu-pe 112` where others are not told apart from it; empty if a cell has it."""
    if not first or first[0] in arms:
        return ""
    means = ablation.set_index("arm")[f"{metric.key}_mean"]
    value = write_number(float(means[first[0]]), decimals(means, metric.key))
    return value if len(first) == 1 else f"{first[0]} {value}"


def _arm_cell(collected: Collected, ablation: pd.DataFrame, metric: Metric, arm: str, first: list[str]) -> Cell:
    key, place = metric.key, int((ablation["arm"] == arm).to_numpy().argmax())
    # only this metric's columns: a table of many arms and metrics has hundreds
    row = {name: ablation[name].iloc[place] for name in ("n", *(f"{key}_{part}" for part in PARTS))}
    digits = decimals(ablation[f"{key}_mean"], key)
    mean, spread = float(row[f"{key}_mean"]), float(row[f"{key}_std"])
    fewer = 0 < int(row[f"{key}_n"]) < int(row["n"])
    return Cell(
        metric=key,
        arm=arm,
        value=exact(mean),
        text=write_number(mean, digits),
        spread="" if math.isnan(spread) else write_spread(spread, digits),
        interval="" if math.isnan(mean) else _interval(collected, row, arm, key, digits),
        difference="" if arm == collected.params.report.main_arm else _difference(row, key, digits),
        best=arm in first,
        count=f"n = {int(row[f'{key}_n'])}" if fewer else "",
    )


def _interval(collected: Collected, row: Mapping[str, Any], arm: str, key: str, digits: int | None) -> str:
    """The interval of the mean over seeds; where no arm has several, the one within the arm's run.

    Of seeds that agree to the last digit there is none: a share of 0 twice does not make it sure.
    """
    low, high = float(row[f"{key}_low"]), float(row[f"{key}_high"])
    if several_seeds(collected):
        return write_interval((low, high), digits) if low < high else ""
    within = collected.of_arm(arm)[0].intervals.get(key)
    return write_interval(within, digits) if within else ""


def _difference(row: Mapping[str, Any], key: str, digits: int | None) -> str:
    """The difference to the main arm, and behind it its interval."""
    away = float(row[f"{key}_difference"])
    if math.isnan(away):
        return ""
    low, high = float(row[f"{key}_difference_low"]), float(row[f"{key}_difference_high"])
    more = f" {write_interval((low, high), digits, sign=True)}" if low < high else ""
    return f"{write_number(away, digits, sign=True)}{more}"


def _run_cell(run: Run, key: str, digits: int | None) -> Cell:
    value, interval = run.metrics.get(key, math.nan), run.intervals.get(key)
    return Cell(
        metric=key,
        arm=run.arm,
        seed=str(run.seed),
        value=exact(value),
        text=write_number(value, digits),
        interval="" if interval is None or math.isnan(value) else write_interval(interval, digits),
    )
