"""Worlds, bounds and angles from cameras whose truth is known."""

import math

import numpy as np
import pytest
import torch

from pigan.data.posed.frames import TO_Y_UP, in_world
from pigan.dataset_sections import World
from pigan.errors import PiganError
from pigan.guide.estimate import look_at_point, suggest, up_axis, visible_radius
from pigan.rendering.cameras import look_at_origin, sample_poses
from pigan.sections import PoseLaw

FRONT = math.pi / 2


def cameras(law: PoseLaw, *numbers: float, count: int = 600) -> np.ndarray:
    """cam2world in pigan's world."""
    yaw, pitch = sample_poses(law, count, *numbers, torch.Generator().manual_seed(1))
    return look_at_origin(yaw.double(), pitch.double(), 1.0).numpy()


def moved(cam2world: np.ndarray, world: World) -> np.ndarray:
    """The raw cameras that `world` brings back."""
    turn, raw = TO_Y_UP[world.up], cam2world.copy()
    raw[:, :3, :3] = turn.T @ cam2world[:, :3, :3]
    raw[:, :3, 3] = cam2world[:, :3, 3] @ turn / world.scale + world.center
    return raw


@pytest.mark.parametrize("up", ["y", "-y", "z", "-z"])
@pytest.mark.parametrize(
    "law",
    [("gaussian", FRONT, 0.3, FRONT, 0.155), ("spherical_uniform", FRONT, math.pi, 0.74, 0.74)],
    ids=["faces", "carla"],
)
def test_world_is_recovered(up: str, law: tuple[PoseLaw, float, float, float, float]) -> None:
    truth = World(up=up, center=[3.0, -7.5, 1.25], scale=0.08)
    found = suggest(moved(cameras(*law), truth), np.full(9, math.radians(30)))
    assert found.world is not None
    assert found.world.up == up
    assert found.world.center == pytest.approx(truth.center, abs=1e-3)
    assert found.world.scale == pytest.approx(0.08, rel=1e-4)
    assert found.camera.pose_law == law[0]
    assert found.camera.yaw_spread == pytest.approx(law[2], rel=0.08)
    assert found.camera.fov_degrees == pytest.approx(30, abs=0.01)


def test_suggested_world_puts_cameras_around_the_origin() -> None:
    raw = moved(cameras("uniform", FRONT, 0.5, 1.2, 0.4), World(up="z", center=[10.0, 0.0, -2.0], scale=20.0))
    # cameras that shake a little, as tracked ones do
    raw[:, :3, 3] += np.random.default_rng(0).normal(0, 0.0005, (len(raw), 3))
    found = suggest(raw, np.full(len(raw), 0.5))
    placed = np.stack([in_world(matrix, found.world) for matrix in raw])
    assert np.linalg.norm(placed[:, :3, 3], axis=1) == pytest.approx(1, abs=0.05)
    assert np.einsum("nj,nj->n", placed[:, :3, 2], placed[:, :3, 3]) == pytest.approx(1, abs=0.05)
    assert placed[:, 1, 1].min() > 0
    assert found.cam2world == pytest.approx(placed)


def test_own_world_needs_no_change() -> None:
    found = suggest(cameras("gaussian", FRONT, 0.3, FRONT, 0.155), np.full(4, 0.2))
    assert found.world is None
    assert any("already" in note for note in found.notes)


def test_bounds_without_depth_are_the_ball_in_view() -> None:
    found = suggest(cameras("spherical_uniform", FRONT, math.pi, 0.7, 0.5), np.full(4, math.radians(30)))
    assert (found.camera.near, found.camera.far) == (0.74, 1.26)
    assert any(note.startswith("assumed: the object fills that ball") for note in found.notes)


