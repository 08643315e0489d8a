import base64
import json
import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from pigan.data.meshes.load import load_model
from pigan.data.meshes.model import FILLED, Model, smooth_normals
from pigan.data.meshes.view import ModelFile, check_model

REACH = math.sin(math.radians(15))

Load = Callable[..., Model]
MakeQuad = Callable[..., trimesh.Trimesh]


def verdict(root: Path, name: str, *, up: str = "y", max_faces: int = 1000) -> str | None:
    return check_model(ModelFile(name, root, up, max_faces, REACH))


def gltf_of(mesh: Any) -> tuple[dict[str, Any], bytes]:
    """Header and binary chunk of a GLB."""
    content = mesh.export(file_type="glb")
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def write_gltf(path: Path, header: dict[str, Any], binary: bytes) -> None:
    """A text glTF with its buffer inside."""
    header["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    path.write_text(json.dumps(header))


def corner_set(model: Model) -> Any:
    """The corners of all faces, whatever their order."""
    return sorted(tuple(corner) for corner in model.vertices[model.faces].reshape(-1, 3).round(6).tolist())


def test_all_formats_give_the_same_box(load: Load, tmp_path: Path) -> None:
    mesh = trimesh.creation.box((2.0, 1.0, 1.4))
    mesh.apply_translation([100, -50, 30])
    models = {name: load(mesh, name) for name in ("b.glb", "b.obj", "b.ply", "b.stl")}
    write_gltf(tmp_path / "b.gltf", *gltf_of(mesh))
    models["b.gltf"] = load_model(tmp_path / "b.gltf", tmp_path, "y", 12, REACH)
    expected = corner_set(models["b.glb"])
    half = np.array([1.0, 0.5, 0.7]) * FILLED * REACH / np.linalg.norm([1.0, 0.5, 0.7])
    for name, model in models.items():
        assert len(model.faces) == 12, name
        np.testing.assert_allclose(corner_set(model), expected, atol=1e-5)
        np.testing.assert_allclose(model.vertices[model.faces].max((0, 1)), half, rtol=1e-5)
        # flat sides, sharp edges
        normals = model.corners[..., :3]
        np.testing.assert_allclose(np.abs(normals).max(2), 1, atol=1e-5)
        assert (normals == normals[:, :1]).all()


def test_scene_transforms_are_applied_to_places_and_normals(load: Load) -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    assert ball.vertex_normals.shape == ball.vertices.shape
    scene = trimesh.Scene()
    stretch = np.diag([3.0, 1.0, 1.0, 1.0])
    scene.add_geometry(ball, transform=stretch)
    model = load(scene)
    places = model.vertices[model.faces] / (FILLED * REACH)
    assert np.ptp(places[..., 0]) == pytest.approx(2, abs=1e-3)
    assert np.ptp(places[..., 1]) == pytest.approx(2 / 3, abs=1e-2)
    expected = places * [1 / 9, 1, 1]
    expected /= np.linalg.norm(expected, axis=2, keepdims=True)
    assert (model.corners[..., :3] * expected).sum(2).min() > 0.999


def test_a_mirrored_copy_is_not_inside_out(load: Load, tmp_path: Path) -> None:
    scene = trimesh.Scene()
    half = trimesh.creation.icosphere(subdivisions=2).apply_translation([1.5, 0, 0])
    scene.add_geometry(half)
    scene.add_geometry(half, transform=np.diag([-1.0, 1.0, 1.0, 1.0]))
    model = load(scene, "pair.glb")
    ends = model.vertices[model.faces].astype(float)
    outward = np.cross(ends[:, 1] - ends[:, 0], ends[:, 2] - ends[:, 0])
    middle = ends.mean(1)
    centres = np.array([1.5, 0, 0]) / 2.5 * FILLED * REACH * np.sign(middle[:, :1])
    assert ((outward * (middle - centres)).sum(1) > 0).all()
    assert (model.corners[..., :3] * (middle - centres)[:, None]).sum(2).min() > 0
    assert verdict(tmp_path / "models", "pair.glb") is None


def test_smooth_normals_stop_at_creases() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=3)
    found = smooth_normals(sphere.vertices, sphere.faces, sphere.face_normals * sphere.area_faces[:, None])
    found /= np.linalg.norm(found, axis=2, keepdims=True)
    assert (found * sphere.vertices[sphere.faces]).sum(2).min() > 0.999
    # the same vertices, each face with its own
    split = sphere.vertices[sphere.faces].reshape(-1, 3)
    apart = smooth_normals(
        split, np.arange(len(split)).reshape(-1, 3), sphere.face_normals * sphere.area_faces[:, None]
    )
    np.testing.assert_allclose(apart / np.linalg.norm(apart, axis=2, keepdims=True), found, atol=1e-9)
    drum = trimesh.creation.cylinder(1.0, 1.0, sections=24)
    rim = smooth_normals(drum.vertices, drum.faces, drum.face_normals * drum.area_faces[:, None])
    rim /= np.linalg.norm(rim, axis=2, keepdims=True)
    caps = np.abs(drum.face_normals[:, 2]) > 0.5
    np.testing.assert_allclose(np.abs(rim[caps][..., 2]), 1, atol=1e-6)
    np.testing.assert_allclose(rim[~caps][..., 2], 0, atol=1e-6)
    radial = drum.vertices[drum.faces[~caps]] * [1, 1, 0]
    assert (rim[~caps] * radial).sum(2).min() > 0.99


