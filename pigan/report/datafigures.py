"""Plots of the data card: where cameras stand, and how deep the depth maps are."""

import math
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pigan.report.figures import COLOURS, INK, STYLE, nothing, save

POSE_COLUMNS = ["yaw_degrees", "elevation_degrees", "width_degrees", "height_degrees", "images"]
DEPTH_COLUMNS = ["depth", "width", "pixels"]
DEPTH_BINS = 60
STEPS = (0.5, 1, 2, 5, 10, 15, 30)


def pose_table(yaw: Float[np.ndarray, " n"], pitch: Float[np.ndarray, " n"]) -> pd.DataFrame:
    """Images by yaw (degrees from the front) and elevation: lower edges, widths and counts of all bins with images."""
    turned = (np.degrees(yaw.astype(np.float64)) - 90 + 180) % 360 - 180
    raised = 90 - np.degrees(pitch.astype(np.float64))
    counts, columns, rows = np.histogram2d(turned, raised, [_edges(turned), _edges(raised)])
    at_column, at_row = np.nonzero(counts)
    table = pd.DataFrame(
        {
            "yaw_degrees": columns[at_column],
            "elevation_degrees": rows[at_row],
            "width_degrees": columns[1] - columns[0],
            "height_degrees": rows[1] - rows[0],
            "images": counts[at_column, at_row].astype(int),
        }
    )
    return table[POSE_COLUMNS]


def depth_table(depth: Float[np.ndarray, "n h w"]) -> pd.DataFrame:
    """Pixels by z-depth (world units): lower edges, widths and counts; pixels without depth are left out."""
    known = depth[np.isfinite(depth)].astype(np.float64)
    if not len(known):
        return pd.DataFrame(columns=DEPTH_COLUMNS)
    # a few stray far pixels would squeeze all others into one bin
    low, high = np.quantile(known, [0.0005, 0.9995])
    counts, edges = np.histogram(known, DEPTH_BINS, (low, max(high, low + 1e-6)))
    return pd.DataFrame({"depth": edges[:-1], "width": np.diff(edges), "pixels": counts})


def mean_pose(yaw: Float[np.ndarray, " n"], pitch: Float[np.ndarray, " n"]) -> tuple[float | None, float]:
    """Mean yaw (degrees from the front; None: it goes all round) and mean elevation, degrees."""
    turned = yaw.astype(np.float64) - math.pi / 2
    middle = np.exp(1j * turned).mean()
    yaw_mean = None if abs(middle) < 0.3 else float(np.degrees(np.angle(middle)))
    return yaw_mean, float(90 - np.degrees(pitch.astype(np.float64)).mean())


def draw_poses(path: Path, table: pd.DataFrame, mean: tuple[float | None, float] | None) -> None:
    """Heat map of yaw by elevation with its two marginal histograms; dashed lines stand at the means."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 3.4), layout="constrained")
        if mean is None or not len(table):
            nothing(figure.subplots())
            save(figure, path)
            return
        grid = figure.subplots(2, 2, width_ratios=[5, 1], height_ratios=[1, 3.4], squeeze=False)
        (above, corner), (middle, beside) = grid
        corner.axis("off")
        width, height = float(table["width_degrees"].iloc[0]), float(table["height_degrees"].iloc[0])
        cells = [
            Rectangle((x, y), width, height)
            for x, y in zip(table["yaw_degrees"], table["elevation_degrees"], strict=True)
        ]
        shade = np.sqrt(table["images"].to_numpy(float) / float(table["images"].max()))
        colours = np.column_stack([np.tile(to_rgb(COLOURS[0]), (len(table), 1)), 0.12 + 0.88 * shade])
        middle.add_collection(PatchCollection(cells, facecolors=colours, linewidths=0))
        across = table.groupby("yaw_degrees")["images"].sum()
        up = table.groupby("elevation_degrees")["images"].sum()
        above.bar(across.index, across, width, align="edge", color=COLOURS[0], alpha=0.6, linewidth=0)
        beside.barh(up.index, up, height, align="edge", color=COLOURS[0], alpha=0.6, linewidth=0)
        for axes in (middle, above):
            axes.set_xlim(across.index.min(), across.index.max() + width)
            if mean[0] is not None:
                axes.axvline(mean[0], color=INK, ls=(0, (4, 3)), lw=0.9)
        for axes in (middle, beside):
            axes.set_ylim(up.index.min(), up.index.max() + height)
            axes.axhline(mean[1], color=INK, ls=(0, (4, 3)), lw=0.9)
        for axes in (above, beside):
            axes.grid(False)
            axes.tick_params(labelbottom=False, labelleft=False)
        middle.set(xlabel="Yaw from the front, degrees", ylabel="Elevation, degrees")
        above.set_title("Cameras")
        save(figure, path)


def draw_depth(path: Path, table: pd.DataFrame) -> None:
    """Histogram of the depth maps."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 3.4), layout="constrained")
        axes = figure.subplots()
        if len(table):
            shares = 100 * table["pixels"] / table["pixels"].sum()
            axes.bar(table["depth"], shares, table["width"], align="edge", color=COLOURS[2], alpha=0.75, linewidth=0)
            axes.set_title("Depth")
            axes.set(xlabel="z-depth, world units", ylabel="Pixels with depth, %")
            axes.grid(False, axis="x")
        else:
            nothing(axes)
        save(figure, path)


def _edges(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """Round bins that hold all values: at most forty, fewer for few values, so that most of them hold something."""
    low, high, most = float(values.min()), float(values.max()), min(max(math.sqrt(len(values)) * 0.8, 6), 40)
    step = next((step for step in STEPS if (high - low) / step <= most), STEPS[-1])
    first, last = math.floor(low / step), math.floor(high / step) + 1
    return np.arange(first, last + 1) * float(step)
