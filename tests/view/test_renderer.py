"""Scenes become the pictures that `look` and `pigan render` make of them."""

import io
import math
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from typer.testing import CliRunner

from pigan.cli import app
from pigan.rendering.rays import pixel_directions
from pigan.synthesis.choices import backdrop_of
from pigan.synthesis.pictures import depth_colours, normal_colours
from pigan.synthesis.trained import load_model
from pigan.synthesis.viewing import Seen, look
from pigan.view import renderer as rendering
from pigan.view.renderer import Renderer, png
from pigan.view.scene import Scene, first_scene, object_name, picture_name, render_command


@pytest.fixture(scope="module")
def renderer(dense_run: Path) -> Renderer:
    return Renderer(load_model(dense_run))


@pytest.fixture
def scene(renderer: Renderer) -> Scene:
    return replace(
        first_scene(renderer.model), seed=4, yaw=75.0, pitch=80.0, fov=33.5, radius=1.2, resolution=24, samples=6
    )


def looked_at(renderer: Renderer, scene: Scene) -> Seen:
    """The same, said without the viewer."""
    model = renderer.model
    cameras = model.cameras(math.radians(75), math.radians(80), math.radians(33.5), 1.2)
    code = model.codes(model.latents(4), scene.psi)
    return look(model.generator, code, cameras, 24, model.params, 6, backdrop_of(scene.background))


def test_a_picture_is_what_look_sees(renderer: Renderer, scene: Scene) -> None:
    seen = looked_at(renderer, scene)
    assert 0.05 < float((seen.opacity > 0.5).float().mean()) < 1
    np.testing.assert_allclose(renderer.pixels(scene), 255 * seen.colour[0], atol=0.5 + 1e-3)
    opacity = renderer.pixels(replace(scene, shown="opacity"))
    np.testing.assert_allclose(opacity[..., 1], 255 * seen.opacity[0].clamp(0, 1), atol=0.5 + 1e-3)
    depth = renderer.pixels(replace(scene, shown="depth"))
    np.testing.assert_array_equal(depth, depth_colours(seen.depth.numpy())[0])
    rays = pixel_directions(24, math.radians(33.5), renderer.model.params.camera.align_corners).numpy()
    normals = renderer.pixels(replace(scene, shown="normals"))
    np.testing.assert_array_equal(normals, normal_colours(seen.depth.numpy(), rays)[0])
    assert len({png(picture) for picture in (opacity, depth, normals, renderer.pixels(scene))}) == 4


def test_a_transparent_background_has_the_opacity_as_its_channel(renderer: Renderer, scene: Scene) -> None:
    picture = renderer.pixels(replace(scene, background="transparent"))
    opacity = renderer.pixels(replace(scene, shown="opacity"))
    np.testing.assert_array_equal(picture[..., 3], opacity[..., 0])
    with Image.open(io.BytesIO(png(picture))) as image:
        assert image.mode == "RGBA" and image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_between_two_seeds(renderer: Renderer, scene: Scene) -> None:
    one, other = renderer.code(scene), renderer.code(replace(scene, seed=9))
    mixed = replace(scene, second=9, mix=1.0)
    torch.testing.assert_close(renderer.code(mixed), other)
    torch.testing.assert_close(renderer.code(replace(mixed, mix=0.25)), one + 0.25 * (other - one))
    assert renderer.code(replace(mixed, mix=0.0)) is one
    # with itself there is nothing between
    assert renderer.code(replace(scene, second=4, mix=0.5)) is one


def test_full_truncation_forgets_the_seed(renderer: Renderer, scene: Scene) -> None:
    torch.testing.assert_close(renderer.code(replace(scene, psi=0.0)), renderer.code(replace(scene, psi=0.0, seed=8)))
    assert not torch.equal(renderer.code(scene), renderer.code(replace(scene, seed=8)))


@pytest.mark.parametrize(
    "changes",
    [{}, {"shown": "normals"}, {"background": "transparent"}, {"second": 5, "mix": 1.0, "psi": 0.3}, {"samples": 4}],
)
def test_the_command_makes_the_same_picture(
    changes: dict[str, object], renderer: Renderer, scene: Scene, dense_run: Path, tmp_path: Path
) -> None:
    wanted = replace(scene, **changes)
    command = render_command(wanted, renderer.model, str(dense_run))
    assert command is not None
    words = [str(tmp_path) if word == "pictures" else word for word in shlex.split(command)[1:]]
    result = CliRunner().invoke(app, [*words, "--device", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (path,) = tmp_path.glob("*.png")
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), renderer.pixels(wanted))


def test_names_say_object_and_pose(renderer: Renderer, scene: Scene) -> None:
    assert picture_name(scene) == f"seed4_psi{scene.psi:g}_yaw75_pitch80_fov33.5_radius1.2_colour.png"
    mixed = replace(scene, second=9, mix=0.4, psi=1.0)
    assert object_name(mixed) == "seed4-9_mix0.4_psi1"
    assert render_command(mixed, renderer.model, "baseline") is None
    assert object_name(replace(mixed, mix=1.0)) == "seed9_psi1"


def test_a_mesh_tells_how_far_it_is(renderer: Renderer, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = renderer.mesh(scene, 24, lambda done, total: None)
    monkeypatch.setattr(rendering, "VALUES_A_STEP", 4 * 24**2)
    told: list[tuple[int, int | None]] = []
    content = renderer.mesh(scene, 24, lambda done, total: told.append((done, total)))
    # this object is too foggy to be opaque anywhere, so that its densities are asked for again
    layers = [(done, 24) for done in range(4, 25, 4)]
    assert told == [*layers, *((view, 30) for view in range(1, 31)), *layers]
    assert content == whole
    mesh = trimesh.load_scene(io.BytesIO(content), file_type="glb")
    assert sum(len(part.faces) for part in mesh.geometry.values()) > 20


def test_a_mesh_ends_when_nobody_waits_for_it(renderer: Renderer, scene: Scene) -> None:
    def gone(done: int, total: int | None) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        renderer.mesh(scene, 24, gone)
