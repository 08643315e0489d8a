"""Plots of what runs went through: losses, metrics along training, cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pigan.report.figures import COLOURS, INK, STYLE, locator, nothing, save, save_nothing, short
from pigan.report.seeds import count_text

CURVE_POINTS = 300
# a panel whose largest value is so many times the smallest is logarithmic
WIDE = 10.0


def cost_numbers(table: pd.DataFrame, stages: pd.DataFrame) -> pd.DataFrame:
    """What `draw_cost` draws: a row an arm with means over its `seeds` runs.

    Wall time of each stage in `train_<side>px_seconds`, `generate_seconds` and `evaluate_seconds`, and training
    images a second.

    Args:
        table: One row an arm x seed.
        stages: One row an arm x seed x training stage.
    """
    parts = stages.pivot_table(index="arm", columns="resolution", values="seconds", aggfunc="mean", sort=False)
    total = stages.groupby(["arm", "seed"], sort=False)[["images", "seconds"]].sum()
    speed = (total["images"] / total["seconds"].where(total["seconds"] > 0)).groupby("arm", sort=False).mean()
    means = {f"train_{side}px_seconds": parts[side] for side in parts.columns}
    for name in ("generate_seconds", "evaluate_seconds"):
        means[name] = pd.to_numeric(table[name]).groupby(table["arm"], sort=False).mean()
    means["images_per_second"] = speed
    arms = list(dict.fromkeys(table["arm"]))
    seeds = [int((table["arm"] == arm).sum()) for arm in arms]
    columns = {name: mean.reindex(arms).to_numpy(dtype=float) for name, mean in means.items()}
    return pd.DataFrame({"arm": arms, "seeds": seeds, **columns})


def draw_cost(path: Path, numbers: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> None:
    """Mean wall time by arm, split by stage, and images a second in training; `numbers` as of `cost_numbers`."""
    arms = list(numbers["arm"])
    if not arms:
        save_nothing(path, (10.0, 2.0), 2)
        return
    costs = numbers.filter(like="_seconds").fillna(0.0)
    length, unit = time_unit(float(costs.sum(axis=1).max()))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 1.05 + 0.34 * len(arms)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        begin = np.zeros(len(arms))
        shades = np.linspace(1.0, 0.35, costs.shape[1])
        for name, shade in zip(costs.columns, shades, strict=True):
            values = costs[name].to_numpy(dtype=float) / length
            label = name.removesuffix("_seconds").replace("_", " ").replace("px", " px")
            left.barh(range(len(arms)), values, 0.55, begin, color=COLOURS[0], alpha=float(shade), label=label)
            begin = begin + values
        left.set_title(f"Wall time, {unit}")
        left.xaxis.set_major_locator(locator(5))
        left.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=costs.shape[1], labelcolor=INK, handlelength=1.0)
        speed = numbers["images_per_second"].fillna(0.0)
        right.barh(range(len(arms)), speed, 0.55, color=[styles[arm][0] for arm in arms])
        right.set_title("Training images a second")
        right.xaxis.set_major_locator(locator(4))
        names = [f"{arm} ({count_text(seeds)})" for arm, seeds in zip(arms, numbers["seeds"], strict=True)]
        left.set_yticks(range(len(arms)), names)
        left.set_ylim(len(arms) - 0.4, -0.6)
        for axes in (left, right):
            axes.grid(False, axis="y")
        save(figure, path)


def draw_training(path: Path, log: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> None:
    """Losses, R1, scores, empty rays and gradient norms over images seen, smoothed.

    A dashed line stands where an arm's resolution changes.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 7.6), layout="constrained")
        grid = figure.subplots(3, 2, sharex=True)
        panels: list[tuple[str, list[str]]] = [
            ("Discriminator loss", ["loss_d"]),
            ("Generator loss", ["loss_g"]),
            ("R1 penalty", ["r1"]),
            ("Discriminator scores: real solid, generated dotted", ["score_real", "score_fake"]),
            ("Share of generated rays that meet nothing", ["empty_rays"]),
            ("Gradient norms: generator solid, discriminator dotted", ["grad_norm_g", "grad_norm_d"]),
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
        for axes in grid[2]:
            _images_seen(axes)
        _legend(figure, grid[0, 0], styles)
        save(figure, path)


def draw_curve(
    path: Path, curve: pd.DataFrame, extractor: str, log: pd.DataFrame, styles: Mapping[str, tuple[str, str]]
) -> None:
    """FID and KID of the kept snapshots over images seen; a dashed line stands where an arm's resolution changes.

    Args:
        path: The SVG to write.
        curve: One row an arm x seed x snapshot.
        extractor: Whose FID and KID.
        log: The training log, which says where resolutions change.
        styles: Colour and dash of each arm.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 3.4), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, (title, key) in zip(
            panels, (("FID ↓", f"fid_{extractor}"), ("KID ↓", f"kid_{extractor}")), strict=True
        ):
            axes.set_title(title)
            values = pd.to_numeric(curve[key]) if key in curve.columns else pd.Series(dtype=float)
            if not values.notna().any():
                nothing(axes)
                continue
            for arm, (colour, dash) in styles.items():
                for _, rows in curve[curve["arm"] == arm].groupby("seed", sort=False):
                    known = rows[pd.to_numeric(rows[key]).notna()]
                    axes.plot(known["images_seen"], known[key], color=colour, ls=dash, lw=1.2, marker="o", ms=3)
            _scale(axes, values.dropna())
            _stage_changes(axes, log[log["arm"].isin(curve["arm"])] if len(log) else log)
            _images_seen(axes)
        if len(curve):
            _legend(figure, panels[0], styles)
        save(figure, path)


def smooth(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Centred running mean over a twentieth of the curve, at least seven values; shorter at the ends.

    Not-a-number is skipped.
    """
    width = max(7, len(values) // 20)
    mean = pd.Series(values).rolling(2 * (width // 2) + 1, center=True, min_periods=1).mean()
    return mean.to_numpy(dtype=np.float64)


def _legend(figure: Figure, axes: Axes, styles: Mapping[str, tuple[str, str]]) -> None:
    """The arms below the panels."""
    handles = [axes.plot([], [], color=colour, ls=dash, label=arm)[0] for arm, (colour, dash) in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(styles), 6), labelcolor=INK)


def _images_seen(axes: Axes) -> None:
    axes.set_xlabel("Training images seen")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _scale(axes: Axes, values: "pd.Series[Any]") -> None:
    """Logarithmic when the values span much, else from zero on."""
    if values.min() > 0 and values.max() > WIDE * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        # limits that are set on one side leave no room on the other
        axes.set_ylim(min(0.0, 1.1 * float(values.min())), 1.1 * max(float(values.max()), 0.0) or None)
        axes.yaxis.set_major_locator(locator(5))


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
        where = axes.get_xaxis_transform()
        axes.annotate(
            f"{side} px", (place, 1.0), (3, 0), xycoords=where, textcoords="offset points", va="top", fontsize=8
        )


def time_unit(longest: float) -> tuple[float, str]:
    """Seconds in the unit that fits the longest time, and the unit's name."""
    units = [(3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")]
    return next((unit for unit in units if longest >= 2 * unit[0]), units[-1])
