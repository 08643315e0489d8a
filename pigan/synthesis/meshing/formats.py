"""Meshes as files that other programs open: PLY, OBJ, GLB (binary glTF) and STL, written by trimesh.

All hold world units, y up (in STL, which does not say which way is up, too). PLY and OBJ hold sRGB colours, as most
programs read them; glTF's colours are linear light by its definition; STL has none.
"""

from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float32, UInt8
from trimesh.visual import ColorVisuals

from pigan.data.meshes.texture import srgb_to_linear
from pigan.errors import UsageError
from pigan.files import atomic_file
from pigan.synthesis.meshing.surface import Surface

SUFFIXES = (".glb", ".ply", ".obj", ".stl")
# glTF's own default is bare metal
MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}
# trimesh writes attributes of one's own with a line before the name
LINEAR = "_COLOR_0"


def check_suffix(path: Path) -> None:
    """Tells at once that a format is not known.

    Raises:
        PiganError: the name ends in something else.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: name a file that ends in {', '.join(SUFFIXES)}")


def as_trimesh(
    surface: Surface,
    normals: Float32[np.ndarray, "vertex 3"],
    colours: Float32[np.ndarray, "vertex 3"] | None = None,
) -> trimesh.Trimesh:
    """The surface as trimesh knows it, nothing merged or reordered; `colours` (0..1, sRGB) of its vertices."""
    shade = None if colours is None else (colours.clip(0, 1) * 255).round().astype(np.uint8)
    vertices, faces = surface
    return trimesh.Trimesh(vertices, faces, vertex_normals=normals, vertex_colors=shade, process=False)


def colours_of(mesh: trimesh.Trimesh) -> UInt8[np.ndarray, "vertex 3"] | None:
    """sRGB colours of its vertices, if it has any."""
    if not isinstance(mesh.visual, ColorVisuals) or mesh.visual.kind != "vertex":
        return None
    return np.asarray(mesh.visual.vertex_colors[:, :3])


def encoded(mesh: trimesh.Trimesh, suffix: str) -> bytes:
    """The file's content; the same mesh always gives the same bytes."""
    kind = suffix.lower().removeprefix(".")
    if kind == "glb":
        return _glb(mesh)
    options: dict[str, Any] = {}
    if kind in ("ply", "obj"):
        options = {"vertex_normal": True} if kind == "ply" else {"include_normals": True}
    content = mesh.export(file_type=kind, **options)
    return content.encode() if isinstance(content, str) else bytes(content)


def save_mesh(mesh: trimesh.Trimesh, path: Path) -> None:
    """Writes the format that the name ends in, atomically.

    Raises:
        PiganError: an unknown format, no permission, or the disk is full.
    """
    check_suffix(path)
    content = encoded(mesh, path.suffix)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _glb(mesh: trimesh.Trimesh) -> bytes:
    bare = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=mesh.vertex_normals, process=False)
    colours = colours_of(mesh)
    if colours is not None:
        bare.vertex_attributes[LINEAR] = srgb_to_linear(colours / 255)

    def finish(tree: dict[str, Any]) -> None:
        tree["materials"] = [MATERIAL]
        for primitive in (primitive for each in tree["meshes"] for primitive in each["primitives"]):
            primitive["material"] = 0
            if LINEAR in primitive["attributes"]:
                primitive["attributes"][LINEAR.removeprefix("_")] = primitive["attributes"].pop(LINEAR)

    return bytes(trimesh.Scene(bare).export(file_type="glb", include_normals=True, tree_postprocessor=finish))