def test_the_files_own_normals_are_kept(load: Load) -> None:
    mesh = trimesh.creation.box((1.0, 1.0, 1.0))
    own = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    model = load(trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=own, process=False), "own.ply")
    expected = model.vertices[model.faces] / np.linalg.norm(model.vertices[model.faces], axis=2, keepdims=True)
    np.testing.assert_allclose(model.corners[..., :3], expected, atol=1e-5)


def test_colours_are_linear_in_gltf_and_srgb_elsewhere(load: Load) -> None:
    mesh = trimesh.creation.box((1.0, 1.0, 1.0))
    mesh.visual.vertex_colors = np.tile(np.array([188, 0, 255, 255], np.uint8), (8, 1))
    np.testing.assert_allclose(load(mesh, "c.glb").corners[..., 5:8], np.full((12, 3, 3), [188 / 255, 0, 1]), atol=1e-6)
    code = ((188 / 255 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(load(mesh, "c.ply").corners[..., 5:8], np.full((12, 3, 3), [code, 0, 1]), atol=1e-6)


def test_obj_materials(load: Load, tmp_path: Path, corner_picture: Image.Image) -> None:
    folder = tmp_path / "models" / "sub"
    folder.mkdir(parents=True)
    (tmp_path / "models" / "images").mkdir()
    corner_picture.save(tmp_path / "models" / "images" / "a b.png")
    # as ShapeNet's files: pictures beside the model's folder, Kd 0 where a texture takes its place
    (folder / "m.mtl").write_text("newmtl one\nKd 0 0 0\nmap_Kd ../images/a b.png\nnewmtl two\nKd 0.5 0 0\nd 0.25\n")
    (folder / "m.obj").write_text(
        "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\n"
        "usemtl one\nf 1/1 2/2 3/3\nusemtl two\nf 1 3 4\n"
    )
    model = load_model(folder / "m.obj", tmp_path / "models", "y", 100, REACH)
    textured = model.texture > 0
    assert textured.sum() == 1
    np.testing.assert_allclose(model.corners[textured][..., 5:], 1)
    np.testing.assert_allclose(
        model.corners[~textured][0, 0, 5:], [((0.5 + 0.055) / 1.055) ** 2.4, 0, 0, 0.25], atol=2e-3
    )
    assert model.transparent.tolist() == (~textured).tolist()
    # an absolute path of another disk means the file of that name beside the model
    corner_picture.save(folder / "wood.png")
    (folder / "m.mtl").write_text("newmtl one\nmap_Kd C:\\Users\\me\\wood.png\nnewmtl two\nKd 1 1 1\n")
    assert verdict(tmp_path / "models", "sub/m.obj") is None


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("../../secret.png", "needs '../../secret.png', which is not there, outside the models' folder"),
        ("http://example.com/t.png", "refers to 'http://example.com/t.png', which is no file"),
        ("{outside}/secret.png", "which is not there, outside the models' folder"),
        ("link.png", "needs 'link.png', which is not there, outside the models' folder"),
        ("gone.png", "needs 'gone.png', which is not there"),
        ("broken.png", "has a texture that cannot be decoded (broken.png)"),
    ],
)
def test_references_stay_inside_the_folder(tmp_path: Path, make_quad: MakeQuad, reference: str, reason: str) -> None:
    root = tmp_path / "models"
    (root / "sub").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (root / "sub" / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "sub" / "broken.png").write_bytes(b"\x89PNG\r\n")
    reference = reference.format(outside=tmp_path)
    (root / "sub" / "m.mtl").write_text(f"newmtl one\nmap_Kd {reference}\n")
    (root / "sub" / "m.obj").write_text(
        "mtllib m.mtl\nusemtl one\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n"
    )
    assert reason in str(verdict(root, "sub/m.obj"))
    header, binary = gltf_of(make_quad(Image.new("RGB", (4, 4))))
    header["images"] = [{"uri": reference}]
    write_gltf(root / "sub" / "m.gltf", header, binary)
    assert reason in str(verdict(root, "sub/m.gltf"))


def test_buffers_stay_inside_the_folder_too(tmp_path: Path) -> None:
    header, binary = gltf_of(trimesh.creation.box())
    (tmp_path / "models").mkdir()
    (tmp_path / "data.bin").write_bytes(binary)
    header["buffers"][0]["uri"] = "../data.bin"
    (tmp_path / "models" / "m.gltf").write_text(json.dumps(header))
    assert "outside the models' folder" in str(verdict(tmp_path / "models", "m.gltf"))
    (tmp_path / "models" / "d a.bin").write_bytes(binary)
    header["buffers"][0]["uri"] = "d%20a.bin"
    (tmp_path / "models" / "m.gltf").write_text(json.dumps(header))
    assert verdict(tmp_path / "models", "m.gltf") is None


