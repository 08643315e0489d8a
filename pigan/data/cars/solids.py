"""Convex solids with closed-form ray intersections: half-spaces and axis-aligned quadrics, minus other convex solids.

Arrays of points and directions are component-first, [3, n] float32: whole components stay in the processor's cache.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

Vector = tuple[float, float, float]

TINY = 1e-12
# edges flatter than this keep their fold; blended normals hide it
FLAT_EDGE = math.radians(28)
BEVEL_STEP = math.radians(95)
# planes met at a time by rays that are still alive
CHUNK = 12


@dataclass(frozen=True, eq=False)
class Material:
    """What a surface is made of at n points."""

    albedo: Float[np.ndarray, "3 n"]
    """Linear diffuse reflectance, 0 to 1."""
    mirror: Float[np.ndarray, " n"]
    """Share of light that is mirrored at normal incidence, 0 to 1."""


Paint = Callable[[Float[np.ndarray, "3 n"], Float[np.ndarray, "3 n"]], Material]
"""Points and unit normals in the solid's coordinates -> material there."""


@dataclass(frozen=True, eq=False)
class Solid:
    """The points inside every half-space and every quadric, without those inside a cut.

    `planes` rows (nx, ny, nz, d): n . p <= d with unit n. `quadrics` rows (centre, weights): the points p where
    sum weights * (p - centre)^2 <= 1; a zero weight makes a cylinder along that axis. `low`, `high` bound the solid.
    `softness` is the length over which normals blend across an edge. `cuts` must not overlap one another, so that one
    pass finds the first hit.
    """

    planes: Float[np.ndarray, "planes 4"]
    quadrics: Float[np.ndarray, "quadrics 6"]
    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]
    paint: Paint
    softness: float = 0.01
    cuts: tuple["Solid", ...] = ()

    def without(self, *cuts: "Solid") -> "Solid":
        """This solid with more cut away."""
        return replace(self, cuts=(*self.cuts, *cuts))


def box(low: Vector, high: Vector, paint: Paint, softness: float = 0.01) -> Solid:
    """An axis-aligned box."""
    lower, upper = np.asarray(low, float), np.asarray(high, float)
    planes = np.concatenate([np.c_[np.eye(3), upper], np.c_[-np.eye(3), -lower]])
    return Solid(planes, np.zeros((0, 6)), lower, upper, paint, softness)


def cylinder(centre: Vector, axis: int, radius: float, half: float, paint: Paint, softness: float = 0.01) -> Solid:
    """A round cylinder along coordinate `axis` (0, 1 or 2) that reaches `half` to either side of `centre`."""
    middle = np.asarray(centre, float)
    reach = np.full(3, radius)
    reach[axis] = half
    weights = np.full(3, radius**-2)
    weights[axis] = 0
    along = np.eye(3)[axis]
    planes = np.stack([np.r_[along, middle[axis] + half], np.r_[-along, half - middle[axis]]])
    return Solid(planes, np.r_[middle, weights][None], middle - reach, middle + reach, paint, softness)


def ellipsoid(centre: Vector, radii: Vector, paint: Paint) -> Solid:
    """An ellipsoid with axes along the coordinates."""
    middle, reach = np.asarray(centre, float), np.asarray(radii, float)
    return Solid(np.zeros((0, 4)), np.r_[middle, reach**-2.0][None], middle - reach, middle + reach, paint)


def extrude(outline: Sequence[tuple[float, float]], axes: tuple[int, int]) -> Float[np.ndarray, "planes 4"]:
    """Half-spaces of the prism whose cross-section, in the plane of `axes`, is the convex hull of `outline`."""
    corners = _hull(outline)
    edges = np.roll(corners, -1, 0) - corners
    planes = np.zeros((len(corners), 4))
    normals = np.stack([edges[:, 1], -edges[:, 0]], 1) / np.linalg.norm(edges, axis=1, keepdims=True)
    planes[:, axes] = normals
    planes[:, 3] = (normals * corners).sum(1)
    return planes


