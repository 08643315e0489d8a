import math

import numpy as np
import pytest
import torch

from pigan.errors import PiganError
from pigan.evaluation.depth import (
    align_scale_shift,
    depth_consistency,
    depth_errors,
    project,
    reprojection_error,
    splat,
    unproject,
    weighted_depth_variance,
)
from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import distance_to_z, pixel_directions, world_rays

FOV = math.radians(30)
BALL = 0.2


def poses(yaws):
    yaw = math.pi / 2 + torch.tensor(yaws)
    return look_at_origin(yaw, torch.full_like(yaw, 1.3), 1.0)


def colour_of(points, waves=4):
    """A smooth paint of space, 0-255."""
    return ((torch.sin(waves * points) + 1) * 127.5).round().byte()


def ball_views(yaws=(-0.2, 0.0, 0.2), side=32, align_corners=False, waves=4):
    """Images and z-depth of a painted ball before nothing, one identity."""
    cameras = poses(yaws)
    directions = pixel_directions(side, FOV, align_corners)
    origins, rays = world_rays(cameras, directions)
    towards = -(origins[:, None] * rays).sum(-1)
    under = BALL**2 - (1 - towards**2)
    distance = torch.where(under > 0, towards - under.clamp_min(0).sqrt(), torch.nan)
    points = origins[:, None] + distance[..., None] * rays
    colours = torch.where(distance.isnan()[..., None], 255, colour_of(points, waves)).byte()
    shape = (1, len(cameras), side, side)
    depth = distance_to_z(distance, directions).reshape(shape)
    return colours.reshape(*shape, 3).numpy(), depth.numpy(), cameras.numpy()


def wall_views(side=32):
    """Images and z-depth of the painted plane z = 0, seen from two sides."""
    cameras = poses((-0.1, 0.1))
    directions = pixel_directions(side, FOV, False)
    origins, rays = world_rays(cameras, directions)
    distance = -origins[:, None, 2] / rays[..., 2]
    points = origins[:, None] + distance[..., None] * rays
    shape = (1, 2, side, side)
    return (
        colour_of(points).reshape(*shape, 3).numpy(),
        distance_to_z(distance, directions).reshape(shape).numpy(),
        cameras.numpy(),
    )


@pytest.mark.parametrize("align_corners", [True, False])
def test_projecting_what_was_unprojected_finds_the_same_pixels(align_corners):
    camera = poses((0.3,))[0].double()
    depth = torch.linspace(0.8, 1.2, 64, dtype=torch.float64).reshape(8, 8)
    depth[2, 5] = torch.nan
    points = unproject(depth, camera, FOV, align_corners)
    pixels, z = project(points, camera, FOV, 8, align_corners)
    expected = torch.arange(64)
    expected[2 * 8 + 5] = -1
    assert pixels.tolist() == expected.tolist()
    torch.testing.assert_close(z, depth.flatten(), equal_nan=True)


def test_corner_pixels_span_the_field_of_view_as_the_flag_says():
    camera = look_at_origin(torch.tensor(math.pi / 2), torch.tensor(math.pi / 2), 1.0).double()
    depth = torch.ones(4, 4, dtype=torch.float64)
    edge = math.tan(FOV / 2)
    corner = unproject(depth, camera, FOV, True)[0]
    torch.testing.assert_close(corner, torch.tensor([-edge, edge, 0], dtype=torch.float64), atol=1e-6, rtol=0)
    centre = unproject(depth, camera, FOV, False)[0]
    expected = torch.tensor([-0.75 * edge, 0.75 * edge, 0], dtype=torch.float64)
    torch.testing.assert_close(centre, expected, atol=1e-6, rtol=0)


def test_points_behind_or_beside_the_camera_have_no_pixel():
    camera = torch.eye(4, dtype=torch.float64)
    points = torch.tensor([[0, 0, -1], [0, 0, 1], [9, 0, -1], [math.nan, 0, -1]], dtype=torch.float64)
    pixels, _ = project(points, camera, FOV, 3, False)
    assert pixels.tolist() == [4, -1, -1, -1]


def test_the_nearest_point_wins_a_pixel():
    values = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    pixels, z = torch.tensor([0, 0, 2, -1]), torch.tensor([2.0, 1.0, 1.0, 0.1])
    image, hit = splat(values, pixels, z, 3)
    assert hit.tolist() == [True, False, True]
    assert image.flatten().tolist() == [2, 0, 3]


