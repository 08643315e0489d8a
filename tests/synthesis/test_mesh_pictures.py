import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from pigan import config
from pigan.models.generator import Generator
from pigan.synthesis.mesh_pictures import TILE, sides, write_mesh
from pigan.synthesis.pictures import GAP


def test_the_mesh_is_written_described_and_shown(
    generator: Generator, tiny_params: config.Params, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert write_mesh(generator, tiny_params, tmp_path / name) is None
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert set(files) == {"mesh.glb", "mesh.json", "mesh.png"}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    told = json.loads(files["mesh.json"])
    mesh = next(iter(trimesh.load(tmp_path / "one/mesh.glb", process=False).geometry.values()))
    assert (told["vertices"], told["faces"]) == (len(mesh.vertices), len(mesh.faces))
    assert told["faces"] <= tiny_params.generate.mesh.faces and told["resolution"] == 16
    np.testing.assert_allclose(mesh.bounds, told["bounds"], atol=1e-6)
    with Image.open(tmp_path / "one/mesh.png") as picture:
        assert picture.size == (3 * TILE + 2 * GAP, 2 * TILE + GAP)
        pixels = np.asarray(picture)
    tiles = [pixels[top : top + TILE, left : left + TILE] for top in (0, TILE + GAP) for left in (0, TILE + GAP)]
    assert all((tile < 255).any() for tile in tiles) and (tiles[1] != tiles[3]).any()


def test_a_model_without_a_surface_says_so(tiny_params: config.Params, tmp_path: Path) -> None:
    torch.manual_seed(0)
    reason = write_mesh(Generator(tiny_params.model).eval(), tiny_params, tmp_path)
    assert reason is not None and reason.startswith("no surface at level")
    assert {path.name for path in tmp_path.iterdir()} == {"mesh.json", "mesh.png"}
    assert json.loads((tmp_path / "mesh.json").read_text()) == {"reason": reason}
    with Image.open(tmp_path / "mesh.png") as picture:
        assert np.asarray(picture).min() < 100


def test_both_sides_are_seen(tiny_params: config.Params) -> None:
    one, other = sides(tiny_params.camera)
    assert abs(abs(one - other) - math.pi) < 1e-6
    narrow = tiny_params.camera.model_copy(update={"pose_law": "gaussian", "yaw_mean": 1.5, "yaw_spread": 0.3})
    one, other = sides(narrow)
    assert 1.2 <= one < 1.5 < other <= 1.8
    fixed = tiny_params.camera.model_copy(update={"pose_law": "fixed", "yaw_spread": 0.3})
    assert sides(fixed) == [pytest.approx(fixed.yaw_mean)] * 2


def test_without_the_package_embreex_there_is_a_mesh_and_a_word_on_its_picture(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embreex.mesh_construction", None)
    assert write_mesh(generator, tiny_params, tmp_path) is None
    assert (tmp_path / "mesh.glb").is_file()
    with Image.open(tmp_path / "mesh.png") as picture:
        assert picture.height < 2 * TILE