def edges(
    planes: Float[np.ndarray, "planes 4"],
) -> tuple[Int[np.ndarray, "edges 2"], Float[np.ndarray, "edges 2 3"]]:
    """Edges of a bounded convex polyhedron: the two planes that meet in each, and its ends.

    The line in which two planes meet is clipped by all the others.
    """
    one, two = np.triu_indices(len(planes), 1)
    along = np.cross(planes[one, :3], planes[two, :3])
    square = (along * along).sum(1)
    proper = square > 1e-12
    one, two, along, square = one[proper], two[proper], along[proper], square[proper, None]
    base = planes[one, 3:] * np.cross(planes[two, :3], along) + planes[two, 3:] * np.cross(along, planes[one, :3])
    base /= square
    slope = _dots(along, planes[:, :3])
    room = planes[:, 3] - _dots(base, planes[:, :3])
    parallel = np.abs(slope) < 1e-9
    reach = room / np.where(parallel, 1, slope)
    first = np.where(~parallel & (slope < 0), reach, -np.inf).max(1)
    last = np.where(~parallel & (slope > 0), reach, np.inf).min(1)
    real = (last - first > 1e-9) & (~parallel | (room > -1e-9)).all(1)
    ends = base[real, None] + np.stack([first, last], 1)[real, :, None] * along[real, None]
    return np.stack([one, two], 1)[real], ends


def rounded(planes: Float[np.ndarray, "planes 4"], radius: float, paint: Paint, softness: float) -> Solid:
    """The bounded polyhedron of some half-spaces after a ball of `radius` has rounded its edges.

    Opening by a ball is: move every plane in by the radius, then grow by the ball. The support of the result in a
    direction is that of the shrunk corners plus the radius, so bevel planes touch the exact round; 0 rounds nothing.
    """
    pairs, ends = edges(planes - np.array([0, 0, 0, radius]))
    corners = ends.reshape(-1, 3)
    outward = planes[:, :3]
    if radius:
        outward = np.concatenate([outward, _between(outward[pairs[:, 0]], outward[pairs[:, 1]])])
    corners = np.unique(corners.round(9), axis=0)
    tangent = np.c_[outward, _dots(outward, corners).max(1) + radius]
    return Solid(tangent, np.zeros((0, 6)), corners.min(0) - radius, corners.max(0) + radius, paint, softness)


