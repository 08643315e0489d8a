"""Plots of metrics by arm."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pigan.report.figures import INK, STYLE, locator, nothing, save
from pigan.report.metrics import Metric
from pigan.report.seeds import count_text, over
from pigan.report.tables import decimals, write_number, write_significant

# panels side by side
ABREAST = 3
BY_ARM_COLUMNS = ["metric", "arm", "what", "seed", "value", "low", "high", "spread"]
INTERVALS = ["recall_low", "recall_high", "precision_low", "precision_high"]
PRECISION_RECALL_COLUMNS = ["arm", "what", "seed", "recall", "precision", *INTERVALS]


def by_arm_numbers(
    metrics: Sequence[Metric], table: pd.DataFrame, intervals: pd.DataFrame, resampled: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """What `draw_by_arm` draws.

    A row an arm x seed x metric (`what` is seed, `low` and `high` its interval of 95 % within the run), one an
    arm x metric (mean, with the t-interval of 95 % over seeds), and one for what accompanies the metric (beside).

    Args:
        metrics: Columns of `table` to show.
        table: One row an arm x seed.
        intervals: One row an arm x seed x metric, with `low` and `high`.
        resampled: Metric key -> column of the spread that resampling gave it.
    """
    names = ["metric", "arm", "seed", "low", "high"]
    ends = {(metric, arm, seed): (low, high) for metric, arm, seed, low, high in intervals[names].to_numpy()}
    rows: list[dict[str, object]] = []
    for metric in metrics:
        spread = (resampled or {}).get(metric.key, "")
        for arm, runs in table.groupby("arm", sort=False):
            for seed, value in zip(runs["seed"], runs[metric.key], strict=True):
                own = ends.get((metric.key, arm, seed), (None, None))
                rows.append(_row(metric.key, arm, "seed", value, *own) | {"seed": seed})
            mean = over(runs[metric.key], metric.key)
            wide = float(runs[spread].mean()) if spread in runs.columns else None
            rows.append(_row(metric.key, arm, "mean", mean.value, *mean.ends) | {"spread": wide})
        if metric.context in table.columns and table[metric.context].notna().any():
            rows.append(_row(metric.key, "", "beside", float(table[metric.context].mean())))
    numbers = pd.DataFrame(rows, columns=BY_ARM_COLUMNS)
    return numbers.astype({"seed": "Int64"} | dict.fromkeys(("value", "low", "high", "spread"), float))


def draw_by_arm(
    path: Path, numbers: pd.DataFrame, metrics: Sequence[Metric], styles: Mapping[str, tuple[str, str]]
) -> None:
    """One panel a metric: a dot a seed, a line from zero to the mean, a whisker; dashed what accompanies the metric.

    The whisker is the t-interval of 95 % of the mean over seeds; where no arm has several, the interval within the run.
    The wide pale bar is the spread that resampling gave.

    Args:
        path: The SVG to write.
        numbers: As of `by_arm_numbers`.
        metrics: The panels.
        styles: Colour and dash of each arm; those without a number come last.
    """
    arms = list(dict.fromkeys([*numbers["arm"][numbers["what"] == "seed"], *styles]))
    across = max(1, min(len(metrics), ABREAST))
    down = max(1, -(-len(metrics) // ABREAST))
    with matplotlib.rc_context(STYLE):
        size = (5.0 if len(metrics) == 1 else 10.0, down * (0.75 + 0.34 * len(arms)))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.08 if down > 1 else None))
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes, metric in zip(panels.flat, metrics, strict=False):
            _dots(axes, metric, numbers[numbers["metric"] == metric.key], arms, styles)
        for axes in panels.flat[len(metrics) :] if metrics else ():
            axes.set_axis_off()
        runs = numbers[numbers["what"] == "seed"][["arm", "seed"]].drop_duplicates()
        panels[0, 0].set_yticks(range(len(arms)), [with_count(runs, arm) for arm in arms])
        panels[0, 0].set_ylim(len(arms) - 0.4, -0.6)
        if not metrics:
            nothing(panels[0, 0])
        save(figure, path)


def precision_recall_numbers(extractor: str, table: pd.DataFrame) -> pd.DataFrame:
    """What `draw_precision_recall` draws: a row an arm x seed, and one an arm: mean and t-intervals of 95 %."""
    keys = {"recall": f"recall_{extractor}", "precision": f"precision_{extractor}"}
    rows: list[dict[str, object]] = []
    if set(keys.values()) <= set(table.columns):
        for arm, runs in table.dropna(subset=list(keys.values())).groupby("arm", sort=False):
            pairs = zip(runs["seed"], runs[keys["recall"]], runs[keys["precision"]], strict=True)
            for seed, recall, precision in pairs:
                rows.append({"arm": arm, "what": "seed", "seed": seed, "recall": recall, "precision": precision})
            mean: dict[str, object] = {"arm": arm, "what": "mean"}
            for name, key in keys.items():
                found = over(runs[key], key)
                mean |= {name: found.value, f"{name}_low": found.ends[0], f"{name}_high": found.ends[1]}
            rows.append(mean)
    return pd.DataFrame(rows, columns=PRECISION_RECALL_COLUMNS).astype({"seed": "Int64"})


def draw_precision_recall(path: Path, numbers: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> None:
    """Precision over recall: a small dot a seed, a large one for the mean of an arm, its t-intervals of 95 %."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 3.9), layout="constrained")
        axes = figure.subplots()
        runs = numbers[numbers["what"] == "seed"]
        if len(runs):
            for arm, own in runs.groupby("arm", sort=False):
                colour = styles[str(arm)][0]
                axes.scatter(
                    own["recall"], own["precision"], s=14, color=colour, alpha=0.45, linewidths=0, clip_on=False
                )
            means = numbers[numbers["what"] == "mean"]
            for _, mean in means.iterrows():
                colour, label = styles[mean["arm"]][0], with_count(runs, mean["arm"])
                right, up = mean["recall"], mean["precision"]
                axes.plot(mean[["recall_low", "recall_high"]], [up] * 2, color=colour, lw=1.0, alpha=0.6)
                axes.plot([right] * 2, mean[["precision_low", "precision_high"]], color=colour, lw=1.0, alpha=0.6)
                axes.scatter(right, up, s=60, color=colour, label=label, linewidths=0, zorder=3, clip_on=False)
            figure.legend(loc="outside lower center", ncols=min(len(means), 3), labelcolor=INK, handletextpad=0.2)
            axes.set(xlabel="Recall →", ylabel="Precision →")
            axes.set_xlim(0, min(1.02, max(float(runs["recall"].max()) * 1.15, 0.05)))
            axes.set_ylim(0, min(1.02, max(float(runs["precision"].max()) * 1.15, 0.05)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(locator(5))
        else:
            nothing(axes)
        save(figure, path)


def with_count(table: pd.DataFrame, arm: str) -> str:
    """An arm's name with the number of its runs in the table."""
    return f"{arm} ({count_text(int((table['arm'] == arm).sum()))})"


def _row(
    metric: str, arm: object, what: str, value: object, low: float | None = None, high: float | None = None
) -> dict[str, object]:
    return {"metric": metric, "arm": arm, "what": what, "value": value, "low": low, "high": high}


def _dots(
    axes: Axes, metric: Metric, numbers: pd.DataFrame, arms: Sequence[str], styles: Mapping[str, tuple[str, str]]
) -> None:
    seeds, means = numbers[numbers["what"] == "seed"], numbers[numbers["what"] == "mean"].set_index("arm")
    digits = decimals(seeds["value"], metric.key)
    several = bool(seeds["arm"].duplicated().any())
    for place, arm in enumerate(arms):
        runs, colour = seeds[seeds["arm"] == arm].dropna(subset="value"), styles[arm][0]
        if not len(runs):
            axes.annotate("no value", (0, place), (5, 0), textcoords="offset points", va="center")
            continue
        value, low, high, spread = (float(means[name][arm]) for name in ("value", "low", "high", "spread"))
        axes.plot([0, value], [place, place], color=colour, alpha=0.35, lw=2.2)
        if not math.isnan(spread):
            ends = [value - spread, value + spread]
            axes.plot(ends, [place, place], color=colour, alpha=0.25, lw=8, solid_capstyle="butt")
        axes.scatter([value], [place], s=42, color=colour, zorder=4, linewidths=0, clip_on=False)
        if not math.isnan(low):
            _whisker(axes, low, high, place, colour)
            dots = np.full(len(runs), place + 0.22)
            axes.scatter(runs["value"], dots, s=9, color=colour, alpha=0.7, linewidths=0, clip_on=False)
        elif not several and runs["low"].notna().all():
            _whisker(axes, float(runs["low"].iloc[0]), float(runs["high"].iloc[0]), place, colour)
        label, where = write_number(value, digits), (value, place)
        axes.annotate(label, where, (0, 7), textcoords="offset points", ha="center", va="bottom", fontsize=8)
    unit = f", {metric.unit}" if metric.unit else ""
    axes.set_title(f"{metric.label}{unit} {metric.arrow}".strip())
    axes.grid(False, axis="y")
    axes.margins(x=0.16)
    for value in numbers["value"][numbers["what"] == "beside"]:
        _beside(axes, metric.context_label, float(value))
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0] if axes.dataLim.x0 < 0 else 0.0))
    axes.xaxis.set_major_locator(locator(5))


def _whisker(axes: Axes, low: float, high: float, place: int, colour: str) -> None:
    axes.plot([low, high], [place, place], color=colour, lw=1.4, marker="|", markersize=6, zorder=3)


def _beside(axes: Axes, name: str, value: float) -> None:
    """A dashed line at what accompanies the metric, such as the FID of real against real images."""
    axes.axvline(value, color=INK, ls=(0, (4, 3)), lw=0.8, alpha=0.8, zorder=1)
    left, right = axes.get_xlim()
    late = value > left + 0.55 * (right - left)
    axes.annotate(
        f"{name} {write_significant(value)}",
        (value, 0.0),
        (-4 if late else 4, 2),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=8,
    )
