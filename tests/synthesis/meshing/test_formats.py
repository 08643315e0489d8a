import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh

from pigan.data.meshes.texture import srgb_to_linear
from pigan.errors import PiganError
from pigan.synthesis.meshing.formats import SUFFIXES, as_trimesh, check_suffix, encoded, save_mesh
from pigan.synthesis.meshing.measure import vertex_normals
from pigan.synthesis.meshing.surface import Surface

# unlike along each axis, and its first corner is the highest
CORNERS = np.array([[0.0, 0.3, 0.0], [-0.2, -0.1, -0.15], [0.2, -0.1, -0.1], [0.05, -0.1, 0.25]])
FACES = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 3], [1, 2, 3]], np.int32)
COLOURS = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.1, 0.2, 0.9], [1.0, 1.0, 1.0]], np.float32)
TETRAHEDRON = Surface(CORNERS, FACES)


@pytest.fixture
def mesh() -> trimesh.Trimesh:
    return as_trimesh(TETRAHEDRON, vertex_normals(TETRAHEDRON), COLOURS)


def read(content: bytes, suffix: str) -> trimesh.Trimesh:
    """The mesh alone: made one with others, a scene's would lose its colours."""
    loaded = trimesh.load(io.BytesIO(content), file_type=suffix[1:], process=False)
    return loaded if isinstance(loaded, trimesh.Trimesh) else next(iter(loaded.geometry.values()))


def in_order(mesh: trimesh.Trimesh) -> np.ndarray:
    """For each corner, where the mesh has it."""
    return np.array([np.linalg.norm(mesh.vertices - corner, axis=1).argmin() for corner in CORNERS])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_read_back_is_as_large_upright_and_wound_outwards(mesh: trimesh.Trimesh, suffix: str) -> None:
    back = read(encoded(mesh, suffix), suffix)
    np.testing.assert_allclose(back.bounds, [CORNERS.min(0), CORNERS.max(0)], atol=1e-6)
    assert back.volume == pytest.approx(mesh.volume, rel=1e-5) and mesh.volume > 0
    assert back.vertices[back.vertices[:, 1].argmax()] == pytest.approx(CORNERS[0], abs=1e-6)
    back.merge_vertices()
    assert back.is_watertight and len(back.faces) == 4


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_colours_and_normals_are_kept(mesh: trimesh.Trimesh, suffix: str) -> None:
    back = read(encoded(mesh, suffix), suffix)
    where = in_order(back)
    np.testing.assert_allclose(back.vertex_normals[where], mesh.vertex_normals, atol=1e-5)
    assert "vertex_normals" in back._cache.cache
    bytes_ = np.round(COLOURS * 255)
    if suffix == ".glb":
        # linear light, as glTF has it
        linear = np.asarray(back.visual.vertex_attributes["color"])[where]
        np.testing.assert_allclose(linear[:, :3], srgb_to_linear(bytes_ / 255), atol=1e-6)
    else:
        np.testing.assert_allclose(back.visual.vertex_colors[where, :3], bytes_, atol=1)


def test_glb_is_matt_and_needs_nothing_else(mesh: trimesh.Trimesh) -> None:
    content = encoded(mesh, ".glb")
    magic, version, length, size = struct.unpack("<4sIII", content[:16])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    tree = json.loads(content[20 : 20 + size])
    primitive = tree["meshes"][0]["primitives"][0]
    material = tree["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert (material["metallicFactor"], material["roughnessFactor"]) == (0, 1)
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "COLOR_0"}
    colour = tree["accessors"][primitive["attributes"]["COLOR_0"]]
    assert (colour["type"], colour["componentType"], colour["count"]) == ("VEC3", 5126, 4)
    assert all("uri" not in buffer for buffer in tree["buffers"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bytes_are_the_same_every_time(mesh: trimesh.Trimesh, tmp_path: Path, suffix: str) -> None:
    again = as_trimesh(Surface(CORNERS.copy(), FACES.copy()), vertex_normals(TETRAHEDRON), COLOURS.copy())
    assert encoded(mesh, suffix) == encoded(again, suffix) == encoded(mesh, suffix.upper())
    save_mesh(mesh, tmp_path / "deep" / f"mesh{suffix}")
    assert (tmp_path / "deep" / f"mesh{suffix}").read_bytes() == encoded(mesh, suffix)
    assert len(list((tmp_path / "deep").iterdir())) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_colours_there_are_none(suffix: str) -> None:
    content = encoded(as_trimesh(TETRAHEDRON, vertex_normals(TETRAHEDRON)), suffix)
    assert read(content, suffix).visual.kind != "vertex" and b"COLOR_0" not in content


def test_other_formats_are_refused_in_one_line(mesh: trimesh.Trimesh, tmp_path: Path) -> None:
    for name in ("car.fbx", "car", "car.glb.txt"):
        with pytest.raises(PiganError, match=r"name a file that ends in \.glb, \.ply, \.obj, \.stl$"):
            save_mesh(mesh, tmp_path / name)
    assert not list(tmp_path.iterdir())
    check_suffix(Path("CAR.PLY"))
