"""Plots of metrics by arm."""

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


def draw_by_arm(
    path: Path,
    metrics: Sequence[Metric],
    table: pd.DataFrame,
    styles: Mapping[str, tuple[str, str]],
    intervals: pd.DataFrame,
    resampled: Mapping[str, str] | None = None,
) -> None:
    """One panel a metric: a dot a seed, a line from zero to the mean, a whisker; dashed what accompanies the metric.

    The whisker is the t-interval of 95 % of the mean over seeds; where no arm has several, the interval within the run.

    Args:
        path: The SVG to write.
        metrics: Columns of `table` to show.
        table: One row an arm x seed.
        styles: Colour and dash of each arm; those that the table lacks come last.
        intervals: One row an arm x seed x metric, with `low` and `high`.
        resampled: Metric key -> column of the spread that resampling gave it, drawn as a wide pale bar.
    """
    arms = list(dict.fromkeys([*table["arm"], *styles]))
    across = max(1, min(len(metrics), ABREAST))
    down = max(1, -(-len(metrics) // ABREAST))
    with matplotlib.rc_context(STYLE):
        size = (5.0 if len(metrics) == 1 else 10.0, down * (0.75 + 0.34 * len(arms)))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.08 if down > 1 else None))
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes, metric in zip(panels.flat, metrics, strict=False):
            _dots(axes, metric, table, arms, styles, intervals, (resampled or {}).get(metric.key))
        for axes in panels.flat[len(metrics) :] if metrics else ():
            axes.set_axis_off()
        panels[0, 0].set_yticks(range(len(arms)), [with_count(table, arm) for arm in arms])
        panels[0, 0].set_ylim(len(arms) - 0.4, -0.6)
        if not metrics:
            nothing(panels[0, 0])
        save(figure, path)


def draw_precision_recall(
    path: Path, extractor: str, table: pd.DataFrame, styles: Mapping[str, tuple[str, str]]
) -> None:
    """Precision over recall: a small dot a seed, a large one for the mean of an arm, its t-intervals of 95 %."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 3.9), layout="constrained")
        axes = figure.subplots()
        across, up = f"recall_{extractor}", f"precision_{extractor}"
        both = table.dropna(subset=[across, up]) if {across, up} <= set(table.columns) else table.iloc[:0]
        if len(both):
            for arm, rows in both.groupby("arm", sort=False):
                colour = styles[str(arm)][0]
                axes.scatter(rows[across], rows[up], s=14, color=colour, alpha=0.45, linewidths=0)
                recall, precision = over(rows[across]), over(rows[up])
                axes.plot(recall.ends, [precision.value] * 2, color=colour, lw=1.0, alpha=0.6)
                axes.plot([recall.value] * 2, precision.ends, color=colour, lw=1.0, alpha=0.6)
                label = with_count(both, str(arm))
                axes.scatter(recall.value, precision.value, s=60, color=colour, label=label, linewidths=0, zorder=3)
            figure.legend(
                loc="outside lower center", ncols=min(both["arm"].nunique(), 3), labelcolor=INK, handletextpad=0.2
            )
            axes.set(xlabel="Recall →", ylabel="Precision →")
            axes.set_xlim(-0.02, min(1.02, max(float(both[across].max()) * 1.15, 0.05)))
            axes.set_ylim(-0.02, min(1.02, max(float(both[up].max()) * 1.15, 0.05)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(locator(5))
        else:
            nothing(axes)
        save(figure, path)


def with_count(table: pd.DataFrame, arm: str) -> str:
    """An arm's name with the number of its runs in the table."""
    return f"{arm} ({count_text(int((table['arm'] == arm).sum()))})"


def _dots(
    axes: Axes,
    metric: Metric,
    table: pd.DataFrame,
    arms: Sequence[str],
    styles: Mapping[str, tuple[str, str]],
    intervals: pd.DataFrame,
    resampled: str | None,
) -> None:
    digits = decimals(table[metric.key])
    ends = intervals[intervals["metric"] == metric.key].set_index("arm")
    several = bool(table["arm"].duplicated().any())
    for place, arm in enumerate(arms):
        rows, colour = table[table["arm"] == arm], styles[arm][0]
        values = rows[metric.key].dropna()
        if not len(values):
            axes.annotate("no value", (0, place), (5, 0), textcoords="offset points", va="center")
            continue
        mean = over(values)
        axes.plot([0, mean.value], [place, place], color=colour, alpha=0.35, lw=2.2)
        if resampled in table.columns:
            low, high = (mean.value + side * float(rows[resampled].mean()) for side in (-1, 1))
            axes.plot([low, high], [place, place], color=colour, alpha=0.25, lw=8, solid_capstyle="butt")
        axes.scatter([mean.value], [place], s=42, color=colour, zorder=4, linewidths=0)
        if mean.interval:
            _whisker(axes, *mean.interval, place, colour)
            axes.scatter(values, np.full(len(values), place + 0.22), s=9, color=colour, alpha=0.7, linewidths=0)
        elif not several and arm in ends.index:
            _whisker(axes, float(ends["low"][arm]), float(ends["high"][arm]), place, colour)
        label, where = write_number(mean.value, digits), (mean.value, place)
        axes.annotate(label, where, (0, 7), textcoords="offset points", ha="center", va="bottom", fontsize=7)
    axes.set_title(f"{metric.label} {metric.arrow}".strip())
    axes.grid(False, axis="y")
    axes.margins(x=0.16)
    _beside(axes, metric, table)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0] if axes.dataLim.x0 < 0 else 0.0))
    axes.xaxis.set_major_locator(locator(5))


def _whisker(axes: Axes, low: float, high: float, place: int, colour: str) -> None:
    axes.plot([low, high], [place, place], color=colour, lw=1.4, marker="|", markersize=6, zorder=3)


def _beside(axes: Axes, metric: Metric, table: pd.DataFrame) -> None:
    """A dashed line at what accompanies the metric, such as the FID of real against real images."""
    values = table[metric.context].dropna() if metric.context in table.columns else ()
    if not len(values):
        return
    value = float(np.mean(values))
    axes.axvline(value, color=INK, ls=(0, (4, 3)), lw=0.8, alpha=0.8, zorder=1)
    left, right = axes.get_xlim()
    late = value > left + 0.55 * (right - left)
    label = f"{metric.context_label} {write_significant(value)}"
    axes.annotate(
        label,
        (value, 0.0),
        (-4 if late else 4, 2),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=7,
    )
