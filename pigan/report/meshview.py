"""The mesh of a generated object in the page: trimesh's viewer, three.js and all, packed until a reader asks for it."""

import base64
import gzip
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from trimesh.viewer.notebook import scene_to_html

from pigan.data.meshes.texture import linear_to_srgb
from pigan.rendering.cameras import look_at_origin
from pigan.report.collect import Collected
from pigan.report.records import Record, Unusable, read_record
from pigan.sections import Camera
from pigan.synthesis.mesh_pictures import FACTS, MESH, sides
from pigan.synthesis.views import usual_pitch

ADDED = files("pigan.report") / "templates" / "meshview.js"


class MeshTold(Record):
    """mesh.json: what there is of a mesh, or the reason why there is none."""

    reason: str | None = None
    vertices: int = 0
    faces: int = 0
    watertight: bool = False
    cut: bool = False
    surface: str = "density"
    level: float = math.nan
    resolution: int = 0


def mesh_view(collected: Collected) -> dict[str, Any] | None:
    """The main arm's mesh: what is told of it, and the viewer (gzip, base64); or the reason why there is none.

    Raises:
        Unusable: the mesh is damaged.
    """
    told = collected.main.picture(FACTS)
    if not told:
        return None
    facts, mesh = read_record(MeshTold, told, "pigan generate"), collected.main.picture(MESH)
    if facts.reason is not None or not mesh:
        return {"reason": facts.reason or f"{MESH} is missing"}
    return {"reason": None, "facts": facts, "packed": packed(viewer(mesh, collected.params.camera))}


def viewer(path: Path, camera: Camera) -> str:
    """A whole HTML document that shows a mesh and asks for nothing: trimesh's, and what the page adds to it.

    It begins where images show the object from.

    Raises:
        Unusable: the file holds no mesh.
    """
    scene = trimesh.Scene(_matt(path))
    scene.camera = trimesh.scene.Camera(name="camera", fov=[camera.fov_degrees] * 2)
    pose = look_at_origin(torch.tensor(sides(camera)[:1]), torch.tensor([usual_pitch(camera)]), camera.radius)
    scene.camera_transform = pose[0].double().numpy()
    document = scene_to_html(scene)
    end = document.rindex("</body>")
    return f"{document[:end]}<script>{ADDED.read_text(encoding='utf-8')}</script>{document[end:]}"


def packed(document: str) -> str:
    """The text compressed (gzip), in base64: what a browser's DecompressionStream takes apart again."""
    return base64.b64encode(gzip.compress(document.encode(), mtime=0)).decode("ascii")


def _matt(path: Path) -> trimesh.Trimesh:
    """The mesh as the viewer wants it: colours as they are to be seen, on a surface without gloss."""
    try:
        mesh: Any = next(iter(trimesh.load_scene(path, process=False).geometry.values()))
        vertices, faces, normals = np.array(mesh.vertices), np.array(mesh.faces), np.array(mesh.vertex_normals)
    except (ValueError, KeyError, IndexError, AttributeError, StopIteration) as error:
        raise Unusable(path, f"holds no mesh ({error})", "run pigan generate again") from None
    matt = trimesh.visual.material.PBRMaterial(metallicFactor=0.0, roughnessFactor=1.0)
    visual = trimesh.visual.TextureVisuals(material=matt)
    colours = mesh.visual.vertex_attributes.get("color") if hasattr(mesh.visual, "vertex_attributes") else None
    if colours is not None:
        shades = (linear_to_srgb(np.asarray(colours)[:, :3]) * 255).round().clip(0, 255).astype(np.uint8)
        visual.vertex_attributes["color"] = np.column_stack((shades, np.full(len(shades), 255, np.uint8)))
    return trimesh.Trimesh(vertices, faces, vertex_normals=normals, visual=visual, process=False)
