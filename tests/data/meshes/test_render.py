import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from pigan.data.meshes.render import find_models, render_meshes
from pigan.dataset_sections import Meshes
from pigan.errors import PiganError
from pigan.rendering.cameras import sample_cameras
from pigan.sections import Camera


@pytest.fixture
def camera(make_params: Any) -> Camera:
    params = make_params()
    assert isinstance(params.camera, Camera)
    return params.camera


@pytest.fixture
def source(tmp_path: Path, corner_picture: Image.Image, make_quad: Any) -> Path:
    """Three models in two formats, one in a folder, and one that is broken."""
    folder = tmp_path / "models"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    trimesh.creation.box((1, 2, 3)).export(folder / "b.stl")
    trimesh.Scene([trimesh.creation.icosphere(subdivisions=2), make_quad(corner_picture)]).export(folder / "a.GLB")
    trimesh.creation.torus(1.0, 0.3).export(folder / "more" / "c.ply")
    trimesh.creation.box().export(folder / ".hidden" / "d.stl")
    (folder / "broken.glb").write_bytes(b"glTF no more")
    (folder / "notes.txt").write_text("no model")
    return folder


def meshes(**changes: Any) -> Meshes:
    values = {
        "views": 7,
        "size": 24,
        "supersampling": 2,
        "up": "y",
        "hue": 0.2,
        "light": 0.5,
        "max_faces": 100_000,
        "seed": 3,
    }
    return Meshes(**{**values, **changes})


def fingerprints(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes_whatever_the_number_of_workers(camera: Camera, source: Path, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("again", 1), ("two", 2)):
        render_meshes(meshes(views=11), camera, source, tmp_path / name, workers)
    first = fingerprints(tmp_path / "one")
    assert len(first) == 2 * 11 + 2
    assert fingerprints(tmp_path / "again") == first
    assert fingerprints(tmp_path / "two") == first


def test_a_view_does_not_depend_on_how_many_there_are(
    camera: Camera, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = camera.model_copy(update={"pose_law": "fixed"})
    render_meshes(meshes(views=9), fixed, source, tmp_path / "many", 1)
    monkeypatch.setattr("pigan.data.meshes.render.CHUNK", 1)
    render_meshes(meshes(views=4), fixed, source, tmp_path / "few", 1)
    many, few = fingerprints(tmp_path / "many"), fingerprints(tmp_path / "few")
    shared = [name for name in few if name.startswith(("images", "depth"))]
    assert len(shared) == 8
    assert {name: many[name] for name in shared} == {name: few[name] for name in shared}


def test_another_seed_gives_other_views(camera: Camera, source: Path, tmp_path: Path) -> None:
    render_meshes(meshes(), camera, source, tmp_path / "a", 1)
    render_meshes(meshes(seed=4), camera, source, tmp_path / "b", 1)
    first, second = fingerprints(tmp_path / "a"), fingerprints(tmp_path / "b")
    assert {name for name in first if first[name] == second[name]} == {"rejected.json"}


def test_files_are_posed_rgb_d_images(
    camera: Camera, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "raw"
    render_meshes(meshes(), camera, source, out, 1)
    content = json.loads((out / "transforms.json").read_text())
    assert (content["w"], content["h"], content["camera_angle_x"]) == (24, 24, camera.fov)
    frames = content["frames"]
    assert [frame["object"] for frame in frames] == ["a.GLB", "b.stl", "more/c.ply"] * 2 + ["a.GLB"]
    poses = sample_cameras(camera, 7, seed=3).numpy()
    np.testing.assert_array_equal([frame["transform_matrix"] for frame in frames], poses)
    reach = camera.radius * math.sin(camera.fov / 2)
    for frame in frames:
        with Image.open(out / frame["file_path"]) as image:
            assert (image.mode, image.size) == ("RGB", (24, 24))
            pixels = np.asarray(image)
        depth = np.load(out / frame["depth_file_path"])
        assert (depth.shape, depth.dtype) == ((24, 24), np.dtype(np.float32))
        assert camera.radius - reach < np.nanmin(depth) < np.nanmax(depth) < camera.radius + reach
        seen = np.isfinite(depth)
        assert 0.05 < seen.mean() < 0.8
        # every camera sees the whole model, on white
        assert not np.concatenate([seen[[0, -1]].ravel(), seen[:, [0, -1]].ravel()]).any()
        assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
        assert (pixels[seen].min(1) < 250).mean() > 0.9
    rejected = json.loads((out / "rejected.json").read_text())
    assert [entry["file"] for entry in rejected] == ["broken.glb"]
    assert rejected[0]["reason"].startswith("cannot be read (")
    assert f"rejected broken.glb: {rejected[0]['reason']}\n" in capsys.readouterr().err


def test_no_rejects_no_list(camera: Camera, source: Path, tmp_path: Path) -> None:
    (source / "broken.glb").unlink()
    render_meshes(meshes(views=2), camera, source, tmp_path / "raw", 1)
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["depth", "images", "transforms.json"]


def test_the_user_is_told_what_to_mend(camera: Camera, tmp_path: Path) -> None:
    empty, bad = tmp_path / "empty", tmp_path / "bad"
    for folder in (empty, bad):
        folder.mkdir()
    (bad / "x.obj").write_text("v 0 0 0\n")
    for folder, told in (
        (tmp_path / "gone", "no such folder; point dataset.source at"),
        (empty, "holds no 3-D models; put .glb"),
        (bad, "none of the 1 models can be rendered (first: x.obj has no faces); mend them"),
    ):
        with pytest.raises(PiganError) as caught:
            render_meshes(meshes(), camera, folder, tmp_path / "raw", 1)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_models_are_found_in_the_order_of_their_names(source: Path) -> None:
    assert find_models(source) == ["a.GLB", "b.stl", "broken.glb", "more/c.ply"]
