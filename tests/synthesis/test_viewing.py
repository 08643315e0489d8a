"""Looking at objects from any camera."""

import math

import numpy as np
import pytest
import torch

from pigan import config
from pigan.kernels import choose
from pigan.models.generator import Generator
from pigan.synthesis import viewing
from pigan.synthesis.viewing import Cameras, camera_at, look, orbit_cameras
from pigan.synthesis.views import draw_codes, render_views, to_uint8


def test_sees_what_the_evaluation_images_show(generator: Generator, tiny_params: config.Params) -> None:
    code = draw_codes(generator, 2, 1.0, tiny_params, "x")
    yaw, pitch = torch.tensor([1.2, 2.0]), torch.tensor([1.3, 1.0])
    views = render_views(generator, code, yaw, pitch, 16, tiny_params)
    cameras = orbit_cameras(yaw, pitch, tiny_params.camera.fov, tiny_params.camera.radius)
    seen = look(generator, code, cameras, 16, tiny_params)
    images = to_uint8((2 * seen.colour - 1).permute(0, 3, 1, 2))
    assert np.abs(images.astype(int) - views.images).max() <= 1
    np.testing.assert_allclose(seen.depth.numpy(), views.depth, atol=1e-5)


@pytest.mark.parametrize(("pole", "beside"), [(0.0, 0.001), (math.pi, math.pi - 0.001)])
def test_from_straight_above_or_below_is_as_from_beside_it(pole: float, beside: float) -> None:
    cameras = orbit_cameras(torch.tensor([1.2, 1.2]), torch.tensor([pole, beside]), 0.2, 1.5)
    torch.testing.assert_close(cameras.cam2world[0], cameras.cam2world[1], atol=0.002, rtol=0)


def test_tiles_change_nothing(
    generator: Generator, tiny_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = draw_codes(generator, 1, 1.0, tiny_params, "x")
    cameras = orbit_cameras(torch.tensor([1.2]), torch.tensor([1.3]), tiny_params.camera.fov, 1.0)
    whole = look(generator, code, cameras, 16, tiny_params)
    monkeypatch.setattr(viewing, "SAMPLES_A_TILE", 37 * tiny_params.model.samples)
    for one, other in zip(whole, look(generator, code, cameras, 16, tiny_params), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0, equal_nan=True)


def test_a_picture_of_a_model_that_was_trained_compiled_is_there_at_once(
    generator: Generator, tiny_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise AssertionError("compiled for one picture")

    monkeypatch.setattr(choose, "_compiled_evaluate", refused)
    code = draw_codes(generator, 1, 1.0, tiny_params, "x")
    compiled = tiny_params.model_copy(
        update={"training": tiny_params.training.model_copy(update={"kernel": "compiled"})}
    )
    camera = orbit_cameras(torch.tensor([1.2]), torch.tensor([1.3]), tiny_params.camera.fov, 1.0)
    shown = [look(generator, code, camera, 8, params).colour for params in (compiled, tiny_params)]
    assert torch.equal(*shown)
    with pytest.raises(AssertionError, match="compiled for one picture"):
        render_views(generator, code, torch.tensor([1.2]), torch.tensor([1.3]), 8, compiled)


def test_a_camera_of_four_things_is_the_same_camera() -> None:
    yaw, pitch, fov = torch.tensor([0.4]), torch.tensor([1.1]), math.radians(30)
    orbit = orbit_cameras(yaw, pitch, fov, 1.3)
    position = orbit.cam2world[0, :3, 3]
    given = camera_at(0.5 / math.tan(fov / 2), position, -position, torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(given.cam2world, orbit.cam2world)
    torch.testing.assert_close(given.fov, orbit.fov)


def test_focal_length_is_that_of_the_whole_image_whatever_the_models_own_angle_spans(
    generator: Generator, tiny_params: config.Params
) -> None:
    code = draw_codes(generator, 1, 1.0, tiny_params, "x")
    camera = tiny_params.camera.model_copy(update={"align_corners": True})
    aligned = tiny_params.model_copy(update={"camera": camera})
    position = orbit_cameras(torch.tensor([1.2]), torch.tensor([1.3]), 0.5, 1.0).cam2world[0, :3, 3]
    given = camera_at(2.0, position, -position, torch.tensor([0.0, 1.0, 0.0]))
    shown = [look(generator, code, given, 8, params).colour for params in (tiny_params, aligned)]
    assert not tiny_params.camera.align_corners and torch.equal(*shown)
    # of 8 pixels, the centres of the outer ones are 7 apart
    own = Cameras(given.cam2world, 2 * torch.atan(torch.tensor([0.25 * 7 / 8])))
    torch.testing.assert_close(look(generator, code, own, 8, aligned).colour, shown[0], atol=1e-5, rtol=0)


def test_an_object_stays_where_it_is_when_the_camera_comes_nearer(
    generator: Generator, tiny_params: config.Params
) -> None:
    code = draw_codes(generator, 1, 1.0, tiny_params, "x")
    depths = []
    for radius in (1.0, 1.5):
        cameras = orbit_cameras(torch.tensor([1.2]), torch.tensor([1.3]), 0.01, radius)
        seen = look(generator, code, cameras, 8, tiny_params, background="last")
        depths.append(seen.depth.nanmean())
    assert float(depths[1] - depths[0]) == pytest.approx(0.5, abs=5e-3)
