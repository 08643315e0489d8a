"""From a GLB, glTF, OBJ, PLY or STL file to one model in plain arrays; what cannot be rendered is told by name."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from numpy.typing import NDArray
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from pigan.data.meshes.guard import BYTES_A_FACE, BYTES_BESIDES, InsideFolder, check_gltf, check_size
from pigan.data.meshes.model import Model, Part, RejectedError, assemble
from pigan.data.meshes.texture import srgb_to_linear

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
GLTF = ("glb", "gltf")
GREY = (0.5, 0.5, 0.5, 1.0)


def load_model(path: Path, root: Path, up: str, max_faces: int, reach: float) -> Model:
    """The model in `path`, upright and in the sphere of radius `reach` around the origin.

    Files that it refers to are read if they lie below `root`; nothing is fetched from anywhere else.

    Raises:
        RejectedError: broken, empty, gigantic or degenerate, or a file it refers to is missing or outside.
    """
    try:
        return assemble(read_parts(path, root, max_faces), up, reach)
    except RejectedError:
        raise
    except Exception as error:
        # a parser can fail in any way on a broken file, and one bad model must not stop thousands
        told = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise RejectedError(f"cannot be read ({told})") from error


def read_parts(path: Path, root: Path, max_faces: int) -> list[Part]:
    """The model's meshes with the transforms of its scene applied, in the file's own world.

    Raises:
        RejectedError: gigantic, or a file it refers to is missing or outside of `root`.
    """
    largest = BYTES_BESIDES + BYTES_A_FACE * max_faces
    check_size(path, largest)
    content = path.read_bytes()
    kind = path.suffix.lower().removeprefix(".")
    files = InsideFolder(path, root, largest)
    logging.getLogger("trimesh").setLevel(logging.ERROR)
    try:
        if kind in GLTF:
            check_gltf(content, files)
        scene = trimesh.load_scene(io.BytesIO(content), file_type=kind, resolver=files, process=False)
    except Exception:
        if not files.fault:
            raise
    if files.fault:
        # what trimesh raises without the file tells less, if it does not go on without
        raise RejectedError(files.fault)
    nodes = [scene.graph[node] for node in sorted(scene.graph.nodes_geometry)]
    placed = [(matrix, scene.geometry[name]) for matrix, name in nodes]
    meshes = [(matrix, mesh) for matrix, mesh in placed if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)]
    count = sum(len(mesh.faces) for _, mesh in meshes)
    if count > max_faces:
        raise RejectedError(f"is gigantic: {count:,} faces, more than max_faces = {max_faces:,}")
    return [_part(mesh, np.asarray(matrix, np.float64), kind) for matrix, mesh in meshes]


def _part(mesh: trimesh.Trimesh, matrix: NDArray[np.float64], kind: str) -> Part:
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise RejectedError("cannot be read: faces name vertices that are not there")
    turn = matrix[:3, :3]
    if np.linalg.det(turn) < 0:
        # a mirrored copy would show its inside (glTF 2.0, 3.7.4)
        faces = faces[:, ::-1]
    normals = None
    # trimesh makes normals up when asked for them; these are the file's own
    if "vertex_normals" in mesh._cache and len(mesh.vertex_normals) == len(vertices):
        normals = np.asarray(mesh.vertex_normals, np.float64) @ np.linalg.pinv(turn)
    visual: Any = mesh.visual
    textured = isinstance(visual, TextureVisuals)
    material: Any = visual.material if textured else None
    uv = np.asarray(visual.uv, np.float64) if textured and visual.uv is not None else None
    image = _image(material) if uv is not None and len(uv) == len(vertices) else None
    if image is None:
        uv = None
    return Part(
        vertices=vertices @ turn.T + matrix[:3, 3],
        faces=np.ascontiguousarray(faces),
        normals=normals,
        uv=uv,
        colours=_colours(mesh, faces, material, kind, textured=image is not None),
        image=image,
        alpha=_alpha_rule(material, kind),
        single_sided=not getattr(material, "doubleSided", False),
    )


def _image(material: Any) -> Any:
    return material.baseColorTexture if isinstance(material, PBRMaterial) else getattr(material, "image", None)


def _alpha_rule(material: Any, kind: str) -> float | None:
    """How alpha counts, as `Part.alpha` tells: glTF says it; in the other formats it blends."""
    if kind not in GLTF:
        return 0.0
    mode = str(getattr(material, "alphaMode", None) or "OPAQUE")
    if mode == "MASK":
        cutoff = getattr(material, "alphaCutoff", None)
        return 0.5 if cutoff is None else max(float(cutoff), 1e-6)
    return 0.0 if mode == "BLEND" else None


def _colours(
    mesh: trimesh.Trimesh, faces: NDArray[np.int64], material: Any, kind: str, textured: bool
) -> Float[np.ndarray, "f 3 4"]:
    """Linear colours of the corners.

    glTF's factors and vertex colours are linear, and multiply the texture. In the other formats colours are sRGB, and
    a texture replaces the material's colour (exporters write black or grey beside a texture, and mean the texture).
    """
    gltf = kind in GLTF
    visual: Any = mesh.visual
    colours = np.ones((*faces.shape, 4), np.float32)
    if material is not None:
        plain = None if textured else getattr(material, "diffuse", None)
        base = material.baseColorFactor if isinstance(material, PBRMaterial) else plain
        if base is not None:
            colours *= _linear(base, gltf)
        if not gltf:
            colours[..., 3] *= _opacity(material)
        vertex = visual.vertex_attributes.get("color")
        if vertex is not None and len(vertex) == len(mesh.vertices):
            colours *= _linear(vertex, gltf)[faces]
    elif visual.kind == "face":
        colours *= _linear(visual.face_colors, gltf)[:, None]
    elif visual.kind == "vertex":
        colours *= _linear(visual.vertex_colors, gltf)[faces]
    else:
        colours *= _linear(GREY, linear=False) if not gltf else 1
    rule = _alpha_rule(material, kind)
    if rule is None:
        colours[..., 3] = 1
    elif rule:
        colours[..., 3] = colours[..., 3] >= rule if not textured else 1
    return colours


def _linear(colours: Any, linear: bool) -> NDArray[np.float32]:
    """Linear RGBA of RGB(A) in bytes or 0..1."""
    values = np.asarray(colours)
    scaled = values.astype(np.float32) / (np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1)
    if scaled.shape[-1] == 3:
        scaled = np.concatenate([scaled, np.ones((*scaled.shape[:-1], 1), np.float32)], -1)
    if not linear:
        scaled[..., :3] = srgb_to_linear(scaled[..., :3])
    return scaled.clip(0, 1)


def _opacity(material: Any) -> float:
    """The `d` (or 1 - `Tr`) of an OBJ's material."""
    extra = getattr(material, "kwargs", {})
    for key, sign in (("d", 1.0), ("tr", -1.0)):
        value = extra.get(key)
        if value:
            try:
                stated = float(value[-1] if isinstance(value, list) else value)
            except ValueError:
                continue
            return min(max(stated if sign > 0 else 1 - stated, 0.0), 1.0)
    return 1.0
