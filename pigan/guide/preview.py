"""One picture to judge a suggestion by: its bounds over real images, stand-ins beside them, where cameras are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Circle, Polygon, Rectangle

from pigan.data.posed.frames import pose_angles
from pigan.files import atomic_file
from pigan.guide.proxy import render_proxies
from pigan.guide.suggestion import Suggestion
from pigan.rendering.cameras import look_at_origin, sample_cameras
from pigan.report.embed import contact_sheet
from pigan.report.figures import COLOURS, GRID, INK, STYLE
from pigan.sections import Camera
from pigan.synthesis.views import usual_pitch

BLUE, ORANGE, GREEN, RED = COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[4]
AXES = (("x", RED), ("y", GREEN), ("z", BLUE))
SHOWN = 6
SHEET = (3, 6)
DRAWN = 20_000
DOTS = 1_500
PROXY_SIDE = 64
SEED = 0


@dataclass(frozen=True, eq=False)
class View:
    """A real image, and its camera where that is known."""

    image: UInt8[np.ndarray, "side side 3"]
    cam2world: Float[np.ndarray, "4 4"] | None
    """In pigan's world."""
    fov: float
    """Between the outer edges of the image, radians."""


def draw_preview(path: Path, views: Sequence[View], suggestion: Suggestion) -> None:
    """Writes the picture (PNG). `views` are a random sample of the data; at least one."""
    with matplotlib.rc_context({**STYLE, "text.color": "#333a44", "figure.facecolor": "white"}):
        figure = Figure(figsize=(12.0, 9.8), dpi=110, layout="constrained")
        parts = figure.subfigures(3, 1, height_ratios=[2.4, 3.8, 3.6], squeeze=False)
        top, middle, bottom = (part[0] for part in parts)
        _draw_bounds(top, views[:SHOWN], suggestion)
        _draw_beside(middle, views, suggestion)
        _draw_places(bottom, suggestion)
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


def outlines(
    cam2world: Float[np.ndarray, "4 4"], fov: float, radius: float
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "4 2"]]:
    """Edge of the ball of `radius` around the origin, and the origin with the ends of three axes of that length.

    Places in the image: from (0, 0), its upper left corner, to (1, 1).
    """
    turn, place = cam2world[:3, :3], cam2world[:3, 3]
    away = float(np.linalg.norm(place))
    towards = -place / away
    aside = np.cross(towards, turn[:, 1])
    aside /= np.linalg.norm(aside)
    over = np.cross(aside, towards)
    angles = np.linspace(0, 2 * math.pi, 73)[:, None]
    # the edge of a ball is the circle in which the cone from the camera touches it
    ring = math.sqrt(max(1 - (radius / away) ** 2, 0.0)) * radius
    edge = -towards * radius**2 / away + ring * (np.cos(angles) * aside + np.sin(angles) * over)
    tips = radius * np.vstack([np.zeros(3), np.eye(3)])
    return _projected(edge, cam2world, fov), _projected(tips, cam2world, fov)


def _projected(
    points: Float[np.ndarray, "n 3"], cam2world: Float[np.ndarray, "4 4"], fov: float
) -> Float[np.ndarray, "n 2"]:
    local = (points - cam2world[:3, 3]) @ cam2world[:3, :3]
    across = local[:, :2] / np.maximum(-local[:, 2:], 1e-6) / math.tan(fov / 2)
    placed: Float[np.ndarray, "n 2"] = across * [0.5, -0.5] + 0.5
    return placed


def _draw_bounds(figure: SubFigure, views: Sequence[View], suggestion: Suggestion) -> None:
    known = views[0].cam2world is not None
    told = ", and x (red), y (green, up), z (blue, front)" if known else ": the object should fill it and not cross it"
    figure.suptitle(
        f"Images of the data with the ball that lies between near and far, radius {suggestion.reach:.3g}{told}",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    panels = figure.subplots(1, SHOWN, squeeze=False)[0]
    front = _front(suggestion.camera)
    for axes, view in zip(panels, views, strict=False):
        side = view.image.shape[0]
        edge, tips = outlines(front if view.cam2world is None else view.cam2world, view.fov, suggestion.reach)
        axes.imshow(view.image, extent=(0, 1, 1, 0), interpolation="nearest" if side < 100 else "antialiased")
        axes.plot(*edge.T, color="white", lw=2.6)
        axes.plot(*edge.T, color=ORANGE, lw=1.4)
        for (_, colour), tip in zip(AXES, tips[1:], strict=True) if known else ():
            axes.plot(*np.stack([tips[0], tip]).T, color=colour, lw=1.8)
        axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, color=GRID, lw=1))
        axes.set(xlim=(-0.06, 1.06), ylim=(1.06, -0.06))
    for axes in panels:
        axes.axis("off")


