import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pigan.data.cars.render import render_cars
from pigan.data.posed.layouts import read_posed
from pigan.rendering.cameras import sample_cameras


def fingerprints(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes_whatever_the_number_of_workers(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 34, "size": 12, "views_per_car": 2})
    for name, workers in (("one", 1), ("again", 1), ("two", 2)):
        render_cars(params.dataset.cars, params.camera, tmp_path / name, workers)
    first = fingerprints(tmp_path / "one")
    assert len(first) == 2 * 34 + 1
    assert fingerprints(tmp_path / "again") == first
    assert fingerprints(tmp_path / "two") == first


def test_another_seed_gives_other_cars_and_poses(make_params: Any, tmp_path: Path) -> None:
    params, other = make_params(), make_params(cars={"seed": 1})
    render_cars(params.dataset.cars, params.camera, tmp_path / "a", 1)
    render_cars(other.dataset.cars, other.camera, tmp_path / "b", 1)
    first, second = fingerprints(tmp_path / "a"), fingerprints(tmp_path / "b")
    assert not {name for name in first if first[name] == second[name]}


def test_files_are_posed_rgb_d_images(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 5})
    render_cars(params.dataset.cars, params.camera, tmp_path, 1)
    frames = read_posed(tmp_path, None)
    assert frames is not None
    assert [frame.object for frame in frames] == ["0", "0", "1", "1", "2"]
    content = json.loads((tmp_path / "transforms.json").read_text())
    assert (content["w"], content["h"], content["camera_angle_x"]) == (24, 24, params.camera.fov)
    poses = sample_cameras(params.camera, 5, params.dataset.cars.seed).numpy()
    for frame, pose in zip(frames, poses, strict=True):
        np.testing.assert_array_equal(frame.cam2world, pose)
        with Image.open(tmp_path / frame.image) as image:
            assert (image.mode, image.size) == ("RGB", (24, 24))
        depth = np.load(tmp_path / str(frame.depth))
        assert depth.shape == (24, 24)
        assert depth.dtype == np.float32
        assert 0.7 < np.nanmin(depth) < np.nanmax(depth) < 1.3
    assert (np.linalg.norm(poses[:, :3, 3], axis=1).round(6) == params.camera.radius).all()
    assert (poses[:, 1, 3] > 0).all()
