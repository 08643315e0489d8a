import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from jaxtyping import Float

from pigan.data.cars.paint import plain
from pigan.data.cars.raytrace import Scene, pixel_directions, render
from pigan.data.cars.shape import sample_car
from pigan.data.cars.solids import box
from pigan.data.cars.spec import STYLES, sample_spec
from pigan.rendering.cameras import look_at_origin

FOV = math.radians(30)
REACH = math.sin(FOV / 2)


def camera(yaw: float, pitch: float) -> Float[np.ndarray, "4 4"]:
    return look_at_origin(torch.tensor(yaw).double(), torch.tensor(pitch).double(), 1.0).numpy()


def brick_scene(half: float, scale: float) -> Scene:
    brick = box((-half, 0.0, -half), (half, 2 * half, half), plain((0.8, 0.1, 0.1)))
    return Scene((brick,), (half, half), np.array([0.0, half, 0.0]), scale)


def test_depth_is_z_depth_of_the_closed_form() -> None:
    # a cube of side 0.2 in front of a level camera: its face is 0.9 away everywhere, also off the axis
    image, depth = render(brick_scene(1.0, 0.1), camera(math.pi / 2, math.pi / 2), FOV, 32, 2)
    edge = 0.1 / 0.9 / math.tan(FOV / 2)
    centres = np.abs((np.arange(32) + 0.5) / 16 - 1)
    covered = (centres[:, None] < edge) & (centres < edge)
    assert np.array_equal(np.isfinite(depth), covered)
    np.testing.assert_allclose(depth[covered], 0.9, rtol=1e-6)
    assert image.shape == (32, 32, 3)
    assert (image[16, 16, 0] > image[16, 16, 1] + 50).all()


def test_depth_does_not_depend_on_supersampling() -> None:
    scene, view = sample_car(np.random.default_rng(5), REACH), camera(0.7, 1.1)
    depths = [render(scene, view, FOV, 24, times)[1] for times in (1, 2, 3)]
    assert np.array_equal(depths[0], depths[1], equal_nan=True)
    assert np.array_equal(depths[0], depths[2], equal_nan=True)


def test_floor_is_white_far_away_dark_below_and_has_no_depth() -> None:
    image, depth = render(brick_scene(1.0, 0.1), camera(math.pi / 2, 0.8), FOV, 64, 2)
    assert (image[0, 0] == 255).all()
    background = np.isnan(depth)
    assert background[0].all()
    assert background[-1].all()
    assert image[background].min() < 200


@pytest.mark.parametrize("index", range(12))
def test_cars_fit_into_the_frame_and_between_near_and_far(index: int) -> None:
    scene = sample_car(np.random.default_rng([1, index]), REACH)
    for yaw, pitch in ((0.0, 1.4), (math.pi / 2, 1.4), (0.9, 0.3), (4.0, 1.0)):
        _, depth = render(scene, camera(yaw, pitch), FOV, 48, 1)
        seen = np.isfinite(depth)
        assert seen.mean() > 0.03
        assert not np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]]).any()
        assert np.nanmin(depth) > 0.7
        assert np.nanmax(depth) < 1.3
    side_view = np.nonzero(np.isfinite(render(scene, camera(math.pi / 2, 1.4), FOV, 96, 1)[1]).any(0))[0]
    assert 0.34 < (side_view[-1] - side_view[0] + 1) / 96 * 2 * math.tan(FOV / 2) < 0.53


def test_two_views_of_one_car_agree_about_its_surface() -> None:
    scene = sample_car(np.random.default_rng(11), REACH)
    first, second = camera(0.9, 1.0), camera(1.1, 0.95)
    size = 96
    _, depth = render(scene, first, FOV, size, 1)
    _, other = render(scene, second, FOV, size, 1)
    rows, columns = np.nonzero(np.isfinite(depth))
    points = first[:3, 3, None] + depth[rows, columns] * pixel_directions(first, FOV, size)[:, rows, columns]
    local = second[:3, :3].T @ (points - second[:3, 3, None])
    across = np.floor((local[:2] / -local[2] / math.tan(FOV / 2) * [[1], [-1]] + 1) / 2 * size).astype(int)
    expected = other[across[1], across[0]]
    gap = np.abs(-local[2] - expected)
    # what the second view hides, or the slope within a pixel, differs; all else is the same surface
    assert (gap[np.isfinite(gap)] < 0.006).mean() > 0.9
    assert np.isfinite(expected).mean() > 0.97
    assert np.nanmedian(gap) < 0.0015


def test_mirrored_views_of_a_symmetric_scene_have_mirrored_depth() -> None:
    scene = sample_car(np.random.default_rng(2), REACH)
    _, left = render(scene, camera(0.6, 1.0), FOV, 32, 1)
    _, right = render(scene, camera(-0.6, 1.0), FOV, 32, 1)
    np.testing.assert_allclose(left, right[:, ::-1], atol=1e-4)


def test_every_style_is_drawn_and_cars_differ() -> None:

    specs = [sample_spec(np.random.default_rng([0, index])) for index in range(300)]
    assert {spec.style for spec in specs} == set(STYLES)
    assert len({(spec.length, spec.paint) for spec in specs}) == 300
    assert specs[7] == sample_spec(np.random.default_rng([0, 7]))


# colours before they are rounded to 8 bits, where a difference in a last bit seldom shows
COLOURS = """
import hashlib
import numpy as np
import torch
from pigan.data.cars import raytrace
from pigan.data.cars.shape import sample_car
from pigan.rendering.cameras import look_at_origin

cam2world = look_at_origin(torch.tensor([1.0]), torch.tensor([0.9]), 1.0)[0].double().numpy()
seen = hashlib.sha256()
for seed in range(3):
    scene = sample_car(np.random.default_rng(seed), 0.24)
    rays, origin = raytrace.pixel_directions(cam2world, 0.5, 64), raytrace._origin(scene, cam2world)
    colours = raytrace._colours(scene, origin, rays, *raytrace.trace(scene.solids, origin, rays, cam2world, 0.5))
    assert colours.dtype == np.float32 and colours.std() > 0.05
    seen.update(colours.tobytes())
print(seen.hexdigest())
"""


def test_processors_with_and_without_avx512_render_the_same_bits() -> None:
    from numpy._core._multiarray_umath import __cpu_features__ as features

    wide = [name for name, there in features.items() if there and ("AVX512" in name or name == "X86_V4")]
    if not wide:
        pytest.skip("no AVX-512 here, which could be left unused")
    seen = set()
    for unused in ("", " ".join(wide)):
        environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": unused}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", COLOURS], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    assert len(seen) == 1
