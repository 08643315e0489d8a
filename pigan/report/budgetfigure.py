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
BUDGET_COLUMNS = ["arm", "what", "seed", "train_seconds", "images_seen", "fid", "low", "high"]


def budget_numbers(extractor: str, table: pd.DataFrame) -> pd.DataFrame:
    """What `draw_budget` draws: a row an arm x seed, and one an arm (mean), FID with its t-interval of 95 % over seeds.

    Args:
        extractor: Whose FID.
        table: One row an arm x seed.
    """
    key = f"fid_{extractor}"
    rows: list[dict[str, object]] = []
    for arm, runs in table.dropna(subset=[key]).groupby("arm", sort=False) if key in table.columns else ():
        names = ["seed", "train_seconds", "images_seen", key]
        for seed, seconds, images, fid in zip(*(runs[name] for name in names), strict=True):
            spent = {"train_seconds": seconds, "images_seen": images}
            rows.append({"arm": arm, "what": "seed", "seed": seed, **spent, "fid": fid})
        mean = over(runs[key], key)
        spent = {name: float(runs[name].mean()) for name in ("train_seconds", "images_seen")}
        rows.append({"arm": arm, "what": "mean", **spent, "fid": mean.value, "low": mean.ends[0], "high": mean.ends[1]})
    return pd.DataFrame(rows, columns=BUDGET_COLUMNS).astype({"seed": "Int64"})


def draw_budget(path: Path, numbers: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> None:
    """FID over training time and over images seen: a small dot a seed, the mean of an arm with its name.

    The whisker is the t-interval of 95 % of the mean over seeds.

    Args:
        path: The SVG to write.
        numbers: As of `budget_numbers`.
        styles: Colour and dash of each arm.
    """
    runs, means = (numbers[numbers["what"] == what] for what in ("seed", "mean"))
    if not len(runs):
        save_nothing(path, (10.0, 2.0), 2)
        return
    names = {arm: with_count(runs, arm) for arm in means["arm"]}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 3.7), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        length, unit = time_unit(float(runs["train_seconds"].max()))
        runs, means = (part.assign(train_seconds=part["train_seconds"] / length) for part in (runs, means))
        for axes, column in zip(panels, ("train_seconds", "images_seen"), strict=True):
            _points(axes, runs, means, column, styles)
            letters = max(map(len, names.values()))
            room = 1 - min(0.6, (LETTER * letters + 20) / PANEL)
            axes.set_xlim(0.0, (float(runs[column].max()) or 1.0) / room)
        panels[0].set(xlabel=f"Training time, {unit}", ylabel="FID ↓")
        panels[1].set_xlabel("Training images seen")
        panels[1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        # where points are is known once the layout is
        figure.draw_without_rendering()
        for axes, column in zip(panels, ("train_seconds", "images_seen"), strict=True):
            _label(axes, means, column, float(runs[column].max()), styles, names)
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


def _middle(places: Sequence[float]) -> float:
    return sum(places) / len(places)


def _points(
    axes: Axes, runs: pd.DataFrame, means: pd.DataFrame, column: str, styles: Mapping[str, tuple[str, str]]
) -> None:
    for arm, own in runs.groupby("arm", sort=False):
        axes.scatter(own[column], own["fid"], s=12, color=styles[str(arm)][0], alpha=0.45, linewidths=0)
    for _, mean in means.iterrows():
        colour, across = styles[mean["arm"]][0], mean[column]
        axes.plot([across, across], mean[["low", "high"]], color=colour, lw=1.2, marker="_", markersize=6)
        axes.scatter([across], [mean["fid"]], s=42, color=colour, zorder=3, linewidths=0)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0] if axes.dataLim.y0 < 0 else 0.0))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(locator(5))


def _label(
    axes: Axes,
    means: pd.DataFrame,
    column: str,
    last: float,
    styles: Mapping[str, tuple[str, str]],
    names: Mapping[str, str],
) -> None:
    """Names of the arms beside their points, or of many in a column right of the `last` run; none over another."""
    pixels = axes.transData.transform(means[[column, "fid"]].to_numpy(dtype=float))
    dot = axes.figure.dpi / 72
    right = axes.transData.transform((last, 0.0))[0] if len(means) > BESIDE else None
    places = apart(list(pixels[:, 1]), LINE * dot)
    for (_, mean), (across, up), place in zip(means.iterrows(), pixels, places, strict=True):
        aside, lift = 7.0 if right is None else (right - across) / dot + 16, (place - up) / dot
        if right is None and abs(lift) > 1:
            aside = 14.0
        arrow = {"arrowstyle": "-", "color": styles[mean["arm"]][0], "lw": 0.5, "relpos": (0, 0.5), "shrinkB": 3}
        text = axes.annotate(
            names[mean["arm"]],
            (mean[column], mean["fid"]),
            (aside, lift),
            textcoords="offset points",
            va="center",
            fontsize=8,
            arrowprops=arrow if aside > 7 else None,
        )
        # the layout stays, for which the places were worked out
        text.set_in_layout(False)
