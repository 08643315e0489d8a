import math

import numpy as np
import pytest
import torch

from pigan.evaluation.consistency import CAP, depth_consistency, reprojection_error, weighted_depth_variance
from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import distance_to_z, pixel_directions, world_rays

FOV = math.radians(30)
BALL = 0.2
RANGE, TOLERANCE = 0.5, 0.02


def poses(yaws):
    yaw = math.pi / 2 + torch.tensor(yaws)
    return look_at_origin(yaw, torch.full_like(yaw, 1.3), 1.0)


def colour_of(points, waves=4):
    """A smooth paint of space, 0-255."""
    return ((torch.sin(waves * points) + 1) * 127.5).round().byte()


def ball_views(yaws=(-0.2, 0.0, 0.2), side=32, align_corners=False, waves=4):
    """Images and z-depth of a painted ball before nothing, one object."""
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


def reprojected(images, depth, cameras, align_corners=False, tolerance=TOLERANCE):
    return reprojection_error(images, depth, cameras, FOV, align_corners, RANGE, tolerance)


def cards(first, second, side=8):
    """Two views from the same place, of flat grey cards at these depths."""
    images = np.full((1, 2, side, side, 3), 128, np.uint8)
    depth = np.empty((1, 2, side, side), np.float32)
    depth[0, 0], depth[0, 1] = first, second
    return images, depth, poses((0.0, 0.0)).numpy()


@pytest.mark.parametrize("align_corners", [True, False])
def test_a_true_ball_is_near_zero_and_wrong_depth_is_seen(align_corners):
    images, depth, cameras = ball_views(side=64, align_corners=align_corners, waves=20)
    true = reprojected(images, depth, cameras, align_corners)
    assert true.photometric.value < 0.005
    assert true.depth.value < 0.005
    assert true.visible > 0.95
    wrong = reprojected(images, depth + np.float32(0.2), cameras, align_corners)
    flat = reprojected(images, np.where(np.isnan(depth), depth, np.nanmax(depth)), cameras, align_corners)
    assert min(wrong.photometric.value, flat.photometric.value) > 5 * true.photometric.value
    assert min(wrong.depth.value, flat.depth.value) > 5 * true.depth.value


def test_errors_of_a_true_wall_fall_with_resolution():
    coarse, fine = (reprojected(*wall_views(side)) for side in (16, 64))
    assert coarse.photometric.value < 1e-4
    # what is left of the colours is that they are rounded to 8 bits
    assert fine.photometric.value < coarse.photometric.value / 2
    assert fine.depth.value < coarse.depth.value / 10
    assert coarse.depth.value < 1e-3


def test_reprojection_has_no_direction_and_ignores_unknown_depth():
    images, depth, cameras = ball_views()
    forwards = reprojected(images, depth, cameras)
    backwards = reprojected(images[:, ::-1].copy(), depth[:, ::-1].copy(), cameras[::-1].copy())
    assert backwards.photometric.value == pytest.approx(forwards.photometric.value, rel=1e-12)
    assert backwards.depth.value == pytest.approx(forwards.depth.value, rel=1e-12)
    nothing = np.full_like(depth, np.nan)
    assert reprojected(images, nothing, cameras) is None
    assert reprojected(images[:0], depth[:0], cameras) is None
    one = reprojected(np.concatenate((images, images)), np.concatenate((depth, nothing)), cameras)
    assert one.photometric.value == pytest.approx(forwards.photometric.value, rel=1e-12)


def test_the_interval_is_over_objects():
    images, depth, cameras = ball_views()
    assert reprojected(images, depth, cameras).depth.interval is None
    two = reprojected(np.concatenate((images, images)), np.concatenate((depth, depth * np.float32(1.05))), cameras)
    low, high = two.depth.interval
    assert low < two.depth.value < high


def test_identical_views_reproject_without_error():
    images, depth, cameras = ball_views(yaws=(0.1, 0.1))
    same = reprojected(images, depth, cameras)
    assert same.photometric.value == pytest.approx(0, abs=1e-9)
    assert same.depth.value == pytest.approx(0, abs=1e-6)
    assert same.visible == 1
    assert depth_consistency(depth, cameras, FOV, False, 0.6).value == pytest.approx(0, abs=1e-6)


