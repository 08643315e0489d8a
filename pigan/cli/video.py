"""The command that makes videos with a trained model."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from pigan.cli.objects import CodeFiles, objects_of, open_model
from pigan.cli.options import ModelName, OnDevice, Truncation, app, new_file, parse_seeds, wrote
from pigan.errors import UsageError
from pigan.synthesis.choices import Morph, PathName, backdrop_of


@app.command()
def video(
    model: ModelName,
    out: Annotated[
        Path, typer.Option("--out", callback=new_file, help="The file to write: turn.mp4, .webm, .gif or .apng.")
    ],
    path: Annotated[
        PathName,
        typer.Option(
            "--path",
            help="orbit: once round; front: an ellipse inside what was trained on; spiral; zoom; still.",
        ),
    ] = "orbit",
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds", help="Seeds of latents, 7 or 0-3,7: shown together, or one after another with --morph."
        ),
    ] = "0",
    inverted: CodeFiles = None,
    morph: Annotated[
        Morph,
        typer.Option("--morph", help="One object turns into the next, by interpolated frequencies and phases."),
    ] = "none",
    frames: Annotated[
        int | None, typer.Option("--frames", min=1, help="Of the whole loop; by default 72, with --morph 36 an object.")
    ] = None,
    frames_a_second: Annotated[int, typer.Option("--fps", min=1, max=60, help="Frames a second.")] = 24,
    depth: Annotated[bool, typer.Option("--depth", help="Coloured depth beside the colours.")] = False,
    resolution: Annotated[
        int | None, typer.Option("--resolution", min=16, max=2048, help="Pixels a side of each object's picture.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=2, help="Coarse samples a ray; more are finer and slower.")
    ] = None,
    truncation: Truncation = None,
    background: Annotated[
        Literal["own", "white", "black", "last"], typer.Option("--background", help="own: as in the evaluation images.")
    ] = "own",
    columns: Annotated[int | None, typer.Option("--columns", min=1, help="Columns of several objects.")] = None,
    device: OnDevice = "auto",
) -> None:
    """Write a video of generated objects, a closed loop; the same command makes the same bytes.

    For example: pigan video --model cars/baseline/seed0 --seeds 0-3 --path orbit --depth --out turn.mp4
    """
    numbers = parse_seeds(seeds)
    if morph != "none" and len(inverted or numbers) < 2:
        raise UsageError(f"--morph {morph}: name several seeds to turn into each other, as --seeds 0-3")
    if morph != "none" and columns is not None:
        raise UsageError("--columns is of objects that are shown together: leave it out with --morph")
    from pigan.synthesis.camera_paths import camera_path
    from pigan.synthesis.movies import Film, codes_of_frames, film
    from pigan.synthesis.video import check_video_name, write_video

    check_video_name(out)
    trained = open_model(model, device)
    own = trained.params
    trained.check_samples(samples)
    psi = own.generate.sheet_truncation if truncation is None else truncation
    count = frames or (72 if morph == "none" else 36 * len(inverted or numbers))
    codes, _ = objects_of(trained, numbers, inverted, psi)
    shown = codes_of_frames(codes, trained.average_code, morph, count)
    how = Film(
        resolution or max(own.generate.resolution, 128),
        min(columns or math.ceil(math.sqrt(len(shown[0]))), len(shown[0])),
        depth,
        samples,
        backdrop_of(background),
    )
    write_video(out, film(trained, shown, camera_path(path, own.camera, count), how), frames_a_second)
    wrote(out)
