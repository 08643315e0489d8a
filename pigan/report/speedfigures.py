"""Plots of what `pigan bench` measured: ratios, the roofline, and how cost grows."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pigan.report.figures import COLOURS, INK, STYLE, nothing, save
from pigan.report.speed import Row, ScalingPoint, Speed, by_case
from pigan.report.tables import write_number, write_significant

# the reference is the only hollow mark; paths differ in shape as well as in colour
REFERENCE, MARKERS = COLOURS[1], "os^vPX"
PATH_COLOURS = [colour for colour in COLOURS if colour != REFERENCE]

GROWTH = {"resolution": "Image side, px", "samples": "Samples a ray", "batch": "Images a step"}

RATIOS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0, 128.0, 256.0)

# room on each side of the roofline's points, as factors
LEFT, RIGHT, BELOW, ABOVE = 3.0, 4.0, 2.0, 1.9
# least distance of two labels, as a share of the axes' height
LABEL_STEP = 0.06
ROOFLINE_COLUMNS = ["case", "size", "path", "flop_per_byte", "gflop_per_second", "roof", "gbyte_per_second"]
SCALING_COLUMNS = ["what", "value", "images", "points", "ms_an_image", "linear_ms_an_image"]


def draw_speed(speed: Speed, path: Path) -> None:
    """How many times as fast as the plain reference: a dot a case and path, a line for the range, a line at 1."""
    cases, styles = by_case(speed.rows), _styles(speed.rows)
    with matplotlib.rc_context(STYLE):
        height = 0.24 * (len(speed.rows) + 1.4 * len(cases))
        figure = Figure(figsize=(10.0, 0.8 + max(height, 0.6)), layout="constrained")
        axes = figure.subplots()
        if cases:
            _ratios(axes, cases, styles)
        else:
            nothing(axes)
        save(figure, path)


def draw_roofline(speed: Speed, path: Path) -> None:
    """Operations a second over operations a byte, both logarithmic, under the rates measured in the same run.

    A line a case leads from the reference to pigan's paths. Cases without counts are left out.
    """
    rows = _counted(speed)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 4.8), layout="constrained")
        axes = figure.subplots()
        if rows:
            _roofs(axes, speed, rows)
            _chains(axes, rows, _styles(speed.rows))
            figure.legend(loc="outside lower left", ncols=4, labelcolor=INK, handletextpad=0.3)
        else:
            nothing(axes)
        save(figure, path)


def draw_scaling(speed: Speed, path: Path) -> None:
    """Time of an image as resolution, samples or batch grow, both logarithmic; dashed is what linear cost would be."""
    shown = _grown(speed)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 3.0), layout="constrained")
        panels = figure.subplots(1, max(len(shown), 1), squeeze=False, sharey=True)[0]
        for axes, (what, points) in zip(panels, shown.items(), strict=False):
            _growth(axes, what, points)
        if shown:
            panels[0].set_ylabel("Milliseconds an image")
            _logarithmic(panels[0].yaxis)
        else:
            nothing(panels[0])
        save(figure, path)


def roofline_numbers(speed: Speed) -> pd.DataFrame:
    """What `draw_roofline` draws: the points of each case, by reference and by path, and the roofs."""
    rows: list[dict[str, object]] = []
    for (title, size), group in by_case(_counted(speed)).items():
        sides = [("plain reference", _reference_point(group[0])), *((row.path, _point(row)) for row in group)]
        for path, (across, up) in sides:
            rows.append({"case": title, "size": size, "path": path, "flop_per_byte": across, "gflop_per_second": up})
    roofs = speed.machine.matmul_gflops.items() if rows else ()
    rows += [{"roof": f"{precision} matrix multiplication", "gflop_per_second": rate} for precision, rate in roofs]
    rows += [{"roof": "copying memory", "gbyte_per_second": speed.machine.bandwidth_gb_s}] if rows else []
    return pd.DataFrame(rows, columns=ROOFLINE_COLUMNS)


def scaling_numbers(speed: Speed) -> pd.DataFrame:
    """What `draw_scaling` draws: milliseconds an image, and what they would be if cost were linear in the samples."""
    rows = []
    for what, points in _grown(speed).items():
        last = points[-1]
        for point in points:
            linear = last.ms / last.points * point.points / point.images
            row = {"what": what, "value": point.value, "images": point.images, "points": point.points}
            rows.append(row | {"ms_an_image": point.ms / point.images, "linear_ms_an_image": linear})
    return pd.DataFrame(rows, columns=SCALING_COLUMNS)


def spread(heights: Float[np.ndarray, " n"], step: float) -> Float[np.ndarray, " n"]:
    """Rising heights 0..1 moved up or down so that neighbours are `step` apart, inside 0..1 when there is room."""
    places = heights.copy()
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + step)
    places[-1:] = np.minimum(places[-1:], 1.0)
    for index in range(len(places) - 2, -1, -1):
        places[index] = min(places[index], places[index + 1] - step)
    return places


def _counted(speed: Speed) -> list[Row]:
    """The rows whose operations and bytes are known."""
    return [row for row in speed.rows if row.gflop and row.gbyte and row.reference_gbyte]


def _grown(speed: Speed) -> dict[str, list[ScalingPoint]]:
    """The measurements of each size that grew, the smallest first."""
    groups = {what: [point for point in speed.scaling if point.what == what] for what in GROWTH}
    return {what: sorted(points, key=lambda point: point.value) for what, points in groups.items() if points}


def _styles(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Colour and mark of each path."""
    paths = list(dict.fromkeys(row.path for row in rows))
    return {path: (PATH_COLOURS[i % len(PATH_COLOURS)], MARKERS[i % len(MARKERS)]) for i, path in enumerate(paths)}


