"""The command that makes meshes of generated objects."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pigan.cli.objects import CodeFiles, objects_of, open_model
from pigan.cli.options import ModelName, OnDevice, Seeds, Truncation, app, finite, new_file, parse_seeds, wrote
from pigan.errors import UsageError
from pigan.synthesis.choices import Colours, SurfaceKind

if TYPE_CHECKING:
    from pigan.synthesis.mesh import MeshFacts


@app.command()
def mesh(
    model: ModelName,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            callback=new_file,
            help="The file to write: car.glb, .ply, .obj or .stl; of several seeds car_3.glb, car_4.glb, ...",
        ),
    ],
    seeds: Seeds = "0",
    inverted: CodeFiles = None,
    truncation: Truncation = None,
    resolution: Annotated[
        int,
        typer.Option(
            "--resolution", min=8, max=1024, help="Points a side of the grid; above 512 only with --surface density."
        ),
    ] = 256,
    surface: Annotated[
        SurfaceKind | None,
        typer.Option(
            "--surface",
            help="opaque: where light stops, as images show it; density: where the density has one value. By default "
            "opaque, if there is such a surface and the background is not painted as one.",
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            "--level",
            help="With opaque, the share of light that is lost (0 to 1; auto: 0.4); with density, its value (auto: the "
            "one whose outline is that of the images).",
        ),
    ] = "auto",
    side: Annotated[
        float | None,
        typer.Option(
            "--side",
            callback=finite,
            help="Side of the cube around the origin, world units; by default what cameras see.",
        ),
    ] = None,
    faces: Annotated[int | None, typer.Option("--faces", min=4, help="Decimate to at most so many faces.")] = None,
    all_pieces: Annotated[bool, typer.Option("--all-pieces", help="Keep more than the largest piece.")] = False,
    with_holes: Annotated[
        bool, typer.Option("--open", help="Leave holes where the cube cuts the object, instead of walls.")
    ] = False,
    colours: Annotated[
        Colours, typer.Option("--colours", help="Mean over views all round, one view, or no colours.")
    ] = "average",
    yaw: Annotated[
        float | None,
        typer.Option("--yaw", callback=finite, help="Camera of --colours view, degrees; camera.yaw_mean by default."),
    ] = None,
    pitch: Annotated[
        float | None,
        typer.Option(
            "--pitch",
            callback=finite,
            min=0,
            max=180,
            help="Of the views that colours come from, degrees from straight above; by default training's middle.",
        ),
    ] = None,
    device: OnDevice = "auto",
) -> None:
    """Write generated objects as meshes in world units, y up: marching cubes, colours from the radiance.

    For example: pigan mesh --model cars/baseline/seed0 --seeds 3 --out car.glb
    """
    height, numbers = _number(level), parse_seeds(seeds)
    if height is not None and surface != "density" and not 0 < height < 1:
        raise UsageError(
            f"--level {level}: of an opaque surface it is between 0 and 1; for a density add --surface density"
        )
    if side is not None and side <= 0:
        raise UsageError(f"--side {side:g}: give a length above 0, in world units")
    if yaw is not None and colours != "view":
        raise UsageError("--yaw is that of one view: add --colours view")
    from pigan.synthesis.meshing.formats import check_suffix, save_mesh

    check_suffix(out)
    from pigan.synthesis.mesh import MeshSettings, mesh_of

    trained = open_model(model, device)
    angles = (None if angle is None else math.radians(angle) for angle in (yaw, pitch))
    settings = MeshSettings(resolution, surface, height, side, faces, not all_pieces, not with_holes, colours, *angles)
    psi = trained.params.generate.sheet_truncation if truncation is None else truncation
    codes, names = objects_of(trained, numbers, inverted, psi)
    numbered = [str(number) for number in numbers] if not inverted else names
    for code, name, number in zip(codes.split(1), names, numbered, strict=True):
        label = name if inverted else f"seed {number}"
        made, facts = mesh_of(trained.generator, code, trained.params, settings, label)
        path = out if len(names) == 1 else out.with_stem(f"{out.stem}_{number}")
        save_mesh(made, path)
        typer.echo(f"{label}: {_told(facts)}")
        wrote(path)


def _number(level: str) -> float | None:
    """The level that was typed; None is auto."""
    if level == "auto":
        return None
    try:
        return float(level)
    except ValueError:
        raise UsageError(f"--level {level}: give a number, or auto") from None


def _told(facts: "MeshFacts") -> str:
    """What a person wants to know of a mesh, in a line."""
    low, high = (", ".join(f"{value:.3f}" for value in corner) for corner in facts.bounds)
    parts = [
        f"{facts.vertices:,} vertices, {facts.faces:,} faces",
        f"watertight, volume {facts.volume:.4g}" if facts.watertight else "not watertight",
        f"bounds ({low}) to ({high})",
        f"opaque surface, level {facts.level:.4g} of light lost, {facts.lowest:.4g} to {facts.highest:.4g}"
        if facts.surface == "opaque"
        else f"level {facts.level:.4g} of densities {facts.lowest:.4g} to {facts.highest:.4g}",
    ]
    if facts.pieces > 1:
        parts.append(f"the level has {facts.pieces:,} pieces")
    if facts.cut:
        parts.append(f"cut by the cube of side {facts.side:.3g}: a larger --side shows more")
    return "; ".join(parts)
