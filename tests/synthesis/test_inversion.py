import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from pigan import config
from pigan.data.store import Prepared
from pigan.kernels.choose import field_of
from pigan.models.generator import Generator, ray_settings
from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import pixel_directions, world_rays
from pigan.rendering.render import Field, render_rays
from pigan.runtime import generator_for
from pigan.synthesis import inversion
from pigan.synthesis.inversion import Inverted, PosedImages, invert, rays_of, render_inverted, write_inversions
from pigan.synthesis.views import draw_codes

CPU = torch.device("cpu")
SIDE = 16
FIELDS = ("film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren")


class Seen(NamedTuple):
    """Objects of a model, seen from known cameras."""

    posed: PosedImages
    truth: Inverted
    code: torch.Tensor


def see(generator: Generator, params: config.Params, count: int = 3, side: int = SIDE) -> Seen:
    yaw, pitch = torch.linspace(1.2, 2.0, count), torch.linspace(1.2, 0.8, count)
    cam2world = look_at_origin(yaw, pitch, params.camera.radius)
    fov = torch.linspace(0.45, 0.55, count)
    code = draw_codes(generator, count, 1.0, params, "test")
    truth = render_inverted(generator, code, rays_of(cam2world, fov, side), params)
    images = torch.from_numpy(truth.images).permute(0, 3, 1, 2) / 127.5 - 1
    return Seen(PosedImages(images, cam2world, fov), truth, code)


def some(posed: PosedImages, which: slice) -> PosedImages:
    return PosedImages(*(values[which] for values in posed))


def streams(count: int, first: int = 0) -> list[torch.Generator]:
    return [generator_for(CPU, "test", number) for number in range(first, first + count)]