def interval(
    solid: Solid, origin: Float[np.ndarray, "3"], directions: Float[np.ndarray, "3 n"]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where rays enter and leave the uncut solid, in units of the direction's length; a miss enters after it leaves."""
    enter = np.zeros(directions.shape[1], np.float32)
    leave = np.full(directions.shape[1], np.inf, np.float32)
    _meet_planes(solid.planes, origin, directions, enter, leave)
    dx, dy, dz = directions
    for row in solid.quadrics:
        weights, start = row[3:], origin - row[:3]
        square = _dot(weights, dx * dx, dy * dy, dz * dz)
        np.maximum(square, TINY, out=square)
        middle = _dot(weights * start, dx, dy, dz)
        root = middle * middle - square * np.float32((weights * start * start).sum() - 1)
        missed = root < 0
        root = np.sqrt(np.maximum(root, 0, out=root), out=root)
        np.maximum(enter, (-middle - root) / square, out=enter)
        np.minimum(leave, (root - middle) / square, out=leave)
        leave[missed] = -1
    return enter, leave


def first_hit(
    solid: Solid, origin: Float[np.ndarray, "3"], directions: Float[np.ndarray, "3 n"]
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Distance to the solid along each ray (inf: none), and whose surface is met: 0 its own, k that of cut k - 1."""
    enter, leave = interval(solid, origin, directions)
    surface = np.zeros(len(enter), np.int16)
    hit = enter < leave
    distance = np.where(hit, enter, np.float32(np.inf))
    if solid.cuts and hit.any():
        where = np.nonzero(hit)[0]
        rays, at, end, owner = directions[:, where], enter[where], leave[where], surface[where]
        for number, cut in enumerate(solid.cuts, 1):
            begin, out = interval(cut, origin, rays)
            carved = (begin <= at) & (at < out)
            at = np.where(carved, out, at)
            owner[carved] = number
        distance[where] = np.where(at < end, at, np.float32(np.inf))
        surface[where] = owner
    return distance, surface


def normals_at(solid: Solid, points: Float[np.ndarray, "3 n"]) -> Float[np.ndarray, "3 n"]:
    """Unit outward normals of the uncut solid at points on it, blended across edges over `softness`."""
    total = np.zeros_like(points)
    x, y, z = points
    if len(solid.planes):
        nx, ny, nz, offset = solid.planes.astype(np.float32).T[:, :, None]
        gap = nx * x
        gap += ny * y
        gap += nz * z
        gap -= offset
        gap /= np.float32(solid.softness)
        weight = np.exp(np.clip(gap, -80, 0, out=gap), out=gap)
        total += np.stack([(weight * component).sum(0) for component in (nx, ny, nz)])
    for row in solid.quadrics.astype(np.float32):
        away = points - row[:3, None]
        gradient = away * row[3:, None]
        length = np.sqrt((gradient * gradient).sum(0)) + np.float32(TINY)
        gap = ((gradient * away).sum(0) - 1) / (2 * length)
        total += np.exp(np.minimum(gap / np.float32(solid.softness), 0)) / length * gradient
    total /= np.sqrt((total * total).sum(0)) + np.float32(TINY)
    return total


def _meet_planes(
    planes: NDArray[np.floating],
    origin: NDArray[np.floating],
    directions: NDArray[np.float32],
    enter: NDArray[np.float32],
    leave: NDArray[np.float32],
) -> None:
    """Narrow each ray's interval to the inside of all half-spaces, in place."""
    room = (planes[:, 3] - (planes[:, :3] * origin).sum(1)).astype(np.float32)
    normals = planes[:, :3].astype(np.float32)
    # all rays start at one point, so each plane is an entrance for all of them or an exit for all
    groups = [np.nonzero(room < 0)[0], np.nonzero(room >= 0)[0]]
    alive = np.arange(len(enter))
    for first in range(0, max(map(len, groups)), CHUNK):
        x, y, z = directions[:, alive]
        for group, outside in zip(groups, (True, False), strict=True):
            chosen = group[first : first + CHUNK]
            if not len(chosen):
                continue
            nx, ny, nz = normals[chosen].T[:, :, None]
            slope = nx * x
            slope += ny * y
            slope += nz * z
            if outside:
                np.minimum(slope, -TINY, out=slope)
                enter[alive] = np.maximum(enter[alive], np.divide(room[chosen, None], slope, out=slope).max(0))
            else:
                np.maximum(slope, TINY, out=slope)
                leave[alive] = np.minimum(leave[alive], np.divide(room[chosen, None], slope, out=slope).min(0))
        alive = alive[enter[alive] < leave[alive]]


def _dots(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dot products of all pairs of rows; not by BLAS, whose threads only wait for one another here."""
    total = np.zeros((len(one), len(other)))
    for axis in range(3):
        total += one[:, axis, None] * other[:, axis]
    return total


def _between(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals that turn from each row of one to that of the other in even steps, ends left out."""
    angle = np.arccos(np.clip((one * other).sum(1), -1, 1))
    steps = np.where(angle > FLAT_EDGE, np.ceil(angle / BEVEL_STEP), 0).astype(int) + 1
    edge = np.repeat(np.arange(len(angle)), steps - 1)
    step = np.concatenate([np.arange(1, count) for count in steps] or [np.zeros(0)])
    turned, whole = (step / steps[edge] * angle[edge])[:, None], angle[edge, None]
    mixed: NDArray[np.float64] = (np.sin(whole - turned) * one[edge] + np.sin(turned) * other[edge]) / np.sin(whole)
    return mixed


def _dot(
    weights: NDArray[np.floating], x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Weighted sum of three components."""
    wx, wy, wz = weights.astype(np.float32)
    total: NDArray[np.float32] = wx * x + wy * y + wz * z
    return total


def _hull(points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Convex hull, counter-clockwise (monotone chain)."""

    def chain(ordered: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        kept: list[tuple[float, float]] = []
        for x, y in ordered:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], (x, y)) <= 1e-9:
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    ordered = sorted({(float(x), float(y)) for x, y in points})
    return np.array(chain(ordered) + chain(ordered[::-1]))


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
