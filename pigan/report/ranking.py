"""Which arms come first on a metric, as far as the seeds tell."""

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.metrics import Metric, metrics_of, sentence_keys
from pigan.report.seeds import difference, several_seeds


def ranking(metric: Metric, ablation: pd.DataFrame) -> list[str]:
    """Arms from best to worst by their mean over seeds; empty when the metric has no better side or all are equal.

    An arm that shows no surfaces, with some seed, is left out of all metrics of shape: nothing is as sharp and as
    consistent as nothing. Where some arm has several seeds, an arm with one is left out: it may have been lucky.
    """
    if metric.better == "neither":
        return []
    rows = ablation.set_index("arm")
    if metric.group == "shape":
        rows = rows[rows["surfaces"]]
    counted = rows[f"{metric.key}_n"]
    if (ablation[f"{metric.key}_n"] > 1).any():
        rows = rows[counted > 1]
    column = rows[f"{metric.key}_mean"].dropna()
    if len(column) > 1 and column.min() == column.max():
        return []
    return [str(arm) for arm in column.sort_values(ascending=metric.better == "lower", kind="stable").index]


def leaders(collected: Collected, metric: Metric, ablation: pd.DataFrame) -> list[str]:
    """The best arm of a metric and those that are no worse as far as is known; empty when nothing is ranked.

    With several seeds: those whose difference to the best, paired by seed, has an interval that holds zero, or none.
    With one: those that have the same value.
    """
    order = ranking(metric, ablation)
    if len(order) < 2:
        return []
    first, *others = order
    if several_seeds(collected):
        return [first, *(arm for arm in others if not difference(collected, metric.key, arm, first).told_apart)]
    values = ablation.set_index("arm")[f"{metric.key}_mean"]
    return [arm for arm in order if values[arm] == values[first]]


def compared(collected: Collected) -> list[Metric]:
    """What the sentences of one seed compare arms on: the leading image metrics, all metrics of shape and views."""
    leading = sentence_keys(collected)
    return [metric for metric in metrics_of(collected) if metric.key in leading or metric.group == "shape"]
