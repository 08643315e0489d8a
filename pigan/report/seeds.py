"""Statistics over seeds: means with Student's t-interval of 95 %, and differences paired by seed."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from pigan.evaluation.intervals import Interval, bounded, mean_of
from pigan.report.collect import Collected


class Over(NamedTuple):
    """A mean over `seeds` seeds and its interval, which takes two of them; not-a-number when there is none."""

    value: float
    interval: Interval | None
    seeds: int

    @property
    def ends(self) -> Interval:
        """The interval, or twice not-a-number."""
        return self.interval or (float("nan"), float("nan"))

    @property
    def told_apart(self) -> bool:
        """Whether the seeds tell the value from zero: it has an interval, and that does not hold zero."""
        low, high = self.ends
        return low > 0 or high < 0


def values_of(collected: Collected, arm: str, key: str) -> "pd.Series[Any]":
    """The values of a metric in the complete runs of an arm, by seed; runs in which it is null are left out."""
    values = {run.seed: run.metrics.get(key, float("nan")) for run in collected.of_arm(arm)}
    return pd.Series(values, dtype=float).dropna()


def over(values: "pd.Series[Any]", key: str = "") -> Over:
    """Mean over seeds: how far it would move if the same arm were trained with other seeds.

    The interval ends where the metric called `key` does: a share is within 0..1.
    """
    known = values.dropna()
    estimate = mean_of(known.to_numpy(dtype=float))
    if estimate is None:
        return Over(float("nan"), None, 0)
    ends = estimate.interval
    return Over(estimate.value, ends and bounded(ends, key), len(known))


def paired(values: "pd.Series[Any]", others: "pd.Series[Any]") -> Over:
    """Mean of `values` less `others`, seed by seed: only seeds that both have count.

    Runs of one seed see the same batches, latents and poses, and start from the same weights where their generators are
    alike, so that some of what a seed does to both arms cancels.
    """
    both = values.index.intersection(others.index)
    return over(values[both] - others[both])


def difference(collected: Collected, key: str, arm: str, other: str) -> Over:
    """`arm` less `other` on a metric, paired by seed."""
    return paired(values_of(collected, arm, key), values_of(collected, other, key))


def several_seeds(collected: Collected) -> bool:
    """Whether some arm has two complete runs or more."""
    return any(len(collected.of_arm(arm)) > 1 for arm in collected.params.arms)


def count_text(count: int) -> str:
    """How a number of complete runs is written beside an arm."""
    return {0: "no complete run", 1: "one seed"}.get(count, f"n = {count}")


def counts(collected: Collected) -> dict[str, str]:
    """Of each arm, how many of its runs the numbers are over."""
    return {arm: count_text(len(collected.of_arm(arm))) for arm in collected.params.arms}


def seeds_text(numbers: Iterable[int]) -> str:
    """`3 seeds`, or `2 to 3 seeds` when they are not equal."""
    low, high = min(known := list(numbers)), max(known)
    return f"{high} seed{'s' if high > 1 else ''}" if low == high else f"{low} to {high} seeds"
