"""Plots as SVG: the same bytes for the same tables, ink that reads on light and on dark paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.typing import RcKeyType

from pigan.report.tables import Metric, decimals, write_number, write_spread

# one grey for axes and text and one for grid lines; the page replaces both by colours of its own theme
INK = "#737c8a"
GRID = "#9aa3b033"
COLOURS = ["#3577c9", "#d9822b", "#2f9e77", "#a85fc4", "#cf4f5f", "#8a8f2a", "#2a9bb0", "#8b6b52"]
DASHES = ["-", "--", ":", "-."]
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CURVE_POINTS = 300

STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pigan",
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


def arm_styles(arms: Sequence[str], main_arm: str) -> dict[str, tuple[str, str]]:
    """Colour and dash of each arm, the same in every figure; the main arm has the first."""
    ordered = [main_arm, *(arm for arm in arms if arm != main_arm)]
    count = len(COLOURS)
    return {arm: (COLOURS[i % count], DASHES[i // count % len(DASHES)]) for i, arm in enumerate(ordered)}


def draw_by_arm(
    path: Path,
    metrics: Sequence[Metric],
    table: pd.DataFrame,
    styles: Mapping[str, tuple[str, str]],
    resampled: Mapping[str, str] | None = None,
) -> None:
    """One panel a metric: a dot a seed, a line from zero to the mean, a bar of one standard deviation over seeds.

    Args:
        path: The SVG to write.
        metrics: Columns of `table` to show.
        table: One row an arm x seed.
        styles: Colour and dash of each arm.
        resampled: Metric key -> column of the spread that resampling gave it, drawn as a wide pale bar.
    """
    arms = list(dict.fromkeys(table["arm"]))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.0 if len(metrics) == 1 else 10.0, 0.75 + 0.34 * len(arms)), layout="constrained")
        panels = figure.subplots(1, max(len(metrics), 1), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=False):
            _dots(axes, metric, table, arms, styles, (resampled or {}).get(metric.key))
        panels[0].set_yticks(range(len(arms)), arms)
        panels[0].set_ylim(len(arms) - 0.4, -0.6)
        if not metrics:
            nothing(panels[0])
        save(figure, path)


def draw_precision_recall(
    path: Path, extractor: str, table: pd.DataFrame, styles: Mapping[str, tuple[str, str]]
) -> None:
    """Precision over recall: a small dot a seed, a large one for the mean of an arm."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 3.9), layout="constrained")
        axes = figure.subplots()
        across, up = f"recall_{extractor}", f"precision_{extractor}"
        if {across, up} <= set(table.columns) and table[[across, up]].notna().any().all():
            for arm, rows in table.groupby("arm", sort=False):
                colour = styles[str(arm)][0]
                axes.scatter(rows[across], rows[up], s=14, color=colour, alpha=0.45, linewidths=0)
                axes.scatter(
                    rows[across].mean(), rows[up].mean(), s=60, color=colour, label=arm, linewidths=0, zorder=3
                )
            figure.legend(loc="outside lower center", ncols=min(len(styles), 4), labelcolor=INK, handletextpad=0.2)
            axes.set(xlabel="Recall →", ylabel="Precision →")
            axes.set_xlim(-0.02, min(1.02, max(float(table[across].max()) * 1.15, 0.05)))
            axes.set_ylim(-0.02, min(1.02, max(float(table[up].max()) * 1.15, 0.05)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(_locator(5))
        else:
            nothing(axes)
        save(figure, path)


def draw_cost(path: Path, table: pd.DataFrame, stages: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> None:
    """Mean wall time by arm, split by stage, and images a second in training."""
    arms = list(dict.fromkeys(table["arm"]))
    parts = stages.pivot_table(index="arm", columns="resolution", values="seconds", aggfunc="mean", sort=False)
    costs = {f"train {side} px": parts[side].reindex(arms).fillna(0.0) for side in parts.columns}
    for name in ("generate", "evaluate"):
        means = pd.to_numeric(table[f"{name}_seconds"]).groupby(table["arm"], sort=False).mean()
        costs[name] = means.reindex(arms).fillna(0.0)
    total = stages.groupby(["arm", "seed"], sort=False)[["images", "seconds"]].sum()
    speed = (total["images"] / total["seconds"].where(total["seconds"] > 0)).groupby("arm", sort=False).mean()
    length, unit = _time_unit(float(pd.DataFrame(costs).sum(axis=1).max()))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 1.05 + 0.34 * len(arms)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        begin = np.zeros(len(arms))
        shades = np.linspace(1.0, 0.35, len(costs))
        for (name, seconds), shade in zip(costs.items(), shades, strict=True):
            values = seconds.to_numpy(dtype=float) / length
            left.barh(range(len(arms)), values, 0.55, begin, color=COLOURS[0], alpha=float(shade), label=name)
            begin = begin + values
        left.set_title(f"Wall time, {unit}")
        left.xaxis.set_major_locator(_locator(5))
        left.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=len(costs), labelcolor=INK, handlelength=1.0)
        right.barh(range(len(arms)), speed.reindex(arms).fillna(0.0), 0.55, color=[styles[arm][0] for arm in arms])
        right.set_title("Training images a second")
        right.xaxis.set_major_locator(_locator(4))
        left.set_yticks(range(len(arms)), arms)
        left.set_ylim(len(arms) - 0.4, -0.6)
        for axes in (left, right):
            axes.grid(False, axis="y")
        save(figure, path)


def draw_training(path: Path, log: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> None:
    """Losses, R1 and scores over images seen, smoothed; a dashed line stands where an arm's resolution changes."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 5.2), layout="constrained")
        grid = figure.subplots(2, 2, sharex=True)
        panels: list[tuple[str, list[str]]] = [
            ("Discriminator loss", ["loss_d"]),
            ("Generator loss", ["loss_g"]),
            ("R1 penalty", ["r1"]),
            ("Discriminator scores: real solid, generated dotted", ["score_real", "score_fake"]),
        ]
        for axes, (title, columns) in zip(grid.flat, panels, strict=True):
            axes.set_title(title)
            if not len(log) or not set(columns) <= set(log.columns):
                nothing(axes)
                continue
            thin = 0.55 if len(set(log["seed"])) > 1 else 0.9
            for arm, dash in styles.items():
                for _, rows in log[log["arm"] == arm].groupby("seed", sort=False):
                    for column, line in zip(columns, (dash[1], ":"), strict=False):
                        _curve(axes, rows, column, dash[0], line, thin)
        if len(log) and "r1" in log.columns and (pd.to_numeric(log["r1"]).dropna() > 0).all():
            grid[1, 0].set_yscale("log")
        for axes in grid.flat:
            _stage_changes(axes, log)
        for axes in grid[1]:
            axes.set_xlabel("Training images seen")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        handles = [
            grid[0, 0].plot([], [], color=colour, ls=dash, label=arm)[0] for arm, (colour, dash) in styles.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(styles), 6), labelcolor=INK)
        save(figure, path)


def smooth(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Centred running mean over a twentieth of the curve, at least seven values; shorter at the ends.

    Not-a-number is skipped.
    """
    width = max(7, len(values) // 20)
    mean = pd.Series(values).rolling(2 * (width // 2) + 1, center=True, min_periods=1).mean()
    return mean.to_numpy(dtype=np.float64)


def nothing(axes: Axes) -> None:
    """Says in the empty axes that there is no value."""
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center")
    axes.set(xticks=[], yticks=[])


def save(figure: Figure, path: Path) -> None:
    """SVG with text kept as text, a transparent ground and no date."""
    nameless: dict[str, None] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(path, format="svg", transparent=True, metadata=nameless)
    text = path.read_text(encoding="utf-8").replace("'DejaVu Sans'", FONTS)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")


def _dots(
    axes: Axes,
    metric: Metric,
    table: pd.DataFrame,
    arms: Sequence[str],
    styles: Mapping[str, tuple[str, str]],
    resampled: str | None,
) -> None:
    digits = decimals(table[metric.key])
    for place, arm in enumerate(arms):
        rows, colour = table[table["arm"] == arm], styles[arm][0]
        values = rows[metric.key].dropna().to_numpy(dtype=float)
        if not len(values):
            axes.text(0, place, "  no value", va="center")
            continue
        mean = float(values.mean())
        axes.plot([0, mean], [place, place], color=colour, alpha=0.35, lw=2.2)
        if resampled in table.columns:
            half = float(rows[resampled].mean())
            axes.plot([mean - half, mean + half], [place, place], color=colour, alpha=0.25, lw=8, solid_capstyle="butt")
        axes.scatter([mean], [place], s=42, color=colour, zorder=4, linewidths=0)
        spread = ""
        if len(values) > 1:
            deviation = float(values.std(ddof=1))
            spread = f" ± {write_spread(deviation, digits)}"
            axes.errorbar([mean], [place], xerr=[deviation], color=colour, lw=1.4, capsize=3, zorder=3)
            axes.scatter(values, np.full(len(values), place + 0.22), s=9, color=colour, alpha=0.7, linewidths=0)
        label = f"{write_number(mean, digits)}{spread}"
        axes.annotate(label, (mean, place), (0, 7), textcoords="offset points", ha="center", va="bottom", fontsize=7)
    axes.set_title(f"{metric.label} {metric.arrow}".strip())
    axes.grid(False, axis="y")
    axes.margins(x=0.16)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0] if axes.dataLim.x0 < 0 else 0.0))
    axes.xaxis.set_major_locator(_locator(5))


def _curve(axes: Axes, rows: pd.DataFrame, column: str, colour: str, dash: str, alpha: float) -> None:
    across = pd.to_numeric(rows["images_seen"]).to_numpy(dtype=np.float64)
    curve = smooth(pd.to_numeric(rows[column]).to_numpy(dtype=np.float64))
    keep = np.unique(np.linspace(0, len(across) - 1, min(len(across), CURVE_POINTS)).round().astype(int))
    axes.plot(across[keep], curve[keep], color=colour, ls=dash, lw=1.3, alpha=alpha)


def _stage_changes(axes: Axes, log: pd.DataFrame) -> None:
    """Dashed lines where a further resolution begins; each place once."""
    changes: dict[float, int] = {}
    for _, rows in log.groupby(["arm", "seed"], sort=False) if len(log) else ():
        begins = rows.groupby("resolution")["images_seen"].min()
        changes |= {float(place): int(str(side)) for side, place in list(begins.items())[1:]}
    for place, side in changes.items():
        axes.axvline(place, color=INK, ls=(0, (4, 3)), lw=0.7)
        axes.text(place, 1.0, f" {side} px", transform=axes.get_xaxis_transform(), va="top", fontsize=7)


def _locator(ticks: int) -> MaxNLocator:
    return MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10])


def _time_unit(longest: float) -> tuple[float, str]:
    """Seconds in the unit that fits the longest time, and the unit's name."""
    units = [(3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")]
    return next((unit for unit in units if longest >= 2 * unit[0]), units[-1])


def _short(value: float) -> str:
    """12000 -> 12k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
