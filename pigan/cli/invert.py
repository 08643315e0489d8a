"""The command that finds photos in a trained model."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from pigan.cli.objects import open_model
from pigan.cli.options import ModelName, OnDevice, app, finite, new_folder, wrote
from pigan.errors import UsageError
from pigan.synthesis.inverting.settings import SearchSettings

# of a photo at any resolution
USUAL = SearchSettings(resolution=0)


@app.command()
def invert(
    photos: Annotated[list[Path], typer.Argument(help="Image files of any kind; their middle square is used.")],
    model: ModelName,
    out: Annotated[
        Path, typer.Option("--out", callback=new_folder, help="Folder; each photo gets one of its own in it.")
    ],
    yaw: Annotated[
        float | None,
        typer.Option("--yaw", callback=finite, help="Yaw of the photo's camera, degrees; 90 looks from +z."),
    ] = None,
    pitch: Annotated[
        float | None,
        typer.Option(
            "--pitch", callback=finite, min=0, max=180, help="Of its camera, degrees from straight above; 90 is level."
        ),
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(
            "--distance", callback=finite, help="Of its camera from the object, world units; training's by default."
        ),
    ] = None,
    find_pose: Annotated[
        bool,
        typer.Option("--find-pose", help="Search for the pose, from --yaw and --pitch on; needless without them."),
    ] = False,
    find_distance: Annotated[bool, typer.Option("--find-distance", help="Search for the distance as well.")] = False,
    starts: Annotated[
        int, typer.Option("--starts", min=1, max=256, help="Objects and poses to start from.")
    ] = USUAL.starts,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimiser steps for a photo.")] = USUAL.steps,
    rays: Annotated[int, typer.Option("--rays", min=1, help="Pixels that a step looks at.")] = USUAL.rays,
    lr: Annotated[
        float, typer.Option("--lr", callback=finite, help="Learning rate of frequencies and phases.")
    ] = USUAL.lr,
    regularisation: Annotated[
        float,
        typer.Option(
            "--regularisation", callback=finite, min=0, help="Weight of the squared distance from the average code."
        ),
    ] = USUAL.regularisation,
    noise: Annotated[
        float,
        typer.Option("--noise", callback=finite, min=0, help="Noise on the code in the first step; it falls to 0."),
    ] = USUAL.noise,
    perceptual: Annotated[
        float,
        typer.Option("--perceptual", callback=finite, min=0, help="Weight of EfficientNet-Lite0's features; try 0.1."),
    ] = USUAL.perceptual,
    mask: Annotated[
        Path | None, typer.Option("--mask", help="An image as large as the photo; dark pixels do not count.")
    ] = None,
    flatten: Annotated[
        bool,
        typer.Option("--flatten", help="Transparent pixels show the training's background; else they do not count."),
    ] = False,
    resolution: Annotated[
        int | None, typer.Option("--resolution", min=8, max=1024, help="Pixels a side; generate.resolution by default.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="Another view of the object, to be compared with.")
    ] = None,
    held_out_yaw: Annotated[
        float | None, typer.Option("--held-out-yaw", callback=finite, help="Yaw of that view's camera, degrees.")
    ] = None,
    held_out_pitch: Annotated[
        float | None,
        typer.Option(
            "--held-out-pitch", callback=finite, min=0, max=180, help="Its pitch, degrees from straight above."
        ),
    ] = None,
    held_out_distance: Annotated[
        float | None,
        typer.Option("--held-out-distance", callback=finite, help="Its distance, world units; training's by default."),
    ] = None,
    preview_steps: Annotated[
        int, typer.Option("--preview-steps", min=1, help="Steps between two previews (preview.png) and saved states.")
    ] = 50,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of starts, rays and noise.")] = USUAL.seed,
    device: OnDevice = "auto",
) -> None:
    """Find photos in a trained model: the object that looks like each, and the camera that saw it.

    For example: pigan invert car.png --model cars/baseline/seed0 --out inverted. The folder inverted/car then holds
    code.safetensors, which render, video and mesh take with --code. The same command goes on after an interruption.
    """
    if (yaw is None) != (pitch is None):
        raise UsageError("--yaw and --pitch: give both, or none to have the pose found")
    for name, value in (("--distance", distance), ("--held-out-distance", held_out_distance), ("--lr", lr)):
        if value is not None and value <= 0:
            raise UsageError(f"{name} {value:g}: give a number above 0")
    if mask is not None and len(photos) > 1:
        raise UsageError("--mask: belongs to one photo; invert them one by one, or give photos with transparent pixels")
    if held_out is not None and (len(photos) > 1 or held_out_yaw is None or held_out_pitch is None):
        raise UsageError("--held-out: goes with one photo, --held-out-yaw and --held-out-pitch")
    from pigan.synthesis.inverting.batch import invert_photos
    from pigan.synthesis.inverting.orbit import Known
    from pigan.synthesis.inverting.outcome import HeldOut
    from pigan.synthesis.inverting.photo import read_photo

    trained = open_model(model, device)
    side = resolution or trained.params.generate.resolution
    red, green, blue = trained.params.dataset.crop.background
    background = (red, green, blue) if flatten else None
    # all are looked at before any work begins
    read = [read_photo(path, side, mask, background) for path in photos]
    other = None
    if held_out is not None and held_out_yaw is not None and held_out_pitch is not None:
        angles = math.radians(held_out_yaw), math.radians(held_out_pitch)
        other = HeldOut(read_photo(held_out, side, None, background), *angles, held_out_distance)
    features = None
    if perceptual > 0:
        from pigan.evaluation.perceptual import FeatureMaps

        features = FeatureMaps().to(trained.device)
    known = Known(
        None if yaw is None else math.radians(yaw),
        None if pitch is None else math.radians(pitch),
        distance,
        find_pose or yaw is None,
        find_distance,
    )
    settings = SearchSettings(
        resolution=side,
        steps=steps,
        starts=starts,
        rays=rays,
        lr=lr,
        regularisation=regularisation,
        noise=noise,
        perceptual=perceptual,
        seed=seed,
    )
    for result, was_there in invert_photos(trained, read, known, settings, out, features, other, preview_steps):
        typer.echo(f"{result['photo']}: {_told(result)}{', was there already' if was_there else ''}")
        if not was_there:
            wrote(out / Path(result["photo"]).stem)


def _told(result: dict[str, Any]) -> str:
    """What a person wants to know of an inversion, in a line."""
    camera = result["camera"]
    parts = [
        f"{result['psnr_db']:.1f} dB, SSIM {result['ssim']:.3f}",
        f"yaw {camera['yaw_degrees']:.1f}, pitch {camera['pitch_degrees']:.1f} degrees",
        f"distance {camera['distance']:.3f}",
        f"{result['seconds']:.0f} s",
    ]
    if "held_out" in result:
        parts.insert(1, f"held-out view {result['held_out']['psnr_db']:.1f} dB")
    return ", ".join(parts)
