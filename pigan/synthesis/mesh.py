"""Meshes of generated objects: where they are opaque, or of one density; coloured by the radiance there."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from pigan.config import Params
from pigan.errors import PiganError
from pigan.kernels.choose import field_of, rendering_numerics
from pigan.models.generator import Generator
from pigan.rendering.cameras import position_on_sphere
from pigan.rendering.render import Field
from pigan.sections import Activation, Camera
from pigan.synthesis.choices import Colours, SurfaceKind
from pigan.synthesis.meshing.colours import vertex_colours
from pigan.synthesis.meshing.formats import as_trimesh
from pigan.synthesis.meshing.grid import VALUES_A_SLAB, Slab, box_side, density_slabs
from pigan.synthesis.meshing.level import half_alpha_level, outline_level, outline_of
from pigan.synthesis.meshing.measure import area_and_volume, is_closed, vertex_normals
from pigan.synthesis.meshing.occlusion import LEVEL, occlusion, optical_density
from pigan.synthesis.meshing.repair import decimated, largest_piece
from pigan.synthesis.meshing.surface import Surface, isosurface
from pigan.synthesis.views import usual_pitch, yaw_sweep

# of the mean over several views
COLOUR_VIEWS = 6
# points a side of a grid that is held in memory as a whole, several times over: 0.5 GB each
MOST_AT_ONCE = 512


class NoSurface(PiganError):
    """Nothing in the cube is above the level, or everything is."""


class Look(NamedTuple):
    """What colours depend on besides the field: where cameras stand, how far apart images sample, the activation."""

    camera: Camera
    spacing: float
    """World units."""
    activation: Activation


class MeshSettings(NamedTuple):
    """What a mesh is made of, and what is done to it; lengths are world units, angles radians."""

    resolution: int
    """Points a side of the grid."""
    surface: SurfaceKind | None = None
    """Where the light that gets out of the object, on its best way, falls below a share (`occlusion`); or where the raw
    density (before the activation) has one value. None: the former, unless the background is painted (`Outline`) or
    nothing is that opaque."""
    level: float | None = None
    """The share of light that is lost (0..1), None: LEVEL; or the raw density, None: `outline_level`."""
    side: float | None = None
    """Of the cube around the origin; None: `box_side`."""
    faces: int | None = None
    """At most so many; None: as marching cubes makes them."""
    largest: bool = True
    """Only the largest connected piece."""
    closed: bool = True
    """With walls where the cube cuts the object."""
    colours: Colours = "average"
    """Over views all round that the pose law shows; or from `yaw` and `pitch`, its middle where they are None."""
    yaw: float | None = None
    pitch: float | None = None


class MeshFacts(NamedTuple):
    """What is told of a mesh."""

    vertices: int
    faces: int
    watertight: bool
    cut: bool
    """Whether the object goes on outside the cube."""
    pieces: int
    """Connected ones at this level; all but the largest may have been left out."""
    surface: SurfaceKind
    level: float
    lowest: float
    """Of the grid, what the level is one of (lost light, or raw density); and the greatest one."""
    highest: float
    side: float
    resolution: int
    bounds: list[list[float]]
    """Lowest and highest corner, world units."""
    area: float
    volume: float
    """Enclosed; of a mesh with holes it means nothing."""


@torch.no_grad()
def mesh_of(
    generator: Generator,
    code: Float[Tensor, "1 code"],
    params: Params,
    settings: MeshSettings,
    label: str | None = None,
    values_a_slab: int = VALUES_A_SLAB,
) -> tuple[trimesh.Trimesh, MeshFacts]:
    """The mesh of the object that `code` describes, y up, in world units; `label` shows progress under that name.

    Raises:
        NoSurface: nothing in the grid, or all of it, is above the level.
        PiganError: too many faces, or points to hold in memory.
    """
    model = params.model
    numerics = rendering_numerics(params, code.device, few=True)
    field, camera = field_of(generator, code, numerics), params.camera
    samples = params.rendered_samples
    side = box_side(camera) if settings.side is None else settings.side
    look = Look(camera, (camera.far - camera.near) / samples, model.activation)

    def at(kind: SurfaceKind, level: float) -> tuple[trimesh.Trimesh, MeshFacts]:
        asked = settings._replace(surface=kind, level=level, side=side)
        return mesh_of_field(field, look, asked, code.device, label, values_a_slab)

    given = settings.level
    if settings.surface == "opaque" or (settings.surface is None and given is not None):
        return at("opaque", LEVEL if given is None else given)
    if given is not None:
        return at("density", given)
    outline = outline_of(field, model, camera, samples, code.device)
    if settings.surface is None and not outline.painted:
        # fog so thin that nothing in it is opaque still has an outline
        with contextlib.suppress(NoSurface):
            return at("opaque", LEVEL)
    return at("density", outline_level(outline, half_alpha_level(model, camera)))


def mesh_of_field(
    field: Field,
    look: Look,
    settings: MeshSettings,
    device: torch.device,
    label: str | None = None,
    values_a_slab: int = VALUES_A_SLAB,
) -> tuple[trimesh.Trimesh, MeshFacts]:
    """The same of any field; `surface`, `level` and `side` of the settings must be there."""
    kind, level, side = settings.surface, settings.level, settings.side
    if kind is None or level is None or side is None:
        raise ValueError("a field alone does not say its surface, its level and its side")
    slabs = density_slabs(field, side, settings.resolution, device, values_a_slab, label)
    if kind == "opaque":
        slabs = _occluded(slabs, look, settings.resolution, side, device, label)
    surface, lowest, highest, cut = isosurface(slabs, level, settings.resolution, side, settings.closed)
    if not len(surface.faces):
        what = "densities" if kind == "density" else "shares of light that is lost"
        raise NoSurface(
            f"no surface at level {level:.4g}: {what} in the cube of side {side:.3g} are "
            f"{lowest:.4g} to {highest:.4g}; choose a level between them"
        )
    largest, count = largest_piece(surface)
    surface = largest if settings.largest else surface
    if settings.faces is not None:
        surface = decimated(surface, settings.faces)
    mesh = _painted(field, surface, look, settings, device)
    area, volume = area_and_volume(surface)
    facts = MeshFacts(
        vertices=len(surface.vertices),
        faces=len(surface.faces),
        watertight=is_closed(surface),
        cut=cut,
        pieces=count,
        surface=kind,
        level=level,
        lowest=lowest,
        highest=highest,
        side=side,
        resolution=settings.resolution,
        bounds=[surface.vertices.min(0).tolist(), surface.vertices.max(0).tolist()],
        area=area,
        volume=volume,
    )
    return mesh, facts


def _occluded(
    slabs: Iterator[Slab], look: Look, resolution: int, side: float, device: torch.device, label: str | None
) -> Iterator[Slab]:
    """Slabs of light that is lost, of slabs of density: all are needed for the first."""
    if resolution > MOST_AT_ONCE:
        raise PiganError(
            f"a grid of {resolution} points a side is too large for an opaque surface (at most {MOST_AT_ONCE}); "
            "ask for the surface of one density, or for fewer points"
        )
    thick, layer = torch.empty((resolution,) * 3, device=device), 0
    for slab in slabs:
        density = torch.from_numpy(slab).to(device)
        thick[layer : layer + len(slab)] = optical_density(density, look.spacing, look.activation)
        layer += len(slab)
    lost = occlusion(thick, side, look.camera, label)
    yield from (part.cpu().numpy() for part in lost.split(1))


def _painted(
    field: Field, surface: Surface, look: Look, settings: MeshSettings, device: torch.device
) -> trimesh.Trimesh:
    normals, camera = vertex_normals(surface), look.camera
    if settings.colours == "none":
        return as_trimesh(surface, normals)
    yaws = yaw_sweep(camera, COLOUR_VIEWS)
    if settings.colours == "view":
        yaws = [camera.yaw_mean if settings.yaw is None else settings.yaw]
    pitch = usual_pitch(camera) if settings.pitch is None else settings.pitch
    yaw = torch.tensor(yaws, device=device)
    cameras = position_on_sphere(yaw, torch.full_like(yaw, pitch), camera.radius)
    shades = vertex_colours(field, surface.vertices, normals, cameras, look.spacing, look.activation)
    return as_trimesh(surface, normals, shades)
