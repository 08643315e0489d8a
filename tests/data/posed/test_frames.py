import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pigan.data.posed.frames import (
    TO_Y_UP,
    Frame,
    Intrinsics,
    centred,
    crop_depth,
    in_world,
    pose_angles,
    square_view,
)
from pigan.dataset_sections import World
from pigan.rendering.cameras import look_at_origin

SHARES = st.floats(0.05, 20)
CENTRES = st.floats(0.2, 0.8)
SIDES = st.integers(8, 4000)
WHOLE = (0.0, 0.0, 1.0, 1.0)


@given(st.floats(-3.1, 3.1), st.floats(0.05, 3.05), st.floats(-4, 4))
def test_angles_are_read_back_from_the_matrix(offset: float, pitch: float, mean: float) -> None:
    yaw = mean + offset
    matrix = look_at_origin(torch.tensor([yaw]).double(), torch.tensor([pitch]).double(), 1.3).numpy()
    found_pitch, found_yaw = pose_angles(matrix, mean)
    np.testing.assert_allclose([found_pitch[0], found_yaw[0]], [pitch, yaw], atol=1e-6)


def test_level_view_from_plus_z_is_half_pi() -> None:
    pitch, yaw = pose_angles(np.eye(4)[None], 0.0)
    np.testing.assert_allclose([pitch[0], yaw[0]], [math.pi / 2, math.pi / 2])


@given(st.floats(0.01, 3.1), SIDES, SIDES)
def test_centred_camera_spans_its_angle(fov: float, width: int, height: int) -> None:
    frame = Frame("a.png", None, np.eye(4), centred(fov, width, height), "a")
    assert math.isclose(frame.fov, fov, rel_tol=1e-9)


@given(st.floats(0.01, 3.1), SIDES, SIDES, st.none() | st.integers(4, 5000))
def test_centred_square_view_is_the_plain_centre_crop(fov: float, width: int, height: int, side: int | None) -> None:
    intrinsics = centred(fov, width, height)
    wanted = min(width, height) if side is None else side
    if wanted > min(width, height):
        with pytest.raises(ValueError, match="too small"):
            square_view(intrinsics, width, height, side)
        return
    box, angle = square_view(intrinsics, width, height, side)
    left, top = round((width - wanted) / 2), round((height - wanted) / 2)
    assert box == (left, top, left + wanted, top + wanted)
    assert math.isclose(math.tan(angle / 2), math.tan(fov / 2) * wanted / width, rel_tol=1e-9)


@given(SHARES, st.floats(0.5, 2), CENTRES, CENTRES, SIDES, SIDES, st.floats(-1, 1), st.floats(-1, 1))
def test_square_view_finds_points_again(
    fx: float, aspect: float, cx: float, cy: float, width: int, height: int, across: float, up: float
) -> None:
    fy = fx * width / (height * aspect)
    intrinsics = Intrinsics(fx, fy, cx, cy)
    (left, top, right, bottom), angle = square_view(intrinsics, width, height, None)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    tangent_x, tangent_y = across * math.tan(angle / 2), up * math.tan(angle / 2)
    pixel = ((cx + fx * tangent_x) * width, (cy - fy * tangent_y) * height)
    # what a square camera of this angle shows there, in pixels of the crop
    inside = ((0.5 + across / 2) * (right - left), (0.5 - up / 2) * (bottom - top))
    assert abs(pixel[0] - left - inside[0]) <= 1
    # the box's height is rounded apart from its width
    assert abs(pixel[1] - top - inside[1]) <= 1.5
    # as large as can be: two pixels more would reach over an edge
    with pytest.raises(ValueError, match="too small"):
        square_view(intrinsics, width, height, min(right - left, bottom - top) + 2)


@pytest.mark.parametrize("wrong", [(0, 1, 0.5, 0.5), (1, math.inf, 0.5, 0.5), (1, 1, 0, 0.5), (1, 1, 0.5, math.nan)])
def test_impossible_intrinsics_are_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="of the image"):
        Intrinsics(*map(float, wrong))


@pytest.mark.parametrize("up", TO_Y_UP)
def test_world_turns_its_up_to_y_and_its_centre_to_the_origin(up: str) -> None:
    assert np.linalg.det(TO_Y_UP[up]) == pytest.approx(1)
    world = World.model_validate({"up": up, "center": [1.0, 2.0, -3.0], "scale": 0.5})
    axis = np.eye(3)["xyz".index(up[-1])] * (-1 if up[0] == "-" else 1)
    camera = np.eye(4)
    camera[:3, 3] = world.center + 4 * axis
    placed = in_world(camera, world)
    np.testing.assert_allclose(placed[:3, 3], [0, 2, 0], atol=1e-12)
    np.testing.assert_allclose(placed[:3, :3] @ axis, [0, 1, 0], atol=1e-12)
    assert in_world(camera, None) is camera


def test_halved_depth_of_a_slope_is_the_depth_at_the_new_centres() -> None:
    plane = (1 + 0.002 * np.arange(8)[:, None] + 0.001 * np.arange(8)).astype(np.float32)
    halved = crop_depth(plane, WHOLE, 4)
    expected = 1 + 0.002 * (2 * np.arange(4) + 0.5)[:, None] + 0.001 * (2 * np.arange(4) + 0.5)
    np.testing.assert_allclose(halved, expected, rtol=1e-6)


@pytest.mark.parametrize("turns", range(4))
def test_halving_does_not_shift_an_outline(turns: int) -> None:
    place = np.arange(32) - 15.5
    shape = np.hypot(place, place[:, None] * 1.3) < 11.3 + np.sin(place)
    depth = np.where(np.rot90(shape, turns), 1, np.nan)
    halved = np.isfinite(crop_depth(depth, WHOLE, 16))
    centres = [np.argwhere(mask).mean(0) + 0.5 for mask in (np.isfinite(depth), halved)]
    np.testing.assert_allclose(centres[1] * 2, centres[0], atol=0.15)


@pytest.mark.parametrize(("side", "size"), [(16, 4), (16, 8), (16, 5), (15, 5), (15, 7), (15, 15)])
def test_surfaces_never_mix(side: int, size: int) -> None:
    random = np.random.default_rng(0)
    depth = random.choice(np.array([0, 1, 1.5, 3, np.nan, np.inf], np.float32), (side, side))
    cropped = crop_depth(depth, WHOLE, size)
    assert set(cropped[np.isfinite(cropped)].tolist()) <= {1, 1.5, 3}
    if side == 15:
        # every centre is inside of one pixel
        rows = ((np.arange(size) + 0.5) / size * side).astype(int)
        nearest = depth[rows[:, None], rows]
        np.testing.assert_array_equal(cropped, np.where(np.isfinite(nearest) & (nearest > 0), nearest, np.nan))