def test_what_is_hidden_is_left_out_and_what_stands_before_counts():
    # seen from the first view, the second card is hidden behind its own; seen from the second, the first is in front
    found = reprojected(*cards(1.0, 1.05))
    assert found.depth.value == pytest.approx(0.05 / RANGE, rel=1e-3)
    assert found.visible == pytest.approx(0.5)
    # within the tolerance nothing is hidden
    near = reprojected(*cards(1.0, 1.005))
    assert near.depth.value == pytest.approx(0.005 / RANGE, rel=1e-3)
    assert near.visible == 1
    assert reprojected(*cards(1.0, 1.05), tolerance=0.2).visible == 1


def test_errors_are_capped():
    assert reprojected(*cards(0.5, 1.0)).depth.value == pytest.approx(CAP)


def test_a_surface_that_the_other_view_lacks_costs_the_cap_and_its_colour():
    images, depth, cameras = cards(1.0, np.nan)
    images[0, 1] = 255
    found = reprojected(images, depth, cameras)
    assert found.depth.value == pytest.approx(CAP)
    assert found.photometric.value == pytest.approx((127 / 127.5) ** 2)


def test_a_silhouette_that_falls_between_pixels_is_no_error():
    images, depth, cameras = cards(1.0, 1.0)
    # the second camera stands half a pixel further right, and its rim is rounded to the left
    cameras[1, :3, 3] += math.tan(FOV / 2) / 8 * cameras[1, :3, 0]
    depth[0, 0, :, 4:] = np.nan
    depth[0, 1, :, 3:] = np.nan
    images[0, 0, :, 4:] = 255
    images[0, 1, :, 3:] = 255
    found = reprojected(images, depth, cameras)
    assert found.depth.value == pytest.approx(0, abs=1e-6)
    assert found.photometric.value == pytest.approx(0, abs=1e-9)


def test_a_hole_in_the_corner_is_filled_by_its_neighbours():
    images, depth, cameras = cards(1.0, 1.0)
    # a quarter of a pixel right and down: the first pixel falls beyond the corner, where neighbours have no weight
    cameras[1, :3, 3] += math.tan(FOV / 2) / 16 * (cameras[1, :3, 0] - cameras[1, :3, 1])
    depth[0, 1, 0, 0] = np.nan
    found = reprojected(images, depth, cameras)
    assert found.depth.value == pytest.approx(0, abs=1e-6) and found.visible == 1


def test_views_that_look_away_from_each_other_say_nothing():
    images, depth, cameras = cards(1.0, 1.0)
    cameras[1, :3, :3] = cameras[1, :3, :3] @ np.diag([-1.0, 1.0, -1.0])
    assert reprojected(images, depth, cameras) is None


def test_depth_consistency_is_below_a_pixel_for_a_true_ball_and_scales():
    _, depth, cameras = ball_views()
    pixel = 2 * math.tan(FOV / 2) * (1 - BALL) / 32
    true = depth_consistency(depth, cameras, FOV, False, 1.0)
    assert true.value < pixel
    assert depth_consistency(depth, cameras, FOV, False, 0.5).value == pytest.approx(2 * true.value)


def test_depth_consistency_sees_surfaces_that_do_not_meet():
    _, depth, cameras = ball_views(yaws=(0.0, 0.0))
    depth[:, 1] += 0.1
    # the second cloud lies 0.1 behind the first along the rays
    assert depth_consistency(depth, cameras, FOV, False, 1.0).value == pytest.approx(0.1, rel=0.3)


def test_depth_consistency_has_no_direction_and_needs_depth():
    _, depth, cameras = ball_views()
    forwards = depth_consistency(depth, cameras, FOV, False, 1.0)
    backwards = depth_consistency(depth[:, ::-1].copy(), cameras[::-1].copy(), FOV, False, 1.0)
    assert backwards.value == pytest.approx(forwards.value, rel=1e-12)
    depth[:, 1] = np.nan
    assert depth_consistency(depth, cameras, FOV, False, 1.0) is None


def test_weighted_depth_variance_is_scaled_and_skips_what_is_unknown():
    assert weighted_depth_variance(np.array([1e-4, 3e-4, np.nan], dtype=np.float32)).value == pytest.approx(2)
    assert weighted_depth_variance(np.array([np.nan], dtype=np.float32)) is None
