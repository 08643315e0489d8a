"""The plot of a metric against what it cost: the same budget is not the same for every arm."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pigan.report.armfigures import with_count
from pigan.report.figures import STYLE, locator, save, save_nothing, short
from pigan.report.runfigures import time_unit
from pigan.report.seeds import over

# height of a label and mean width of its letters, points; width of a panel
LINE, LETTER, PANEL = 9.0, 4.0, 320.0
# the names of more arms stand in a column of their own
BESIDE = 6


def draw_budget(path: Path, extractor: str, table: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> None:
    """FID over training time and over images seen: a small dot a seed, the mean of an arm with its name.

    The whisker is the t-interval of 95 % of the mean over seeds.

    Args:
        path: The SVG to write.
        extractor: Whose FID.
        table: One row an arm x seed.
        styles: Colour and dash of each arm.
    """
    key = f"fid_{extractor}"
    known = table.dropna(subset=[key]) if key in table.columns else table.iloc[:0]
    names = _names(known)
    if not len(known):
        save_nothing(path, (10.0, 2.0), 2)
        return
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 3.7), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        length, unit = time_unit(float(known["train_seconds"].max()))
        timed = known.assign(train_seconds=known["train_seconds"] / length)
        for axes, column in zip(panels, ("train_seconds", "images_seen"), strict=True):
            _points(axes, timed, column, key, styles)
            letters = max(map(len, names.values()))
            room = 1 - min(0.6, (LETTER * letters + 20) / PANEL)
            axes.set_xlim(0.0, (float(timed[column].max()) or 1.0) / room)
        panels[0].set(xlabel=f"Training time, {unit}", ylabel="FID ↓")
        panels[1].set_xlabel("Training images seen")
        panels[1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        # where points are is known once the layout is
        figure.draw_without_rendering()
        for axes, column in zip(panels, ("train_seconds", "images_seen"), strict=True):
            _label(axes, timed, column, key, styles, names)
        save(figure, path)


def apart(places: Sequence[float], gap: float) -> list[float]:
    """The places moved as little as is needed for neighbours to be `gap` apart, in the same order."""
    order = np.argsort(places, kind="stable")
    groups: list[list[float]] = []
    for index in order:
        # a group of labels that touch is centred on the middle of the places that it stands for
        groups.append([places[index]])
        while len(groups) > 1 and _middle(groups[-1]) - _middle(groups[-2]) < gap * sum(map(len, groups[-2:])) / 2:
            last = groups.pop()
            groups[-1].extend(last)
    moved = [_middle(group) + gap * (rank - (len(group) - 1) / 2) for group in groups for rank in range(len(group))]
    found = np.empty(len(places))
    found[order] = moved
    return [float(place) for place in found]


def _names(table: pd.DataFrame) -> dict[str, str]:
    """What is written beside each arm: with how many runs it has."""
    return {arm: with_count(table, arm) for arm in dict.fromkeys(table["arm"])}


def _middle(places: Sequence[float]) -> float:
    return sum(places) / len(places)


def _points(axes: Axes, table: pd.DataFrame, column: str, key: str, styles: Mapping[str, tuple[str, str]]) -> None:
    for arm, rows in table.groupby("arm", sort=False):
        colour, mean = styles[str(arm)][0], over(rows[key])
        across = float(rows[column].mean())
        axes.scatter(rows[column], rows[key], s=12, color=colour, alpha=0.45, linewidths=0)
        axes.plot([across, across], mean.ends, color=colour, lw=1.2, marker="_", markersize=6)
        axes.scatter([across], [mean.value], s=42, color=colour, zorder=3, linewidths=0)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0] if axes.dataLim.y0 < 0 else 0.0))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(locator(5))


def _label(
    axes: Axes,
    table: pd.DataFrame,
    column: str,
    key: str,
    styles: Mapping[str, tuple[str, str]],
    names: Mapping[str, str],
) -> None:
    """Names of the arms beside their points, or of many in a column right of them all; none over another."""
    means = table.groupby("arm", sort=False)[[column, key]].mean()
    pixels = axes.transData.transform(means.to_numpy(dtype=float))
    dot = axes.figure.dpi / 72
    right = axes.transData.transform((float(table[column].max()), 0.0))[0] if len(means) > BESIDE else None
    for arm, (across, up), place in zip(means.index, pixels, apart(list(pixels[:, 1]), LINE * dot), strict=True):
        aside, lift = 7.0 if right is None else (right - across) / dot + 16, (place - up) / dot
        if right is None and abs(lift) > 1:
            aside = 14.0
        arrow = {"arrowstyle": "-", "color": styles[str(arm)][0], "lw": 0.5, "relpos": (0, 0.5), "shrinkB": 3}
        text = axes.annotate(
            names[str(arm)],
            (means[column][arm], means[key][arm]),
            (aside, lift),
            textcoords="offset points",
            va="center",
            fontsize=7,
            arrowprops=arrow if aside > 7 else None,
        )
        # the layout stays, for which the places were worked out
        text.set_in_layout(False)