def _inverted(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)


def test_every_reject_is_named(tmp_path: Path, make_quad: MakeQuad) -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    header, binary = gltf_of(ball)
    write_gltf(tmp_path / "draco.gltf", {**header, "extensionsRequired": ["KHR_draco_mesh_compression"]}, binary)
    header, binary = gltf_of(make_quad(Image.new("RGB", (4, 4))))
    start = header["bufferViews"][header["images"][0]["bufferView"]]["byteOffset"]
    write_gltf(tmp_path / "picture.gltf", header, binary[:start] + b"\0" * 8 + binary[start + 8 :])
    (tmp_path / "broken.glb").write_bytes(ball.export(file_type="glb")[:300])
    (tmp_path / "noise.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex many\n")
    (tmp_path / "noise.stl").write_bytes(bytes(range(256)))
    (tmp_path / "empty.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    (tmp_path / "nothing.stl").write_bytes(b"")
    (tmp_path / "index.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"
    )
    (tmp_path / "nan.obj").write_text("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "point.obj").write_text("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n")
    (tmp_path / "line.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    (tmp_path / "remote.obj").write_text("v 1e9 0 0\nv 1000000001 0 0\nv 1e9 1 0\nf 1 2 3\n")
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "large.stl")
    _inverted(ball).export(tmp_path / "inside.ply")
    expected = {
        "draco.gltf": "needs the glTF extension KHR_draco_mesh_compression",
        "picture.gltf": "has a texture that cannot be decoded (picture 0)",
        "broken.glb": "cannot be read (",
        "noise.ply": "cannot be read (",
        "noise.stl": "has no faces",
        "nothing.stl": "has no faces",
        "empty.obj": "has no faces",
        "index.ply": "cannot be read",
        "nan.obj": "has vertices that are not finite",
        "point.obj": "has no extent",
        "line.obj": "has no extent: all faces are lines or points",
        "remote.obj": "lies too far from its own origin",
        "large.stl": "is gigantic: 5,120 faces, more than max_faces = 1,000",
        "inside.ply": "is inside out",
    }
    for name, reason in expected.items():
        told = verdict(tmp_path, name)
        assert told is not None, name
        assert reason in told, name
        assert "\n" not in told


def test_files_too_big_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.stl").open("wb") as handle:
        handle.truncate(2**27 + 256 * 1000 + 1)
    assert re.search(r"is gigantic: huge.stl has 134,473,729 bytes", str(verdict(tmp_path, "huge.stl")))


def test_two_sided_and_ragged_models_are_welcome(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    mixed = np.where(np.arange(len(ball.faces))[:, None] % 2 == 0, ball.faces[:, ::-1], ball.faces)
    trimesh.Trimesh(ball.vertices, mixed, process=False).export(tmp_path / "ragged.stl")
    inverted = _inverted(ball)
    inverted.visual = TextureVisuals(uv=np.zeros((len(ball.vertices), 2)), material=PBRMaterial(doubleSided=True))
    inverted.export(tmp_path / "both.glb")
    assert verdict(tmp_path, "ragged.stl") is None
    assert verdict(tmp_path, "both.glb") is None


@given(st.floats(-0.05, 0.05).map(lambda power: 10 ** (power * 200)), st.tuples(*[st.floats(-50, 50)] * 3))
@settings(max_examples=25, deadline=None)
def test_size_and_place_of_the_file_do_not_matter(tmp_path_factory: Any, scale: float, shift: Any) -> None:
    folder = tmp_path_factory.mktemp("models")
    mesh = trimesh.creation.cone(0.5, 1.0, sections=12)
    mesh.export(folder / "plain.ply")
    mesh.apply_translation(shift)
    mesh.apply_scale(scale)
    mesh.export(folder / "moved.glb")
    one, other = (load_model(folder / name, folder, "y", 100, REACH) for name in ("plain.ply", "moved.glb"))
    np.testing.assert_allclose(corner_set(one), corner_set(other), atol=1e-4)
    assert np.linalg.norm(other.vertices, axis=1).max() == pytest.approx(FILLED * REACH, rel=1e-5)


@given(st.binary(max_size=400), st.sampled_from(["a.glb", "a.gltf", "a.obj", "a.ply", "a.stl"]), st.booleans())
@settings(max_examples=120, deadline=None)
def test_noise_is_rejected_not_raised(tmp_path_factory: Any, noise: bytes, name: str, start: bool) -> None:
    folder = tmp_path_factory.mktemp("noise")
    head = {"a.glb": b"glTF\2\0\0\0", "a.gltf": b'{"meshes":', "a.obj": b"v 1 2 3\nf ", "a.ply": b"ply\n"}.get(
        name, b""
    )
    (folder / name).write_bytes((head if start else b"") + noise)
    told = verdict(folder, name)
    assert told or load_model(folder / name, folder, "y", 1000, REACH).faces.size
