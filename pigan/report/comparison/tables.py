"""What the comparison of experiments shows: their numbers side by side, and where params and protocols differ."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pigan.report.comparison.experiments import Entry, best_of, difference, estimate, metrics_in
from pigan.report.comparison.protocols import UNSTATED, differing_fields, effect_of, field_name, obstacles, protocol_of
from pigan.report.metrics import (
    HEADLINE_SHAPE,
    SENTENCE,
    Metric,
)
from pigan.report.seeds import Over
from pigan.report.summary import RunSummary
from pigan.report.tables import decimals, write_duration, write_interval, write_number, write_spread

# settings that only name an experiment
NAMING = ("experiment", "report.title", "report.subtitle")
ABSENT = "–"


@dataclass(frozen=True)
class Number:
    """A cell: how people read it; `apart` says why it cannot be compared with the first experiment's, or is empty."""

    value: str = ""
    text: str = ABSENT
    n: str = ""
    spread: str = ""
    interval: str = ""
    difference: str = ""
    beyond: bool = False
    best: bool = False
    apart: str = ""


class Row(NamedTuple):
    """A metric and its cell in each experiment."""

    metric: Metric
    cells: list[Number]


class Table(NamedTuple):
    """Metrics that belong together."""

    title: str
    rows: list[Row]


def metric_tables(entries: Sequence[Entry]) -> list[Table]:
    """The main arms' metrics, a column an experiment."""
    return [
        Table(title, [Row(metric, _cells(entries, metric)) for metric in metrics])
        for title, metrics in metrics_in(entries).items()
    ]


def arm_table(entries: Sequence[Entry]) -> tuple[list[Metric], list[tuple[Entry, list[tuple[str, int, list[Number]]]]]]:
    """The most telling metrics of all arms: the columns, and of each experiment its arms with seeds and cells."""
    lead = entries[0].summary.extractors[0]
    keys = [*(f"{stem}_{lead}" for stem in SENTENCE), *HEADLINE_SHAPE]
    columns = [metric for metrics in metrics_in(entries).values() for metric in metrics if metric.key in keys]
    arms = [(one, arm) for one in entries for arm in one.summary.arms]
    digits = {
        metric.key: decimals((estimate(one.summary.of_arm(arm), metric.key).mean for one, arm in arms), metric.key)
        for metric in columns
    }
    groups = []
    for one in entries:
        rows = []
        for arm in one.summary.arms:
            runs, protocol = one.summary.of_arm(arm), protocol_of(one.summary, arm)
            cells = [_number(runs, metric, digits[metric.key], entries[0].protocol, protocol) for metric in columns]
            rows.append((arm, len(runs), cells))
        groups.append((one, rows))
    return columns, groups