def _draw_beside(figure: SubFigure, views: Sequence[View], suggestion: Suggestion) -> None:
    rows, columns = SHEET
    stand_ins = {"car": "embedded cars", "head": "plain heads"}[suggestion.proxy]
    proxies = render_proxies(suggestion.proxy, suggestion.camera, suggestion.reach, rows * columns, PROXY_SIDE, SEED)
    real = np.stack([view.image for view in views[: rows * columns]])
    left, right = figure.subplots(1, 2)
    for axes, images, title in (
        (left, real, "Images of the data"),
        (right, proxies, f"As many {stand_ins}, seen by the suggested cameras"),
    ):
        axes.imshow(contact_sheet(images, rows, columns, 128), interpolation="antialiased")
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    figure.supxlabel(
        "Compare sizes and angles: both sheets should show objects as large, and turned and tilted as much.",
        fontsize=9,
        color=INK,
    )


def _draw_places(figure: SubFigure, suggestion: Suggestion) -> None:
    camera = suggestion.camera
    drawn = sample_cameras(camera, DRAWN, SEED).numpy()
    known = suggestion.cam2world
    dots = drawn[:DOTS] if known is None else known[:: math.ceil(len(known) / DOTS)]
    top, side, turns, heights = figure.subplots(1, 4, width_ratios=[1, 1, 1.05, 1.05])
    _draw_view(top, dots, camera, (0, 2), "From above")
    _draw_view(side, dots, camera, (2, 1), "From the right")
    law, have = pose_angles(drawn, math.pi / 2), None if known is None else pose_angles(known, math.pi / 2)
    for axes, index, title in ((turns, 1, "Yaw from the front, degrees"), (heights, 0, "Elevation, degrees")):
        _draw_angles(axes, _shown(law[index], index), None if have is None else _shown(have[index], index))
        axes.set_title(title, fontsize=10)
    handles, labels = turns.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2, fontsize=9)
    what = "Known cameras" if known is not None else "Cameras drawn from the suggested law"
    figure.suptitle(f"{what}; the wedge is one camera's view from near to far", x=0.01, ha="left", fontsize=10)


def _draw_view(
    axes: Axes, cam2world: Float[np.ndarray, "n 4 4"], camera: Camera, pair: tuple[int, int], title: str
) -> None:
    """Camera places on two axes of the world, and one camera's wedge from near to far."""
    first, second = pair
    axes.scatter(cam2world[:, first, 3], cam2world[:, second, 3], s=4, color=BLUE, alpha=0.35, linewidths=0)
    axes.add_patch(Circle((0, 0), max(camera.far - camera.radius, 0.01), fill=False, color=ORANGE, lw=1.2))
    front = _front(camera)
    place, back, half = front[:3, 3], front[:3, 2], math.tan(camera.fov / 2)
    aside = front[:3, 0] if second == 2 else front[:3, 1]
    corners = [
        place + depth * (sign * half * aside - back)
        for depth, sign in ((camera.near, -1), (camera.far, -1), (camera.far, 1), (camera.near, 1))
    ]
    axes.add_patch(Polygon([corner[list(pair)] for corner in corners], color=ORANGE, alpha=0.25, lw=0))
    for corner in corners[1:3]:
        axes.plot(*np.stack([place[list(pair)], corner[list(pair)]]).T, color=ORANGE, lw=0.8)
    axes.plot(0, 0, "+", color=INK)
    limit = 1.15 * max(camera.radius, float(np.abs(cam2world[:, pair, 3]).max()))
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.set(xlabel=f"{'xyz'[first]} →", ylabel=f"{'xyz'[second]} →")
    axes.set_title(title, fontsize=10)
    if second == 2:
        # z, the front, points down, so that the front camera stands at the lower edge as on a stage plan
        axes.invert_yaxis()
        axes.set_ylabel("← z, the front")


def _draw_angles(axes: Axes, law: Float[np.ndarray, " n"], known: Float[np.ndarray, " m"] | None) -> None:
    both = law if known is None else np.concatenate([law, known])
    low, high = np.quantile(both, [0.001, 0.999])
    bins = list(np.linspace(low - 2, high + 2, 41))
    if known is not None:
        axes.hist(known, bins, density=True, color=BLUE, alpha=0.45, label="known cameras")
    axes.hist(law, bins, density=True, histtype="step", color=ORANGE, lw=1.6, label="suggested law")
    axes.set_yticks([])


def _shown(angles: Float[np.ndarray, " n"], index: int) -> Float[np.ndarray, " n"]:
    """Degrees from the front (yaw, index 1) or above level (pitch, index 0)."""
    degrees: Float[np.ndarray, " n"] = np.degrees(angles - math.pi / 2) * (1 if index else -1)
    return degrees


def _front(camera: Camera) -> Float[np.ndarray, "4 4"]:
    """The camera at the law's mean yaw and middle pitch."""
    matrix: Float[np.ndarray, "4 4"] = look_at_origin(
        torch.tensor(camera.yaw_mean).double(), torch.tensor(usual_pitch(camera)).double(), camera.radius
    ).numpy()
    return matrix
