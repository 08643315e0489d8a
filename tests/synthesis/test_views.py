import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pigan import config, sections
from pigan.models.generator import Generator
from pigan.synthesis import views
from pigan.synthesis.views import draw_codes, pitch_sweep, render_views, to_uint8, usual_pitch, yaw_sweep

CPU = torch.device("cpu")
LEVEL = math.pi / 2
LAWS = ("gaussian", "uniform", "hybrid", "truncated_gaussian", "spherical_uniform", "fixed")


def camera(tiny_params: config.Params, **changes: Any) -> sections.Camera:
    return tiny_params.camera.model_copy(update=changes)


def poses(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.linspace(0.3, 2.5, count), torch.linspace(0.8, 1.9, count)


def test_levels_are_rounded_to_the_nearest_and_clamped() -> None:
    levels = torch.arange(256, dtype=torch.float64)
    exact = (levels / 127.5 - 1).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert np.array_equal(to_uint8(exact)[0, ..., 1].ravel(), np.arange(256))
    for off in (-0.45, 0.45):
        near = ((levels + off) / 127.5 - 1).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
        assert np.array_equal(to_uint8(near)[0, ..., 0].ravel(), np.arange(256))
    outside = torch.tensor([-7.0, 7.0, -1.001, 1.001]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert to_uint8(outside)[0, ..., 2].ravel().tolist() == [0, 255, 0, 255]


def test_channels_are_last_and_rows_stay_rows() -> None:
    image = torch.full((1, 3, 2, 2), -1.0)
    image[0, 0, 0, 1] = 1
    image[0, 2, 1, 0] = 1
    assert to_uint8(image)[0].tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 0, 255], [0, 0, 0]]]


def test_views_do_not_depend_on_how_many_are_rendered_at_once(
    generator: Generator, tiny_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = draw_codes(generator, 7, 1.0, tiny_params, "test")
    whole = render_views(generator, code, *poses(7), 16, tiny_params)
    again = render_views(generator, code, *poses(7), 16, tiny_params)
    for name, first, second in zip(whole._fields, whole, again, strict=True):
        assert np.array_equal(first, second, equal_nan=True), name
    for budget in (1, 3 * 16**2 * tiny_params.model.samples):
        monkeypatch.setattr(views, "SAMPLES_A_PASS", budget)
        parts = render_views(generator, code, *poses(7), 16, tiny_params)
        # the last bit may differ: a matrix product may sum in another order
        assert np.abs(parts.images.astype(int) - whole.images).max() <= 1
        assert (parts.images != whole.images).mean() < 0.01
        for name in ("depth", "opacity", "variance"):
            np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-3, atol=1e-5)


def test_views_have_their_shapes_types_and_ranges(generator: Generator, tiny_params: config.Params) -> None:
    code = draw_codes(generator, 3, 1.0, tiny_params, "test")
    seen = render_views(generator, code, *poses(3), 8, tiny_params)
    assert (seen.images.shape, seen.images.dtype) == ((3, 8, 8, 3), np.uint8)
    assert (seen.depth.shape, seen.depth.dtype) == ((3, 8, 8), np.float32)
    assert seen.opacity.shape == seen.variance.shape == (3,)
    assert (seen.opacity >= 0).all() and (seen.opacity <= 1 + 1e-5).all()
    known = seen.depth[np.isfinite(seen.depth)]
    assert 0 < known.size < seen.depth.size
    fov = tiny_params.camera.fov
    assert known.min() >= tiny_params.camera.near * math.cos(fov) and known.max() <= tiny_params.camera.far
    assert (seen.variance[np.isfinite(seen.variance)] >= 0).all()


def test_rendering_needs_no_gradients(generator: Generator, tiny_params: config.Params) -> None:
    code = draw_codes(generator, 1, 0.5, tiny_params, "test")
    assert not code.requires_grad
    render_views(generator, code.requires_grad_(), *poses(1), 4, tiny_params)