def params_rows(entries: Sequence[Entry]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all experiments, arms included, with their value in each."""
    levels = [_leaves(one.summary.params) for one in entries]
    keys = dict.fromkeys(key for level in levels for key in level if key not in NAMING)
    rows = [(key, [plain(level[key]) if key in level else ABSENT for level in levels]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def protocol_rows(entries: Sequence[Entry]) -> list[tuple[str, list[str], str, bool]]:
    """Protocol fields in which the main arms differ: name, values, what can be compared all the same, a warning."""
    protocols = [one.protocol for one in entries]
    rows = []
    for key in differing_fields(protocols):
        effect, stated = effect_of(key), {repr(own[key]) for own in protocols if key in own}
        told = effect.leaves if len(stated) > 1 else "everything, if it was the same"
        values = [plain(own.get(key, UNSTATED)) for own in protocols]
        rows.append((field_name(key), values, told, len(stated) > 1 and bool(effect.metrics)))
    return sorted(rows, key=lambda row: not row[3])


def cost_rows(entries: Sequence[Entry]) -> list[tuple[str, str, list[str]]]:
    """Letter and arm, and what it took: means over seeds, as texts in the order of the page's columns."""
    rows = []
    for one in entries:
        for arm in one.summary.arms:
            costs = [run.costs for run in one.summary.of_arm(arm)]
            images, seconds = (
                float(np.mean([getattr(own, key) for own in costs])) for key in ("images_seen", "train_seconds")
            )
            sampling, evaluation, memory = (
                [value for own in costs if (value := getattr(own, key)) is not None]
                for key in ("sampling_images_per_second", "evaluate_seconds", "peak_memory_mb")
            )
            texts = [" + ".join(f"{size:,}" for size in costs[0].parameters.values()) or ABSENT, f"{images:,.0f}"]
            texts += [write_duration(seconds), f"{images / seconds:,.1f}" if seconds > 0 else ABSENT]
            texts += [f"{np.mean(sampling):,.1f}" if sampling else ABSENT]
            texts += [write_duration(float(np.mean(evaluation))) if evaluation else ABSENT]
            texts += [f"{max(memory):,.0f} MB" if memory else ABSENT]
            rows.append((one.letter, arm, [*texts, ", ".join(dict.fromkeys(own.device for own in costs))]))
    return rows


def long_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """comparison.csv: a row an experiment x arm x metric; differences are those of the main arms to the first."""
    rows = []
    metrics = [metric for group in metrics_in(entries).values() for metric in group]
    for one in entries:
        for arm in one.summary.arms:
            runs, protocol = one.summary.of_arm(arm), protocol_of(one.summary, arm)
            main = arm == one.summary.main_arm
            for metric in metrics:
                found = estimate(runs, metric.key)
                reasons = obstacles(metric.key, entries[0].protocol, protocol)
                away = Over(math.nan, None, 0)
                if main and one is not entries[0] and not reasons:
                    away = difference(entries[0].main, runs, metric.key)
                row: dict[str, Any] = {"letter": one.letter, "experiment": one.summary.experiment}
                row |= {"commit": one.summary.commit, "dirty": one.summary.dirty, "date": one.summary.date}
                row |= {"arm": arm, "main": main, "metric": metric.key, **found._asdict()}
                row |= {"interval_of": {0: None, 1: "run"}.get(found.n, "seeds")}
                row |= {"differs_in": " ".join(reasons), "difference": away.value}
                rows.append(row | {"difference_low": away.ends[0], "difference_high": away.ends[1]})
    return pd.DataFrame(rows)


def plain(value: Any) -> str:
    """A setting as params.yaml would have it, on one line."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Mapping) and set(value) == {"runs"}:
        return f"by seed: {', '.join(map(plain, value['runs']))}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(part)}" for key, part in value.items()) or "no changes"
    if isinstance(value, list):
        return ", ".join(f"({plain(part)})" if isinstance(part, Mapping | list) else plain(part) for part in value)
    return str(value)


def _cells(entries: Sequence[Entry], metric: Metric) -> list[Number]:
    """A metric of all main arms: the best of those that can be compared with the first is marked."""
    digits = decimals((estimate(one.main, metric.key).mean for one in entries), metric.key)
    first = entries[0]
    cells = [_number(one.main, metric, digits, first.protocol, one.protocol) for one in entries]
    best = best_of(entries, metric)
    shown = []
    for one, cell in zip(entries, cells, strict=True):
        away = difference(first.main, one.main, metric.key)
        told = one is not first and not cell.apart and not math.isnan(away.value)
        ends = "" if away.interval is None else f" {write_interval(away.interval, digits, sign=True)}"
        text = f"{write_number(away.value, digits, sign=True)}{ends}" if told else ""
        shown.append(replace(cell, difference=text, beyond=told and away.told_apart, best=one in best))
    return shown


def _number(
    runs: Sequence[RunSummary], metric: Metric, digits: int | None, first: Mapping[str, Any], own: Mapping[str, Any]
) -> Number:
    found = estimate(runs, metric.key)
    if not found.n:
        return Number()
    apart = [field_name(key) for key in obstacles(metric.key, first, own)]
    interval = "" if math.isnan(found.low) else write_interval((found.low, found.high), digits)
    return Number(
        value=repr(found.mean),
        text=write_number(found.mean, digits),
        n=f"{found.n} of {len(runs)} seeds" if found.n < len(runs) else "",
        spread="" if math.isnan(found.std) else write_spread(found.std, digits),
        interval=interval,
        apart="; ".join(apart),
    )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level; an empty one is a leaf too, as an arm without changes is."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= _leaves(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return found
