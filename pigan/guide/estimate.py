"""Camera settings from known cameras: where they look, what points up, how far they stand, what they see."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from pigan.data.posed.frames import TO_Y_UP, in_world, pose_angles
from pigan.dataset_sections import World
from pigan.errors import PiganError
from pigan.guide.laws import LawFit, fit_law
from pigan.guide.suggestion import Suggestion
from pigan.sections import Camera

Up = Literal["y", "-y", "z", "-z"]
UPS: tuple[Up, ...] = ("y", "-y", "z", "-z")

# below this variance of directions (0.6 degrees) optical axes are parallel: they meet nowhere in particular
PARALLEL = 1e-4
# up axes within so many degrees of roll fit alike
SAME_ROLL = 2.0
# cameras this near (share of their distance) to pigan's own world are in it
NEAR_ENOUGH = 0.01
# share of the depth range that is left free in front of and behind the nearest and the farthest surface
MARGIN = 0.05


def suggest(
    cam2world: Float[np.ndarray, "n 4 4"],
    fov: Float[np.ndarray, " m"],
    depth: Float[np.ndarray, "m side side"] | None = None,
    shown: Int[np.ndarray, " m"] | None = None,
) -> Suggestion:
    """Settings for cameras given in any world (OpenGL axes).

    Args:
        cam2world: All cameras.
        fov: Opening angles (radians) of the square views of some of them.
        depth: z-depth maps of those views in the cameras' units, NaN where there is none.
        shown: Which cameras these are; needed with `depth`.

    Raises:
        PiganError: the cameras do not look at one thing.
    """
    opening = float(np.median(fov))
    points = None if depth is None or shown is None else surface_points(depth, opening)
    distances = None if points is None else _known(np.linalg.norm(points, axis=-1))
    center, miss = look_at_point(cam2world, distances)
    up, roll, others = up_axis(cam2world)
    away = np.linalg.norm(cam2world[:, :3, 3] - center, axis=1)
    scale = 1 / float(np.median(away))
    world = None if _is_own(center, up, scale) else World(up=up, center=_rounded(center, scale), scale=_digits(scale))
    placed = np.stack([in_world(matrix, world) for matrix in cam2world])
    pitch, yaw = pose_angles(placed, math.pi / 2)
    law = fit_law(yaw, pitch)
    scale = 1.0 if world is None else world.scale
    from_centre = None
    if points is not None and shown is not None:
        turn, place = placed[shown, :3, :3], placed[shown, :3, 3]
        seen = np.einsum("mij,mhwj->mhwi", turn, points * scale) + place[:, None, None]
        from_centre = _known(np.linalg.norm(seen, axis=-1))
    near, far, bounds = _bounds(placed, opening, None if distances is None else distances * scale, from_centre)
    camera = Camera(
        fov_degrees=_digits(math.degrees(opening)),
        align_corners=False,
        radius=1.0,
        near=near,
        far=far,
        pose_law=law.law,
        yaw_mean=_digits(law.yaw_mean),
        yaw_spread=_digits(law.yaw_spread),
        pitch_mean=_digits(law.pitch_mean),
        pitch_spread=_digits(law.pitch_spread),
    )
    notes = [
        _told_place(len(cam2world), miss * scale),
        *_told_up(up, roll, others),
        *_told_distance(away),
        *_told_fov(fov),
        *bounds,
        *_told_law(law, yaw, pitch),
    ]
    if world is None:
        notes.append("measured: the cameras are in pigan's world already, so dataset.world needs no change")
    return Suggestion(camera, world, tuple(notes), "car" if law.yaw_spread > 1 else "head", placed)


def look_at_point(
    cam2world: Float[np.ndarray, "n 4 4"], distances: Float[np.ndarray, " k"] | None = None
) -> tuple[Float[np.ndarray, "3"], float]:
    """The point nearest to all optical axes by least squares, and their root mean square distance from it.

    Axes that pass it at more than three times the median distance are left out. Parallel axes have no such point:
    then it is the origin if all axes pass by it, or a point as far away as the median of `distances`.

    Raises:
        PiganError: parallel axes without anything that says how far they look, or cameras that look apart.
    """
    places, axes = cam2world[:, :3, 3], -cam2world[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    towards = np.einsum("nij,nj->ni", across, places)
    if np.linalg.eigvalsh(across.mean(0))[0] < PARALLEL:
        if (np.linalg.norm(towards, axis=1) < NEAR_ENOUGH * np.linalg.norm(places, axis=1)).all():
            return np.zeros(3), float(np.linalg.norm(towards, axis=1).mean())
        if distances is None or not len(distances):
            raise PiganError(
                "the cameras all look the same way, so where their object is cannot be told; add depth maps, or set"
                " dataset.world and camera in params.yaml by hand"
            )
        point = np.mean(places + axes * float(np.median(distances)), axis=0)
    else:
        kept = np.full(len(places), True)
        for _ in range(3):
            point = np.linalg.solve(across[kept].sum(0), towards[kept].sum(0))
            past = np.linalg.norm(across @ point - towards, axis=1)
            kept = past <= 3 * np.median(past) + 1e-9
    past = np.linalg.norm(across @ point - towards, axis=1)
    ahead = np.einsum("nj,nj->n", axes, point - places) > 0
    if ahead.mean() < 0.9:
        raise PiganError(
            f"{(~ahead).sum()} of {len(places)} cameras look away from the point they have in common; pigan needs"
            " cameras around one object, looking inwards (are the matrices world2cam, or of OpenCV axes?)"
        )
    return point, float(np.sqrt(np.mean(past**2)))


def up_axis(cam2world: Float[np.ndarray, "n 4 4"]) -> tuple[Up, float, list[Up]]:
    """The axis of ±y, ±z that points up, the cameras' roll against it (rms, degrees), and axes that fit as well.

    Cameras that are held level have it at right angles to their x axes; the mean of their y axes gives the side.
    """
    right, mean_up = cam2world[:, :3, 0], cam2world[:, :3, 1].mean(0)
    rolls: dict[Up, float] = {}
    sides: dict[Up, float] = {}
    for name in UPS:
        axis = TO_Y_UP[name][1]
        rolls[name] = float(np.degrees(np.sqrt(np.mean(np.arcsin(np.clip(right @ axis, -1, 1)) ** 2))))
        sides[name] = float(mean_up @ axis)
    upward = [name for name in UPS if sides[name] > 0.05] or [max(UPS, key=lambda name: sides[name])]
    least = min(rolls[name] for name in upward)
    alike = sorted((name for name in upward if rolls[name] <= least + SAME_ROLL), key=lambda name: -sides[name])
    return alike[0], rolls[alike[0]], [name for name in alike[1:] if sides[name] > 0.5 * sides[alike[0]]]


def surface_points(depth: Float[np.ndarray, "m side side"], fov: float) -> Float[np.ndarray, "m side side 3"]:
    """What each pixel of square views that span `fov` (radians) shows, in the coordinates of its own camera."""
    side = depth.shape[1]
    across = ((np.arange(side) + 0.5) / side * 2 - 1) * math.tan(fov / 2)
    x, y = np.meshgrid(across, -across)
    return np.stack([x, y, -np.ones_like(x)], -1) * depth[..., None].astype(np.float64)


def visible_radius(cam2world: Float[np.ndarray, "n 4 4"], fov: float) -> Float[np.ndarray, " n"]:
    """Radius of the largest ball around the origin that each camera sees whole; negative if it sees no centre."""
    centre = -np.einsum("nij,ni->nj", cam2world[:, :3, :3], cam2world[:, :3, 3])
    aside = np.abs(centre[:, :2]).max(1)
    radius: Float[np.ndarray, " n"] = -centre[:, 2] * math.sin(fov / 2) - aside * math.cos(fov / 2)
    return radius


def _bounds(
    placed: Float[np.ndarray, "n 4 4"],
    fov: float,
    distances: Float[np.ndarray, " points"] | None,
    from_centre: Float[np.ndarray, " points"] | None,
) -> tuple[float, float, list[str]]:
    """near, far (world units), and how they were found: from surfaces' distances to cameras and centre if known."""
    ball = float(np.quantile(visible_radius(placed, fov), 0.01))
    close, remote = np.quantile(np.linalg.norm(placed[:, :3, 3], axis=1), [0.01, 0.99])
    notes = []
    if ball <= 0:
        ball = math.sin(fov / 2)
        notes.append("warning: some cameras do not have the centre in view; near and far may be wrong")
    seen = f"measured: the ball around the centre that every camera sees whole has radius {ball:.3g}"
    if distances is None or from_centre is None or not len(distances):
        near, far = close - ball, remote + ball
        notes += [seen, "assumed: the object fills that ball, so near and far bound it (there are no depth maps)"]
    else:
        low, middle, high = np.quantile(distances, [0.001, 0.5, 0.999])
        reach = float(np.quantile(from_centre, 0.999)) * (1 + MARGIN)
        notes.append(f"{seen}; depth maps reach from {low:.3g} to {high:.3g}")
        if not close - 2 * ball < middle < remote + 2 * ball:
            near, far = close - ball, remote + ball
            notes.append("warning: most of the depth is nowhere near that ball; check dataset.depth (unit, measure)")
        elif reach < 2 * ball:
            # the far side of an object is in no depth map of the same view, but must lie before far
            near, far = close - reach, remote + reach
            notes.append(f"measured: all surfaces lie within {reach:.3g} of the centre, {MARGIN:.0%} of room included")
        else:
            near, far = low - MARGIN * (high - low), high + MARGIN * (high - low)
            notes.append("warning: depth reaches far beyond that ball; mask the background out if it is not wanted")
    near = max(math.floor(near * 100 + 1e-6) / 100, 0.01)
    return near, max(math.ceil(far * 100 - 1e-6) / 100, near + 0.01), notes


