"""The command that reads the authors' released checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from pigan.cli.options import app, new_file, wrote
from pigan.errors import UsageError


@app.command(name="import-checkpoint")
def import_checkpoint(
    files: Annotated[
        list[Path], typer.Argument(help="generator.pth, ema.pth, ema2.pth; told apart by what they hold.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", callback=new_file, help="The checkpoint to write (.safetensors).")
    ],
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="celeba, cats or carla: camera and curriculum, where the files do not tell."),
    ] = None,
    discriminator: Annotated[
        Path | None, typer.Option("--discriminator", help="The discriminator's file, for training on.")
    ] = None,
) -> None:
    """Read the authors' checkpoints (.pth) without running anything in them, and write one of pigan's.

    `pigan render --model` and `pigan init --from` take what it writes.
    """
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: name a file that ends in .safetensors")
    from pigan.synthesis.imported import import_checkpoint as run

    imported = run([*files, *([discriminator] if discriminator else [])], out, preset)
    for part in imported.parts:
        count = sum(value.numel() for value in part.tensors.values())
        step = f", step {part.step:,}" if part.step else ""
        typer.echo(f"{part.path}: {part.role}, {part.kind}, {count:,} numbers{step}")
    for note in imported.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"camera and curriculum: {imported.preset}")
    wrote(out)