def test_progress_is_shown_only_under_a_name(
    generator: Generator, tiny_params: config.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    code = draw_codes(generator, 2, 1.0, tiny_params, "test")
    render_views(generator, code, *poses(2), 4, tiny_params)
    assert capsys.readouterr().err == ""
    render_views(generator, code, *poses(2), 4, tiny_params, "turntable")
    assert capsys.readouterr().err.startswith("turntable: 2/2 img, ")


@pytest.mark.parametrize("hierarchical", [False, True])
@pytest.mark.parametrize("aligned", [False, True])
def test_depth_of_a_ball_is_its_closed_form(
    hierarchical: bool, aligned: bool, generator: Generator, tiny_params: config.Params, show_ball: Any
) -> None:
    centre, radius, side, samples = (0.05, -0.03, 0.02), 0.15, 24, 401
    changes = {"model": {"samples": samples, "hierarchical": hierarchical}, "camera": {"align_corners": aligned}}
    params = config.parse(config.merge(tiny_params.model_dump(), changes))
    show_ball(centre, radius)
    level = torch.tensor([LEVEL])
    seen = render_views(generator, torch.zeros(1, 1), level, level, side, params)

    # the camera stands at (0, 0, 1) and looks along -z; a pixel's ray is (0, 0, 1) + z (x, y, -1)
    places = (np.arange(side) / (side - 1) if aligned else (np.arange(side) + 0.5) / side) * 2 - 1
    tangent = math.tan(params.camera.fov / 2)
    x, y = np.meshgrid(places * tangent, -places * tangent)
    rays = np.stack([x, y, -np.ones_like(x)], axis=-1)
    start = np.array([0.0, 0.0, 1.0]) - centre
    a, b, c = (rays**2).sum(-1), rays @ start, start @ start - radius**2
    discriminant = b**2 - a * c
    hit = discriminant > 0
    root = np.sqrt(np.where(hit, discriminant, np.nan))
    first, chord = (-b - root) / a, 2 * root / np.sqrt(a)
    spacing = (params.camera.far - params.camera.near) / (samples - 1)

    clear = hit & (chord > 3 * spacing)
    assert 40 < clear.sum() < side**2 - 40
    late = seen.depth[0][clear] - first[clear]
    # what is seen is the first sample inside
    assert late.min() >= -1e-5 and late.max() <= spacing + 1e-5
    assert np.isnan(seen.depth[0][~hit]).all()
    assert (seen.images[0][clear] == (255, 0, 0)).all() and (seen.images[0][~hit] == 255).all()
    assert seen.opacity[0] == pytest.approx(hit.mean(), abs=0.02)
    assert seen.variance[0] < spacing**2


def test_view_of_nothing_has_no_depth(generator: Generator, tiny_params: config.Params, show_ball: Any) -> None:
    show_ball((0.0, 0.0, 0.0), 0.0)
    seen = render_views(generator, torch.zeros(2, 1), *poses(2), 8, tiny_params)
    assert np.isnan(seen.depth).all() and np.isnan(seen.variance).all()
    assert (seen.images == 255).all() and (seen.opacity == 0).all()


def test_ball_at_the_origin_looks_the_same_from_everywhere(
    generator: Generator, tiny_params: config.Params, show_ball: Any
) -> None:
    params = config.parse(config.merge(tiny_params.model_dump(), {"model": {"samples": 200}}))
    show_ball((0.0, 0.0, 0.0), 0.1)
    seen = render_views(generator, torch.zeros(5, 1), *poses(5), 16, params)
    assert np.nanmin(seen.depth, axis=(1, 2)) == pytest.approx(0.9, abs=0.005)
    sizes = np.isfinite(seen.depth).sum((1, 2))
    assert sizes.max() - sizes.min() <= 4


def test_codes_depend_on_seed_and_use_alone(generator: Generator, tiny_params: config.Params) -> None:
    first = draw_codes(generator, 4, 1.0, tiny_params, "sheet")
    torch.manual_seed(99)
    assert torch.equal(first, draw_codes(generator, 4, 1.0, tiny_params, "sheet"))
    assert not torch.equal(first, draw_codes(generator, 4, 1.0, tiny_params, "strip"))
    other = config.parse(config.merge(tiny_params.model_dump(), {"generate": {"seed": 7}}))
    assert not torch.equal(first, draw_codes(generator, 4, 1.0, other, "sheet"))


def test_truncation_moves_codes_along_a_line_to_one_centre(generator: Generator, tiny_params: config.Params) -> None:
    whole, half, none = (draw_codes(generator, 3, psi, tiny_params, "sheet") for psi in (1.0, 0.5, 0.0))
    torch.testing.assert_close(none, none[:1].expand_as(none))
    torch.testing.assert_close(half, (whole + none) / 2)
    assert not torch.allclose(whole[0], whole[1])


def test_full_circle_is_swept_without_showing_a_view_twice(tiny_params: config.Params) -> None:
    yaws = yaw_sweep(camera(tiny_params, yaw_spread=math.pi), 8)
    assert yaws[0] == tiny_params.camera.yaw_mean
    assert np.diff([*yaws, yaws[0] + 2 * math.pi]) == pytest.approx(np.full(8, math.pi / 4))


def test_part_of_a_circle_is_swept_from_end_to_end(tiny_params: config.Params) -> None:
    yaws = yaw_sweep(camera(tiny_params, pose_law="gaussian", yaw_spread=0.3, yaw_mean=1.5), 5)
    assert yaws == pytest.approx([1.2, 1.35, 1.5, 1.65, 1.8])


def test_single_and_fixed_views_are_the_mean(tiny_params: config.Params) -> None:
    assert yaw_sweep(camera(tiny_params, pose_law="uniform", yaw_spread=0.3, yaw_mean=1.5), 1) == [1.5]
    assert yaw_sweep(camera(tiny_params, pose_law="fixed", yaw_spread=0.3, yaw_mean=1.5), 3) == [1.5] * 3
    fixed = camera(tiny_params, pose_law="fixed", pitch_spread=0.3, pitch_mean=1.4)
    assert pitch_sweep(fixed, 3) == [1.4] * 3


@given(
    law=st.sampled_from(LAWS),
    mean=st.floats(0, math.pi),
    spread=st.floats(0, math.pi),
    count=st.integers(1, 9),
)
def test_pitches_grow_and_keep_off_the_poles(
    tiny_params: config.Params, law: sections.PoseLaw, mean: float, spread: float, count: int
) -> None:
    chosen = camera(tiny_params, pose_law=law, pitch_mean=mean, pitch_spread=spread)
    pitches = pitch_sweep(chosen, count)
    assert len(pitches) == count
    assert all(0.05 <= pitch <= math.pi - 0.05 for pitch in pitches)
    assert pitches == sorted(pitches)
    assert 0 <= usual_pitch(chosen) <= math.pi


def test_pitches_stay_inside_what_is_drawn(tiny_params: config.Params) -> None:
    pitches = pitch_sweep(camera(tiny_params, pose_law="uniform", pitch_mean=1.5, pitch_spread=0.5), 3)
    assert pitches == pytest.approx([1.1, 1.5, 1.9])
    sphere = camera(tiny_params, pose_law="spherical_uniform", pitch_mean=math.pi / 2, pitch_spread=math.pi / 2)
    assert usual_pitch(sphere) == pytest.approx(LEVEL)
    assert pitch_sweep(sphere, 3) == pytest.approx([math.acos(0.8), LEVEL, math.acos(-0.8)])
