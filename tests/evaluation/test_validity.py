"""Do the 3-D metrics measure what they are named after? Generators whose faults are known answer that."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import standins
from benchmarks.standins import Scores, Standin, scores
from pigan import config
from pigan.evaluation.consistency import Reprojection, reprojection_error, weighted_depth_variance
from pigan.evaluation.hollow import hollow_share
from pigan.models.generator import Generator
from pigan.rendering.cameras import look_at_origin
from pigan.synthesis.evaluation_set import CONSISTENCY_YAWS
from pigan.synthesis.views import Views, render_views

OBJECTS, SIDE, SEED = 12, 64, 5
LEVEL = math.pi / 2
BALL = 0.2

Judge = Callable[[Standin], Scores]
Density = Callable[[Tensor], Tensor]
"""What a field holds at points of the world."""


@pytest.fixture(scope="module")
def true(tiny_params: config.Params) -> Standin:
    return standins.true_cars(OBJECTS, SIDE, tiny_params.camera, SEED)


@pytest.fixture(scope="module")
def judge(true: Standin, tiny_params: config.Params) -> Judge:
    return lambda shown: scores(shown, true, tiny_params.camera, tiny_params.evaluate.occlusion_tolerance)


@pytest.fixture(scope="module")
def perfect(true: Standin, judge: Judge) -> Scores:
    return judge(true)


def test_a_perfect_generator_is_near_zero_everywhere(perfect: Scores) -> None:
    # paint blurred by interpolation, and gloss
    assert perfect.photometric < 0.015
    # half a pixel on a slope
    assert perfect.reprojected_depth < 0.002
    assert perfect.visible > 0.95
    assert perfect.chamfer < 0.01
    assert perfect.variance == 0
    assert perfect.hollow == 0 and perfect.relief > 0.7
    assert perfect.rmse < 1e-6 and perfect.abs_rel < 1e-6 and perfect.zscore_mse < 1e-9
    assert perfect.delta == 1
    assert perfect.normal_error < 0.1
    assert perfect.psnr > 80


def test_what_is_left_of_a_perfect_generator_falls_with_the_pixel(perfect: Scores, tiny_params: config.Params) -> None:
    coarse = standins.true_cars(OBJECTS, SIDE // 2, tiny_params.camera, SEED)
    found = scores(coarse, coarse, tiny_params.camera, tiny_params.evaluate.occlusion_tolerance)
    assert perfect.reprojected_depth < 0.6 * found.reprojected_depth
    assert perfect.chamfer < 0.6 * found.chamfer
    assert perfect.photometric < found.photometric


def test_a_flat_billboard_is_caught(true: Standin, judge: Judge, perfect: Scores) -> None:
    flat = judge(standins.billboard(true))
    assert flat.reprojected_depth > 10 * perfect.reprojected_depth
    assert flat.chamfer > 3 * perfect.chamfer
    assert flat.photometric > 2.5 * perfect.photometric
    assert flat.visible < 0.8
    assert abs(flat.relief) < 0.01
    # with ground truth
    assert flat.rmse > 0.02
    assert flat.zscore_mse == pytest.approx(1, abs=0.01)
    assert flat.normal_error > 25
    # the ratio that everyone reports is blind on this camera, as its docstring says
    assert flat.delta > 0.99


def test_a_hollow_shape_is_caught(true: Standin, judge: Judge, perfect: Scores) -> None:
    hollow, flat = judge(standins.hollow(true)), judge(standins.billboard(true))
    assert hollow.hollow == 1 and hollow.relief < -0.7
    assert hollow.reprojected_depth > 25 * perfect.reprojected_depth
    assert hollow.photometric > 5 * perfect.photometric
    assert hollow.chamfer > 4 * perfect.chamfer
    assert hollow.zscore_mse == pytest.approx(4, abs=0.01)
    # a fitted scale below 0 would make it perfect
    assert hollow.rmse == pytest.approx(flat.rmse, rel=1e-3)


@pytest.mark.parametrize("pose_seed", [1, 2])
def test_the_hollow_face_test_holds_from_every_pose(pose_seed: int, tiny_params: config.Params) -> None:
    posed = standins.posed_depth(40, 32, tiny_params.camera, pose_seed)
    bulging, inverted = hollow_share(posed), hollow_share((2 - posed).astype(np.float32))
    assert bulging is not None and inverted is not None
    assert bulging.share.value < 0.02 and bulging.relief > 0.65
    assert inverted.share.value > 0.98 and inverted.relief < -0.65


def test_noise_of_colours_is_caught_by_colours_alone(true: Standin, judge: Judge, perfect: Scores) -> None:
    noisy = judge(standins.colour_noise(true, 25.0, SEED))
    assert noisy.photometric > 4 * perfect.photometric
    assert noisy.psnr < 25
    geometry = ("reprojected_depth", "visible", "chamfer", "hollow", "rmse", "zscore_mse", "normal_error")
    for name in geometry:
        assert getattr(noisy, name) == getattr(perfect, name), name


def test_a_jittering_surface_is_caught(true: Standin, judge: Judge, perfect: Scores) -> None:
    noisy = judge(standins.depth_noise(true, 0.01, SEED))
    assert noisy.reprojected_depth > 8 * perfect.reprojected_depth
    assert noisy.chamfer > 1.5 * perfect.chamfer
    assert noisy.visible < 0.85
    assert noisy.normal_error > 20
    assert noisy.rmse == pytest.approx(0.01, rel=0.15)
    assert noisy.zscore_mse > 0.03


def test_ray_distance_in_the_place_of_z_depth_is_caught(true: Standin, judge: Judge, perfect: Scores) -> None:
    mixed = judge(standins.ray_distance(true))
    assert mixed.reprojected_depth > 1.7 * perfect.reprojected_depth
    # with ground truth, where the perfect one has nothing
    assert mixed.rmse > 0.003
    assert mixed.zscore_mse > 0.01
    assert mixed.normal_error > 2


def test_fog_is_caught_by_the_depth_variance(true: Standin, judge: Judge, perfect: Scores) -> None:
    foggy = judge(standins.fog(true, 0.03))
    assert foggy.variance == pytest.approx(9, rel=1e-3)
    assert foggy.reprojected_depth > 2 * perfect.reprojected_depth
    # the same shape a little further away: no fault under scale and shift
    assert foggy.zscore_mse < 1e-3


def test_errors_grow_with_the_fault(true: Standin, judge: Judge) -> None:
    reliefs = [judge(standins.scaled_relief(true, factor)) for factor in (1.0, 0.5, 0.0, -1.0)]
    for name in ("reprojected_depth", "chamfer", "photometric"):
        values = [getattr(row, name) for row in reliefs]
        assert values == sorted(values), name
        assert values[1] > 1.3 * values[0], name
    noises = [judge(standins.depth_noise(true, spread, SEED)) for spread in (0.0, 0.003, 0.01, 0.03)]
    for name in ("reprojected_depth", "chamfer", "rmse", "zscore_mse", "normal_error"):
        values = [getattr(row, name) for row in noises]
        assert values == sorted(values), name


def test_scale_and_shift_are_no_errors_against_truth_and_errors_between_views(true: Standin, judge: Judge) -> None:
    scaled, exact = judge(standins.scaled_relief(true, 0.5)), judge(true)
    assert scaled.rmse < 1e-6 and scaled.zscore_mse < 1e-9 and scaled.normal_error < 0.1
    assert scaled.reprojected_depth > 5 * exact.reprojected_depth


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, tiny_params: config.Params) -> Callable[..., Views]:
    """What pigan renders of a density of one's own, painted by its place in the world."""

    def rendered(density: Density, yaw: list[float], pitch: float, side: int = 32) -> Views:
        def field(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
            return (torch.sin(20 * points) + 1) / 2, density(points)

        monkeypatch.setattr("pigan.synthesis.views.field_of", lambda *_: field)
        changes = {"model": {"samples": 401, "hierarchical": False}}
        params = config.parse(config.merge(tiny_params.model_dump(), changes))
        places = torch.tensor(yaw), torch.full((len(yaw),), pitch)
        return render_views(Generator(params.model), torch.zeros(len(yaw), 1), *places, side, params)

    return rendered


def opaque_ball(points: Tensor) -> Tensor:
    return torch.where(points.norm(dim=-1) < BALL, 1e6, 0.0)


def foggy_ball(points: Tensor) -> Tensor:
    return torch.where(points.norm(dim=-1) < BALL, 15.0, 0.0)


def test_what_pigan_renders_is_z_depth(show: Callable[..., Views]) -> None:
    # a wall through the origin that faces the camera is as deep everywhere, but not as far
    wall = show(lambda points: torch.where(points[..., 2] < 0, 1e6, 0.0), [LEVEL], LEVEL)
    np.testing.assert_allclose(wall.depth, 1, atol=0.004)


def test_what_pigan_renders_of_a_ball_is_consistent_unless_depth_is_mixed_up(
    show: Callable[..., Views], tiny_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, pitch = tiny_params.camera, 1.0
    yaw = [camera.yaw_mean + angle for angle in CONSISTENCY_YAWS]
    poses = look_at_origin(torch.tensor(yaw), torch.full((len(yaw),), pitch), camera.radius).numpy()

    def reprojected(align_corners: bool) -> Reprojection:
        seen = show(opaque_ball, yaw, pitch, 64)
        scale, tolerance = camera.far - camera.near, tiny_params.evaluate.occlusion_tolerance
        found = reprojection_error(
            seen.images[None], seen.depth[None], poses, camera.fov, align_corners, scale, tolerance
        )
        assert found is not None
        return found

    good, other = reprojected(camera.align_corners), reprojected(not camera.align_corners)
    assert good.depth.value < 0.003 and good.photometric.value < 0.01
    monkeypatch.setattr("pigan.synthesis.views.distance_to_z", lambda distance, _: distance)
    mixed = reprojected(camera.align_corners)
    assert mixed.depth.value > 2 * good.depth.value
    # neither convention of the opening angle is another one's
    assert other.depth.value > good.depth.value


def test_fog_that_pigan_renders_is_blurred(show: Callable[..., Views]) -> None:
    solid, fog = (
        weighted_depth_variance(show(density, [LEVEL], LEVEL).variance) for density in (opaque_ball, foggy_ball)
    )
    assert solid is not None and fog is not None
    assert solid.value < 0.01
    assert fog.value > 20