def test_bounds_with_depth_hold_the_far_side_too() -> None:
    matrix, fov, side = cameras("spherical_uniform", FRONT, math.pi, 0.7, 0.5, count=64), math.radians(30), 33
    across = ((np.arange(side) + 0.5) / side * 2 - 1) * math.tan(fov / 2)
    slant = np.sqrt(1 + across[:, None] ** 2 + across[None] ** 2)
    # a ball of radius 0.1: rays at angle a to the axis meet it first at cos a - sqrt(0.01 - sin^2 a)
    cosine = 1 / slant
    inside = 0.01 - (1 - cosine**2)
    met = np.where(inside > 0, cosine - np.sqrt(np.maximum(inside, 0)), np.nan)
    depth = np.repeat((met / slant)[None], 64, 0).astype(np.float32)
    found = suggest(matrix, np.full(64, fov), depth, np.arange(64))
    assert found.camera.near == pytest.approx(0.895, abs=0.011)
    assert found.camera.far == pytest.approx(1.105, abs=0.011)
    scaled = matrix.copy()
    scaled[:, :3, 3] *= 50
    again = suggest(scaled, np.full(64, fov), depth * 50, np.arange(64))
    assert (again.camera.near, again.camera.far) == (found.camera.near, found.camera.far)
    # millimetres that are taken for metres say nothing about bounds
    wrong = suggest(matrix, np.full(64, fov), depth * 1000, np.arange(64))
    assert any("check dataset.depth (unit, measure)" in note for note in wrong.notes)
    assert (wrong.camera.near, wrong.camera.far) == (suggest(matrix, np.full(64, fov)).camera.near, 1.26)


def test_ball_in_view_touches_the_edge_of_the_frame() -> None:
    matrix = look_at_origin(torch.tensor([1.0]).double(), torch.tensor([1.2]).double(), 2.0).numpy()
    assert visible_radius(matrix, math.radians(40))[0] == pytest.approx(2 * math.sin(math.radians(20)))
    matrix[0, :3, 3] += matrix[0, :3, 0] * 5
    assert visible_radius(matrix, math.radians(40))[0] < 0


def test_odd_axes_do_not_move_the_centre() -> None:
    matrix = cameras("gaussian", FRONT, 0.4, FRONT, 0.3)
    matrix[:20, :3, 3] += 0.4
    point, _ = look_at_point(matrix)
    assert point == pytest.approx([0, 0, 0], abs=1e-6)


def test_tilted_worlds_are_warned_about() -> None:
    angle = math.radians(20)
    tilt = np.eye(4)
    tilt[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    matrix = tilt @ cameras("spherical_uniform", FRONT, math.pi, 0.74, 0.74)
    up, roll, _ = up_axis(matrix)
    assert up == "y"
    assert roll == pytest.approx(20 / math.sqrt(2), rel=0.15)
    assert any("no axis of the raw world points up well" in note for note in suggest(matrix, np.full(3, 0.5)).notes)


def test_varying_angles_and_distances_are_warned_about() -> None:
    matrix = cameras("gaussian", FRONT, 0.3, FRONT, 0.155)
    matrix[::2, :3, 3] *= 1.4
    notes = " ".join(suggest(matrix, np.linspace(0.3, 0.6, 50)).notes)
    assert "pigan puts every camera at one distance" in notes
    assert "pigan uses one angle for all" in notes


def test_cameras_that_look_outwards_are_refused() -> None:
    matrix = cameras("spherical_uniform", FRONT, math.pi, 0.74, 0.74)
    matrix[:, :3, :3] = matrix[:, :3, :3] @ np.diag([-1.0, 1.0, -1.0])
    with pytest.raises(PiganError, match="look away from the point they have in common"):
        suggest(matrix, np.full(3, 0.5))


def test_one_direction_needs_depth_or_the_origin() -> None:
    matrix = cameras("fixed", FRONT, 0.0, 1.3, 0.0, count=5)
    found = suggest(matrix, np.full(5, 0.5))
    assert found.camera.pose_law == "fixed"
    matrix[:, :3, 3] += [0.5, 2.0, 0.0]
    with pytest.raises(PiganError, match="all look the same way"):
        suggest(matrix, np.full(5, 0.5))
    depth = np.full((5, 16, 16), 4.0, np.float32)
    point, _ = look_at_point(matrix, depth.ravel())
    assert np.linalg.norm(point - matrix[0, :3, 3]) == pytest.approx(4)