def psnr(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, dB."""
    error = ((images.astype(float) - others) ** 2).mean((1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(error, 1e-3))


def changed(params: config.Params, **changes: Any) -> config.Params:
    return config.parse(config.merge(params.model_dump(), changes))


def dense(params: config.Params) -> Generator:
    """Random weights, some rays opaque and some not."""
    generator = Generator(params.model)
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.endswith("density_head.weight"):
                weight.mul_(60)
    return generator


def test_rays_are_those_of_each_view_between_outer_edges() -> None:
    cam2world = look_at_origin(torch.tensor([0.3, 2.0]), torch.tensor([1.0, 1.4]), 1.1)
    rays = rays_of(cam2world, torch.tensor([0.4, 0.7]), 6)
    for view, fov in enumerate((0.4, 0.7)):
        directions = pixel_directions(6, fov, align_corners=False)
        origin, along = world_rays(cam2world[view : view + 1], directions)
        torch.testing.assert_close(rays.origins[view], origin[0])
        torch.testing.assert_close(rays.directions[view], along[0])
        # straight ahead is shortest
        torch.testing.assert_close(rays.ahead[view], -directions[:, 2])


@pytest.mark.parametrize("hierarchical", [False, True])
def test_model_finds_its_own_objects_again(balls: Generator, ball_params: config.Params, hierarchical: bool) -> None:
    params = changed(ball_params, model={"hierarchical": hierarchical})
    seen = see(balls, params)
    # the balls fill a part of the view
    assert (seen.truth.images.std((1, 2, 3)) > 10).all()
    found = invert(balls, seen.posed, params, streams(3))
    again = render_inverted(balls, found, rays_of(seen.posed.cam2world, seen.posed.fov, SIDE), params)
    assert (psnr(again.images, seen.truth.images) > 30).all()
    for ours, true in zip(again.depth, seen.truth.depth, strict=True):
        assert np.corrcoef(ours.ravel(), true.ravel())[0, 1] > 0.98
    # it was not there from the beginning
    centre = balls.average_code(200, generator_for(CPU, params.generate.seed, "truncation"))
    rays = rays_of(seen.posed.cam2world, seen.posed.fov, SIDE)
    before = render_inverted(balls, centre.expand_as(found), rays, params)
    assert (psnr(again.images, seen.truth.images) > psnr(before.images, seen.truth.images) + 10).all()


def test_vanished_object_begins_again(
    balls: Generator, ball_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    # so fast that some of the objects vanish
    params = changed(ball_params, generate={"inversion": {"lr": 0.03, "steps": 100, "rays": 128}})
    seen = see(balls, params, 6)
    rays, found = rays_of(seen.posed.cam2world, seen.posed.fov, SIDE), []
    for nothing in (inversion.NOTHING, -1.0):
        monkeypatch.setattr(inversion, "NOTHING", nothing)
        code = invert(balls, seen.posed, params, streams(6))
        found.append((psnr(render_inverted(balls, code, rays, params).images, seen.truth.images) > 30).sum())
    assert found[0] > found[1]


def test_search_is_adam_and_each_view_has_its_own_age() -> None:
    theirs = torch.zeros((2, 5), requires_grad=True)
    adam, ours, late = torch.optim.Adam([theirs], lr=0.1), inversion.Search(2, 5, CPU), inversion.Search(2, 5, CPU)
    gradients = torch.randn((9, 2, 5))
    for number, gradient in enumerate(gradients):
        if number == 4:
            late.begin_again(torch.tensor([False, True]))
            assert not late.offset[1].any()
        theirs.grad = gradient.clone()
        adam.step()
        ours.step(gradient, 0.1)
        late.step(gradient, 0.1)
    torch.testing.assert_close(ours.offset, theirs.detach())
    assert torch.equal(late.offset[0], ours.offset[0])
    new = inversion.Search(2, 5, CPU)
    for gradient in gradients[4:]:
        new.step(gradient, 0.1)
    torch.testing.assert_close(late.offset[1], new.offset[1])


# where random fields are searched is luck: of the one with a cube only the gradient is compared, below
@pytest.mark.parametrize("field", FIELDS[:-1])
def test_every_field_comes_closer(field: str, tiny_params: config.Params) -> None:
    settings = {"steps": 60, "rays": 128, "lr": 0.02, "noise": 0.0, "regularisation": 0.0}
    params = changed(tiny_params, model={"field": field, "samples": 6}, generate={"inversion": settings})
    generator = dense(params)
    seen = see(generator, params)
    centre = generator.average_code(20, generator_for(CPU, params.generate.seed, "truncation")).expand(3, -1)
    rays = rays_of(seen.posed.cam2world, seen.posed.fov, SIDE)
    before = render_inverted(generator, centre, rays, params)
    after = render_inverted(generator, invert(generator, seen.posed, params, streams(3)), rays, params)
    assert psnr(after.images, seen.truth.images).mean() > psnr(before.images, seen.truth.images).mean() + 0.5
    # nothing else was changed, nor was anything left behind
    assert all(parameter.grad is None for parameter in generator.parameters())


@pytest.mark.parametrize(("tile", "threads"), [(64, 1), (1 << 13, 1), (64, 3)])
@pytest.mark.parametrize("activation", ["relu", "softplus"])
@pytest.mark.parametrize("hierarchical", [False, True])
@pytest.mark.parametrize("field", FIELDS)
def test_gradient_is_that_of_the_whole_rendering(
    field: str,
    hierarchical: bool,
    activation: str,
    tile: int,
    threads: int,
    tiny_params: config.Params,
    on_threads: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_threads(threads)
    monkeypatch.setattr("pigan.kernels.threads.LEAST", 1)
    monkeypatch.setattr(inversion, "CPU_TILE", tile)
    model = {"field": field, "hierarchical": hierarchical, "density_activation": activation, "eval_background": "last"}
    params = changed(tiny_params, model=model)
    generator = dense(params)
    code = draw_codes(generator, 3, 1.0, params, "test")
    seen = see(generator, params)
    rays, pixels = rays_of(seen.posed.cam2world, seen.posed.fov, SIDE), 2 * torch.rand((3, SIDE**2, 3)) - 1
    sampling = ray_settings(params.model, params.camera, "last")
    draw = inversion._draw(streams(3), SIDE**2, 40, sampling, code.shape[1])
    gradient, error = inversion._towards_code(generator, code, rays, pixels, sampling, draw)

    leaf, chosen = code.clone().requires_grad_(), draw.rays[..., None].expand(-1, -1, 3)
    directions = rays.directions.gather(1, chosen)
    whole = render_rays(field_of(generator, leaf), rays.origins, directions, sampling, draw.randomness)
    expected = (2 * whole.colour - 1 - pixels.gather(1, chosen)).square().mean((1, 2))
    torch.testing.assert_close(error, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), leaf)[0], rtol=1e-4, atol=1e-6)
    assert gradient.abs().max() > 1e-4


def test_view_is_inverted_the_same_alone_in_company_and_in_parts(
    balls: Generator, ball_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = changed(ball_params, generate={"inversion": {"steps": 20, "rays": 64}})
    posed = see(balls, params).posed
    together = invert(balls, posed, params, streams(3))
    assert torch.equal(together, invert(balls, posed, params, streams(3)))
    alone = invert(balls, some(posed, slice(1, 2)), params, streams(1, first=1))
    # but for the last bits, which Adam's first steps enlarge
    torch.testing.assert_close(alone, together[1:2], rtol=1e-3, atol=1e-3)
    monkeypatch.setattr(inversion, "POINTS_A_PASS", 1)
    torch.testing.assert_close(invert(balls, posed, params, streams(3)), together, rtol=1e-3, atol=1e-3)
    other = invert(balls, posed, params, streams(3, first=7))
    assert not torch.allclose(other, together, atol=1e-3)


def test_regularisation_keeps_the_code_near_the_average(balls: Generator, ball_params: config.Params) -> None:
    centre = balls.average_code(200, generator_for(CPU, ball_params.generate.seed, "truncation"))
    far = []
    for weight in (0.0, 1e-3, 1.0):
        settings = {"steps": 30, "rays": 64, "noise": 0.0, "regularisation": weight}
        params = changed(ball_params, generate={"inversion": settings})
        found = invert(balls, see(balls, params).posed, params, streams(3))
        far.append(float((found - centre).norm(dim=-1).mean()))
    assert far[0] > far[1] > far[2]


def test_more_rays_than_pixels_are_all_pixels(balls: Generator, ball_params: config.Params) -> None:
    params = changed(ball_params, generate={"inversion": {"steps": 2, "rays": 10_000}})
    assert invert(balls, see(balls, params, side=8).posed, params, streams(3)).shape == (3, balls.field.code_size)


def test_progress_names_the_error(
    balls: Generator, ball_params: config.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    params = changed(ball_params, generate={"inversion": {"steps": 2, "rays": 16}})
    posed = see(balls, params).posed
    invert(balls, posed, params, streams(3))
    assert capsys.readouterr().err == ""
    invert(balls, posed, params, streams(3), "inversion")
    said = capsys.readouterr().err
    assert said.startswith("inversion: 2/2 step, ") and " dB" in said


def plane(height: float, density: float) -> Callable[..., Field]:
    """A field that is solid below z = `height`, which faces a camera on +z."""

    def field_of(*_: object) -> Field:
        return lambda points, directions: (torch.zeros_like(points), torch.where(points[..., 2] < height, density, 0.0))

    return field_of


@pytest.mark.parametrize("background", ["white", "last"])
@pytest.mark.parametrize(("height", "z"), [(0.0, 1.0), (0.1, 0.9), (-9.0, None)])
def test_depth_is_along_the_axis_and_never_missing(
    background: str,
    height: float,
    z: float | None,
    balls: Generator,
    ball_params: config.Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = changed(ball_params, model={"samples": 801, "eval_background": background}, camera={"far": 1.4})
    monkeypatch.setattr(inversion, "field_of", plane(height, 1e6))
    level = torch.tensor([math.pi / 2])
    rays = rays_of(look_at_origin(level, level, 1.0), torch.tensor([math.radians(60)]), SIDE)
    seen = render_inverted(balls, torch.zeros(1, balls.field.code_size), rays, params)
    # what meets nothing lies at `far`, a distance along the ray
    expected = z if z is not None else 1.4 * rays.ahead.reshape(1, SIDE, SIDE).numpy()
    np.testing.assert_allclose(seen.depth, np.broadcast_to(expected, seen.depth.shape), atol=2e-3)
    assert seen.depth.dtype == np.float32


def test_what_is_left_of_the_light_goes_to_far(
    balls: Generator, ball_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a last sample that is empty: nothing but the haze before it takes light
    def field_of(*_: object) -> Field:
        def field(points: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            haze = (points[..., 2] < 0.05) & (points[..., 2] > -0.05)
            return torch.zeros_like(points), torch.where(haze, math.log(2) / 0.1, 0.0)

        return field

    params = changed(ball_params, model={"samples": 801})
    monkeypatch.setattr(inversion, "field_of", field_of)
    level = torch.tensor([math.pi / 2])
    rays = rays_of(look_at_origin(level, level, 1.0), torch.tensor([0.01]), 4)
    depth = render_inverted(balls, torch.zeros(1, balls.field.code_size), rays, params).depth
    # half of the light ends within the haze, half at far
    middle = 0.95 + 0.1 / math.log(2) - 0.1
    np.testing.assert_allclose(depth, 0.5 * (middle + params.camera.far), atol=2e-3)


def test_held_out_views_are_written_with_their_truth(
    generator: Generator, tiny_params: config.Params, prepared: Prepared, tmp_path: Path
) -> None:
    assert write_inversions(generator, tiny_params, prepared, tmp_path) is None
    with np.load(tmp_path / "inversion.npz") as file:
        held = dict(file)
    shapes = {name: (array.shape, array.dtype.name) for name, array in held.items()}
    assert shapes == {
        "rows": ((2,), "int64"),
        **dict.fromkeys(("target", "images"), ((2, SIDE, SIDE, 3), "uint8")),
        **dict.fromkeys(("depth", "true_depth"), ((2, SIDE, SIDE), "float32")),
        "cam2world": ((2, 4, 4), "float32"),
        "fov": ((2,), "float32"),
    }
    rows, cameras, true_depth = held["rows"], prepared.cameras, prepared.depth(SIDE)
    assert cameras is not None and true_depth is not None
    assert set(rows) <= set(prepared.held_out) and len(set(rows)) == 2
    assert np.array_equal(held["target"], prepared.images(SIDE)[rows])
    assert np.array_equal(held["true_depth"], true_depth[rows], equal_nan=True)
    np.testing.assert_allclose(held["cam2world"], cameras.cam2world[rows], atol=1e-6)
    np.testing.assert_allclose(held["fov"], cameras.fov[rows], rtol=1e-6)
    assert np.isfinite(held["depth"]).all()
    write_inversions(generator, tiny_params, prepared, tmp_path)
    with np.load(tmp_path / "inversion.npz") as file:
        assert all(np.array_equal(held[name], file[name], equal_nan=True) for name in held)


def test_rows_are_spread_evenly_and_no_more_than_there_are(
    generator: Generator, tiny_params: config.Params, prepared: Prepared, tmp_path: Path
) -> None:
    many = Prepared(prepared.path)
    many.held_out = np.arange(10, 31)
    for views, rows in ((3, [10, 20, 30]), (1, [10]), (50, list(range(10, 31)))):
        params = changed(tiny_params, generate={"inversion": {"views": views, "steps": 1}})
        assert write_inversions(generator, params, many, tmp_path) is None
        with np.load(tmp_path / "inversion.npz") as file:
            assert file["rows"].tolist() == rows


def test_data_without_depth_has_no_true_depth(
    generator: Generator, tiny_params: config.Params, without: Callable[..., Prepared], tmp_path: Path
) -> None:
    assert write_inversions(generator, tiny_params, without("depth"), tmp_path) is None
    with np.load(tmp_path / "inversion.npz") as file:
        assert np.isnan(file["true_depth"]).all() and np.isfinite(file["depth"]).all()


def test_what_cannot_be_inverted_says_why(
    generator: Generator, tiny_params: config.Params, without: Callable[..., Prepared], tmp_path: Path
) -> None:
    none = changed(tiny_params, generate={"inversion": {"views": 0}})
    for params, data, reason in (
        (none, without(), "generate.inversion.views is 0"),
        (tiny_params, without("held out"), "no held-out views"),
        (tiny_params, without("cameras"), "held-out views have no cameras"),
    ):
        assert write_inversions(generator, params, data, tmp_path) == reason
    assert list(tmp_path.iterdir()) == []
