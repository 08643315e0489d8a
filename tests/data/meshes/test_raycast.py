"""Closed forms: depth, silhouettes, textures and light are compared with formulas written out for each shape."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from PIL import Image

from pigan.data.cars.paint import plain
from pigan.data.cars.raytrace import Scene, pixel_directions
from pigan.data.cars.raytrace import render as render_solids
from pigan.data.cars.solids import box
from pigan.data.meshes.caster import Caster
from pigan.data.meshes.model import FILLED, Model
from pigan.data.meshes.raycast import Look, hue_turn, render, sample_look
from pigan.rendering.cameras import look_at_origin

FOV = math.radians(30)
REACH = math.sin(FOV / 2)
RADIUS = FILLED * REACH
FRONT = (math.pi / 2, math.pi / 2)
# from the camera's side of the front view
LOOK = Look(np.array([0, 0, 1], np.float32), 1.0, np.eye(3, dtype=np.float32), (0, 0))

Load = Callable[..., Model]
MakeQuad = Callable[..., trimesh.Trimesh]


def camera(yaw: float, pitch: float) -> Float[np.ndarray, "4 4"]:
    return look_at_origin(torch.tensor(yaw).double(), torch.tensor(pitch).double(), 1.0).numpy()


def depth_of(model: Model, pose: tuple[float, float], size: int = 64) -> Float[np.ndarray, "h w"]:
    return render(Caster(model), camera(*pose), FOV, size, 1, LOOK)[1]


def box_mesh(*sides: float) -> trimesh.Trimesh:
    return trimesh.creation.box(sides)


@pytest.mark.parametrize("pose", [FRONT, (0.3, 1.0), (4.0, 2.2)])
def test_box_depth_is_the_slab_formula(load: Load, pose: tuple[float, float]) -> None:
    half = np.array([1.0, 0.5, 0.7]) * RADIUS / np.linalg.norm([1.0, 0.5, 0.7])
    depth = depth_of(load(box_mesh(2.0, 1.0, 1.4)), pose)
    cam2world = camera(*pose)
    rays = pixel_directions(cam2world, FOV, 64).astype(np.float64).reshape(3, -1).T
    with np.errstate(divide="ignore"):
        one, other = ((sign * half - cam2world[:3, 3]) / rays for sign in (-1, 1))
    enter, leave = np.minimum(one, other).max(1), np.maximum(one, other).min(1)
    # rays within a hair of the silhouette may fall to either side
    sure = np.abs(enter - leave) > 1e-6
    seen = np.isfinite(depth.ravel())
    assert (seen == (enter < leave))[sure].all()
    assert 0.05 < seen.mean() < 0.7
    np.testing.assert_allclose(depth.ravel()[seen & sure], enter[seen & sure], rtol=1e-5)


def test_sphere_depth_and_silhouette(load: Load) -> None:
    size = 64
    depth = depth_of(load(trimesh.creation.icosphere(subdivisions=6)), (0.7, 1.2), size)
    rays = pixel_directions(camera(0.7, 1.2), FOV, size).astype(np.float64).reshape(3, -1).T
    length, along = (rays**2).sum(1), -rays @ camera(0.7, 1.2)[:3, 3]
    root = along**2 - length * (1 - RADIUS**2)
    expected = (along - np.sqrt(np.maximum(root, 0))) / length
    seen = np.isfinite(depth.ravel())
    # the facets of the mesh lie at most 3e-4 of the radius below the sphere
    clear = root > 2e-3
    assert seen[clear].all()
    assert not seen[root < 0].any()
    np.testing.assert_allclose(depth.ravel()[clear], expected[clear], rtol=0, atol=1e-3)
    # facing the camera, where facets do not slant, only their sag is left
    assert np.abs(depth.ravel() - expected)[np.argmax(root)] < 1e-4
    assert not np.isfinite(depth[[0, -1]]).any()


def test_same_camera_same_box_same_depth_as_the_embedded_ray_tracer(load: Load) -> None:
    half = np.array([2.0, 0.6, 0.9])
    solid = box(tuple((-half).tolist()), tuple(half.tolist()), plain((0.5, 0.5, 0.5)))
    scene = Scene((solid,), (2.0, 0.9), np.zeros(3), RADIUS / float(np.linalg.norm(half)))
    model = load(box_mesh(*(2 * half)))
    for pose in ((0.4, 1.1), (2.0, 0.6), (5.0, 1.5)):
        expected = render_solids(scene, camera(*pose), FOV, 48, 1)[1]
        depth = depth_of(model, pose, 48)
        assert (np.isfinite(depth) == np.isfinite(expected)).mean() > 0.9995
        both = np.isfinite(depth) & np.isfinite(expected)
        np.testing.assert_allclose(depth[both], expected[both], rtol=1e-5)


def test_up_axis_z_is_turned_to_y(load: Load) -> None:
    # a tower along z with a foot towards +x
    tower = trimesh.util.concatenate(
        [box_mesh(0.4, 0.4, 2.0), box_mesh(0.8, 0.4, 0.4).apply_translation([0.4, 0, -0.8])]
    )
    turned = tower.copy().apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    for pose in ((0.5, 1.2), (3.0, 1.6)):
        one, other = depth_of(load(tower, "z.ply", up="z"), pose), depth_of(load(turned, "y.ply"), pose)
        np.testing.assert_array_equal(one, other)
    seen = np.isfinite(depth_of(load(tower, "z.ply", up="z"), FRONT))
    tall, wide = np.ptp(np.nonzero(seen.any(1))[0]), np.ptp(np.nonzero(seen.any(0))[0])
    assert tall > 1.5 * wide
    # the foot points to the right (+x) at the bottom
    top, bottom = (np.flatnonzero(seen[row]) for row in np.nonzero(seen.any(1))[0][[3, -4]])
    assert abs(int(top[0]) - int(bottom[0])) <= 1
    assert bottom[-1] > top[-1] + 8


def test_depth_does_not_depend_on_supersampling_or_light(load: Load) -> None:
    caster = Caster(load(trimesh.creation.torus(1.0, 0.4)))
    first = render(caster, camera(0.7, 1.1), FOV, 24, 1, LOOK)[1]
    for times in (2, 3):
        look = sample_look(np.random.default_rng(times), 1.0, 1.0)
        assert np.array_equal(render(caster, camera(0.7, 1.1), FOV, 24, times, look)[1], first, equal_nan=True)


def test_texture_is_the_right_way_round(load: Load, make_quad: MakeQuad, corner_picture: Image.Image) -> None:
    for name in ("quad.glb", "quad.obj"):
        image, _ = render(Caster(load(make_quad(corner_picture), name)), camera(*FRONT), FOV, 64, 2, LOOK)
        for row, column, colour in ((24, 24, "r"), (24, 40, "g"), (40, 24, "b"), (40, 40, "rgb")):
            bright = image[row, column] > 180
            assert "".join(np.array(list("rgb"))[bright]) == colour, name
            assert (image[row, column][~bright] < 30).all()
        assert (image[0] == 255).all()


def test_far_textures_are_averaged_in_linear_light(load: Load, make_quad: MakeQuad) -> None:
    board = Image.fromarray((np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)).convert("RGB")
    chequered, grey = (
        render(Caster(load(make_quad(texture, baseColorFactor=factor))), camera(*FRONT), FOV, 32, 1, LOOK)[0]
        for texture, factor in ((board, [255, 255, 255, 255]), (None, [128, 128, 128, 255]))
    )
    inside = (slice(12, 20), slice(12, 20))
    # glTF's factor is linear light: half of it is what an even chequer-board sends
    np.testing.assert_allclose(chequered[inside].astype(int), grey[inside], atol=2)


def test_holes_and_glass(load: Load, make_quad: MakeQuad) -> None:
    picture = np.full((16, 16, 4), 255, np.uint8)
    picture[:, :8, 3] = 60
    wall = make_quad(None, baseColorFactor=[255, 0, 0, 255]).apply_translation([0, 0, -0.5])
    results = {}
    for mode in ("OPAQUE", "MASK", "BLEND"):
        front = make_quad(Image.fromarray(picture), alphaMode=mode, alphaCutoff=0.5)
        model = load(trimesh.Scene([front, wall]), f"{mode}.glb")
        results[mode] = (model, *render(Caster(model), camera(*FRONT), FOV, 64, 1, LOOK))
    scale = float(np.ptp(results["OPAQUE"][0].vertices[:, 2])) / 0.5
    near, far = 1 - 0.25 * scale, 1 + 0.25 * scale
    left, right = (32, 24), (32, 40)
    for mode, depth_left in (("OPAQUE", near), ("MASK", far), ("BLEND", far)):
        image, depth = results[mode][1:]
        assert depth[left] == pytest.approx(depth_left, rel=1e-5), mode
        assert depth[right] == pytest.approx(near, rel=1e-5)
        assert (image[right] > 200).all()
    assert (results["OPAQUE"][1][left] > 200).all()
    assert results["MASK"][1][left][1] < 20
    # the wall behind, through glass that adds a little of its own white
    assert 60 < results["BLEND"][1][left][1] < results["BLEND"][1][left][0] - 40


def test_of_two_faces_at_one_place_the_front_is_seen(load: Load, make_quad: MakeQuad) -> None:
    red, blue = make_quad(None, baseColorFactor=[255, 0, 0, 255]), make_quad(None, baseColorFactor=[0, 0, 255, 255])
    blue.faces = blue.faces[:, ::-1]
    for order in ([red, blue], [blue, red]):
        caster = Caster(load(trimesh.Scene(order)))
        front, back = (render(caster, camera(*pose), FOV, 32, 1, LOOK)[0] for pose in (FRONT, (-math.pi / 2, 1.5)))
        assert (front[16, 16] > [100, -1, -1]).all()
        assert front[10:22, 10:22, 2].max() < 30
        assert back[12:20, 12:20, 2].min() > 100
        assert back[12:20, 12:20, 0].max() < 30


def test_light_and_shadow(load: Load) -> None:
    # a floor with a lid above its middle, light straight from above
    floor, lid = box_mesh(2.0, 0.1, 2.0), box_mesh(0.6, 0.1, 0.6).apply_translation([0, 0.6, 0])
    caster = Caster(load(trimesh.Scene([floor, lid])))
    look = Look(np.array([0, 1, 0], np.float32), 1.0, np.eye(3, dtype=np.float32), (0, 0))
    size, pose = 96, (math.pi / 2, 0.9)
    image, depth = render(caster, camera(*pose), FOV, size, 2, look)
    rays = pixel_directions(camera(*pose), FOV, size)
    points = (camera(*pose)[:3, 3, None, None] + depth * rays) / caster.size
    on_floor = np.isfinite(depth) & (points[1] < np.nanmax(points[1]) - 0.2)
    across = np.abs(points[[0, 2]]).max(0)
    below, open_ = image[on_floor & (across < 0.1)], image[on_floor & (across > 0.5) & (points[2] < 0.6)]
    assert len(below) > 10
    assert len(open_) > 10
    assert below.mean() < open_.mean() - 40
    # nothing shades a convex body from the sky: no noise there
    sphere = Caster(load(trimesh.creation.icosphere(subdivisions=4)))
    one, other = (
        render(sphere, camera(*FRONT), FOV, 32, 2, Look(look.key, 0.0, look.turn, shift))[0]
        for shift in ((0, 0), (5, 9))
    )
    np.testing.assert_array_equal(one, other)


def test_both_sides_of_a_face_are_lit_alike(load: Load) -> None:
    outside = trimesh.creation.icosphere(subdivisions=3)
    ragged = outside.copy()
    ragged.faces = np.where(np.arange(len(ragged.faces))[:, None] % 3 == 0, ragged.faces[:, ::-1], ragged.faces)
    views = [render(Caster(load(mesh, "x.stl")), camera(*FRONT), FOV, 32, 2, LOOK) for mesh in (outside, ragged)]
    np.testing.assert_allclose(views[0][1], views[1][1], rtol=1e-6)
    assert np.abs(views[0][0].astype(int) - views[1][0]).mean() < 3


@given(st.floats(-10, 10))
@settings(max_examples=30, deadline=None)
def test_hue_turns_keep_grey_and_the_sum(angle: float) -> None:
    turn = hue_turn(angle)
    np.testing.assert_allclose(turn @ np.ones(3), 1, atol=1e-6)
    np.testing.assert_allclose(turn.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)


def test_a_third_of_the_circle_turns_red_to_green(load: Load, make_quad: MakeQuad) -> None:
    np.testing.assert_allclose(hue_turn(2 * math.pi / 3) @ [1, 0, 0], [0, 1, 0], atol=1e-6)
    caster = Caster(load(make_quad(None, baseColorFactor=[200, 0, 0, 255])))
    look = Look(LOOK.key, 1.0, hue_turn(2 * math.pi / 3), (0, 0))
    red, green = (render(caster, camera(*FRONT), FOV, 16, 1, each)[0][8, 8] for each in (LOOK, look))
    np.testing.assert_allclose(red[[1, 0, 2]].astype(int), green, atol=6)


def test_looks_vary_as_much_as_asked() -> None:
    def looks(light: float, hue: float) -> list[Look]:
        return [sample_look(np.random.default_rng([3, view]), light, hue) for view in range(40)]

    still = looks(0.0, 0.0)
    assert len({(*look.key.tolist(), look.strength) for look in still}) == 1
    assert all(np.array_equal(look.turn, np.eye(3)) for look in still)
    varied = looks(1.0, 0.1)
    assert len({look.strength for look in varied}) == 40
    assert all(0.6 <= look.strength <= 1.4 for look in varied)
    assert all(math.isclose(float(np.linalg.norm(look.key)), 1, rel_tol=1e-6) and look.key[1] > 0.3 for look in varied)
    # up to a tenth of the circle
    angles = [math.degrees(math.acos(min((np.trace(look.turn) - 1) / 2, 1))) for look in varied]
    assert 25 < max(angles) <= 36.01
