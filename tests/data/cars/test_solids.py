"""Closed forms: what a ray meets is compared with formulas written out for each shape."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pigan.data.cars.paint import plain
from pigan.data.cars.solids import (
    Solid,
    box,
    cylinder,
    edges,
    ellipsoid,
    extrude,
    first_hit,
    interval,
    normals_at,
    rounded,
)

GREY = plain((0.5, 0.5, 0.5))
CUBE = np.concatenate([np.c_[np.eye(3), np.ones(3)], np.c_[-np.eye(3), np.ones(3)]])


def hit(solid: Solid, origin: tuple[float, float, float], direction: tuple[float, float, float]) -> float:
    distance, _ = first_hit(solid, np.array(origin, float), np.array(direction, np.float32)[:, None])
    return float(distance[0])


def test_box_is_met_at_its_near_face() -> None:
    brick = box((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0), GREY)
    assert hit(brick, (0, 0, 10), (0, 0, -1)) == pytest.approx(7)
    assert hit(brick, (10, 1, 1), (-1, 0, 0)) == pytest.approx(9)
    assert hit(brick, (0, 0, 10), (0, 0, 1)) == math.inf
    assert hit(brick, (0, 2.01, 10), (0, 0, -1)) == math.inf


def test_oblique_ray_meets_box_where_the_slab_formula_says() -> None:
    rng = np.random.default_rng(0)
    brick = box((-1.0, -0.5, -0.7), (1.0, 0.5, 0.7), GREY)
    origin = np.array([3.0, 4.0, 5.0])
    directions = (rng.uniform(-0.8, 0.8, (500, 3)) * [1, 0.5, 0.7] - origin).astype(np.float32)
    near = (np.sign(origin) * [1, 0.5, 0.7] - origin) / directions
    distance, surface = first_hit(brick, origin, directions.T)
    np.testing.assert_allclose(distance, near.max(1), rtol=1e-5)
    assert (surface == 0).all()


def test_cylinder_side_and_cap() -> None:
    drum = cylinder((0.0, 0.0, 0.0), 2, 0.5, 1.0, GREY)
    assert hit(drum, (4, 0, 0), (-1, 0, 0)) == pytest.approx(3.5)
    assert hit(drum, (4, 0.3, 0), (-1, 0, 0)) == pytest.approx(4 - 0.4)
    assert hit(drum, (0.2, 0.1, 5), (0, 0, -1)) == pytest.approx(4)
    assert hit(drum, (4, 0.51, 0), (-1, 0, 0)) == math.inf
    # enters through the cap although it crosses the endless cylinder elsewhere
    assert hit(drum, (0, 0, 2), (0, 0.2, -1)) == pytest.approx(1)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_ellipsoid_hits_satisfy_its_equation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre, radii = rng.uniform(-1, 1, 3), rng.uniform(0.2, 1, 3)
    origin = centre + rng.choice([-1, 1], 3) * rng.uniform(2, 4, 3)
    inside = centre + radii * rng.uniform(-0.5, 0.5, (20, 3))
    directions = (inside - origin).astype(np.float32).T
    distance, _ = first_hit(ellipsoid(tuple(centre.tolist()), tuple(radii.tolist()), GREY), origin, directions)
    points = origin[:, None] + distance * directions
    np.testing.assert_allclose((((points.T - centre) / radii) ** 2).sum(1), 1, atol=2e-4)
    assert (distance < 1).all()


def test_cut_shows_its_far_wall() -> None:
    brick = box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), GREY).without(cylinder((0.0, 0.0, 1.0), 2, 0.5, 0.25, GREY))
    origin = np.array([0.0, 0.0, 5.0])
    directions = np.array([[0, 0, -1], [0.8 / 4, 0, -1]], np.float32).T
    distance, surface = first_hit(brick, origin, directions)
    np.testing.assert_allclose(distance, [4.25, 4.0], rtol=1e-6)
    assert surface.tolist() == [1, 0]


def test_cut_through_the_solid_lets_rays_pass() -> None:
    pipe = cylinder((0.0, 0.0, 0.0), 2, 1.0, 1.0, GREY).without(cylinder((0.0, 0.0, 0.0), 2, 0.5, 2.0, GREY))
    assert hit(pipe, (0.1, 0, 5), (0, 0, -1)) == math.inf
    assert hit(pipe, (0.7, 0, 5), (0, 0, -1)) == pytest.approx(4)


def test_edges_of_a_cube() -> None:
    pairs, ends = edges(CUBE)
    assert len(pairs) == 12
    np.testing.assert_allclose(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), 2)
    assert np.isclose(np.abs(ends), 1).all()
    for (one, two), line in zip(pairs, ends, strict=True):
        np.testing.assert_allclose(line @ CUBE[[one, two], :3].T, np.tile(CUBE[[one, two], 3], (2, 1)), atol=1e-12)


def test_edges_leave_out_planes_that_touch_nothing() -> None:
    pairs, _ = edges(np.concatenate([CUBE, [[1, 0, 0, 1.5]], [[0.6, 0.8, 0, 1.41]]]))
    assert len(pairs) == 12
    assert pairs.max() < len(CUBE)


def test_extruded_hull_contains_its_points_and_ignores_inner_ones() -> None:
    outline = [(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (0.0, 1.0), (1.0, 0.5), (1.0, 0.0)]
    planes = extrude(outline, (0, 1))
    assert len(planes) == 4
    np.testing.assert_allclose(np.linalg.norm(planes[:, :3], axis=1), 1)
    assert (planes[:, 2] == 0).all()
    for x, y in outline:
        assert (planes[:, 0] * x + planes[:, 1] * y <= planes[:, 3] + 1e-9).all()


def test_rounded_cube_touches_the_exact_round() -> None:
    radius = 0.3
    solid = rounded(CUBE, radius, GREY, softness=0.01)
    np.testing.assert_allclose([solid.low, solid.high], [[-1] * 3, [1] * 3])
    # faces stay where they were, and every bevel is tangent to the ball that rolls along its edge
    for nx, ny, nz, offset in solid.planes:
        support = np.abs([nx, ny, nz]).sum() * (1 - radius) + radius
        assert offset == pytest.approx(support)
    assert len(solid.planes) > len(CUBE)
    np.testing.assert_allclose(rounded(CUBE, 0.0, GREY, softness=0.01).planes, CUBE)


def test_normals_point_outward_and_blend_at_edges() -> None:
    brick = box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), GREY, softness=0.01)
    points = np.array([[1, 0, 0], [0, -1, 0.2], [1, 1, 0]], np.float32).T
    normals = normals_at(brick, points)
    expected = np.array([[1, 0, 0], [0, -1, 0], [0.5**0.5, 0.5**0.5, 0]]).T
    np.testing.assert_allclose(normals, expected, atol=1e-5)
    ball = ellipsoid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), GREY)
    direction = np.array([[1, 2, 2]], np.float32).T / 3
    np.testing.assert_allclose(normals_at(ball, 2 * direction), direction, atol=1e-5)


def test_misses_leave_before_they_enter() -> None:
    enter, leave = interval(
        box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), GREY), np.array([0.0, 5.0, 0.0]), np.eye(3, dtype=np.float32)
    )
    assert (enter >= leave).all()
