"""The mesh of one generated object for the report: the file, what is told of it, and a picture from two sides."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pigan.config import Params
from pigan.files import write_json
from pigan.models.generator import Generator
from pigan.rendering.cameras import look_at_origin
from pigan.sections import Camera
from pigan.synthesis.mesh import MeshSettings, NoSurface, mesh_of
from pigan.synthesis.meshing.formats import save_mesh
from pigan.synthesis.meshing.picture import mesh_images
from pigan.synthesis.pictures import DEPTH_LATENTS, PAPER, STRIP_VIEWS, grid, save_image
from pigan.synthesis.views import draw_codes, render_views, usual_pitch, yaw_sweep

TILE = 256
MESH, FACTS, PICTURE = "mesh.glb", "mesh.json", "mesh.png"


def write_mesh(generator: Generator, params: Params, out: Path) -> str | None:
    """mesh.glb, mesh.json and mesh.png in `out`, of the pose explorer's object; the reason if it has no surface.

    mesh.json is what `MeshFacts` holds, or {"reason": …}; then the picture says so, too, and there is no mesh.glb.
    """
    settings = params.generate
    code = draw_codes(generator, DEPTH_LATENTS, settings.sheet_truncation, params, "strip")[:1]
    asked = MeshSettings(settings.mesh.resolution, faces=settings.mesh.faces)
    try:
        mesh, facts = mesh_of(generator, code, params, asked)
    except NoSurface as error:
        write_json(out / FACTS, {"reason": str(error)})
        save_image(out / PICTURE, _notice("This object has no surface: no mesh."))
        return str(error)
    save_mesh(mesh, out / MESH)
    write_json(out / FACTS, facts._asdict())
    try:
        picture = two_sides(generator, code, mesh, params)
    except ImportError:
        picture = _notice("No picture of the mesh: the package embreex is not installed.")
    save_image(out / PICTURE, picture)
    return None


def sides(camera: Camera) -> list[float]:
    """Two yaws (radians) that show an object from different sides: opposite ones, if the pose law goes all round."""
    yaws = yaw_sweep(camera, STRIP_VIEWS)
    return [yaws[1], yaws[1 + STRIP_VIEWS // 2]]


@torch.no_grad()
def two_sides(
    generator: Generator, code: Float[Tensor, "1 code"], mesh: trimesh.Trimesh, params: Params
) -> UInt8[np.ndarray, "height width 3"]:
    """Two rows, a side each: the generated image, the mesh from the same camera, and its shape without colours."""
    camera = params.camera
    yaw = torch.tensor(sides(camera), device=code.device)
    pitch = torch.full_like(yaw, usual_pitch(camera))
    side = params.generate.picture_pixels
    generated = render_views(generator, code.expand(2, -1), yaw, pitch, side, params, few=True).images
    poses = look_at_origin(yaw, pitch, camera.radius).cpu()
    tiles = []
    for image, pose in zip(generated, poses, strict=True):
        tiles.append(np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC)))
        tiles += mesh_images(mesh, pose[None], camera, TILE)
    return grid(np.stack(tiles), 3)


def _notice(words: str) -> UInt8[np.ndarray, "height width 3"]:
    """Words on white, in the place of a picture."""
    image = Image.new("RGB", (3 * TILE, TILE // 2), (PAPER,) * 3)
    pen: Any = ImageDraw.Draw(image)
    pen.text((TILE // 8, TILE // 4), words, fill=0, font=ImageFont.load_default(TILE // 12), anchor="lm")
    return np.asarray(image)
