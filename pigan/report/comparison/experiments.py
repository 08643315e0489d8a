"""Experiments side by side: what a metric is in each of them, and how far it is from the first one's."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from scipy.special import stdtrit

from pigan.evaluation.intervals import CONFIDENCE
from pigan.report.comparison.protocols import obstacles, protocol_of
from pigan.report.metrics import EXTRACTOR_NAMES, SURFACE_METRICS, Metric, image_metrics, shape_metrics
from pigan.report.seeds import Over, over, paired
from pigan.report.summary import RunSummary, Summary

# numbers that accompany a metric and are none themselves
BESIDE = re.compile(r"(fid_real|kid_std)_.+|empty_rays_real|.+_exact")


@dataclass(frozen=True)
class Entry:
    """One of the experiments, under the letter that the page calls it by."""

    letter: str
    path: Path
    summary: Summary
    protocol: dict[str, Any]

    @property
    def main(self) -> list[RunSummary]:
        """Runs of the main arm."""
        return self.summary.of_arm(self.summary.main_arm)


class Estimate(NamedTuple):
    """A metric of an arm: n seeds have a value; interval of 95 % over seeds, or within the run when n is 1."""

    n: int
    mean: float
    std: float
    low: float
    high: float


def entry(letter: str, path: Path, summary: Summary) -> Entry:
    """An experiment with the protocol of its main arm."""
    return Entry(letter, path, summary, protocol_of(summary, summary.main_arm))


def estimate(runs: Sequence[RunSummary], key: str) -> Estimate:
    """A metric over the runs that have it."""
    values = _values(runs, key)
    found = over(values, key)
    ends = found.ends
    if len(values) == 1:
        owner = next(run for run in runs if run.metrics.get(key) is not None)
        ends = owner.intervals.get(key, ends)
    return Estimate(len(values), found.value, float(values.std(ddof=1)), *ends)


def difference(first: Sequence[RunSummary], other: Sequence[RunSummary], key: str) -> Over:
    """A metric of `other` less that of `first`, with an interval of 95 %.

    Runs are paired when both have the same seeds; otherwise Welch's approximation of the degrees of freedom is used
    (B. L. Welch, Biometrika 34, 1947).
    """
    ours, theirs = _values(other, key), _values(first, key)
    if set(ours.index) == set(theirs.index):
        return paired(ours, theirs)
    mean = float(ours.mean() - theirs.mean())
    if min(len(ours), len(theirs)) < 2:
        return Over(mean, None, 1)
    parts = [float(side.var(ddof=1)) / len(side) for side in (ours, theirs)]
    spent = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (ours, theirs), strict=True))
    freedom = sum(parts) ** 2 / spent if spent else 1.0
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * math.sqrt(sum(parts))
    return Over(mean, (mean - half, mean + half), min(len(ours), len(theirs)))


def metrics_in(entries: Sequence[Entry]) -> dict[str, list[Metric]]:
    """Title -> the metrics that some main arm has a value of: of each extractor, of shape, others."""
    valued = dict.fromkeys(
        key for one in entries for run in one.main for key, value in run.metrics.items() if value is not None
    )
    groups = {
        f"Image quality, {EXTRACTOR_NAMES.get(name, name)} features": image_metrics(name)
        for name in dict.fromkeys(name for one in entries for name in one.summary.extractors)
    }
    groups["Shape and views"] = shape_metrics()
    named = {metric.key for metrics in groups.values() for metric in metrics}
    others = [key for key in valued if key not in named and not BESIDE.fullmatch(key)]
    groups["Other numbers"] = [Metric(key, key, "neither", "") for key in others]
    found = {title: [metric for metric in metrics if metric.key in valued] for title, metrics in groups.items()}
    return {title: metrics for title, metrics in found.items() if metrics}


def best_of(entries: Sequence[Entry], metric: Metric) -> list[Entry]:
    """The experiment with the best mean, and those that the seeds do not tell from it; empty when nothing is ranked.

    Where some have several seeds, one with a single seed is left out: it may have been lucky.
    """
    found = {one.letter: estimate(one.main, metric.key) for one in entries}
    several = any(one.n > 1 for one in found.values())
    order = [one for one in entries if ranked(entries, one, metric) and (found[one.letter].n > 1 or not several)]
    if metric.better == "neither" or len({found[one.letter].mean for one in order}) < 2:
        return []
    order.sort(key=lambda one: found[one.letter].mean, reverse=metric.better == "higher")
    best = order[0]
    if not several:
        return [one for one in order if found[one.letter].mean == found[best.letter].mean]
    return [one for one in order if not difference(best.main, one.main, metric.key).told_apart]


def ranked(entries: Sequence[Entry], one: Entry, metric: Metric) -> bool:
    """Whether a main arm takes part: it has a value, measured as the first one's, and surfaces if these are judged."""
    if math.isnan(estimate(one.main, metric.key).mean) or obstacles(metric.key, entries[0].protocol, one.protocol):
        return False
    return metric.group != "shape" or _has_surfaces(entries, one)


def _has_surfaces(entries: Sequence[Entry], one: Entry) -> bool:
    """Whether no main run lacks a metric of surfaces that others have; what its version did not know is not lacking."""
    known = [key for key in SURFACE_METRICS if any(estimate(other.main, key).n for other in entries)]
    return all(run.metrics.get(key, 0.0) is not None for run in one.main for key in known)


def _values(runs: Sequence[RunSummary], key: str) -> "pd.Series[Any]":
    """The values by seed of the runs that have one."""
    return pd.Series({run.seed: value for run in runs if (value := run.metrics.get(key)) is not None}, dtype=float)
