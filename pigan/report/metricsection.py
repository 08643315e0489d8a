"""The tables of metrics on the page: a row a metric, a column an arm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pigan.report.collect import Collected, Run
from pigan.report.metrics import (
    EXTRACTOR_NAMES,
    INVERSION,
    Metric,
    further_metrics,
    headline_metrics,
    metrics_of,
    notes_of,
    unmeasured,
)
from pigan.report.tables import decimals, write_interval, write_number, write_significant, write_spread
from pigan.report.verdict import listed, ranking

TITLES = {"image": "Image quality", "shape": "Shape and views", "other": "Other numbers"}


@dataclass(frozen=True)
class Cell:
    """One number of a table: its exact value, and how people read it."""

    metric: str
    arm: str
    value: str
    text: str
    seed: str = ""
    spread: str = ""
    interval: str = ""
    difference: str = ""
    best: bool = False


@dataclass(frozen=True)
class MetricRow:
    """A metric in a table: a number that accompanies it, the best arm, and a cell a column."""

    metric: Metric
    context: str
    best: str
    cells: list[Cell]


@dataclass(frozen=True)
class MetricTable:
    """Metrics that belong together."""

    title: str
    group: str
    rows: list[MetricRow]


def headline_tables(collected: Collected, ablation: pd.DataFrame) -> list[MetricTable]:
    """The main arm's most telling metrics, by group."""
    arms = [collected.params.report.main_arm]
    return _by_group(collected, ablation, headline_metrics(collected), arms)


def arm_tables(collected: Collected, ablation: pd.DataFrame) -> list[MetricTable]:
    """Every metric of the leading extractor and of shape by arm, by group."""
    return _by_group(collected, ablation, metrics_of(collected), list(collected.params.arms))


def further_tables(collected: Collected, ablation: pd.DataFrame) -> list[MetricTable]:
    """The image metrics of each further extractor by arm."""
    arms = list(collected.params.arms)
    return [
        MetricTable(EXTRACTOR_NAMES[extractor], extractor, metric_rows(collected, ablation, metrics, arms))
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
            digits = decimals(table[metric.key])
            rows.append(MetricRow(metric, "", "", [_run_cell(run, metric.key, digits) for run in collected.runs]))
        if rows:
            tables.append(MetricTable(title, group, rows))
    return tables


def metric_rows(
    collected: Collected, ablation: pd.DataFrame, metrics: Sequence[Metric], arms: Sequence[str]
) -> list[MetricRow]:
    """One row a metric: of each arm mean and spread over seeds, or one seed's interval; difference to the main arm."""
    rows = []
    for metric in metrics:
        order = ranking(metric, ablation)
        order = order if len(order) > 1 else []
        cells = [_arm_cell(collected, ablation, metric, arm, order) for arm in arms]
        rows.append(MetricRow(metric, context(collected, metric), order[0] if order else "", cells))
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
    fewer = any(note.startswith(f"{metric.context} is that of") for run in runs for note in notes_of(run.protocol))
    return f"{text} at {'fewer images, which makes it larger' if fewer else 'equal counts'}"


def unmeasured_sentence(collected: Collected) -> str:
    """Which metrics are null in all runs, and why; empty when none is."""
    parts = [f"{listed(labels)} ({reason.rstrip('.')})" for reason, labels in unmeasured(collected).items()]
    return f"Not measured: {'; '.join(parts)}." if parts else ""


def metric_note(metric: Metric) -> str:
    """Which way is better and what the number means, for the row's title."""
    side = {"lower": "Lower is better", "higher": "Higher is better", "neither": ""}[metric.better]
    return ": ".join(part for part in (side, metric.meaning) if part)


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
            tables.append(MetricTable(title, group, rows))
    return tables


def _arm_cell(collected: Collected, ablation: pd.DataFrame, metric: Metric, arm: str, order: list[str]) -> Cell:
    rows, main_arm = ablation.set_index("arm"), collected.params.report.main_arm
    digits = decimals(ablation[f"{metric.key}_mean"])
    mean, spread, away = (float(rows[f"{metric.key}_{part}"][arm]) for part in ("mean", "std", "difference"))
    interval = collected.first_seed(arm).intervals.get(metric.key) if len(collected.params.seeds) == 1 else None
    return Cell(
        metric=metric.key,
        arm=arm,
        value=exact(mean),
        text=write_number(mean, digits),
        spread="" if math.isnan(spread) else write_spread(spread, digits),
        interval="" if interval is None or math.isnan(mean) else write_interval(interval, digits),
        difference="" if arm == main_arm or math.isnan(away) else write_number(away, digits, sign=True),
        best=arm in order and mean == float(rows[f"{metric.key}_mean"][order[0]]),
    )


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