def _told_place(count: int, miss: float) -> str:
    verdict = "" if miss < 0.05 else " (warning: pigan's cameras all look at one point)"
    return (
        f"measured: the optical axes of {count:,} cameras pass their common point at {100 * miss:.2g}% of the"
        f" distance{verdict}"
    )


def _told_up(up: Up, roll: float, others: list[Up]) -> list[str]:
    notes = [f"measured: {up} points up; the cameras are rolled against it by {roll:.1f} degrees (rms)"]
    if others:
        notes.append(f"assumed: up is {up}; {' or '.join(others)} would fit too, since the cameras hardly go round")
    if roll > 5:
        notes.append(
            "warning: no axis of the raw world points up well; turn the raw poses so that y or z does, or expect"
            " tilted objects"
        )
    return notes


def _told_distance(away: Float[np.ndarray, " n"]) -> list[str]:
    low, middle, high = np.quantile(away, [0.05, 0.5, 0.95])
    notes = [
        f"measured: the cameras are {middle:.4g} away from it in the files' units (5-95%: {low:.4g} to {high:.4g})"
    ]
    if high > 1.1 * low:
        notes.append("warning: pigan puts every camera at one distance; objects will seem to differ in size")
    return notes


def _told_fov(fov: Float[np.ndarray, " m"]) -> list[str]:
    low, middle, high = np.degrees(np.quantile(fov, [0.05, 0.5, 0.95]))
    notes = [f"measured: the square views span {middle:.4g} degrees (median of {len(fov):,})"]
    if high > 1.02 * low:
        notes.append(f"warning: they vary, 5-95%: {low:.4g} to {high:.4g} degrees; pigan uses one angle for all")
    return notes