def _ratios(axes: Axes, cases: dict[tuple[str, str], list[Row]], styles: dict[str, tuple[str, str]]) -> None:
    rows = [row for group in cases.values() for row in group]
    place, places, names = 0.0, [], []
    for (title, size), group in cases.items():
        axes.text(1, place, size, transform=axes.get_yaxis_transform(), va="center", ha="right", fontsize=8)
        names += [title, *(row.path for row in group)]
        places += [place + number for number in range(len(group) + 1)]
        for number, row in enumerate(group, start=1):
            colour, mark = styles[row.path]
            at = place + number
            axes.plot([row.ratio_low, row.ratio_high], [at, at], color=colour, alpha=0.4, lw=2.6)
            axes.scatter([row.ratio], [at], s=38, marker=mark, color=colour, zorder=4, linewidths=0)
            label = f"{write_number(row.ratio, 2)}×"
            axes.annotate(label, (row.ratio_high, at), (7, 0), textcoords="offset points", va="center", fontsize=8)
        place += len(group) + 1.4
    axes.set_yticks(places, names)
    headings = {title for title, _ in cases}
    for text in axes.get_yticklabels():
        if text.get_text() in headings:
            text.set_fontweight("bold")
    axes.set_ylim(place - 0.9, -0.7)
    axes.axvline(1.0, color=INK, ls=(0, (4, 3)), lw=0.9)
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(0.8, *(row.ratio_low for row in rows)) / 1.1, max(1.6, *(row.ratio_high for row in rows)) * 1.4)
    low, high = axes.get_xlim()
    ticks = [ratio for ratio in RATIOS if low < ratio < high]
    axes.set_xticks(ticks, [f"{ratio:g}×" for ratio in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(False, axis="y")
    axes.set_xlabel("Times as fast as the plain reference →")


def _roofs(axes: Axes, speed: Speed, rows: Sequence[Row]) -> None:
    """Limits and roof: the slope that copying memory allows, and a level for each precision's matrix rate."""
    bandwidth, levels = speed.machine.bandwidth_gb_s, speed.machine.matmul_gflops
    points = np.array([point for row in rows for point in (_reference_point(row), _point(row))])
    ridge = max(levels.values()) / bandwidth
    left, right = min(*points[:, 0], ridge) / LEFT, max(*points[:, 0], ridge) * RIGHT
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    axes.set_ylim(points[:, 1].min() / BELOW, max(*points[:, 1], *levels.values()) * ABOVE)
    axes.set(xlabel="Operations a byte of memory traffic", ylabel="GFLOP a second")
    _logarithmic(axes.xaxis)
    _logarithmic(axes.yaxis)
    axes.plot([left, ridge], [left * bandwidth, max(levels.values())], color=INK, lw=1.4)
    for precision, rate in levels.items():
        axes.plot([rate / bandwidth, right], [rate, rate], color=INK, lw=1.4)
        label = f"{precision} matrix multiplication, {write_significant(rate)} GFLOP/s"
        axes.annotate(label, (right, rate), (-2, 4), textcoords="offset points", ha="right", fontsize=8)
    begin = max(left, axes.get_ylim()[0] / bandwidth) * 1.15
    axes.text(
        begin,
        begin * bandwidth * 1.12,
        f"copying memory, {write_significant(bandwidth)} GB/s",
        rotation=float(np.degrees(np.arctan(bandwidth))),
        rotation_mode="anchor",
        transform_rotates_text=True,
        fontsize=8,
    )


def _chains(axes: Axes, rows: Sequence[Row], styles: dict[str, tuple[str, str]]) -> None:
    """Of each case the reference and the paths, joined, with the case's name at the right of the fastest."""
    chains = {
        f"{title}, {size}": np.array([_reference_point(group[0]), *(_point(row) for row in group)])
        for (title, size), group in by_case(rows).items()
    }
    for chain in chains.values():
        axes.plot(*chain.T, color=INK, lw=0.8, alpha=0.6)
    plain = np.array([chain[0] for chain in chains.values()])
    axes.plot(*plain.T, "D", mfc="none", mec=REFERENCE, mew=1.4, ms=6, zorder=4, label="plain reference")
    for path, (colour, mark) in styles.items():
        points = np.array([_point(row) for row in rows if row.path == path])
        if len(points):
            axes.plot(*points.T, mark, color=colour, mew=0, ms=7, zorder=5, label=path)
    _beside(axes, list(chains), np.array([max(chain[1:], key=lambda point: point[1]) for chain in chains.values()]))


def _beside(axes: Axes, names: Sequence[str], points: Float[np.ndarray, "n 2"]) -> None:
    """A column of names right of the axes, in the order of the points' heights, each with a thin line to its point."""
    bottom, top = np.log(axes.get_ylim())
    heights = (np.log(points[:, 1]) - bottom) / (top - bottom)
    order = np.argsort(heights, kind="stable")
    for place, index in zip(spread(heights[order], LABEL_STEP), order, strict=True):
        axes.annotate(
            names[index],
            (points[index, 0], points[index, 1]),
            (1.02, place),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            arrowprops={
                "arrowstyle": "-",
                "color": INK,
                "lw": 0.6,
                "alpha": 0.5,
                "shrinkA": 1,
                "shrinkB": 4,
                # to where the label begins, not through it
                "relpos": (0, 0.5),
            },
        )


def _point(row: Row) -> tuple[float, float]:
    """Operations a byte and GFLOP a second of pigan's side."""
    return _intensity(row.gflop, row.gbyte), (row.gflop or np.nan) / row.ours_ms.median * 1e3


def _reference_point(row: Row) -> tuple[float, float]:
    """The same of the reference's side."""
    return _intensity(row.gflop, row.reference_gbyte), (row.gflop or np.nan) / row.reference_ms.median * 1e3


def _intensity(gflop: float | None, gbyte: float | None) -> float:
    return gflop / gbyte if gflop and gbyte else float("nan")


def _growth(axes: Axes, what: str, points: Sequence[ScalingPoint]) -> None:
    """One size grows; the dashed line goes through the largest, where fixed costs count least."""
    each = np.array([point.ms / point.images for point in points])
    work = np.array([point.points / point.images for point in points])
    along = np.array([point.images for point in points]) if what == "batch" else work
    axes.set(xscale="log", yscale="log", xlabel=GROWTH[what])
    axes.plot(along, each[-1] * work / work[-1], color=INK, ls=(0, (4, 3)), lw=0.9)
    axes.plot(along, each, color=PATH_COLOURS[0], lw=1.4, marker="o", ms=5.5, mew=0)
    axes.set_xticks(along, [str(point.value) for point in points])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.08, y=0.12)


def _logarithmic(axis: matplotlib.axis.Axis) -> None:
    """Ticks at 1, 2 and 5, written out."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())