@pytest.mark.parametrize("align_corners", [True, False])
def test_reprojection_error_of_a_true_ball_is_small_and_wrong_depth_is_seen(align_corners):
    images, depth, cameras = ball_views(side=64, align_corners=align_corners, waves=20)
    true = reprojection_error(images, depth, cameras, FOV, align_corners)
    wrong = reprojection_error(images, depth + np.float32(0.2), cameras, FOV, align_corners)
    flat = reprojection_error(images, np.where(np.isnan(depth), depth, np.nanmax(depth)), cameras, FOV, align_corners)
    # what is left is the rim, where paint falls on the white that the other view sees there
    assert true < 0.02
    assert wrong > 5 * true
    assert flat > 2 * true


def test_reprojection_error_of_a_true_wall_falls_with_resolution():
    coarse, fine = (reprojection_error(*wall_views(side), FOV, False) for side in (16, 64))
    assert coarse < 2e-3
    # nearest pixels: the error goes with the square of the pixel's side, down to the rounding of colours
    assert fine < coarse / 6


def test_reprojection_error_has_no_direction_and_ignores_unknown_depth():
    images, depth, cameras = ball_views()
    forwards = reprojection_error(images, depth, cameras, FOV, False)
    backwards = reprojection_error(images[:, ::-1].copy(), depth[:, ::-1].copy(), cameras[::-1].copy(), FOV, False)
    assert backwards == pytest.approx(forwards, rel=1e-12)
    nothing = np.full_like(depth, np.nan)
    assert reprojection_error(images, nothing, cameras, FOV, False) is None
    with_an_empty_identity = np.concatenate((depth, nothing))
    both = reprojection_error(np.concatenate((images, images)), with_an_empty_identity, cameras, FOV, False)
    assert both == pytest.approx(forwards, rel=1e-12)


def test_identical_views_reproject_without_error():
    images, depth, cameras = ball_views(yaws=(0.1, 0.1))
    assert reprojection_error(images, depth, cameras, FOV, False) == 0
    assert depth_consistency(depth, cameras, FOV, False, 0.6) == pytest.approx(0, abs=1e-6)


def test_depth_consistency_is_below_a_pixel_for_a_true_ball_and_scales():
    _, depth, cameras = ball_views()
    pixel = 2 * math.tan(FOV / 2) * (1 - BALL) / 32
    true = depth_consistency(depth, cameras, FOV, False, 1.0)
    assert true < pixel
    assert depth_consistency(depth, cameras, FOV, False, 0.5) == pytest.approx(2 * true)


def test_depth_consistency_sees_surfaces_that_do_not_meet():
    _, depth, cameras = ball_views(yaws=(0.0, 0.0))
    depth[:, 1] += 0.1
    # the second cloud lies 0.1 behind the first along the rays
    assert depth_consistency(depth, cameras, FOV, False, 1.0) == pytest.approx(0.1, rel=0.3)


def test_depth_consistency_has_no_direction_and_needs_depth():
    _, depth, cameras = ball_views()
    forwards = depth_consistency(depth, cameras, FOV, False, 1.0)
    backwards = depth_consistency(depth[:, ::-1].copy(), cameras[::-1].copy(), FOV, False, 1.0)
    assert backwards == pytest.approx(forwards, rel=1e-12)
    depth[:, 1] = np.nan
    assert depth_consistency(depth, cameras, FOV, False, 1.0) is None


def test_weighted_depth_variance_is_scaled_and_skips_what_is_unknown():
    assert weighted_depth_variance(np.array([1e-4, 3e-4, np.nan], dtype=np.float32)) == pytest.approx(2)
    assert weighted_depth_variance(np.array([np.nan], dtype=np.float32)) is None


def test_alignment_undoes_any_scale_and_shift():
    truth = np.random.default_rng(0).uniform(0.8, 1.2, (6, 6))
    predicted = (truth - 3) / 7
    predicted[0, 0] = np.nan
    aligned = align_scale_shift(predicted, truth)
    found = depth_errors(aligned, truth)
    assert found.rmse == pytest.approx(0, abs=1e-12)
    assert found.abs_rel == pytest.approx(0, abs=1e-12)
    assert found.delta == 1


def test_depth_errors_by_hand():
    truth = np.array([[1.0, 2.0], [4.0, np.nan]])
    predicted = np.array([[1.0, 3.0], [3.5, 1.0]])
    found = depth_errors(predicted, truth)
    assert found.rmse == pytest.approx(math.sqrt((0 + 1 + 0.25) / 3))
    assert found.abs_rel == pytest.approx((0 + 0.5 + 0.125) / 3)
    assert found.delta == pytest.approx(2 / 3)
    assert depth_errors(np.array([[-1.0]]), np.array([[1.0]])).delta == 0


def test_depth_without_common_pixels_is_a_clear_error():
    nothing = np.full((2, 2), np.nan)
    with pytest.raises(PiganError, match="fewer than two pixels"):
        align_scale_shift(nothing, np.ones((2, 2)))
    with pytest.raises(PiganError, match="no pixel has both depths"):
        depth_errors(nothing, np.ones((2, 2)))
