import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from pigan.data.meshes.load import load_model
from pigan.data.meshes.model import Model

MakeQuad = Callable[..., trimesh.Trimesh]
Load = Callable[..., Model]


@pytest.fixture
def corner_picture() -> Image.Image:
    """Red and green above blue and white, as one sees it."""
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    return Image.fromarray(corners.repeat(8, 0).repeat(8, 1))


@pytest.fixture
def make_quad() -> MakeQuad:
    """A square from -1 to 1 at z = 0 that faces +z; u to the right, v up."""

    def make(texture: Image.Image | None = None, **material: Any) -> trimesh.Trimesh:
        vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
        mesh = trimesh.Trimesh(vertices, [[0, 1, 2], [0, 2, 3]], process=False)
        uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
        mesh.visual = TextureVisuals(uv=uv, material=PBRMaterial(baseColorTexture=texture, **material))
        return mesh

    return make


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes a mesh or scene into the folder `models` and loads it."""

    def write_and_load(mesh: Any, name: str = "model.glb", *, up: str = "y", max_faces: int = 10**6) -> Model:
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mesh.export(path)
        return load_model(path, tmp_path / "models", up, max_faces, math.sin(math.radians(15)))

    return write_and_load
