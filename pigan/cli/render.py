"""The command that makes pictures with a trained model."""

import math
from pathlib import Path
from typing import Annotated, get_args

import typer

from pigan.cli.objects import CodeFiles, objects_of, open_model
from pigan.cli.options import (
    ModelName,
    OnDevice,
    Seeds,
    Truncation,
    app,
    finite,
    new_folder,
    parse_seeds,
    typed,
    wrote,
)
from pigan.errors import UsageError
from pigan.synthesis.choices import Format, Layout, Map, Shade, backdrop_of


@app.command()
def render(
    model: ModelName,
    out: Annotated[Path, typer.Option("--out", callback=new_folder, help="Folder for the pictures.")],
    seeds: Seeds = "0-8",
    inverted: CodeFiles = None,
    layout: Annotated[
        Layout,
        typer.Option(
            "--layout",
            help="grid: of objects; single: a file a view; views: each from several yaws; truncation: psi 0 to 1.",
        ),
    ] = "grid",
    what: Annotated[str, typer.Option("--what", help="colour, depth, normals, opacity, with commas.")] = "colour,depth",
    form: Annotated[
        Format,
        typer.Option("--format", help="png; or unrounded floats: exr (a file a view), npy (an array a map)."),
    ] = "png",
    yaw: Annotated[
        float | None,
        typer.Option("--yaw", callback=finite, help="Degrees; 90 looks from +z. By default camera.yaw_mean."),
    ] = None,
    pitch: Annotated[
        float | None,
        typer.Option(
            "--pitch",
            callback=finite,
            min=0,
            max=180,
            help="Degrees from straight above; 90 is level. By default the middle of training's.",
        ),
    ] = None,
    fov: Annotated[
        float | None, typer.Option("--fov", callback=finite, help="Opening angle, degrees; training's by default.")
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option("--radius", callback=finite, help="Distance of the camera, world units; training's by default."),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", min=4, max=4096, help="Pixels a side; generate.resolution by default.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=2, help="Coarse samples a ray; more are finer and slower.")
    ] = None,
    truncation: Truncation = None,
    background: Annotated[Shade, typer.Option("--background", help="own: as in the evaluation images.")] = "own",
    columns: Annotated[
        int | None, typer.Option("--columns", min=1, help="Of the grid; with --layout views, how many yaws.")
    ] = None,
    lock_view: Annotated[
        bool | None,
        typer.Option(
            "--lock-view/--free-view", help="Whether colours depend on the view; by default as the model does."
        ),
    ] = None,
    device: OnDevice = "auto",
) -> None:
    """Write pictures, depth, normals and opacity of generated objects; the same command makes the same bytes.

    For example: pigan render --model cars/baseline/seed0 --layout views --seeds 0-3 --resolution 128 --out pictures
    """
    numbers, maps = parse_seeds(seeds), _maps(what)
    if fov is not None and not 0 < fov < 180:
        raise UsageError(f"--fov {fov:g}: give degrees between 0 and 180")
    if radius is not None and radius <= 0:
        raise UsageError(f"--radius {radius:g}: give a distance above 0, in world units")
    if layout in ("single", "truncation") and columns is not None:
        raise UsageError(f"--columns is of a grid or of views, not of --layout {layout}")
    if layout == "views" and yaw is not None:
        raise UsageError("--yaw is that of one view: that layout shows several; leave it out")
    from pigan.files import sha256_file, write_json
    from pigan.synthesis.stills import Looks, description, plan, render_plan, write_stills

    trained = open_model(model, device)
    own = trained.params
    trained.check_samples(samples)
    if lock_view is not None:
        trained = trained.with_locked_view(lock_view)
    psi = own.generate.sheet_truncation if truncation is None else truncation
    codes, names = objects_of(trained, numbers, inverted, 1.0 if layout == "truncation" else psi)
    looks = Looks(
        resolution or own.generate.resolution,
        None if pitch is None else math.radians(pitch),
        None if fov is None else math.radians(fov),
        radius,
        samples,
        backdrop_of(background),
    )
    views = plan(trained, codes, names, layout, None if yaw is None else math.radians(yaw), columns)
    seen, cameras = render_plan(trained, views, looks)
    for path in write_stills(seen, cameras, views, layout, maps, form, own.camera.align_corners, out):
        wrote(path)
    about = description(trained, sha256_file(trained.source), views, cameras, looks)
    write_json(out / "render.json", {"command": typed(), "truncation": psi, **about})
    wrote(out / "render.json")


def _maps(what: str) -> list[Map]:
    """What was asked for, each once.

    Raises:
        PiganError: there is no such map.
    """
    known: tuple[Map, ...] = get_args(Map)
    asked = list(dict.fromkeys(name.strip() for name in what.split(",")))
    unknown = next((name for name in asked if name not in known), None)
    if unknown is not None:
        raise UsageError(f"--what {unknown!r}: there are {', '.join(known)}")
    return [name for name in known if name in asked]
