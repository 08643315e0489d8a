"""Convex solids with closed-form ray intersections: half-spaces and axis-aligned quadrics, minus other convex solids.

Arrays of points and directions are component-first, [3, n] float32: whole components stay in the processor's cache.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

TINY = 1e-12
# edges flatter than this keep their fold; blended normals hide it
FLAT_EDGE = math.radians(12)
BEVEL_STEP = math.radians(38)


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

    `planes` rows (nx, ny, nz, d): n . p <= d with unit n. `quadrics` rows (centre, weights): sum weights * (p - centre)^2 <= 1;
    a zero weight makes a cylinder along that axis. `low`, `high` bound the solid. `softness` is the length over
    which normals blend across an edge. `cuts` must not overlap one another, so that one pass finds the first hit.
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


def box(low: ArrayLike, high: ArrayLike, paint: Paint, softness: float = 0.01) -> Solid:
    """An axis-aligned box."""
    lower, upper = np.asarray(low, float), np.asarray(high, float)
    planes = np.concatenate([np.c_[np.eye(3), upper], np.c_[-np.eye(3), -lower]])
    return Solid(planes, np.zeros((0, 6)), lower, upper, paint, softness)


def cylinder(centre: ArrayLike, axis: int, radius: float, half: float, paint: Paint, softness: float = 0.01) -> Solid:
    """A round cylinder along coordinate `axis` (0, 1 or 2) that reaches `half` to either side of `centre`."""
    middle = np.asarray(centre, float)
    reach = np.full(3, radius)
    reach[axis] = half
    weights = np.full(3, radius**-2)
    weights[axis] = 0
    along = np.eye(3)[axis]
    planes = np.stack([np.r_[along, middle[axis] + half], np.r_[-along, half - middle[axis]]])
    return Solid(planes, np.r_[middle, weights][None], middle - reach, middle + reach, paint, softness)


def ellipsoid(centre: ArrayLike, radii: ArrayLike, paint: Paint) -> Solid:
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


def vertices(planes: Float[np.ndarray, "planes 4"]) -> Float[np.ndarray, "corners 3"]:
    """Corners of a convex polyhedron: the meetings of three planes that no other plane cuts off."""
    one, two, three = np.array(list(itertools.combinations(range(len(planes)), 3))).T
    normals, offsets = planes[:, :3], planes[:, 3]
    # every cross product of two normals is needed often, so all are made once
    crosses = np.cross(normals[:, None], normals[None])
    volume = (crosses[one, two] * normals[three]).sum(1)
    proper = np.abs(volume) > 1e-9
    one, two, three, volume = one[proper], two[proper], three[proper], volume[proper]
    points = crosses[two, three] * offsets[one, None] + crosses[three, one] * offsets[two, None]
    points = (points + crosses[one, two] * offsets[three, None]) / volume[:, None]
    inside = (points @ normals.T <= offsets + 1e-9).all(1)
    return np.unique(points[inside].round(9), axis=0)


def rounded(planes: Float[np.ndarray, "planes 4"], radius: float, paint: Paint, softness: float) -> Solid:
    """The bounded polyhedron of some half-spaces after a ball of `radius` has rounded its edges.

    Opening by a ball is: move every plane in by the radius, then grow by the ball. The support of the result in a
    direction is that of the shrunk corners plus the radius, so bevel planes touch the exact round; 0 rounds nothing.
    """
    shrunk = planes - np.array([0, 0, 0, radius])
    corners = vertices(shrunk)
    touches = np.abs(corners @ shrunk[:, :3].T - shrunk[:, 3]) < 1e-6
    shared = touches.T.astype(int) @ touches.astype(int)
    directions = list(planes[:, :3])
    for one, other in zip(*np.nonzero(np.triu(shared, 1) >= 2), strict=True):
        directions += _between(planes[one, :3], planes[other, :3]) if radius else []
    outward = np.array(directions)
    tangent = np.c_[outward, (outward @ corners.T).max(1) + radius]
    return Solid(tangent, np.zeros((0, 6)), corners.min(0) - radius, corners.max(0) + radius, paint, softness)


def interval(
    solid: Solid, origin: Float[np.ndarray, "3"], directions: Float[np.ndarray, "3 n"]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where rays enter and leave the uncut solid, in units of the direction's length; a miss enters after it leaves."""
    enter = np.zeros(directions.shape[1], np.float32)
    leave = np.full(directions.shape[1], np.inf, np.float32)
    dx, dy, dz = directions
    for nx, ny, nz, offset in solid.planes:
        slope = _dot(np.array([nx, ny, nz]), dx, dy, dz)
        room = np.float32(offset - (nx * origin[0] + ny * origin[1] + nz * origin[2]))
        # all rays start at one point, so each plane is an entrance for all of them or an exit for all
        if room < 0:
            np.maximum(enter, room / np.minimum(slope, -TINY), out=enter)
        else:
            np.minimum(leave, room / np.maximum(slope, TINY), out=leave)
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
    """Distance to the solid along each ray (inf: none) and whose surface is met: 0 the solid's own, k that of cut k - 1."""
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
    for nx, ny, nz, offset in solid.planes.astype(np.float32):
        weight = np.exp(np.minimum((x * nx + y * ny + z * nz - offset) / np.float32(solid.softness), 0))
        total += weight * np.array([[nx], [ny], [nz]], np.float32)
    for row in solid.quadrics.astype(np.float32):
        away = points - row[:3, None]
        gradient = away * row[3:, None]
        length = np.sqrt((gradient * gradient).sum(0)) + np.float32(TINY)
        gap = ((gradient * away).sum(0) - 1) / (2 * length)
        total += np.exp(np.minimum(gap / np.float32(solid.softness), 0)) / length * gradient
    return total / (np.sqrt((total * total).sum(0)) + np.float32(TINY))


def _between(one: NDArray[np.float64], other: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Unit normals that turn from one to the other in even steps, ends left out."""
    angle = math.acos(float(np.clip(one @ other, -1, 1)))
    count = math.ceil(angle / BEVEL_STEP) if angle > FLAT_EDGE else 0
    shares = np.arange(1, count + 1) / (count + 1)
    return [(math.sin((1 - share) * angle) * one + math.sin(share * angle) * other) / math.sin(angle) for share in shares]


def _dot(
    weights: NDArray[np.floating], x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Weighted sum of three components that skips zero weights, which extruded shapes have many of."""
    terms = [np.float32(weight) * part for weight, part in zip(weights, (x, y, z), strict=True) if weight]
    total = terms[0] if terms else np.zeros_like(x)
    for term in terms[1:]:
        total += term
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
