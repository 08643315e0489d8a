from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pigan import config
from pigan.files import sha256_file
from pigan.models.generator import Generator
from pigan.rendering.cameras import look_at_origin
from pigan.rendering.render import Field
from pigan.synthesis.evaluation_set import (
    CONSISTENCY_YAWS,
    write_consistency_views,
    write_evaluation_set,
    write_pairs,
)
from pigan.synthesis.views import draw_codes, render_views, usual_pitch

COUNT, SIDE = 10, 16
CPU = torch.device("cpu")


@pytest.fixture
def written(generator: Generator, tiny_params: config.Params, tmp_path: Path) -> Path:
    out = tmp_path / "one"
    out.mkdir()
    assert write_evaluation_set(generator, tiny_params, out) == COUNT
    write_consistency_views(generator, tiny_params, out)
    write_pairs(generator, tiny_params, out)
    return out


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as held:
        return dict(held)


def test_files_have_the_shapes_and_types_of_prepared_data(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [
        *("cameras.npz", "consistency.npz", "depth_16.npy", "geometry.npz", "images_16.npy", "pairs.npz"),
    ]
    images, depth = np.load(written / "images_16.npy"), np.load(written / "depth_16.npy")
    assert (images.shape, images.dtype) == ((COUNT, SIDE, SIDE, 3), np.uint8)
    assert (depth.shape, depth.dtype) == ((COUNT, SIDE, SIDE), np.float32)
    shapes = {name: (array.shape, array.dtype.name) for name, array in arrays(written / "cameras.npz").items()}
    assert shapes == {
        "cam2world": ((COUNT, 4, 4), "float32"),
        **dict.fromkeys(("fov", "pitch", "yaw"), ((COUNT,), "float32")),
    }
    geometry = {name: (array.shape, array.dtype.name) for name, array in arrays(written / "geometry.npz").items()}
    assert geometry == dict.fromkeys(("depth_variance", "opacity", "empty"), ((COUNT,), "float32"))
    views = {name: (array.shape, array.dtype.name) for name, array in arrays(written / "consistency.npz").items()}
    assert views == {
        "images": ((2, 5, SIDE, SIDE, 3), "uint8"),
        "depth": ((2, 5, SIDE, SIDE), "float32"),
        "cam2world": ((5, 4, 4), "float32"),
        "fov": ((), "float32"),
    }
    pairs = {name: (array.shape, array.dtype.name) for name, array in arrays(written / "pairs.npz").items()}
    assert pairs == {
        "images": ((2, 2, SIDE, SIDE, 3), "uint8"),
        **dict.fromkeys(("yaw", "pitch"), ((2, 2), "float32")),
    }


def test_same_seed_gives_the_same_bytes_and_another_seed_others(
    written: Path, generator: Generator, tiny_params: config.Params, tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    torch.manual_seed(11)
    write_evaluation_set(generator, tiny_params, tmp_path / "again")
    write_consistency_views(generator, tiny_params, tmp_path / "again")
    write_pairs(generator, tiny_params, tmp_path / "again")
    for name in ("images_16.npy", "depth_16.npy"):
        assert sha256_file(written / name) == sha256_file(tmp_path / "again" / name)
    for name in ("cameras.npz", "geometry.npz", "consistency.npz", "pairs.npz"):
        first, second = arrays(written / name), arrays(tmp_path / "again" / name)
        for key in first:
            assert np.array_equal(first[key], second[key], equal_nan=True), (name, key)
    other = config.parse(config.merge(tiny_params.model_dump(), {"generate": {"seed": 2}}))
    (tmp_path / "other").mkdir()
    write_evaluation_set(generator, other, tmp_path / "other")
    for name in ("yaw", "pitch"):
        assert (arrays(written / "cameras.npz")[name] != arrays(tmp_path / "other/cameras.npz")[name]).any()


def test_cameras_are_those_of_the_poses_that_were_rendered(
    written: Path, generator: Generator, tiny_params: config.Params
) -> None:
    cameras = arrays(written / "cameras.npz")
    yaw, pitch = torch.from_numpy(cameras["yaw"]), torch.from_numpy(cameras["pitch"])
    assert np.array_equal(cameras["cam2world"], look_at_origin(yaw, pitch, tiny_params.camera.radius).numpy())
    np.testing.assert_allclose(cameras["fov"], tiny_params.camera.fov, rtol=1e-6)
    around = np.sin(cameras["pitch"])
    law = np.stack([around * np.cos(cameras["yaw"]), np.cos(cameras["pitch"]), around * np.sin(cameras["yaw"])], axis=1)
    np.testing.assert_allclose(cameras["cam2world"][:, :3, 3], law, atol=1e-6)
    assert len(np.unique(cameras["yaw"])) == COUNT
    code = draw_codes(generator, COUNT, tiny_params.generate.truncation, tiny_params, "evaluation")
    seen = render_views(generator, code, yaw, pitch, SIDE, tiny_params)
    assert np.array_equal(seen.images, np.load(written / "images_16.npy"))
    assert np.array_equal(seen.depth, np.load(written / "depth_16.npy"), equal_nan=True)


def test_consistency_views_turn_about_the_usual_pose(
    written: Path, generator: Generator, tiny_params: config.Params
) -> None:
    views = arrays(written / "consistency.npz")
    yaw = tiny_params.camera.yaw_mean + torch.tensor(CONSISTENCY_YAWS)
    pitch = torch.full_like(yaw, usual_pitch(tiny_params.camera))
    assert np.array_equal(views["cam2world"], look_at_origin(yaw, pitch, tiny_params.camera.radius).numpy())
    code = draw_codes(generator, 2, tiny_params.generate.truncation, tiny_params, "consistency")
    alone = render_views(generator, code[1:].expand(5, -1), yaw, pitch, SIDE, tiny_params)
    assert np.abs(views["images"][1].astype(int) - alone.images).max() <= 1


def test_pairs_show_one_object_from_two_poses_of_the_law(
    written: Path, generator: Generator, tiny_params: config.Params
) -> None:
    pairs = arrays(written / "pairs.npz")
    assert len(np.unique(pairs["yaw"])) == 4
    code = draw_codes(generator, 2, tiny_params.generate.truncation, tiny_params, "pairs")
    yaw, pitch = (torch.from_numpy(pairs[name][1]) for name in ("yaw", "pitch"))
    alone = render_views(generator, code[1:].expand(2, -1), yaw, pitch, SIDE, tiny_params)
    assert np.abs(pairs["images"][1].astype(int) - alone.images).max() <= 1


def test_several_devices_write_the_same_bits(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # several batches of three, the last one of one
    monkeypatch.setattr("pigan.synthesis.views.SAMPLES_A_PASS", 3 * SIDE**2 * tiny_params.model.samples)
    for name, devices in (("one", [CPU]), ("two", [CPU, CPU]), ("three", [CPU] * 3)):
        (tmp_path / name).mkdir()
        write_evaluation_set(generator, tiny_params, tmp_path / name, devices)
    for path in (tmp_path / "one").glob("*.npy"):
        for name in ("two", "three"):
            assert sha256_file(path) == sha256_file(tmp_path / name / path.name)
    one, two = (arrays(tmp_path / name / "geometry.npz") for name in ("one", "two"))
    assert all(np.array_equal(one[key], two[key], equal_nan=True) for key in one)


def test_depth_is_along_the_optical_axis_and_not_along_the_ray(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = {"pose_law": "fixed", "yaw_mean": np.pi / 2, "pitch_mean": np.pi / 2, "far": 1.4, "fov_degrees": 60.0}
    changes = {"model": {"samples": 1001}, "camera": ahead, "generate": {"images": 2, "consistency_latents": 1}}
    params = config.parse(config.merge(tiny_params.model_dump(), changes))

    def field_of(*_: object) -> Field:
        # all that lies behind z = 0, which faces the camera at (0, 0, 1)
        return lambda points, directions: (torch.zeros_like(points), torch.where(points[..., 2] < 0, 1e6, 0.0))

    monkeypatch.setattr("pigan.synthesis.views.field_of", field_of)
    write_evaluation_set(generator, params, tmp_path)
    depth = np.load(tmp_path / "depth_16.npy")
    # the distance along the rays in the corners is 1.27
    np.testing.assert_allclose(depth, 1.0, atol=2e-3)


def test_share_of_empty_rays_knows_no_background(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, show_ball: Any
) -> None:
    show_ball((0.0, 0.0, 0.0), 0.12)
    empty = {}
    for background in ("white", "none", "last"):
        changes = {"model": {"samples": 60, "eval_background": background}}
        params = config.parse(config.merge(tiny_params.model_dump(), changes))
        (tmp_path / background).mkdir()
        write_evaluation_set(generator, params, tmp_path / background)
        empty[background] = arrays(tmp_path / background / "geometry.npz")["empty"]
    nothing = np.isnan(np.load(tmp_path / "white/depth_16.npy")).mean((1, 2))
    assert (empty["white"] > 0.2).all() and (empty["white"] < 0.9).all()
    np.testing.assert_allclose(empty["white"], nothing, rtol=1e-6)
    assert all(np.array_equal(empty["white"], other) for other in empty.values())


@pytest.mark.parametrize("align_corners", [False, True])
def test_depth_agrees_with_the_cameras(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, show_ball: Any, align_corners: bool
) -> None:
    changes = {"model": {"samples": 300}, "camera": {"align_corners": align_corners}}
    params = config.parse(config.merge(tiny_params.model_dump(), changes))
    show_ball((0.0, 0.0, 0.0), 0.12)
    write_evaluation_set(generator, params, tmp_path)
    depth, cameras = np.load(tmp_path / "depth_16.npy"), arrays(tmp_path / "cameras.npz")
    places = ((np.arange(SIDE) + 0.5) / SIDE * 2 - 1) * np.tan(cameras["fov"][0] / 2)
    x, y = np.meshgrid(places, -places)
    rays = np.stack([x, y, -np.ones_like(x)], axis=-1)
    for z, cam2world in zip(depth, cameras["cam2world"], strict=True):
        known = np.isfinite(z)
        points = (z[..., None] * rays)[known] @ cam2world[:3, :3].T + cam2world[:3, 3]
        # lifted into the world, every pixel lies on the ball
        assert np.abs(np.linalg.norm(points, axis=1) - 0.12).max() < 0.01
        assert 20 < known.sum() < 200