def _told_law(law: LawFit, yaw: Float[np.ndarray, " n"], pitch: Float[np.ndarray, " n"]) -> list[str]:
    turns = np.degrees(np.quantile(yaw - math.pi / 2, [0.05, 0.95]))
    heights = 90 - np.degrees(np.quantile(pitch, [0.95, 0.05]))
    text = (
        f"measured: yaw {turns[0]:+.0f} to {turns[1]:+.0f} degrees from the front, elevation {heights[0]:.0f} to"
        f" {heights[1]:.0f} (5-95%); {law.law} misses their quantiles by {math.degrees(law.misfit):.2g} degrees (rms)"
    )
    notes = [f"{text}; nearly as good: {', '.join(law.rivals)}" if law.rivals else text]
    if law.misfit > 0.15 * max(float(pitch.std()), 0.1 * float(yaw.std()), math.radians(5)):
        notes.append("warning: no pose law of pigan fits these cameras well; look at the histogram (--out)")
    return notes


def _known(values: Float[np.ndarray, "m side side"]) -> Float[np.ndarray, " points"]:
    known: Float[np.ndarray, " points"] = values[np.isfinite(values)]
    return known


def _is_own(center: Float[np.ndarray, "3"], up: Up, scale: float) -> bool:
    return up == "y" and abs(scale - 1) < NEAR_ENOUGH and float(np.linalg.norm(center)) < NEAR_ENOUGH


def _rounded(center: Float[np.ndarray, "3"], scale: float) -> list[float]:
    """The centre to a ten-thousandth of the cameras' distance."""
    digits = 4 + math.ceil(math.log10(scale))
    return [round(float(value), digits) + 0.0 for value in center]


def _digits(value: float) -> float:
    """Five digits that count."""
    return float(f"{value:.5g}")
